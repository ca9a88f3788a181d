"""What a run is measured by. `docs/metrics-of-runs.md` has the formula and the convention of each figure."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np

from backtest.curve import DAY_NS, Curve, Days, Numbers, Walk, walk
from backtest.trade_figures import TradeFigures, figures
from market.intervals import Interval
from trading.records import Records

NAN: Final = float("nan")
YEAR_NS: Final = 365.25 * DAY_NS

_BY_LENGTH: Final = {Interval.W1: 52, Interval.MO1: 12}


class Terms(NamedTuple):
    """What the figures need to know of a run beside its results."""

    begin: int
    """Start of the first bar, ns."""
    cash: float
    """Equity at that moment, > 0."""
    periods_per_year: int
    """By which daily figures become yearly ones."""
    each_mark: bool = False
    """Each mark of the curve is a period, not each day: for weekly and monthly bars."""
    days: Days | None = None
    """The days that periods are, where they are not UTC's."""
    risk_free: float = 0.0
    """Return a year of what is taken to be without risk."""


def periods_per_year(interval: Interval, round_the_clock: bool) -> int:
    """Days (or weeks, months: the bars themselves) that a year of trading has.

    >>> periods_per_year(Interval.H1, True), periods_per_year(Interval.D1, False), periods_per_year(Interval.W1, False)
    (365, 252, 52)
    """
    return _BY_LENGTH.get(interval, 365 if round_the_clock else 252)


@dataclass(frozen=True, slots=True)
class Metrics:
    """All figures of one run. Fractions are fractions (0.1 is 10 %); NaN is "cannot be said", null in JSON."""

    begin: int
    """Start of the first bar, ns."""
    end: int
    """End of the last bar, ns."""
    years: float
    """Of 365.25 days."""
    equity_start: float
    equity_end: float
    equity_highest: float
    equity_lowest: float
    total_return: float
    cagr: float
    volatility: float
    sharpe: float
    sortino: float
    calmar: float
    drawdown_max: float
    drawdown_mean: float
    drawdowns: int
    drawdown_days_max: float
    drawdown_days_mean: float
    deepest_from: int
    """ns; last mark at the peak before the deepest drawdown."""
    deepest_at: int
    """ns; its lowest mark."""
    deepest_to: int | None
    """ns; first mark at or above the peak again; None if there is none."""
    best_period: float
    worst_period: float
    best_month: float
    worst_month: float
    trades: int
    win_rate: float
    profit_factor: float
    expectancy: float
    expectancy_return: float
    average_win: float
    average_loss: float
    payoff: float
    sqn: float
    kelly: float
    best_trade: float
    worst_trade: float
    wins_in_a_row: int
    losses_in_a_row: int
    holding_days_mean: float
    holding_days_max: float
    exposure: float
    exposure_mean: float
    fills: int
    turnover: float
    fees: float
    slippage: float
    slippage_bps: float

    def plain(self) -> dict[str, Any]:
        """The figures by name as JSON has them: what cannot be said is None."""
        return {name: plain(value) for name, value in asdict(self).items()}


def plain(value: Any) -> Any:
    """A number as JSON has it."""
    return None if isinstance(value, float) and not isfinite(value) else value


def measure(curve: Curve, trades: Records, fills: Records, terms: Terms) -> Metrics:
    """Measure a run.

    Args:
        curve: At least one mark.
        trades: `TRADE` records by exit, positions open at the end among them.
        fills: `FILL` records.
        terms: What else there is to know.
    """
    return measure_walked(curve, trades, fills, terms)[0]


def measure_walked(curve: Curve, trades: Records, fills: Records, terms: Terms) -> tuple[Metrics, Walk]:
    """The same, with the walk along the curve that it took."""
    walked = walk(curve, terms.begin, terms.cash, terms.days, terms.each_mark)
    return measure_by(walked, int(curve.time[-1]), trades, fills, terms), walked


