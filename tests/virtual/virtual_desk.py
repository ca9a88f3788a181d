"""A desk and the simulated exchange in virtual time: real sockets, journal, ledger, store, bars flow and healer."""

import asyncio
import random
import threading
from contextlib import ExitStack
from datetime import timedelta

import numpy as np

from dataflows.bars.progress import Progress
from dataflows.bars.running import Bench, make_bars
from dataflows.ingest import service
from dataflows.ingest.alarms import Alarms
from dataflows.ingest.clerk import Clerk
from dataflows.ingest.mailbox import Mailbox
from dataflows.ingest.memory import recall
from dataflows.ingest.received_clock import ReceivedClock
from dataflows.ingest.service import Ingest, Rulebook
from dataflows.recovery import Recovery
from flows.gap_bell import LOOK_S, GapBell
from history.desk import HistoryDesk
from history.heal import heal
from infra.settings import load_settings
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sources.journal import JournalReader
from sources.simulated import server as simulated_server
from sources.simulated.__main__ import build
from sources.simulated.clock import VirtualClock
from sources.simulated.exchange import Rules
from sources.simulated.history import History
from sources.simulated.listing import list_instruments, read_symbols
from sources.simulated.server import SimulatedServer
from sources.simulated.truth import TruthLog
from sources.venues import SIM_LIMITS, make_feed

GRACE_NS = 2 * 10**9


class Log:
    """Takes every line and keeps none."""

    def _line(self, event, **_):
        pass

    debug = info = warning = error = exception = _line


class Venue:
    """The simulated exchange, in the test's own process and time."""

    def __init__(self, clock, *, rate, symbols="5", seed=7):
        names = read_symbols(symbols)
        instruments = list_instruments(names, seed=seed, rate=rate)
        self.symbols = [instrument.symbol for instrument in instruments]
        self.truth = TruthLog(None, names)
        own = VirtualClock(clock.start_ns, 1.0, clock.since_start_ns)
        history = History(instruments, self.truth, seed, self.truth.began(own.now_ns()))
        rules = Rules(tickers_per_s=0.0, quotes_per_s=0.0)
        self.exchange = build(
            instruments,
            self.truth,
            own,
            history,
            seed=seed,
            burst=0.3,
            rules=rules,
            faults=[],
            log=lambda *_, **__: None,
        )
        self.server = SimulatedServer(self.exchange, history)
        self.made = {}

    def command(self, **fault):
        """As `POST /control`."""
        self.exchange.command(fault)
        self.server.wake()

    def served(self):
        """Requests for history that were answered."""
        return self.server.api._history.served.counts["requests"]

    def keep(self):
        """Every trade of each symbol, in the order made; the exchange forgets them when it is closed."""
        for symbol in self.symbols:
            self.made[symbol] = self.truth.ticks(self.truth.index[str(symbol)], 0, 10**9).copy()


class VirtualDesk:
    """What `pq up` runs and what heals, on one data folder."""

    def __init__(self, clock, venue, folder):
        self.clock = clock
        self.venue = venue
        self.settings = load_settings(folder, environ={}, simulated={"url": venue.server.url})
        self.folders = self.settings.folders.create()
        self.history = HistoryDesk(self.settings, now_ns=clock.now_ns, sleep=self._sleep)
        self.progress = Progress()
        self.told = asyncio.Event()
        """Set when gaps are over that are to be healed at once."""
        self._loop = None
        self._open = None
        self._task = None
        self._healing = asyncio.Lock()

    def _sleep(self, seconds):
        self.clock.sleep_in_thread(self._loop, seconds)

    # Ingest

    async def start(self):
        """Start ingest, as after a stop or a kill."""
        self._loop = asyncio.get_running_loop()
        self._open = ExitStack()
        enter = self._open.enter_context
        ledger = enter(Ledger(self.folders.desk))
        now = self.clock.now_ns
        for symbol in self.venue.symbols:
            ledger.subscribe(symbol, "sim", now())
        journal = enter(JournalWriter(self.folders.journal, now))
        received = ReceivedClock(now, journal.last_clock(0) or 0)
        memory_path = self.folders.recovery / "ingest.memory"
        with JournalReader(self.folders.journal) as reader:
            ids = frozenset(stream.id for stream in journal.streams)
            memory = recall(memory_path, reader, journal.streams, journal.last_seq, ids)
        clerk = Clerk(enter(Ledger(self.folders.desk)), Log())
        self._open.callback(clerk.close, 30)
        self.clock.busy = lambda: len(clerk) > 0
        self.ingest = Ingest(
            [make_feed("sim", urls=[f"{self.venue.server.url}/kraken"], limits=SIM_LIMITS)],
            journal=journal,
            memory=memory,
            memory_path=memory_path,
            ledger=ledger,
            clerk=clerk,
            alarms=Alarms(clerk, Log(), now),
            clock=received,
            mailbox=Mailbox(),
            ring=lambda seq: None,
            log=Log(),
            rulebook=Rulebook(),
            random=random.Random(1).random,
            now_s=self.clock.seconds,
        )
        self._task = asyncio.ensure_future(self.ingest.run())

    async def stop(self):
        """Stop ingest."""
        self.ingest.stop()
        await self._task
        self.clock.busy = lambda: False
        self._open.close()

    async def watch(self):
        """Look for gaps that are over, as the process does that tells Prefect of them."""

        async def post(_):
            self.told.set()

        with Ledger(self.folders.desk) as ledger:
            bell = GapBell(ledger, post, self.clock.seconds, self.clock.now_ns)
            while True:
                await bell.look()
                await asyncio.sleep(LOOK_S)

    # Bars and healing

    def make_bars(self):
        """What the bars dataflow makes of all that was journaled since."""
        with Recovery(self.folders.recovery_bars) as recovery, Ledger(self.folders.desk) as ledger:
            bench = Bench(
                self.folders.journal, recovery, self.history.store, ledger, self.progress,
                lambda *_: None, GRACE_NS,
            )  # fmt: skip
            make_bars(bench, threading.Event(), until_end=True, epoch=timedelta(seconds=10))

    async def heal(self, **options):
        """One run of the healer, in a thread; one at a time."""

        def work():
            with self.clock.work():
                return heal(self.history, **options)

        async with self._healing:
            return await asyncio.to_thread(work)

    def ticks(self, symbol):
        """Trade ids of a symbol that were journaled."""
        found = set()
        with JournalReader(self.folders.journal) as reader:
            streams = [stream.id for stream in reader.streams() if stream.symbol == symbol]
            for row in reader.read_all():
                if row.kind == 1:
                    records = row.records
                    found.update(records["trade_id"][np.isin(records["stream"], streams)].tolist())
        return found

    def close(self):
        """Let go of the store and the books."""
        self.history.close()


def slow_down(monkeypatch):
    """Fewer looks a second, where time is counted in looks."""
    monkeypatch.setattr(service, "PULSE_S", 0.5)
    monkeypatch.setattr(service, "LEDGER_S", 5.0)
    monkeypatch.setattr(service, "SAVE_S", 300.0)
    monkeypatch.setattr(simulated_server, "IDLE_S", 0.5)
