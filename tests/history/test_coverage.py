"""What is held, and what of the rest is known to be nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted.fetch import DAY_NS, NOON, ScriptedHistory, truth

from history.backfill import backfill
from history.books import chunk_book
from history.coverage import Coverage, Day, Hole, Known, coverage, known_spans
from history.spans import Spans
from history.sync import sync
from market.bars import BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.slots import slots
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.bar_store import open_store
from sinks.ledger import GapState

BTC, AAPL = Symbol("SIM", "BTCUSD"), Symbol("NASDAQ", "AAPL")
M1, M30, D1, W1 = Interval.M1, Interval.M30, Interval.D1, Interval.W1
NOTHING = Known(Spans(), Spans())


def write(store, symbol, interval, starts, state=BarState.OFFICIAL):
    """Bars of these starts, all alike."""
    rows = truth(BTC, M1, NOON - 2 * MINUTE_NS * len(starts) - DAY_NS, NOON)[: len(starts)].copy()
    room = dict(slots(calendar_for(symbol), interval, min(starts), max(starts) + 1).tolist())
    rows["start"] = starts
    rows["end"] = [room[start] for start in starts]
    rows["interval"], rows["state"] = interval, state
    store.upsert(BarBatch(rows, (Stream(0, "file", symbol, FeedKind.TRADES, 0),)), writer="import", own_revisions=False)


def known(desk, symbol=BTC, interval=M1):
    newest = max((one.last + MINUTE_NS for one in desk.store.series() if one.interval == M1), default=None)
    return known_spans(
        symbol, interval, store=desk.store, chunks=chunk_book(desk), ledger=desk.ledger, live_until=newest
    )


def minutes(*numbers):
    return [NOON - DAY_NS + number * MINUTE_NS for number in numbers]


def test_what_is_absent_is_missing_where_nothing_else_is_known(desk):
    write(desk.store, BTC, M1, minutes(0, 1, 4, 5, 9))

    found = coverage(desk.store, BTC, M1, NOTHING, NOON)

    start = minutes(0)[0]
    assert found == Coverage(
        BTC,
        M1,
        start,
        minutes(9)[0] + 1,
        start,
        minutes(9)[0],
        10,
        5,
        0,
        5,
        (Hole(*minutes(2, 4), 2), Hole(*minutes(6, 9), 3)),
        (Day(start // DAY_NS, 10, 5, 0),),
    )
    assert (found.days[0].missing, found.days[0].share) == (5, 0.5)


def test_what_a_provider_was_asked_for_and_did_not_have_is_quiet(desk):
    """A seventh of the minutes has no trade: no alarm."""
    start = NOON - 20 * DAY_NS

    backfill(desk, [BTC], M1, start, start + DAY_NS, fetch=ScriptedHistory(page=5000))

    found = coverage(desk.store, BTC, M1, known(desk), NOON, start, start + DAY_NS)
    held = len(truth(BTC, M1, start, start + DAY_NS))
    assert (found.expected, found.held, found.quiet, found.missing) == (1440, held, 1440 - held, 0)
    assert found.holes == ()


def test_what_was_synced_too_and_beyond_it_is_missing(desk):
    start = NOON - 20 * DAY_NS
    sync(desk, BTC, M1, start=start, end=start + 60 * MINUTE_NS, fetch=ScriptedHistory())

    found = coverage(desk.store, BTC, M1, known(desk), NOON, start - 5 * MINUTE_NS, start + 63 * MINUTE_NS)

    assert [(hole.start, hole.bars) for hole in found.holes] == [
        (start - 5 * MINUTE_NS, 5),
        (start + 60 * MINUTE_NS, 3),
    ]


def test_a_minute_in_which_the_live_feed_was_up_is_quiet_and_an_outage_is_a_hole(desk):
    write(desk.store, BTC, M1, minutes(0, 3, 9, 20), BarState.CLOSED)
    desk.ledger.subscribe(BTC, "sim", minutes(1)[0])
    desk.ledger.note_gap(BTC, minutes(5)[0] + 1, minutes(7)[0], "down", NOON)
    healed = desk.ledger.note_gap(BTC, minutes(11)[0], minutes(13)[0], "away", NOON)
    desk.ledger.settle_gap(healed, GapState.HEALED, "simulated")
    desk.ledger.open_gap(BTC, minutes(18)[0] + 1, "mute", NOON)

    found = coverage(desk.store, BTC, M1, known(desk), NOON)

    assert found.holes == (Hole(*minutes(5, 7), 2), Hole(*minutes(18, 20), 2))
    assert (found.held, found.quiet, found.missing) == (4, 13, 4)


def test_before_its_subscription_and_after_the_newest_minute_live_data_says_nothing(desk):
    write(desk.store, BTC, M1, minutes(5, 7), BarState.CLOSED)
    desk.ledger.subscribe(BTC, "sim", minutes(4)[0])

    found = coverage(desk.store, BTC, M1, known(desk), NOON, minutes(0)[0], minutes(12)[0])

    assert found.holes == (Hole(*minutes(0, 4), 4), Hole(*minutes(8, 12), 4))


def test_a_symbol_that_is_followed_no_longer_is_not_vouched_for(desk):
    write(desk.store, BTC, M1, minutes(0, 7), BarState.CLOSED)
    desk.ledger.subscribe(BTC, "sim", minutes(0)[0])
    desk.ledger.unsubscribe(BTC)

    assert coverage(desk.store, BTC, M1, known(desk), NOON).missing == 6


def test_a_bar_that_is_not_over_is_not_held(desk):
    write(desk.store, BTC, M1, minutes(0, 1))
    write(desk.store, BTC, M1, minutes(2), BarState.FORMING)

    found = coverage(desk.store, BTC, M1, NOTHING, minutes(3)[0] - 1)

    assert (found.held, found.last, found.missing) == (2, minutes(1)[0], 0)
    later = coverage(desk.store, BTC, M1, NOTHING, minutes(3)[0])
    assert later.missing == 1, "it is over, and what is held of it is not"


def test_nights_and_weekends_are_no_holes(desk):
    """Two sessions of thirteen half hours around a weekend, the second without its last two."""
    friday, monday = 1_763_735_400 * 10**9, 1_763_994_600 * 10**9  # 2025-11-21 and -24, 14:30Z.
    half = 30 * MINUTE_NS
    held = [friday + n * half for n in range(13)] + [monday + n * half for n in range(11)]
    write(desk.store, AAPL, M30, held)

    found = coverage(desk.store, AAPL, M30, NOTHING, NOON, friday, monday + DAY_NS)

    assert found.holes == (Hole(monday + 11 * half, monday + 13 * half, 2),)
    assert [(day.expected, day.held) for day in found.days] == [(13, 13), (13, 11)]
    assert [day.day for day in found.days] == [friday // DAY_NS, monday // DAY_NS]


@pytest.mark.parametrize("interval", [D1, W1])
def test_long_bars_count_by_the_day_they_start_with(desk, interval):
    room = slots(calendar_for(AAPL), interval, NOON - 400 * DAY_NS, NOON - 30 * DAY_NS)[:, 0].tolist()
    write(desk.store, AAPL, interval, [room[0], *room[2:]])

    found = coverage(desk.store, AAPL, interval, NOTHING, NOON)

    assert (found.expected, found.held, len(found.holes)) == (len(room), len(room) - 1, 1)
    assert len(found.days) == len(room)


def test_nothing_held_is_nothing(desk):
    assert coverage(desk.store, BTC, M1, NOTHING, NOON).expected == 0
    found = coverage(desk.store, BTC, M1, NOTHING, NOON, minutes(0)[0], minutes(3)[0])
    assert (found.first, found.last, found.missing) == (None, None, 3)


@pytest.mark.mongo
def test_a_server_tells_the_same(mongo_uri):
    store = open_store(mongo_uri)
    write(store, BTC, M1, minutes(0, 1, 4))

    found = coverage(store, BTC, M1, NOTHING, NOON)

    assert (found.held, found.holes) == (3, (Hole(*minutes(2, 4), 2),))
    store.close()


@settings(max_examples=40)
@given(
    held=st.sets(st.integers(0, 59), min_size=1),
    fetched=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=3),
    live=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), max_size=3),
    piece=st.integers(1, 70),
)
def test_it_is_what_a_look_at_each_bar_finds(tmp_path_factory, monkeypatch_module, held, fetched, live, piece):
    """The slow rule: one bar after the other, in whatever pieces they are read. Live spans are in half minutes."""
    monkeypatch_module.setattr("history.coverage._PIECE", piece)
    zero = NOON - DAY_NS
    spans = Known(Spans(), Spans())
    for first, last in fetched:
        spans.fetched.add(zero + first * MINUTE_NS, zero + last * MINUTE_NS)
    for first, last in live:
        spans.live.add(zero + first * MINUTE_NS // 2, zero + last * MINUTE_NS // 2)
    # Live spans that touch are one.
    up = {half for first, last in live for half in range(first, last)}
    store = open_store(tmp_path_factory.mktemp("store") / "bars.sqlite")
    write(store, BTC, M1, minutes(*sorted(held)))

    found = coverage(store, BTC, M1, spans, NOON, zero, zero + 60 * MINUTE_NS)

    words = [
        "held"
        if number in held
        else "quiet"
        if any(first <= number < last for first, last in fetched) or {2 * number, 2 * number + 1} <= up
        else "missing"
        for number in range(60)
    ]
    assert (found.held, found.quiet, found.missing) == tuple(map(words.count, ("held", "quiet", "missing")))
    holes = [minute for hole in found.holes for minute in range(hole.start, hole.end, MINUTE_NS)]
    assert holes == minutes(*[number for number, word in enumerate(words) if word == "missing"])
    assert all(a.end < b.start for a, b in zip(found.holes, found.holes[1:], strict=False)), "holes lie apart"
    assert sum(day.expected for day in found.days) == 60
    store.close()


@pytest.fixture(scope="module")
def monkeypatch_module():
    """As `monkeypatch`, for a property that is tried many times."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_days_meet_where_pieces_do(desk, monkeypatch):
    """A day that is read in two pieces is one day."""
    write(desk.store, BTC, M1, minutes(*range(0, 2000, 3)))
    whole = coverage(desk.store, BTC, M1, NOTHING, NOON)

    monkeypatch.setattr("history.coverage._PIECE", 97)

    assert coverage(desk.store, BTC, M1, NOTHING, NOON) == whole
    assert np.array([day.expected for day in whole.days]).sum() == whole.expected
