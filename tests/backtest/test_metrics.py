"""The figures of a run: by hand, and against libraries where these define the same."""

import dataclasses
import datetime as dt
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ran.records import START, curve, fills, trades

from backtest import curve as curve_module
from backtest.curve import DAY_NS, Curve, Days, drawdowns, walk
from backtest.metrics import (
    Metrics,
    Terms,
    cagr,
    measure,
    month_returns,
    period_returns,
    periods_per_year,
    sharpe,
    sortino,
    volatility,
)
from backtest.trade_figures import figures
from market.intervals import Interval

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXACT = 1e-12

curves = st.lists(st.integers(1, 300), min_size=1, max_size=60)


def measured(equity, *, cash=100.0, per_year=252, made=None, filled=None, **options):
    return measure(
        curve(equity),
        trades() if made is None else made,
        fills() if filled is None else filled,
        Terms(START, cash, per_year, **options),
    )


def test_figures_of_five_days_are_those_worked_out_by_hand():
    """100 -> 110 -> 99 -> 99 -> 121 -> 110: two drawdowns, of 10 % and of 1/11, the second one unrecovered."""
    found = measured([110, 99, 99, 121, 110])

    assert found.total_return == pytest.approx(0.1, abs=EXACT)
    assert found.drawdown_max == pytest.approx(0.1, abs=EXACT)
    assert found.drawdown_mean == pytest.approx((0.1 + 1 / 11) / 2, abs=EXACT)
    assert (found.drawdowns, found.drawdown_days_max, found.drawdown_days_mean) == (2, 3.0, 2.0)
    assert (found.deepest_from, found.deepest_at) == (START + DAY_NS, START + 2 * DAY_NS)
    assert found.deepest_to == START + 4 * DAY_NS
    assert (found.equity_highest, found.equity_lowest, found.equity_end) == (121, 99, 110)
    assert found.best_period == pytest.approx(22 / 99, abs=EXACT)
    assert found.worst_period == pytest.approx(-0.1, abs=EXACT)
    assert found.years == pytest.approx(5 / 365.25, abs=EXACT)
    assert found.cagr == pytest.approx(1.1 ** (365.25 / 5) - 1, rel=EXACT)
    assert found.calmar == pytest.approx(found.cagr / 0.1, rel=EXACT)


def returns_of(seed, count=500):
    return np.random.default_rng(seed).normal(4e-4, 0.012, count)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("risk_free", [0.0, 0.03])
