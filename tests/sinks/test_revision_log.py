"""The log's segments: what is written is read, and whatever is done to them afterwards is found and named."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_bars import BEGIN_NS, SYMBOLS, bar

from market.intervals import MINUTE_NS, Interval
from sinks.bar_store import Finding, Name, Wrong
from sinks.log_check import check_chain
from sinks.revision_log import EMPTY, LOG_ROW, Head, Segment, as_stored, decode, digest, head_of, noted_head, seal

NAMES = (Name("kraken", SYMBOLS[0]), Name("sim", SYMBOLS[1]))
SIZES = (3, 1, 5, 2)
ROWS = sum(SIZES)


def chain(sizes: tuple[int, ...] = SIZES) -> list[Segment]:
    """A log of several segments; row n is the bar of minute n, of the two names in turn."""
    segments, end, minute = [], EMPTY, 1
    for size in sizes:
        rows = np.concatenate([bar(minute + more, stream=(minute + more) % 2, seq=7) for more in range(size)])
        segments.append(seal("bars", end, rows, NAMES, upto=minute))
        end, minute = head_of(segments[-1]), minute + size
    return segments


def findings(segments: list[Segment], head: Head | str | None = "true", lags: bool = False) -> list[Finding]:
    noted = head_of(chain()[-1]) if head == "true" else head
    assert not isinstance(noted, str)
    return list(check_chain("bars", segments, noted, lags=lags))


def brief(found: list[Finding]) -> list[tuple[str, int, int]]:
    return [(str(one.wrong), one.first_seq, one.last_seq) for one in found]


def rows_of(segment: Segment, change: Callable[[np.ndarray], np.ndarray]) -> Segment:
    """The segment with other rows and its hash as it was."""
    return segment._replace(rows=change(np.frombuffer(segment.rows, dtype=LOG_ROW).copy()).tobytes())


def resealed(segment: Segment) -> Segment:
    """The work of one who knows how hashes are made."""
    return segment._replace(hash=digest(segment))


def test_rows_come_back_with_their_places_and_names():
    first, second, *_ = chain()

    logged = decode(second)

    assert (first.first_seq, first.last_seq, second.first_seq, second.last_seq) == (1, 3, 4, 4)
    assert (logged.writer, logged.names, logged.seqs.tolist()) == ("bars", NAMES, [4])
    assert logged.rows.tobytes() == bar(4, stream=0, seq=7).tobytes()
    assert (second.start_from, second.start_to) == (BEGIN_NS + 4 * MINUTE_NS,) * 2
    assert second.known_from == second.known_to == BEGIN_NS + 5 * MINUTE_NS + 2 * 10**9


def test_an_untouched_log_has_no_findings():
    assert findings(chain()) == []
    assert findings([], head=None) == []
    assert list(check_chain("bars", chain((1,)), None, lags=False)) == []


@given(st.data())
def test_one_bit_flipped_anywhere_is_found_and_named(data: st.DataObject):
    """Rows, names, hashes and writer, in any segment; a row is named by its place."""
    segments = chain()
    place = data.draw(st.integers(0, len(segments) - 1))
    field = data.draw(st.sampled_from(["rows", "names", "prev_hash", "hash"]))
    content = bytearray(getattr(segments[place], field))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    altered = segments[place]._replace(**{field: bytes(content)})
    segments[place] = altered

    found = findings(segments)

    if field == "rows":
        row = altered.first_seq + at // LOG_ROW.itemsize
        assert brief(found) == [("altered", row, row)]
        assert found[0].start is not None
    else:
        assert found
        covered = {seq for one in found for seq in range(one.first_seq, one.last_seq + 1)}
        assert covered & set(range(altered.first_seq, altered.last_seq + 1))
        assert {one.wrong for one in found} == {Wrong.ALTERED}


@given(
    st.integers(0, len(SIZES) - 1),
    st.sampled_from(["first_seq", "last_seq", "upto", "start_from", "start_to", "known_from", "known_to"]),
    st.integers(-(2**63), 2**63 - 1),
)
def test_any_other_number_in_a_header_is_found(place: int, field: str, value: int):
    segments = chain()
    if value == getattr(segments[place], field):
        return
    segments[place] = segments[place]._replace(**{field: value})
    segments.sort(key=lambda segment: segment.first_seq)

    assert findings(segments)


@pytest.mark.parametrize("value", [None, "text", b"bytes", 1.5])
@pytest.mark.parametrize("field", Segment._fields)
def test_a_field_of_another_type_is_found(field: str, value: Any):
    """Databases do not insist on types."""
    segments = chain()
    segments[1] = as_stored(segments[1]._replace(**{field: value}))

    assert findings(segments)


def test_a_finding_names_the_bar():
    segments = chain()
    segments[2] = rows_of(segments[2], lambda rows: set_close(rows, 1, 99.0))

    (found,) = findings(segments)

    assert found[:7] == (Wrong.ALTERED, "bars", 6, 6, SYMBOLS[0], Interval.M1, BEGIN_NS + 6 * MINUTE_NS)
    assert str(found).startswith("log of bars: row 6 (KRAKEN:BTCUSD 1m 2024-01-01T00:06:00Z) altered: ")


def set_close(rows: np.ndarray, place: int, close: float) -> np.ndarray:
    rows["bar"]["close"][place] = close
    return rows


@given(st.integers(1, ROWS))
def test_a_missing_segment_is_found_by_its_rows(row: int):
    """The last one too: the store has noted where the log ended."""
    segments = [segment for segment in chain() if not segment.first_seq <= row <= segment.last_seq]
    (gone,) = (segment for segment in chain() if segment.first_seq <= row <= segment.last_seq)

    assert brief(findings(segments)) == [("missing", gone.first_seq, gone.last_seq)]


def test_a_log_of_which_nothing_is_left_is_missing():
    assert brief(findings([])) == [("missing", 1, ROWS)]


@given(st.integers(0, 4), st.integers(1, 4))
def test_rows_cut_out_of_a_segment_are_missing(at: int, count: int):
    """Row 5 is the first of the third segment, which has five."""
    count = min(count, 5 - at)
    segments = chain()
    segments[2] = rows_of(segments[2], lambda rows: np.delete(rows, slice(at, at + count)))

    assert brief(findings(segments)) == [("missing", 5 + at, 4 + at + count)]


@given(st.integers(0, 5 * LOG_ROW.itemsize - 1), st.integers(1, 2 * LOG_ROW.itemsize))
def test_bytes_cut_out_of_a_segment_are_found(at: int, count: int):
    """Rows before and behind the cut are still known for what they are."""
    segments = chain()
    rows = segments[2].rows
    segments[2] = segments[2]._replace(rows=rows[:at] + rows[at + count :])

    found = findings(segments)

    hit = set(range(5 + at // LOG_ROW.itemsize, 6 + (min(at + count, len(rows)) - 1) // LOG_ROW.itemsize))
    covered = {seq for one in found for seq in range(one.first_seq, one.last_seq + 1)}
    assert covered == hit


@given(st.permutations(range(5)))
def test_reordered_rows_are_named_with_the_place_where_they_stand(order: list[int]):
    segments = chain()
    segments[2] = rows_of(segments[2], lambda rows: rows[order])

    found = findings(segments)

    moved = [(place, came) for place, came in enumerate(order) if place != came]
    if len(moved) == len(order) and len({came - place for place, came in moved}) == 1:
        return
    assert brief(found) == [("reordered", 5 + came, 5 + came) for _, came in moved]
    assert all(f"place of row {5 + place}" in one.detail for one, (place, _) in zip(found, moved, strict=True))


def test_rows_moved_to_another_segment_are_found():
    segments = chain()
    first, third = (np.frombuffer(segments[place].rows, dtype=LOG_ROW).copy() for place in (0, 2))
    first[0], third[4] = third[4].copy(), first[0].copy()
    segments[0] = segments[0]._replace(rows=first.tobytes())
    segments[2] = segments[2]._replace(rows=third.tobytes())

    found = findings(segments)

    assert {(one.wrong, one.first_seq) for one in found} == {(Wrong.REORDERED, 9), (Wrong.REORDERED, 1)}


def test_segments_that_changed_places_are_found():
    """One with the other's rows, hash and names, as a swap of two rows of the table would leave them."""
    segments = chain((2, 2, 2))
    one, two = segments[0], segments[1]
    segments[0] = two._replace(first_seq=one.first_seq, last_seq=one.last_seq)
    segments[1] = one._replace(first_seq=two.first_seq, last_seq=two.last_seq)

    found = list(check_chain("bars", segments, head_of(chain((2, 2, 2))[-1]), lags=False))

    assert brief(found) == [("reordered", 3, 4), ("reordered", 1, 2)]


