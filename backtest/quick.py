"""Runs of which nothing is kept but the figures: for sweeps, which make thousands of them on the same bars."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel

from backtest.account_kernels import Loops
from backtest.curve import Curve, Numbers, Times, Walk, Walker, walk
from backtest.metrics import Metrics, Terms, measure_by, period_returns
from backtest.part_sums import PartSum
from backtest.simulating import Decisions, logs_for, simulate
from backtest.stream import Stream
from market.intervals import Interval
from strategies.loader.files import Strategy
from trading.book import KEEP_FILLS, KEEP_TRADES
from trading.opening import Conditions


class Figures(NamedTuple):
    """What is kept of a run."""

    metrics: Metrics
    """The same as of the whole run, to the last bit."""
    dates: Times
    """Of each period the date, days since 1970: the same for every run on the same bars."""
    returns: Numbers
    """Of each period, the first from the cash at the start on."""


class Quick:
    """Runs of one strategy on the same bars under the same conditions, one after the other."""

    def __init__(
        self,
        shown: Stream,
        strategy: Strategy,
        interval: Interval,
        conditions: Conditions,
        cash: float,
        currency: str,
        terms: Terms,
        folder: Path,
        *,
        first: int = 0,
        loops: Loops | None = None,
    ) -> None:
        """Prepare.

        Args:
            shown: The bars.
            strategy: Whose parameters are tried.
            interval: The run's own.
            conditions: What the runs take for granted.
            cash: Of the account's currency, at the start.
            currency: The account's own.
            terms: What the figures need to know.
            folder: Of compiled loops.
            first: Row from which on is traded.
            loops: As of `simulate`.
        """
        self._shown = shown
        self._strategy = strategy
        self._interval = interval
        self._conditions = conditions
        self._cash = cash
        self._currency = currency
        self._terms = terms
        self._folder = folder
        self._first = first
        self._loops = loops
        self._logs = logs_for(len(shown.views))

    def figures(self, chosen: BaseModel, tell: Callable[[float, int], None] = lambda _share, _row: None) -> Figures:
        """Run.

        Args:
            chosen: Parameters, by `strategy.read_parameters`.
            tell: As of `simulate`.

        Raises:
            DeskError: The strategy went wrong, or the account cannot go on.
        """
        symbols = [str(symbol) for symbol in self._shown.symbols]
        found = _Found(self._shown, self._first, self._terms)
        made = simulate(
            self._shown,
            Decisions(self._strategy, chosen, symbols, self._interval, self._folder),
            self._conditions,
            self._cash,
            self._currency,
            first=self._first,
            loops=self._loops,
            tell=tell,
            keep=KEEP_FILLS | KEEP_TRADES,
            curve_to=found.go,
            logs=self._logs,
        )
        walked = found.walked()
        metrics = measure_by(walked, found.end, made.trades, made.fills, self._terms)
        return Figures(metrics, np.array(walked.dates), period_returns(walked, self._cash))


class _Found:
    """The figures of a curve that comes in parts."""

    def __init__(self, shown: Stream, first: int, terms: Terms) -> None:
        self._ends = shown.views["end"][first:]
        self._terms = terms
        self._walker: Walker | None = None
        self._walk: Walk | None = None
        self._exposed = 0
        self.end = 0

    def go(self, part: Curve, marks: int) -> None:
        """The next marks, of so many in all."""
        terms = self._terms
        self.end = int(part.time[-1])
        if len(part.time) == marks:
            self._walk = walk(part, terms.begin, terms.cash, terms.days, terms.each_mark)
            return
        if self._walker is None:
            first, last = int(self._ends[0]), int(self._ends[-1])
            self._walker = Walker(terms.begin, terms.cash, terms.days, terms.each_mark, marks, first, last)
            self._exposures, self._equities = PartSum(marks), PartSum(marks)
        self._walker.go(part)
        self._exposed += int(np.count_nonzero(part.exposure))
        self._exposures.add(part.exposure)
        self._equities.add(part.equity)

    def walked(self) -> Walk:
        """Once all marks have come."""
        if self._walker is not None:
            return self._walker.walk(self._exposed, self._exposures.total(), self._equities.total())
        assert self._walk is not None
        return self._walk
