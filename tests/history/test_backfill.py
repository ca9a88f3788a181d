"""Years in chunks: each bar once, no chunk fetched twice once it is noted, wherever it was stopped."""

import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted.fetch import DAY_NS, NOON, ScriptedHistory, truth

from history.asking import WrongRequest
from history.backfill import (
    CHUNK_BARS,
    WRITER,
    Whole,
    backfill,
    backfill_symbol,
    plan_backfill,
    run_plans,
)
from history.books import StoppedError, chunk_book, sync_book
from history.desk import HistoryDesk
from history.sync import sync
from infra.settings import load_settings
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.slots import slots
from market.symbols import Symbol
from sinks.sync_book import InHandError, Task
from sources.history.provider import BadRow

BTC, ETH, SOL = (Symbol("SIM", f"{name}USD") for name in ("BTC", "ETH", "SOL"))
AAPL = Symbol("NASDAQ", "AAPL")
M1, M5, H1, D1, MO1 = Interval.M1, Interval.M5, Interval.H1, Interval.D1, Interval.MO1
START, END = NOON - 30 * DAY_NS, NOON - 20 * DAY_NS
"""Ten days: 14,400 minutes, three chunks and a bit."""


class Died(BaseException):
    """Stands for a process that was killed: nothing of ours handles it."""


def starts(desk, symbol, interval=M1):
    return desk.store.read(symbol, interval, newest_first=False)["start"].to_physical().to_list()


def whole(symbol, interval=M1, start=START, end=END):
    return truth(symbol, interval, start, end)["start"].tolist()


def status(desk, symbol=BTC, interval=M1):
    return sync_book(desk).status(Task.BACKFILL, symbol, interval, desk.now_ns())


def test_all_bars_of_a_span_are_stored_once(desk):
    fetch = ScriptedHistory(page=1000)

    done = backfill(desk, [BTC, ETH], M1, START, END, fetch=fetch)

    for symbol, one in zip((BTC, ETH), done, strict=True):
        rows = truth(symbol, M1, START, END)
        frame = desk.store.read(symbol, M1, newest_first=False)
        np.testing.assert_array_equal(frame["start"].to_physical(), rows["start"])
        for name in ("open", "high", "low", "close", "volume"):
            np.testing.assert_array_equal(frame[name], rows[name])
        assert set(frame["state"]) == {"official"}
        assert set(frame["source"]) == {"simulated"}
        assert (one.error, one.share, one.eta_s, one.total.inserted) == (None, 1.0, 0.0, len(rows))
    assert set(fetch.served.values()) == {1}
    assert {logged.writer for logged in desk.store.revisions()} == {WRITER}


