"""Ingest at work: feeds connected, the ledger's wishes followed, time told, everything in the journal.

All of it runs in one event loop, in one thread. What may have to wait for a disk or a server has threads of its own:
the ledger's clerk, the journal's checkpoints, the dataflow to the cache.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dataflows.ingest.alarms import Alarms
from dataflows.ingest.clerk import Clerk, Log
from dataflows.ingest.gap_notes import GapNotes
from dataflows.ingest.intake import Intake
from dataflows.ingest.mailbox import Mailbox
from dataflows.ingest.memory import Memory
from dataflows.ingest.price_watch import PriceWatch
from dataflows.ingest.received_clock import ReceivedClock
from dataflows.ingest.recorder import LIVE, Recorder
from dataflows.ingest.roster import Roster, roster
from market.errors import DeskError
from market.sessions import calendar_name
from market.streams import Stream
from market.symbols import Symbol, SymbolError
from operators.validate import Rules
from sinks.journal import JournalWriter
from sinks.ledger import Event, Ledger, PriceAlert
from sources.feed import Feed
from sources.lane import Timing
from sources.live_feed import LiveFeed

PULSE_S: Final = 0.05
"""How often held quotes, gaps and the clock mark are looked after."""
LEDGER_S: Final = 0.2
"""How often the ledger is asked whether anything changed."""
SAVE_S: Final = 5.0
"""How often the memory is written down."""


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What the user has set."""

    quotes_per_second: float = 4.0
    clock_skew_s: float = 1.0
    feed_stale_s: float = 30.0
    negative: frozenset[Symbol] = frozenset()
    """Symbols whose price may be zero or below."""
    extended: frozenset[Symbol] = frozenset()
    """Symbols whose ticks outside the regular session enter bars."""
    designated: Mapping[Symbol, str] = field(default_factory=dict)
    """Feed that makes a symbol's bars, where two carry it."""


