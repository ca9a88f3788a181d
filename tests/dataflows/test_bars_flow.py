"""The bars dataflow: the same rows however the journal is read, and nothing lost or told twice when it is cut off."""

import csv
import sqlite3
import threading
import time
from contextlib import closing
from datetime import timedelta

import numpy as np
import pytest
import redis
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import FixedPartitionedSource
from bytewax.testing import TestingSource

from dataflows.bars.keeper import merge, together
from market.bars import BAR, BarState
from market.chunks import Position, join
from market.forming import decode
from market.intervals import INTERVALS, Interval
from market.ticks import MarkKind
from sinks.redis_cache import CLOSED, ClosedStream, FormingCache
from sinks.sqlite_bars import SqliteBars
from sources.journal import JournalReader
from sources.journal_tail import InFlight, JournalTail

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
AT_ONCE = timedelta(0)
"""One epoch, and so one snapshot, a batch of the source."""


class Chunks(FixedPartitionedSource):
    """Bytewax' own source for tests, with its ABORT, as the journal's tail would emit."""

    def __init__(self, items, in_flight) -> None:
        self.inner = TestingSource(items)
        self.in_flight = in_flight

    def list_parts(self):
        """As the inner source."""
        return self.inner.list_parts()

    def build_part(self, step_id, for_part, resume_state):
        """The inner partition, counting what it emits."""
        part = self.inner.build_part(step_id, for_part, resume_state)
        take = part.next_batch

        def next_batch():
            items = take()
            self.in_flight.add(len(items))
            return items

        part.next_batch = next_batch
        return part


def market(desk, rng, minutes=40, streams=5) -> None:
    """Journal lively minutes: late ticks, too late ones, an outage, quiet minutes, quotes between."""
    begin = desk.begin
    known = [desk.stream(f"S{place}") for place in range(streams)]
    now = begin
    for _ in range(minutes * 6):
        now += int(rng.integers(1, 15 * SECOND))
        if rng.random() < 0.2:
            desk.clock(now)
            continue
        count = int(rng.integers(1, 40))
        received = np.sort(rng.integers(now, now + 3 * SECOND, count))
        delay = rng.choice([0.01, 0.5, 3.0, 70.0, 200.0], count, p=[0.7, 0.2, 0.05, 0.03, 0.02])
        rows = desk.rows(0, received - (delay * SECOND).astype(np.int64), np.round(100 + rng.normal(0, 1, count), 2))
        rows["received_time"] = received
        rows["size"] = np.round(rng.exponential(1, count), 8)
        rows["stream"] = rng.choice([stream.id for stream in known], count)
        desk.ticks(rows)
        now = int(received[-1])
        if rng.random() < 0.05:
            stream = int(rng.integers(0, streams))
            desk.marks(desk.mark(MarkKind.DOWN, stream, now, now - SECOND, np.iinfo(np.int64).max))
            now += SECOND
            desk.marks(desk.mark(MarkKind.UP, stream, now, now - 2 * SECOND, now))
    desk.clock(now + 5 * MINUTE)


def chunks_of(desk, rng) -> list:
    """The journal in chunks of random size."""
    reader, position, found = JournalReader(desk.journal), Position(), []
    while rows := reader.read(position.seq, max_rows=int(rng.integers(1, 12))):
        chunks, position = join(rows, position, reader.streams())
        found += chunks
    return found


def contents(desk) -> list:
    """All bars of the store with all columns but the order."""
    return [
        desk.store.read(series.symbol, series.interval, newest_first=False).rows() for series in desk.store.series()
    ]


@pytest.mark.parametrize("seed", range(4))
def test_any_chunking_and_any_abort_give_the_same_rows_in_the_same_order(tmp_path, make_desk, seed):
    """What was logged is a pure function of the journal: of neither batches nor crashes."""
    rng = np.random.default_rng(seed)
    whole, cut = make_desk("whole"), make_desk("cut")
    for desk in (whole, cut):
        market(desk, np.random.default_rng(seed))
    whole.run()
    items = chunks_of(cut, rng)
    # One abort a run, each behind the last: the source counts places without the aborts before them.
    for place in sorted(rng.choice(len(items), 5, replace=False).tolist()):
        aborted = [*items[:place], TestingSource.ABORT(), *items[place:]]
        in_flight = InFlight()
        cut.run(Chunks(aborted, in_flight), in_flight=in_flight, epoch=AT_ONCE if rng.random() < 0.5 else timedelta(1))
    in_flight = InFlight()
    cut.run(Chunks(items, in_flight), in_flight=in_flight)

    assert cut.progress.stored_seq == whole.progress.stored_seq
    assert len(whole.logged()) > 300
    assert cut.logged().tobytes() == whole.logged().tobytes()
    assert contents(cut) == contents(whole)
    assert cut.ledger.rejects_frame().sort("seq", "place").equals(whole.ledger.rejects_frame().sort("seq", "place"))
    assert cut.ledger.gaps()
    assert len(cut.ledger.gaps()) == len(whole.ledger.gaps())
    assert {count.reason for count in cut.ledger.reject_counts()} == {"late"}
    assert whole.store.check_log() == cut.store.check_log() == []


