"""Quotes thinned out: a few a second per symbol into the journal, and only the newest of each symbol into the cache."""

from collections.abc import Iterable
from math import nan
from typing import Final, NamedTuple

from operators.validate import QuoteRow, TickRow

PER_SECOND: Final = 4.0
"""Quotes of one symbol that are kept, a second."""
_STUCK_NS: Final = 2_000_000_000
"""A price with an older stamp than the last one's is taken all the same when it came this much later."""


class Conflation:
    """Lets the newest quote of each stream pass, so many times a second, the first one of a quiet stream at once.

    State: one quote and one time per stream.
    """

    def __init__(self, per_second: float = PER_SECOND) -> None:
        """Begin with no stream known.

        Args:
            per_second: At most so many quotes of a stream pass in a second, > 0.
        """
        self._spacing_ns = int(1e9 / per_second)
        self._next: dict[int, int] = {}
        self._held: dict[int, QuoteRow] = {}

    @property
    def holding(self) -> bool:
        """Whether quotes wait for their turn."""
        return bool(self._held)

    def offer(self, rows: Iterable[QuoteRow], now: int) -> list[QuoteRow]:
        """Take quotes in arrival order; return those to keep now, one per stream at most.

        Args:
            rows: Not changed.
            now: ns, by the clock of received_time.
        """
        newest = {row[7]: row for row in rows}
        out: list[QuoteRow] = []
        for stream, row in newest.items():
            if now >= self._next.get(stream, now):
                self._next[stream] = now + self._spacing_ns
                self._held.pop(stream, None)
                out.append(row)
            else:
                self._held[stream] = row
        return out

    def due(self, now: int) -> list[QuoteRow]:
        """The held quotes whose turn has come."""
        ready = [stream for stream in self._held if now >= self._next[stream]]
        for stream in ready:
            self._next[stream] = now + self._spacing_ns
        return [self._held.pop(stream) for stream in ready]

    def forget(self, stream: int) -> None:
        """Drop what is held of a stream that is no longer wanted."""
        self._held.pop(stream, None)
        self._next.pop(stream, None)


class Latest(NamedTuple):
    """What is known of one stream at this moment; prices and sizes are NaN until known."""

    stream: int
    event_time: int
    """ns, of the tick or quote that is the newest."""
    received_time: int
    """ns."""
    last: float
    bid: float
    ask: float
    bid_size: float
    ask_size: float
    session: int
    """`SessionState`; 0 where the feed does not say."""


def newest_ticks(into: dict[int, TickRow], rows: Iterable[TickRow]) -> None:
    """Keep in `into` the tick of each stream with the newest stamp, later arrivals first among equals.

    A stream that jumped ahead for a moment must not stick: a tick that came two seconds later replaces it in any case.
    """
    for row in rows:
        held = into.get(row[6])
        if held is None or row[0] >= held[0] or row[1] - held[1] > _STUCK_NS:
            into[row[6]] = row


def with_tick(latest: Latest | None, row: TickRow) -> Latest:
    """What is known after a trade: a new last price, the rest as before."""
    if latest is None:
        return Latest(row[6], row[0], row[1], row[2], nan, nan, nan, nan, 0)
    return latest._replace(
        event_time=max(latest.event_time, row[0]), received_time=max(latest.received_time, row[1]), last=row[2]
    )


def with_quote(latest: Latest | None, row: QuoteRow) -> Latest:
    """What is known after a quote: what it leaves open (NaN) stays as before.

    A quote that was held back while a later trade passed does not take the last price back.
    """
    event_time, received_time, last, bid, ask, bid_size, ask_size, stream, session, _, _ = row
    if latest is None:
        return Latest(stream, event_time, received_time, last, bid, ask, bid_size, ask_size, session)
    return Latest(
        stream,
        max(latest.event_time, event_time),
        max(latest.received_time, received_time),
        _either(last, latest.last) if received_time >= latest.received_time else _either(latest.last, last),
        _either(bid, latest.bid),
        _either(ask, latest.ask),
        _either(bid_size, latest.bid_size),
        _either(ask_size, latest.ask_size),
        session or latest.session,
    )


def _either(first: float, second: float) -> float:
    """The first unless it is NaN."""
    return first if first == first else second  # noqa: PLR0124  # NaN alone differs from itself.
