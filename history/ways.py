"""The ways in which a provider can give bars of an interval, and how far back each reaches."""

from typing import Final, NamedTuple

from history.slot_numbers import next_slot, slots_back
from market.intervals import Interval
from market.sessions import Calendar
from market.ticks import ALWAYS
from operators.rollup import finer_intervals
from sources.history.provider import Terms

_DAY_NS: Final = 86_400 * 10**9
_TAIL: Final = 2
"""Bars by which a reach is taken to be shorter than the terms say: the clock moves on while pages are asked for."""


class Way(NamedTuple):
    """One way to bars of an interval."""

    interval: Interval
    """Of the bars wanted."""
    fetched: Interval | None
    """The interval that the provider is asked for; None: its trades."""

    @property
    def direct(self) -> bool:
        """Whether the provider has these very bars."""
        return self.fetched is self.interval

    def source(self, name: str) -> str:
        """What such bars say of where they are from."""
        if self.direct:
            return name
        return f"{name}({'trades' if self.fetched is None else self.fetched})"

    def reach(self, terms: Terms, calendar: Calendar, now: int) -> int:
        """Start of the oldest bar of `interval` that is to be had in this way at a moment; `ALWAYS` without bound."""
        if self.fetched is None:
            return ALWAYS
        oldest = ALWAYS
        if terms.max_bars is not None:
            oldest = slots_back(calendar, self.fetched, now, max(1, terms.max_bars - _TAIL))
        days = terms.reach_days.get(self.fetched)
        if days is not None:
            oldest = max(oldest, now - days * _DAY_NS)
        return oldest if oldest == ALWAYS else next_slot(calendar, self.interval, oldest)


def ways(terms: Terms, interval: Interval) -> list[Way]:
    """All ways to an interval, the one to be preferred first.

    Its own bars; else those rolled up from the coarsest of its own that nest, so from the fewest; at last its trades,
    which reach back to the beginning.
    """
    own = [interval, *finer_intervals(interval)]
    found = [Way(interval, one) for one in own if one in terms.intervals]
    if terms.max_bars is None and not terms.reach_days:
        found = found[:1]
    if terms.has_trades:
        found.append(Way(interval, None))
    return found
