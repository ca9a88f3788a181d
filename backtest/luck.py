"""Whether a result is luck: of one run by its length and shape, and of the best of many by how many were tried.

Three questions, each with its own answer. The probabilistic Sharpe ratio asks whether a run was long enough to tell its
Sharpe ratio from nothing. The deflated one asks the same, with the best that as many tries without an edge would show
in the place of nothing. White's reality check makes histories in which none of those tried has an edge, and counts how
often the best of them does as well as ours.
Source: Bailey and Lopez de Prado, The Sharpe Ratio Efficient Frontier, Journal of Risk 15 (2012), and The Deflated
Sharpe Ratio, Journal of Portfolio Management 40 (2014); White, A Reality Check for Data Snooping, Econometrica 68
(2000).
"""

from math import e, nan, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from backtest.curve import Numbers
from backtest.resampling import block_length, weights

CONFIDENCE: Final = 0.95
"""How sure one has to be before something is said not to be luck."""
RESAMPLES: Final = 2_000
"""Histories that the reality check makes."""

_NORMAL: Final = NormalDist()
_EULER: Final = 0.5772156649015329
_CELLS: Final = 4_000_000
"""Of a matrix of resamples in hand at a time: 32 MB."""


class Shape(NamedTuple):
    """What a run's returns tell of its Sharpe ratio."""

    periods: int
    sharpe: float
    """Of a period, not of a year: mean over sample deviation. NaN of fewer than two periods, or where all are equal."""
    skewness: float
    """Third central moment over the deviation's cube: 0 is symmetric. NaN where there is no deviation."""
    kurtosis: float
    """Fourth central moment over the deviation's fourth power: 3 is normal. NaN where there is no deviation."""


class Odds(NamedTuple):
    """Whether one run is luck, had it been the only one tried. NaN is "cannot be said"."""

    periods: int
    sharpe: float
    """A year."""
    probabilistic: float
    """Probability that the true Sharpe ratio is above 0."""
    years_least: float
    """How long a run like this would have to last for that probability to be 95 %, in years of periods."""


class Luck(NamedTuple):
    """Whether the chosen one of many is luck. NaN is "cannot be said"."""

    trials: int
    """How many were tried."""
    independent: float
    """How many independent ones they are worth: 1 if all are the same."""
    odds: Odds
    """Of the chosen one, as if it had been the only one."""
    expected: float
    """Sharpe ratio a year that the best of so many without an edge is expected to show."""
    deflated: float
    """Probability that the true Sharpe ratio is above that."""
    block: float
    """Mean length of the pieces that histories are made of, periods."""
    resamples: int
    above_nothing: float
    """White's reality check: share of histories in which the best of those without an edge earns as much."""
    above_benchmark: float
    """The same for what was earned beyond the benchmark; NaN without one."""


def odds(returns: Numbers, periods_per_year: int) -> Odds:
    """Ask of one run whether it is luck.

    Args:
        returns: Of each period.
        periods_per_year: By which its Sharpe ratio becomes a year's.
    """
    found = shape(returns)
    return Odds(
        periods=found.periods,
        sharpe=found.sharpe * sqrt(periods_per_year),
        probabilistic=probabilistic_sharpe(found),
        years_least=track_record(found) / periods_per_year,
    )


def luck(
    daily: Numbers,
    place: int,
    periods_per_year: int,
    *,
    benchmark: Numbers | None = None,
    seed: int = 1,
    resamples: int = RESAMPLES,
) -> Luck:
    """Ask of the chosen one of many whether it is luck.

    Args:
        daily: Returns of each period: float64[candidates, periods]. All that were tried, the hopeless ones among them.
        place: Row of the chosen one.
        periods_per_year: By which Sharpe ratios become a year's.
        benchmark: float64[periods], which could have been held instead.
        seed: Of the histories.
        resamples: How many histories.
    """
    ours = daily[place]
    found = shape(ours)
    independent = independent_trials(daily)
    expected = expected_highest(sharpes(daily), independent)
    rng = np.random.default_rng(seed)
    block = block_length(ours)
    return Luck(
        trials=len(daily),
        independent=independent,
        odds=odds(ours, periods_per_year),
        expected=expected * sqrt(periods_per_year),
        deflated=probabilistic_sharpe(found, expected),
        block=block,
        resamples=resamples,
        above_nothing=reality_check(daily, block, rng, resamples),
        above_benchmark=nan if benchmark is None else reality_check(daily - benchmark, block, rng, resamples),
    )


def shape(returns: Numbers) -> Shape:
    """Sharpe ratio of a period, skewness and kurtosis, all of them as the sample has them."""
    count = len(returns)
    if count < 2 or np.ptp(returns) == 0:
        return Shape(count, nan, nan, nan)
    away = returns - returns.mean()
    squares = float(np.mean(away**2))
    return Shape(
        periods=count,
        sharpe=float(returns.mean()) / sqrt(squares * count / (count - 1)),
        skewness=float(np.mean(away**3)) / squares**1.5,
        kurtosis=float(np.mean(away**4)) / squares**2,
    )


