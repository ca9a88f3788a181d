"""Yesterday's live bars against the venue's own: scores, and official bars in the store."""

import numpy as np
import pytest
from scripted.provider import Script, seat, truth_of_minutes

from history.live_log import live_bars
from history.reconcile import reconcile, yesterday
from market.bars import BarBatch, BarState
from market.errors import DeskError
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.journal_rows import RowKind
from market.sessions import calendar, calendar_for
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import MARK, MarkKind
from operators.rollup import roll_up
from sinks.journal import JournalWriter
from sinks.truth_book import TruthBook
from sources.history.provider import NotOffered, ProviderAway

BTC, ETH, FORD = Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD"), Symbol("NYSE", "F")
CLOCK = calendar("24/7")
DAY = 1440 * MINUTE_NS


def live_rows(minutes, sessions=CLOCK, state=BarState.CLOSED):
    """The live bars of some minutes at every interval, each as its first revision."""
    minutes = minutes.copy()
    minutes["state"] = state
    rows = np.concatenate([minutes, *(roll_up(minutes, interval, sessions) for interval in INTERVALS[1:])])
    rows["updated_at"], rows["revision"] = rows["end"] + 2 * 10**9, 1
    return rows[np.argsort(rows["end"], kind="stable")]


def write(desk, rows, symbol=BTC, feed="sim", since=None):
    """As a desk that has followed the symbol for long and still runs."""
    if not feed.startswith("file:"):
        desk.ledger.subscribe(symbol, feed, since or int(rows["start"][0]))
    with JournalWriter(desk.folders.journal, desk.now_ns) as journal:
        mark = np.zeros(1, MARK)
        mark["time"], mark["kind"], mark["stream"] = desk.now_ns(), MarkKind.CLOCK, 0xFFFF
        desk.ledger.move("bars", journal.append(RowKind.MARKS, 0, mark))
    batch = BarBatch(rows, (Stream(0, feed, symbol, FeedKind.TRADES, 0),))
    desk.store.upsert(batch, writer="bars", own_revisions=True)


@pytest.fixture
def day(clock):
    """Yesterday's beginning; it is half past midnight."""
    clock.now_ns = clock() // DAY * DAY + 30 * MINUTE_NS
    return yesterday(clock())[0]


@pytest.fixture
def truth(day):
    return truth_of_minutes(day - DAY, 3 * 1440 - 10, quiet=0.1)


def by_interval(found):
    return {truth.interval: truth for truth in found.truths}


def test_a_day_that_was_received_whole_is_equal_at_every_interval(desk, day, truth):
    """And the store shows the official bars from then on."""
    write(desk, live_rows(truth))
    seat(desk, simulated=Script(bars=truth))
    (found,) = reconcile(desk)

    scores = by_interval(found)
    inside = (truth["start"] >= day) & (truth["start"] < day + DAY)
    assert list(scores) == list(INTERVALS[:11]), "neither a week nor a month ended"
    assert all(one.share == 1.0 for one in scores.values())
    assert (scores[Interval.M1].bars, scores[Interval.D1].bars) == (int(inside.sum()), 1)
    assert (scores[Interval.M1].source, scores[Interval.H1].source) == ("simulated", "simulated(1m)")
    for interval in INTERVALS[:11]:
        frame = desk.store.read(BTC, interval, day, day + DAY)
        assert set(frame["state"]) == {"official"}
    assert found.error == ""
    assert found.stored == sum(one.bars for one in scores.values())


def test_a_second_run_changes_nothing(desk, day, truth):
    write(desk, live_rows(truth))
    seat(desk, simulated=Script(bars=truth))
    first = reconcile(desk)
    head = desk.store.head("reconcile")
    (again,) = reconcile(desk)

    assert (again.stored, desk.store.head("reconcile")) == (0, head)
    assert [one._replace(made_at=0) for one in again.truths] == [one._replace(made_at=0) for one in first[0].truths]


def test_a_sync_that_was_quicker_with_the_official_bars_changes_no_score(desk, day, truth):
    """What the live bars were stays in the log."""
    wrong = truth.copy()
    wrong["close"][2000] += 0.01
    write(desk, live_rows(wrong))
    official = truth.copy()
    official["updated_at"] = day + DAY
    batch = BarBatch(official, (Stream(0, "simulated", BTC, FeedKind.TRADES, 0),))
    desk.store.upsert(batch, writer="sync", own_revisions=False)
    seat(desk, simulated=Script(bars=truth))
    (found,) = reconcile(desk)

    minute = by_interval(found)[Interval.M1]
    assert (minute.differing, minute.missing, minute.extra, minute.explained) == (1, 0, 0, 0)
    ((start, field, live, official_close, *_),) = minute.differences
    assert (start, field) == (int(truth["start"][2000]), "close")
    assert live == pytest.approx(official_close + 0.01)


def test_an_outage_explains_what_is_missing(desk, day, truth):
    start, end = day + 600 * MINUTE_NS, day + 620 * MINUTE_NS
    lost = (truth["start"] >= start) & (truth["start"] < end)
    write(desk, live_rows(truth[~lost]))
    desk.ledger.note_gap(BTC, start, end, "down", end, "sim")
    seat(desk, simulated=Script(bars=truth))
    (found,) = reconcile(desk)

    minute, hour = (by_interval(found)[interval] for interval in (Interval.M1, Interval.H1))
    assert (minute.missing, minute.differing, minute.explained) == (int(lost.sum()), 0, int(lost.sum()))
    assert (hour.differing, hour.explained, hour.equal) == (1, 1, 23)
    assert len(desk.store.read(BTC, Interval.M1, start, end)) == int(lost.sum())


