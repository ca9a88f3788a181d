"""Rows become bars and trades ticks: whatever the pages, each once, in order, and those alone that keep the rules."""

from dataclasses import replace
from itertools import pairwise
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.bars import BarState
from market.intervals import Interval
from market.symbols import Symbol, parse_symbol
from sources.history.provider import NOBODY_KNOWS, BadAnswer, BadRow, NotOffered, Terms
from sources.history.request import BarRequest, Progress, bar_request, moment_text, venue_name
from sources.history.rows import BarPages, Row, read_rows
from sources.history.trade_rows import TradePages, TradeRow

MINUTE = 60 * 10**9
T = 29_460_000 * MINUTE
"""2026-01-05T08:00:00Z."""
BTC = Symbol("KRAKEN", "BTCUSD")


def request(interval=Interval.M1, start=T, end=T + 100 * MINUTE, count=None, symbol=BTC):
    return BarRequest(symbol, interval, start, end, count)


def row(place, price=100.0, **other):
    return Row(T + place * MINUTE, price, price, price, price, 1.0)._replace(**other)


@given(
    st.lists(st.integers(-3, 102), max_size=60),
    st.lists(st.integers(0, 60), max_size=6).map(sorted),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_however_pages_overlap_and_rows_are_mixed_each_bar_comes_once_in_order(places, cuts, overlap, chance):
    """The rule in slow motion: a bar is there if any row of the span has its start."""
    places.sort()
    edges = [0, *(min(cut, len(places)) for cut in cuts), len(places)]
    pages = BarPages(request())
    found = []
    for low, high in pairwise(edges):
        rows = [row(place) for place in places[max(low - overlap, 0) : high]]
        chance.shuffle(rows)
        page = pages.page(rows, T + 200 * MINUTE)
        assert (np.diff(page.bars["start"]) > 0).all()
        assert not page.bad
        found += page.bars["start"].tolist()

    assert sorted(found) == sorted({T + place * MINUTE for place in places if 0 <= place < 100})


def test_pages_may_come_newest_first():
    pages = BarPages(request())
    starts = [
        page.bars["start"].tolist() for page in (pages.page([row(5), row(6)], T), pages.page([row(4), row(5)], T))
    ]

    assert starts == [[T + 5 * MINUTE, T + 6 * MINUTE], [T + 4 * MINUTE]]


def test_a_page_says_which_bars_are_lost_with_its_bad_rows():
    """One of ours that traded is; one off our bounds never was, and of one that came twice the good row stands."""
    rows = [
        row(1, high=1.0),
        row(2, open="?"),
        row(3, volume=-1.0),
        row(4, volume=-1.0),
        row(4),
        Row(T + 5 * MINUTE + 1, nan, nan, nan, nan, 1.0),
        row(6, 1.0),
        row(6, 2.0),
        row(200, high=nan),
    ]
    page = BarPages(request()).page(rows, T + 300 * MINUTE, [BadRow("unreadable", "?")])

    assert len(page.bad) == 7
    assert sorted(page.lost) == [NOBODY_KNOWS, *(T + place * MINUTE for place in (1, 2, 3))]


def test_a_page_of_trades_says_when_the_lost_ones_were_made():
    page = TradePages(T, T + MINUTE).page(
        [TradeRow(T + 5, nan, 1.0, 1, 0), TradeRow(T + 6, 1.0, 1.0, 2, 0)], [BadRow("unreadable", "?")]
    )

    assert sorted(page.lost) == [NOBODY_KNOWS, T + 5]


def test_of_two_rows_with_one_start_the_later_stands_and_the_other_is_told():
    page = BarPages(request()).page([row(1, 10.0), row(1, 11.0), row(2), row(2)], T + 9 * MINUTE)

    assert page.bars["open"].tolist() == [11.0, 100.0]
    assert [(bad.reason, bad.detail) for bad in page.bad] == [
        ("given twice", f"[{T + MINUTE}, 10.0, 10.0, 10.0, 10.0, 1.0]")
    ]


def test_numbers_are_read_once_from_whatever_spells_them():
    page = BarPages(request()).page([row(0, "0.1", low=0, high="1e2", volume="12.50", trades="7")], T + MINUTE)
    assert [bad.reason for bad in page.bad] == ["no price"]

    page = BarPages(request()).page([row(0, "0.1", high="1e2", volume="12.50", trades="7")], T + MINUTE)
    assert [page.bars[name][0] for name in ("open", "high", "volume", "trades")] == [0.1, 100.0, 12.5, 7]
    assert np.isnan(page.bars["notional"][0])


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"open": nan}, "not a number"),
        ({"open": inf}, "not a number"),
        ({"open": True}, "not a number"),
        ({"open": None}, "not a number"),
        ({"open": 10**400}, "not a number"),
        ({"volume": "1,5"}, "not a number"),
        ({"notional": inf}, "not a number"),
        ({"trades": 1.5}, "not a number"),
        ({"trades": nan}, "not a number"),
        ({"trades": 2**60}, "not a number"),
        ({"trades": -1}, "negative volume"),
        ({"high": 1.0, "low": 2.0}, "high below low"),
        ({"open": 101.0}, "open outside"),
        ({"close": 99.0}, "close outside"),
        ({"low": 0.0}, "no price"),
        ({"start": T + 1}, "off the bounds"),
        ({"start": T + 30 * 10**9}, "off the bounds"),
    ],
    ids=str,
)
def test_each_rule_leaves_out_its_row_alone(fault, reason):
    page = BarPages(request()).page([row(1), row(2)._replace(**fault), row(3)], T + 9 * MINUTE)

    assert page.bars["start"].tolist() == [T + MINUTE, T + 3 * MINUTE]
    assert [bad.reason for bad in page.bad] == [reason]