@pytest.mark.parametrize("rows_a_seq", [1, 500])
def test_a_chunks_bars_are_merged_by_journal_row_then_shard(rows_a_seq):
    """One order whatever the chunk, in crowds of bars as well as one by one."""
    rng = np.random.default_rng(3)
    parts = []
    for shard in range(8):
        part = np.zeros(int(rng.integers(0, 4000)), BAR)
        part["seq"] = np.sort(rng.integers(0, 4000 // rows_a_seq, len(part)))
        part["stream"], part["trades"] = shard, np.arange(len(part))
        parts.append(part)

    merged = together(merge(parts))

    expected = sorted((row for part in parts for row in part.tolist()), key=lambda row: row[10])
    assert merged.tolist() == expected
    assert together(merge([])).tolist() == []


def test_the_recorded_kraken_hour_gives_the_bars_worked_out_by_hand(desk, recorded):
    """Open, high, low, close and volume of the hour are sums of the file that no program of ours made."""
    stream = desk.stream("KRAKEN:BTCUSD", 1, "file:0123abcd", begin=0)
    with (recorded / "kraken/ticks/kraken-XBTUSD-trades-2019-07-01T00.csv").open() as file:
        trades = [(int(row["time_ms"]), float(row["price"]), float(row["amount"])) for row in csv.DictReader(file)]
    times, prices, amounts = (np.array(column) for column in zip(*trades, strict=True))
    rows = desk.rows(stream.id, times * 1_000_000, prices)
    rows["size"] = amounts
    rows["received_time"] = np.maximum.accumulate(rows["event_time"])
    minutes = rows["received_time"] // MINUTE
    for minute in np.unique(minutes):
        desk.ticks(rows[minutes == minute], 1)
    end = (int(rows["event_time"].max()) // MINUTE + 1) * MINUTE
    desk.marks(desk.mark(MarkKind.FILE_END, stream.id, end + 2 * SECOND), 1)

    desk.run()

    bars = {interval: desk.store.read(stream.symbol, interval) for interval in INTERVALS}
    closed = {str(key): len(frame.filter(frame["state"] == "closed")) for key, frame in bars.items()}
    assert closed == {
        "1m": 60, "3m": 20, "5m": 12, "15m": 4, "30m": 2, "45m": 1, "1h": 1, "2h": 0, "3h": 0, "4h": 0, "1d": 0,
        "1w": 0, "1M": 0,
    }  # fmt: skip
    hour = bars[Interval.H1].row(0, named=True)
    assert [hour[key] for key in ("open", "high", "low", "close")] == [10749.4, 11041.8, 10600.0, 11014.3]
    assert hour["volume"] == pytest.approx(903.70245541, abs=1e-6)
    assert hour["trades"] == 2672
    assert bars[Interval.D1]["state"].to_list() == ["forming"]


def test_a_stop_flushes_what_is_forming_and_the_bar_goes_on_after_the_start(desk):
    """Bytewax' own windows would close it half-way and begin another."""
    stream = desk.stream("S0")
    desk.ticks(desk.rows(stream.id, [desk.begin + SECOND], [10.0]))
    desk.run()

    flushed = desk.store.read(stream.symbol, Interval.M1)
    assert flushed.select("open", "close", "volume", "state", "revision").rows() == [(10.0, 10.0, 1.0, "forming", 0)]
    assert len(desk.logged()) == 0

    desk.ticks(desk.rows(stream.id, [desk.begin + 2 * SECOND], [11.0]))
    desk.clock(desk.begin + MINUTE + 2 * SECOND)
    desk.run()

    closed = desk.store.read(stream.symbol, Interval.M1)
    assert closed.select("open", "close", "volume", "state", "revision").rows() == [(10.0, 11.0, 2.0, "closed", 1)]
    assert len(desk.logged()) == 1


def test_a_late_tick_amends_and_a_later_one_is_refused_and_noted(desk):
    stream = desk.stream("S0")
    begin = desk.begin + MINUTE
    desk.ticks(desk.rows(stream.id, [begin + SECOND], [10.0]))
    desk.ticks(desk.rows(stream.id, [begin + MINUTE + SECOND], [11.0]))
    desk.clock(begin + MINUTE + 2 * SECOND)
    amending = desk.rows(stream.id, [begin + 2 * SECOND], [12.0])
    amending["received_time"] = begin + MINUTE + 3 * SECOND
    desk.ticks(amending)
    desk.clock(begin + 2 * MINUTE + 2 * SECOND)
    refused = desk.rows(stream.id, [begin + 3 * SECOND], [13.0])
    refused["received_time"] = begin + 2 * MINUTE + 3 * SECOND
    seq = desk.ticks(refused)

    desk.run()
    desk.run()

    minute = desk.store.read(stream.symbol, Interval.M1, newest_first=False).row(0, named=True)
    assert (minute["close"], minute["revision"], minute["trades"]) == (12.0, 2, 2)
    reject = desk.ledger.rejects()
    assert [(one.source, one.reason, one.seq, one.place, one.symbol) for one in reject] == [
        ("bars", "late", seq, 0, stream.symbol)
    ]
    assert "price 13.0" in reject[0].detail
    gap = desk.ledger.gaps()
    assert [(one.start, one.end, one.reason, one.feed) for one in gap] == [(begin, begin + MINUTE, "late", "sim")]
    assert desk.progress.rejects == {"late": 1}


def test_a_store_that_is_locked_is_waited_for_and_nothing_is_skipped(desk):
    """The journal holds the ticks; the flow holds its place."""
    market(desk, np.random.default_rng(1), minutes=3)
    patient = SqliteBars(desk.bars, timeout_s=0.05)
    with closing(sqlite3.connect(desk.bars, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")

        def release() -> None:
            deadline = time.monotonic() + 20
            while desk.progress.store_retries < 2 and time.monotonic() < deadline:
                time.sleep(0.005)
            other.execute("ROLLBACK")

        thread = threading.Thread(target=release)
        thread.start()
        desk.run(store=patient)
        thread.join()

    assert [name for _, name, _ in desk.events] == ["store_away", "store_back"]
    assert desk.progress.store_state == "up"
    assert desk.progress.store_retries >= 2
    assert len(desk.logged()) == desk.progress.closes.sum() + desk.progress.revisions.sum() > 20
    patient.close()


def test_a_stop_while_the_store_is_away_ends_the_flow_and_the_next_start_catches_up(desk):
    """A supervisor that wants to stop must not wait for a server that never comes back; nor may a snapshot be taken."""
    market(desk, np.random.default_rng(2), minutes=3)
    impatient = SqliteBars(desk.bars, timeout_s=0.05)
    with closing(sqlite3.connect(desk.bars, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = threading.Thread(target=lambda: (wait_for(lambda: desk.progress.store_retries), desk.stop.set()))
        waiting.start()
        with pytest.raises(BytewaxRuntimeError) as caught:
            desk.run(store=impatient)
        waiting.join()
    assert "locked by another process" in "".join(causes(caught.value))

    desk.stop.clear()
    desk.run()

    assert desk.progress.seq == desk.writer.last_seq
    assert len(desk.logged()) > 20
    impatient.close()


def test_a_store_that_lost_bars_is_named_before_anything_is_made(desk):
    """Bars that an exchanged store lacks would never be made again: the recovery store takes them for stored."""
    market(desk, np.random.default_rng(3), minutes=3)
    desk.run()
    other = SqliteBars(desk.folder / "other.sqlite")

    with pytest.raises(BytewaxRuntimeError) as caught:
        desk.run(store=other)

    assert any("other.sqlite has the bars of journal rows up to 0" in text for text in causes(caught.value))
    other.close()


def test_a_recovery_store_that_lost_a_shard_does_not_fit_and_says_so(desk):
    """Bytewax drops the state of a step it does not know in silence, and goes on reading where it was."""
    market(desk, np.random.default_rng(4), minutes=3)
    desk.run()
    for part in desk.recovery.glob("part-*.sqlite3"):
        with closing(sqlite3.connect(part)) as store, store:
            store.execute("DELETE FROM snaps WHERE step_id LIKE '%shards%' AND state_key = '3'")
    desk.clock(desk.begin + 100 * MINUTE)

    with pytest.raises(BytewaxRuntimeError) as caught:
        desk.run()

    assert any("the recovery store does not fit the journal: shard 3" in text for text in causes(caught.value))


def test_rows_that_come_twice_are_not_counted_twice(desk):
    """A source that goes back further than the shards' state would double volumes in silence."""
    market(desk, np.random.default_rng(5), minutes=3)
    items = chunks_of(desk, np.random.default_rng(5))
    in_flight = InFlight()
    desk.run(Chunks(items[:-1], in_flight), in_flight=in_flight)

    with pytest.raises(BytewaxRuntimeError) as caught:
        desk.run(Chunks([items[0], *items], in_flight), in_flight=in_flight)

    assert any("does not fit the journal" in text for text in causes(caught.value))


def test_a_journal_whose_beginning_was_pruned_gives_partial_bars_not_wrong_ones(desk):
    """Bars that reach back behind the first row left lack what is gone, and must say so."""
    stream = desk.stream("S0")
    for minute in range(4):
        desk.ticks(desk.rows(stream.id, [desk.begin + minute * MINUTE + SECOND], [10.0 + minute]))
    desk.clock(desk.begin + 30 * MINUTE)
    desk.writer.close()
    with closing(sqlite3.connect(next(desk.journal.glob("*.sqlite")))) as journal, journal:
        journal.execute("DELETE FROM rows WHERE seq < 5")
        journal.execute("INSERT OR REPLACE INTO starts VALUES(5, 'pruned')")
        journal.execute("DELETE FROM starts WHERE seq < 5")

    desk.run()

    minutes = desk.store.read(stream.symbol, Interval.M1, newest_first=False)
    assert minutes.select("open", "state").rows() == [(12.0, "partial"), (13.0, "closed")]
    assert desk.store.read(stream.symbol, Interval.M15)["state"].to_list() == ["partial"]


def test_forming_bars_are_in_redis_and_closed_ones_are_announced_after_the_store_has_them(desk, redis_url):
    client = redis.Redis.from_url(redis_url)
    cache, closed = FormingCache(redis_url), ClosedStream(redis_url)
    wait_for(lambda: cache.pipe.connected and closed.pipe.connected)
    first, second = desk.stream("S0"), desk.stream("S1")
    desk.ticks(desk.rows(first.id, [desk.begin + SECOND], [10.0]))
    desk.ticks(desk.rows(second.id, [desk.begin + 70 * SECOND], [20.0]))
    desk.ticks(desk.rows(first.id, [desk.begin + 80 * SECOND], [30.0]))

    desk.run(cache=cache, closed=closed)

    assert cache.pipe.drain(5)
    forming = decode(client.get("forming:SIM:S0"))
    assert forming.feed == "sim"
    assert forming.rows["interval"].tolist() == list(range(13))
    assert forming.rows["close"].tolist() == [30.0] * 13
    assert forming.rows["open"].tolist()[:4] == [30.0, 10.0, 10.0, 10.0]
    assert forming.rows["state"].tolist() == [BarState.FORMING] * 13
    assert decode(client.get("forming:SIM:S1")).rows["close"].tolist() == [20.0] * 13
    assert closed.pipe.drain(5)
    entries = [fields for _, fields in client.xrange(CLOSED)]
    assert [(entry[b"symbol"], entry[b"interval"], entry[b"log_seq"]) for entry in entries] == [
        (b"SIM:S0", b"1m", b"1")
    ]
    cache.close()
    closed.close()


def test_what_formed_before_a_start_is_shown_again_after_it(desk, redis_url):
    """The cache may have been emptied, or the values have run out, while nobody wrote them."""
    stream = desk.stream("S0")
    desk.ticks(desk.rows(stream.id, [desk.begin + SECOND], [10.0]))
    desk.run()
    cache = FormingCache(redis_url)
    wait_for(lambda: cache.pipe.connected)
    desk.clock(desk.begin + 2 * SECOND)

    desk.run(cache=cache)

    assert cache.pipe.drain(5)
    assert len(decode(redis.Redis.from_url(redis_url).get("forming:SIM:S0")).rows) == 13
    cache.close()


def test_catching_up_shows_each_forming_bar_once_it_has_caught_up(desk, redis_url):
    """While behind, forming bars are not worth their cost; once there, every one of them is due."""
    streams = [desk.stream(f"S{place}") for place in range(20)]
    desk.run()
    for second in range(1, 11):
        rows = desk.rows(0, np.full(5000, desk.begin + second * SECOND), np.full(5000, 10.0 + second))
        rows["stream"] = np.arange(5000) % len(streams)
        desk.ticks(rows)
    cache = FormingCache(redis_url)
    wait_for(lambda: cache.pipe.connected)
    in_flight = InFlight()
    tail = JournalTail(desk.journal, desk.stop, in_flight=in_flight, max_ticks=5000, block_ms=5)
    client = redis.Redis.from_url(redis_url)

    def closes() -> list[float]:
        return [float(decode(client.get(key)).rows["close"][0]) for key in client.keys("forming:*")]

    def stop_when_shown() -> None:
        deadline = time.monotonic() + 5
        while closes() != [20.0] * 20 and time.monotonic() < deadline:
            time.sleep(0.002)
        desk.stop.set()

    thread = threading.Thread(target=stop_when_shown)
    thread.start()

    desk.run(tail, in_flight=in_flight, cache=cache)

    thread.join()
    assert closes() == [20.0] * 20
    assert cache.pipe.sent < 100
    cache.close()


def test_files_are_not_shown_as_forming(desk, redis_url):
    """A replayed file's month bar forms for ever; the cache is of what happens now."""
    stream = desk.stream("S0", 1, "file:aa")
    desk.ticks(desk.rows(stream.id, [desk.begin + SECOND], [10.0]), 1)
    cache = FormingCache(redis_url)
    wait_for(lambda: cache.pipe.connected)

    desk.run(cache=cache)

    assert cache.pipe.drain(5)
    assert redis.Redis.from_url(redis_url).dbsize() == 0
    cache.close()


def test_the_position_of_retention_is_that_of_the_snapshot_before_the_last(desk):
    """A crash may lead back to the snapshot before; its rows must still be there."""
    stream = desk.stream("S0")
    first = desk.ticks(desk.rows(stream.id, [desk.begin + SECOND], [10.0]))
    desk.run()
    second = desk.ticks(desk.rows(stream.id, [desk.begin + 2 * SECOND], [10.0]))
    desk.run()

    assert [(position.consumer, position.seq, position.previous) for position in desk.ledger.positions()] == [
        ("bars", second, first)
    ]


def test_a_start_without_a_snapshot_takes_the_position_back(desk):
    """The journal is about to be read from its beginning: nothing of it may be pruned meanwhile."""
    stream = desk.stream("S0")
    desk.ticks(desk.rows(stream.id, [desk.begin + SECOND], [10.0]))
    desk.ledger.move("bars", 1000)

    desk.run()

    assert [position.seq for position in desk.ledger.positions()] == [desk.writer.last_seq]


def wait_for(holds, seconds=20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come to be in time"
        time.sleep(0.002)


def causes(error) -> list[str]:
    found = []
    while error is not None:
        found.append(str(error))
        error = error.__cause__ or error.__context__
    return found


def minutes_of_clock(desk, minutes) -> dict[int, int]:
    """Journal a beat each second; the row after which each minute is over, with two seconds of grace."""
    ends = {}
    for second in range(2, minutes * 60 + 3):
        seq = desk.clock(desk.begin + second * SECOND)
        if second % 60 == 2:
            ends[second // 60] = seq
    return ends


def row_by_row(desk):
    """What `flow` needs to be given each row as a chunk of its own."""
    reader, position, found = JournalReader(desk.journal), Position(), []
    while rows := reader.read(position.seq, max_rows=1):
        chunks, position = join(rows, position, reader.streams())
        found += chunks
    in_flight = InFlight()
    return {"source": Chunks(found, in_flight), "in_flight": in_flight}


def test_the_stores_position_comes_to_each_minutes_end_though_nothing_closed(desk):
    """Who takes bars in the journal's order may go on once it is there; a commit a beat would be twenty a second."""
    rung = []
    desk.stream("A")
    ends = minutes_of_clock(desk, 4)

    desk.run(**row_by_row(desk), ring=rung.append)

    # The keeper may take several at once. The first beat after a start counts as a minute's end.
    assert len(desk.logged()) == 0
    assert set(rung[1:]) <= set(ends.values())
    assert rung[-1] == desk.store.position("bars") == ends[4]


def test_the_bell_rings_once_the_store_has_the_bars_of_the_row(desk):
    """Whoever is woken finds what it was woken for: each bar's row is that of the beat that closed it."""
    stream = desk.stream("A")
    desk.ticks(desk.rows(stream.id, [desk.begin + SECOND], [10.0]))
    ends = minutes_of_clock(desk, 2)
    held = []

    desk.run(**row_by_row(desk), ring=lambda seq: held.append((seq, desk.store.position("bars"), len(desk.logged()))))

    assert [(seq, position) for seq, position, _ in held] == [(seq, seq) for seq, _, _ in held]
    assert held[-1] == (ends[2], ends[2], 1)
    assert desk.logged()["seq"].tolist() == [ends[1]]
