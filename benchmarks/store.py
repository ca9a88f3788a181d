"""The bar store: bars upserted and logged a second, and bars read a second. Prints JSON.

Run: `python benchmarks/store.py [--flushes N] [--bars N] [--folder DIR] [--mongodb URI]`. Wall time on a real disk;
`cpu_us_a_bar` is what the client's process spent. The dense pattern is 1,000 symbols with a bar in every minute, rolled
up to 13 intervals, in flushes of about 100,000 bars: what a replay writes, log, chain of hashes and check of each row
included. Against it, in the same run, the obvious way: one statement a bar by text keys, a log row and a hash each.
"""

import argparse
import hashlib
import json
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from market.bars import BAR, BarBatch, BarState
from market.intervals import MINUTE_NS, MINUTES, NAMES, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.bar_store import BarStore, open_store

SYMBOLS = 1000
FLUSH_MINUTES = 60
START_MINUTE = 28_927_680
LENGTHS = (*MINUTES[: Interval.D1], 1440, 10_080, 43_200)
STREAMS = tuple(Stream(i, "sim", Symbol("SIM", f"S{i:04d}USD"), FeedKind.TRADES, 0) for i in range(SYMBOLS))


def filled(starts: np.ndarray, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Closed bars with random prices of two decimals; starts and lengths in minutes."""
    rows = np.zeros(len(starts), BAR)
    rows["start"] = starts * MINUTE_NS
    rows["end"] = (starts + lengths) * MINUTE_NS
    for name in ("open", "high", "low", "close"):
        rows[name] = rng.normal(100, 1, len(rows)).round(2)
    rows["volume"] = rng.random(len(rows)) * 100
    rows["notional"] = rows["volume"] * rows["close"]
    rows["trades"] = rng.integers(1, 200, len(rows))
    rows["updated_at"] = rows["end"] + 2_000_000_000 + rng.integers(0, 10**8, len(rows))
    rows["revision"], rows["state"] = 1, BarState.CLOSED
    return rows


def dense(flushes: int) -> Iterator[tuple[BarBatch, int]]:
    """What a replay writes, an hour of a thousand symbols at a time, in the order in which it closes."""
    rng = np.random.default_rng(7)
    for flush in range(flushes):
        first = START_MINUTE + flush * FLUSH_MINUTES
        closed = [
            (minute, minute + 1 - length, interval, length)
            for minute in range(first, first + FLUSH_MINUTES)
            for interval, length in enumerate(LENGTHS)
            if (minute + 1) % length == 0
        ]
        minutes, starts, intervals, lengths = (np.repeat(column, SYMBOLS) for column in np.array(closed).T)
        rows = filled(starts, lengths, rng)
        rows["seq"] = minutes - START_MINUTE + 1
        rows["interval"] = intervals
        rows["stream"] = np.tile(np.arange(SYMBOLS), len(closed))
        yield BarBatch(rows, STREAMS), int(rows["seq"][-1])


def upserts(store: BarStore, flushes: int) -> dict[str, float]:
    """The dense pattern into the store."""
    bars, wall, cpu, last = 0, 0.0, 0.0, 0.0
    for batch, upto in dense(flushes):
        began, began_cpu = time.perf_counter(), time.process_time()
        written = store.upsert(batch, writer="bars", upto=upto, own_revisions=True)
        last = time.perf_counter() - began
        wall, cpu, bars = wall + last, cpu + time.process_time() - began_cpu, bars + written.inserted
    return {
        "bars": bars,
        "bars_a_second": round(bars / wall),
        "last_flush_bars_a_second": round(len(batch.rows) / last),
        "cpu_us_a_bar": round(cpu / bars * 1e6, 2),
    }


def obvious(path: Path, most: int) -> dict[str, float]:
    """The same bars one by one: text keys, the rule in each statement, a log row and a hash for each."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    columns = "exchange, symbol, interval, start, end, open, high, low, close, volume, notional, trades, version"
    db.execute(f"CREATE TABLE bars ({columns}, PRIMARY KEY (exchange, symbol, interval, start))")
    db.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, bar TEXT, hash BLOB)")
    sql = (
        f"INSERT INTO bars VALUES ({', '.join('?' * 13)}) ON CONFLICT DO UPDATE SET close = excluded.close, "
        "version = excluded.version WHERE excluded.version > bars.version"
    )
    digest, bars = b"", 0
    began = time.perf_counter()
    for batch, _ in dense(1):
        db.execute("BEGIN")
        for row in batch.rows[:most]:
            symbol = batch.streams[row["stream"]].symbol
            values = [row[name].item() for name in BAR.names[:9]]
            bar = (*symbol, NAMES[row["interval"]], *values, int(row["revision"]))
            db.execute(sql, bar)
            text = json.dumps(bar)
            digest = hashlib.blake2b(digest + text.encode(), digest_size=32).digest()
            db.execute("INSERT INTO log (bar, hash) VALUES (?, ?)", (text, digest))
            bars += 1
        db.execute("COMMIT")
    wall = time.perf_counter() - began
    db.close()
    return {"bars": bars, "bars_a_second": round(bars / wall)}


