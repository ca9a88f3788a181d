"""The parts of ingest, each by itself: where streams stand, the roster, the mailbox, price alerts, memory, the disk."""

# ruff: noqa: D102  # The doubles here implement protocols that say what each method is for.

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.ingest import Coalesce
from dataflows.ingest.alarms import Alarms
from dataflows.ingest.clerk import Clerk
from dataflows.ingest.feeds import feed_of, first_subscriptions, make_feeds
from dataflows.ingest.gap_notes import GapNotes
from dataflows.ingest.housekeeping import Housekeeping
from dataflows.ingest.mailbox import Changes, Mailbox
from dataflows.ingest.memory import recall
from dataflows.ingest.outages import Outages, clock_mark
from dataflows.ingest.price_watch import PriceWatch
from dataflows.ingest.probe import choose_feed
from dataflows.ingest.received_clock import ReceivedClock
from dataflows.ingest.recorder import Recorder
from dataflows.ingest.roster import FIRST_SYMBOLS, roster
from market.errors import DeskError
from market.journal_rows import Row, RowKind, checksum
from market.sessions import calendar_for
from market.streams import FeedKind, Stream
from market.symbols import Symbol, parse_symbol
from market.ticks import ALL_STREAMS, ALWAYS, MARK, NEVER, TICK, MarkKind
from operators.trade_gaps import Gap
from sinks.ledger import Ledger, PriceAlert, Reject, Subscription
from sources.venues import make_feed

DAY = 1_795_132_800_000_000_000
SECOND = 1_000_000_000
BTC, ETH = Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD")


class QuietLog:
    """Takes every line and keeps the event names."""

    def __init__(self):
        self.events = []

    def _line(self, event, **_):
        self.events.append(event)

    debug = info = warning = error = exception = _line


def tick(at=DAY, price=10.0, trade_id=-1, stream=0, received=None):
    return (at, at if received is None else received, price, 1.0, trade_id, 1, stream, 0, 0)


# Where streams stand


def kinds(change):
    return [(MarkKind(row[3]).name, row[5], row[1], row[2]) for row in change.marks]


def test_a_stream_is_subscribed_once_then_goes_down_and_up():
    outages = Outages()

    assert kinds(outages.up([3], DAY)) == [("SUBSCRIBED", 3, ALWAYS, DAY)]
    assert kinds(outages.up([3], DAY + 1)) == []
    down = outages.down([3], DAY + 5, DAY + 9)
    assert kinds(down) == [("DOWN", 3, DAY + 5, NEVER)]
    assert down.began == [(3, DAY + 5)]
    assert kinds(outages.down([3], DAY + 7, DAY + 9)) == []
    up = outages.up([3], DAY + 20)
    assert kinds(up) == [("UP", 3, DAY + 5, DAY + 20)]
    assert up.ended == [(3, DAY + 20)]


def test_a_stream_that_never_flowed_cannot_go_down():
    """Its first connection failing is no outage of data that was never promised."""
    assert Outages().down([1], DAY, DAY).marks == []


def test_a_dropped_stream_comes_back_from_where_it_was_dropped():
    """What is known of the time before stays known."""
    outages = Outages()
    outages.up([1], DAY)
    assert kinds(outages.drop([1], DAY + 5, DAY + 5)) == [("DROPPED", 1, DAY + 5, NEVER)]
    assert outages.drop([1], DAY + 6, DAY + 6).marks == []
    assert outages.down([1], DAY + 6, DAY + 6).marks == []
    back = outages.up([1], DAY + 9)
    assert kinds(back) == [("UP", 1, DAY + 5, DAY + 9)]
    assert back.ended == []


def test_dropping_a_stream_that_is_down_ends_its_outage():
    outages = Outages()
    outages.up([1], DAY)
    outages.down([1], DAY + 1, DAY + 2)
    change = outages.drop([1], DAY + 5, DAY + 5)

    assert change.ended == [(1, DAY + 5)]
    assert kinds(outages.up([1], DAY + 9)) == [("UP", 1, DAY + 1, DAY + 9)]


