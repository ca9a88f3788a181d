"""The journal's reader: exactly what was written, in its order, across files, restarts and a writer at work."""

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.chunks import Position
from market.errors import DeskError
from market.journal_rows import CorruptRow, Row, RowKind
from market.streams import FeedKind
from market.symbols import Symbol, parse_symbol
from market.ticks import MARK, QUOTE, TICK, Batch
from sinks.journal import JournalWriter
from sources.journal import JournalReader
from sources.journal_file import DayFile

BTC = parse_symbol("SIM:BTCUSD")
DAY_NS = 86_400_000_000_000
DAY = 19_675 * DAY_NS
LAYOUT = {RowKind.TICKS: TICK, RowKind.QUOTES: QUOTE, RowKind.MARKS: MARK}


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = DAY

    def __call__(self) -> int:
        """The time, ns."""
        return self.now


def batch(kind: RowKind, n: int, seed: int) -> Batch:
    """Records of random bytes: the journal does not look into them."""
    return np.frombuffer(np.random.default_rng(seed).bytes(n * LAYOUT[kind].itemsize), LAYOUT[kind])


def ticks(n: int, start: int = 0) -> Batch:
    records = np.zeros(n, TICK)
    records["received_time"] = np.arange(start, start + n)
    return records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def clock() -> Clock:
    return Clock()


STEP = st.one_of(
    st.tuples(st.just("append"), st.sampled_from(RowKind), st.integers(0, 2), st.integers(1, 40), st.integers(0, 99)),
    st.tuples(st.just("many"), st.sampled_from(RowKind), st.integers(0, 2), st.integers(1, 40), st.integers(0, 99)),
    st.tuples(st.sampled_from(["reopen", "next day", "read", "stream"])),
)


@settings(max_examples=settings().max_examples // 3)  # Each makes files and syncs them.
@given(steps=st.lists(STEP, max_size=40), max_rows=st.integers(1, 9), max_bytes=st.integers(1, 5000))
def test_what_is_read_is_what_was_appended(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple], max_rows: int, max_bytes: int
):
    """Any batches, any days, any restarts of the writer, and a reader that follows in steps of any size."""
    folder = tmp_path_factory.mktemp("journal")
    clock = Clock()
    written: list[tuple] = []
    read: list[Row] = []
    writer = JournalWriter(folder, clock)
    with JournalReader(folder) as reader:
        for what, *details in steps:
            if what == "append":
                kind, domain, n, seed = details
                written.append((writer.append(kind, domain, batch(kind, n, seed)), kind, domain, n, seed))
            elif what == "many":
                kind, domain, n, seed = details
                first = writer.last_seq + 1
                writer.append_many([(kind, domain, batch(kind, n, seed + k)) for k in range(3)])
                written += [(first + k, kind, domain, n, seed + k) for k in range(3)]
            elif what == "reopen":
                writer.close()
                writer = JournalWriter(folder, clock)
            elif what == "next day":
                clock.now += DAY_NS
            elif what == "stream":
                writer.stream("sim", Symbol("SIM", f"S{len(writer.streams)}"), FeedKind.TRADES, 0)
            else:
                read += reader.read(read[-1].seq if read else 0, max_rows, max_bytes)
        while rows := reader.read(read[-1].seq if read else 0, max_rows, max_bytes):
            assert len(rows) <= max_rows
            read += rows
        streams = writer.streams
        writer.close()
        assert reader.streams() == streams
        assert (reader.first_seq(), reader.last_seq()) == ((1, len(written)) if written else (0, 0))

    assert [(row.seq, row.kind, row.domain, row.count) for row in read] == [entry[:4] for entry in written]
    for row, (_, kind, _, n, seed) in zip(read, written, strict=True):
        assert row.payload == batch(kind, n, seed).tobytes()
        assert row.records.dtype == LAYOUT[kind]


def test_a_reader_may_come_before_the_journal(folder: Path, clock: Clock):
    """Bars may be started before ingest has made its first file."""
    reader = JournalReader(folder)
    assert (reader.read(0), reader.last_seq(), reader.first_seq(), reader.streams()) == ([], 0, 0, ())
    assert reader.read_chunks(Position(), 100) == ([], Position())
    with JournalWriter(folder, clock) as writer:
        assert reader.read(0) == []
        writer.append(RowKind.TICKS, 0, ticks(1))
        assert [row.seq for row in reader.read(0)] == [1]


