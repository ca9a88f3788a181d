"""A sync brings what the provider has into the store, says how it stands, and fails alone."""

import threading

import numpy as np
import pytest
from scripted.fetch import DAY_NS, NOON, ScriptedHistory, truth

from history.asking import WrongRequest
from history.books import StoppedError, chunk_book, sync_book
from history.sync import WRITER, ask_for, sync, sync_many
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol
from sinks.bar_store import StoreAway, open_store
from sinks.sync_book import Task
from sources.history.provider import BadRow

BTC, ETH, SOL, XRP = (Symbol("SIM", f"{name}USD") for name in ("BTC", "ETH", "SOL", "XRP"))
M1, H1, D1 = Interval.M1, Interval.H1, Interval.D1
HALF_PAST = NOON + 30 * 10**9


@pytest.fixture(autouse=True)
def half_past(clock):
    """Half a minute into a minute, so that the newest bar is not over."""
    clock.now_ns = HALF_PAST


def stored(desk, symbol, interval):
    """(start, close, state) of what the store has, oldest first."""
    frame = desk.store.read(symbol, interval, newest_first=False)
    return list(zip(frame["start"].to_physical(), frame["close"], frame["state"], strict=True))


def expected(rows):
    states = {0: "forming", 4: "official"}
    return [(row["start"], row["close"], states[int(row["state"])]) for row in rows]


def status(desk, symbol=BTC, interval=M1):
    return sync_book(desk).status(Task.SYNC, symbol, interval, desk.now_ns())


def test_the_newest_bars_are_stored_and_the_one_that_is_not_over_is_forming(desk):
    fetch = ScriptedHistory(page=100)

    done = sync(desk, BTC, M1, count=250, fetch=fetch)

    rows = truth(BTC, M1, HALF_PAST - DAY_NS, HALF_PAST, HALF_PAST)[-250:]
    assert stored(desk, BTC, M1) == expected(rows)
    assert expected(rows)[-1][2] == "forming"
    assert (done.total.bars, done.total.inserted, done.total.provider) == (250, 250, "simulated")
    assert (done.total.first, done.total.last) == (rows["start"][0], rows["start"][-1])
    assert fetch.calls == [(BTC, None, None, 250, None)]
    assert [logged.writer for logged in desk.store.revisions()] == [WRITER] * 3


def test_the_same_again_changes_nothing_and_what_is_new_is_added(desk, clock):
    sync(desk, BTC, M1, count=100, fetch=ScriptedHistory())
    clock.now_ns += 10 * MINUTE_NS

    done = sync(desk, BTC, M1, count=100, fetch=ScriptedHistory())

    rows = truth(BTC, M1, HALF_PAST - DAY_NS, clock.now_ns, clock.now_ns)
    assert stored(desk, BTC, M1) == expected(rows[rows["start"] >= stored(desk, BTC, M1)[0][0]])
    assert done.total.updated == 1, "the bar that was forming"
    assert sync(desk, BTC, M1, count=100, fetch=ScriptedHistory()).total.inserted == 0


def test_a_span_is_synced_by_its_start(desk):
    start, end = NOON - 2 * DAY_NS, NOON - DAY_NS

    sync(desk, BTC, H1, start=start, end=end, provider="kraken", fetch=(fetch := ScriptedHistory()))

    assert stored(desk, BTC, H1) == expected(truth(BTC, H1, start, end))
    assert fetch.calls == [(BTC, start, end, None, "kraken")]
    assert status(desk, BTC, H1).provider == "kraken"


def test_five_hundred_bars_unless_told(desk):
    sync(desk, BTC, M1, fetch=(fetch := ScriptedHistory()))

    assert fetch.calls == [(BTC, None, None, 500, None)]


def test_the_book_says_how_it_stands_at_each_page(desk, clock):
    seen = []

    def look(*_):
        clock.now_ns += 10**9
        now = status(desk)
        seen.append((now.state, now.bars))

    sync(desk, BTC, M1, count=250, fetch=ScriptedHistory(page=100, before_page=look))

    assert seen == [("syncing", 0), ("syncing", 100), ("syncing", 200)]
    ended = status(desk)
    assert (ended.state, ended.bars, ended.started_at, ended.ended_at) == ("completed", 250, HALF_PAST, clock.now_ns)
    assert ended.provider == "simulated"


