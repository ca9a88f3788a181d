"""The truth score: live bars held against the venue's own, field by field."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.bars import BarState

PRICES: Final = ("open", "high", "low", "close")
SUM_TOLERANCE: Final = 1e-9
"""By which part of itself a volume may differ: sums of the same trades, added in another order, or printed."""


class Difference(NamedTuple):
    """One figure of one bar on which the desk and the venue do not agree."""

    start: int
    """Of the bar, ns."""
    field: str
    """`open`, `high`, `low`, `close`, `volume` or `trades`; `bar` where one of the two has none."""
    live: float | None
    """None where there is no live bar."""
    official: float | None
    """None where the venue has no bar."""
    share: float
    """How large the difference is, as a part of the official figure; 1 where a whole bar is lacking."""
    explained: bool
    """Whether the desk itself says that it may lack ticks there: a gap, a partial bar."""


@dataclass(frozen=True, slots=True)
class Score:
    """How true the live bars of one series are."""

    equal: int = 0
    """Bars of which every figure is the venue's."""
    differing: int = 0
    """Bars that both have, and not alike."""
    missing: int = 0
    """Bars of the venue that were not there live."""
    extra: int = 0
    """Live bars of a time of which the venue has none."""
    explained: int = 0
    """Of those that are not equal, how many the desk had marked as doubtful itself."""
    differences: tuple[Difference, ...] = ()
    """The largest ones, largest first."""

    @property
    def bars(self) -> int:
        """Bars compared."""
        return self.equal + self.differing + self.missing + self.extra

    @property
    def share(self) -> float:
        """Bars that are equal, as a part of all; 1 where there are none."""
        return self.equal / self.bars if self.bars else 1.0

    @property
    def unexplained(self) -> int:
        """Bars that are not equal although nothing was known to be wrong."""
        return self.bars - self.equal - self.explained


def score(live: NDArray[np.void], official: NDArray[np.void], doubtful: NDArray[np.int64], *, keep: int = 20) -> Score:
    """Compare two sets of bars of one series.

    Prices must be the same numbers, volumes agree within `SUM_TOLERANCE`, counts of trades be equal where both say one.

    Args:
        live: `BAR` records in order of start.
        official: Likewise.
        doubtful: Shape (spans, 2), ns: where the desk knows that it may lack ticks.
        keep: How many differences to name at most.
    """
    both, ours, theirs = np.intersect1d(live["start"], official["start"], assume_unique=True, return_indices=True)
    own, venue = live[ours], official[theirs]
    found: list[Difference] = []
    differs = np.zeros(len(both), np.bool_)
    marked = (own["state"] == BarState.PARTIAL) | _touched(own["start"], own["end"], doubtful)
    for name in (*PRICES, "volume", "trades"):
        mine, right = own[name].astype(np.float64), venue[name].astype(np.float64)
        apart = np.abs(mine - right)
        if name == "volume":
            wrong = apart > SUM_TOLERANCE * np.maximum(np.abs(mine), np.abs(right))
        elif name == "trades":
            wrong = (apart > 0) & (mine > 0) & (right > 0)
        else:
            wrong = apart > 0
        differs |= wrong
        for place in np.flatnonzero(wrong).tolist():
            share = float(apart[place] / abs(right[place])) if right[place] else 1.0
            found.append(
                Difference(int(both[place]), name, float(mine[place]), float(right[place]), share, bool(marked[place]))
            )
    lone: list[tuple[NDArray[np.void], bool]] = [
        (official[~np.isin(official["start"], both)], True),
        (live[~np.isin(live["start"], both)], False),
    ]
    explained = int((differs & marked).sum())
    for bars, lacking in lone:
        known = _touched(bars["start"], bars["end"], doubtful) | (bars["state"] == BarState.PARTIAL)
        explained += int(known.sum())
        for start, close, mark in zip(bars["start"].tolist(), bars["close"].tolist(), known.tolist(), strict=True):
            pair = (None, close) if lacking else (close, None)
            found.append(Difference(start, "bar", pair[0], pair[1], 1.0, mark))
    found.sort(key=lambda one: (one.explained, -one.share, one.start, one.field))
    return Score(
        equal=int((~differs).sum()),
        differing=int(differs.sum()),
        missing=len(lone[0][0]),
        extra=len(lone[1][0]),
        explained=explained,
        differences=tuple(found[:keep]),
    )


def _touched(start: NDArray[np.int64], end: NDArray[np.int64], spans: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each `[start, end)` overlaps one of the spans."""
    touched = np.zeros(len(start), np.bool_)
    for first, last in spans.tolist():
        touched |= (start < last) & (first < end)
    return touched
