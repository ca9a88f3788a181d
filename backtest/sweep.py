"""Many combinations of a strategy's parameters on the same bars: which did best, and what came of all of them."""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from backtest.curve import Numbers, walk
from backtest.evaluator import Candidates, Evaluator, Failed, Tell, gathered
from backtest.luck import Luck, luck
from backtest.metrics import Terms, period_returns
from backtest.patience import PATIENCE_S
from backtest.plan import Plan
from backtest.preparing import Ask, Read
from backtest.quick import Figures
from backtest.running import Run, run
from backtest.searching import GRID_MAX, How, Refusals, begin_search, carry_out
from backtest.space import Space, read_space
from backtest.trying import WHOLE, Window
from market.errors import DeskError
from strategies.loader.files import Strategy

METRICS: Final[Mapping[str, int]] = {
    "sharpe": 1,
    "sortino": 1,
    "calmar": 1,
    "total_return": 1,
    "cagr": 1,
    "sqn": 1,
    "profit_factor": 1,
    "expectancy": 1,
    "expectancy_return": 1,
    "win_rate": 1,
    "payoff": 1,
    "kelly": 1,
    "volatility": -1,
    "drawdown_max": -1,
    "drawdown_mean": -1,
    "drawdown_days_max": -1,
}
"""Figures that candidates are ranked by: 1 where more is better, -1 where less is."""


