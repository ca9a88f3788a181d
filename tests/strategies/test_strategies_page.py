"""The examples on the page of strategies run as they are printed."""

import re
from pathlib import Path

import numpy as np
import pytest
from closed_bars import views

from strategies.loader.files import OURS, from_source

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "strategies.md").read_text()


def test_ours_are_all_on_the_page():
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == set(OURS)


@pytest.mark.parametrize("source", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_an_example_decides_the_same_in_both_ways(make, source):
    closes = np.round(100 + np.random.default_rng(3).standard_normal(300).cumsum(), 2)
    bars = views(closes, highs=closes + 1, lows=closes - 1)
    strategy = from_source("of-the-page", Path("of_the_page.py"), source)
    compiled, plain = make(strategy), make(strategy, compiled=False)
    assert compiled.mode == "compiled", compiled.why
    if strategy.places_orders:
        found, wanted = compiled.requests(bars), plain.requests(bars)
        assert found.counts.tolist() == wanted.counts.tolist()
        assert set(found.counts.tolist()) == {0, 4}
        assert found.orders.tobytes() == wanted.orders.tobytes()
    else:
        np.testing.assert_array_equal(compiled.exposures(bars), plain.exposures(bars))
        assert set(plain.exposures(bars)[100:].tolist()) == {0.0, 1.0}
