"""The bars dataflow on batches in memory: Bytewax with recovery on, thirteen intervals, late ticks. Prints JSON.

Run: `python benchmarks/flow.py [--ticks N] [--repeat N]`. Dense is 1,000 symbols with 69 ticks a minute each, sparse
with 1.7; one tick in a thousand is late. Closed bars go to a store that counts them. Rates are of ticks per second of
the process's CPU; those of polars are of the same columns, sorted and grouped up from minute to month (`--polars`).

The batches lie in memory, gigabytes of them; `fresh` ones are copied to where a producer would just have written them,
still in the processor's caches, and the copying is not counted.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

sys.path.insert(0, str(Path(__file__).parents[1]))

from dataflows.bars import build
from dataflows.bars.progress import Progress
from dataflows.bars.running import settle_in
from dataflows.engine import run
from dataflows.recovery import Recovery
from market.bars import BarBatch
from market.chunks import Chunk
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import MARK, TICK, MarkKind
from sinks.bar_store import Written
from sinks.ledger import Ledger
from sources.journal_tail import InFlight

SYMBOLS = 1000
START = 1_735_689_600_000_000_000
MINUTE = 60_000_000_000
ROW = 16_384
CHUNK = 65_536
"""Ticks a chunk: 3 MB, so that the eight shards find in the caches what the split has read."""
STREAMS = tuple(Stream(i, "sim", Symbol("SIM", f"S{i:04d}USD"), FeedKind.TRADES, 0) for i in range(SYMBOLS))


class Counting:
    """A store that keeps nothing."""

    where = "nowhere"
    bars = 0

    def position(self, _writer: str) -> int:
        """As if empty."""
        return 0

    def upsert(self, batch: BarBatch, **_: object) -> Written:
        """Count."""
        self.bars += len(batch.rows)
        return Written(len(batch.rows), 0, 0, len(batch.rows))


class Batches(FixedPartitionedSource[Chunk, int]):
    """Chunks from a list; its snapshot is the place in it."""

    def __init__(self, chunks: list[Chunk], in_flight: InFlight, *, fresh: bool = False) -> None:
        self.chunks = chunks
        self.in_flight = in_flight
        self.fresh = fresh
        self.made_s = 0.0

    def list_parts(self) -> list[str]:
        """One."""
        return ["batches"]

    def build_part(self, _step: str, _part: str, _state: int | None) -> "Part":
        """From the beginning."""
        return Part(self)


class Part(StatefulSourcePartition[Chunk, int]):
    """One chunk a batch."""

    def __init__(self, batches: Batches) -> None:
        self.batches = batches
        self.chunks = batches.chunks
        self.in_flight = batches.in_flight
        self.place = 0
        self.ring = [np.empty(max(len(chunk.ticks) for chunk in self.chunks), TICK) for _ in range(2)]

    def next_batch(self) -> list[Chunk]:
        """The next chunk, once the last one is done."""
        if self.in_flight.count:
            return []
        if self.place == len(self.chunks):
            raise StopIteration
        self.place += 1
        self.in_flight.add()
        chunk = self.chunks[self.place - 1]
        return [self.written(chunk) if self.batches.fresh else chunk]

    def written(self, chunk: Chunk) -> Chunk:
        """The chunk as a producer leaves it that has just written it: not counted."""
        began = time.thread_time()
        ticks = self.ring[self.place % 2][: len(chunk.ticks)]
        ticks.view(np.uint8)[:] = chunk.ticks.view(np.uint8)
        ticks.setflags(write=False)
        chunk = chunk._replace(ticks=ticks)
        self.batches.made_s += time.thread_time() - began
        return chunk

    def snapshot(self) -> int:
        """Place in the list."""
        return self.place


def ticks(per_minute: float, count: int, late: float = 0.001) -> np.ndarray:
    """Ticks of random symbols and prices; one in a thousand, unless told, comes 65 s late."""
    rng = np.random.default_rng(7)
    found = np.zeros(count, TICK)
    times = START + np.sort(rng.integers(0, int(count / (per_minute * SYMBOLS) * MINUTE), count))
    found["received_time"] = found["event_time"] = times
    found["event_time"][rng.random(count) < late] -= 65_000_000_000
    found["price"] = 100 + np.cumsum(rng.integers(-1, 2, count)) * 0.01
    found["size"] = rng.random(count)
    found["count"] = 1
    found["stream"] = rng.integers(0, SYMBOLS, count)
    return found


def chunks(found: np.ndarray, size: int) -> list[Chunk]:
    """As the journal's reader joins them: rows of 16,384 ticks, several a chunk, read-only."""
    none, marks = np.empty(0, TICK), np.zeros(SYMBOLS, MARK)
    marks["kind"], marks["stream"], marks["time"] = MarkKind.DESIGNATED, range(SYMBOLS), START
    one, nothing = np.array([True]), np.empty(0, MARK)
    out = [Chunk(0, 1, 1, none, marks, np.array([1]), np.array([START]), np.zeros(2, np.int64),
                 np.array([0, SYMBOLS]), one, STREAMS)]  # fmt: skip
    seq = 1
    for first in range(0, len(found), size):
        part = np.frombuffer(found[first : first + size].tobytes(), TICK)
        ends = np.append(np.arange(ROW, len(part), ROW), len(part))
        rows = len(ends)
        out.append(
            Chunk(0, seq + 1, seq + rows, part, nothing, np.arange(seq + 1, seq + rows + 1),
                  part["received_time"][ends - 1].copy(), np.append(0, ends), np.zeros(rows + 1, np.int64),
                  np.ones(rows, np.bool_), STREAMS)
        )  # fmt: skip
        seq += rows
    return out