class Hunt(BaseModel):
    """What a sweep looks for, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: dict[str, str]
    """By parameter what to try, as `backtest.space` understands it."""
    search: How = "grid"
    trials: int = Field(default=100, ge=1, le=GRID_MAX)
    """Combinations that `random` and `tpe` try."""
    metric: str = "sharpe"
    """One of `METRICS`."""
    least_trades: int = Field(default=1, ge=0)
    """A candidate with fewer trades is never the best."""
    seed: int = 1


class Sweep(NamedTuple):
    """A sweep that is over."""

    plan: Plan
    """With the parameters of the best."""
    hunt: Hunt
    strategy: Strategy
    space: Space
    candidates: Candidates
    failed: list[Failed]
    refused: Refusals
    order: NDArray[np.int64]
    """Places of the candidates that can be ranked, the best first."""
    run: Run
    """Of the best, as a backtest of its own."""
    luck: Luck
    """Whether the best is luck, given how many were tried."""

    @property
    def best(self) -> int:
        """Place of the best candidate."""
        return int(self.order[0])


def sweep(
    plan: Plan,
    hunt: Hunt,
    strategy: Strategy,
    read: Read,
    loops: Path,
    *,
    actions: Ask = lambda _symbol: None,
    jobs: int | None = None,
    patience_s: float = PATIENCE_S,
    tell: Tell = lambda _step, _share: None,
) -> Sweep:
    """Try combinations of parameters, and run the best of them in full, with the look-ahead check.

    Args:
        plan: What is run; its parameters are not looked at.
        hunt: What to try, and what to look for.
        strategy: As found.
        read: Where bars come from.
        loops: Folder of compiled loops.
        actions: Splits and dividends.
        jobs: Cores to use; None for all there are.
        patience_s: How long a strategy may show no sign of life.
        tell: Told a step (`read`, `try`, `run`, `check`, `report`) and how much of it is done, 0 to 1.

    Raises:
        DeskError: What is to be tried, the bars, or the strategy is wrong; or none can be ranked.
    """
    check_metric(hunt.metric)
    space = read_space(strategy, hunt.space)
    with Evaluator(plan, strategy, read, loops, actions=actions, jobs=jobs, patience_s=patience_s) as bench:
        candidates, failed, refused = search_in(bench, space, hunt, tell=tell)
    order = ranked(candidates, hunt)
    if len(order) == 0:
        trades = "a trade" if hunt.least_trades < 2 else f"{hunt.least_trades:,} trades"
        msg = (
            f"none of {len(candidates.parameters):,} combinations has {trades} and a {hunt.metric.replace('_', ' ')} "
            "that can be said: rank them by another --metric, or try others"
        )
        raise DeskError(msg)
    best = plan.model_copy(update={"parameters": candidates.parameters[order[0]]})
    done = run(best, strategy, read, loops, actions=actions, patience_s=patience_s, tell=tell)
    tell("report", 0.0)
    terms = prepared_terms(bench, done)
    found = luck(candidates.daily, int(order[0]), terms.periods_per_year, benchmark=_held(done, terms), seed=hunt.seed)
    return Sweep(best, hunt, strategy, space, candidates, failed, refused, order, done, found)


def prepared_terms(bench: Evaluator, done: Run) -> Terms:
    """By what a run on the bars of an evaluator was measured."""
    prepared = bench.prepared(done.strategy.needs(done.strategy.read_parameters(done.plan.parameters)))
    return prepared.terms(done.shown, prepared.first(done.shown))


def _held(done: Run, terms: Terms) -> Numbers:
    """Returns of each period of buying everything and holding it."""
    curve = done.outcome.curve._replace(equity=done.report.benchmark_equity)
    return period_returns(walk(curve, terms.begin, terms.cash, terms.days, terms.each_mark), terms.cash)


def search_in(
    bench: Evaluator,
    space: Space,
    hunt: Hunt,
    window: Window = WHOLE,
    tell: Tell = lambda _step, _share: None,
    *,
    searches: int = 1,
) -> tuple[Candidates, list[Failed], Refusals]:
    """One search, on the bars of a window.

    Args:
        bench: What tries.
        space: What may be tried.
        hunt: What is looked for, and how.
        window: Of the bars.
        tell: Told how much of the step `try` is done.
        searches: How many like this one are to be made: what is too little work for more cores alone may not be in all.

    Raises:
        DeskError: There is nothing to try, or nothing came of any.
    """
    search = begin_search(space, bench.strategy, hunt.search, hunt.trials, hunt.seed)
    size = space.size or GRID_MAX
    expected = size if hunt.search == "grid" else min(hunt.trials, size)
    chosen: list[BaseModel] = []
    answers: list[Figures | str] = []

    def tried(batch: list[BaseModel]) -> Sequence[float]:
        part = len(batch) / expected if hunt.search == "tpe" else 1.0

        def told(step: str, share: float) -> None:
            tell(step, min((len(chosen) / expected) + share * part, 1.0) if step == "try" else share)

        found = bench.try_all(batch, window, expected=expected * searches, tell=told)
        chosen.extend(batch)
        answers.extend(found)
        return [value_of(one, hunt) for one in found]

    refused = carry_out(search, tried)
    candidates, failed = gathered(chosen, answers)
    return candidates, failed, refused


def value_of(found: Figures | str, hunt: Hunt) -> float:
    """How good a candidate is: the higher the better, NaN if it cannot be said."""
    if isinstance(found, str) or found.metrics.trades < hunt.least_trades:
        return nan
    return METRICS[hunt.metric] * float(getattr(found.metrics, hunt.metric))


def ranked(candidates: Candidates, hunt: Hunt) -> NDArray[np.int64]:
    """Places of the candidates that can be ranked, the best first; of equals the one that was tried first."""
    values = METRICS[hunt.metric] * candidates.figures[hunt.metric].cast(float).to_numpy()
    enough = candidates.figures["trades"].to_numpy() >= hunt.least_trades
    places = np.flatnonzero(enough & np.isfinite(values))
    order: NDArray[np.int64] = places[np.argsort(-values[places], kind="stable")]
    return order


def check_metric(metric: str) -> None:
    """Refuse a figure that candidates cannot be ranked by.

    Raises:
        DeskError: It is none of `METRICS`.
    """
    if metric not in METRICS:
        msg = f"--metric {metric!r} is none of {' '.join(METRICS)}"
        raise DeskError(msg)


def figure(candidates: Candidates, place: int, name: str) -> Any:
    """One figure of one candidate; None if it cannot be said."""
    value = candidates.figures[name][place]
    return None if value is None or (isinstance(value, float) and isnan(value)) else value
