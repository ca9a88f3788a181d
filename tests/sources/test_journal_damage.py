"""A damaged journal: whatever is altered or lost, no row comes out other than it was written, and the rest does."""

import random
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.chunks import Position
from market.errors import DeskError
from market.journal_rows import CorruptRow, Row, RowKind
from market.streams import FeedKind
from market.symbols import Symbol, parse_symbol
from market.ticks import TICK, MarkKind
from sinks.journal import JournalWriter
from sources.journal import JournalReader

DAY_NS = 86_400_000_000_000
ROWS_A_DAY = 80
DAYS = ("2023-11-14.sqlite", "2023-11-15.sqlite", "2023-11-16.sqlite")


def write(folder: Path) -> None:
    """Three days of rows: most small, some over many pages."""
    now = [19_675 * DAY_NS]
    with JournalWriter(folder, lambda: now[0]) as writer:
        for n in range(ROWS_A_DAY * 3):
            now[0] = (19_675 + n // ROWS_A_DAY) * DAY_NS
            if n % 40 == 0:
                writer.stream("sim", Symbol("SIM", f"S{n}"), FeedKind.TRADES, 0)
            records = np.zeros(100 if n % 20 == 7 else 1 + n % 5, TICK)
            records["received_time"] = n
            records["price"] = np.arange(len(records)) + n
            writer.append(RowKind.TICKS, 0, records)


class Intact:
    """The files' bytes and their rows. Hypothesis shows arguments of a failure; these say little."""

    def __init__(self, files: dict[str, bytes], rows: list[Row]) -> None:
        self.files = files
        self.rows = rows


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Intact:
    folder = tmp_path_factory.mktemp("intact")
    write(folder)
    with JournalReader(folder) as reader:
        rows = [*reader.read_all()]
    assert [row.seq for row in rows] == [*range(1, 3 * ROWS_A_DAY + 1)]
    return Intact({name: (folder / name).read_bytes() for name in DAYS}, rows)


def read(folder: Path) -> tuple[list[Row], list[CorruptRow], str | None]:
    """All that can be read, what was reported, and what ended the reading."""
    reported: list[CorruptRow] = []
    rows: list[Row] = []
    with JournalReader(folder, reported.append) as reader:
        try:
            rows += reader.read_all()
        except DeskError as error:
            return rows, reported, str(error)
    return rows, reported, None


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for old in folder.glob("2023*"):
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def named(reported: list[CorruptRow]) -> set[int]:
    return {seq for one in reported for seq in range(one.first_seq, one.last_seq + 1)}


@given(data=st.data())
def test_a_flipped_bit_anywhere_never_alters_a_row_nor_loses_one_in_silence(
    tmp_path_factory: pytest.TempPathFactory, intact: Intact, data: st.DataObject
):
    """Each row is given out as it was written, or named; an unreadable file is named."""
    files, rows = intact.files, intact.rows
    name = data.draw(st.sampled_from(DAYS))
    place = data.draw(st.integers(0, len(files[name]) - 1))
    damaged = bytearray(files[name])
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    folder = put(tmp_path_factory.getbasetemp(), files | {name: bytes(damaged)})

    found, reported, ended = read(folder)

    by_seq = {row.seq: row for row in rows}
    assert len({row.seq for row in found}) == len(found)
    assert all(row == by_seq[row.seq] for row in found)
    silent = by_seq.keys() - {row.seq for row in found} - named(reported)
    if ended is not None:
        assert name in ended
        assert min(silent, default=10**9) > max((row.seq for row in found), default=0), "what came before is given out"
    else:
        assert not silent
    assert {one.file for one in reported} <= {name, *DAYS[DAYS.index(name) + 1 :]}
    untouched = {seq for seq in by_seq if DAYS[(seq - 1) // ROWS_A_DAY] != name}
    if ended is None:
        assert untouched <= {row.seq for row in found}, "files that are intact are read in full"


def test_a_flipped_bit_in_a_payload_costs_that_row_only(tmp_path: Path, intact: Intact):
    """The usual damage; found in small rows and in each part of one that lies over many pages."""
    files, rows = intact.files, intact.rows
    content = files[DAYS[1]]
    rng = random.Random(3)
    for row in [*rng.sample(rows[ROWS_A_DAY : 2 * ROWS_A_DAY], 12), rows[ROWS_A_DAY + 7]]:
        # Prices differ in every row, so the bytes of one tick are found once.
        place = content.find(row.payload[:48]) + rng.randrange(48)
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        folder = put(tmp_path, files | {DAYS[1]: bytes(damaged)})

        found, reported, ended = read(folder)

        assert (named(reported), ended) == ({row.seq}, None)
        assert found == [one for one in rows if one.seq != row.seq]
        assert str(reported[0]).startswith(f"journal file {DAYS[1]}, row {row.seq}: its checksum does not match; ")


def small_row(content: bytes, seq: int) -> int:
    """Where in a file the row of one tick begins: its number, then the types of its columns."""
    pattern = bytes([seq, 8, 0, 9, 8, 1, 9, 12 + 2 * TICK.itemsize, 6])
    assert content.count(pattern) == 1
    return content.index(pattern)


def test_a_flipped_number_is_named_by_the_row_whose_turn_it_is(tmp_path: Path, intact: Intact):
    """The number is what reading goes on by: a wrong one must not lead past rows that are good."""
    files, rows = intact.files, intact.rows
    damaged = bytearray(files[DAYS[0]])
    damaged[small_row(damaged, 31)] ^= 64

    found, reported, ended = read(put(tmp_path, files | {DAYS[0]: bytes(damaged)}))

    assert (named(reported), ended) == ({31}, None)
    assert found == [row for row in rows if row.seq != 31]
    assert reported[0].why == "its checksum does not match, its number reads 95"


def test_a_payload_that_turned_into_a_text_is_named(tmp_path: Path, intact: Intact):
    """One bit says whether bytes are a blob or a text; and the bytes themselves are as they were."""
    files, rows = intact.files, intact.rows
    damaged = bytearray(files[DAYS[0]])
    damaged[small_row(damaged, 31) + 7] ^= 1

    found, reported, _ = read(put(tmp_path, files | {DAYS[0]: bytes(damaged)}))

    assert [(one.first_seq, one.why) for one in reported] == [(31, "the payload is no blob")]
    assert found == [row for row in rows if row.seq != 31]


def test_a_page_that_is_read_twice_gives_its_rows_once(tmp_path: Path, intact: Intact):
    """A pointer of SQLite's tree that points to another page of it: some rows come again, some not at all."""
    files, rows = intact.files, intact.rows
    folder = put(tmp_path, files)
    with closing(sqlite3.connect(folder / DAYS[0])) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'rows'").fetchone()
    damaged = bytearray(files[DAYS[0]])
    page = (root - 1) * 1024
    assert damaged[page] == 5, "the root points to other pages"
    cells = [page + int.from_bytes(damaged[page + 12 + 2 * k : page + 14 + 2 * k], "big") for k in (2, 3)]
    damaged[cells[1] : cells[1] + 4] = damaged[cells[0] : cells[0] + 4]

    found, reported, ended = read(put(folder, files | {DAYS[0]: bytes(damaged)}))

    assert ended is None
    assert [row.seq for row in found] == sorted({row.seq for row in found})
    assert {row.seq for row in rows} - {row.seq for row in found} == named(reported)
    assert len(named(reported)) > 2


def test_a_row_whose_pages_are_lost_takes_no_other_with_it(tmp_path: Path, intact: Intact):
    """SQLite's own reading of a range loses the good row before the one that it cannot read."""
    files, rows = intact.files, intact.rows
    row = rows[47]
    assert row.count == 100, "a row over many pages"
    damaged = bytearray(files[DAYS[0]])
    # Each page of a long payload begins with the number of the next one.
    page = damaged.find(row.payload[2400:2448]) // 1024 * 1024
    damaged[page : page + 4] = b"\xff" * 4

    found, reported, ended = read(put(tmp_path, files | {DAYS[0]: bytes(damaged)}))

    assert (named(reported), ended) == ({48}, None)
    assert found == [one for one in rows if one.seq != 48]
    assert "malformed" in reported[0].why


def test_a_wrong_note_of_the_file_before_does_not_mislead(tmp_path: Path, intact: Intact):
    """The first row's number is looked at as well, and the two have to agree before rows are called missing."""
    files, rows = intact.files, intact.rows
    for note in ("5", "100", "", "x"):
        folder = put(tmp_path, files)
        with closing(sqlite3.connect(folder / DAYS[1])) as connection:
            connection.execute("UPDATE facts SET value = ? WHERE name = 'follows'", (note,))
            connection.commit()
        with JournalReader(folder) as reader:
            assert reader.read(20, max_rows=1) == [rows[20]]
        assert read(folder) == (rows, [], None)


def test_without_a_listener_reading_gives_what_is_before_and_then_stops_by_name(tmp_path: Path, intact: Intact):
    """`pq verify` must not pass over damage; what was stored before is still readable."""
    files, rows = intact.files, intact.rows
    row = rows[30]
    damaged = files[DAYS[0]].replace(row.payload[:48], bytes(48))
    folder = put(tmp_path, files | {DAYS[0]: damaged})
    reader = JournalReader(folder)

    assert reader.read(0) == rows[:30]
    for _ in range(2):
        with pytest.raises(CorruptRow) as caught:
            reader.read(30)
        assert (caught.value.first_seq, caught.value.last_seq, caught.value.file) == (31, 31, DAYS[0])
    assert reader.read(31) == rows[31:ROWS_A_DAY]


def test_a_removed_row_is_missed(tmp_path: Path, intact: Intact):
    """Somebody with a database browser; also at the end of a file, where nothing after it in the file tells."""
    files, rows = intact.files, intact.rows
    folder = put(tmp_path, files)
    with closing(sqlite3.connect(folder / DAYS[0])) as connection:
        connection.execute("DELETE FROM rows WHERE seq IN (20, 21, ?)", (ROWS_A_DAY,))
        connection.commit()

    found, reported, ended = read(folder)

    assert ended is None
    assert found == [row for row in rows if row.seq not in {20, 21, ROWS_A_DAY}]
    assert [(one.first_seq, one.last_seq) for one in reported] == [(20, 21), (ROWS_A_DAY, ROWS_A_DAY)]
    assert "missing, though later rows are there" in str(reported[0])


@pytest.mark.parametrize("day", [0, 1, 2])
def test_of_a_file_that_was_cut_off_the_rest_is_read(tmp_path: Path, intact: Intact, day: int):
    """A copy that was interrupted; SQLite alone would refuse all of it."""
    files, rows = intact.files, intact.rows
    folder = put(tmp_path, files | {DAYS[day]: files[DAYS[day]][: len(files[DAYS[day]]) * 2 // 3]})

    found, reported, ended = read(folder)

    assert all(row == rows[row.seq - 1] for row in found)
    lost = {row.seq for row in rows} - {row.seq for row in found}
    assert lost
    assert all((seq - 1) // ROWS_A_DAY == day for seq in lost)
    assert len(lost) < ROWS_A_DAY * 2 // 3
    if day < 2:
        assert (named(reported), ended) == (lost, None)
    else:
        assert DAYS[day] in str(ended), "nobody knows how many rows the newest file had"


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000], ids=["empty", "foreign"])
def test_a_file_that_is_none_is_passed_over_by_name_unless_it_is_the_newest(
    tmp_path: Path, intact: Intact, content: bytes
):
    files, rows = intact.files, intact.rows

    found, reported, ended = read(put(tmp_path, files | {DAYS[1]: content}))
    assert (found, ended) == ([*rows[:ROWS_A_DAY], *rows[2 * ROWS_A_DAY :]], None)
    assert [(one.first_seq, one.last_seq, one.file) for one in reported] == [(ROWS_A_DAY + 1, 2 * ROWS_A_DAY, DAYS[1])]

    found, reported, ended = read(put(tmp_path, files | {DAYS[2]: content}))
    assert (found, reported) == (rows[: 2 * ROWS_A_DAY], [])
    assert ended is not None
    assert f"{DAYS[2]} cannot be read" in ended


def test_damage_is_reported_once_however_often_the_tail_is_read(tmp_path: Path, intact: Intact):
    """A bad last row is met at each look for more, twenty times a second."""
    files, rows = intact.files, intact.rows
    damaged = files[DAYS[2]].replace(rows[-1].payload[:48], bytes(48))
    reported: list[CorruptRow] = []
    with JournalReader(put(tmp_path, files | {DAYS[2]: damaged}), reported.append) as reader:
        assert [*reader.read_all()] == rows[:-1]
        for _ in range(3):
            assert reader.read(len(rows) - 1) == []
    assert [one.first_seq for one in reported] == [len(rows)]


def test_a_damaged_stream_is_taken_from_a_later_file(tmp_path: Path, intact: Intact):
    """Its ticks must never come to be another symbol's."""
    files = intact.files
    damaged = files[DAYS[0]].replace(b"simSIMS40", b"simSIMS41")
    assert damaged != files[DAYS[0]]
    with JournalReader(put(tmp_path, files | {DAYS[0]: damaged})) as reader:
        chunks, _ = reader.read_chunks(Position(), 10_000)
        assert [stream.symbol.ticker for stream in chunks[0].streams] == ["S0", "S40", "S80", "S120", "S160", "S200"]
    newest = files[DAYS[2]].replace(b"simSIMS40", b"simSIMS41")
    with (
        JournalReader(put(tmp_path, {DAYS[2]: newest})) as reader,
        pytest.raises(DeskError, match=r"16\.sqlite cannot be read: stream 1 of the journal is damaged"),
    ):
        reader.streams()


def test_damage_costs_no_more_than_a_moment(tmp_path: Path):
    """A page lost in the middle of a busy day must not be looked for row by row."""
    with JournalWriter(tmp_path, lambda: 19_675 * DAY_NS) as writer:
        writer.append_many((RowKind.TICKS, 0, np.zeros(1, TICK)) for _ in range(100_000))
        path = writer.file
    content = bytearray(path.read_bytes())
    middle = len(content) // 2048 * 1024
    content[middle : middle + 1024] = bytes(1024)
    path.write_bytes(content)

    begun = time.monotonic()
    found, reported, ended = read(tmp_path)

    assert time.monotonic() - begun < 5
    assert ended is None
    assert len(found) + len(named(reported)) == 100_000
    assert len(named(reported)) < 1000


def test_a_damaged_row_is_replaced_by_marks_of_doubt_for_who_makes_bars(tmp_path: Path):
    """From two seconds before the row before it to the row after it, ticks of any stream of its domain may lack."""
    second = 1_000_000_000
    clock = [19_675 * 86_400 * second]
    with JournalWriter(tmp_path / "journal", lambda: clock[0]) as writer:
        ids = [
            writer.stream("sim", parse_symbol(f"SIM:{name}"), FeedKind.TRADES, domain).id
            for name, domain in (("A", 0), ("B", 0), ("C", 1))
        ]
        for n in range(4):
            records = np.zeros(1, TICK)
            records["received_time"] = clock[0] + n * second
            records["price"] = n + 1
            writer.append(RowKind.TICKS, 0, records)
        path = writer.file
    with closing(sqlite3.connect(path)) as file:
        file.execute("UPDATE rows SET payload = zeroblob(48) WHERE seq = 3")
        file.commit()
    with JournalReader(tmp_path / "journal", lambda _: None, doubts=True) as reader:
        rows = [*reader.read_all()]
        again = reader.read(2)
    assert [row.seq for row in rows] == [1, 2, 3, 4]
    assert [row.kind for row in rows] == [RowKind.TICKS, RowKind.TICKS, RowKind.MARKS, RowKind.TICKS]
    before, after = clock[0] + second, clock[0] + 3 * second
    assert rows[2].clock == before
    marks = rows[2].records
    assert marks["stream"].tolist() == ids[:2]
    assert set(marks["kind"].tolist()) == {MarkKind.GAP}
    assert set(zip(marks["start"].tolist(), marks["end"].tolist(), strict=True)) == {(before - 2 * second, after + 1)}
    assert again == rows[2:], "resuming right before it says the same"
    with JournalReader(tmp_path / "journal", lambda _: None) as plain:
        assert [row.seq for row in plain.read_all()] == [1, 2, 4], "who reads ticks gets what was written, no more"
