"""Runs and their trades are found again as they were written."""

import pytest

from sinks.run_book import Noted, RunBook

TRADE = ("SIM:BTCUSD", "long", 2.5, 10, 20, 100.0, 110.0, 25.0, 0.1, 0.0, "signal", "end")


def noted(run="1a2b3c", *, made_at=1, **changes):
    fields = {
        "run": run,
        "kind": "backtest",
        "made_at": made_at,
        "strategy": "sma-cross",
        "source_hash": "00ff",
        "parameters": {"fast": 10, "slow": 30},
        "symbols": ("SIM:BTCUSD",),
        "interval": "1h",
        "begin": 10,
        "end": 20,
        "folder": "somewhere",
        "metrics": {"sharpe": 0.1 + 0.2, "cagr": None},
        "manifest": {"format": 1},
    }
    return Noted(**(fields | changes))


@pytest.fixture
def book(tmp_path):
    """An empty book."""
    with RunBook(tmp_path / "history.sqlite") as found:
        yield found


def test_a_run_is_read_as_it_was_written(book):
    book.note(noted(), [TRADE, TRADE])

    assert book.runs() == [noted()]
    assert book.trades("1a2b3c") == [TRADE, TRADE]


def test_a_run_made_again_takes_its_own_place(book):
    """Its id is made of all that it depends on, so it is the same run."""
    book.note(noted(), [TRADE, TRADE])
    book.note(noted(made_at=2, folder="elsewhere"), [TRADE])

    assert book.runs() == [noted(made_at=2, folder="elsewhere")]
    assert len(book.trades("1a2b3c")) == 1


def test_runs_come_newest_first_and_are_found_by_how_they_begin(book):
    for place, run in enumerate(("1a00", "1b00", "2a00")):
        book.note(noted(run, made_at=place), [])

    assert [one.run for one in book.runs()] == ["2a00", "1b00", "1a00"]
    assert [one.run for one in book.runs(limit=1)] == ["2a00"]
    assert [one.run for one in book.find("1")] == ["1b00", "1a00"]
    assert book.find("%") == []


def test_runs_of_one_kind_in_a_folder_are_forgotten_with_their_trades_and_no_others(book):
    """Each night makes runs of its own; what somebody asked for stays."""
    book.note(noted("old0", kind="nightly", folder="nights/1/a"), [TRADE])
    book.note(noted("new0", kind="nightly", folder="nights/12/a"), [TRADE])
    book.note(noted("mine", folder="nights/1/b"), [TRADE])

    assert book.forget("nightly", "nights/1") == 1
    assert {one.run for one in book.runs()} == {"new0", "mine"}
    assert [len(book.trades(run)) for run in ("old0", "new0", "mine")] == [0, 1, 1]