def probabilistic_sharpe(found: Shape, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio is above a benchmark; both are a period's.

    Two years of months at 0.458 are told from nothing if they are normal, and not if they are lopsided as hedge funds':

    >>> round(probabilistic_sharpe(Shape(24, 0.458, 0.0, 3.0)), 3)
    0.982
    >>> round(probabilistic_sharpe(Shape(24, 0.458, -2.448, 10.164)), 3)
    0.913
    """
    spread = _spread(found)
    if not spread > 0:
        return nan
    return _NORMAL.cdf((found.sharpe - benchmark) * sqrt(found.periods - 1) / sqrt(spread))


def track_record(found: Shape, benchmark: float = 0.0, confidence: float = CONFIDENCE) -> float:
    """Periods after which a Sharpe ratio like this is told from a benchmark; NaN if it is not above it.

    >>> round(track_record(Shape(24, 2 / 252**0.5, 0.0, 3.0), 1 / 252**0.5) / 252, 2)
    2.73
    """
    spread = _spread(found)
    if not spread > 0 or found.sharpe <= benchmark:
        return nan
    return 1 + spread * (_NORMAL.inv_cdf(confidence) / (found.sharpe - benchmark)) ** 2


def sharpes(daily: Numbers) -> Numbers:
    """Sharpe ratio of a period of each candidate: float64[candidates]; 0 of one that never earned or lost anything."""
    if daily.shape[1] < 2:
        return np.zeros(len(daily))
    spread = daily.std(axis=1, ddof=1)
    found: Numbers = np.zeros(len(daily))
    np.divide(daily.mean(axis=1), spread, out=found, where=np.ptp(daily, axis=1) > 0)
    return found


def independent_trials(daily: Numbers) -> float:
    """How many independent candidates these are worth, 1 to all: c + (1 - c) x candidates, c their mean correlation.

    Candidates that never moved are correlated with none.
    """
    count, periods = daily.shape
    if count < 2 or periods < 2:
        return float(count)
    moved = daily[np.ptp(daily, axis=1) > 0]
    away = moved - moved.mean(axis=1, keepdims=True)
    away /= np.sqrt((away**2).sum(axis=1, keepdims=True))
    # The sum over all pairs is that of the square of the sum, less each one with itself.
    pairs = float((away.sum(axis=0) ** 2).sum()) - len(moved)
    mean = float(np.clip(pairs / (count * (count - 1)), 0, 1))
    return float(mean + (1 - mean) * count)


def expected_highest(ratios: Numbers, trials: float) -> float:
    """The highest Sharpe ratio that so many candidates without an edge are expected to show, by how theirs differ.

    Args:
        ratios: The candidates'.
        trials: How many independent ones they are worth.
    """
    if len(ratios) < 2 or trials <= 1:
        return 0.0
    high = (1 - _EULER) * _NORMAL.inv_cdf(1 - 1 / trials) + _EULER * _NORMAL.inv_cdf(1 - 1 / (trials * e))
    # Of hardly more than one the formula, which is made for many, falls below nothing.
    return max(high, 0.0) * float(ratios.std(ddof=1))


def reality_check(daily: Numbers, block: float, rng: np.random.Generator, resamples: int = RESAMPLES) -> float:
    """White's reality check: how likely a best mean at least as high is if none is truly above 0.

    Each history's means are less the means that there were, which makes a world without an edge. The one that there was
    counts as a history, so the share is never 0.

    Args:
        daily: float64[candidates, periods], less the benchmark's if there is one.
        block: Mean length of the pieces, periods.
        rng: Where chance comes from.
        resamples: How many histories.

    Returns:
        The share of the histories; NaN without two periods.
    """
    candidates, periods = daily.shape
    if periods < 2 or candidates == 0:
        return nan
    means = daily.mean(axis=1)
    best = float(means.max())
    at_once = max(_CELLS // max(periods, candidates), 1)
    as_good, left = 0, resamples
    while left > 0:
        drawn = weights(rng, min(at_once, left), periods, block)
        without = drawn @ daily.T / periods - means
        # What adds up in another order may differ in its last bits.
        as_good += int((without.max(axis=1) >= best - 1e-12 * abs(best)).sum())
        left -= len(drawn)
    return (as_good + 1) / (resamples + 1)


def _spread(found: Shape) -> float:
    """Variance of the estimate of a Sharpe ratio, times the periods less one; NaN where there is none."""
    return 1 - found.skewness * found.sharpe + (found.kurtosis - 1) / 4 * found.sharpe**2
