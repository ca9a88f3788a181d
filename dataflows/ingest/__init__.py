"""Ingest: the only process that talks to venues.

The network's thread writes each tick, quote and mark into the journal and only then puts it into the mailbox. The
dataflow here takes it from there: the latest of each symbol, thinned out, into the cache. It may be slow, stop or fail,
and the journal goes on.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import Source
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import Sink

from dataflows.ingest.mailbox import Changes
from market.intervals import MINUTE_NS
from market.sessions import Calendar
from market.streams import FeedKind, Stream
from market.ticks import SessionState, TickFlag
from operators.quotes import Latest, with_quote, with_tick
from sinks.redis_quotes import LatestQuote


def build(
    source: Source[Changes],
    sink: Sink[tuple[str, Sequence[LatestQuote]]],
    stream: Callable[[int], Stream | None],
    calendar: Callable[[Stream], Calendar],
) -> Dataflow:
    """The dataflow from changes to quotes.

    Args:
        source: Changes, as they come from the mailbox.
        sink: Takes one batch of quotes for each of them.
        stream: The stream of an id if it is the one that is shown for its symbol, else None.
        calendar: A stream's sessions, for feeds that do not say whether the market is open.
    """
    flow = Dataflow("ingest")
    changes = op.input("mailbox", flow, source)
    keyed = op.key_on("one", changes, lambda _: "quotes")
    quotes = op.stateful_batch("coalesce", keyed, lambda _: Coalesce(stream, calendar))
    op.output("cache", quotes, sink)
    return flow


class Coalesce(StatefulBatchLogic[Changes, Sequence[LatestQuote], None]):
    """Merges ticks and quotes into what is known of each symbol, and emits what changed, each symbol once.

    State: one record per stream. It is not kept over restarts: what was known then is out of date.
    """

    def __init__(self, stream: Callable[[int], Stream | None], calendar: Callable[[Stream], Calendar]) -> None:
        """Begin with nothing known; the arguments are those of `build`."""
        self._stream = stream
        self._calendar = calendar
        self._latest: dict[int, Latest] = {}
        self._delayed: set[int] = set()

    def on_batch(self, values: list[Changes]) -> tuple[Iterable[Sequence[LatestQuote]], bool]:
        """One list of quotes for each item, so that the sink can count them; the first holds them all."""
        changed: dict[int, None] = {}
        for ticks, quotes in values:
            for tick in ticks:
                self._latest[tick[6]] = with_tick(self._latest.get(tick[6]), tick)
                changed[tick[6]] = None
                self._mark(tick[6], tick[8])
            for quote in quotes:
                self._latest[quote[7]] = with_quote(self._latest.get(quote[7]), quote)
                changed[quote[7]] = None
                self._mark(quote[7], quote[9])
        shown = [shown for place in changed if (shown := self._shown(place)) is not None]
        return [shown, *([] for _ in values[1:])], StatefulBatchLogic.RETAIN

    def snapshot(self) -> Any:
        """Nothing: see the class."""
        return None

    def _mark(self, place: int, flags: int) -> None:
        if flags & TickFlag.DELAYED:
            self._delayed.add(place)
        elif self._delayed:
            self._delayed.discard(place)

    def _shown(self, place: int) -> LatestQuote | None:
        stream = self._stream(place)
        if stream is None:
            return None
        latest = self._latest[place]
        session = latest.session
        if session == SessionState.UNKNOWN:
            is_open = self._calendar(stream).session_at(latest.received_time // MINUTE_NS) is not None
            session = SessionState.OPEN if is_open else SessionState.CLOSED
        return LatestQuote(
            str(stream.symbol),
            latest.event_time,
            latest.received_time,
            latest.last,
            latest.bid,
            latest.ask,
            latest.bid_size,
            latest.ask_size,
            stream.feed,
            FeedKind(stream.kind).name.lower(),
            SessionState(session).name.lower(),
            place in self._delayed,
        )
