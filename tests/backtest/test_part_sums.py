"""What is summed and walked in parts comes to the same as all of it at once, to the last bit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.curve import Curve, Walker, walk
from backtest.part_sums import PartSum


@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=12), st.integers(0, 2**32 - 1))
def test_a_sum_in_parts_is_numpys(sizes: list[int], seed: int) -> None:
    """Figures of a sweep are those of a backtest: a rounding more or less would be another figure."""
    numbers = np.random.default_rng(seed).normal(1e4, 300, sum(sizes))
    total = PartSum(len(numbers))
    for part in np.split(numbers, np.cumsum(sizes)[:-1]):
        total.add(part)
    assert total.total() == numbers.sum()


@pytest.mark.parametrize("each_mark", [False, True])
@pytest.mark.parametrize("marks", [700, 9_000])
def test_a_walk_in_parts_is_the_whole(marks: int, each_mark: bool) -> None:
    """In plain Python and compiled, with days and drawdowns that go on from one part to the next."""
    random = np.random.default_rng(7)
    equity = 1e4 * np.exp(np.cumsum(random.normal(0, 0.01, marks)))
    time = 1_600_000_000 * 10**9 + np.arange(1, marks + 1) * 600 * 10**9
    curve = Curve(time, equity, equity.copy(), np.ones(marks))
    begin = int(time[0]) - 600 * 10**9
    for cut in (1, 17, 256, 699):
        walker = Walker(begin, 1e4, None, each_mark, marks, int(time[0]), int(time[-1]))
        for place in range(0, marks, cut):
            part = slice(place, place + cut)
            walker.go(Curve(time[part], equity[part], equity[part], curve.exposure[part]))
        found = walker.walk(marks, float(curve.exposure.sum()), float(equity.sum()))
        whole = walk(curve, begin, 1e4, None, each_mark)
        assert found.dates.tolist() == whole.dates.tolist()
        assert found.closes.tolist() == whole.closes.tolist()
        assert found[2:] == whole[2:]