class Ingest:
    """The running process, but for its command line, its status file and its metrics."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        *,
        journal: JournalWriter,
        memory: Memory,
        memory_path: Path,
        ledger: Ledger,
        clerk: Clerk,
        alarms: Alarms,
        clock: ReceivedClock,
        mailbox: Mailbox,
        ring: Callable[[int], object],
        log: Log,
        rulebook: Rulebook,
        random: Callable[[], float],
        now_s: Callable[[], float],
        timing: Timing | None = None,
    ) -> None:
        """Put it together; `run` works it.

        Args:
            feeds: To be run, the preferred ones first.
            journal: Open for writing; closed by its owner, as all that follows.
            memory: As of the journal's last row.
            memory_path: Where it is written down.
            ledger: A connection for reading, of its own.
            clerk: Writes into the ledger.
            alarms: Raised for what the user should know.
            clock: Of `received_time`.
            mailbox: Gets what has been journaled.
            ring: Wakes the journal's readers.
            log: Everything else.
            rulebook: What the user has set.
            random: Draws from [0, 1), for the backoff's jitter.
            now_s: Seconds, monotone.
            timing: The connections' own times.
        """
        self.journal = journal
        self.clock = clock
        self.clerk = clerk
        self.alarms = alarms
        self.mailbox = mailbox
        self.recorder = Recorder(journal, ring, clock, mailbox)
        self.gap_notes = GapNotes(self.recorder, clerk, log, lambda: self._streams)
        self.live: dict[str, LiveFeed] = {}
        self.intakes: dict[str, Intake] = {}
        self.shown: dict[int, Stream] = {}
        """Streams whose quotes are shown, by id: those that make bars."""
        self.roster = Roster({}, {}, [])
        self.rulebook = rulebook
        self.failure: BaseException | None = None
        self._memory = memory
        self._memory_path = memory_path
        self._ledger = ledger
        self._log = log
        self._stopped = asyncio.Event()
        self._streams = journal.streams
        self._prices = PriceWatch(self._fire)
        self._told: set[Symbol] = set()
        for feed in feeds:
            intake = Intake(
                feed.name,
                feed.kind,
                contiguous_ids=feed.contiguous_ids,
                recorder=self.recorder,
                clock=clock,
                dedupe=memory.dedupe,
                gaps=memory.gaps,
                outages=memory.outages,
                gap_notes=self.gap_notes,
                streams=lambda: self._streams,
                clerk=clerk,
                alarms=alarms,
                prices=self._prices,
                log=log,
                fail=self.fail,
                quotes_per_second=rulebook.quotes_per_second,
                skew_alarm_s=rulebook.clock_skew_s,
            )
            self.intakes[feed.name] = intake
            self.live[feed.name] = LiveFeed(feed, intake, random=random, now_s=now_s, timing=timing)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """All streams of the journal, by id."""
        return self._streams

    def shown_stream(self, place: int) -> Stream | None:
        """The stream of this id if its quotes are shown for its symbol; for any thread."""
        return self.shown.get(place)

    def stop(self) -> None:
        """End `run` soon."""
        self._stopped.set()

    def fail(self, error: BaseException) -> None:
        """End `run` with this error: nothing may be received that cannot be written down."""
        if self.failure is None:
            self.failure = error
        self._stopped.set()

    async def run(self, report: Callable[[], Awaitable[None] | None] = lambda: None, *, report_s: float = 1.0) -> None:
        """Work until `stop`.

        Args:
            report: Called now and then, to say how things are.
            report_s: How often, seconds.

        Raises:
            DeskError: The journal or the ledger cannot be written or read.
        """
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        self._resume()
        self._follow()
        works: list[tuple[float, Callable[[], object]]] = [
            (PULSE_S, self._pulse),
            (LEDGER_S, self._look_at_ledger),
            (SAVE_S, self._save),
            (report_s, report),
        ]
        tasks = [asyncio.ensure_future(self._every(seconds, work)) for seconds, work in works]
        try:
            first = report()
            if first is not None:
                await first
            await self._stopped.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*(live.stop() for live in self.live.values()), return_exceptions=True)
        if self.failure is None:
            self._pulse()
            self._save()
        if self.failure is not None:
            raise self.failure

    async def _every(self, seconds: float, work: Callable[[], object]) -> None:
        while not self._stopped.is_set():
            await asyncio.sleep(seconds)
            try:
                result = work()
                if isinstance(result, Awaitable):
                    await result
            except Exception as error:  # noqa: BLE001  # Whatever it is, the process must not go on half alive.
                self.fail(error)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            self.fail(error)
        else:
            loop.default_exception_handler(context)

    def _resume(self) -> None:
        """Say what the journal could not know: that this process was away since its last row."""
        outages, clock = self._memory.outages, self.clock
        since = clock.last
        if since:
            change = outages.down(outages.flowing(), since, clock())
            self.gap_notes.outages(change, "away", clock.last)
            self.gap_notes.lasting(outages.lacking(), clock.last)
        if self._memory.unreported:
            self.gap_notes.lost_trades(list(self._memory.unreported), clock())
            self._memory.unreported.clear()

    def _pulse(self) -> None:
        for intake in self.intakes.values():
            intake.look()
        gaps = self._memory.gaps
        if gaps.waiting:
            due = gaps.due(self.clock())
            if due:
                self.gap_notes.lost_trades(due, self.clock.last)
        self.recorder.tell_time()

    def _save(self) -> None:
        if self.recorder.last_seq:
            self._memory.save(self._memory_path, self.recorder.last_seq)

    def _look_at_ledger(self) -> None:
        if self._ledger.changed():
            self._follow()

    def _follow(self) -> None:
        """Bring subscriptions, designations and price alerts to what the ledger says now."""
        kinds = {name: live.feed.kind for name, live in self.live.items()}
        subscriptions = self._ledger.subscriptions()
        wanted = roster(subscriptions, kinds, self.rulebook.designated)
        # One that was dropped and is asked for again is told of again.
        self._told.intersection_update(subscription.symbol for subscription in subscriptions)
        for symbol in wanted.unserved:
            self._tell_once(symbol, "unserved", f"{symbol} is subscribed, but no running feed serves it")
        for name, live in self.live.items():
            self._follow_feed(name, live, wanted)
        self.roster = wanted
        self._designate(wanted)
        self._follow_prices()

    def _follow_feed(self, name: str, live: LiveFeed, wanted: Roster) -> None:
        now_held = live.symbols
        symbols = set(wanted.symbols[name])
        gone = [symbol for symbol in now_held if symbol not in symbols]
        added = [symbol for symbol in wanted.symbols[name] if symbol not in now_held and self._servable(name, symbol)]
        intake = self.intakes[name]
        now = self.clock()
        if gone:
            live.unsubscribe(gone)
            places = [now_held[symbol] for symbol in gone]
            intake.forget(places)
            intake.carry_out(self._memory.outages.drop(places, now, now), "dropped")
        # Dropped while this process was away.
        held = {stream.id for stream in self._streams if stream.feed == name and stream.symbol in symbols}
        lost = [
            place
            for place in self._memory.outages.subscribed()
            if self._streams[place].feed == name and place not in held
        ]
        if lost:
            intake.carry_out(self._memory.outages.drop(lost, now, now), "dropped")
        if added:
            kind = live.feed.kind
            streams = {
                symbol: self.journal.stream(name, symbol, kind, LIVE, extended=symbol in self.rulebook.extended).id
                for symbol in added
            }
            self._streams = self.journal.streams
            self._renew_rules()
            live.subscribe(streams)
            self._log.info("subscribed", feed=name, symbols=[str(symbol) for symbol in added[:50]], count=len(added))

    def _servable(self, name: str, symbol: Symbol) -> bool:
        """Whether a feed can carry a symbol and bars of it can be made; told once if not."""
        try:
            # What it would send is not sent here: a feed refuses what it cannot carry, contracts of unknown size say.
            self.live[name].feed.subscribe([symbol])
            calendar_name(symbol, extended=symbol in self.rulebook.extended)
        except (SymbolError, DeskError) as error:
            self._tell_once(symbol, "subscription_refused", str(error))
            return False
        return True

    def _tell_once(self, symbol: Symbol, alarm: str, text: str) -> None:
        if symbol not in self._told:
            self._told.add(symbol)
            self.alarms.sound(alarm, text, symbol=str(symbol))

    def _designate(self, wanted: Roster) -> None:
        """Say which stream makes the bars of each symbol, where that is not what was last said."""
        outages = self._memory.outages
        by_symbol = self._live_streams()
        shown: dict[int, Stream] = {}
        marks = []
        for name, live in self.live.items():
            for symbol, place in live.symbols.items():
                if wanted.designated.get(symbol) == name:
                    others = [other for other in by_symbol[symbol] if other != place]
                    marks += outages.designate(place, others, self.clock()).marks
                    shown[place] = self._streams[place]
        self.recorder.marks(marks)
        self.shown = shown

    def _live_streams(self) -> dict[Symbol, list[int]]:
        found: dict[Symbol, list[int]] = {}
        for stream in self._streams:
            if stream.domain == LIVE:
                found.setdefault(stream.symbol, []).append(stream.id)
        return found

    def _renew_rules(self) -> None:
        """Let every feed know the streams that there are now."""
        negative = frozenset(stream.id for stream in self._streams if stream.symbol in self.rulebook.negative)
        for intake in self.intakes.values():
            intake.rules = Rules(len(self._streams), intake.rules.conflated, negative)

    def _follow_prices(self) -> None:
        alerts = self._ledger.price_alerts(armed=True)
        if alerts or self._prices.watching:
            shown: dict[Symbol, list[int]] = {}
            for place, stream in self.shown.items():
                shown.setdefault(stream.symbol, []).append(place)
            self._prices.set(alerts, shown)

    def _fire(self, alert: PriceAlert, price: float, at: int) -> None:
        """A price alert's price has come: told once, whoever else has seen it."""
        text = f"{alert.symbol} traded at {price!r}, which is at or {alert.side} {alert.price!r}"
        event = Event(at, "warning", "price_alert", "ingest", text, None, str(alert.symbol))

        def write(ledger: Ledger) -> None:
            if ledger.fire_price_alert(alert.id, event):
                self.alarms.tell("price_alert", alert.id, text)

        self.clerk.do(write)
