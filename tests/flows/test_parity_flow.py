"""The nightly proof from its form: certificates, what is shown of them, and who is told of a difference."""

import sqlite3
from contextlib import closing

import pytest
from ran.flows import run_here
from ran.journaled import BEGIN, MINUTE
from ran.papered import Papered, rng
from ran.strategies import HIGHER, WISHES

from backtest.certificates import certificates
from flows import parity as flow
from flows.backtest import backtest
from flows.parity import parity

COINS = ("SIM:BTCUSD", "SIM:ETHUSD")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A desk with two paper runs that saw twenty minutes."""
    folder = tmp_path / "desk"
    monkeypatch.setenv("POCKETQUANT_DATA_DIR", str(folder))
    with closing(Papered(folder)) as made:
        made.streams = [made.stream(symbol) for symbol in COINS]
        made.trade()
        made.runs = [
            made.start(WISHES, COINS[:1], asked_at=BEGIN + MINUTE),
            made.start(HIGHER, COINS, name="other", asked_at=BEGIN + MINUTE),
        ]
        made.walk(made.streams, 20, rng(3))
        made.trade()
        yield made


def test_each_run_is_proven_and_shown_and_the_next_night_goes_on_from_there(desk, monkeypatch):
    ran = run_here(parity, monkeypatch)
    assert ran.state.is_completed(), ran.message
    assert ran.message.startswith("2 paper runs are equal to the rerun, in ")
    page = ran.published["parity"]
    assert page.count("| equal |") == 2
    assert all(run in page for run in desk.runs)
    assert "data:image/png;base64," in page
    first = certificates(desk.book, desk.runs[0])
    assert [one.result for one in first] == ["equal"]

    desk.walk(desk.streams, 5, rng(4), first=20)
    desk.trade()
    assert run_here(parity, monkeypatch).state.is_completed()
    _, second = certificates(desk.book, desk.runs[0])
    assert second.from_seq == first[0].to_seq


def test_a_difference_fails_the_run_with_its_name_and_stops_no_other(desk, monkeypatch):
    """A run that fails is an alert of the desk, and goes to the addresses of `notify`."""
    fill = desk.book.rows("fills", desk.runs[0])[1]
    with closing(sqlite3.connect(desk.book.where)) as book, book:
        book.execute("UPDATE fills SET price = price + 1 WHERE run = ? AND number = ?", (fill["run"], fill["number"]))
    ran = run_here(parity, monkeypatch)

    assert ran.state.is_failed()
    assert ran.message.startswith(f"1 of 2 paper runs: {desk.runs[0]} (mine) is different: fills {fill['number']} ")
    assert f"price is {fill['price'] + 1!r} on paper and {fill['price']!r} in the rerun" in ran.message
    page = ran.published["parity"]
    assert "### What is not equal" in page
    assert page.index("| different |") < page.index("| equal |")


def test_a_run_that_ended_and_was_proven_to_its_end_is_not_made_again(desk, monkeypatch):
    """Each night would go through all that there ever were."""
    desk.ask(desk.runs[0], "stop")
    desk.walk(desk.streams, 2, rng(4), first=20)
    desk.trade()
    for _ in range(2):
        assert run_here(parity, monkeypatch).state.is_completed()
    assert len(certificates(desk.book, desk.runs[0])) == 1
    assert len(certificates(desk.book, desk.runs[1])) == 2
    assert run_here(parity, monkeypatch, run="mine", whole=True).message.startswith("1 paper run is equal")
    assert len(certificates(desk.book, desk.runs[0])) == 2


def test_a_form_may_ask_for_fills_by_the_ticks_that_were_journaled(desk, monkeypatch):
    """What paper trading would have come to, of any strategy."""
    asked = {"strategy": "sma-cross", "symbols": [COINS[0]], "interval": "1m", "parameters": {"fast": 2, "slow": 4}}
    ran = run_here(backtest, monkeypatch, **asked, filled_by="ticks")
    assert ran.state.is_completed(), ran.message
    assert "tick" in ran.published["backtest-sma-cross"]


def test_a_desk_without_paper_runs_has_a_quiet_night(tmp_path, monkeypatch):
    """And gets no book by being asked."""
    monkeypatch.setenv("POCKETQUANT_DATA_DIR", str(tmp_path))
    ran = run_here(parity, monkeypatch)
    assert (ran.state.is_completed(), ran.message) == (True, "no paper run has begun yet")
    asked = run_here(parity, monkeypatch, run="sma-cross")
    words = "no paper run 'sma-cross': there are runs of none, and `pq paper status` lists them"
    assert (asked.state.is_failed(), asked.message) == (True, words)
    assert not (tmp_path / "paper.sqlite").exists()


@pytest.mark.parametrize("count", [1, flow.TASKS, flow.TASKS + 1, 200])
def test_every_run_is_in_one_task_and_tasks_are_few(count):
    names = {f"{number:012x}": f"sma-cross {number:012x}" for number in range(count)}
    found = flow._batches(names)
    assert [run for _, some in found for run in some] == list(names)
    assert len(found) <= flow.TASKS
