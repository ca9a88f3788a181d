"""How fast the journal is written and read. Prints JSON.

Run: `python benchmarks/journal.py [--folder DIR] [--seconds S]`. Appends are one commit a row, by batches of 1 to 1,000
ticks, with the latency of each. Reads are from a warm page cache, verified and joined into chunks as the bars dataflow
takes them, in rows of 8 ticks (live) and of 65,536 (a replayed file); the peer in the same run is `read()` of a plain
file of the same bytes.
"""

import argparse
import gc
import json
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from market.chunks import Position
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import TICK
from sinks.journal import JournalWriter
from sources.journal import JournalReader

DAY = 20_000 * 86_400_000_000_000
LIVE_ROWS = 200_000
LIVE_TICKS = 8
REPLAY_ROWS = 60
REPLAY_TICKS = 65_536
CHUNK_TICKS = 131_072


def ticks(n: int) -> np.ndarray:
    """Ticks of random bytes, so that nothing gains by their being alike."""
    return np.frombuffer(np.random.default_rng(1).bytes(n * TICK.itemsize), TICK)


def writer(folder: Path) -> JournalWriter:
    """A writer as ingest opens it."""
    opened = JournalWriter(folder, lambda: DAY)
    opened.stream("sim", Symbol("SIM", "BTCUSD"), FeedKind.TRADES, 0)
    return opened


def append(folder: Path, batch: int, seconds: float) -> dict[str, float]:
    """Rows a second and the latency of a commit."""
    records = ticks(batch)
    took: list[int] = []
    clock = time.perf_counter_ns
    with writer(folder / f"append-{batch}") as journal:
        begun = clock()
        while clock() - begun < seconds * 1e9:
            before = clock()
            journal.append(RowKind.TICKS, 0, records)
            took.append(clock() - before)
        elapsed = (clock() - begun) / 1e9
    p50, p99, p999, most = np.percentile(np.array(took) / 1e3, [50, 99, 99.9, 100])
    return {
        "rows_per_s": round(len(took) / elapsed),
        "ticks_per_s": round(len(took) * batch / elapsed),
        "commit_us_p50": round(p50, 1),
        "commit_us_p99": round(p99, 1),
        "commit_us_p999": round(p999, 1),
        "commit_us_max": round(most, 1),
    }


def best(measure: Callable[[], int], repeat: int) -> tuple[float, float, int]:
    """Least wall and CPU seconds of some runs, and what they counted."""
    walls, cpus, counted = [], [], 0
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        counted = measure()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus), counted


def read(folder: Path, rows: int, batch: int, repeat: int) -> dict[str, float]:
    """Ticks a second from disk to chunks, and the same beside a plain file's bytes."""
    records = ticks(batch)
    with writer(folder) as journal:
        journal.append_many((RowKind.TICKS, 0, records) for _ in range(rows))
        path = journal.file
    plain = folder / "plain"
    plain.write_bytes(records.tobytes() * rows)

    def chunks() -> int:
        counted = 0
        with JournalReader(folder) as reader:
            position = Position()
            while True:
                found, position = reader.read_chunks(position, CHUNK_TICKS)
                if not found:
                    return counted
                counted += sum(len(chunk.ticks) for chunk in found)

    def raw() -> int:
        counted = 0
        with plain.open("rb", buffering=0) as file:
            while content := file.read(CHUNK_TICKS * TICK.itemsize):
                counted += len(np.frombuffer(content, TICK))
        return counted

    def select() -> int:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        counted = sum(1 for _ in connection.execute("SELECT * FROM rows ORDER BY seq"))
        connection.close()
        return counted

    wall, cpu, counted = best(chunks, repeat)
    raw_wall, raw_cpu, raw_counted = best(raw, repeat)
    select_wall, _, _ = best(select, repeat)
    assert counted == raw_counted == rows * batch
    size = counted * TICK.itemsize
    return {
        "ticks": counted,
        "ticks_per_s": round(counted / wall),
        "ticks_per_cpu_s": round(counted / cpu),
        "mb_per_s": round(size / wall / 1e6),
        "plain_file_mb_per_s": round(size / raw_wall / 1e6),
        "ratio_to_plain_file": round(raw_wall / wall, 3),
        "ratio_to_plain_file_cpu": round(raw_cpu / cpu, 3),
        "ratio_to_bare_select": round(select_wall / wall, 3),
        "bytes_per_tick_on_disk": round(path.stat().st_size / counted, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to make the journals; a temporary folder unless given")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to append at each size")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each reading, of which the best counts")
    options = parser.parse_args()
    gc.freeze()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        result = {
            "machine": {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
            "append": {batch: append(folder, batch, options.seconds) for batch in (1, 10, 100, 1000)},
            "read": {
                f"rows_of_{LIVE_TICKS}": read(folder / "live", LIVE_ROWS, LIVE_TICKS, options.repeat),
                f"rows_of_{REPLAY_TICKS}": read(folder / "replay", REPLAY_ROWS, REPLAY_TICKS, options.repeat),
            },
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
