"""The intake of one feed: what its connections bring is judged, told once, checked for gaps, and recorded."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from dataflows.ingest.alarms import Alarms
from dataflows.ingest.clerk import Clerk, Log
from dataflows.ingest.gap_notes import GapNotes
from dataflows.ingest.outages import Change, Outages
from dataflows.ingest.price_watch import PriceWatch
from dataflows.ingest.received_clock import ReceivedClock
from dataflows.ingest.recorder import Recorder
from market.spelling import from_venue
from market.streams import FeedKind, Stream
from market.symbols import SymbolError, parse_symbol
from market.ticks import QUOTE, TICK
from operators.clock_skew import ClockSkew
from operators.dedupe import Dedupe
from operators.quotes import Conflation
from operators.trade_gaps import TradeGaps
from operators.validate import QuoteRow, Reason, Reject, Rules, TickRow, check_quotes, check_rows
from sinks.ledger import Reject as LedgerReject

DETAIL_MAX: Final = 2000
"""Characters of a reject's frame that are kept."""
SAMPLES_KEPT: Final = 1024
"""Latencies kept for the next report: one a burst."""

_TICK_FIELDS: Final = len(TICK.names or ())
_UNTOLD: Final = frozenset({"stream", "pad"})
"""Fields of a refused record that mean nothing to a user."""

_WARNINGS: Final = {
    "connect_failed": "connect_failed",
    "disconnected": "feed_down",
    "feed_stale": "feed_stale",
    "symbol_mute": "symbol_mute",
    "renewal_failed": "renewal_failed",
    "refused": "subscription_refused",
    "maintenance": "maintenance",
    "error": "venue_error",
    "delayed": "feed_delayed",
}
"""Alarm by a connection's note; other notes are only logged."""

_OF_A_SYMBOL: Final = frozenset({"symbol_mute", "refused"})
"""Alarms about one symbol, with which the text begins, as a rule; the others are about the feed, and told once."""