def test_what_ended_before_the_symbol_was_followed_was_not_missed(desk, day, truth):
    """Subscribed at 10:07:20: the venue's bars before are stored; those across that moment are explained."""
    since = day + 607 * MINUTE_NS + 20 * 10**9
    write(desk, live_rows(truth[truth["start"] > since]), since=since)
    seat(desk, simulated=Script(bars=truth))
    (found,) = reconcile(desk)

    minute, hour = (by_interval(found)[interval] for interval in (Interval.M1, Interval.H1))
    assert (minute.missing, minute.bars - minute.equal - minute.explained) == (minute.explained, 0)
    assert minute.missing <= 1
    assert (hour.bars, hour.equal, hour.differing, hour.explained) == (14, 13, 1, 1)
    before = truth[(truth["start"] >= day) & (truth["end"] <= since)]
    assert len(desk.store.read(BTC, Interval.M1, day, since // MINUTE_NS * MINUTE_NS)) == len(before)


def test_what_the_desk_was_not_there_for_is_explained(desk, clock, day, truth):
    """It stopped at 18:00, and nothing in the ledger says so before it starts again."""
    stopped = day + 1080 * MINUTE_NS
    now, clock.now_ns = clock.now_ns, stopped
    write(desk, live_rows(truth[truth["end"] <= stopped]))
    clock.now_ns = now
    seat(desk, simulated=Script(bars=truth))
    (found,) = reconcile(desk)

    minute = by_interval(found)[Interval.M1]
    assert minute.missing > 300
    assert (minute.explained, minute.differing) == (minute.missing, 0)


def test_one_symbols_trouble_stops_no_other(desk, day, truth):
    """The first is asked of a venue that does not list it."""
    write(desk, live_rows(truth), ETH)
    write(desk, live_rows(truth), BTC)
    script = Script(bars=truth)
    seat(desk, simulated=script)

    class Unlisted(dict):
        def get(self, number, default=None):
            return NotOffered("simulated lists no ETHUSD") if script.calls[number][0] == ETH else default

    script.fails = Unlisted()
    told = []
    found = reconcile(desk, told=told.append)

    assert [one.symbol for one in found] == [BTC, ETH]
    assert found[0].error == ""
    assert by_interval(found[0])[Interval.M1].share == 1.0
    assert "lists no ETHUSD" in found[1].error
    assert sorted(one.symbol for one in told) == [BTC, ETH]


def test_a_part_of_a_day_that_a_provider_gave_counts_as_far_as_it_goes(desk, day, truth):
    """The third page fails: what was covered is compared, the rest is named and not taken for missing."""
    write(desk, live_rows(truth))
    seat(desk, simulated=Script(bars=truth, fails={3: ProviderAway("simulated does not answer")}))
    (found,) = reconcile(desk)

    minute = by_interval(found)[Interval.M1]
    assert "does not answer" in found.error
    assert 0 < minute.equal < 1000
    assert minute.share == 1.0


def test_sessions_are_reconciled_by_their_own_day(desk, clock, day):
    """Friday, 2 January 2026 in New York: 14:30 to 21:00 UTC; the week ends with it."""
    sessions = calendar_for(FORD)
    clock.now_ns = day + 2 * DAY + 30 * MINUTE_NS
    truth = truth_of_minutes(day + DAY + 870 * MINUTE_NS, 390, quiet=0.2)
    write(desk, live_rows(truth, sessions), FORD, "tradingview")
    seat(desk, alpaca=Script(bars=truth), massive=Script(), tradier=Script(), alpha_vantage=Script(),
         yfinance=Script(), tradingview=Script())  # fmt: skip
    (found,) = reconcile(desk)

    scores = by_interval(found)
    assert scores[Interval.D1].bars == scores[Interval.W1].bars == 1
    assert scores[Interval.D1].share == scores[Interval.H1].share == scores[Interval.M1].share == 1.0
    assert found.error == ""


def test_scores_are_kept_by_day(desk, day, truth):
    write(desk, live_rows(truth))
    seat(desk, simulated=Script(bars=truth))
    (found,) = reconcile(desk)
    with TruthBook(desk.folders.history) as book:
        assert book.truths(BTC) == list(found.truths)
        assert book.truths(ETH) == book.truths(start=day + DAY) == []


def test_an_end_before_the_start_is_refused(desk, day):
    with pytest.raises(DeskError, match="is not after the start"):
        reconcile(desk, start=day, end=day - 1)


def test_nothing_live_is_nothing_to_reconcile(desk, day):
    assert reconcile(desk) == []


def test_of_a_live_bar_the_last_revision_counts_and_replayed_files_do_not(desk, day, truth):
    rows = live_rows(truth)
    amended = rows[(rows["interval"] == Interval.M1)][1500:1501].copy()
    amended["revision"], amended["volume"], amended["updated_at"] = 2, 99.0, amended["updated_at"] + 1
    write(desk, rows)
    write(desk, amended)
    write(desk, rows, ETH, "file:00000001")
    found = live_bars(desk.store, day, day + DAY)

    assert {symbol for symbol, _ in found} == {BTC}
    minutes = found[BTC, Interval.M1]
    assert (minutes["start"] == np.sort(minutes["start"])).all()
    assert minutes["volume"][minutes["start"] == amended["start"][0]].tolist() == [99.0]
