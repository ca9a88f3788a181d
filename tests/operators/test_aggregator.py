"""The aggregator as the dataflow meets it: streams that come later, full buffers, snapshots that are not its own."""

import struct

import numpy as np
import pytest
from bar_scenarios import MINUTE, SECOND, STREAMS, T, at, calendar_of, chunks, clock, designated, marks_row, ticks_row

from market.chunks import Position, join
from market.errors import DeskError
from market.sessions import calendar
from market.streams import SHARDS, FeedKind, Stream
from market.symbols import Symbol
from market.ticks import TICK, MarkKind
from operators.bars import Aggregator
from operators.split import places_by_shard

NOON = at("2024-05-15T12:00:00")


def many(count, domain=0):
    return tuple(Stream(i, "sim", Symbol("SIM", f"S{i:05d}"), FeedKind.TRADES, domain) for i in range(count))


def fold(aggregator, chunk):
    order = np.arange(len(chunk.ticks), dtype=np.uint32)
    return aggregator.fold(
        chunk.ticks, order, chunk.row_seq, chunk.row_clock, chunk.row_first_tick, chunk.row_beat, chunk.marks,
        chunk.row_first_mark, chunk.domain,
    )  # fmt: skip


def sec(seconds):
    return NOON + int(seconds * SECOND)


def test_more_bars_than_the_buffer_holds_come_out_in_one_piece():
    """3,000 symbols close 1m, 3m, 5m and 15m at one beat: 12,000 bars in order of stream, then interval."""
    streams = many(3000)
    aggregator = Aggregator()
    for stream in streams:
        aggregator.add_stream(stream, calendar("24/7"))
    rows = [
        designated(1, NOON, *range(3000)),
        ticks_row(2, *(T(sec(14 * 60 + 1), float(i), stream=i) for i in range(3000))),
        clock(3, sec(15 * 60 + 2)),
    ]
    closed = fold(aggregator, join(rows, Position(), streams)[0][0]).closed

    assert closed[["stream", "interval"]].tolist() == [(s, i) for s in range(3000) for i in range(4)]
    assert closed["open"].tolist() == [float(s) for s in range(3000) for _ in range(4)]


def test_more_rejects_than_the_buffer_holds_come_out_in_one_piece():
    """2,500 ticks from the future, each named."""
    aggregator = Aggregator()
    aggregator.add_stream(STREAMS[0], calendar("24/7"))
    rows = [designated(1, NOON, 0), ticks_row(2, *(T(sec(100), 1.0, received=NOON) for _ in range(2500)))]
    result = fold(aggregator, join(rows, Position(), STREAMS)[0][0])

    assert result.rejects[["seq", "index"]].tolist() == [(2, i) for i in range(2500)]
    assert result.ticks == 0


def test_marks_that_send_many_bars_again_are_not_cut_off():
    """An outage noticed late for 900 symbols: 13 bars each would be more than the buffer, 4 each nearly fill it."""
    streams = many(3000)
    aggregator = Aggregator()
    for stream in streams:
        aggregator.add_stream(stream, calendar("24/7"))
    rows = [
        designated(1, NOON, *range(3000)),
        ticks_row(2, *(T(sec(14 * 60 + 1), 1.0, stream=i) for i in range(3000))),
        clock(3, sec(15 * 60 + 2)),
        marks_row(4, *((MarkKind.GAP, i, sec(903), sec(14 * 60), sec(14 * 60 + 5)) for i in range(3000))),
    ]
    closed = fold(aggregator, join(rows, Position(), streams)[0][0]).closed

    assert len(closed) == 24_000
    assert closed["revision"].tolist() == [1] * 12_000 + [2] * 12_000


def test_streams_may_come_while_others_run():
    """Arrays grow; what was begun goes on. Adding one again changes nothing."""
    streams = many(200)
    aggregator = Aggregator()
    aggregator.add_stream(streams[0], calendar("24/7"))
    fold(aggregator, join([designated(1, NOON, 0), ticks_row(2, T(sec(1), 1.0))], Position(), streams)[0][0])
    for stream in streams:
        aggregator.add_stream(stream, calendar("24/7"))
    result = fold(
        aggregator,
        join([designated(3, sec(2), 199), ticks_row(4, T(sec(62), 2.0, stream=0))], Position(), streams)[0][0],
    )

    assert aggregator.streams == streams
    assert result.closed["open"].tolist() == [1.0]
    assert 199 in aggregator
    assert 200 not in aggregator


def test_beats_go_by_id_whatever_order_streams_were_added_in():
    """A shard that is restored elsewhere may learn of them in another order."""
    streams = many(5)
    aggregator = Aggregator()
    for stream in reversed(streams):
        aggregator.add_stream(stream, calendar("24/7"))
    rows = [
        designated(1, NOON, *range(5)),
        ticks_row(2, *(T(sec(1), 1.0, stream=i) for i in (3, 1, 4, 0, 2))),
        clock(3, sec(62)),
    ]

    assert fold(aggregator, join(rows, Position(), streams)[0][0]).closed["stream"].tolist() == [0, 1, 2, 3, 4]


