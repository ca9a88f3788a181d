"""What a walk-forward's report shows beside that of its account: its windows, and what of the promise was kept."""

from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from backtest.luck import Luck
from backtest.metrics import plain
from backtest.report import Report, Section, moment, worded
from backtest.space import worded as spelled
from backtest.walk_forward import Tested, WalkForward
from backtest.windows import parse_length

if TYPE_CHECKING:
    import polars as pl

FIGURES: Final = ("total_return", "cagr", "sharpe", "drawdown_max", "win_rate", "trades")
"""Of each window, once of what was learned from and once of what came next."""

_COLUMNS: Final = (
    "learned from", "tested until", "chosen", "its Sharpe", "no luck", "Sharpe", "return", "drawdown", "trades",
)  # fmt: skip


def report_of(found: WalkForward) -> Report:
    """The account's report, with the windows."""
    report, walk, hunt = found.run.report, found.walk, found.hunt
    train, test = parse_length(walk.train).words, parse_length(walk.test).words
    facts = [
        ("windows", f"{len(found.windows)}, {walk.how}: learn from {train}, test on {test}"),
        (
            "search",
            f"{hunt.search}, for the best {hunt.metric.replace('_', ' ')} with {hunt.least_trades} trades or more",
        ),
    ]
    return report._replace(
        title=f"Walk-forward of {report.title}",
        facts=(*report.facts, *facts),
        sections=(_section(found), *report.sections),
        bounds=tuple(one.fold.test_from for one in found.windows),
    )


def said(found: WalkForward) -> str:
    """The answer for people, in a sentence or two."""
    windows = [one.tested for one in found.windows if one.tested is not None]
    won = sum(one.total_return > 0 for one in windows)
    earned = worded(found.run.metrics.sharpe, "number")
    return (
        f"Chosen by what came before, the parameters made a Sharpe ratio of {earned} a year of what came next, where "
        f"they had shown {worded(found.learned_sharpe, 'number')} on average{_kept(found.kept)}. {won} of "
        f"{len(windows)} windows made money, and the choice {_changed(found.changes)}. Nothing of these figures was "
        "seen when the parameters were chosen, as long as nobody looks at them and tries again."
    )


def windows_frame(found: WalkForward) -> "pl.DataFrame":
    """The windows, a row each; times are `Datetime("ns", "UTC")`, what cannot be said is null.

    Columns: `window`, `train_from`, `test_from`, `test_to`, `tried`, `parameters`, of the choice `expected_sharpe`,
    `deflated_sharpe` and `reality_check` (see docs/luck.md), and each of `FIGURES` as `learned_...` and `tested_...`.
    """
    import polars as pl

    rows = [_row(number, one) for number, one in enumerate(found.windows, 1)]
    times = [pl.col(name).cast(pl.Datetime("ns", "UTC")) for name in ("train_from", "test_from", "test_to")]
    return pl.DataFrame(rows, schema_overrides=_schema(), infer_schema_length=None).with_columns(times)


def document(found: WalkForward) -> dict[str, Any]:
    """What `metrics.json` holds of it."""
    return {
        "windows": len(found.windows),
        "changes": found.changes,
        "learned_sharpe": plain(found.learned_sharpe),
        "learned_cagr": plain(found.learned_cagr),
        "kept": plain(found.kept),
        "efficiency": plain(found.efficiency),
        "said": said(found),
    }


def _kept(share: float) -> str:
    """What was left of a Sharpe ratio.

    >>> _kept(0.394), _kept(-1.07), _kept(1.2), _kept(float("nan"))
    (': 39 % of it was left', ': nothing of it was left', ': all of it was left, and more', '')
    """
    if not isfinite(share):
        return ""
    if share <= 0:
        return ": nothing of it was left"
    return ": all of it was left, and more" if share > 1 else f": {share * 100:.0f} % of it was left"


def _changed(times: int) -> str:
    return "never changed" if times == 0 else "changed once" if times == 1 else f"changed {times} times"


def _section(found: WalkForward) -> Section:
    columns = (
        "Of each window the parameters, their Sharpe ratio on what they were chosen by, and the chance that it was no "
        "luck (the deflated Sharpe ratio); then what the account made of the window."
    )
    return Section("Windows", (said(found), columns), _COLUMNS, tuple(_shown(found, one) for one in found.windows))


def _shown(found: WalkForward, one: Tested) -> tuple[str, ...]:
    chosen = "nothing" if one.parameters is None else spelled({name: one.parameters[name] for name in found.hunt.space})
    tested = one.tested

    def figure(name: str, form: Any) -> str:
        return "-" if tested is None else worded(getattr(tested, name), form)

    return (
        f"{_date(one.fold.train_from)} to {_date(one.fold.test_from)}",
        _date(one.fold.test_to),
        chosen,
        worded(one.learned.get("sharpe"), "number"),
        worded(None if one.luck is None else one.luck.deflated, "fraction"),
        figure("sharpe", "number"),
        figure("total_return", "fraction"),
        figure("drawdown_max", "fraction"),
        figure("trades", "count"),
    )


def _row(number: int, one: Tested) -> dict[str, Any]:
    asked: dict[str, Any] = {} if one.luck is None else _asked(one.luck)
    return {
        "window": number,
        "train_from": one.fold.train_from,
        "test_from": one.fold.test_from,
        "test_to": one.fold.test_to,
        "tried": one.tried,
        "parameters": None if one.parameters is None else spelled(one.parameters),
        **{name: asked.get(name) for name in _ASKED},
        **{f"learned_{name}": one.learned.get(name) for name in FIGURES},
        **{f"tested_{name}": None if one.tested is None else plain(getattr(one.tested, name)) for name in FIGURES},
    }


_ASKED: Final = ("expected_sharpe", "deflated_sharpe", "reality_check")


def _asked(found: Luck) -> dict[str, Any]:
    return dict(zip(_ASKED, map(plain, (found.expected, found.deflated, found.above_nothing)), strict=True))


def _schema() -> dict[str, Any]:
    import polars as pl

    whole = {f"{kind}_trades": pl.Int64 for kind in ("learned", "tested")}
    named = {f"{kind}_{name}": pl.Float64 for kind in ("learned", "tested") for name in FIGURES}
    return {**dict.fromkeys(_ASKED, pl.Float64), **named, **whole, "parameters": pl.String}


def _date(time_ns: int) -> str:
    return moment(time_ns)[:10]