def test_a_price_below_zero_is_a_price():
    """Oil traded at -37.63 on 20 April 2020."""
    page = BarPages(request()).page([row(1, -37.63)], T + 9 * MINUTE)

    assert (page.bars["close"].tolist(), list(page.bad)) == ([-37.63], [])


def test_a_time_without_trades_is_no_bar_where_a_provider_makes_them_up():
    rows = [row(1, volume=0.0), row(2, volume=0.0, trades=3), row(3)]

    assert len(BarPages(request(), quiet=True).page(rows, T + 9 * MINUTE).bars) == 2
    assert len(BarPages(request()).page(rows, T + 9 * MINUTE).bars) == 3


def test_what_has_not_ended_or_is_not_called_over_is_forming():
    page = BarPages(request()).page([row(1), row(2, over=False), row(3), row(4)], T + 4 * MINUTE)

    states = [BarState(state) for state in page.bars["state"]]
    assert states == [BarState.OFFICIAL, BarState.FORMING, BarState.OFFICIAL, BarState.FORMING]


def test_the_bounds_are_those_of_the_symbols_sessions():
    """New York on 6 July 2026: 13:30 to 20:00 UTC; the last 4-hour bar is cut at the close."""
    apple, day = parse_symbol("NASDAQ:AAPL"), 20_640 * 1440 * MINUTE
    opened = day + (13 * 60 + 30) * MINUTE
    pages = BarPages(request(Interval.H4, day, day + 1440 * MINUTE, symbol=apple))
    stamps = [opened, opened + 240 * MINUTE, day + 12 * 60 * MINUTE, opened + 60 * MINUTE]
    page = pages.page([Row(stamp, 1.0, 1.0, 1.0, 1.0, 1.0) for stamp in stamps], day + 1440 * MINUTE)

    assert page.bars["end"].tolist() == [opened + 240 * MINUTE, opened + 390 * MINUTE]
    assert sorted(bad.reason for bad in page.bad) == ["off the bounds", "out of session"]


def test_a_count_keeps_the_newest_and_says_when_it_is_done():
    pages = BarPages(request(start=0, count=3))
    first = pages.page([row(8), row(9)], T)
    assert not pages.done
    second = pages.page([row(5), row(6), row(7)], T)

    assert (len(first.bars), second.bars["start"].tolist(), pages.done) == (2, [T + 7 * MINUTE], True)
    assert not len(pages.page([row(4)], T).bars)


