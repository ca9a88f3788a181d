"""What may enter the journal: the two forms of the rule agree, with each other and with the words of the rule."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.ticks import TICK
from operators.validate import (
    Reason,
    Rules,
    check_quotes,
    check_rows,
    check_ticks,
    tick_array,
)

NOW = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 10**9
SECOND = 10**9
GOOD = (NOW - 5, NOW, 10.5, 2.0, 7, 1, 0, 1, 0)
QUOTE = (NOW - 5, NOW, 10.5, 10.4, 10.6, 1.0, 2.0, 0, 1, 0, 0)
FIELDS = ("event_time", "received_time", "price", "size", "trade_id", "count", "stream", "aggressor", "flags")


def tick(**changed):
    return tuple({**dict(zip(FIELDS, GOOD, strict=True)), **changed}.values())


def quote(**changed):
    names = ("event_time", "received_time", "last", "bid", "ask", "bid_size", "ask_size", "stream", "session")
    return (*{**dict(zip(names, QUOTE, strict=False)), **changed}.values(), 0, 0)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"price": 0.0}, Reason.PRICE_NOT_POSITIVE),
        ({"price": -1.0}, Reason.PRICE_NOT_POSITIVE),
        ({"price": math.nan}, Reason.PRICE_NOT_FINITE),
        ({"price": math.inf}, Reason.PRICE_NOT_FINITE),
        ({"size": -0.1}, Reason.SIZE_NEGATIVE),
        ({"size": math.nan}, Reason.SIZE_NOT_FINITE),
        ({"size": math.inf}, Reason.SIZE_NOT_FINITE),
        ({"event_time": NOW + 60 * SECOND + 1}, Reason.EVENT_TIME_IN_FUTURE),
        ({"event_time": int(datetime(1989, 12, 31, tzinfo=UTC).timestamp()) * SECOND}, Reason.EVENT_TIME_TOO_EARLY),
        ({"event_time": 0}, Reason.EVENT_TIME_TOO_EARLY),
        ({"count": 0}, Reason.COUNT_OUT_OF_RANGE),
        ({"count": 2**32}, Reason.COUNT_OUT_OF_RANGE),
        ({"trade_id": 2**63}, Reason.TRADE_ID_OUT_OF_RANGE),
        ({"trade_id": -2}, Reason.TRADE_ID_OUT_OF_RANGE),
        ({"stream": 3}, Reason.UNKNOWN_STREAM),
        ({"stream": -1}, Reason.UNKNOWN_STREAM),
        ({"aggressor": 2}, Reason.NOT_A_SIDE),
    ],
)
def test_a_tick_that_breaks_a_rule_is_refused_by_name_and_its_neighbours_pass(changed, reason):
    before, after = tick(trade_id=1), tick(trade_id=2)

    accepted, rejects = check_rows([before, tick(**changed), after], Rules(streams=3))

    assert accepted == [before, after]
    assert rejects == [(1, reason)]


@pytest.mark.parametrize(
    "changed",
    [
        {"size": 0.0},
        {"price": 5e-324},
        {"event_time": NOW + 60 * SECOND},
        {"event_time": int(datetime(1990, 1, 1, tzinfo=UTC).timestamp()) * SECOND},
        {"trade_id": -1},
        {"count": 2**32 - 1},
        {"aggressor": -1},
    ],
)
def test_the_edge_of_each_rule_is_inside(changed):
    rows = [tick(**changed)]

    assert check_rows(rows, Rules(streams=1)) == (rows, [])


def test_a_burst_without_fault_is_handed_on_as_it_is():
    """Ten thousand times a second a copy would be waste."""
    rows = [GOOD, tick(trade_id=8)]

    assert check_rows(rows, Rules(streams=1))[0] is rows


def test_a_price_below_zero_passes_only_where_the_symbol_allows_it():
    rows = [tick(price=-37.63, stream=1), tick(price=-37.63, stream=0), tick(price=0.0, stream=1)]

    accepted, rejects = check_rows(rows, Rules(streams=2, negative=frozenset({1})))

    assert accepted == [rows[0], rows[2]]
    assert rejects == [(1, Reason.PRICE_NOT_POSITIVE)]


def test_a_conflated_stamp_that_runs_ahead_is_taken_as_received():
    """TradingView stamps whole minutes at times: 145 s ahead of the message in a recorded frame."""
    rows = [tick(event_time=NOW + 145 * SECOND, count=0), tick(event_time=NOW - 1, count=0)]

    accepted, rejects = check_rows(rows, Rules(streams=1, conflated=True))

    assert accepted == [tick(event_time=NOW, count=0), rows[1]]
    assert rejects == []
    assert rows[0][0] == NOW + 145 * SECOND


def test_a_quote_may_know_little_but_not_nothing_and_nothing_wrong():
    nan = math.nan
    rows = [
        quote(last=nan, bid=nan),
        quote(last=nan, bid=nan, ask=nan),
        quote(bid=-1.0),
        quote(ask=math.inf),
        quote(bid_size=-1.0),
        quote(ask_size=math.inf),
        quote(event_time=NOW + 61 * SECOND),
        quote(stream=9),
        quote(bid=11.0, ask=10.0),
    ]

    accepted, rejects = check_quotes(rows, Rules(streams=1))

    assert [rows.index(row) for row in accepted] == [0, 8]
    assert rejects == [
        (1, Reason.QUOTE_EMPTY),
        (2, Reason.PRICE_NOT_POSITIVE),
        (3, Reason.PRICE_NOT_FINITE),
        (4, Reason.SIZE_NEGATIVE),
        (5, Reason.SIZE_NOT_FINITE),
        (6, Reason.EVENT_TIME_IN_FUTURE),
        (7, Reason.UNKNOWN_STREAM),
    ]


times = st.one_of(
    st.sampled_from([-(2**63), 0, NOW, NOW + 60 * SECOND, NOW + 60 * SECOND + 1, 2**63 - 1]),
    st.integers(NOW - 10**10, NOW + 10**11),
)
numbers = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 5e-324, 1e308]), st.floats(0.1, 100)
)
ticks = st.builds(
    lambda *fields: fields,
    times,
    st.just(NOW),
    numbers,
    numbers,
    st.integers(-3, 5),
    st.integers(0, 2),
    st.integers(0, 4),
    st.integers(-2, 2),
    st.integers(0, 255),
)
rules = st.builds(Rules, st.just(4), st.booleans(), st.sampled_from([frozenset(), frozenset({1, 3})]))


def allowed(row, rule):
    """The rule as the words have it, for one tick."""
    event_time, received_time, price, size, trade_id, count, stream, aggressor, _ = row
    if rule.conflated:
        event_time = min(event_time, received_time)
    return (
        stream in range(rule.streams)
        and math.isfinite(price)
        and (price > 0 or stream in rule.negative)
        and math.isfinite(size)
        and size >= 0
        and datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1e9 <= event_time <= received_time + 60e9
        and count >= (0 if rule.conflated else 1)
        and trade_id >= -1
        and aggressor in {-1, 0, 1}
    )


@given(st.lists(ticks, max_size=8), rules)
def test_rows_and_arrays_obey_the_same_words(rows, rule):
    """A live burst and a file are judged alike, down to the reason."""
    accepted, rejects = check_rows(rows, rule)
    batch = tick_array(rows)
    before = batch.tobytes()
    kept, refused, reasons = check_ticks(batch, rule)

    assert [index for index, _ in rejects] == [n for n, row in enumerate(rows) if not allowed(row, rule)]
    assert refused.tolist() == [index for index, _ in rejects]
    assert reasons.tolist() == [reason.value for _, reason in rejects]
    assert kept.tobytes() == tick_array(accepted).tobytes()
    assert batch.tobytes() == before
    assert kept.dtype == TICK
    assert isinstance(kept, np.ndarray)
