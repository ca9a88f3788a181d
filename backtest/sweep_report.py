"""What a report of a sweep shows, whatever it is written as."""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.heat_map import HeatMap, Profile, heat_maps, profiles
from backtest.luck_words import said_of_best
from backtest.report import SECTIONS, Form, Report, worded
from backtest.space import worded as parameters_worded
from backtest.sweep import METRICS, Sweep, figure

ROWS_MAX: Final = 200
"""Candidates of the page's table."""

_FORMS: Final[dict[str, tuple[str, Form]]] = {name: (label, form) for _, rows in SECTIONS for name, label, form in rows}
COLUMNS: Final = {
    "total_return": "return",
    "cagr": "CAGR",
    "sharpe": "Sharpe",
    "sortino": "Sortino",
    "calmar": "Calmar",
    "drawdown_max": "drawdown",
    "trades": "trades",
    "win_rate": "win rate",
    "profit_factor": "profit factor",
}
"""Figures of the table of candidates, and their heads; the one that they are ranked by comes first."""


class SweepReport(NamedTuple):
    """A sweep as its reports show it."""

    title: str
    subtitle: str
    metric: str
    """By which candidates are ranked, as in `Metrics`."""
    notes: tuple[str, ...]
    """What a reader must know before trusting it."""
    lucky: str
    """Whether the best is luck, in a sentence or two."""
    facts: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    """Of the parameters that were swept."""
    columns: tuple[str, ...]
    """Names in `Metrics` of the figures of the table."""
    rows: tuple[tuple[tuple[str, ...], tuple[float | None, ...]], ...]
    """The best candidates, the best first: their swept parameters, and their figures."""
    ranked: int
    """Candidates that could be ranked."""
    maps: tuple[HeatMap, ...]
    profiles: tuple[Profile, ...]
    values: NDArray[np.float64]
    """The figure of each candidate that could be ranked."""
    expected: float
    """The Sharpe ratio that the best of so many without an edge would show; NaN where it cannot be said."""
    swept: tuple[dict[str, Any], ...]
    """All candidates' swept parameters, by place."""
    best: Report
    """Of the best, as a backtest of its own."""


def label(name: str) -> str:
    """A figure as people call it."""
    return _FORMS[name][0] if name in _FORMS else name.replace("_", " ").capitalize()


def heads(report: SweepReport) -> list[str]:
    """Of the table of candidates."""
    return [*report.names, *(COLUMNS.get(name, label(name).lower()) for name in report.columns)]


def cells(report: SweepReport, place: int) -> list[str]:
    """A row of the table of candidates, for people."""
    parameters, figures = report.rows[place]
    words = (figure_worded(name, value, "") for name, value in zip(report.columns, figures, strict=True))
    return [*parameters, *words]


def figure_worded(name: str, value: float | None, currency: str) -> str:
    """A figure of a candidate for people."""
    form: Form = _FORMS[name][1] if name in _FORMS else "number"
    return worded(value, form, currency)


def report_of(done: Sweep) -> SweepReport:
    """What is to be shown of a sweep."""
    found, hunt, best = done.candidates, done.hunt, done.run.report
    names = tuple(axis.name for axis in done.space.axes)
    columns = (hunt.metric, *(name for name in COLUMNS if name != hunt.metric))
    values = np.full(len(found.parameters), np.nan)
    values[done.order] = found.figures[hunt.metric].cast(float).to_numpy()[done.order]
    swept = tuple({name: one[name] for name in names} for one in found.parameters)
    sign = METRICS[hunt.metric]
    return SweepReport(
        title=f"Sweep of {done.strategy.name} by {label(hunt.metric)}",
        subtitle=best.subtitle,
        metric=hunt.metric,
        notes=(*_notes(done), *best.notes),
        lucky=said_of_best(done.luck),
        facts=_facts(done),
        names=names,
        columns=columns,
        rows=tuple(
            (
                tuple(parameters_worded({name: swept[place][name]}).partition("=")[2] for name in names),
                tuple(figure(found, place, name) for name in columns),
            )
            for place in done.order[:ROWS_MAX].tolist()
        ),
        ranked=len(done.order),
        maps=tuple(heat_maps(found, done.space.axes, values, sign)),
        profiles=tuple(profiles(found, done.space.axes, values, sign)),
        values=values[done.order],
        expected=done.luck.expected,
        swept=swept,
        best=best,
    )


def _notes(done: Sweep) -> list[str]:
    tried = len(done.candidates.parameters)
    chosen = (
        "The best was chosen on the very bars that its figures are of: on others it will do worse. A walk-forward "
        "(`pq sweep --walk-forward rolling`) says how much."
    )
    said = [chosen]
    if done.refused.number:
        combinations = "combination was" if done.refused.number == 1 else "combinations were"
        said.append(f"{done.refused.number:,} {combinations} not tried: {done.refused.examples[0]}, for one.")
    if done.failed:
        one = done.failed[0]
        combinations = "combination" if len(done.failed) == 1 else "combinations"
        said.append(
            f"Nothing came of {len(done.failed):,} {combinations}, {parameters_worded(one.parameters)} among them: "
            f"{one.why}."
        )
    few = tried - len(done.order)
    if few:
        trades = "made no trade" if done.hunt.least_trades < 2 else f"made fewer than {done.hunt.least_trades:,} trades"
        cannot = f"have no {label(done.hunt.metric)} that can be said"
        said.append(f"{few:,} of {tried:,} {trades}, or {cannot}: they are not ranked.")
    return said


def _facts(done: Sweep) -> tuple[tuple[str, str], ...]:
    hunt = done.hunt
    size = done.space.size
    return (
        ("strategy", f"{done.strategy.name}, {'ours' if done.strategy.ours else 'yours'}"),
        ("source", done.plan.source_hash),
        *((f"tried of {name}", text) for name, text in hunt.space.items()),
        ("combinations", "without number" if size is None else f"{size:,}"),
        ("tried", f"{len(done.candidates.parameters) + len(done.failed):,}"),
        ("search", hunt.search if hunt.search == "grid" else f"{hunt.search}, {hunt.trials:,} trials"),
        ("ranked by", label(hunt.metric).lower()),
        ("least trades", str(hunt.least_trades)),
        ("seed", str(hunt.seed)),
    )