def reading(store: BarStore, bars: int) -> dict[str, float]:
    """One series of minute bars imported, read whole, read by the thousand newest."""
    rng = np.random.default_rng(7)
    stream = Stream(0, "import", Symbol("NASDAQ", "BENCH"), FeedKind.TRADES, 0)
    imported = 0.0
    for first in range(0, bars, 100_000):
        starts = START_MINUTE + np.arange(first, min(first + 100_000, bars))
        rows = filled(starts, np.ones(len(starts), np.int64), rng)
        rows["seq"] = -1
        began = time.perf_counter()
        store.upsert(BarBatch(rows, (stream,)), writer="import", own_revisions=False)
        imported += time.perf_counter() - began
    store.read(stream.symbol, Interval.M1, limit=1)
    whole = []
    for _ in range(3):
        began = time.perf_counter()
        frame = store.read(stream.symbol, Interval.M1)
        whole.append(time.perf_counter() - began)
        assert frame.height == bars
    newest = []
    for _ in range(200):
        began = time.perf_counter()
        store.read(stream.symbol, Interval.M1, limit=1000)
        newest.append(time.perf_counter() - began)
    return {
        "bars": bars,
        "import_bars_a_second": round(bars / imported),
        "read_all_s": round(min(whole), 3),
        "read_newest_1000_p99_ms": round(float(np.quantile(newest, 0.99)) * 1000, 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--flushes", type=int, default=24, help="of about 100,000 bars")
    parser.add_argument("--bars", type=int, default=1_000_000, help="to be read as one series")
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; a temporary one unless told")
    parser.add_argument("--mongodb", help="address of a server to measure as well")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="pocketquant-bench-", dir=options.folder))
    try:
        store = open_store(folder / "bars.sqlite")
        sqlite = upserts(store, options.flushes)
        began = time.perf_counter()
        assert store.check_log() == []
        sqlite["check_log_rows_a_second"] = round(sqlite["bars"] / (time.perf_counter() - began))
        sqlite["bytes_a_bar"] = round(store.size_bytes() / sqlite["bars"])
        slow = obvious(folder / "obvious.sqlite", 20_000)
        sqlite["times_the_obvious_way"] = round(sqlite["bars_a_second"] / slow["bars_a_second"], 1)
        store.close()
        store = open_store(folder / "series.sqlite")
        found: dict[str, object] = {
            "upsert_sqlite": sqlite,
            "obvious_way": slow,
            "series": reading(store, options.bars),
        }
        store.close()
        if options.mongodb:
            server = open_store(options.mongodb)
            found["upsert_mongodb"] = upserts(server, 1)
            server.close()
    finally:
        shutil.rmtree(folder)
    machine = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, "cpu": platform.processor()}
    print(json.dumps({"benchmark": "store", **found, "machine": machine}))


if __name__ == "__main__":
    main()
