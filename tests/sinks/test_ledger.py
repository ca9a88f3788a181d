"""The ledger: what the desk's processes and its user tell each other."""

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.errors import DeskError
from market.symbols import Symbol, parse_symbol
from sinks.ledger import Event, FeedState, GapState, Ledger, NewGap, Reject, Replay
from sinks.ledger_alerts import EVENTS_KEPT
from sinks.ledger_rejects import REJECTS_KEPT

BTC = parse_symbol("SIM:BTCUSD")
ETH = parse_symbol("SIM:ETHUSD")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "desk.sqlite") as opened:
        yield opened


def test_a_gap_lasts_until_it_is_ended(ledger: Ledger):
    number = ledger.open_gap(BTC, 100, "down", noticed_at=130, feed="sim")

    assert [(gap.id, gap.end, gap.state) for gap in ledger.gaps(BTC, lasting=True)] == [(number, None, GapState.OPEN)]
    assert ledger.end_gap(BTC, 100, "down", end=200)
    assert not ledger.end_gap(BTC, 100, "down", end=300), "it has an end already"
    assert [gap[1:] for gap in ledger.gaps()] == [(BTC, 100, 200, "down", GapState.OPEN, None, 130, "sim")]


def test_noting_a_gap_again_changes_nothing_but_a_later_end(ledger: Ledger):
    """A consumer that was killed notes again what it had noted; late ticks of one minute come one by one."""
    first = ledger.note_gap(BTC, 100, 200, "late", noticed_at=300)

    assert ledger.note_gap(BTC, 100, 150, "late", noticed_at=400) == first
    assert ledger.open_gap(BTC, 100, "late", noticed_at=400) == first
    assert [(gap.end, gap.noticed_at) for gap in ledger.gaps()] == [(200, 300)]
    ledger.note_gap(BTC, 100, 250, "late", noticed_at=500)
    assert [gap.end for gap in ledger.gaps()] == [250]


def test_gaps_noted_together_are_those_noted_one_by_one(ledger: Ledger):
    """A replay notes thousands at once."""
    ledger.note_gap(BTC, 100, 200, "late", noticed_at=300)

    ledger.note_gaps([NewGap(ETH, 100, 160, "late", 310, "sim"), NewGap(BTC, 100, 250, "late", 320, "sim")])

    assert [(gap.symbol, gap.start, gap.end, gap.noticed_at, gap.feed) for gap in ledger.gaps()] == [
        (BTC, 100, 250, 300, ""),
        (ETH, 100, 160, 310, "sim"),
    ]


def test_a_healed_gap_stays_healed_when_it_is_noted_again(ledger: Ledger):
    number = ledger.note_gap(BTC, 100, 200, "down", noticed_at=300)
    ledger.settle_gap(number, GapState.HEALED, "kraken-rest")

    ledger.note_gap(BTC, 100, 200, "down", noticed_at=300)

    assert [(gap.state, gap.healed_by) for gap in ledger.gaps()] == [(GapState.HEALED, "kraken-rest")]
    assert ledger.gaps(state=GapState.OPEN) == []
    assert ledger.gaps(ETH) == []


def test_gaps_show_the_columns_that_users_read(ledger: Ledger):
    ledger.open_gap(BTC, 1_700_000_000_000_000_000, "down", noticed_at=1_700_000_001_000_000_000)

    frame = ledger.gaps_frame()

    assert frame.columns == ["exchange", "symbol", "start", "end", "reason", "state", "healed_by", "noticed_at"]
    assert [str(value) for value in frame.row(0)] == [
        "SIM", "BTCUSD", "2023-11-14 22:13:20+00:00", "None", "down", "open", "None", "2023-11-14 22:13:21+00:00",
    ]  # fmt: skip