def test_ratios_equal_those_of_empyrical(seed, risk_free):
    """Its rate is one a period."""
    import empyrical

    returns = returns_of(seed)
    a_day = risk_free / 252

    assert sharpe(returns, 252, risk_free) == pytest.approx(empyrical.sharpe_ratio(returns, a_day), rel=1e-9)
    assert sortino(returns, 252, risk_free) == pytest.approx(empyrical.sortino_ratio(returns, a_day), rel=1e-9)
    assert volatility(returns, 252) == pytest.approx(empyrical.annual_volatility(returns), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_ratios_equal_those_of_quantstats(seed):
    """It takes pandas' series of daily returns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import quantstats.stats as theirs

        returns = pd.Series(returns_of(seed), pd.date_range("2020-01-01", periods=500))
        found = measured(100 * np.cumprod(1 + returns.to_numpy()), per_year=365)

        assert found.sharpe == pytest.approx(theirs.sharpe(returns, periods=365), rel=1e-9)
        assert found.sortino == pytest.approx(theirs.sortino(returns, periods=365), rel=1e-9)
        assert found.volatility == pytest.approx(theirs.volatility(returns, periods=365), rel=1e-9)
        assert found.drawdown_max == pytest.approx(-theirs.max_drawdown(returns), rel=1e-9)
        assert found.total_return == pytest.approx(theirs.comp(returns), rel=1e-9)
        # Its year of a growth rate is of periods, ours of 365.25 days.
        assert found.cagr == pytest.approx(theirs.cagr(returns, periods=365.25), rel=1e-9)
        months = returns.resample("ME").apply(theirs.comp)
        assert found.best_month == pytest.approx(months.max(), rel=1e-9)
        assert found.worst_month == pytest.approx(months.min(), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_drawdowns_and_trades_equal_those_of_backtesting_py(seed):
    """It too counts a drawdown from the last bar at the peak to the first at it again, and P&L in money."""
    from backtesting import _stats as theirs

    rng = np.random.default_rng(seed)
    equity = 100 * np.cumprod(1 + returns_of(seed))
    index = pd.date_range("2024-01-02", periods=len(equity))
    fallen = pd.Series(1 - equity / np.maximum.accumulate(equity), index)
    durations, depths = theirs.compute_drawdown_duration_peaks(fallen)
    # The first mark is their peak to begin with, and ours is the cash.
    found = measured(equity, cash=equity[0])
    pnl = rng.normal(1, 10, 60)
    made = figures(trades(*((value, value / 1000) for value in pnl)))
    wins = (pnl > 0).mean()

    assert found.drawdown_mean == pytest.approx(depths.mean(), rel=1e-9)
    assert found.drawdown_max == pytest.approx(fallen.max(), rel=1e-9)
    assert found.drawdown_days_max == durations.max() / pd.Timedelta(days=1)
    assert made.sqn == pytest.approx(np.sqrt(60) * pnl.mean() / pd.Series(pnl).std(), rel=1e-9)
    assert made.kelly == pytest.approx(wins - (1 - wins) / (pnl[pnl > 0].mean() / -pnl[pnl < 0].mean()), rel=1e-9)


def test_figures_of_trades_are_those_worked_out_by_hand():
    """Gains 30 and 10, losses 20 and 10, one for nothing."""
    found = figures(trades((30, 0.3), (10, 0.1), (-20, -0.2), (-10, -0.1), (0, 0.0, 4, 9)))

    assert (found.trades, found.win_rate) == (5, 0.4)
    assert found.profit_factor == pytest.approx(40 / 30)
    assert found.expectancy == pytest.approx(2.0)
    assert found.expectancy_return == pytest.approx(0.02)
    assert (found.average_win, found.average_loss) == (20.0, -15.0)
    assert found.payoff == pytest.approx(20 / 15)
    assert found.kelly == pytest.approx(0.4 - 0.6 / (20 / 15))
    assert found.sqn == pytest.approx(np.sqrt(5) * 2 / np.sqrt((28**2 + 8**2 + 22**2 + 12**2 + 2**2) / 4))
    assert (found.best_trade, found.worst_trade) == (0.3, -0.2)
    assert (found.wins_in_a_row, found.losses_in_a_row) == (2, 2)
    assert (found.holding_days_mean, found.holding_days_max) == (9 / 5, 5.0)


def test_a_textbook_sqn_of_thirty_even_wins_is_what_tharp_says():
    """Half of 40 trades win 2 R and half lose 1 R: mean 0.5, deviation 1.5 x sqrt(40 / 39)."""
    found = figures(trades(*((2, 0.02), (-1, -0.01)) * 20))

    assert found.sqn == pytest.approx(np.sqrt(40) * 0.5 / (1.5 * np.sqrt(40 / 39)))
    # Kelly's own formula for a coin that pays two for one.
    assert found.kelly == pytest.approx(0.25)


def test_costs_and_turnover_are_those_worked_out_by_hand():
    """1,000 bought and 1,100 sold on an equity of 100 on average, in two days."""
    found = measured([90, 110], filled=fills((10, 100.0, 0.5, 1.0), (10, 110.0, 0.25, 2.0, -1)))

    assert found.fees == 3.0
    assert found.slippage == pytest.approx(7.5)
    assert found.slippage_bps == pytest.approx(7.5 / 2100 * 1e4)
    assert found.turnover == pytest.approx(2100 / 100 / (2 / 365.25))


def test_exposure_counts_marks_with_something_held():
    """Two of four marks, once all of the equity and once half of it."""
    found = walk(curve([1, 1, 1, 1], exposure=[0, 1, 0.5, 0]), START, 1.0)

    assert (found.exposed, found.exposure_mean) == (0.5, 0.375)


def test_an_intraday_curve_is_measured_by_days_and_its_drawdown_by_bars():
    """The day ends at 100 both times; in between stood 80."""
    found = walk(curve([120, 80, 100, 100], step=DAY_NS // 2), START, 100.0)

    assert found.closes.tolist() == [80, 100]
    assert found.drawdown_max == pytest.approx(1 / 3)


def test_a_mark_at_midnight_belongs_to_the_day_that_ends():
    found = walk(curve([1, 2]), START, 1.0)

    assert found.dates.tolist() == [START // DAY_NS, START // DAY_NS + 1]


def test_days_of_an_exchange_begin_when_its_sessions_do():
    """Futures begin Monday's session on Sunday evening: a mark at 23:00 is Monday's."""
    hour = DAY_NS // 24
    days = Days(START + np.array([-1, 23, 47]) * hour, START // DAY_NS + np.array([0, 1, 2]))
    marks = Curve(START + np.array([2, 23, 24, 48]) * hour, np.array([1.0, 2, 3, 4]), np.zeros(4), np.ones(4))
    found = walk(marks, START, 1.0, days)

    assert found.dates.tolist() == (START // DAY_NS + np.array([0, 1, 2])).tolist()
    assert found.closes.tolist() == [2, 3, 4]


def test_weekly_bars_are_their_own_periods():
    found = measure(curve([110, 121], step=7 * DAY_NS), trades(), fills(), Terms(START, 100.0, 52, each_mark=True))

    assert found.best_period == pytest.approx(0.1)
    assert periods_per_year(Interval.W1, round_the_clock=True) == 52
    assert periods_per_year(Interval.MO1, round_the_clock=False) == 12


def test_months_chain_to_the_total_return():
    equity = 100 * np.cumprod(1 + returns_of(3, 100))
    walked = walk(curve(equity), START, 100.0)
    months = month_returns(walked, 100.0)

    assert list(months) == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert np.prod([1 + value for value in months.values()]) == pytest.approx(equity[-1] / 100, rel=1e-12)
    assert months["2024-01"] == pytest.approx(equity[30] / 100 - 1)


@given(curves)
def test_a_compiled_walk_is_the_same_as_a_plain_one(equity):
    """Short curves are walked in plain Python, which needs no compiler."""
    exposure = [value % 3 / 2 for value in equity]
    marks = curve(equity, exposure=exposure)
    by_day = Days(START + DAY_NS * np.arange(0, 90, 7), np.arange(13))
    plain = [walk(marks, START, 100.0, days, each) for days, each in ((None, False), (by_day, False), (None, True))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curve_module, "PLAIN_MOST", 0)
        found = [walk(marks, START, 100.0, days, each) for days, each in ((None, False), (by_day, False), (None, True))]

    for one, other in zip(plain, found, strict=True):
        assert one.dates.tolist() == other.dates.tolist()
        assert one.closes.tolist() == other.closes.tolist()
        assert [*map(str, one[2:])] == [*map(str, other[2:])]


@given(curves)
def test_one_walk_finds_what_a_slow_look_at_the_whole_curve_finds(equity):
    """Drawdowns by running maxima, one mark after the other, in plain Python."""
    found = walk(curve(equity), START, 100.0)
    fallen = drawdowns(np.array(equity, float), 100.0)
    depths, depth = [], 0.0
    for value in fallen:
        if value > 0:
            depth = max(depth, value)
        elif depth:
            depths.append(depth)
            depth = 0.0
    depths += [depth] if depth else []

    assert found.drawdown_max == pytest.approx(max(depths, default=0.0), abs=EXACT)
    assert found.drawdowns == len(depths)
    assert (found.highest, found.lowest) == (max(100, *equity), min(100, *equity))
    assert found.closes.tolist() == equity
    if depths:
        assert found.drawdown_mean == pytest.approx(np.mean(depths), abs=EXACT)
        low = (found.deepest_at - START) // DAY_NS - 1
        assert fallen[low] == pytest.approx(found.drawdown_max, abs=EXACT)


@given(curves)
def test_returns_chain_to_the_end_of_the_curve(equity):
    walked = walk(curve(equity), START, 100.0)

    assert np.prod(1 + period_returns(walked, 100.0)) == pytest.approx(equity[-1] / 100, rel=1e-9)


def test_what_cannot_be_said_is_null_and_never_a_number():
    """One day without trades has no deviation, no win rate and nothing to divide by."""
    found = measured([100]).plain()

    nothing = (
        "volatility", "sharpe", "sortino", "calmar", "drawdown_mean", "win_rate", "profit_factor", "sqn", "kelly",
        "best_trade", "holding_days_mean", "slippage_bps", "deepest_to",
    )  # fmt: skip
    assert {name: found[name] for name in nothing} == dict.fromkeys(nothing)
    assert found["trades"] == 0
    assert found["drawdown_max"] == 0


def test_growth_a_year_is_not_told_of_less_than_a_day():
    assert np.isnan(cagr(100, 101, 0.5 / 365.25))
    assert cagr(100, 0, 2.0) == -1.0


def test_ruin_is_a_loss_of_all_and_the_days_after_it_return_nothing():
    found = measured([50, -10, -20])

    assert found.drawdown_max == pytest.approx(1.2)
    assert found.worst_period == pytest.approx(-1.2)
    assert found.cagr == -1.0


def test_the_page_of_figures_names_each_of_them():
    page = (DOCS / "metrics-of-runs.md").read_text(encoding="utf-8")

    missing = [field.name for field in dataclasses.fields(Metrics) if f"`{field.name}`" not in page]
    assert missing == []


def test_the_start_of_these_tests_is_the_monday_that_they_speak_of():
    assert dt.datetime.fromtimestamp(START / 1e9, dt.UTC).strftime("%A %Y-%m-%d") == "Monday 2024-01-01"


def test_figures_are_pythons_own_numbers_with_and_without_a_compiler(monkeypatch):
    """JSON takes no other."""
    plain = measured([110, 99, 121]).plain()
    monkeypatch.setattr(curve_module, "PLAIN_MOST", 0)
    compiled = measured([110, 99, 121]).plain()

    assert compiled == plain
    assert {type(value) for figures in (compiled, plain) for value in figures.values()} <= {int, float, type(None)}
