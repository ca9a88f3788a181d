"""Walk-forward: parameters are chosen on some bars and tested on those that come next, window after window.

The account goes through all windows as one, so that its equity is what somebody would have had who chose anew at the
begin of each, by what was known then.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import nan
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict

from backtest import look_ahead
from backtest.account_kernels import compiled_loops
from backtest.curve import Curve
from backtest.evaluator import Candidates, Evaluator, Tell
from backtest.handover import Handover, Part
from backtest.luck import Luck, luck
from backtest.metrics import Metrics, Terms, measure, periods_per_year
from backtest.patience import PATIENCE_S, Beat, patiently
from backtest.report import moment
from backtest.running import Run, measured
from backtest.simulating import PLAIN_MOST, Decisions, Outcome, simulate
from backtest.space import read_space
from backtest.stream import Stream
from backtest.sweep import Hunt, check_metric, figure, ranked, search_in
from backtest.trying import Window
from backtest.windows import Fold, folds, parse_length
from market.errors import DeskError
from strategies.interface import Needs
from strategies.loader.files import from_source

RESAMPLES: Final = 500
"""Histories that the reality check makes of each window."""


class Walk(BaseModel):
    """How the windows lie."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    how: Literal["rolling", "anchored"] = "rolling"
    """Whether each learns from the time just before it, or all from the first bar on."""
    train: str = "2y"
    """How long each learns, as `windows.parse_length` has it."""
    test: str = "6m"
    """How long each is tested."""


class Tested(NamedTuple):
    """One window."""

    fold: Fold
    tried: int
    """Candidates of which something came."""
    parameters: dict[str, Any] | None
    """Those chosen; None where no candidate could be ranked, and nothing is held."""
    learned: dict[str, Any]
    """The chosen one's figures on what was learned from; None is "cannot be said"."""
    luck: Luck | None
    """Whether the choice was luck."""
    tested: Metrics | None
    """Of the account in the window; None if nothing was left of it before."""


class WalkForward(NamedTuple):
    """A walk-forward that is over."""

    hunt: Hunt
    walk: Walk
    windows: tuple[Tested, ...]
    run: Run
    """Of the account through all windows."""

    @property
    def learned_sharpe(self) -> float:
        """Mean Sharpe ratio of those chosen, on what they were chosen by; NaN if there is none."""
        return _mean([one.learned.get("sharpe") for one in self.windows])

    @property
    def learned_cagr(self) -> float:
        """Mean growth a year of the same."""
        return _mean([one.learned.get("cagr") for one in self.windows])

    @property
    def efficiency(self) -> float:
        """Growth a year on what came next over that on what was learned from; NaN if the latter is not above 0."""
        return self.run.metrics.cagr / self.learned_cagr if self.learned_cagr > 0 else nan

    @property
    def kept(self) -> float:
        """The same of the Sharpe ratio."""
        return self.run.metrics.sharpe / self.learned_sharpe if self.learned_sharpe > 0 else nan

    @property
    def changes(self) -> int:
        """How often others were chosen than before."""
        chosen = [one.parameters for one in self.windows]
        return sum(now != before for before, now in pairwise(chosen))


def walk_forward(
    bench: Evaluator,
    hunt: Hunt,
    walk: Walk,
    loops: Path,
    *,
    patience_s: float = PATIENCE_S,
    tell: Tell = lambda _step, _share: None,
) -> WalkForward:
    """Choose, test, and go on.

    Args:
        bench: The plan, its strategy and its bars.
        hunt: What to try in each window, and what to look for.
        walk: How the windows lie.
        loops: Folder of compiled loops.
        patience_s: How long the strategy may take over a chunk of bars.
        tell: Told a step (`read`, `try`, `run`, `check`, `report`) and how much of it is done, 0 to 1.

    Raises:
        DeskError: What is to be tried, the windows, the bars or the strategy are wrong; or it looks ahead.
    """
    train, test = parse_length(walk.train), parse_length(walk.test)
    check_metric(hunt.metric)
    space = read_space(bench.strategy, hunt.space)
    found = bench.prepared(Needs(), tell)
    own = [one.bars for one in found.series[: found.rates_from]]
    begin = min(int(bars["start"][0]) for bars in own)
    ends = np.sort(np.concatenate([bars["end"] for bars in own]))
    every = folds(ends, begin, train, test, anchored=walk.how == "anchored")
    periods = periods_per_year(found.interval, found.round_the_clock)
    windows = []
    for place, fold in enumerate(every):

        def told(step: str, share: float, place: int = place) -> None:
            tell(step, (place + share) / len(every) if step == "try" else share)

        try:
            window = Window(fold.train_from, None, fold.test_from)
            candidates, _, _ = search_in(bench, space, hunt, window, told, searches=len(every))
        except DeskError as error:
            msg = f"the window that learns from {moment(fold.train_from)} to {moment(fold.test_from)}: {error}"
            raise DeskError(msg) from error
        windows.append(_chosen(fold, candidates, hunt, periods))
    return _through(bench, hunt, walk, windows, loops, patience_s, tell)


