"""A journal, and the bars that the real dataflow makes of it: ticks and marks by hand or by chance, on a real disk."""

import threading
from datetime import timedelta

import numpy as np
from bytewax.testing import run_main

from dataflows.bars import build
from dataflows.bars.prelude import prelude
from dataflows.bars.progress import Progress
from dataflows.recovery import Recovery
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import ALL_STREAMS, ALWAYS, MARK, TICK, MarkKind
from sinks.bar_store import open_store
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sources.journal import JournalReader
from sources.journal_tail import InFlight, JournalTail

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
BEGIN = 1_699_999_200 * SECOND
"""14 November 2023, 22:00 UTC."""
GRACE = 2 * SECOND


class Journaled:
    """Journal, bar store, ledger and recovery of one folder."""

    def __init__(self, folder, store=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.journal = folder / "journal"
        self.where = store or folder / "bars.sqlite"
        self._recovery = folder / "recovery" / "bars"
        self._recovery.parent.mkdir(exist_ok=True)
        self.writer = JournalWriter(self.journal, lambda: BEGIN, checkpoint_s=60)
        self.ledger = Ledger(folder / "desk.sqlite")
        self.store = open_store(self.where)

    def stream(self, symbol, begin=BEGIN, feed="sim", extended=False):
        """A live stream that makes the bars of its symbol from here on."""
        found = self.writer.stream(feed, Symbol(*symbol.split(":")), FeedKind.TRADES, 0, extended=extended)
        self.mark(MarkKind.DESIGNATED, found.id, begin)
        self.mark(MarkKind.SUBSCRIBED, found.id, begin, ALWAYS, begin)
        return found.id

    def ticks(self, stream, *ticks, late=0.01):
        """One row: (received s since `BEGIN`, price, size), each stamped `late` seconds before."""
        rows = np.zeros(len(ticks), TICK)
        for place, (received, price, *size) in enumerate(ticks):
            time = BEGIN + round(received * SECOND)
            rows[place] = (time - round(late * SECOND), time, price, *(size or (1.0,)), -1, 1, stream, 0, 0)
        return self.append(rows)

    def append(self, rows):
        """One row of `TICK` records as they are."""
        return self.writer.append(RowKind.TICKS, 0, rows)

    def clock(self, seconds):
        """One row that says that so much time has passed since `BEGIN`."""
        return self.mark(MarkKind.CLOCK, ALL_STREAMS, BEGIN + round(seconds * SECOND))

    def mark(self, kind, stream, time, start=0, end=0):
        """One row of one mark."""
        rows = np.zeros(1, MARK)
        rows["time"], rows["kind"], rows["stream"], rows["start"], rows["end"] = time, kind, stream, start, end
        return self.writer.append(RowKind.MARKS, 0, rows)

    def make_bars(self, grace_ns=GRACE):
        """The bars of all that was journaled since."""
        in_flight, stop = InFlight(), threading.Event()
        source = JournalTail(self.journal, stop, in_flight=in_flight, until_end=True)
        flow = build(
            source, self.store, self.ledger, in_flight=in_flight, progress=Progress(), stop=stop,
            report=lambda *_: None, grace_ns=grace_ns, prelude=lambda: prelude(JournalReader(self.journal)),
        )  # fmt: skip
        with Recovery(self._recovery) as recovery:
            run_main(flow, epoch_interval=timedelta(seconds=10), recovery_config=recovery.config)

    def walk(self, streams, minutes, rng, first=0, late=0.02):
        """A walk of the prices of some streams: minutes with some ticks and quiet ones, some ticks late."""
        now = first * 60.0
        prices = dict.fromkeys(streams, 100.0)
        while now < (first + minutes) * 60:
            now += float(rng.uniform(0.05, 6))
            if rng.random() < 0.3:
                self.clock(now)
                continue
            count = int(rng.integers(1, 6))
            rows = np.zeros(count, TICK)
            received = BEGIN + ((now + np.sort(rng.uniform(0, 0.04, count))) * SECOND).astype(np.int64)
            behind = np.where(rng.random(count) < late, rng.uniform(1, 70, count), 0.02)
            rows["received_time"], rows["event_time"] = received, received - (behind * SECOND).astype(np.int64)
            rows["stream"] = rng.choice(streams, count)
            for place, stream in enumerate(rows["stream"].tolist()):
                prices[stream] = round(prices[stream] * float(np.exp(rng.normal(0, 0.001))), 2)
                rows["price"][place] = prices[stream]
            rows["size"], rows["trade_id"], rows["count"] = np.round(rng.exponential(2, count), 4) + 0.01, -1, 1
            self.append(rows)
            now += 0.05
        self.clock((first + minutes) * 60 + 3)

    def close(self):
        """Let go of everything."""
        self.writer.close()
        self.store.close()
        self.ledger.close()