def test_a_reject_of_a_journal_row_counts_once_however_often_it_comes(ledger: Ledger):
    """A resumed consumer reads again what it had refused before it was killed."""
    late = Reject("bars", "late", "tick of 12:00", 5, BTC, seq=7, place=3)

    assert ledger.reject(late)
    assert not ledger.reject(late)
    assert ledger.reject(late._replace(place=4))
    assert ledger.reject(late._replace(place=None)), "a whole row is refused apart from its records"
    assert not ledger.reject(late._replace(place=None))
    assert [tuple(count) for count in ledger.reject_counts()] == [("bars", "late", 3)]
    assert ledger.rejects() == [late._replace(place=None), late._replace(place=4), late]


def test_frames_that_never_reached_the_journal_count_each_time(ledger: Ledger):
    frame = Reject("kraken", "frame", "{", 5)

    assert ledger.reject_many([frame, frame]) == 2
    assert [tuple(count) for count in ledger.reject_counts()] == [("kraken", "frame", 2)]
    assert ledger.rejects(1, source="kraken", reason="frame") == [frame]
    assert ledger.rejects(source="okx") == []


def test_the_newest_rejects_are_kept_and_all_are_counted(ledger: Ledger):
    """A venue that sends garbage all night must not fill the disk."""
    extra = 5
    ledger.reject_many(Reject("kraken", "frame", str(n), n) for n in range(REJECTS_KEPT + extra))

    kept = ledger.rejects()
    assert (len(kept), kept[0].detail, kept[-1].detail) == (REJECTS_KEPT, str(REJECTS_KEPT + extra - 1), str(extra))
    assert ledger.reject_counts()[0].total == REJECTS_KEPT + extra


def test_rejects_show_their_symbol_or_none(ledger: Ledger):
    ledger.reject_many([Reject("kraken", "frame", "{", 5), Reject("bars", "late", "", 6, BTC, 7, 0)])

    frame = ledger.rejects_frame()

    assert frame.select("source", "exchange", "symbol", "seq", "place").rows() == [
        ("bars", "SIM", "BTCUSD", 7, 0),
        ("kraken", None, None, None, None),
    ]


def test_an_interrupted_batch_of_rejects_leaves_nothing(ledger: Ledger):
    def batch() -> Iterator[Reject]:
        yield Reject("bars", "late", "", 1, BTC, 1, 0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.reject_many(batch())

    assert (ledger.rejects(), ledger.reject_counts()) == ([], [])


def test_one_feed_makes_the_bars_of_a_symbol(ledger: Ledger):
    first = ledger.subscribe(BTC, "kraken", 1)
    second = ledger.subscribe(BTC, "coinbase", 2)

    assert (first.designated, second.designated) == (True, False)
    assert ledger.subscribe(BTC, "coinbase", 3, designated=True).designated
    assert [(one.feed, one.since, one.designated) for one in ledger.subscriptions()] == [
        ("coinbase", 2, True), ("kraken", 1, False),
    ]  # fmt: skip


def test_when_the_designated_feed_is_dropped_another_takes_over(ledger: Ledger):
    ledger.subscribe(BTC, "kraken", 1)
    ledger.subscribe(BTC, "coinbase", 2)

    assert ledger.unsubscribe(BTC, "kraken") == 1
    assert [(one.feed, one.designated) for one in ledger.subscriptions()] == [("coinbase", True)]
    assert [one.feed for one in ledger.subscriptions(active=False)] == ["kraken"]
    assert ledger.unsubscribe(BTC) == 1
    assert ledger.unsubscribe(BTC) == 0
    assert ledger.subscriptions() == []
    assert len(ledger.subscriptions(active=None)) == 2


def test_many_symbols_are_followed_at_once_or_not_at_all(ledger: Ledger):
    """A thousand commits take seconds where a disk must be forced, and ingest would follow them in parts."""
    many = {Symbol("SIM", f"S{number:04d}USD"): "sim" for number in range(1000)}

    ledger.subscribe_all(many, 1)

    assert [(one.symbol, one.feed, one.designated) for one in ledger.subscriptions()] == [
        (symbol, "sim", True) for symbol in many
    ]
    with pytest.raises(DeskError):
        ledger.subscribe_all({BTC: "sim", Symbol("SIM", "ETHUSD"): None}, 2)  # type: ignore[dict-item]
    assert len(ledger.subscriptions()) == 1000


def test_subscribing_again_starts_a_new_since(ledger: Ledger):
    ledger.subscribe(BTC, "kraken", 1)
    assert ledger.subscribe(BTC, "kraken", 2).since == 1, "it was never dropped"
    ledger.unsubscribe(BTC)
    assert ledger.subscribe(BTC, "kraken", 3) == (BTC, "kraken", 3, True, True)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    calls=st.lists(
        st.tuples(st.sampled_from(["on", "off"]), st.sampled_from("abc"), st.sampled_from([None, True, False]))
    )
)
def test_at_most_one_active_feed_is_designated_whatever_a_user_does(ledger: Ledger, calls: list[tuple]):
    """Two would make each bar twice."""
    symbol = Symbol("SIM", f"S{len(ledger.subscriptions(active=None))}")
    for time, (call, feed, designated) in enumerate(calls):
        if call == "on":
            ledger.subscribe(symbol, feed, time, designated=designated)
        else:
            ledger.unsubscribe(symbol, feed)
        mine = [one for one in ledger.subscriptions(active=None) if one.symbol == symbol]
        assert sum(one.designated for one in mine) <= 1
        assert not any(one.designated and not one.active for one in mine)


