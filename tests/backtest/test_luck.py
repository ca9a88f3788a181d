"""Whether a result is luck: the papers' own numbers, another library's, and worlds small enough to be counted."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import quantstats.stats
from hypothesis import given
from hypothesis import strategies as st

from backtest.luck import (
    Luck,
    Odds,
    Shape,
    expected_highest,
    independent_trials,
    luck,
    odds,
    probabilistic_sharpe,
    reality_check,
    shape,
    sharpes,
    track_record,
)
from backtest.luck_words import said_of_best, said_of_one

YEAR = 250
FIVE_YEARS = 1_250
BLAS = 1e-9


def noise(candidates, periods, seed=3):
    """Independent returns of 1 % a period; the stream never changes."""
    return np.random.RandomState(seed).standard_normal((candidates, periods)) * 0.01


def spread_like(count, variance):
    """Ratios whose sample variance is this."""
    ratios = np.linspace(-1, 1, count)
    return ratios * math.sqrt(variance / ratios.var(ddof=1))


def test_a_hedge_funds_two_years_are_the_papers_probabilities():
    """The Sharpe Ratio Efficient Frontier, its example: 0.982 if returns were normal, 0.913 as they are."""
    assert probabilistic_sharpe(Shape(24, 0.458, 0.0, 3.0)) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(Shape(24, 0.458, -2.448, 10.164)) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(("periods", "skewness", "kurtosis", "years"), [
    (252, 0.0, 3.0, 2.73), (52, 0.0, 3.0, 2.83), (12, 0.0, 3.0, 3.24), (12, -0.72, 5.78, 4.99),
])  # fmt: skip
def test_the_least_track_record_is_the_papers(periods, skewness, kurtosis, years):
    """A Sharpe ratio of 2 a year told from one of 1 with 95 %: its years by days, weeks, months, and hedge funds'."""
    found = Shape(0, 2 / math.sqrt(periods), skewness, kurtosis)

    assert track_record(found, 1 / math.sqrt(periods)) / periods == pytest.approx(years, abs=5e-3)


def test_the_best_of_a_hundred_is_deflated_as_in_the_paper():
    """The Deflated Sharpe Ratio, its example: 2.5 a year over five years of days, ratios of variance 1/2 a year."""
    found = Shape(FIVE_YEARS, 2.5 / math.sqrt(YEAR), -3.0, 10.0)
    ratios = spread_like(100, 0.5 / YEAR)
    expected = expected_highest(ratios, 100)

    assert expected == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(found, expected) == pytest.approx(0.9004, abs=5e-5)


def test_fewer_tries_would_have_been_believed_as_in_the_paper():
    """The same with 46 tries, and with 88 if returns were normal: 0.9505 each."""
    ratios = spread_like(100, 0.5 / YEAR)
    lopsided, normal = Shape(FIVE_YEARS, 2.5 / math.sqrt(YEAR), -3.0, 10.0), Shape(1_250, 2.5 / math.sqrt(YEAR), 0, 3)

    assert probabilistic_sharpe(lopsided, expected_highest(ratios, 46)) == pytest.approx(0.9505, abs=5e-5)
    assert probabilistic_sharpe(normal, expected_highest(ratios, 88)) == pytest.approx(0.9505, abs=5e-5)


def test_the_shape_of_four_returns_is_the_one_worked_out_by_hand():
    """0, 0, 0, 4: mean 1, squares 1 + 1 + 1 + 9, cubes -1 - 1 - 1 + 27, fourth powers 1 + 1 + 1 + 81."""
    found = shape(np.array([0.0, 0.0, 0.0, 4.0]))

    assert found.sharpe == pytest.approx(1 / 2)
    assert found.skewness == pytest.approx(6 / 3**1.5)
    assert found.kurtosis == pytest.approx(21 / 9)


@given(st.integers(0, 2**32), st.integers(200, 600))
def test_the_probability_is_another_librarys(seed, count):
    """QuantStats takes sample estimates of skewness and kurtosis: hence the tolerance."""
    returns = np.random.default_rng(seed).standard_t(6, count) * 0.01 + 0.0004
    theirs = quantstats.stats.probabilistic_ratio(pd.Series(returns))

    assert probabilistic_sharpe(shape(returns)) == pytest.approx(theirs, abs=2e-3)


def test_ratios_are_those_of_each_candidate_and_what_never_traded_has_none():
    daily = np.vstack([noise(3, 50), np.zeros(50)])

    assert sharpes(daily).tolist() == [*(shape(row).sharpe for row in daily[:3]), 0.0]


@given(st.integers(2, 30), st.integers(3, 60), st.integers(0, 2**32))
def test_correlation_is_the_mean_over_all_pairs(candidates, periods, seed):
    """Against every pair of NumPy's table."""
    common = np.random.default_rng(seed).normal(size=periods)
    daily = np.random.default_rng(seed + 1).normal(size=(candidates, periods)) + common
    table = np.corrcoef(daily)
    mean = table[~np.eye(candidates, dtype=bool)].mean()

    assert independent_trials(daily) == pytest.approx(
        np.clip(mean, 0, 1) + (1 - np.clip(mean, 0, 1)) * candidates, abs=BLAS
    )


