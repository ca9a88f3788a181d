"""How fast bars are read as Polars frames. Prints JSON.

Run: `python benchmarks/reads.py [--bars N]`. A million minute bars of one symbol, through `pocketquant.open`: out of
the SQLite store, out of the Parquet archive, and a question about 1,000 of them that Redis keeps the answer to, many
times. The first read of each kind is told apart, since it compiles or imports.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

import pocketquant
from history.archive import archive
from history.desk import HistoryDesk
from infra import redis_server
from infra.folders import Folders
from infra.settings import load_settings
from market.bars import BAR, BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol

SYMBOL = Symbol("KRAKEN", "BTCUSD")
BEGIN = 1_640_995_200 * 10**9
"""2022-01-01T00:00:00Z."""
BATCH = 100_000


def bars(n: int) -> np.ndarray:
    """Official minute bars of a walk in steps of a tenth."""
    random = np.random.default_rng(1)
    rows = np.zeros(n, BAR)
    rows["start"] = BEGIN + np.arange(n) * MINUTE_NS
    rows["end"] = rows["start"] + MINUTE_NS
    rows["close"] = np.round(30_000 * np.exp(np.cumsum(random.normal(0, 0.0005, n))), 1)
    rows["open"] = np.round(np.roll(rows["close"], 1), 1)
    rows["high"] = np.round(np.maximum(rows["open"], rows["close"]) + random.exponential(5, n), 1)
    rows["low"] = np.round(np.minimum(rows["open"], rows["close"]) - random.exponential(5, n), 1)
    rows["volume"] = np.round(random.exponential(3, n), 8)
    rows["notional"] = rows["volume"] * rows["close"]
    rows["trades"] = random.integers(1, 500, n)
    rows["updated_at"] = rows["end"] + random.integers(10**9, 3 * 10**9, n)
    rows["interval"], rows["state"], rows["seq"] = Interval.M1, BarState.OFFICIAL, -1
    return rows


def timed(read: Callable[[], pl.DataFrame], height: int, repeat: int) -> dict[str, float]:
    """Seconds of the first read, and the least and the median of others."""
    took = []
    for _ in range(repeat + 1):
        began = time.perf_counter()
        frame = read()
        took.append(time.perf_counter() - began)
        assert frame.height == height
    return {
        "first_s": round(took[0], 4),
        "least_s": round(min(took[1:]), 4),
        "median_s": round(statistics.median(took[1:]), 4),
    }


def cached(read: Callable[[], pl.DataFrame], times: int) -> dict[str, float]:
    """Milliseconds of a question whose answer is kept."""
    for _ in range(20):
        read()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        read()
        took.append((time.perf_counter() - began) * 1e3)
    p50, p99, most = np.percentile(took, [50, 99, 100])
    return {"p50_ms": round(p50, 3), "p99_ms": round(p99, 3), "max_ms": round(most, 3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=2_000, help="how often the kept answer is asked for")
    options = parser.parse_args()
    machine = {"python": platform.python_version(), "polars": pl.__version__, "load": os.getloadavg()[0]}
    result: dict[str, object] = {"machine": machine}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "desk"
        with HistoryDesk(load_settings(folder, environ={})) as desk:
            rows = bars(options.bars)
            stream = (Stream(0, "binance", SYMBOL, FeedKind.TRADES, 0),)
            for first in range(0, len(rows), BATCH):
                batch = BarBatch(rows[first : first + BATCH], stream)
                desk.store.upsert(batch, writer="import", own_revisions=False)
            began = time.perf_counter()
            done = archive(desk)
            result["archive_s"] = round(time.perf_counter() - began, 2)
            result["archive_bytes_per_bar"] = round(done.bar_bytes / done.bars, 1)
        folders = Folders(folder)
        server = subprocess.Popen(redis_server.command(folders, 64), stdout=subprocess.DEVNULL)
        try:
            while not redis_server.answers(folders.redis_socket):
                time.sleep(0.01)
            with pocketquant.open(folder) as opened:
                for newest_first in (False, True):
                    order = "newest_first" if newest_first else "oldest_first"
                    for case, archived in (("sqlite", False), ("archive", True)):
                        result[f"{case}_{order}"] = timed(
                            lambda archived=archived, newest_first=newest_first: opened.bars(
                                SYMBOL, "1m", limit=None, archive=archived, newest_first=newest_first
                            ),
                            options.bars,
                            5,
                        )
                result["kept_answer_of_1000_bars"] = cached(
                    lambda: opened.bars(SYMBOL, "1m", limit=1000), options.times
                )
        finally:
            server.terminate()
            server.wait()
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
