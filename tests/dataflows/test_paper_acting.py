"""Splits and dividends reach paper runs once, before the session that begins without them."""

import datetime as dt

import pytest
from ran.running import loops
from traded.paper_desk import MINUTE, SECOND, PaperDesk

from dataflows.paper.acting import LEAD_NS, Acting, Holding
from market.actions import dividend, split
from market.symbols import Symbol
from sinks.actions_book import ActionsBook
from sinks.paper_book import open_paper_book

AAPL = Symbol("NASDAQ", "AAPL")
TUESDAY = 1_699_972_200 * SECOND
"""14 November 2023, 14:30 UTC: a session opens in New York."""
WEDNESDAY = TUESDAY + 1440 * MINUTE
THURSDAY = WEDNESDAY + 1440 * MINUTE
RUN = Holding("aaaa", ("NASDAQ:AAPL", "SIM:BTCUSD"), TUESDAY + MINUTE, "USD")


@pytest.fixture
def history(tmp_path):
    return tmp_path / "history.sqlite"


@pytest.fixture
def known(history):
    """Note actions down, as a fetch does."""

    def note(*actions):
        with ActionsBook(history) as book:
            book.note(actions, TUESDAY)

    return note


@pytest.fixture
def acting(tmp_path, history):
    """What asks, the book it asks in, and what it reports."""
    reports = []
    with open_paper_book(tmp_path / "bars.sqlite", tmp_path / "paper.sqlite") as book:

        def make(run=RUN):
            return Acting(history, book, lambda: [run], lambda name, text: reports.append((name, text)))

        yield make, book, reports


def test_an_action_is_asked_for_once_shortly_before_its_open(acting, known):
    """Also by who comes after a restart; and what counted before the run is none of its business."""
    make, book, reports = acting
    known(
        split(AAPL, dt.date(2023, 11, 14), 7.0, "file"),
        split(AAPL, dt.date(2023, 11, 15), 4.0, "file"),
        dividend(AAPL, dt.date(2023, 11, 15), 0.24, "USD", "file"),
    )
    first = make()
    assert first.look(WEDNESDAY - LEAD_NS - 1, 0) == 0
    assert first.look(WEDNESDAY - LEAD_NS, 0) == 2
    assert first.look(WEDNESDAY, 0) == make().look(WEDNESDAY + MINUTE, 0) == 0

    body = {"symbol": "NASDAQ:AAPL", "time": WEDNESDAY, "date": "2023-11-15"}
    assert [(one.run, one.action, one.body) for one in book.controls()] == [
        ("aaaa", "dividend", {**body, "value": 0.24}),
        ("aaaa", "split", {**body, "value": 4.0}),
    ]
    assert reports == []


def test_what_came_about_while_the_desk_was_down_is_asked_for_as_of_its_moment(acting, known):
    """The journal's rows of that time are still to be gone over, and it takes effect among them."""
    make, book, _ = acting
    known(split(AAPL, dt.date(2023, 11, 15), 4.0, "file"))

    assert make().look(TUESDAY + 60 * MINUTE, WEDNESDAY + 600 * MINUTE) == 1
    assert [one.asked_at for one in book.controls()] == [WEDNESDAY - LEAD_NS]


def test_what_becomes_known_during_the_day_counts_the_next_time_it_is_looked(acting, known, history):
    make, book, _ = acting
    one = make()
    assert one.look(TUESDAY + 60 * MINUTE, 0) == 0
    assert not history.exists()
    known(split(AAPL, dt.date(2023, 11, 15), 2.0, "file"))
    assert one.look(TUESDAY + 61 * MINUTE, 0) == 0
    known(split(AAPL, dt.date(2023, 11, 15), 4.0, "file"))
    assert one.look(WEDNESDAY - MINUTE, 0) == 1
    assert [one.body["value"] for one in book.controls()] == [4.0]


def test_what_cannot_be_done_any_more_is_told_once(acting, known):
    """Shares bought after the open were bought at the new price; and a dividend in euros is no dollars."""
    make, book, reports = acting
    known(
        split(AAPL, dt.date(2023, 11, 15), 4.0, "file"),
        dividend(AAPL, dt.date(2023, 11, 16), 0.24, "EUR", "file"),
    )
    one = make()
    assert one.look(WEDNESDAY + 1440 * MINUTE, 0) == one.look(WEDNESDAY + 1441 * MINUTE, 0) == 0

    assert book.controls() == []
    assert sorted(text for _, text in reports) == [
        "paper run aaaa: dividend of NASDAQ:AAPL on 2023-11-16: the account is in USD",
        "paper run aaaa: split of NASDAQ:AAPL on 2023-11-15: it became known only after that session's open",
    ]


def test_a_run_that_holds_shares_over_a_split_loses_nothing(tmp_path, known, history):
    """Four shares for one at a quarter of the price; in the evening nothing is asked for, in the morning it is done."""
    desk = PaperDesk(tmp_path / "desk", symbols=("NASDAQ:AAPL",), loops=loops())

    def day(price, begin):
        for second in range(0, 180, 10):
            desk.tick("NASDAQ:AAPL", price, begin + second * SECOND)
        desk.clock(desk.now + 10 * SECOND)
        desk.make_bars()
        desk.trade(history=history)

    day(400.0, WEDNESDAY + MINUTE)
    run = desk.start("buy-and-hold", exposure=0.5)
    desk.trade(history=history)
    day(400.0, WEDNESDAY + 5 * MINUTE)
    known(split(AAPL, dt.date(2023, 11, 16), 4.0, "file"))
    desk.trade(history=history)
    (evening,) = desk.rows("runs", run)
    desk.clock(THURSDAY - MINUTE)
    desk.trade(history=history)
    day(100.0, THURSDAY)
    desk.trade(history=history)
    (morning,) = desk.rows("runs", run)
    asked = [(one.action, one.applied_seq is not None) for one in desk.book.controls()]
    desk.close()

    assert asked[-1] == ("split", True)
    assert [one["units"] for one in evening["positions"]] == [pytest.approx(12.5, abs=1e-6)]
    assert [one["units"] for one in morning["positions"]] == [pytest.approx(50, abs=1e-5)]
    assert morning["equity"] == evening["equity"] == pytest.approx(10_000)
