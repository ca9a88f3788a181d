"""How fast the journal goes to Parquet, and how small. Prints JSON.

Run: `python benchmarks/archive.py [--ticks N] [--hour FILE]`. A run is what `pq archive` does about the journal: rows
are read and verified, sorted, written, read back, compared, hashed and noted. Journals: a busy desk's (50 symbols, rows
of 8 ticks, stamps to the microsecond and the nanosecond), the same in rows of 64, and the hour of Kraken's trades that
the tests are recorded with (`--hour`), as it is and repeated until it is long.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1]))

from history.archive import archive
from history.desk import HistoryDesk
from infra.settings import load_settings
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import TICK
from sinks.journal import JournalWriter
from sources.tick_files.opening import open_ticks

HOUR = "kraken/ticks/kraken-XBTUSD-trades-2019-07-01T00.csv"
HOUR_NS = 3_600 * 10**9
BEGIN = 1_767_312_000 * 10**9
SYMBOLS = 50


def busy(n: int) -> np.ndarray:
    """Ticks of a busy desk, 500 a second: prices walk in steps, sizes have eight decimals, stamps are microseconds."""
    random = np.random.default_rng(1)
    ticks = np.zeros(n, TICK)
    ticks["received_time"] = BEGIN + np.cumsum(random.exponential(2e6, n)).astype(np.int64)
    late = random.integers(1_000_000, 30_000_000, n)
    ticks["event_time"] = (ticks["received_time"] - late) // 1000 * 1000
    ticks["stream"] = random.integers(0, SYMBOLS, n)
    steps = random.choice([-1, 0, 0, 0, 1], n)
    for stream in range(SYMBOLS):
        own = ticks["stream"] == stream
        ticks["price"][own] = np.round(100.0 * (stream + 1) + np.cumsum(steps[own]) / 100, 2)
    ticks["size"] = np.round(random.exponential(1, n), 8)
    ticks["trade_id"] = np.arange(n)
    ticks["count"] = 1
    ticks["aggressor"] = random.choice([-1, 1], n)
    return ticks


def hour(file: Path, n: int | None) -> np.ndarray:
    """The recorded hour, as it is or repeated to `n` ticks, an hour later each time."""
    ticks = np.concatenate([batch.ticks for batch in open_ticks(file, symbol=Symbol("KRAKEN", "BTCUSD")).batches()])
    if n is None:
        return ticks
    times = -(-n // len(ticks))
    long = np.tile(ticks, times)
    shift = np.repeat(np.arange(times), len(ticks)) * HOUR_NS
    long["event_time"] += shift
    long["received_time"] += shift
    long["trade_id"] = np.arange(len(long))
    return long[:n]


def measure(ticks: np.ndarray, batch: int, folder: Path) -> dict[str, float]:
    """Journal the ticks, archive them."""
    settings = load_settings(folder, environ={})
    settings.folders.create()
    with JournalWriter(settings.folders.journal, lambda: BEGIN) as journal:
        for place in range(int(ticks["stream"].max()) + 1):
            journal.stream("bench", Symbol("BENCH", f"S{place}"), FeedKind.TRADES, 0)
        journal.append_many((RowKind.TICKS, 0, ticks[first : first + batch]) for first in range(0, len(ticks), batch))
    with HistoryDesk(settings) as desk:
        cpu = time.process_time()
        done = archive(desk)
        cpu = time.process_time() - cpu
    assert done.ticks == len(ticks)
    return {
        "ticks": done.ticks,
        "ticks_per_s": round(done.ticks / done.journal_seconds),
        "ticks_per_cpu_s": round(done.ticks / cpu),
        "bytes_per_tick": round(done.bytes_per_tick or 0, 2),
    }


def main() -> None:
    """Measure and print."""
    recorded = Path(os.environ.get("POCKETQUANT_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=4_000_000, help="how many ticks a journal has")
    parser.add_argument("--hour", type=Path, default=recorded / HOUR, help="the recorded hour; left out if absent")
    options = parser.parse_args()
    cases = {"busy_rows_of_8": (busy(options.ticks), 8), "busy_rows_of_64": (busy(options.ticks), 64)}
    if options.hour.is_file():
        cases["hour"] = (hour(options.hour, None), 64)
        cases["hour_repeated"] = (hour(options.hour, options.ticks), 64)
    machine = {"python": platform.python_version(), "pyarrow": pa.__version__, "load": os.getloadavg()[0]}
    result: dict[str, object] = {"machine": machine}
    # The first run pays for importing and for the pools of threads.
    with tempfile.TemporaryDirectory() as name:
        measure(busy(1000), 8, Path(name) / "desk")
    for case, (ticks, batch) in cases.items():
        with tempfile.TemporaryDirectory() as name:
            result[case] = measure(ticks, batch, Path(name) / "desk")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