def test_reading_changes_nothing_in_the_journal(folder: Path, clock: Clock):
    """Not a byte, neither of a live file nor of one whose log is gone."""
    with JournalWriter(folder, clock) as writer:
        writer.append(RowKind.TICKS, 0, ticks(3))
        before = {path.name: path.read_bytes() for path in folder.glob("*") if not path.name.endswith("-shm")}
        with JournalReader(folder) as reader:
            assert len(reader.read(0)) == 1
        assert before == {path.name: path.read_bytes() for path in folder.glob("*") if not path.name.endswith("-shm")}
    (path,) = folder.glob("*.sqlite")
    before_bytes = path.read_bytes()
    with JournalReader(folder) as reader:
        assert len(reader.read(0)) == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._file._connection.execute("DELETE FROM rows")  # type: ignore[union-attr]
    assert path.read_bytes() == before_bytes


_READ = """
import os, sys
from pathlib import Path
from sources.journal import JournalReader
from sources.journal_file import DayFile
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
assert not os.access(sys.argv[1], os.W_OK)
print([row.seq for row in JournalReader(Path(sys.argv[1])).read(0)])
"""


def test_a_journal_on_a_disk_that_cannot_be_written_can_be_read(clock: Clock):
    """An archive, a backup, a disk that was mounted read-only after an error."""
    # Root may write anywhere, so the reader is another user, who may not look into the folders that pytest makes.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with JournalWriter(folder, clock) as writer:
            writer.append(RowKind.TICKS, 0, ticks(3))
        folder.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", _READ, name], capture_output=True, text=True, check=False)
        folder.chmod(0o755)
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("another user may not read the program here")
    assert done.stdout == "[1]\n", done.stderr


def test_a_reader_follows_the_writer_over_midnight(folder: Path, clock: Clock):
    with JournalWriter(folder, clock) as writer, JournalReader(folder) as reader:
        seq = 0
        for day in range(3):
            clock.now = DAY + day * DAY_NS
            for _ in range(3):
                writer.append(RowKind.TICKS, 0, ticks(2))
                (row,) = reader.read(seq)
                seq = row.seq
            assert reader.read(seq) == []
        assert seq == 9
        assert len(list(reader.read_all())) == 9


def test_nothing_is_missed_while_a_writer_rotates_under_a_reader(folder: Path, clock: Clock):
    """The reader must not leave a file for the next one before it has the last row."""
    n = 600

    def write() -> None:
        with JournalWriter(folder, clock, checkpoint_s=0.01) as writer:
            for k in range(n):
                if k % 100 == 99:
                    clock.now += DAY_NS
                writer.append(RowKind.TICKS, 0, ticks(2))

    thread = threading.Thread(target=write)
    thread.start()
    seqs: list[int] = []
    with JournalReader(folder) as reader:
        while thread.is_alive() or len(seqs) < n:
            rows = reader.read(seqs[-1] if seqs else 0)
            seqs += [row.seq for row in rows]
            assert thread.is_alive() or rows or len(seqs) == n, f"stopped at row {len(seqs)}"
    thread.join()
    assert seqs == [*range(1, n + 1)]


