"""Joining journal rows: a kernel called once for many rows must see exactly what it would see row by row."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from market.chunks import BEAT_NS, Chunk, Position, join
from market.journal_rows import Row, RowKind
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import MARK, QUOTE, TICK

STREAMS = (Stream(0, "sim", Symbol("SIM", "BTCUSD"), FeedKind.TRADES, 0),)


def row(seq: int, kind: RowKind, domain: int, clock: int, n: int = 1) -> Row:
    """A row of n records that tell their row and place."""
    records = np.zeros(n, {RowKind.TICKS: TICK, RowKind.QUOTES: QUOTE, RowKind.MARKS: MARK}[kind])
    records["time" if kind == RowKind.MARKS else "received_time"] = seq * 1000 + np.arange(n)
    return Row(seq, kind, domain, clock, n, records.tobytes())


def unjoin(chunk: Chunk) -> list[tuple[int, int, int, list[int], list[int], bool]]:
    """What a chunk says of each of its rows: domain, seq, clock, ticks, marks, beat."""
    out = []
    for k, seq in enumerate(chunk.row_seq.tolist()):
        ticks = chunk.ticks["received_time"][chunk.row_first_tick[k] : chunk.row_first_tick[k + 1]].tolist()
        marks = chunk.marks["time"][chunk.row_first_mark[k] : chunk.row_first_mark[k + 1]].tolist()
        out.append((chunk.domain, seq, int(chunk.row_clock[k]), ticks, marks, bool(chunk.row_beat[k])))
    return out


def expected(rows: list[Row]) -> list[tuple[int, int, int, list[int], list[int], bool]]:
    """The same from the rows, by the definition of a beat."""
    out = []
    previous: dict[int, int] = {}
    for one in rows:
        if one.kind == RowKind.QUOTES:
            continue
        stamps = [one.seq * 1000 + n for n in range(one.count)]
        beat = one.domain not in previous or one.clock // BEAT_NS > previous[one.domain] // BEAT_NS
        previous[one.domain] = one.clock
        if one.kind == RowKind.TICKS:
            out.append((one.domain, one.seq, one.clock, stamps, [], beat))
        else:
            out.append((one.domain, one.seq, one.clock, [], stamps, True))
    return out


@st.composite
def journals(draw: st.DrawFn) -> list[Row]:
    """Rows with rising numbers, and clocks that do not fall within their domain."""
    rows = []
    clocks = {0: 0, 1: 0, 2: 0}
    shapes = st.tuples(st.sampled_from(RowKind), st.sampled_from([0, 0, 0, 1, 2]), st.integers(0, BEAT_NS * 2))
    for seq, (kind, domain, step) in enumerate(draw(st.lists(shapes, max_size=30)), 1):
        clocks[domain] += step if draw(st.booleans()) else 0
        rows.append(row(seq, kind, domain, clocks[domain], draw(st.integers(1, 3))))
    return rows


@given(rows=journals(), data=st.data())
def test_however_rows_are_cut_into_reads_the_chunks_say_the_same(rows: list[Row], data: st.DataObject):
    """Batching is the reader's business: it may never show in a bar."""
    position = Position()
    said = []
    left = rows
    while left:
        n = data.draw(st.integers(1, len(left)))
        chunks, position = join(left[:n], position, STREAMS)
        said += [entry for chunk in chunks for entry in unjoin(chunk)]
        assert position.seq == left[n - 1].seq
        left = left[n:]

    assert said == expected(rows)


@given(rows=journals())
def test_rows_of_one_domain_with_only_quotes_between_make_one_chunk(rows: list[Row]):
    """A live journal has 8 ticks a row and quotes in every other one: joined, or the fold is called per row."""
    chunks, _ = join(rows, Position(), STREAMS)

    domains = [one.domain for one in rows if one.kind != RowKind.QUOTES]
    assert [chunk.domain for chunk in chunks] == [d for k, d in enumerate(domains) if k == 0 or domains[k - 1] != d]
    if chunks:
        assert chunks[-1].last_seq == rows[-1].seq
        assert all(one.last_seq + 1 <= two.first_seq for one, two in pairwise(chunks))
        assert all(chunk.streams is STREAMS for chunk in chunks)


def test_quotes_alone_move_the_position_and_give_nothing():
    assert join([row(5, RowKind.QUOTES, 0, 9)], Position(4, {0: 7}), STREAMS) == ([], Position(5, {0: 7}))
    assert join([], Position(4, {0: 7}), STREAMS) == ([], Position(4, {0: 7}))


def test_a_tick_row_beats_where_its_clock_enters_the_next_fiftieth_of_a_second():
    """By hand: 50 ms is the first moment of the second one, 49.999999 ms the last of the first."""
    clocks = [10_000_000, 49_999_999, 50_000_000, 99_999_999, 99_999_999, 250_000_000]
    rows = [row(seq, RowKind.TICKS, 0, clock) for seq, clock in enumerate(clocks, 1)]

    (chunk,), position = join(rows, Position(0, {0: 0}), STREAMS)

    assert chunk.row_beat.tolist() == [False, False, True, False, False, True]
    assert position == Position(6, {0: 250_000_000})


def test_joining_does_not_touch_the_position_it_was_given():
    """A snapshot may still hold it."""
    before = Position(0, {0: 1})
    join([row(1, RowKind.TICKS, 0, 99)], before, STREAMS)
    assert before == Position(0, {0: 1})


def test_records_cannot_be_written_to():
    """All steps of a flow share them."""
    for rows in ([row(1, RowKind.TICKS, 0, 1, 3)], [row(1, RowKind.TICKS, 0, 1), row(2, RowKind.MARKS, 0, 2)]):
        (chunk,), _ = join(rows, Position(), STREAMS)
        assert not chunk.ticks.flags.writeable
        assert not chunk.marks.flags.writeable
