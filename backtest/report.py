"""What a report of a run shows, whatever it is written as; and how its figures are worded."""

import datetime as dt
from math import isfinite
from typing import Any, Final, Literal, NamedTuple

from backtest.buckets import Calibration, HitBucket, SlippageBucket
from backtest.curve import Curve, Numbers
from backtest.luck import Odds
from backtest.luck_words import said_of_one
from backtest.metrics import Metrics
from backtest.monte_carlo import PERCENTILES, MonteCarlo, Spread, said
from market.symbols import Symbol
from trading.records import Records

Form = Literal["fraction", "money", "number", "count", "days", "time", "years"]


class Chart(NamedTuple):
    """One symbol's bars, to be drawn with what was traded on them."""

    symbol: Symbol
    interval: str
    bars: Records
    """Records with start (ns), open, high, low, close and volume, in order; not adjusted where fills are not."""


class Section(NamedTuple):
    """A part of a report that only some runs have: sentences, and a table."""

    heading: str
    lines: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Report(NamedTuple):
    """One run as its reports show it."""

    title: str
    """The strategy and its parameters."""
    subtitle: str
    """Symbols, interval and span."""
    currency: str
    """Of the account."""
    dated: bool
    """Whether moments are shown as dates: for daily bars and longer ones."""
    facts: tuple[tuple[str, str], ...]
    """What was run on what: names and values."""
    assumptions: tuple[tuple[str, str], ...]
    """How orders fill and what that costs: names and values."""
    notes: tuple[str, ...]
    """What a reader must know before trusting the figures, a sentence each."""
    metrics: Metrics
    curve: Curve
    months: dict[str, float]
    """Returns by `YYYY-MM`."""
    benchmark: Metrics
    """Of buying everything at the first open and holding it."""
    benchmark_equity: Numbers
    """At the marks of `curve`."""
    benchmark_months: dict[str, float]
    charts: tuple[Chart, ...]
    trades: Records
    symbols: tuple[Symbol, ...]
    hits: tuple[HitBucket, ...]
    slips: tuple[SlippageBucket, ...]
    calibrated: Calibration
    odds: Odds | None = None
    """Whether the run is luck."""
    drawn: MonteCarlo | None = None
    """Its trades drawn anew; None if they were too few, or it was not asked for."""
    sections: tuple[Section, ...] = ()
    """Shown before the figures."""
    bounds: tuple[int, ...] = ()
    """Moments (ns) that are marked in the picture of the equity."""


SECTIONS: Final[tuple[tuple[str, tuple[tuple[str, str, Form], ...]], ...]] = (
    (
        "Money and growth",
        (
            ("equity_end", "Equity at the end", "money"),
            ("total_return", "Return", "fraction"),
            ("cagr", "Growth a year (CAGR)", "fraction"),
            ("best_month", "Best month", "fraction"),
            ("worst_month", "Worst month", "fraction"),
            ("best_period", "Best period", "fraction"),
            ("worst_period", "Worst period", "fraction"),
        ),
    ),
    (
        "Risk",
        (
            ("volatility", "Volatility a year", "fraction"),
            ("sharpe", "Sharpe", "number"),
            ("sortino", "Sortino", "number"),
            ("calmar", "Calmar", "number"),
            ("drawdown_max", "Deepest drawdown", "fraction"),
            ("drawdown_mean", "Mean drawdown", "fraction"),
            ("drawdown_days_max", "Longest drawdown", "days"),
            ("drawdown_days_mean", "Mean drawdown's length", "days"),
        ),
    ),
    (
        "Trades",
        (
            ("trades", "Trades", "count"),
            ("win_rate", "Win rate", "fraction"),
            ("profit_factor", "Profit factor", "number"),
            ("expectancy", "Expectancy", "money"),
            ("expectancy_return", "Mean return", "fraction"),
            ("payoff", "Payoff (mean win / mean loss)", "number"),
            ("sqn", "SQN", "number"),
            ("kelly", "Kelly", "fraction"),
            ("best_trade", "Best trade", "fraction"),
            ("worst_trade", "Worst trade", "fraction"),
            ("wins_in_a_row", "Most wins in a row", "count"),
            ("losses_in_a_row", "Most losses in a row", "count"),
            ("holding_days_mean", "Mean time held", "days"),
        ),
    ),
    (
        "Exposure and costs",
        (
            ("exposure", "Time in the market", "fraction"),
            ("exposure_mean", "Mean exposure", "fraction"),
            ("fills", "Fills", "count"),
            ("turnover", "Turnover a year", "years"),
            ("fees", "Fees", "money"),
            ("slippage", "Slippage", "money"),
            ("slippage_bps", "Slippage, bps", "number"),
        ),
    ),
)
"""Figures as they are shown: name in `Metrics`, label, form."""