@given(st.integers(0, len(SIZES) - 1))
def test_a_segment_made_anew_with_its_hash_breaks_the_chain(place: int):
    """All its parts agree; its successor, or the noted end, does not."""
    segments = chain()
    rows = np.frombuffer(segments[place].rows, dtype=LOG_ROW)["bar"].copy()
    rows["close"][0] = 99.0
    before = head_of(segments[place - 1]) if place else EMPTY
    segments[place] = seal("bars", before, rows, NAMES, segments[place].upto)

    found = findings(segments)

    assert brief(found) == [("altered", segments[place].first_seq, segments[place].last_seq)]


def test_rows_altered_under_a_made_up_hash_are_found():
    segments = chain()
    segments[1] = resealed(rows_of(segments[1], lambda rows: set_close(rows, 0, 99.0)))

    assert brief(findings(segments)) == [("altered", 4, 4)]


def test_an_altered_note_of_the_end_is_found():
    end = head_of(chain()[-1])

    assert findings(chain(), head=end._replace(hash=bytes(32)))
    assert findings(chain(), head=noted_head("text", None))
    assert findings(chain(), head=end._replace(last_seq=ROWS - 1))
    assert brief(findings(chain(), head=end._replace(last_seq=ROWS + 3))) == [("missing", ROWS + 1, ROWS + 3)]


def test_a_note_that_may_lag_says_nothing_of_what_came_after_it():
    """MongoDB's note of the end is a write of its own, and a crash may come before it."""
    before = head_of(chain()[1])

    assert findings(chain(), head=before, lags=True) == []


def test_an_altered_segment_is_not_returned():
    segment = rows_of(chain()[0], lambda rows: set_close(rows, 0, 99.0))

    with pytest.raises(ValueError, match="altered in rows 1 to 3"):
        decode(segment)
