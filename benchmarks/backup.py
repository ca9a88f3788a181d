"""Backup, hourly backup, restore and drill of a desk of a million bars. Prints JSON.

Run: `python benchmarks/backup.py [--bars N] [--key] [--folder DIR] [--mongodb URI]`. Wall time on a real disk. Against
it, in the same run, the obvious way: SQLite's own copy of the file, which neither compresses nor verifies anything.
"""

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from history.backup import back_up, repository
from history.desk import HistoryDesk
from history.restoring import drill, restore
from infra.settings import load_settings
from market.bars import BAR, BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.sealing import Seal
from sinks.sqlite_copy import copy_sqlite

SYMBOLS = 20
BATCH = 100_000
START_MINUTE = 28_927_680


def fill(desk: HistoryDesk, bars: int) -> None:
    """Official one-minute bars of twenty symbols, with random prices of two decimals."""
    rng = np.random.default_rng(7)
    streams = tuple(Stream(i, "sim", Symbol("SIM", f"S{i:04d}USD"), FeedKind.TRADES, 0) for i in range(SYMBOLS))
    for first in range(0, bars, BATCH):
        count = min(BATCH, bars - first)
        rows = np.zeros(count, BAR)
        number = np.arange(first, first + count)
        rows["start"] = (START_MINUTE + number // SYMBOLS) * MINUTE_NS
        rows["end"] = rows["start"] + MINUTE_NS
        for name in ("open", "high", "low", "close"):
            rows[name] = rng.normal(100, 1, count).round(2)
        rows["volume"] = (rng.random(count) * 100).round(4)
        rows["notional"] = rows["volume"] * rows["close"]
        rows["trades"], rows["updated_at"], rows["seq"] = 7, rows["end"], -1
        rows["stream"], rows["interval"], rows["state"] = number % SYMBOLS, Interval.M1, BarState.OFFICIAL
        desk.store.upsert(BarBatch(rows, streams), writer="backfill", own_revisions=False)


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--key", action="store_true", help="encrypt")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--mongodb", help="an empty database")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        given = {"to": str(folder / "backups"), **({"key": Seal.new()[1]} if options.key else {})}
        more = {"mongodb_uri": options.mongodb} if options.mongodb else {}
        desk = HistoryDesk(load_settings(folder / "desk", environ={}, backup=given, **more))
        fill(desk, options.bars)
        found: dict[str, object] = {"bars": options.bars, "encrypted": options.key, "python": platform.python_version()}
        found["store"] = "mongodb" if options.mongodb else "sqlite"
        if not options.mongodb:
            clock = time.perf_counter()
            copy_sqlite(desk.folders.bars, folder / "copy.sqlite")
            found["sqlite_copy_s"] = round(time.perf_counter() - clock, 2)
        full = back_up(desk)
        found["full_s"], found["bytes"], found["written"] = round(full.seconds, 2), full.bytes, full.written
        time.sleep(1.1)  # Backups are named by the second.
        hourly = back_up(desk, "hourly")
        found["hourly_s"], found["hourly_written"] = round(hourly.seconds, 2), hourly.written
        into = {"mongodb_uri": f"{options.mongodb}_restored"} if options.mongodb else {}
        found["restore_s"] = round(restore(desk, full.id, folder / "new", **into).seconds, 2)
        found["drill_s"] = round(drill(desk).seconds, 2)
        found["repository_files"] = len(repository(desk).place.names("pieces"))
        desk.close()
        print(json.dumps(found))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
