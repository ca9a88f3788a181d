"""What is asked of a provider, made plain once: a span, a count, and the venue's name for the instrument."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from market.intervals import Interval
from market.spelling import to_venue
from market.symbols import Symbol, SymbolError
from sources.history.provider import BadAnswer, NotOffered, Terms


@dataclass(frozen=True, slots=True)
class BarRequest:
    """Bars of one symbol with `start <= bar.start < end`, and of those the newest `count`."""

    symbol: Symbol
    interval: Interval
    start: int
    """ns; 0 where only a count was asked for."""
    end: int
    """ns, never after the present moment."""
    count: int | None
    """None for all in the span."""
    name: str = ""
    """The symbol as the venue spells it, where a venue was named; else its ticker."""

    @property
    def empty(self) -> bool:
        """Whether no bar can be in it."""
        return self.start >= self.end or self.count == 0


def bar_request(
    name: str,
    terms: Terms,
    now_ns: int,
    symbol: Symbol,
    interval: Interval,
    start: int | None,
    end: int | None,
    count: int | None,
    *,
    venue: str | None = None,
) -> BarRequest:
    """Read the arguments of `Provider.fetch`.

    Args:
        name: Of the provider, for texts.
        terms: What it has.
        now_ns: The clock.
        symbol: This and the next four are what `fetch` was given.
        interval: Of the bars.
        start: ns.
        end: ns.
        count: Of bars.
        venue: Whose spelling the symbol's name is wanted in (`market.spelling.to_venue`).

    Raises:
        NotOffered: The provider has no bars of that interval, or the symbol is none of its venue's.
    """
    assert start is not None or count is not None, "a request has a start or a count"
    if interval not in terms.intervals:
        msg = f"{name} has no {interval} bars; it has {' '.join(str(one) for one in sorted(terms.intervals))}"
        raise NotOffered(msg)
    until = now_ns if end is None else min(end, now_ns)
    return BarRequest(symbol, interval, start or 0, until, count, venue_name(symbol, venue) if venue else symbol.ticker)


class Progress:
    """Whether pages still bring a request on.

    An answer that does not, an empty one or one given before, is asked for again once: a venue's hiccup must not pass
    for the end of its history.
    """

    def __init__(self, name: str) -> None:
        """Begin."""
        self._name = name
        self._stalled = False

    def made(self) -> None:
        """The last page brought something new."""
        self._stalled = False

    def ends(self, *, empty: bool) -> bool:
        """The last page brought nothing new: whether that is the end, or the same is to be asked once more.

        Raises:
            BadAnswer: It gives what it gave before, twice over.
        """
        if self._stalled and not empty:
            msg = f"{self._name} gives the same page again and again; try later, or name another provider"
            raise BadAnswer(msg)
        stalled, self._stalled = self._stalled, True
        return stalled


def venue_name(symbol: Symbol, venue: str) -> str:
    """The symbol as the venue spells it.

    Raises:
        NotOffered: It is none of the venue's.
    """
    try:
        return to_venue(symbol, venue)
    except SymbolError as error:
        msg = f"{error}; name another provider"
        raise NotOffered(msg) from error


def moment_text(time_ns: int) -> str:
    """A moment as texts name it, and as APIs read it: ISO 8601 UTC, cut to the second.

    >>> moment_text(1_561_939_203_999_999_999)
    '2019-07-01T00:00:03Z'
    """
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_ns // 10**9):%Y-%m-%dT%H:%M:%SZ}"
