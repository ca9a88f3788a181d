"""Histories made of pieces: drawn as the paper says, and pieces as long as its authors' own rule has them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.resampling import block_length, drawn, weights


def autoregressive(count, share):
    """Values each of which is a share of the one before and something new; NumPy never changes this stream."""
    made = np.random.RandomState(0).standard_normal(count + 100)
    for place in range(1, len(made)):
        made[place] += share * made[place - 1]
    return made[100:]


def chance(history, block):
    """Probability of a history, worked out step by step: each step begins a piece or goes on with it."""
    periods = len(history)
    found = 1 / periods
    for before, now in itertools.pairwise(history):
        found *= 1 / block / periods + (1 - 1 / block) * (now == (before + 1) % periods)
    return found


@pytest.mark.parametrize("block", [1, 1.5, 4])
def test_each_history_comes_as_often_as_the_paper_says(block):
    """All 27 histories of three periods: a wrong wrap, or pieces of another length, would show in some."""
    histories = drawn(np.random.default_rng(1), 100_000, 3, block)
    seen = dict.fromkeys(itertools.product(range(3), repeat=3), 0)
    for history, times in zip(*np.unique(histories, axis=0, return_counts=True), strict=True):
        seen[tuple(history.tolist())] = int(times)

    assert sum(chance(history, block) for history in seen) == pytest.approx(1)
    assert {history: times / 100_000 for history, times in seen.items()} == pytest.approx(
        {history: chance(history, block) for history in seen}, abs=0.005
    )


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 30), st.floats(1, 40))
def test_every_history_is_as_long_as_the_first_and_weights_count_its_periods(seed, resamples, periods, block):
    histories = drawn(np.random.default_rng(seed), resamples, periods, block)
    counted = weights(np.random.default_rng(seed), resamples, periods, block)

    assert histories.shape == (resamples, periods)
    assert ((histories >= 0) & (histories < periods)).all()
    assert (counted.sum(axis=1) == periods).all()
    assert counted[0].tolist() == np.bincount(histories[0], minlength=periods).tolist()


def test_pieces_are_as_long_as_another_library_has_them():
    """`optimal_block_length` of arch, whose own test has this very series: 13.635665."""
    assert block_length(autoregressive(10_000, 0.3)) == pytest.approx(13.635665, rel=1e-6)


def test_pieces_of_short_series_are_as_long_as_another_library_has_them():
    """`optimal_block_length` of arch 8.0.0 on independent values; what it has below 1 is a single period."""
    noise = np.random.RandomState(3).standard_normal((6, 400)) * 0.01
    noise[3] += 0.0008

    assert [block_length(values) for values in noise] == pytest.approx(
        [1, 1.168450, 2.352805, 1, 2.463699, 2.052608], rel=1e-6
    )


def test_pieces_of_waves_are_as_long_as_another_library_has_them():
    """The same; the first two are at the bound, three times the root of 400."""
    time = np.arange(400)
    waves = [np.sin(time * (0.7 + 0.13 * k) + k) + 0.05 * k * np.cos(time * 0.05) + 0.02 * k for k in range(6)]

    assert [block_length(values) for values in waves] == pytest.approx(
        [60, 60, 4.771653, 29.485301, 23.142452, 30.815523], rel=1e-6
    )


def test_what_never_changes_or_is_hardly_there_has_pieces_of_one_period():
    assert block_length(np.ones(100)) == 1
    assert block_length(np.array([0.1, 0.2, 0.3])) == 1
    assert block_length(np.array([0.1])) == 1
