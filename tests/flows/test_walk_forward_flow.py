"""A walk-forward from its form: its windows are drawn, what they promised beside what they kept."""

import pytest
from ran.daily_desk import daily_desk, noted
from ran.flows import run_here

from flows.walk_forward import walk_forward

ASKED = {
    "strategy": "sma-cross",
    "symbols": ["KRAKEN:BTCUSD"],
    "parameters": {"fast": [2, 4], "slow": [6, 9]},
    "train": "3m",
    "test": "1m",
    "jobs": 1,
    "fetch": False,
}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A desk with 200 daily bars of one symbol, from a January's first day on."""
    return daily_desk(tmp_path / "desk", monkeypatch, 200)


@pytest.mark.parametrize("how", ["rolling", "anchored"])
def test_what_each_window_promised_stands_beside_what_it_kept(desk, monkeypatch, how):
    """Three months to learn from and one to test, over half a year and some days: April to July."""
    ran = run_here(walk_forward, monkeypatch, **ASKED, how=how)

    assert ran.state.is_completed(), ran.message
    assert ran.message.startswith("sma-cross KRAKEN:BTCUSD 1d: 4 windows: return ")
    (one,) = noted(desk).values()
    assert one.kind == "walk-forward"
    page = ran.published["walk-forward-sma-cross"]
    assert page.count("data:image/png;base64,") == 2
    assert "![Sharpe of each window, learned and tested](" in page
    assert "/windows.csv)" in page
    assert "## Windows" in page


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train": "9y"}, "--train 9y"),
        ({"parameters": {"quick": [1]}}, "has no parameter 'quick'"),
        ({"symbols": ["KRAKEN:ETHUSD"]}, "no bars of KRAKEN:ETHUSD 1d"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:20],
)
def test_what_cannot_be_walked_fails_with_a_sentence_and_writes_nothing(desk, monkeypatch, changes, words):
    ran = run_here(walk_forward, monkeypatch, **ASKED | changes)
    assert ran.state.is_failed()
    assert words in ran.message
    assert not desk.runs.exists()
