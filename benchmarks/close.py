"""How soon after a minute's end and the grace its bars can be read, all of 1,000 symbols at once. Prints JSON.

Run: `python benchmarks/close.py [--minutes N]`. The simulated exchange and `pq up` as in `live.py`; every symbol trades
in every minute, so 1,000 minute bars close at each boundary, and more where longer intervals end too.

**What is measured**: from the minute's end plus the grace of two seconds, by the clock on the wall, to the moment at
which this script, asking the SQLite store every millisecond, is told by it that the bar is there: the bar's row and its
entry in the log of revisions are one transaction. One latency a bar of the interval 1m.
"""

import argparse
import json
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from running_desk import CpuMeter, Desk, Exchange, machine, until

from market.intervals import MINUTE_NS, Interval
from operators.bars import GRACE_NS
from sinks.bar_store import BarStore, open_store
from sources.simulated.listing import read_symbols

WRITER = "bars"
BEFORE_NS = 200_000_000
WATCHED_NS = 5_000_000_000


def watch(store: BarStore, minute_end: int) -> tuple[list[tuple[int, int]], int]:
    """When the bars of one minute came: (ns, minute bars), and how many bars came in all."""
    due = minute_end + GRACE_NS
    time.sleep(max(0.0, (due - BEFORE_NS - time.time_ns()) / 1e9))
    seq = store.head(WRITER)[0]
    came: list[tuple[int, int]] = []
    bars = 0
    while time.time_ns() < due + WATCHED_NS:
        head = store.head(WRITER)[0]
        now = time.time_ns()
        if head == seq:
            time.sleep(0.001)
            continue
        # Reading what came is not in the figure; what comes meanwhile is noticed late, and its lateness is.
        for logged in store.revisions(WRITER, after=seq):
            ours = logged.rows[logged.seqs <= head]
            bars += len(ours)
            came.append((now, int((ours["interval"] == Interval.M1).sum())))
        seq = head
    return came, bars


def main() -> None:
    """Measure some minutes."""
    parser = argparse.ArgumentParser(description="Measures how soon closed bars can be read.")
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--symbols", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=10_000, help="ticks a second")
    options = parser.parse_args()
    report: dict[str, Any] = {"benchmark": "close", "machine": machine(), "symbols": options.symbols}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pq")))
        names = read_symbols(str(options.symbols))
        exchange = Exchange(stack, folder, rate=options.rate, symbols=options.symbols, skew=0)
        desk = Desk(stack, folder / "d", names, exchange.url)
        until(lambda: desk.status("ingest")["feeds"][0]["ticks"] > 2 * options.rate, "the ticks do not come")
        store = open_store(f"{desk.folders.bars}")
        stack.callback(store.close)
        processes = {"exchange": psutil.Process(exchange.child.pid), **desk.processes()}
        latencies: list[float] = []
        minutes = []
        # The first minute that ends may have begun before the desk did.
        minute = time.time_ns() // MINUTE_NS * MINUTE_NS + MINUTE_NS
        meter = CpuMeter(processes)
        for _ in range(options.minutes):
            came, bars = watch(store, minute)
            late = [((at - minute - GRACE_NS) / 1e6, count) for at, count in came]
            latencies += [ms for ms, count in late for _ in range(count)]
            minutes.append({"bars": bars, "minute_bars": sum(n for _, n in late), "last_ms": round(late[-1][0], 1)})
            minute += MINUTE_NS
        report["closes"] = {
            "latency_ms": {f"p{q}": round(float(np.percentile(latencies, q)), 1) for q in (50, 99, 100)},
            "bars": len(latencies),
            "minutes": minutes,
            "ticks_per_s": options.rate,
            **meter.percent(),
        }
    print(json.dumps({**report, "load_after": os.getloadavg()[0]}, indent=2))


if __name__ == "__main__":
    main()