def test_one_stream_of_a_symbol_is_designated_at_a_time():
    outages = Outages()
    assert kinds(outages.designate(1, [2], DAY)) == [("DESIGNATED", 1, DAY, NEVER)]
    assert kinds(outages.designate(1, [2], DAY)) == []
    outages.designate(2, [1], DAY)

    assert outages.designated == {2}


steps = st.lists(st.tuples(st.sampled_from(["down", "up", "drop", "designate"]), st.integers(0, 3)), max_size=25)


@given(steps, st.integers(0, 25))
def test_the_journals_marks_tell_where_every_stream_stands(taken, cut):
    """A process that was killed anywhere knows from the journal, or a snapshot and the rest, what it had said."""
    outages = Outages()
    marks, snapshot, read = [], Outages().snapshot(), 0
    same = {0: (0, 1), 1: (0, 1), 2: (2,), 3: (3,)}
    for place, (step, stream) in enumerate(taken):
        now = DAY + place * SECOND
        if step == "up":
            marks += outages.up([stream], now).marks
        elif step == "designate":
            marks += outages.designate(stream, [other for other in same[stream] if other != stream], now).marks
        else:
            marks += getattr(outages, step)([stream], now - SECOND // 2, now).marks
        marks.append(clock_mark(now))
        if place == cut:
            snapshot, read = outages.snapshot(), len(marks)
    told = Outages.restore(snapshot)
    told.apply(np.array(marks[read:], MARK), same)

    assert told.snapshot() == outages.snapshot()


# Subscriptions


def held(symbol, feed, designated=False):
    return Subscription(symbol, feed, DAY, active=True, designated=designated)


def test_bars_are_made_by_the_settings_choice_then_the_ledgers_then_trades():
    kinds_of = {"tradingview": FeedKind.CONFLATED, "kraken": FeedKind.TRADES}
    one, two, three = (Symbol("KRAKEN", name) for name in ("A", "B", "C"))
    subscriptions = [
        held(one, "tradingview", designated=True),
        held(one, "kraken"),
        held(two, "tradingview"),
        held(two, "kraken"),
        held(three, "tradingview"),
        held(three, "kraken", designated=True),
    ]

    found = roster(subscriptions, kinds_of, {three: "tradingview"})

    assert found.designated == {one: "tradingview", two: "kraken", three: "tradingview"}
    assert found.symbols == {"tradingview": [one, two, three], "kraken": [one, two, three]}


def test_a_feed_that_does_not_run_makes_no_bars_and_a_symbol_without_a_running_feed_is_named():
    found = roster(
        [held(BTC, "okx", designated=True), held(BTC, "sim"), held(ETH, "okx")], {"sim": FeedKind.TRADES}, {}
    )

    assert found.designated == {BTC: "sim"}
    assert found.unserved == [ETH]


def test_a_feed_begins_with_its_first_symbols_until_someone_has_chosen(tmp_path):
    feeds = [make_feed("kraken")]
    with Ledger(tmp_path / "desk.sqlite") as ledger:
        first_subscriptions(ledger, feeds, [], DAY)
        assert [str(one.symbol) for one in ledger.subscriptions()] == sorted(FIRST_SYMBOLS["kraken"])
        for one in ledger.subscriptions():
            ledger.unsubscribe(one.symbol)
        first_subscriptions(ledger, feeds, [], DAY)
        assert ledger.subscriptions() == []
        first_subscriptions(ledger, feeds, ["kraken:xrpusd"], DAY)
        assert [str(one.symbol) for one in ledger.subscriptions()] == ["KRAKEN:XRPUSD"]


def test_a_symbol_goes_to_the_feed_of_its_exchange_else_to_the_one_that_serves_many():
    kraken, view = make_feed("kraken"), make_feed("tradingview")

    assert feed_of(Symbol("KRAKEN", "BTCUSD"), [view, kraken]) is kraken
    assert feed_of(Symbol("NASDAQ", "AAPL"), [kraken, view]) is view
    with pytest.raises(DeskError, match="NASDAQ:AAPL is served by none of the running feeds"):
        feed_of(Symbol("NASDAQ", "AAPL"), [kraken])


def made(*names, **options):
    said = []
    given = {"simulated_url": None, "tradingview_enabled": False, "tradingview_token": None, "config": Path("c.toml")}
    feeds = make_feeds(names, **given | options, say=said.append)
    return [feed.name for feed in feeds], said


def test_tradingview_runs_only_where_the_settings_say_so_and_says_what_its_terms_are():
    with pytest.raises(DeskError, match="feed tradingview is off"):
        made("tradingview")
    names, said = made("tradingview", "kraken", tradingview_enabled=True)

    assert names == ["tradingview", "kraken"]
    assert "redistribution" in said[0]


def test_simulated_prices_are_called_simulated():
    names, said = made("auto", simulated_url="ws://127.0.0.1:1/kraken", choose=lambda: "sim")

    assert names == ["sim"]
    assert "SIMULATED" in said[0]
    with pytest.raises(DeskError, match="--sim-url"):
        made("sim")


def test_auto_falls_back_to_the_simulated_exchange_where_nobody_answers():
    assert choose_feed(1.0, {"coinbase": "ws://127.0.0.1:1", "kraken": "ws://127.0.0.1:1"}) == "sim"


def test_auto_gives_up_in_time_where_a_venue_takes_the_connection_and_says_nothing():
    import socket
    import time

    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        began = time.monotonic()
        assert choose_feed(0.5, {"coinbase": f"ws://127.0.0.1:{mute.getsockname()[1]}"}) == "sim"
        assert time.monotonic() - began < 2.0


def test_auto_takes_the_preferred_one_of_those_that_answer():
    from websockets.sync.server import serve

    with serve(lambda socket: socket.recv(), "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        urls = {"binance": url, "kraken": url, "coinbase": "ws://127.0.0.1:1"}

        assert choose_feed(5.0, urls) == "kraken"
        server.shutdown()


# Recording


class PaperJournal:
    """Keeps rows as they are appended."""

    def __init__(self):
        self.rows = []

    def append(self, kind, domain, records):
        self.rows.append((kind, records.copy()))
        return len(self.rows)


def recorder(now):
    journal, rung, mailbox = PaperJournal(), [], Mailbox()
    clock = ReceivedClock(lambda: now[0])
    return Recorder(journal, rung.append, clock, mailbox), journal, rung, mailbox


def test_what_is_received_never_goes_back_in_time():
    """Two connections read in one turn of the loop are handed on one after the other; a mark may come between."""
    now = [DAY + 10]
    record, journal, rung, _ = recorder(now)
    record.ticks([tick(received=DAY + 5), tick(received=DAY + 7)])
    record.marks([clock_mark(DAY + 9)])
    record.ticks([tick(received=DAY + 6), tick(received=DAY + 11)])

    assert [row["received_time"].tolist() for kind, row in journal.rows if kind == RowKind.TICKS] == [
        [DAY + 5, DAY + 7],
        [DAY + 9, DAY + 11],
    ]
    assert rung == [1, 2, 3]


def test_the_clock_is_told_only_when_nothing_else_told_it_for_a_tenth_of_a_second():
    now = [DAY]
    record, journal, _, _ = recorder(now)
    record.tell_time()
    now[0] += SECOND // 20
    record.ticks([tick(received=now[0])])
    for _ in range(9):
        now[0] += SECOND // 20
        record.tell_time()

    clocks = [row["time"][0] for kind, row in journal.rows if kind == RowKind.MARKS]
    assert clocks == [DAY, *(DAY + SECOND // 20 * n for n in (3, 5, 7, 9))]
    assert all(row["stream"][0] == ALL_STREAMS for kind, row in journal.rows if kind == RowKind.MARKS)


def test_a_clock_that_was_set_back_stands_still_until_it_has_caught_up():
    now = [DAY]
    clock = ReceivedClock(lambda: now[0], not_before=DAY + 5)

    assert clock() == DAY + 5
    assert clock.behind_ns == 5
    now[0] = DAY + 6
    assert (clock(), clock.behind_ns) == (DAY + 6, 0)


# To the cache


def test_the_mailbox_keeps_the_newest_of_each_symbol_and_hands_out_the_longest_waiting_first():
    mailbox = Mailbox()
    mailbox.put_ticks([tick(DAY, 1.0, stream=5), tick(DAY, 2.0, stream=6), tick(DAY + 1, 3.0, stream=5)])

    assert mailbox.take(0.0).ticks == [tick(DAY + 1, 3.0, stream=5), tick(DAY, 2.0, stream=6)]


def test_nothing_more_is_handed_out_before_the_last_was_written():
    """The engine runs what is downstream only when the source returns."""
    mailbox = Mailbox()
    mailbox.put_ticks([tick()])
    assert mailbox.take(0.0) is not None
    mailbox.put_ticks([tick()])

    assert mailbox.take(0.0) is None
    mailbox.written(1)
    assert mailbox.take(0.0) == Changes([tick()], [])


def test_a_waiting_dataflow_is_woken_by_what_comes():
    mailbox = Mailbox()
    taken = []
    waiting = threading.Thread(target=lambda: taken.append(mailbox.take(30.0)))
    waiting.start()
    mailbox.put_ticks([tick()])
    waiting.join(10.0)

    assert taken == [Changes([tick()], [])]


def test_what_is_shown_of_a_symbol_is_its_designated_streams_with_kind_and_session():
    stream = Stream(0, "sim", BTC, FeedKind.TRADES, 0)
    logic = Coalesce(lambda place: stream if place == 0 else None, lambda one: calendar_for(one.symbol))
    quote = (DAY + 1, DAY + 2, 11.0, 10.0, 12.0, 3.0, 4.0, 0, 0, 2, 0)

    (shown, empty), retain = logic.on_batch(
        [Changes([tick(DAY, 9.0), tick(DAY, 8.0, stream=1)], []), Changes([], [quote])]
    )

    assert empty == []
    assert [tuple(one) for one in shown] == [
        ("SIM:BTCUSD", DAY + 1, DAY + 2, 11.0, 10.0, 12.0, 3.0, 4.0, "sim", "trades", "open", True)
    ]
    assert retain is False


# Alerts


def alert(number, side, price, made_at=0):
    return PriceAlert(number, BTC, side, price, True, made_at, None)


def test_a_price_alert_fires_once_at_the_first_tick_at_or_beyond_its_price():
    fired = []
    watch = PriceWatch(lambda one, price, at: fired.append((one.id, price, at)))
    watch.set([alert(1, "above", 100.0), alert(2, "below", 90.0), alert(3, "above", 500.0)], {BTC: [0, 1]})
    watch.look([tick(DAY, 99.9), tick(DAY + 1, 100.0), tick(DAY + 2, 101.0, stream=1), tick(DAY + 3, 89.0)])
    watch.look([tick(DAY + 4, 5.0, stream=7)])

    assert fired == [(1, 100.0, DAY + 1), (2, 89.0, DAY + 3)]
    assert watch.watching


def test_a_price_from_before_the_alert_was_set_does_not_fire_it():
    """A snapshot of old trades comes at each subscription."""
    fired = []
    watch = PriceWatch(lambda one, price, at: fired.append(one.id))
    watch.set([alert(1, "above", 100.0, made_at=DAY)], {BTC: [0]})
    watch.look([tick(DAY - 1, 200.0, received=DAY + 1)])

    assert fired == []


def test_the_same_alarm_is_noted_once_a_minute(tmp_path):
    now = [DAY]
    sent = []
    with Ledger(tmp_path / "desk.sqlite") as ledger:
        clerk = Clerk(ledger, QuietLog())
        alarms = Alarms(clerk, QuietLog(), lambda: now[0], notify=lambda name, text: sent.append(name))
        assert alarms.sound("symbol_mute", "one", feed="sim", symbol="SIM:A")
        assert not alarms.sound("symbol_mute", "two", feed="sim", symbol="SIM:A")
        assert alarms.sound("symbol_mute", "three", feed="sim", symbol="SIM:B")
        now[0] += 60 * SECOND
        assert alarms.sound("symbol_mute", "four", feed="sim", symbol="SIM:A")
        clerk.close()

        assert [event.text for event in ledger.events()] == ["four", "three", "one"]
        assert sent == ["symbol_mute sim SIM:A", "symbol_mute sim SIM:B", "symbol_mute sim SIM:A"]


def test_the_clerk_tries_again_and_forgets_nothing(tmp_path):
    failures = iter([True, True, False, False])
    done = []

    def work(_):
        if next(failures):
            msg = "ledger is busy"
            raise DeskError(msg)
        done.append("first")

    log = QuietLog()
    with Ledger(tmp_path / "desk.sqlite") as ledger:
        clerk = Clerk(ledger, log, retry_s=0.01)
        clerk.do(work)
        clerk.reject(Reject("sim", "json", "x", DAY))
        clerk.do(lambda _: done.append("second"))
        clerk.close()

        assert done == ["first", "second"]
        assert [one.total for one in ledger.reject_counts()] == [1]
        assert log.events == ["ledger cannot be written"]


# Memory


def row(seq, kind, records):
    payload = records.tobytes()
    clock = int(records[-1]["time" if kind == RowKind.MARKS else "received_time"])
    checksum(seq, kind, 0, clock, len(records), payload)
    return Row(seq, kind, 0, clock, len(records), payload)


class Pages:
    """A journal to be read."""

    def __init__(self, rows):
        self.rows = rows

    def read(self, after_seq):
        return [one for one in self.rows if one.seq > after_seq][:2]


def history():
    outages = Outages()
    ids = ((1, 2, 3), (3, 4), (8, 9), (10,))
    rows = [row(1, RowKind.MARKS, np.array(outages.up([0], DAY).marks, MARK))]
    for place, some in enumerate(ids):
        ticks = np.array([tick(DAY + n * SECOND, trade_id=n) for n in some], TICK)
        rows.append(row(place + 2, RowKind.TICKS, ticks))
    return rows


STREAMS = (Stream(0, "sim", BTC, FeedKind.TRADES, 0),)


@pytest.mark.parametrize("saved_after", [0, 1, 3, 4, 5])
def test_a_start_knows_what_was_seen_wherever_the_memory_was_last_written(tmp_path, saved_after):
    """The gap of ids 5 to 7 is in the ticks and was not yet marked when the process was killed."""
    path = tmp_path / "recovery" / "ingest.memory"
    rows = history()
    if saved_after:
        earlier = recall(path, Pages(rows[:saved_after]), STREAMS, saved_after, frozenset({0}))
        earlier.unreported.clear()
        earlier.save(path, saved_after)
    memory = recall(path, Pages(rows), STREAMS, len(rows), frozenset({0}))

    assert memory.dedupe.update([tick(DAY, trade_id=n) for n in (1, 4, 9, 10)]).rows == []
    assert memory.outages.flowing() == [0]
    lost = [*memory.unreported, *memory.gaps.due(DAY + 10**12)]
    assert [(gap.first_id, gap.last_id) for gap in lost] == ([] if saved_after >= 4 else [(5, 7)])


def test_a_gap_that_the_journal_names_is_not_reported_again(tmp_path):
    rows = history()
    (gap,) = recall(tmp_path / "none", Pages(rows), STREAMS, 5, frozenset({0})).unreported
    assert gap == Gap(0, DAY + 4 * SECOND, DAY + 8 * SECOND + 1, 5, 7)
    mark = np.array([(DAY + 11 * SECOND, gap.start, gap.end, int(MarkKind.GAP), 0, 0, 0)], MARK)
    memory = recall(tmp_path / "none", Pages([*rows, row(6, RowKind.MARKS, mark)]), STREAMS, 6, frozenset({0}))

    assert memory.unreported == []


@pytest.mark.parametrize("damage", [b"", b"\x00" * 40, b"\x95\x01\x05\xc4\x00\xc4\x00\x80"])
def test_a_damaged_memory_is_made_anew_from_the_journal(tmp_path, damage):
    path = tmp_path / "ingest.memory"
    path.write_bytes(damage)
    memory = recall(path, Pages(history()), STREAMS, 5, frozenset({0}))

    assert memory.dedupe.update([tick(DAY, trade_id=9)]).rows == []


def test_a_memory_of_another_journal_is_not_believed(tmp_path):
    path = tmp_path / "ingest.memory"
    rows = history()
    recall(path, Pages(rows), STREAMS, 5, frozenset({0})).save(path, 4711)

    assert recall(path, Pages([]), STREAMS, 0, frozenset({0})).outages.flowing() == []


# The disk


def test_little_room_is_an_alarm_once_and_its_end_another(tmp_path):
    free = [5 << 20]
    removed = []

    class Old:
        def prune(self, keep_days, min_free_bytes, consumed_seq, archived_seq, free_bytes):
            removed.append((keep_days, min_free_bytes, consumed_seq, archived_seq, free_bytes()))
            return []

    now = [0.0]
    with Ledger(tmp_path / "desk.sqlite") as ledger:
        log = QuietLog()
        clerk = Clerk(ledger, log)
        alarms = Alarms(clerk, log, lambda: DAY)
        keeper = Housekeeping(
            tmp_path, Old(), ledger, alarms, log,
            keep_days=7.0, min_free_bytes=10 << 20, now_s=lambda: now[0], free_bytes=lambda: free[0],
        )  # fmt: skip
        for now[0], free[0] in ((0.0, 5 << 20), (30.0, 5 << 20), (61.0, 5 << 20), (90.0, 50 << 20), (120.0, 50 << 20)):
            asyncio.run(keeper.look())
        clerk.close()

        assert [event.name for event in reversed(ledger.events())] == ["disk_low", "disk_low_over"]
        assert removed == [(7, 10 << 20, 0, None, 5 << 20)] * 2
        assert keeper.bytes > 0


@pytest.mark.parametrize(
    ("consumers", "consumed", "archived", "said"),
    [
        ({}, 90, None, None),
        ({"archive": 100}, 90, 100, None),
        ({"archive": 40}, 90, 40, "the archive has come to row 40 only"),
        ({"paper": 90}, 90, None, None),
        ({"paper": 30, "archive": 40}, 30, 40, "paper trading has come to row 30 only"),
    ],
)
def test_a_disk_that_fills_because_someone_stands_still_is_said(tmp_path, consumers, consumed, archived, said):
    """Days that are not archived, or that a paper run has yet to read, stay: who is called to the disk must hear."""
    kept = []

    class Old:
        def prune(self, _keep, _free, consumed_seq, archived_seq, free_bytes):
            kept.append((consumed_seq, archived_seq))
            return []

    with Ledger(tmp_path / "desk.sqlite") as ledger:
        for consumer, seq in {"bars": 90, **consumers}.items():
            ledger.reset(consumer, seq)
        log = QuietLog()
        clerk = Clerk(ledger, log)
        keeper = Housekeeping(
            tmp_path, Old(), ledger, Alarms(clerk, log, lambda: DAY), log,
            keep_days=7.0, min_free_bytes=10 << 20, now_s=lambda: 0.0, free_bytes=lambda: 5 << 20,
        )  # fmt: skip
        asyncio.run(keeper.look())
        clerk.close()
        (event,) = ledger.events()

    assert event.text.partition("; ")[2].startswith(said) if said else "; " not in event.text
    assert kept == [(consumed, archived)]


def test_first_symbols_are_symbols_of_their_feeds():
    for name, symbols in FIRST_SYMBOLS.items():
        exchange = {"sim": "SIM", "tradingview": None}.get(name, name.upper())
        assert all(exchange in {None, parse_symbol(text).exchange} for text in symbols)


def test_an_outage_that_the_ledger_missed_is_noted_at_the_next_start(tmp_path):
    """A full disk may take the marks of an outage and not the ledger's rows, or ingest was killed between the two."""
    streams = [Stream(0, "sim", BTC, FeedKind.TRADES, 0), Stream(1, "sim", ETH, FeedKind.TRADES, 0)]
    ledger, log = Ledger(tmp_path / "desk.sqlite"), QuietLog()
    ledger.open_gap(BTC, DAY, "down", DAY + SECOND, "sim")
    clerk = Clerk(ledger, log)
    notes = GapNotes(None, clerk, log, lambda: streams)
    outages = Outages()
    outages.up([0, 1], DAY - SECOND)
    outages.down([0, 1], DAY, DAY + SECOND)

    notes.lasting(outages.lacking(), DAY + 5 * SECOND)
    notes.lasting(outages.lacking(), DAY + 9 * SECOND)
    clerk.close()

    told = [(gap.symbol, gap.start, gap.reason) for gap in ledger.gaps(lasting=True)]
    assert sorted(told) == [(BTC, DAY, "down"), (ETH, DAY, "away")], "once each, under the reason it has"
    ledger.close()
