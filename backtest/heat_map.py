"""What a sweep found by two parameters at a time, the best over all others; and by each of them alone."""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.evaluator import Candidates
from backtest.space import Axis, as_text

CELLS_MAX: Final = 60
"""Values of a parameter that are drawn one by one; of more, ranges are."""
RANGES: Final = 24
MAPS_MAX: Final = 6


class HeatMap(NamedTuple):
    """Two parameters."""

    x: str
    """Name of the one whose values are the columns."""
    y: str
    """Name of the other, whose values are the rows."""
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: NDArray[np.float64]
    """[row, column]: the best figure of those that have these values; NaN where none has or it cannot be said."""
    places: NDArray[np.int64]
    """[row, column]: the candidate that has it; -1 where there is none."""


class Profile(NamedTuple):
    """One parameter alone."""

    name: str
    labels: tuple[str, ...]
    best: NDArray[np.float64]
    """By value: of those that have it the best figure; NaN where it cannot be said."""
    median: NDArray[np.float64]
    """The middle one: what the value is worth wherever the others are."""


def heat_maps(candidates: Candidates, axes: Sequence[Axis], values: NDArray[np.float64], sign: int) -> list[HeatMap]:
    """The pairs of parameters, in their order; six at most.

    Args:
        candidates: What was tried.
        axes: The parameters that were swept.
        values: By candidate the figure that they are ranked by; NaN where it cannot be said.
        sign: 1 where more is better, -1 where less is.
    """
    return [_heat_map(candidates, x, y, values, sign) for x, y in list(combinations(axes, 2))[:MAPS_MAX]]


def profiles(candidates: Candidates, axes: Sequence[Axis], values: NDArray[np.float64], sign: int) -> list[Profile]:
    """Each parameter; arguments as of `heat_maps`."""
    found = []
    for axis in axes:
        labels, cells = _cells(candidates, axis)
        best, median = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
        for cell in range(len(labels)):
            mine = values[(cells == cell) & np.isfinite(values)]
            if len(mine):
                best[cell] = sign * (sign * mine).max()
                median[cell] = np.median(mine)
        found.append(Profile(axis.name, labels, best, median))
    return found


def _heat_map(candidates: Candidates, x: Axis, y: Axis, values: NDArray[np.float64], sign: int) -> HeatMap:
    columns, at_column = _cells(candidates, x)
    rows, at_row = _cells(candidates, y)
    found = np.full((len(rows), len(columns)), np.nan)
    places = np.full((len(rows), len(columns)), -1, np.int64)
    # From the worst to the best, so that the best stays; of equals the first that was tried.
    known = np.flatnonzero(np.isfinite(values))[::-1]
    order = known[np.argsort(sign * values[known], kind="stable")]
    found[at_row[order], at_column[order]] = values[order]
    places[at_row[order], at_column[order]] = order
    return HeatMap(x.name, y.name, columns, rows, found, places)


def _cells(candidates: Candidates, axis: Axis) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The labels of a parameter's cells, and of each candidate the cell that it is in."""
    tried: list[Any] = [one[axis.name] for one in candidates.parameters]
    if not axis.ordered:
        labels = tuple(as_text(value) for value in axis.values)
        return labels, np.array([labels.index(as_text(value)) for value in tried], np.int64)
    different = sorted(set(tried))
    if len(different) <= CELLS_MAX:
        return tuple(as_text(value) for value in different), np.searchsorted(different, tried).astype(np.int64)
    low, high = float(different[0]), float(different[-1])
    edges = np.geomspace(low, high, RANGES + 1) if axis.log else np.linspace(low, high, RANGES + 1)
    cells = np.clip(np.searchsorted(edges, np.array(tried, float), side="right") - 1, 0, RANGES - 1)
    return tuple(f"{a:.4g} to {b:.4g}" for a, b in pairwise(edges)), cells.astype(np.int64)