def test_a_failure_is_in_the_book_and_what_came_before_it_stays(desk):
    pages = []

    def fail(*_):
        pages.append(1)
        if len(pages) == 3:
            msg = "SIM:BTCUSD 1m: simulated is away"
            raise DeskError(msg)

    with pytest.raises(DeskError, match="simulated is away"):
        sync(desk, BTC, M1, count=250, fetch=ScriptedHistory(page=100, before_page=fail))

    assert len(stored(desk, BTC, M1)) == 200
    assert (status(desk).state, status(desk).message) == ("error", "SIM:BTCUSD 1m: simulated is away")


def test_a_defect_is_in_the_book_too(desk):
    def fail(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sync(desk, BTC, M1, fetch=ScriptedHistory(before_page=fail))

    assert status(desk).message == "unexpected ZeroDivisionError"


def test_one_symbols_failure_never_stops_the_rest(desk):
    def fail(symbol, _):
        if symbol == ETH:
            msg = "ETHUSD is not listed"
            raise DeskError(msg)

    done = sync_many(desk, [BTC, ETH, SOL, BTC], H1, count=30, fetch=ScriptedHistory(before_page=fail))

    assert [(one.symbol, one.total.bars, str(one.error)) for one in done] == [
        (BTC, 30, "None"),
        (ETH, 0, "ETHUSD is not listed"),
        (SOL, 30, "None"),
    ]
    assert [status(desk, symbol, H1).state for symbol in (BTC, ETH, SOL)] == ["completed", "error", "completed"]


def test_four_are_synced_at_a_time_and_the_rest_is_pending(desk):
    symbols = [Symbol("SIM", f"S{number}USD") for number in range(6)]
    together = threading.Barrier(4, timeout=30)
    seen = []

    def meet(symbol, _):
        if symbol in symbols[:4]:
            together.wait()
            if symbol == symbols[0]:
                seen.append([status(desk, one, H1).state for one in symbols])
            together.wait()

    sync_many(desk, symbols, H1, count=5, fetch=ScriptedHistory(before_page=meet))

    assert seen == [["syncing"] * 4 + ["pending"] * 2]


def test_it_stops_after_the_page_in_hand_and_begins_no_other(desk):
    stop = threading.Event()

    def end(*_):
        stop.set()

    done = sync_many(desk, [BTC, ETH], M1, count=250, at_once=1, stop=stop, fetch=ScriptedHistory(before_page=end))

    assert [type(one.error) for one in done] == [StoppedError, StoppedError]
    assert [one.total.bars for one in done] == [100, 0]
    assert len(stored(desk, BTC, M1)) == 100
    assert [status(desk, symbol).state for symbol in (BTC, ETH)] == ["error", "error"]


def test_what_cannot_be_asked_for_leaves_no_trace(desk):
    with pytest.raises(WrongRequest):
        sync_many(desk, [BTC, Symbol("MOON", "CHEESE")], M1, fetch=ScriptedHistory())
    with pytest.raises(WrongRequest):
        sync(desk, BTC, M1, count=0, fetch=ScriptedHistory())

    assert sync_book(desk).statuses(desk.now_ns()) == []


def test_a_wish_for_later_is_pending_until_it_is_taken_up(desk):
    assert ask_for(desk, [BTC, ETH, BTC], M1) == [BTC, ETH]
    assert status(desk).state == "pending"

    sync(desk, BTC, M1, fetch=ScriptedHistory())

    assert [status(desk, symbol).state for symbol in (BTC, ETH)] == ["completed", "pending"]


def test_rows_that_were_refused_are_in_the_rejects(desk):
    fetch = ScriptedHistory(page=1000)
    fetch.bad = (BadRow("high below low", "[1, 2]"), BadRow("not a number", "[nan]"))

    done = sync(desk, BTC, M1, count=10, fetch=fetch)

    assert done.total.bad == 2
    assert [(one.source, one.reason, one.detail, one.symbol) for one in desk.ledger.rejects()] == [
        ("simulated", "not a number", "[nan]", BTC),
        ("simulated", "high below low", "[1, 2]", BTC),
    ]


class AwayStore:
    """A store that does not answer for the first `times` writes."""

    def __init__(self, store, times):
        self._store = store
        self.left = times

    def upsert(self, *args, **kwargs):
        """Refuse, or write."""
        self.left -= 1
        if self.left >= 0:
            msg = "bar store is away"
            raise StoreAway(msg)
        return self._store.upsert(*args, **kwargs)

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_a_store_that_is_away_for_a_while_is_waited_for(desk, clock, monkeypatch):
    monkeypatch.setattr(type(desk), "store", AwayStore(desk.store, 3))

    done = sync(desk, BTC, M1, count=10, fetch=ScriptedHistory())

    assert done.total.inserted == 10
    assert clock.slept == [0.25, 0.5, 1.0]


def test_a_store_that_stays_away_is_an_error_after_two_minutes(desk, clock, monkeypatch):
    monkeypatch.setattr(type(desk), "store", AwayStore(desk.store, 10**9))

    with pytest.raises(StoreAway):
        sync(desk, BTC, M1, count=10, fetch=ScriptedHistory())

    assert 120 <= sum(clock.slept) <= 130
    assert status(desk).message == "bar store is away"


@pytest.mark.mongo
def test_a_server_stores_it_as_a_file_does(desk, mongo_uri, monkeypatch):
    store = open_store(mongo_uri)
    monkeypatch.setattr(type(desk), "store", store)

    sync(desk, BTC, M1, count=250, fetch=ScriptedHistory())

    rows = truth(BTC, M1, HALF_PAST - DAY_NS, HALF_PAST, HALF_PAST)[-250:]
    assert stored(desk, BTC, M1) == expected(rows)
    store.close()


def spans(desk, interval, symbol=BTC):
    return [(chunk.start, chunk.end) for chunk in chunk_book(desk).chunks(desk.store, symbol, interval)]


def test_what_was_synced_is_noted_but_for_what_may_still_change(desk):
    """The last minutes are left out: the venue may amend them yet."""
    sync(desk, BTC, M1, count=250, fetch=ScriptedHistory())

    first = stored(desk, BTC, M1)[0][0]
    newest = max(row["end"] for row in truth(BTC, M1, first, HALF_PAST, HALF_PAST) if row["end"] <= HALF_PAST)
    assert spans(desk, M1) == [(first, min(newest, HALF_PAST - 120 * 10**9))]


def test_an_old_span_is_noted_whole_with_its_quiet_ends(desk):
    start = NOON - 30 * DAY_NS
    quiet = next(at for at in range(start, start + 60 * MINUTE_NS, MINUTE_NS) if not len(truth(BTC, M1, at, at + 1)))

    sync(desk, BTC, M1, start=quiet, end=quiet + 10 * MINUTE_NS, fetch=ScriptedHistory())
    sync(desk, ETH, D1, start=quiet, end=quiet + MINUTE_NS, fetch=ScriptedHistory())

    assert spans(desk, M1) == [(quiet, quiet + 10 * MINUTE_NS)]
    assert spans(desk, D1, ETH) == [(quiet, quiet + MINUTE_NS)], "though there was no bar in it"


def test_a_provider_that_lags_is_not_taken_at_its_word_for_the_last_days(desk):
    """A free plan ends a day ago: what came since is not known to be nothing."""

    class Lagging(ScriptedHistory):
        def __call__(self, desk, symbol, interval, *, start=None, **rest):
            for part in super().__call__(desk, symbol, interval, start=start, end=NOON - DAY_NS):
                yield part._replace(covered=(part.covered[0], max(part.covered[1], HALF_PAST)))

    start = NOON - 10 * DAY_NS

    sync(desk, BTC, H1, start=start, fetch=Lagging())

    last = truth(BTC, H1, start, NOON - DAY_NS)["end"][-1]
    assert spans(desk, H1) == [(start, last)]
    sync(desk, ETH, H1, start=NOON - 2 * DAY_NS, end=NOON - 2 * DAY_NS + MINUTE_NS, fetch=ScriptedHistory())
    assert spans(desk, H1, ETH) in ([], [(NOON - 2 * DAY_NS, NOON - 2 * DAY_NS + MINUTE_NS)])


def test_syncs_one_after_the_other_leave_one_span(desk, clock):
    for _ in range(3):
        sync(desk, BTC, M1, count=100, fetch=ScriptedHistory())
        clock.now_ns += 20 * MINUTE_NS

    assert len(spans(desk, M1)) == 1


def test_a_failed_sync_notes_no_span(desk):
    def fail(*_):
        msg = "no"
        raise DeskError(msg)

    with pytest.raises(DeskError):
        sync(desk, BTC, M1, fetch=ScriptedHistory(before_page=fail))

    assert spans(desk, M1) == []
    assert np.array(stored(desk, BTC, M1)).size == 0