OF_TRADES: Final = frozenset(name for heading, rows in SECTIONS if heading == "Trades" for name, _, _ in rows)
"""Figures that say nothing of a benchmark that never sells."""


def worded(value: Any, form: Form, currency: str = "") -> str:
    """A figure for people; a dash where it cannot be said.

    >>> worded(0.1234, "fraction"), worded(-1234.5, "money", "USD"), worded(float("nan"), "number")
    ('12.34 %', '-1,234.50 USD', '-')
    """
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return "-"
    if form == "fraction":
        return f"{value * 100:,.2f} %"
    if form == "money":
        return f"{value:,.2f} {currency}".rstrip()
    if form == "count":
        return f"{value:,d}"
    if form == "days":
        return f"{value:,.1f} days"
    if form == "years":
        return f"{value:,.1f} x"
    if form == "time":
        return moment(value)
    return f"{value:,.2f}"


def price(value: float) -> str:
    """A price with all its digits up to ten, as people write it.

    >>> price(1234.5), price(0.000012345), price(100.0)
    ('1234.5', '0.000012345', '100')
    """
    text = f"{value:.10g}"
    return f"{value:.12f}".rstrip("0").rstrip(".") if "e" in text else text


def moment(time_ns: int) -> str:
    """A moment for people, UTC: a date alone at midnight.

    >>> moment(1_704_067_200 * 10**9), moment(1_704_117_600 * 10**9)
    ('2024-01-01', '2024-01-01 14:00')
    """
    at = dt.datetime.fromtimestamp(time_ns // 10**9, dt.UTC)
    return f"{at:%Y-%m-%d}" if time_ns % (86_400 * 10**9) == 0 else f"{at:%Y-%m-%d %H:%M}"


def when(report: Report, time_ns: int) -> str:
    """A moment as the report shows it."""
    return moment(time_ns)[:10] if report.dated else moment(time_ns)


DRAWN_COLUMNS: Final = ("of its trades", "the run", *(f"{place} %" for place in PERCENTILES))


def drawn_rows(found: MonteCarlo) -> list[tuple[str, ...]]:
    """What came of trades drawn anew, with the columns `DRAWN_COLUMNS`."""

    def row(label: str, spread: Spread) -> tuple[str, ...]:
        return (label, worded(spread.actual, "fraction"), *(worded(each, "fraction") for each in spread.percentiles))

    return [
        row("Return, drawn with replacement", found.total_return),
        row("Deepest drawdown, drawn with replacement", found.drawdown),
        row("Deepest drawdown, in another order", found.shuffled),
    ]


def luck_lines(report: Report) -> list[str]:
    """Sentences on whether the run is luck."""
    one = [said_of_one(report.odds)] if report.odds is not None else []
    return [*one, *([said(report.drawn)] if report.drawn is not None else [])]


class Year(NamedTuple):
    """A year's row of the table of months."""

    year: str
    months: tuple[float | None, ...]
    """January to December; None outside the run."""
    total: float
    """Return of the months that there are, chained."""
    benchmark: float


def years(report: Report) -> list[Year]:
    """The table of months, oldest year first."""
    rows = []
    for year in sorted({month[:4] for month in report.months}):
        names = [f"{year}-{month:02d}" for month in range(1, 13)]
        rows.append(
            Year(
                year,
                tuple(report.months.get(name) for name in names),
                _chained(report.months, names),
                _chained(report.benchmark_months, names),
            )
        )
    return rows


def _chained(months: dict[str, float], names: list[str]) -> float:
    grown = 1.0
    for name in names:
        grown *= 1 + months.get(name, 0.0)
    return grown - 1
