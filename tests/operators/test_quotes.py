"""Quotes are thinned out, and what is the latest stays the latest."""

from itertools import pairwise
from math import isnan, nan

from hypothesis import given
from hypothesis import strategies as st

from operators.quotes import Conflation, Latest, newest_ticks, with_quote, with_tick

DAY = 1_700_000_000_000_000_000
MS = 1_000_000


def quote(ms, stream=0, last=nan, bid=10.0, ask=11.0):
    return (DAY + ms * MS, DAY + ms * MS, last, bid, ask, 1.0, 2.0, stream, 1, 0, 0)


def tick(ms, price, stream=0, event_ms=None):
    return (DAY + (ms if event_ms is None else event_ms) * MS, DAY + ms * MS, price, 1.0, -1, 1, stream, 0, 0)


def test_the_first_quote_of_a_quiet_symbol_passes_at_once_and_the_newest_of_the_rest_in_its_turn():
    conflation = Conflation(per_second=4)

    assert conflation.offer([quote(0)], DAY) == [quote(0)]
    assert conflation.offer([quote(10), quote(20, bid=9.0)], DAY + 20 * MS) == []
    assert conflation.holding
    assert conflation.due(DAY + 249 * MS) == []
    assert conflation.due(DAY + 250 * MS) == [quote(20, bid=9.0)]
    assert not conflation.holding


def test_of_several_in_one_burst_the_newest_passes():
    assert Conflation().offer([quote(0), quote(1), quote(1, stream=1)], DAY + MS) == [quote(1), quote(1, stream=1)]


def test_what_is_no_longer_wanted_is_forgotten():
    conflation = Conflation()
    conflation.offer([quote(0)], DAY)
    conflation.offer([quote(1)], DAY + MS)
    conflation.forget(0)

    assert not conflation.holding


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 2)), max_size=30))
def test_no_symbol_passes_more_often_than_allowed_and_the_newest_is_never_lost(steps):
    """Each quote is offered in time, and `due` is asked for once more at the end."""
    conflation = Conflation(per_second=4)
    passed = {}
    newest = {}
    now = 0
    for wait, stream in steps:
        now += wait
        newest[stream] = quote(now, stream)
        for row in conflation.offer([newest[stream]], DAY + now * MS) + conflation.due(DAY + now * MS):
            passed.setdefault(row[7], []).append((now, row))
    for row in conflation.due(DAY + (now + 250) * MS):
        passed.setdefault(row[7], []).append((now + 250, row))

    assert {stream: rows[-1][1] for stream, rows in passed.items()} == newest
    for rows in passed.values():
        times = [at for at, _ in rows]
        assert all(b - a >= 250 for a, b in pairwise(times))


def test_the_newest_tick_is_the_one_with_the_newest_stamp():
    """A late trade is not the last price."""
    into = {}
    newest_ticks(into, [tick(0, 10.0), tick(1, 11.0), tick(2, 9.0, event_ms=-500), tick(3, 12.0, stream=1)])

    assert into == {0: tick(1, 11.0), 1: tick(3, 12.0, stream=1)}


def test_a_stamp_that_jumped_ahead_does_not_stick():
    into = {}
    newest_ticks(into, [tick(0, 10.0, event_ms=50_000), tick(1000, 11.0), tick(2001, 12.0)])

    assert into[0] == tick(2001, 12.0)


def test_trades_and_quotes_make_one_picture():
    latest = with_tick(None, tick(0, 10.5))
    assert latest[:4] == (0, DAY, DAY, 10.5)
    assert isnan(latest.bid)

    latest = with_quote(latest, quote(5, bid=10.0, ask=nan))
    latest = with_quote(latest, quote(6, bid=nan, ask=11.0))
    latest = with_tick(latest, tick(7, 10.6))

    assert latest == Latest(0, DAY + 7 * MS, DAY + 7 * MS, 10.6, 10.0, 11.0, 1.0, 2.0, 1)


def test_a_quote_held_back_does_not_take_the_last_price_back():
    latest = with_tick(None, tick(10, 10.6))

    assert with_quote(latest, quote(5, last=10.5)).last == 10.6
    assert with_quote(latest, quote(15, last=10.7)).last == 10.7