def test_a_stamp_from_another_age_costs_nothing():
    """Not even where the request has no start: the bounds are looked up, never listed."""
    page = BarPages(request(start=0, count=9)).page([row(1), row(2, start=9 * 365 * 1440 * MINUTE)], T + 9 * MINUTE)

    assert (page.bars["start"].tolist(), [bad.reason for bad in page.bad]) == ([T + MINUTE], ["out of session"])


def test_rows_that_none_can_read_are_a_bad_answer_and_no_list_is_one_too():
    assert read_rows("venue", [], int) == ([], [])
    with pytest.raises(BadAnswer, match="venue answers with rows that cannot be read, such as 'x'"):
        read_rows("venue", ["x", "y"], int)
    with pytest.raises(BadAnswer, match=r"venue answers with \{'a': 1\} where rows are expected"):
        read_rows("venue", {"a": 1}, int)


def trade(place, time=T, price="1.5"):
    return TradeRow(event_time=time, price=price, size="2", trade_id=place, aggressor=1)


@given(
    st.lists(st.integers(0, 30), max_size=40),
    st.lists(st.integers(0, 40), max_size=4).map(sorted),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_however_pages_of_trades_overlap_each_trade_comes_once_in_order(steps, cuts, overlap, chance):
    times = (T + np.cumsum([0, *steps])).tolist()
    edges = [0, *(min(cut, len(times)) for cut in cuts), len(times)]
    pages, found = TradePages(T + 3, T + 300), []
    for low, high in pairwise(edges):
        rows = [trade(place, times[place]) for place in range(max(low - overlap, 0), high)]
        chance.shuffle(rows)
        found += pages.page(rows).ticks[["event_time", "trade_id"]].tolist()

    assert found == [(time, place) for place, time in enumerate(times) if T + 3 <= time < T + 300]


def test_trades_without_ids_keep_their_order_and_none_is_taken_for_another():
    rows = [trade(-1, T, price=price) for price in (3, 1, 2, 2)]
    page = TradePages(T, T + 1).page(rows)

    assert page.ticks["price"].tolist() == [3.0, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"price": nan}, "not a number"),
        ({"price": True}, "not a number"),
        ({"size": "many"}, "not a number"),
        ({"size": -1}, "negative size"),
        ({"price": "0"}, "no price"),
        ({"trade_id": 2**63}, "out of range"),
        ({"count": 2**32}, "out of range"),
    ],
    ids=str,
)
def test_each_rule_leaves_out_its_trade_alone(fault, reason):
    page = TradePages(T, T + 10).page([trade(1), replace(trade(2), **fault), trade(3)])

    assert page.ticks["trade_id"].tolist() == [1, 3]
    assert [bad.reason for bad in page.bad] == [reason]


def test_a_page_that_brings_nothing_is_asked_for_once_more():
    progress = Progress("venue")
    assert not progress.ends(empty=True)
    assert progress.ends(empty=True)
    progress.made()
    assert not progress.ends(empty=False)
    with pytest.raises(BadAnswer, match="venue gives the same page again and again"):
        progress.ends(empty=False)


def test_a_request_ends_now_at_the_latest_and_names_the_symbol_as_its_venue_does():
    terms = Terms(intervals=frozenset({Interval.M1, Interval.D1}), page_bars=10)
    made = bar_request("kraken", terms, T, BTC, Interval.M1, T - MINUTE, T + MINUTE, None, venue="kraken_v1")

    assert made == BarRequest(BTC, Interval.M1, T - MINUTE, T, None, "XBT/USD")
    assert bar_request("venue", terms, T, BTC, Interval.M1, None, None, 5) == BarRequest(
        BTC, Interval.M1, 0, T, 5, "BTCUSD"
    )
    with pytest.raises(NotOffered, match="venue has no 45m bars; it has 1m 1d"):
        bar_request("venue", terms, T, BTC, Interval.M45, T, None, None)
    with pytest.raises(NotOffered, match=r"not on okx.*name another provider"):
        venue_name(BTC, "okx")
    assert moment_text(T) == "2026-01-05T08:00:00Z"
