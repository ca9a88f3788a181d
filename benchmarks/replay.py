"""A journal on disk becomes bars in SQLite, with recovery, the log of revisions and its chain. Prints JSON.

Run: `python benchmarks/replay.py [--ticks N] [--row N]`. Dense is 1,000 symbols with 69 ticks a minute each, sparse
with 1.7. The journal is written first, in rows of `--row` ticks (8 is what live ingest makes), and not counted. Rates
are of wall time, from the start of the flow to the last bar in the file.
"""

import argparse
import json
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from dataflows.bars.progress import Progress
from dataflows.bars.running import Bench, make_bars, settle_in
from dataflows.recovery import Recovery
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import MARK, TICK, MarkKind
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sinks.sqlite_bars import SqliteBars

SYMBOLS = 1000
START = 1_735_689_600_000_000_000
MINUTE = 60_000_000_000


def journal(folder: Path, per_minute: float, count: int, row: int) -> None:
    """Write ticks of random symbols and prices; one in a thousand comes 65 s late."""
    rng = np.random.default_rng(7)
    with JournalWriter(folder, lambda: START) as writer:
        marks = np.zeros(SYMBOLS, MARK)
        marks["kind"], marks["time"] = MarkKind.DESIGNATED, START
        for place in range(SYMBOLS):
            marks["stream"][place] = writer.stream("sim", Symbol("SIM", f"S{place:04d}USD"), FeedKind.TRADES, 0).id
        writer.append(RowKind.MARKS, 0, marks)
        span, part = count / (per_minute * SYMBOLS) * MINUTE, 1_000_000
        for first in range(0, count, part):
            n = min(part, count - first)
            ticks = np.zeros(n, TICK)
            ticks["received_time"] = START + first / count * span + np.sort(rng.integers(0, int(span * n / count), n))
            ticks["event_time"] = ticks["received_time"]
            ticks["event_time"][rng.random(n) < 0.001] -= 65_000_000_000
            ticks["price"] = 100 + np.cumsum(rng.integers(-1, 2, n)) * 0.01
            ticks["size"] = rng.random(n)
            ticks["count"] = 1
            ticks["stream"] = rng.integers(0, SYMBOLS, n)
            writer.append_many((RowKind.TICKS, 0, ticks[at : at + row]) for at in range(0, n, row))


def measure(per_minute: float, count: int, row: int) -> dict[str, float]:
    """One run."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal(folder / "journal", per_minute, count, row)
        progress = Progress()
        store = SqliteBars(folder / "bars.sqlite")
        with Recovery(folder / "recovery") as recovery, Ledger(folder / "desk.sqlite") as ledger:
            bench = Bench(folder / "journal", recovery, store, ledger, progress, print, 2_000_000_000)
            cpu, wall = time.process_time(), time.perf_counter()
            make_bars(bench, threading.Event(), until_end=True)
            store.close()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        bars = int(progress.closes.sum() + progress.revisions.sum())
        return {
            "ticks": count,
            "ticks_a_row": row,
            "bars_and_revisions": bars,
            "wall_seconds": round(wall, 3),
            "cpu_seconds": round(cpu, 3),
            "store_seconds": round(progress.store_seconds, 3),
            "mticks_per_second": round(count / wall / 1e6, 2),
            "bars_per_second": round(bars / wall),
            "bytes": (folder / "bars.sqlite").stat().st_size,
        }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--ticks", type=int, default=30_000_000)
    options.add_argument("--row", type=int, default=4096, help="ticks a row of the journal")
    given = options.parse_args()
    settle_in()
    found = {
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}",
        "dense": measure(69, given.ticks, given.row),
        "sparse": measure(1.7, given.ticks // 20, given.row),
        "dense_live_rows": measure(69, given.ticks // 4, 8),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
