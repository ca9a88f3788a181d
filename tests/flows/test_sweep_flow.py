"""A sweep from its form: what is tried, shown, written, and refused."""

import pytest
from ran.daily_desk import daily_desk, noted
from ran.flows import run_here

from flows.sweep import sweep

ASKED = {
    "strategy": "sma-cross",
    "symbols": ["KRAKEN:BTCUSD"],
    "parameters": {"fast": "2:6:2", "slow": [6, 9, 12]},
    "jobs": 1,
    "fetch": False,
}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A desk with 200 daily bars of one symbol."""
    return daily_desk(tmp_path / "desk", monkeypatch, 200)


def test_a_sweep_has_a_map_of_what_it_tried_and_the_best_of_it(desk, monkeypatch):
    ran = run_here(sweep, monkeypatch, **ASKED)

    assert ran.state.is_completed(), ran.message
    (one,) = noted(desk).values()
    assert (one.kind, one.strategy) == ("sweep", "sma-cross")
    # Of nine combinations one has a fast average as long as the slow one.
    assert ran.message.startswith("sma-cross KRAKEN:BTCUSD 1d: the best of 8 is fast=")
    assert f"run {one.run}" in ran.message
    page = ran.published["sweep-sma-cross"]
    assert page.count("data:image/png;base64,") == 2
    assert "![Sharpe by fast and slow](" in page
    folder = desk.runs / f"sma-cross-sweep-{one.run}"
    assert f"(/reports/{folder.name}/report.html)" in page
    assert f"(/reports/{folder.name}/best/report.html)" in page
    assert (folder / "best" / "report.html").is_file()


def test_one_parameter_alone_is_a_line(desk, monkeypatch):
    ran = run_here(sweep, monkeypatch, **ASKED | {"parameters": {"fast": "2:8:2"}})
    assert ran.state.is_completed(), ran.message
    assert "![Sharpe by fast](" in ran.published["sweep-sma-cross"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": {"quick": [1, 2]}}, "has no parameter 'quick'"),
        ({"parameters": {"fast": "9:2"}}, "parameter fast: 9:2 does not go up"),
        ({"parameters": {"fast": "50:60:10", "slow": [20]}}, "fast 50 is not below slow 20"),
        ({"strategy": "sma"}, "no strategy 'sma'"),
        ({"assumed": {"slippage": "much"}}, "slippage 'much'"),
        ({"symbols": ["KRAKEN:ETHUSD"]}, "no bars of KRAKEN:ETHUSD 1d"),
        ({"start": "2026-01-02", "end": "2026-01-02"}, "is not after the start"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:20],
)
def test_what_cannot_be_swept_fails_with_a_sentence_and_writes_nothing(desk, monkeypatch, changes, words):
    ran = run_here(sweep, monkeypatch, **ASKED | changes)
    assert ran.state.is_failed()
    assert words in ran.message
    assert not desk.runs.exists()
