"""The healer's book: gaps and the bars above them, kept over restarts."""

import pytest

from market.intervals import Interval
from market.symbols import Symbol
from sinks.heal_book import Above, AboveState, GapNote, HealBook

BTC, ETH = Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD")


@pytest.fixture
def book(tmp_path):
    with HealBook(tmp_path / "history.sqlite") as made:
        yield made


def test_notes_of_gaps_are_kept_and_replaced(book, tmp_path):
    book.note_gap(GapNote(7, 100, 2, 3, 1000, "binance", "one page failed"), [(40, 60), (80, 90)])
    book.note_gap(GapNote(7, 200, 3, 4, 2000, "binance+kraken", ""), [(150, 160)])
    book.note_gap(GapNote(8, 5, 0, 0, 10, "", "nobody lists it"))
    with HealBook(tmp_path / "history.sqlite") as again:
        assert again.gap_notes()[7] == GapNote(7, 200, 3, 4, 2000, "binance+kraken", "")
        assert again.lacking() == {7: [(40, 60), (80, 90), (150, 160)]}
        again.forget_gaps([7])
        assert (list(again.gap_notes()), again.lacking()) == ([8], {})


def test_bars_above_come_by_symbol_interval_and_start(book):
    hour, day = Above(BTC, Interval.H1, 60, 120), Above(BTC, Interval.D1, 0, 1440)
    other = Above(ETH, Interval.M3, 3, 6)
    book.want_above([other, day, hour, hour])
    assert book.above() == [hour, day, other]

    book.settle_above([hour._replace(state=AboveState.DONE), day._replace(state=AboveState.GIVEN_UP, why="no one")])
    assert book.above(AboveState.DUE) == [other]
    assert book.above(AboveState.GIVEN_UP) == [day._replace(state=AboveState.GIVEN_UP, why="no one")]


def test_a_bar_that_was_made_is_wanted_again_only_if_it_was_made(book):
    """A late tick amends a bar: one that the healer never touched is none of its business."""
    made, waiting, foreign = (Above(BTC, Interval.H1, start, start + 60) for start in (0, 60, 120))
    book.want_above([made, waiting])
    book.settle_above([made._replace(state=AboveState.DONE)])

    assert book.renew_above([made, waiting, foreign]) == 1
    assert book.above(AboveState.DUE) == [made, waiting]
    assert book.above(AboveState.DONE) == []


def test_what_was_made_long_ago_is_forgotten_and_what_is_due_is_not(book):
    old, new = Above(BTC, Interval.H1, 0, 60), Above(BTC, Interval.H1, 60, 120)
    book.want_above([old, new, Above(ETH, Interval.H1, 0, 60)])
    book.settle_above([old._replace(state=AboveState.DONE), new._replace(state=AboveState.DONE)])
    book.forget_above(100)

    assert book.above() == [new._replace(state=AboveState.DONE), Above(ETH, Interval.H1, 0, 60)]


def test_the_log_is_looked_through_from_where_it_was_left(book):
    assert book.log_place("bars") == 0
    book.move_log_place("bars", 12)
    book.move_log_place("rebuild", 3)
    assert (book.log_place("bars"), book.log_place("rebuild")) == (12, 3)