def test_a_tick_of_an_unknown_stream_stops_the_fold():
    """It would be lost in silence otherwise."""
    aggregator = Aggregator()
    aggregator.add_stream(STREAMS[0], calendar("24/7"))

    with pytest.raises(DeskError, match="stream 3, which this shard does not hold"):
        fold(aggregator, chunks([ticks_row(1, T(NOON, 1.0, stream=3))])[0])


@pytest.mark.parametrize("grace", [-1, 60 * SECOND + 1])
def test_a_grace_out_of_range_is_refused(grace):
    with pytest.raises(DeskError, match="grace must be from 0 to 60 s"):
        Aggregator(grace)


def running():
    """An aggregator in the middle of things."""
    aggregator = Aggregator()
    for stream in STREAMS[:2]:
        aggregator.add_stream(stream, calendar("24/7"))
    fold(aggregator, chunks([designated(1, NOON, 0), ticks_row(2, T(sec(1), 1.0), T(sec(70), 2.0))])[0])
    return aggregator


def test_a_snapshot_of_another_version_is_named():
    """Bars are made anew from the journal then; the message says so."""
    state = bytearray(running().snapshot())
    state[6:8] = struct.pack("<H", 7)

    with pytest.raises(DeskError, match="version 7, this program reads version 1"):
        Aggregator.restore(bytes(state), calendar_of)


@pytest.mark.parametrize("place", [30, 300, -1])
def test_a_damaged_snapshot_is_found(place):
    state = bytearray(running().snapshot())
    state[place] ^= 1

    with pytest.raises(DeskError, match="damaged"):
        Aggregator.restore(bytes(state), calendar_of)


@pytest.mark.parametrize("state", [b"", b"something else altogether"])
def test_what_is_no_snapshot_is_refused(state):
    with pytest.raises(DeskError, match="is not one"):
        Aggregator.restore(state, calendar_of)


def test_a_snapshot_made_with_another_calendar_is_refused():
    """Buckets of two calendars must not be mixed in one bar."""
    with pytest.raises(DeskError, match="begun with calendar 24/7, which is now 24/5"):
        Aggregator.restore(running().snapshot(), lambda _: calendar("24/5"))


def test_a_new_grace_takes_effect_from_the_snapshot_on():
    """12:01 is open; with 10 s instead of 2 it closes at 12:02:10."""
    aggregator = Aggregator.restore(running().snapshot(), calendar_of, 10 * SECOND)
    rows = [clock(3, sec(129)), clock(4, sec(130))]

    assert [bar["updated_at"] for bar in fold(aggregator, chunks(rows)[0]).closed] == [sec(130)]
    assert aggregator.grace_ns == 10 * SECOND


def test_a_snapshot_is_small():
    """1.5 KB a stream, so that eight shards of a thousand symbols write 1.5 MB."""
    streams = many(125)
    aggregator = Aggregator()
    for stream in streams:
        aggregator.add_stream(stream, calendar("24/7"))

    assert len(aggregator.snapshot()) < 125 * 1600


def test_ticks_are_split_by_shard_in_order():
    """Each place once, rising within its shard."""
    rng = np.random.default_rng(5)
    ticks = np.zeros(1000, TICK)
    ticks["stream"] = rng.integers(0, 40, 1000)
    shard_of = rng.integers(0, SHARDS, 40).astype(np.uint8)
    found = places_by_shard(ticks, shard_of)

    assert sorted(np.concatenate(found).tolist()) == list(range(1000))
    for shard, places in enumerate(found):
        assert places.tolist() == np.flatnonzero(shard_of[ticks["stream"]] == shard).tolist()


def test_a_stream_that_the_journal_does_not_know_is_named():
    ticks = np.zeros(1, TICK)
    ticks["stream"] = 7

    with pytest.raises(DeskError, match="stream 7, and the journal knows 3 streams"):
        places_by_shard(ticks, np.zeros(3, np.uint8))


def test_clocks_that_fall_cannot_overrun_the_open_minutes():
    """The journal rules them out; if they come, ticks are refused rather than memory overwritten."""
    aggregator = Aggregator(60 * SECOND)
    aggregator.add_stream(STREAMS[0], calendar("24/7"))
    ticks = [T(NOON - n * MINUTE, 1.0) for n in range(9)]
    result = fold(aggregator, chunks([designated(1, NOON, 0), ticks_row(2, *ticks)])[0])

    assert len(result.rejects) == 5
    assert len(aggregator.forming()) >= 13
