"""How soon paper trading acts: closed bar readable to decision and order in the book, tick journaled to fill. JSON.

Run: `python benchmarks/paper.py [--runs N] [--minutes N] [--store mongodb://...]`, with `chrt -r 1` in front where
other work runs on the machine.

The paper process is the real one, of `pq up`: its journal, doorbell, book and recovery store are on disk. This script
plays ingest and bars beside it: it journals rows, writes closed bars to the store as the bars dataflow does, rings, and
looks into the book until the answer stands there. N runs of one strategy that turns at each bar trade ten symbols, so a
minute's end makes N decisions and N orders, and each symbol's next tick fills N / 10 of them.

**bar**: from the moment at which the store has returned from the bars' write (they are readable) to the moment at which
the last of the N decisions and orders is readable. **fill**: from the return of the journal's write of one tick to the
moment at which its last fill is readable. The time of looking is in both.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from running_desk import ROOT, machine

from market.bars import BAR, BarBatch, BarState
from market.intervals import Interval
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import parse_symbol
from market.ticks import ALL_STREAMS, ALWAYS, MARK, TICK, MarkKind
from sinks.bar_store import open_store
from sinks.doorbell import Doorbell
from sinks.journal import JournalWriter
from sinks.paper_book import open_paper_book
from trading.assumptions.lots import Lots
from trading.opening import Conditions, Terms
from trading.plan import Plan

SYMBOLS = [f"SIM:S{number}" for number in range(10)]
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
GRACE = 2 * SECOND
START = 1_790_000_040 * SECOND // MINUTE * MINUTE
DEADLINE_S = 60.0

STRATEGY = '''"""Turns at each bar, so that each makes an order."""

import numpy as np
from pydantic import BaseModel

from strategies.interface import Needs


class Parameters(BaseModel):
    """None."""


def needs(p):
    """Nothing."""
    return Needs()


def begin(p):
    """The side."""
    return (np.ones(1),)


def decide(state, bar, p):
    """The other side."""
    state[0][0] = -state[0][0]
    return state[0][0] * 0.5
'''


class Desk:
    """A data folder, and what ingest and bars do in it."""

    def __init__(self, folder: Path, store: str | None) -> None:
        self.folder = folder
        self.now = START
        self.where = store or str(folder / "bars.sqlite")
        self.writer = JournalWriter(folder / "journal", lambda: self.now, checkpoint_s=60)
        self.store = open_store(self.where)
        self.book = open_paper_book(self.where, folder / "paper.sqlite")
        self.streams = [self.writer.stream("sim", parse_symbol(name), FeedKind.TRADES, 0) for name in SYMBOLS]
        for stream in self.streams:
            for kind in (MarkKind.DESIGNATED, MarkKind.SUBSCRIBED):
                self.mark(kind, stream.id, ALWAYS, self.now)
        (folder / "run").mkdir(exist_ok=True)
        self.bell = Doorbell(folder / "run" / "doorbell-paper.sock")

    def mark(self, kind: MarkKind, stream: int = ALL_STREAMS, start: int = 0, end: int = 0) -> int:
        """Journal a mark of now; its row."""
        rows = np.zeros(1, MARK)
        rows["time"], rows["start"], rows["end"], rows["kind"], rows["stream"] = self.now, start, end, kind, stream
        return self.writer.append(RowKind.MARKS, 0, rows)

    def tick(self, place: int, price: float) -> int:
        """Journal one tick of a symbol; its row."""
        self.now += 50_000_000
        rows = np.zeros(1, TICK)
        rows["event_time"] = rows["received_time"] = self.now
        rows["price"], rows["size"], rows["trade_id"], rows["count"], rows["stream"] = price, 1.0, -1, 1, place
        return self.writer.append(RowKind.TICKS, 0, rows)

    def minute_over(self, prices: "np.ndarray[Any, Any]") -> int:
        """The minute passes; its boundary row."""
        self.now = self.now // MINUTE * MINUTE + MINUTE + GRACE
        seq = self.mark(MarkKind.CLOCK, ALL_STREAMS, self.now)
        self.bell.ring(seq)
        rows = np.zeros(len(SYMBOLS), BAR)
        end = self.now // MINUTE * MINUTE
        rows["start"], rows["end"], rows["updated_at"], rows["seq"] = end - MINUTE, end, self.now, seq
        for name in ("open", "high", "low", "close"):
            rows[name] = prices
        rows["volume"], rows["notional"], rows["trades"], rows["revision"] = 1.0, prices, 1, 1
        rows["stream"] = np.arange(len(SYMBOLS))
        rows["interval"], rows["state"] = int(Interval.M1), int(BarState.CLOSED)
        self.store.upsert(BarBatch(rows, tuple(self.streams)), writer="bars", upto=seq, own_revisions=True)
        return seq

    def start(self, number: int) -> None:
        """Ask for a run."""
        from strategies.loader.files import from_source

        found = from_source("turning", self.folder / "turning.py", STRATEGY)
        symbol = SYMBOLS[number % len(SYMBOLS)]
        conditions = Conditions(terms={symbol: Terms(lots=Lots(lot=1e-4))})
        plan = Plan(
            strategy="turning", source_hash=found.source_hash, symbols=(symbol,), interval="1m", conditions=conditions
        )
        body = {
            "plan": plan.model_dump(mode="json"),
            "source": STRATEGY,
            "ours": False,
            "path": str(self.folder / "turning.py"),
        }
        self.book.ask(f"{number:012x}", "start", body, self.now)


def wait(holds: Any, what: str) -> float:
    """Look until it holds; the moment at which it does."""
    deadline = time.perf_counter() + DEADLINE_S
    while not holds():
        if time.perf_counter() > deadline:
            sys.exit(f"not within {DEADLINE_S:.0f} s: {what}")
        # Who looks without a pause takes a core from what is looked at.
        time.sleep(0.0001)
    return time.perf_counter()


def figures(times: list[float]) -> dict[str, float]:
    """Milliseconds."""
    found = np.array(times) * 1000
    p50, p99 = np.percentile(found, [50, 99])
    return {"n": len(times), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2), "max_ms": round(float(found.max()), 2)}


def measure(runs: int, minutes: int, store: str | None) -> dict[str, Any]:
    """Both latencies."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = Desk(folder, store)
        rng = np.random.default_rng(1)
        prices = np.full(len(SYMBOLS), 100.0)
        desk.minute_over(prices)
        environ = {**os.environ, "POCKETQUANT_METRICS_PORT": "0"}
        if store:
            environ["POCKETQUANT_MONGODB_URI"] = store
        process = subprocess.Popen(
            [sys.executable, "-m", "dataflows.paper", "--data-dir", str(folder)], cwd=ROOT, env=environ
        )
        try:
            for number in range(runs):
                desk.start(number)

            # The clock goes on, as it does: what waits takes its place.
            def started() -> bool:
                desk.now += 1_000_000
                desk.bell.ring(desk.mark(MarkKind.CLOCK, ALL_STREAMS, desk.now))
                time.sleep(0.05)
                return len(desk.book.controls(waiting=True)) == 0

            wait(started, "all runs are started")
            bars: list[float] = []
            fills: list[float] = []
            for minute in range(minutes + 3):
                seq = desk.minute_over(prices)
                readable = time.perf_counter()
                desk.bell.ring(seq)
                done = wait(
                    lambda seq=seq: desk.book.position().closed_until and desk.book.position().seq >= seq, "decisions"
                )
                if minute >= 3:
                    bars.append(done - readable)
                prices = np.round(prices * np.exp(rng.normal(0, 0.001, len(prices))), 2)
                for place in range(len(SYMBOLS)):
                    seq = desk.tick(place, float(prices[place]))
                    journaled = time.perf_counter()
                    desk.bell.ring(seq)
                    done = wait(lambda seq=seq: desk.book.position().seq >= seq, "fills")
                    if minute >= 3:
                        fills.append(done - journaled)
                    time.sleep(0.01)
            decided, ordered = len(desk.book.rows("decisions")), len(desk.book.rows("orders"))
            filled = len(desk.book.rows("fills"))
            expected = runs * (minutes + 3)
            if (decided, ordered, filled) != (expected, expected, expected):
                sys.exit(f"{decided} decisions, {ordered} orders, {filled} fills instead of {expected} each")
        finally:
            process.terminate()
            process.wait(30)
            desk.writer.close()
            desk.book.close()
            desk.store.close()
    return {"runs": runs, "bar": figures(bars), "fill": figures(fills)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--store", help="MongoDB address; SQLite unless given")
    options = parser.parse_args()
    found = measure(options.runs, options.minutes, options.store)
    print(json.dumps({**machine(), "paper": found}))


if __name__ == "__main__":
    main()
