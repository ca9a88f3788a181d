"""How fast the bar kernel is in memory: dense, sparse, and one tick at a time. Prints JSON.

Run: `python benchmarks/kernel.py [--repeat N]`. CPU time of one thread; the first call compiles and is not counted.
Dense is 1,000 symbols with 69 ticks a minute each, sparse the same symbols with 1.7; both arrive interleaved, in
batches, and are split into 8 shards as the dataflow does. Rates count `split` and `fold` of all shards.
"""

import argparse
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from market.sessions import calendar
from market.streams import SHARDS, FeedKind, Stream
from market.symbols import Symbol
from market.ticks import MARK, TICK, MarkKind
from operators.bars import Aggregator
from operators.split import places_by_shard

SYMBOLS = 1000
START = 1_735_689_600_000_000_000
MINUTE = 60_000_000_000
NOTHING = np.zeros(0, MARK)


def shards() -> tuple[list[Aggregator], np.ndarray]:
    """Eight aggregators whose streams are designated, and the shard of each stream."""
    found = [Aggregator() for _ in range(SHARDS)]
    streams = [Stream(i, "sim", Symbol("SIM", f"S{i:04d}USD"), FeedKind.TRADES, 0) for i in range(SYMBOLS)]
    marks = np.zeros(SYMBOLS, MARK)
    marks["kind"], marks["stream"], marks["time"] = MarkKind.DESIGNATED, range(SYMBOLS), START
    for stream in streams:
        found[stream.shard].add_stream(stream, calendar("24/7"))
    for one in found:
        one.fold(*row(np.zeros(0, TICK), 1, marks)[:1], np.zeros(0, np.uint32), *row(np.zeros(0, TICK), 1, marks)[1:])
    return found, np.array([stream.shard for stream in streams], np.uint8)


def row(ticks: np.ndarray, seq: int, marks: np.ndarray = NOTHING) -> tuple[object, ...]:
    """The arrays of a chunk of one row with a beat: what `fold` takes, without the order."""
    clock = int(ticks["received_time"][-1]) if len(ticks) else START
    return (
        ticks, np.array([seq]), np.array([clock]), np.array([0, len(ticks)]), np.array([True]), marks,
        np.array([0, len(marks)]), 0,
    )  # fmt: skip


def batches(per_minute: float, count: int, size: int) -> list[np.ndarray]:
    """Ticks of random symbols and prices in time order, as read-only batches."""
    rng = np.random.default_rng(7)
    ticks = np.zeros(count, TICK)
    times = START + np.sort(rng.integers(0, int(count / (per_minute * SYMBOLS) * MINUTE), count))
    ticks["event_time"] = ticks["received_time"] = times
    ticks["price"] = 100 + np.cumsum(rng.integers(-1, 2, count)) * 0.01
    ticks["size"] = rng.random(count)
    ticks["count"] = 1
    ticks["stream"] = rng.integers(0, SYMBOLS, count)
    return [np.frombuffer(ticks[i : i + size].tobytes(), TICK) for i in range(0, count, size)]


def rate(per_minute: float, count: int, size: int, repeat: int) -> dict[str, float]:
    """Best of `repeat` runs over the same ticks, each with new shards."""
    rows = [row(ticks, seq) for seq, ticks in enumerate(batches(per_minute, count, size), 2)]
    best = {"seconds": float("inf")}
    for _ in range(repeat):
        found, shard_of = shards()
        bars = 0
        split_s = 0.0
        started = time.thread_time()
        for ticks, *rest in rows:
            before = time.thread_time()
            orders = places_by_shard(ticks, shard_of)
            split_s += time.thread_time() - before
            for one, order in zip(found, orders, strict=True):
                bars += len(one.fold(ticks, order, *rest).closed)
        seconds = time.thread_time() - started
        if seconds < best["seconds"]:
            best = {"seconds": seconds, "split_seconds": split_s, "bars": bars}
    return best | {
        "ticks": count, "batch": size, "million_ticks_per_cpu_second": count / best["seconds"] / 1e6
    }  # fmt: skip


def one_tick(calls: int) -> dict[str, float]:
    """Nanoseconds of the kernel's call, and of `Aggregator.fold`, for batches of one tick."""
    found, shard_of = shards()
    stream = int(np.flatnonzero(shard_of == 0)[0])
    ticks = np.zeros(1, TICK)
    ticks["event_time"] = ticks["received_time"] = START + MINUTE // 2
    ticks["stream"], ticks["price"], ticks["size"], ticks["count"] = stream, 1, 1, 1
    ticks = np.frombuffer(ticks.tobytes(), TICK)
    whole = (
        ticks, np.zeros(1, np.uint32), np.array([2]), ticks["received_time"].copy(), np.array([0, 1]),
        np.array([True]), NOTHING, np.array([0, 0]), 0,
    )  # fmt: skip
    found[0].fold(*whole)
    # The kernel's bare call, as the aggregator makes it.
    kernel, fresh, address = found[0]._kernels.fold, found[0]._state.fresh, found[0]._state.address  # noqa: SLF001
    started = time.thread_time()
    for _ in range(calls):
        fresh[0] = 1
        kernel(address, *whole)
    kernel_s = time.thread_time() - started
    started = time.thread_time()
    for _ in range(calls):
        found[0].fold(*whole)
    return {"kernel_ns": kernel_s / calls * 1e9, "aggregator_ns": (time.thread_time() - started) / calls * 1e9}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    print(
        json.dumps(
            {
                "machine": platform.processor() or platform.machine(),
                "python": platform.python_version(),
                "dense": rate(69, 4_000_000, 65_536, repeat),
                "sparse": rate(1.7, 500_000, 65_536, repeat),
                "one": one_tick(20_000),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