def measure(per_minute: float, count: int, size: int, repeat: int, *, fresh: bool = False) -> dict[str, float]:
    """The median of `repeat` runs, and the best."""
    made = chunks(ticks(per_minute, count), size)
    runs = sorted(run_once(made, fresh=fresh) for _ in range(repeat))
    cpu, wall, bars, late = runs[len(runs) // 2]
    return {
        "ticks": count,
        "ticks_a_chunk": size,
        "bars": bars,
        "late": late,
        "cpu_seconds": round(cpu, 3),
        "wall_seconds": round(wall, 3),
        "mticks_per_cpu_second": round(count / cpu / 1e6, 2),
        "mticks_per_cpu_second_best": round(count / runs[0][0] / 1e6, 2),
        "mbars_per_cpu_second": round(bars / cpu / 1e6, 2),
    }


def run_once(made: list[Chunk], *, fresh: bool = False) -> tuple[float, float, int, int]:
    """CPU and wall time of one run from an empty recovery store, in s; bars and late ticks."""
    with tempfile.TemporaryDirectory() as name, Ledger(Path(name) / "desk.sqlite") as ledger:
        in_flight, progress, store = InFlight(), Progress(), Counting()
        batches = Batches(made, in_flight, fresh=fresh)
        flow = build(
            batches, store, ledger, in_flight=in_flight, progress=progress,
            stop=threading.Event(), report=print,
        )  # fmt: skip
        with Recovery(Path(name) / "recovery") as recovery:
            cpu, wall = time.process_time(), time.perf_counter()
            run(flow, recovery)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu - batches.made_s, wall - batches.made_s, store.bars, sum(progress.rejects.values())


def machine() -> dict[str, object]:
    """What it ran on, and how busy that was with other things."""
    with suppress(OSError):
        cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
        return _machine(cpu.partition(":")[2].strip())
    return _machine(platform.machine())


def _machine(cpu: str) -> dict[str, object]:
    return {"cpu": cpu, "cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}


def polars_rate(per_minute: float, count: int) -> dict[str, float]:
    """The same ticks, sorted and grouped up by polars: minutes from ticks, each higher interval from the minutes."""
    import polars as pl

    found = ticks(per_minute, count)
    frame = pl.DataFrame({name: found[name] for name in ("stream", "event_time", "price", "size")}).with_columns(
        pl.from_epoch("event_time", "ns")
    )
    sums = [
        pl.col("open").first(), pl.col("high").max(), pl.col("low").min(), pl.col("close").last(),
        pl.col("volume").sum(), pl.col("notional").sum(), pl.col("trades").sum(),
    ]  # fmt: skip
    cpu = time.process_time()
    minutes = (
        frame.sort("stream", "event_time", maintain_order=True)
        .group_by_dynamic("event_time", every="1m", group_by="stream")
        .agg(
            pl.col("price").first().alias("open"), pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"), pl.col("price").last().alias("close"),
            pl.col("size").sum().alias("volume"), (pl.col("price") * pl.col("size")).sum().alias("notional"),
            pl.len().alias("trades"),
        )
    )  # fmt: skip
    bars = len(minutes)
    for every in ("3m", "5m", "15m", "30m", "45m", "1h", "2h", "3h", "4h", "1d", "1w", "1mo"):
        bars += len(minutes.group_by_dynamic("event_time", every=every, group_by="stream").agg(sums))
    cpu = time.process_time() - cpu
    return {
        "ticks": count,
        "bars": bars,
        "cpu_seconds": round(cpu, 3),
        "mticks_per_cpu_second": round(count / cpu / 1e6, 2),
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--ticks", type=int, default=60_000_000)
    options.add_argument("--size", type=int, default=CHUNK, help="ticks a chunk")
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--polars", action="store_true")
    given = options.parse_args()
    settle_in()
    found = {
        "machine": machine(),
        "dense": measure(69, given.ticks, given.size, given.repeat),
        "sparse": measure(1.7, given.ticks // 6, given.size, given.repeat),
        "dense_fresh": measure(69, given.ticks, given.size, given.repeat, fresh=True),
        "sparse_fresh": measure(1.7, given.ticks // 6, given.size, given.repeat, fresh=True),
    }
    if given.polars:
        found["polars_dense"] = polars_rate(69, given.ticks // 6)
        found["polars_sparse"] = polars_rate(1.7, given.ticks // 6)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