def test_a_last_row_and_a_new_file_that_come_between_two_looks_are_both_read(
    folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """The race of the test above, made certain: the reader has looked for rows, and not yet for files."""
    with JournalWriter(folder, clock) as writer, JournalReader(folder) as reader:
        writer.append(RowKind.TICKS, 0, ticks(1))
        assert len(reader.read(0)) == 1
        look = reader._folder.after

        def late(name: str) -> DayFile | None:
            monkeypatch.undo()
            writer.append(RowKind.TICKS, 0, ticks(1))
            clock.now += DAY_NS
            writer.append(RowKind.TICKS, 0, ticks(1))
            return look(name)

        monkeypatch.setattr(reader._folder, "after", late)
        assert [row.seq for row in reader.read(1)] == [2]
        assert [row.seq for row in reader.read(2)] == [3]


def test_a_file_that_retention_removes_under_a_reader_can_be_read_to_its_end(folder: Path, clock: Clock):
    with JournalWriter(folder, clock) as writer, JournalReader(folder) as reader:
        for day in range(2):
            clock.now = DAY + day * DAY_NS
            for _ in range(4):
                writer.append(RowKind.TICKS, 0, ticks(1))
        assert [row.seq for row in reader.read(0, max_rows=2)] == [1, 2]
        assert len(writer.prune(0, 0, 8)) == 1
        assert [row.seq for row in reader.read(2)] == [3, 4]
        assert [row.seq for row in reader.read(4)] == [5, 6, 7, 8]


def test_rows_that_retention_removed_before_they_were_read_are_reported(folder: Path, clock: Clock):
    """From the beginning means from what there is; from a place in the removed part means that rows were lost."""
    with JournalWriter(folder, clock) as writer:
        for day in range(3):
            clock.now = DAY + day * DAY_NS
            writer.append(RowKind.TICKS, 0, ticks(1))
        writer.prune(0, 0, 2)
        assert [row.seq for row in JournalReader(folder).read(0)] == [3]
        with pytest.raises(CorruptRow, match=r"2023-11-16.sqlite, row 2: missing before it, as if removed"):
            JournalReader(folder).read(1)
        lost: list[CorruptRow] = []
        assert [row.seq for row in JournalReader(folder, lost.append).read(1)] == [3]
        assert [(one.first_seq, one.last_seq) for one in lost] == [(2, 2)]


def test_numbers_that_were_passed_over_on_purpose_are_not_missing(folder: Path, clock: Clock):
    with JournalWriter(folder, clock, first_seq=10) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
    clock.now += DAY_NS
    with JournalWriter(folder, clock, first_seq=100) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
    with JournalWriter(folder, clock, first_seq=200) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
        with JournalReader(folder) as reader:
            assert [row.seq for row in reader.read_all()] == [10, 100, 200]
            assert [row.seq for row in reader.read_all(50)] == [100, 200]
            assert [row.seq for row in reader.read(150)] == [200]


def test_chunks_carry_the_streams_that_their_rows_name(folder: Path, clock: Clock):
    """A kernel needs a stream's calendar at its first tick; the tuple is the same one until there are more."""
    with JournalWriter(folder, clock) as writer, JournalReader(folder) as reader:
        position = Position()
        seen = []
        for name in ("A", "A", "B"):
            stream = writer.stream("sim", Symbol("SIM", name), FeedKind.TRADES, 0)
            records = ticks(2)
            records["stream"] = stream.id
            writer.append(RowKind.TICKS, 0, records)
            (chunk,), position = reader.read_chunks(position, 100)
            seen.append(chunk.streams)

    assert [[stream.symbol.ticker for stream in streams] for streams in seen] == [["A"], ["A"], ["A", "B"]]
    assert seen[0] is seen[1]


def test_a_file_of_a_newer_program_is_named(folder: Path, clock: Clock):
    JournalWriter(folder, clock).close()
    with closing(sqlite3.connect(folder / "2023-11-14.sqlite")) as connection:
        connection.execute("PRAGMA user_version=2")
    with pytest.raises(DeskError, match="has format version 2, this program reads 1"):
        JournalReader(folder).read(0)


@pytest.fixture
def killed(folder: Path, clock: Clock, tmp_path: Path) -> Iterator[Path]:
    """A journal as a kill leaves it: most rows are in the log only, and its index is gone."""
    with JournalWriter(folder, clock) as writer:
        for n in range(50):
            writer.append(RowKind.TICKS, 0, ticks(2, n))
        copy = tmp_path / "killed"
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm", "lock"))
        yield copy


def test_what_is_in_the_log_of_a_killed_writer_is_read(killed: Path):
    with JournalReader(killed) as reader:
        assert len(reader.read(0)) == 50
    with JournalReader(killed) as reader:
        assert reader.last_seq() == 50


def test_a_tiny_row_before_huge_ones_does_not_fetch_them_all_at_once(folder: Path, clock: Clock):
    """A file's first row is a mark of 32 bytes; the thousands behind it may be 800 KB each, in a server of 4 GB."""
    with JournalWriter(folder, clock) as writer:
        writer.append(RowKind.MARKS, 0, np.zeros(1, MARK))
        for n in range(100):
            writer.append(RowKind.TICKS, 0, ticks(1_000, n * 1_000))
        path = writer.file
    with closing(DayFile(path)) as day:
        helpings = [len(found) for found in day.rows(0, 1_000, 500_000)]
    assert helpings[:2] == [1, 8]
    assert sum(helpings) <= 1 + 8 + 64
    assert sum(helpings[2:]) * 48_000 <= 500_000 + 8 * 48_000