def test_chunks_are_of_five_thousand_bars_newest_first_and_meet(desk):
    plan = plan_backfill(desk, [BTC], M1, START, END)[0]

    assert plan.chunks[0][1] == END
    assert plan.chunks[-1][0] == START
    assert all(newer[0] == older[1] for newer, older in zip(plan.chunks, plan.chunks[1:], strict=False))
    assert {(end - start) // MINUTE_NS for start, end in plan.chunks[:-1]} == {CHUNK_BARS}
    assert (plan.slots, plan.left) == (14_400, 14_400)


@pytest.mark.parametrize("interval", [M1, M5, H1, D1])
def test_chunks_of_an_exchange_with_sessions_hold_as_many_bars(desk, interval):
    """A chunk by days would be a tenth as full in New York as on a venue that never closes."""
    start = NOON - 3000 * DAY_NS
    plan = plan_backfill(desk, [AAPL], interval, start, NOON)[0]

    counts = [len(slots(calendar_for(AAPL), interval, *chunk)) for chunk in plan.chunks]
    assert set(counts[:-1]) <= {CHUNK_BARS}
    assert sum(counts) == plan.left == plan.slots == len(slots(calendar_for(AAPL), interval, start, NOON))


def test_the_same_again_calls_nobody(desk):
    backfill(desk, [BTC], M1, START, END, fetch=ScriptedHistory(page=1000))

    done = backfill(desk, [BTC], M1, START, END, fetch=(fetch := ScriptedHistory()))

    assert fetch.calls == []
    assert (done[0].share, done[0].plan.chunks, done[0].eta_s) == (1.0, (), 0.0)
    assert status(desk).state == "completed"


def test_a_longer_span_fetches_only_what_is_new(desk):
    backfill(desk, [BTC], M1, START, END, fetch=ScriptedHistory(page=1000))
    fetch = ScriptedHistory(page=1000)

    backfill(desk, [BTC], M1, START - 2 * DAY_NS, END + DAY_NS, fetch=fetch)

    assert starts(desk, BTC) == whole(BTC, M1, START - 2 * DAY_NS, END + DAY_NS)
    assert sorted(at for _, at in fetch.served) == (
        whole(BTC, M1, START - 2 * DAY_NS, START) + whole(BTC, M1, END, END + DAY_NS)
    )


class Spoiled(ScriptedHistory):
    """Rows of some bars cannot be used the first time."""

    def __init__(self, lost, **options):
        super().__init__(**options)
        self.lost = set(lost)

    def __call__(self, *args, **options):
        """As `ScriptedHistory`, without the spoiled ones."""
        for part in super().__call__(*args, **options):
            starts = part.batch.rows["start"]
            mine = self.lost & set(starts.tolist())
            rows = part.batch.rows[~np.isin(starts, list(mine))]
            bad = [BadRow("high below low", str(time)) for time in mine]
            yield part._replace(batch=part.batch._replace(rows=rows), bad=bad, lost=sorted(mine))
            self.lost -= mine


def test_bars_whose_rows_were_refused_are_missing_and_not_quiet_and_are_fetched_again(desk):
    """They traded: a note that says that nothing did would leave a hole that nobody ever fills."""
    lost = [START + minute * MINUTE_NS for minute in (10, 11, 40, 9_000)]
    lost = [time for time in lost if time in whole(BTC)]
    fetch = Spoiled(lost, page=1000)

    (done,) = backfill(desk, [BTC], M1, START, END, fetch=fetch)

    assert (done.error, done.total.bad, done.total.lost) == (None, len(lost), len(lost))
    assert done.total.shortfall.startswith(f"{len(lost)} bars are missing, since what came of them cannot be used")
    assert starts(desk, BTC) == [time for time in whole(BTC) if time not in lost]

    (done,) = backfill(desk, [BTC], M1, START, END, fetch=(again := ScriptedHistory(page=1000)))

    assert (done.total.lost, done.total.inserted) == (0, len(lost))
    assert starts(desk, BTC) == whole(BTC)
    assert [(start, end) for _, start, end, *_ in again.calls] == [
        (lost[-1], lost[-1] + MINUTE_NS),
        (lost[0], lost[-2] + MINUTE_NS),
    ]

    assert plan_backfill(desk, [BTC], M1, START, END)[0].chunks == ()


def test_a_bar_that_is_held_is_not_missing_for_a_row_that_was_refused(desk):
    sync(desk, BTC, M1, start=START, end=START + DAY_NS, fetch=ScriptedHistory(page=2000))
    held = whole(BTC)[10]

    (done,) = backfill(desk, [BTC], M1, START, END, again=True, fetch=Spoiled([held], page=1000))

    assert (done.total.bad, done.total.lost) == (1, 0)
    assert plan_backfill(desk, [BTC], M1, START, END)[0].chunks == ()


def test_what_a_sync_brought_is_not_fetched_again(desk):
    sync(desk, BTC, M1, start=START, end=START + DAY_NS, fetch=ScriptedHistory(page=2000))

    backfill(desk, [BTC], M1, START, END, fetch=(fetch := ScriptedHistory(page=2000)))

    assert min(at for _, at in fetch.served) >= START + DAY_NS
    assert starts(desk, BTC) == whole(BTC)


def test_again_fetches_all_anew_and_only_in_that_span(desk):
    backfill(desk, [BTC], M1, START, END, fetch=ScriptedHistory(page=1000))
    fetch = ScriptedHistory(page=1000)

    done = backfill(desk, [BTC], M1, START, START + DAY_NS, again=True, fetch=fetch)

    assert sorted(at for _, at in fetch.served) == whole(BTC, M1, START, START + DAY_NS)
    assert done[0].total.updated == done[0].total.inserted == 0, "the same content is no write"
    backfill(desk, [BTC], M1, START, END, fetch=(fetch := ScriptedHistory()))
    assert fetch.calls == []


def test_what_came_from_another_provider_does_not_count_where_one_is_named(desk):
    backfill(desk, [BTC], M1, START, END, provider="binance", fetch=ScriptedHistory(page=1000))
    fetch = ScriptedHistory(page=1000)

    backfill(desk, [BTC], M1, START, END, provider="binance", fetch=fetch)
    assert fetch.calls == []
    backfill(desk, [BTC], M1, START, END, provider="kraken", fetch=fetch)
    assert len(fetch.served) == len(whole(BTC))
    fetch.calls.clear()
    backfill(desk, [BTC], M1, START, END, fetch=fetch)
    assert fetch.calls == []


def test_a_store_that_lost_the_bars_gets_them_again(desk, tmp_path):
    """The book is not believed over the store: a file that was moved away held what the book speaks of."""
    backfill(desk, [BTC], M1, START, END, fetch=ScriptedHistory(page=1000))
    desk.close()
    for file in desk.folders.data_dir.glob("bars.sqlite*"):
        file.unlink()

    backfill(desk, [BTC], M1, START, END, fetch=ScriptedHistory(page=1000))

    assert starts(desk, BTC) == whole(BTC)


@settings(max_examples=8)
@given(st.lists(st.integers(0, 13), min_size=1, max_size=5))
def test_wherever_it_dies_each_bar_is_there_once_and_no_noted_chunk_is_fetched_twice(tmp_path_factory, dies_at):
    """Here at a page of a provider; tests of the crash suite kill the whole process at any moment."""
    folder = tmp_path_factory.mktemp("desk")
    settings_ = load_settings(folder, environ={})
    noted: Counter = Counter()
    served: Counter = Counter()
    for place in [*dies_at, None]:
        with HistoryDesk(settings_, now_ns=lambda: NOON, sleep=lambda _: None) as desk:
            for chunk in chunk_book(desk).chunks(desk.store, BTC, M1):
                noted.update(at for at in whole(BTC) if chunk.start <= at < chunk.end)
            pages = iter(range(10_000))

            def die(*_, place=place, pages=pages):
                if next(pages) == place:
                    raise Died

            fetch = ScriptedHistory(page=1000, before_page=die)
            plan = plan_backfill(desk, [BTC], M1, START, END)[0]
            try:
                backfill_symbol(desk, plan, fetch=fetch)
            except Died:
                assert place is not None
            for _, at in fetch.served:
                assert at not in noted, "a chunk was fetched again that was noted before"
            served.update(at for _, at in fetch.served)
            if place is None:
                assert starts(desk, BTC) == whole(BTC)
                assert desk.store.series()[0].bars == len(whole(BTC))
                assert status(desk).state == "completed"
    assert set(served) == set(whole(BTC))


def test_a_chunk_that_failed_half_way_is_fetched_again_whole(desk):
    pages = iter(range(100))

    def fail(*_):
        if next(pages) == 7:
            msg = "away"
            raise DeskError(msg)

    done = backfill(desk, [BTC], M1, START, END, fetch=ScriptedHistory(page=1000, before_page=fail))

    assert str(done[0].error) == "away"
    assert (done[0].done, done[0].left) == (1, sum((b - a) // MINUTE_NS for a, b in done[0].plan.chunks[1:]))
    assert (status(desk).state, status(desk).message) == ("error", "away")
    fetch = ScriptedHistory(page=1000)
    backfill(desk, [BTC], M1, START, END, fetch=fetch)
    assert [(start, end) for _, start, end, _, _ in fetch.calls] == list(done[0].plan.chunks[1:])
    assert starts(desk, BTC) == whole(BTC)


def test_one_symbols_failure_never_stops_the_rest(desk):
    def fail(symbol, _):
        if symbol == ETH:
            msg = "ETHUSD is not listed"
            raise DeskError(msg)

    done = backfill(desk, [BTC, ETH, SOL], M1, START, END, fetch=ScriptedHistory(page=5000, before_page=fail))

    assert [str(one.error) for one in done] == ["None", "ETHUSD is not listed", "None"]
    assert [one.share for one in done] == [1.0, 0.0, 1.0]


def test_four_symbols_at_a_time_and_the_rest_is_pending(desk):
    symbols = [Symbol("SIM", f"S{number}USD") for number in range(6)]
    together = threading.Barrier(4, timeout=30)
    seen = []

    def meet(symbol, _):
        if symbol in symbols[:4]:
            together.wait()
            if symbol == symbols[0]:
                seen.append([status(desk, one, H1).state for one in symbols])
            together.wait()

    backfill(desk, symbols, H1, START, END, fetch=ScriptedHistory(page=5000, before_page=meet))

    assert seen == [["syncing"] * 4 + ["pending"] * 2]


def test_two_at_one_series_would_fetch_it_twice_so_the_second_is_refused(desk):
    """Another process is told who is at it; when that one is gone, the next may."""
    plan = plan_backfill(desk, [BTC], M1, START, END)[0]
    inner = []

    def try_too(*_):
        if not inner:
            inner.append(run_plans(desk, [plan], fetch=ScriptedHistory()))

    done = run_plans(desk, [plan], fetch=ScriptedHistory(page=5000, before_page=try_too))

    assert isinstance(inner[0][0].error, InHandError)
    assert done[0].error is None
    assert starts(desk, BTC) == whole(BTC)


def test_it_stops_after_the_page_in_hand_and_goes_on_there(desk):
    stop = threading.Event()
    pages = iter(range(100))

    def end(*_):
        if next(pages) == 8:
            stop.set()

    done = backfill(
        desk, [BTC, ETH], M1, START, END, at_once=1, stop=stop, fetch=ScriptedHistory(page=1000, before_page=end)
    )

    assert [type(one.error) for one in done] == [StoppedError, StoppedError]
    assert done[0].done == 1
    assert [status(desk, symbol).state for symbol in (BTC, ETH)] == ["error", "error"]
    fetch = ScriptedHistory(page=1000)
    backfill(desk, [BTC, ETH], M1, START, END, fetch=fetch)
    assert next(call[2] for call in fetch.calls if call[0] == BTC) == done[0].plan.chunks[1][1]
    assert (starts(desk, BTC), starts(desk, ETH)) == (whole(BTC), whole(ETH))


def test_progress_says_how_much_is_done_and_how_long_the_rest_takes(desk, clock):
    """A second a page: five pages a chunk, the last chunks shorter."""

    def take_a_second(*_):
        clock.now_ns += 10**9

    told = []
    plans = plan_backfill(desk, [BTC], M1, START, END)
    whole_ = Whole(plans, clock)
    run_plans(
        desk, plans, fetch=ScriptedHistory(page=1000, before_page=take_a_second),
        told=lambda state: (told.append(state), whole_.tell(state)),
    )  # fmt: skip

    assert (told[0].share, told[0].eta_s, told[0].done) == (0.0, None, 0)
    after_one = next(state for state in told if state.done == 1)
    newest = (plans[0].chunks[0][1] - plans[0].chunks[0][0]) // MINUTE_NS
    assert after_one.share == pytest.approx(newest / 14_400)
    assert after_one.eta_s == pytest.approx(after_one.seconds * (14_400 - newest) / newest)
    assert [state.share for state in told] == sorted(state.share for state in told)
    assert (told[-1].share, told[-1].eta_s) == (1.0, 0.0)
    assert (whole_.share, whole_.eta_s) == (1.0, 0.0)
    assert told[-1].total.bars == len(whole(BTC))


def test_the_book_counts_the_chunks(desk):
    seen = []

    def look(*_):
        seen.append((status(desk).done, status(desk).parts))

    plan = plan_backfill(desk, [BTC], M1, START, END)[0]
    backfill_symbol(desk, plan, fetch=ScriptedHistory(page=5000, before_page=look))

    assert seen == [(number, len(plan.chunks)) for number in range(len(plan.chunks))]
    assert (status(desk).done, status(desk).parts) == (len(plan.chunks), len(plan.chunks))


def test_the_edge_is_fetched_again_and_the_past_is_not(desk, clock):
    """Up to now: the last minutes are not noted, so the next run brings them, and makes official what was forming."""
    clock.now_ns = NOON + 30 * 10**9
    start = NOON - 10 * DAY_NS
    backfill(desk, [BTC], M1, start, fetch=ScriptedHistory(page=5000))
    clock.now_ns += 10 * MINUTE_NS
    fetch = ScriptedHistory(page=5000)

    backfill(desk, [BTC], M1, start, fetch=fetch)

    assert min(at for _, at in fetch.served) >= NOON - 10 * MINUTE_NS
    rows = truth(BTC, M1, start, clock.now_ns, clock.now_ns)
    frame = desk.store.read(BTC, M1, newest_first=False)
    assert frame["start"].to_physical().to_list() == rows["start"].tolist()
    assert (frame["state"] == "forming").sum() == (rows["state"] == 0).sum()


def test_a_later_end_than_now_is_now(desk):
    plan = plan_backfill(desk, [BTC], H1, START, NOON + 100 * DAY_NS)[0]

    assert plan.end == NOON


def test_what_cannot_be_asked_for_is_refused_for_all(desk):
    weekend = 1_767_398_400 * 10**9
    assert not len(slots(calendar_for(AAPL), H1, weekend - DAY_NS * 7 + 5 * 3600 * 10**9, weekend - DAY_NS * 6))
    with pytest.raises(WrongRequest, match="NASDAQ:AAPL has no 1h bar that starts from 2025-12-27T05:00:00Z to"):
        backfill(desk, [BTC, AAPL], H1, weekend - DAY_NS * 7 + 5 * 3600 * 10**9, weekend - DAY_NS * 6)
    with pytest.raises(WrongRequest, match="is not after the start"):
        backfill(desk, [BTC], H1, END, START)

    assert sync_book(desk).statuses(desk.now_ns()) == []


def test_months_are_one_chunk(desk):
    start = NOON - 2000 * DAY_NS

    backfill(desk, [BTC], MO1, start, NOON - 100 * DAY_NS, fetch=(fetch := ScriptedHistory()))

    assert len(fetch.calls) == 1
    assert starts(desk, BTC, MO1) == whole(BTC, MO1, start, NOON - 100 * DAY_NS)