def test_a_change_by_another_process_is_seen_and_ones_own_is_not(ledger: Ledger):
    """Ingest looks many times a second, and must not act on its own notes."""
    with Ledger(ledger.path) as other:
        assert not ledger.changed()
        other.subscribe(BTC, "sim", 1)
        assert ledger.changed()
        assert not ledger.changed()
        ledger.subscribe(ETH, "sim", 1)
        assert not ledger.changed()


def test_a_position_never_goes_back_unless_it_is_reset(ledger: Ledger):
    """What no consumer can ask for again is what lies behind the snapshot before the newest."""
    assert (ledger.consumed_seq(), ledger.seen_seq()) == (0, 0)
    for seq in (10, 20, 15, 20):
        ledger.move("bars", seq)
    ledger.move("paper", 5)

    assert [tuple(position) for position in ledger.positions()] == [("bars", 20, 10), ("paper", 5, 0)]
    assert (ledger.consumed_seq(), ledger.seen_seq()) == (0, 20)
    ledger.forget("paper")
    assert ledger.consumed_seq() == 10
    ledger.reset("bars", 3)
    assert [tuple(position) for position in ledger.positions()] == [("bars", 3, 3)]


def test_events_come_newest_first_and_are_bounded(ledger: Ledger):
    with ledger.transaction() as connection:
        connection.execute("INSERT INTO events VALUES(?, 1, 'info', 'old', 'p', NULL, NULL, '')", (EVENTS_KEPT,))
        connection.execute("INSERT INTO events VALUES(1, 1, 'info', 'oldest', 'p', NULL, NULL, '')")
    event = Event(2, "warning", "clock_skew", "ingest", "kraken is 3 s behind", "kraken", "KRAKEN:BTCUSD")

    number = ledger.note_event(event)

    assert [one.name for one in ledger.events()] == ["clock_skew", "old"]
    assert ledger.events(1) == [event._replace(id=number)]
    assert ledger.events(after=number) == []


def test_a_price_alert_fires_once(ledger: Ledger):
    number = ledger.set_price_alert(BTC, "above", 100.5, 1)

    assert ledger.set_price_alert(BTC, "above", 100.5, 2) == number
    assert ledger.set_price_alert(BTC, "below", 100.5, 2) != number
    event = Event(9, "warning", "price_alert", "ingest", "SIM:BTCUSD traded at 101.0", None, "SIM:BTCUSD")
    with pytest.raises(DeskError):
        ledger.fire_price_alert(number, event._replace(text=None))  # type: ignore[arg-type]
    assert len(ledger.price_alerts(armed=True)) == 2, "what could not be told is still to be told"
    assert ledger.fire_price_alert(number, event)
    assert not ledger.fire_price_alert(number, event._replace(time=10))
    assert [one.text for one in ledger.events()] == ["SIM:BTCUSD traded at 101.0"]
    assert [(one.side, one.armed, one.fired_at) for one in ledger.price_alerts()] == [
        ("above", False, 9), ("below", True, None),
    ]  # fmt: skip
    assert [one.side for one in ledger.price_alerts(armed=True)] == ["below"]
    assert ledger.remove_price_alert(number)
    assert not ledger.remove_price_alert(number)
    with pytest.raises(DeskError, match="'near' a price"):
        ledger.set_price_alert(BTC, "near", 1.0, 1)  # type: ignore[arg-type]