def _chosen(fold: Fold, candidates: Candidates, hunt: Hunt, periods: int) -> Tested:
    tried = len(candidates.parameters)
    order = ranked(candidates, hunt)
    if len(order) == 0:
        return Tested(fold, tried, None, {}, None, None)
    best = int(order[0])
    learned = {name: figure(candidates, best, name) for name in candidates.figures.columns}
    asked = luck(candidates.daily, best, periods, seed=hunt.seed, resamples=RESAMPLES)
    return Tested(fold, tried, candidates.parameters[best], learned, asked, None)


def _through(
    bench: Evaluator, hunt: Hunt, walk: Walk, windows: Sequence[Tested], loops: Path, patience_s: float, tell: Tell
) -> WalkForward:
    """Take one account through all windows."""
    plan, strategy = bench.plan, bench.strategy
    chosen = [None if one.parameters is None else strategy.read_parameters(one.parameters) for one in windows]
    needs = [Needs() if one is None else strategy.needs(one) for one in chosen]
    everything = Needs(intervals=tuple(sorted({other for one in needs for other in one.intervals or ()})))
    prepared, shown = bench.prepared(everything), bench.shown(everything)
    ends = shown.views["end"]
    rows = [np.searchsorted(ends, bounds, side="right").tolist() for bounds in [one.fold[1:] for one in windows]]
    first = rows[0][0]

    def begun(parameters: BaseModel, fresh: bool = False) -> Decisions:
        used = strategy if strategy.ours or not fresh else from_source(strategy.name, strategy.path, strategy.source)
        return Decisions(used, parameters, plan.symbols, prepared.interval, loops)

    parts = [
        Part(
            since=one.fold.train_from,
            first=begin,
            last=last,
            begin=None if parameters is None else partial(begun, parameters),
            intervals=wanted.intervals or (),
            fresh=place > 0 and one.parameters != windows[place - 1].parameters,
        )
        for place, (one, parameters, wanted, (begin, last)) in enumerate(zip(windows, chosen, needs, rows, strict=True))
    ]

    def both(beat: Beat) -> tuple[Outcome, int]:
        def going(step: str, share: float) -> None:
            beat.go_on(f"strategy {strategy.name}, in the walk-forward's step {step!r},")
            tell(step, share)

        going("run", 0.0)
        decisions = Handover(shown, parts, lambda share: going("run", share / 2))
        made = simulate(
            shown, decisions, prepared.conditions, plan.cash, plan.currency, first=first,
            tell=lambda share, _row: going("run", 0.5 + share / 2),
        )  # fmt: skip
        return made, _checked(bench, chosen, begun, going) if plan.look_ahead_check else 0

    if len(shown.views) > PLAIN_MOST:
        # What has to be compiled is compiled here, which may take longer than any strategy.
        nothing = Handover(shown.until(1), [])
        simulate(shown.until(1), nothing, prepared.conditions, plan.cash, plan.currency, loops=compiled_loops())
    outcome, checked = patiently(both, patience_s, "look for a loop in decide() that has no end")
    tell("report", 0.0)
    named = replace(prepared, plan=plan.model_copy(update={"parameters": dict(hunt.space)}))
    done = measured(named, strategy, shown, outcome, first, checked)
    terms = prepared.terms(shown, first)
    tested = [
        one._replace(tested=_tested(outcome, shown, terms, *bounds)) for one, bounds in zip(windows, rows, strict=True)
    ]
    return WalkForward(hunt, walk, tuple(tested), done)


def _checked(
    bench: Evaluator,
    chosen: Sequence[BaseModel | None],
    begun: Callable[[BaseModel, bool], Decisions],
    tell: Callable[[str, float], None],
) -> int:
    """Look for a look ahead with each of the parameters that were chosen; how many moments were tried."""
    distinct = list({str(one): one for one in chosen if one is not None}.values())
    tried = 0
    for place, parameters in enumerate(distinct):
        needs = bench.strategy.needs(parameters)
        tried += look_ahead.check(
            bench.shown(needs),
            partial(begun, parameters, True),
            bench.prepared(needs).shown,
            bench.plan.seed,
            lambda share, place=place: tell("check", (place + share) / len(distinct)),  # type: ignore[misc]
        )
    return tried


def _tested(outcome: Outcome, shown: Stream, terms: Terms, begin: int, last: int) -> Metrics | None:
    """The figures of the account in a window, by its rows."""
    curve = outcome.curve
    since, until = int(shown.views["end"][begin]), int(shown.views["end"][last - 1])
    marks = slice(*np.searchsorted(curve.time, [since, until + 1]).tolist())
    cash = float(curve.equity[marks.start - 1]) if marks.start > 0 else terms.cash
    if cash <= 0:
        return None
    trades, fills = outcome.trades, outcome.fills
    return measure(
        Curve(curve.time[marks], curve.equity[marks], curve.cash[marks], curve.exposure[marks]),
        trades[(trades["exit_row"] >= begin) & (trades["exit_row"] < last)],
        fills[(fills["row"] >= begin) & (fills["row"] < last)],
        terms._replace(begin=int(shown.views["start"][begin]), cash=cash),
    )


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else nan
