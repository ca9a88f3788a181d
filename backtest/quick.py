"""Runs of which nothing is kept but the figures: for sweeps, which make thousands of them on the same bars."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel

from backtest.account_kernels import Loops
from backtest.curve import Numbers, Times
from backtest.metrics import Metrics, Terms, measure_walked, period_returns
from backtest.simulating import Decisions, simulate
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

    def figures(self, chosen: BaseModel, tell: Callable[[float, int], None] = lambda _share, _row: None) -> Figures:
        """Run.

        Args:
            chosen: Parameters, by `strategy.read_parameters`.
            tell: As of `simulate`.

        Raises:
            DeskError: The strategy went wrong, or the account cannot go on.
        """
        symbols = [str(symbol) for symbol in self._shown.symbols]
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
        )
        metrics, walked = measure_walked(made.curve, made.trades, made.fills, self._terms)
        return Figures(metrics, np.array(walked.dates), period_returns(walked, self._cash))