def test_replays_and_feeds_keep_their_newest_state(ledger: Ledger):
    running = Replay("3f2a", BTC, "ticks.csv", 10, "running", 5)
    ledger.note_replay(running)
    ledger.note_replay(running._replace(rows=20, state="done", changed_at=6))
    ledger.note_feed(FeedState("kraken", "down", 1, 0, ""))
    ledger.note_feed(FeedState("kraken", "up", 2, 1, "pong"))

    assert ledger.replays("3f2a") == [running._replace(rows=20, state="done", changed_at=6)]
    assert ledger.replays("0000") == []
    assert ledger.feeds() == [FeedState("kraken", "up", 2, 1, "pong")]


_WRITER = """
import sys
from pathlib import Path
from market.symbols import parse_symbol
from sinks.ledger import Ledger
sys.stdin.readline()
with Ledger(Path(sys.argv[1])) as ledger:
    for n in range(40):
        ledger.open_gap(parse_symbol("SIM:BTCUSD"), n, sys.argv[2], 1)
"""


def test_processes_that_start_together_share_one_ledger_and_lose_nothing(tmp_path: Path):
    """`pq up` starts ingest and bars at once, on a folder where there is nothing yet."""
    path = tmp_path / "new" / "desk.sqlite"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), name], stdin=subprocess.PIPE, text=True)
        for name in "abcd"
    ]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.stdin.close()
        assert writer.wait(60) == 0

    with Ledger(path) as ledger:
        assert len(ledger.gaps()) == 4 * 40
    assert [other.name for other in path.parent.iterdir()] == ["desk.sqlite"]


def test_a_ledger_that_is_none_is_named(tmp_path: Path):
    """Never SQLite's own words alone: the file, what is wrong and what to do."""
    path = tmp_path / "desk.sqlite"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 20)
    with pytest.raises(DeskError, match=r"desk\.sqlite: it is damaged: .*; restore it"):
        Ledger(path)
    path.write_bytes(b"")
    with pytest.raises(DeskError, match="has format version 0, this program knows 1"):
        Ledger(path)
    with pytest.raises(DeskError, match="cannot be made"):
        Ledger(path / "below" / "desk.sqlite")


_FULL = """
import resource, sys
from pathlib import Path
from market.errors import DeskError
from sinks.ledger import Event, Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.note_event(Event(1, "info", "before", "p", "t"))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for n in range(1000):
        ledger.note_event(Event(n, "info", "x", "p", "t" * 5000))
except DeskError as error:
    print(error)
"""


def test_a_disk_without_room_is_named_and_what_was_noted_is_kept(tmp_path: Path):
    """The limit on the size of files stands for a full disk: both end in a write that fails."""
    assert resource.RLIMIT_FSIZE is not None
    path = tmp_path / "desk.sqlite"
    done = subprocess.run([sys.executable, "-c", _FULL, str(path)], capture_output=True, text=True, check=True)

    assert done.stdout.startswith(f"ledger {path}: ")
    assert "make" in done.stdout
    with Ledger(path) as ledger:
        assert ledger.events()[-1].name == "before"


def test_a_lock_that_is_never_let_go_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sinks.ledger_file.BUSY_S", 0.05)
    path = tmp_path / "desk.sqlite"
    with Ledger(path) as ledger, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DeskError, match="another program has held it"):
            ledger.move("bars", 1)
        other.execute("ROLLBACK")
        ledger.move("bars", 1)
    assert len(list(tmp_path.iterdir())) == 1
