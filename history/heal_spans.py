"""Which minutes a gap lacks, and how few requests bring them."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.intervals import MINUTE_NS, Interval
from market.sessions import Calendar
from market.slots import slots

Span = tuple[int, int]
"""`[start, end)`, ns."""

TOGETHER_NS: Final = 60 * MINUTE_NS
"""Spans no further apart are asked for at once: an hour of minutes more is no call more."""


def whole_minutes(start: int, end: int) -> Span:
    """The minutes that a span touches.

    >>> whole_minutes(59 * 10**9, 61 * 10**9) == (0, 2 * MINUTE_NS)
    True
    """
    return start // MINUTE_NS * MINUTE_NS, -(-end // MINUTE_NS) * MINUTE_NS


def session_minutes(spans: Iterable[Span], calendar: Calendar) -> NDArray[np.int64]:
    """Starts of the minutes of some spans in which the symbol can trade, each once, in order; ns."""
    found = [slots(calendar, Interval.M1, *span)[:, 0] for span in spans]
    return np.unique(np.concatenate([np.empty(0, np.int64), *found]))


def requests(spans: Iterable[Span], apart: int = TOGETHER_NS) -> list[Span]:
    """Spans joined with their neighbours, in order.

    Args:
        spans: In any order; may overlap.
        apart: ns; those no further apart are joined.

    >>> requests([(50, 60), (0, 10), (12, 20)], apart=5)
    [(0, 20), (50, 60)]
    """
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start - joined[-1][1] <= apart:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def runs(minutes: NDArray[np.int64], wanted: NDArray[np.bool_] | None = None) -> Sequence[Span]:
    """Minutes as spans of minutes that follow on each other.

    Args:
        minutes: Starts in order, ns.
        wanted: By minute: whether it counts; all if None.
    """
    if wanted is not None:
        minutes = minutes[wanted]
    if not len(minutes):
        return []
    breaks = np.flatnonzero(np.diff(minutes) != MINUTE_NS) + 1
    first = minutes[np.concatenate(([0], breaks))]
    last = minutes[np.concatenate((breaks - 1, [len(minutes) - 1]))]
    return list(zip(first.tolist(), (last + MINUTE_NS).tolist(), strict=True))