def measure_by(walked: Walk, end: int, trades: Records, fills: Records, terms: Terms) -> Metrics:
    """The same of a walk along the curve that was taken, and the moment (ns) of its last mark."""
    made: TradeFigures = figures(trades)
    last = float(walked.closes[-1])
    years = (end - terms.begin) / YEAR_NS
    returns = period_returns(walked, terms.cash)
    of_months = np.array(list(month_returns(walked, terms.cash).values()))
    growth = cagr(terms.cash, last, years)
    traded, slipped, fees = _traded(fills)
    return Metrics(
        begin=terms.begin,
        end=end,
        years=years,
        equity_start=terms.cash,
        equity_end=last,
        equity_highest=walked.highest,
        equity_lowest=walked.lowest,
        total_return=last / terms.cash - 1,
        cagr=growth,
        volatility=volatility(returns, terms.periods_per_year),
        sharpe=sharpe(returns, terms.periods_per_year, terms.risk_free),
        sortino=sortino(returns, terms.periods_per_year, terms.risk_free),
        calmar=growth / walked.drawdown_max if walked.drawdown_max > 0 else NAN,
        drawdown_max=walked.drawdown_max,
        drawdown_mean=walked.drawdown_mean,
        drawdowns=walked.drawdowns,
        drawdown_days_max=walked.duration_max / DAY_NS,
        drawdown_days_mean=walked.duration_mean / DAY_NS,
        deepest_from=walked.deepest_from,
        deepest_at=walked.deepest_at,
        deepest_to=None if walked.deepest_to < 0 else walked.deepest_to,
        best_period=float(returns.max()),
        worst_period=float(returns.min()),
        best_month=float(of_months.max()),
        worst_month=float(of_months.min()),
        **made._asdict(),
        exposure=walked.exposed,
        exposure_mean=walked.exposure_mean,
        fills=len(fills),
        turnover=traded / walked.mean / years if walked.mean > 0 and years > 0 else NAN,
        fees=fees,
        slippage=slipped,
        slippage_bps=slipped / traded * 1e4 if traded > 0 else NAN,
    )


def period_returns(walked: Walk, cash: float) -> Numbers:
    """Return of each period, the first one's from the cash at the start on."""
    return _changes(walked.closes, cash)


def month_returns(walked: Walk, cash: float) -> dict[str, float]:
    """Return of each calendar month with a period in it, by `YYYY-MM`; of the first one from the cash at the start."""
    months = walked.dates.astype("datetime64[D]").astype("datetime64[M]")
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    return dict(zip(months[last].astype(str).tolist(), _changes(walked.closes[last], cash).tolist(), strict=True))


def cagr(first: float, last: float, years: float) -> float:
    """Growth a year, compounded; NaN for less than a day, and -1 where nothing is left.

    >>> cagr(100.0, 121.0, 2.0)
    0.10000000000000009
    """
    if years * YEAR_NS < DAY_NS:
        return NAN
    if last <= 0:
        return -1.0
    try:
        return float((last / first) ** (1 / years) - 1)
    except OverflowError:
        return NAN


def volatility(returns: Numbers, periods: int) -> float:
    """Sample standard deviation of the periods' returns x sqrt(periods a year)."""
    return float(returns.std(ddof=1) * np.sqrt(periods)) if len(returns) > 1 else NAN


def sharpe(returns: Numbers, periods: int, risk_free: float = 0.0) -> float:
    """Mean over sample standard deviation of the periods' returns above the risk-free one x sqrt(periods a year)."""
    if len(returns) < 2:
        return NAN
    spread = float(returns.std(ddof=1))
    return float((returns.mean() - risk_free / periods) / spread * np.sqrt(periods)) if spread > 0 else NAN


def sortino(returns: Numbers, periods: int, risk_free: float = 0.0) -> float:
    """The same over the root of the mean square of the returns below the risk-free one, the others counted as 0."""
    above = returns - risk_free / periods
    below = float(np.sqrt(np.mean(np.minimum(above, 0.0) ** 2)))
    return float(above.mean() / below * np.sqrt(periods)) if below > 0 and len(returns) > 1 else NAN


def _changes(values: Numbers, first: float) -> Numbers:
    before = np.concatenate([[first], values[:-1]])
    # Of equity at or below nothing there is no return: the period counts as the end of it.
    alive = before > 0
    changes: Numbers = np.full(len(values), 0.0)
    np.divide(values, before, out=changes, where=alive)
    changes[alive] -= 1.0
    return changes


def _traded(fills: Records) -> tuple[float, float, float]:
    """Notional, slippage and fees of fills, account currency."""
    rated = fills["units"] * fills["rate"]
    return float((rated * fills["price"]).sum()), float((rated * fills["slippage"]).sum()), float(fills["fee"].sum())