class Intake:
    """Receives one feed (`sources.lane.Receiver`). Never raises: what stops the desk is handed to `fail`."""

    def __init__(
        self,
        feed: str,
        kind: FeedKind,
        *,
        contiguous_ids: bool,
        recorder: Recorder,
        clock: ReceivedClock,
        dedupe: Dedupe,
        gaps: TradeGaps,
        outages: Outages,
        gap_notes: GapNotes,
        streams: Callable[[], Sequence[Stream]],
        clerk: Clerk,
        alarms: Alarms,
        prices: PriceWatch,
        log: Log,
        fail: Callable[[BaseException], None],
        quotes_per_second: float,
        skew_alarm_s: float,
    ) -> None:
        """Begin; the arguments are shared by all feeds, but for those that name this one.

        Args:
            feed: Its name.
            kind: Whether it tells each trade.
            contiguous_ids: Whether a jump in its trade ids is a loss.
            recorder: Journals.
            clock: Of `received_time`.
            dedupe: Memory of trade ids.
            gaps: Watches trade ids.
            outages: Where streams stand.
            gap_notes: Told of outages.
            streams: All streams by id, now.
            clerk: Writes into the ledger.
            alarms: Raised for what the user should know.
            prices: Users' price alerts.
            log: The rest.
            fail: Ends the desk.
            quotes_per_second: Journaled, a symbol.
            skew_alarm_s: Beyond it the feed's clock is an alarm.
        """
        self.feed = feed
        self.kind_name = kind.name.lower()
        self.ticks = 0
        self.quotes = 0
        self.frames_refused = 0
        self.duplicates = 0
        self.rejects: Counter[str] = Counter()
        self.latencies_ns: list[int] = []
        self.skew = ClockSkew(int(skew_alarm_s * 1e9))
        self._kind = kind
        self._contiguous = contiguous_ids
        self._recorder = recorder
        self._clock = clock
        self._dedupe = dedupe
        self._gaps = gaps
        self._outages = outages
        self._gap_notes = gap_notes
        self._streams = streams
        self._clerk = clerk
        self._alarms = alarms
        self._prices = prices
        self._log = log
        self._fail = fail
        self._refused: set[int] = set()
        """Streams that the venue refused on this connection, and of which nothing has come."""
        self._conflation = Conflation(quotes_per_second)
        self.rules = Rules(0, kind is FeedKind.CONFLATED)

    def received_ns(self) -> int:
        """See `Receiver`."""
        return self._clock()

    def burst(self, ticks: list[TickRow], quotes: list[QuoteRow]) -> None:
        """See `Receiver`."""
        try:
            if ticks:
                self._take_ticks(ticks)
            if quotes:
                self._take_quotes(quotes)
        except Exception as error:  # noqa: BLE001  # Nothing may be received that is not written down.
            self._fail(error)

    def down(self, streams: Sequence[int], since: int, reason: str) -> None:
        """See `Receiver`."""
        now = self._clock()
        # The next connection asks for all of them again.
        self._refused.difference_update(streams)
        self.carry_out(self._outages.down(streams, min(since, now), now), "down")
        # The first ticks after an outage are a snapshot of old ones.
        self.skew.reset()
        self._log.warning("down", feed=self.feed, reason=reason, streams=len(streams))

    def up(self, streams: Sequence[int]) -> None:
        """See `Receiver`. What the venue refused flows only once a tick of it shows that it does."""
        if self._refused:
            streams = [stream for stream in streams if stream not in self._refused]
        self.carry_out(self._outages.up(streams, self._clock()), "down")

    def reject(self, reason: str, detail: str, frame: str) -> None:
        """See `Receiver`."""
        self.frames_refused += 1
        self._note_reject(reason, f"{detail}; frame {frame}", None)

    def note(self, event: str, detail: str) -> None:
        """See `Receiver`."""
        alarm = _WARNINGS.get(event)
        if alarm is None:
            self._log.debug(event, feed=self.feed, text=detail)
        else:
            stream = self._named(detail.partition(" ")[0]) if event in _OF_A_SYMBOL else None
            if event == "refused" and stream is not None:
                self._refused.add(stream.id)
            symbol = None if stream is None else str(stream.symbol)
            self._alarms.sound(alarm, f"{self.feed}: {detail}", feed=self.feed, symbol=symbol)

    def exists(self, stream: int, trade_id: int) -> None:
        """See `Receiver`."""
        if self._contiguous:
            self._gaps.exists(stream, trade_id, self._clock())

    def look(self) -> None:
        """Record what waited for its time: quotes that were held back."""
        if self._conflation.holding:
            rows = self._conflation.due(self._clock.last)
            if rows:
                self._record_quotes(rows)

    def forget(self, streams: Sequence[int]) -> None:
        """Streams are not subscribed any more."""
        self._refused.difference_update(streams)
        for stream in streams:
            self._conflation.forget(stream)

    def carry_out(self, change: Change, reason: str) -> None:
        """Journal what a step of the outages leads to, and have it written into the ledger."""
        try:
            self._gap_notes.outages(change, reason, self._clock.last)
        except Exception as error:  # noqa: BLE001  # As in `burst`.
            self._fail(error)

    def _take_ticks(self, ticks: list[TickRow]) -> None:
        accepted, refused = check_rows(ticks, self.rules)
        if refused:
            self._refuse(ticks, refused)
        rows, dropped, restarted = self._dedupe.update(accepted, by_count=True)
        self.duplicates += dropped
        if not rows:
            return
        if self._refused and (shown := self._refused.intersection(row[6] for row in rows)):
            self._refused -= shown
            self.up(sorted(shown))
        if self._contiguous:
            self._gaps.update(rows, by_count=True)
        self._recorder.ticks(rows)
        self.ticks += len(rows)
        newest = rows[-1]
        self.skew.add(newest[0], newest[1])
        if len(self.latencies_ns) < SAMPLES_KEPT:
            self.latencies_ns.append(self._clock() - newest[0])
        if self._prices.watching:
            self._prices.look(rows)
        for stream in restarted:
            self._log.warning("trade ids begin anew", feed=self.feed, symbol=str(self._streams()[stream].symbol))

    def _take_quotes(self, quotes: list[QuoteRow]) -> None:
        accepted, refused = check_quotes(quotes, self.rules)
        if refused:
            self._refuse(quotes, refused)
        rows = self._conflation.offer(accepted, self._clock.last)
        if rows:
            self._record_quotes(rows)

    def _record_quotes(self, rows: list[QuoteRow]) -> None:
        self._recorder.quotes(rows)
        self.quotes += len(rows)

    def _named(self, text: str) -> Stream | None:
        """The stream whose symbol the venue or the connection loop names; None where this feed has none of it."""
        for read in (parse_symbol, lambda name: from_venue(name, self.feed)):
            with suppress(SymbolError):
                symbol = read(text)
                for stream in self._streams():
                    if stream.feed == self.feed and stream.symbol == symbol:
                        return stream
        return None

    def _refuse(self, rows: Sequence[TickRow | QuoteRow], refused: Sequence[Reject]) -> None:
        for index, reason in refused:
            row = rows[index]
            is_tick = len(row) == _TICK_FIELDS
            place = int(row[6] if is_tick else row[7])
            stream = self._streams()[place] if 0 <= place < len(self._streams()) else None
            if reason is Reason.EVENT_TIME_IN_FUTURE:
                # Where the clock is so wrong that nothing passes, the alarm says why.
                self.skew.add(row[0], row[1])
            names = (TICK if is_tick else QUOTE).names or ()
            values = zip(names, row, strict=True)
            told = ", ".join(f"{name} {value!r}" for name, value in values if name not in _UNTOLD)
            self._note_reject(str(reason), f"{'tick' if is_tick else 'quote'}: {told}", stream)

    def _note_reject(self, reason: str, detail: str, stream: Stream | None) -> None:
        self.rejects[reason] += 1
        symbol = stream.symbol if stream is not None else None
        self._clerk.reject(LedgerReject(self.feed, reason, detail[:DETAIL_MAX], self._clock.last, symbol))
