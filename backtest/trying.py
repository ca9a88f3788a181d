"""One combination of parameters tried on bars that many are tried on: what comes of it is its figures, or why not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from backtest.account_kernels import Loops
from backtest.preparing import Prepared
from backtest.quick import Figures, Quick
from backtest.stream import Stream
from market.errors import DeskError
from market.intervals import Interval
from strategies.loader.files import Strategy

MOMENT_MIN: Final = -(2**63)
MOMENT_MAX: Final = 2**63 - 1


class Window(NamedTuple):
    """Of the bars those that count, ns."""

    shown_from: int = MOMENT_MIN
    """Bars that start before are not shown."""
    trade_from: int | None = None
    """Bars that start before warm the strategy up; None is where the plan begins to trade."""
    until: int = MOMENT_MAX
    """Bars that end after are not shown."""


WHOLE: Final = Window()
"""All bars."""


@dataclass
class Trier:
    """Tries parameters of one strategy under one plan, one after the other; each thread has its own."""

    strategy: Strategy
    prepared: Prepared
    """Its series may be empty: streams are given."""
    streams: Callable[[tuple[Interval, ...]], Stream]
    """All bars, with those of the intervals that a strategy sees besides the run's own."""
    loops: Path
    """Folder of compiled loops."""
    kernels: Loops | None
    """Of the account."""
    _key: tuple[Any, ...] | None = None
    _quick: Quick | None = None
    _bars: int = 0

    def figures(self, parameters: Mapping[str, Any], window: Window, tell: Callable[[], None]) -> Figures:
        """Try.

        Args:
            parameters: All of them, as text.
            window: Of the bars.
            tell: Called now and then, as a sign of life.

        Raises:
            DeskError: The bars are too few, the strategy went wrong, or the account cannot go on.
        """
        chosen = self.strategy.read_parameters(parameters)
        needs = self.strategy.needs(chosen)
        key = (needs.intervals or (), window)
        if self._quick is None or key != self._key:
            self._begin(*key)
        if self._bars <= needs.warm_up:
            msg = f"there are {self._bars:,} bars, and the strategy wants more than {needs.warm_up:,} to warm up"
            raise DeskError(msg)
        assert self._quick is not None
        return self._quick.figures(chosen, lambda _share, _row: tell())

    def _begin(self, intervals: tuple[Interval, ...], window: Window) -> None:
        """Take the bars of a window in hand."""
        self._key, self._quick = (intervals, window), None
        shown = self.streams(intervals)
        if window[::2] != WHOLE[::2]:
            shown = shown.between(window.shown_from, window.until)
        prepared = self.prepared
        if window.trade_from is not None:
            prepared = replace(prepared, plan=prepared.plan.model_copy(update={"trade_from": window.trade_from}))
        own = shown.views["symbol"][shown.own]
        self._bars = min(int((own == place).sum()) for place in range(len(shown.symbols)))
        if self._bars == 0:
            return
        first = prepared.first(shown)
        self._quick = quick_on(prepared, shown, first, self.strategy, self.loops, self.kernels)


def quick_on(
    prepared: Prepared, shown: Stream, first: int, strategy: Strategy, loops: Path, kernels: Loops | None
) -> Quick:
    """What runs a strategy on a stream that is traded from a row on."""
    plan = prepared.plan
    return Quick(
        shown,
        strategy,
        prepared.interval,
        prepared.conditions,
        plan.cash,
        plan.currency,
        prepared.terms(shown, first),
        loops,
        first=first,
        loops=kernels,
    )
