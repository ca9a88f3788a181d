"""What paper runs came to in a span of time: trades, P&L, how often they won, and how deep they fell."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

Every = Literal["day", "week", "month"]

DAY_NS: Final = 86_400 * 10**9
RECENT_NS: Final = 30 * DAY_NS
"""Of the win rate that goes back from the end of a span."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Closed(NamedTuple):
    """A trade that is over."""

    exit_time: int
    """ns."""
    pnl: float
    """Account currency, after fees."""
    fees: float


class Mark(NamedTuple):
    """The equity of an account at a moment."""

    time: int
    """ns."""
    equity: float
    """Account currency."""


class Figures(NamedTuple):
    """One span; money in the account's currency, None where there is nothing to divide by."""

    begin: int
    """ns."""
    end: int
    """ns; of a span that lasts the moment up to which is known."""
    trades: int
    """That ended in it."""
    pnl: float
    """Their sum, after fees."""
    fees: float
    win_rate: float | None
    """Share of them with a P&L above 0."""
    win_rate_30d: float | None
    """The same of those that ended in the 30 days up to the end of the span."""
    expectancy: float | None
    """Mean P&L of a trade."""
    equity: float | None
    """At its end; None, as what follows, where the marks of that time are kept no longer."""
    change: float | None
    """Of the equity over it, open positions included."""
    total_return: float | None
    """The same as a fraction of the equity at its begin."""
    drawdown_max: float | None
    """Deepest in it below the highest equity that is kept from before, as a fraction of that."""


def spans(first: int, last: int, every: Every) -> list[tuple[int, int]]:
    """Days, weeks from Monday on, or months, in UTC, from the one that holds `first` to the one that holds `last`, ns.

    >>> [(end - begin) // DAY_NS for begin, end in spans(0, 40 * DAY_NS, "month")]
    [31, 28]
    """
    begin = _first_of(first, every)
    found = []
    while begin <= last:
        end = _next(begin, every)
        found.append((begin, end))
        begin = end
    return found


def summarise(
    trades: Sequence[Closed],
    marks: Sequence[Mark],
    cash: float,
    begin: int,
    until: int,
    every: Every | None = None,
    kept_from: int = 0,
) -> list[Figures]:
    """Figures of a run, over its whole life or by span.

    Args:
        trades: In the order of their exits.
        marks: In the order of their times.
        cash: What it began with, above 0.
        begin: When it did, ns.
        until: Up to when it is known, ns; not before `begin`.
        every: Length of the spans; None is the whole.
        kept_from: Marks from before are kept no longer, ns.

    Returns:
        Oldest first; a span without a mark has the equity of the one before.
    """
    exits = [trade.exit_time for trade in trades]
    times = [mark.time for mark in marks]
    found = []
    place, equity, peak = 0, cash, cash
    for start, end in [(begin, until + 1)] if every is None else spans(begin, until, every):
        # A mark at midnight is the close of the bar that ended then: it belongs to the day that is over.
        last = bisect_right(times, end if every is not None else until)
        at_begin, deepest = equity, 0.0 if equity >= peak else 1 - equity / peak
        for mark in marks[place:last]:
            equity = mark.equity
            peak = max(peak, equity)
            deepest = max(deepest, 1 - equity / peak)
        place = last
        own = trades[bisect_left(exits, start) : bisect_left(exits, end)]
        known = every is None or kept_from <= max(start, begin)
        recent = trades[bisect_left(exits, end - RECENT_NS) : bisect_left(exits, end)]
        pnl = sum(trade.pnl for trade in own)
        found.append(
            Figures(
                begin=max(start, begin),
                end=min(end, until),
                trades=len(own),
                pnl=pnl,
                fees=sum(trade.fees for trade in own),
                win_rate=won(own),
                win_rate_30d=won(recent),
                expectancy=pnl / len(own) if own else None,
                equity=equity if known else None,
                change=equity - at_begin if known else None,
                total_return=equity / at_begin - 1 if known and at_begin else None,
                drawdown_max=deepest if known else None,
            )
        )
    return found


def won(trades: Sequence[Closed]) -> float | None:
    """Share of trades with a P&L above 0; None of no trades."""
    return sum(trade.pnl > 0 for trade in trades) / len(trades) if trades else None


def together(runs: Iterable[tuple[float, Sequence[Mark]]]) -> list[Mark]:
    """The sum of several runs' equity: of one without a mark yet its cash, of one without a new mark its last.

    Args:
        runs: Cash and marks of each.

    >>> together([(10.0, [Mark(2, 11.0)]), (5.0, [Mark(2, 5.0), Mark(3, 4.0)])])
    [Mark(time=2, equity=16.0), Mark(time=3, equity=15.0)]
    """
    held = list(runs)
    now = [cash for cash, _ in held]
    every = sorted((mark.time, place, mark.equity) for place, (_, marks) in enumerate(held) for mark in marks)
    found: list[Mark] = []
    for time, place, equity in every:
        now[place] = equity
        if found and found[-1].time == time:
            found.pop()
        found.append(Mark(time, sum(now)))
    return found


def _first_of(moment: int, every: Every) -> int:
    day = _EPOCH + timedelta(days=moment // DAY_NS)
    if every == "week":
        day -= timedelta(days=day.weekday())
    elif every == "month":
        day = day.replace(day=1)
    return (day - _EPOCH).days * DAY_NS


def _next(begin: int, every: Every) -> int:
    if every == "day":
        return begin + DAY_NS
    if every == "week":
        return begin + 7 * DAY_NS
    return _first_of(begin + 31 * DAY_NS, "month")