def test_the_same_candidate_many_times_is_one_trial():
    same = np.repeat(noise(1, 300), 40, axis=0)

    assert independent_trials(same) == pytest.approx(1)
    assert luck(same, 0, YEAR).expected == 0
    assert luck(same, 0, YEAR).deflated == pytest.approx(odds(same[0], YEAR).probabilistic)


def test_the_reality_check_of_three_periods_is_that_of_all_its_histories():
    """Two candidates; the 27 histories of single periods, each as likely, counted one by one."""
    daily = np.array([[0.03, -0.01, 0.02], [-0.02, 0.01, 0.02]])
    means = daily.mean(axis=1)
    histories = np.array(list(itertools.product(range(3), repeat=3)))
    best = (daily[:, histories].mean(axis=2) - means[:, None]).max(axis=0)
    exact = (best >= means.max() - 1e-12).mean()

    assert 0.05 < exact < 0.95
    assert reality_check(daily, 1, np.random.default_rng(1), 40_000) == pytest.approx(exact, abs=0.01)


@pytest.mark.parametrize(("block", "theirs"), [(1, 0.65705), (5, 0.6579), (20, 0.6693)])
def test_the_reality_check_is_another_librarys(block, theirs):
    """`SPA(0, -returns, studentize=False, bootstrap="stationary", reps=20000)` of arch 8.0.0, its upper p."""
    daily = noise(6, 400)
    daily[3] += 0.0008

    assert reality_check(daily, block, np.random.default_rng(1), 10_000) == pytest.approx(theirs, abs=0.015)


def test_in_a_world_without_an_edge_one_best_in_twenty_passes():
    """The promise of p: with 5 % asked for, about 5 % of 300 sweeps of noise pass."""
    worlds = noise(300 * 8, 120).reshape(300, 8, 120)
    passed = [reality_check(world, 1, np.random.default_rng(2), 199) <= 0.05 for world in worlds]

    assert 0.02 <= np.mean(passed) <= 0.09


def test_what_is_held_against_a_benchmark_is_what_it_earned_beyond_it():
    daily = noise(5, 250) + 0.002
    found = luck(daily, 0, YEAR, benchmark=np.full(250, 0.002))

    assert found.above_nothing < 0.05 < found.above_benchmark


def test_the_same_seed_says_the_same():
    daily = noise(5, 250)

    assert str(luck(daily, 1, YEAR, seed=7)) == str(luck(daily, 1, YEAR, seed=7))


def test_an_edge_is_told_from_luck_and_noise_is_not():
    """A hundred without an edge; then one of them earns 0.3 % a period."""
    daily = noise(100, 1_000)
    chosen = int(sharpes(daily).argmax())
    lucky = luck(daily, chosen, YEAR)
    daily[chosen] += 0.003
    real = luck(daily, chosen, YEAR)

    assert lucky.odds.probabilistic > 0.95 > lucky.deflated
    assert real.deflated > 0.95
    assert real.above_nothing < 0.05 < lucky.above_nothing
    assert "may well be luck" in said_of_best(lucky)
    assert "is hardly luck" in said_of_best(real)


def test_a_sentence_says_what_was_asked_and_found():
    found = Luck(100, 90.0, Odds(500, 1.25, 0.98, 1.4), 1.1, 0.617, 2.0, 2_000, 0.2, math.nan)

    assert said_of_best(found) == (
        "The one chosen of 100 may well be luck: so many without an edge are expected to show a Sharpe ratio of 1.10 "
        "at best, its own is 1.25, and the chance that it is truly above theirs is 61.7 % (95 % is asked for); in "
        "20.0 % of histories without an edge the best of them earns as much (5 % or less is asked for)."
    )
    assert "beyond buy and hold in 40.0 %" in said_of_best(found._replace(above_benchmark=0.4))
    assert "may be luck" in said_of_best(found._replace(deflated=0.96))


def test_one_run_is_told_how_long_it_would_have_to_last():
    assert said_of_one(Odds(500, 0.8, 0.87, 4.231)) == (
        "Had nothing else been tried, this may well be luck: the chance that the Sharpe ratio is truly above 0 is "
        "87.0 %; for 95 % it would have to last 4.2 years. Whatever else was tried makes it likelier to be luck, and a "
        "sweep says by how much."
    )
    assert "hardly luck" in said_of_one(Odds(500, 2.0, 0.99999, 0.7))


@pytest.mark.parametrize("returns", [[], [0.01], [0.0] * 50, [0.001] * 50])
def test_what_is_too_short_or_too_even_is_said_so(returns):
    """A strategy that never traded, or one day of it, has no Sharpe ratio: no number is made up."""
    daily = np.array([returns, returns], float)
    found = luck(daily, 0, YEAR)

    assert math.isnan(found.deflated)
    assert "too few or too even" in said_of_best(found)
    assert "too few or too even" in said_of_one(odds(daily[0], YEAR))


def test_without_an_edge_nothing_is_asked():
    losing = noise(2, 100) - 0.01

    assert "not above 0" in said_of_best(luck(losing, 0, YEAR))
    assert "not above 0" in said_of_one(odds(losing[0], YEAR))
    assert math.isnan(odds(losing[0], YEAR).years_least)
