"""The loop of a strategy in plain Python, for what Numba does not take: the same decisions, bar by bar."""

from collections.abc import Callable
from math import nan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from strategies.interface import EXPOSURE_MAX, KEEP, State
from strategies.loader.loops import COUNTS
from trading.records import VIEW, Records

_NUMBERS: Final = (int, float, np.number, np.bool_)


class PlainBar:
    """One bar of many, whose fields are read as numbers of Python's own: a record's would cost ten times as much."""

    __slots__ = ("columns", "row")

    def __init__(self, views: Records) -> None:
        self.columns = _Columns(views)
        self.row = 0


class _Columns(dict[str, list[Any]]):
    """Columns as lists, each made when it is first asked for."""

    def __init__(self, views: Records) -> None:
        super().__init__()
        self.views = views

    def __missing__(self, name: str) -> list[Any]:
        found: list[Any] = self.views[name].tolist()
        self[name] = found
        return found


def _field(name: str) -> property:
    def read(bar: PlainBar) -> Any:
        return bar.columns[name][bar.row]

    return property(read)


for _name in VIEW.names or ():
    setattr(PlainBar, _name, _field(_name))


def exposures_loop(
    decide: Callable[..., Any],
    views: Records,
    state: State,
    parameters: Any,
    warm_up: int,
    exposures: NDArray[np.float64],
    at: NDArray[np.int64],
) -> int:
    """As the compiled loop of a strategy that returns exposures."""
    bar: Any = PlainBar(views)
    found: list[Any] = []
    cold = at[1] > 0
    row = 0
    try:
        for row in range(len(views)):
            bar.row = row
            if cold:
                place = COUNTS + bar.symbol * 13 + bar.interval
                at[place] += 1
                if at[place] == warm_up:
                    at[1] -= 1
                    cold = at[1] > 0
            exposure: Any = decide(state, bar, parameters)
            if exposure == KEEP:
                found.append(nan)
            elif isinstance(exposure, _NUMBERS):
                found.append(exposure)
                # NaN is unequal to all, itself included.
                if not -EXPOSURE_MAX <= exposure <= EXPOSURE_MAX and (exposure == exposure or not cold):  # noqa: PLR0124
                    return row
            else:
                msg = f"decide() returns a number; it returned {exposure!r}"
                raise TypeError(msg)
        return len(views)
    finally:
        at[0] = row
        exposures[: len(found)] = found


def requests_loop(
    decide: Callable[..., Any],
    views: Records,
    state: State,
    parameters: Any,
    counts: NDArray[np.int64],
    requests: Records,
    scratch: Records,
    at: NDArray[np.int64],
) -> int:
    """As the compiled loop of a strategy that places orders."""
    bar = PlainBar(views)
    room = len(scratch)
    written = 0
    row = 0
    try:
        for row in range(len(views)):
            if written + room > len(requests):
                return row
            bar.row = row
            n = decide(state, bar, parameters, scratch)
            if not isinstance(n, int | np.integer):
                msg = f"decide() returns how many orders it wrote; it returned {n!r}"
                raise TypeError(msg)
            counts[row] = n
            if n < 0:
                return row
            if n:
                taken = min(int(n), room)
                requests[written : written + taken] = scratch[:taken]
                written += taken
        return len(views)
    finally:
        at[0] = row
        at[2] = written
