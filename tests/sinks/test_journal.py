"""The journal's writer."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from market.errors import DeskError
from market.journal_rows import Row, RowKind, fault
from market.streams import FeedKind
from market.symbols import parse_symbol
from market.ticks import MARK, QUOTE, TICK, Batch
from sinks.journal import POWER_LOSS_JUMP, JournalFull, JournalWriter
from sinks.journal_file import contents, create, day_name

BTC = parse_symbol("SIM:BTCUSD")
ETH = parse_symbol("SIM:ETHUSD")
DAY_NS = 86_400_000_000_000
DAY = 19_675 * DAY_NS
"""2023-11-14, 00:00 UTC."""


def ticks(*received_times: int) -> Batch:
    records = np.zeros(len(received_times), TICK)
    records["received_time"] = received_times
    return records


def marks(time: int) -> Batch:
    records = np.zeros(1, MARK)
    records["time"] = time
    return records


def quotes(received_time: int) -> Batch:
    records = np.zeros(1, QUOTE)
    records["received_time"] = received_time
    return records


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: int = DAY) -> None:
        self.now = now

    def __call__(self) -> int:
        """The time, ns."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def stored(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        return [Row(*row) for row in connection.execute("SELECT * FROM rows ORDER BY seq")]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.sqlite"))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def test_each_batch_is_a_row_with_its_clock_and_checksum(folder: Path, clock: Clock):
    with JournalWriter(folder, clock) as writer:
        assert writer.append(RowKind.TICKS, 0, ticks(5, 7)) == 1
        assert writer.append(RowKind.QUOTES, 0, quotes(6)) == 2
        assert writer.append(RowKind.MARKS, 0, marks(9)) == 3

    rows = stored(folder / "2023-11-14.sqlite")
    assert [row[:5] for row in rows] == [(1, 1, 0, 7, 2), (2, 2, 0, 6, 1), (3, 3, 0, 9, 1)]
    assert [fault(row) for row in rows] == [None] * 3
    assert rows[0].records.tolist() == ticks(5, 7).tolist()


def test_a_row_is_there_for_others_the_moment_append_returns(folder: Path, clock: Clock):
    """Bars read what ingest has just written; and a kill loses nothing that was acknowledged."""
    with JournalWriter(folder, clock) as writer:
        for seq in range(1, 4):
            writer.append(RowKind.TICKS, 0, ticks(seq))
            assert [row.seq for row in stored(writer.file)] == [*range(1, seq + 1)]


def test_the_clock_of_ticks_and_marks_never_falls_within_a_domain(folder: Path, clock: Clock):
    """Bars close by it. Quotes do not count, and each domain has a clock of its own."""
    with JournalWriter(folder, clock) as writer:
        writer.append(RowKind.MARKS, 0, marks(10))
        writer.append(RowKind.TICKS, 0, ticks(8))
        writer.append(RowKind.QUOTES, 0, quotes(50))
        writer.append(RowKind.TICKS, 1, ticks(3))
        writer.append(RowKind.TICKS, 0, ticks(11))
        path = writer.file

    assert [row.clock for row in stored(path)] == [10, 10, 50, 3, 11]


def test_numbers_and_clocks_go_on_after_a_restart_and_over_days(folder: Path, clock: Clock):
    with JournalWriter(folder, clock) as writer:
        writer.stream("file:1", BTC, FeedKind.TRADES, 7)
        writer.append(RowKind.TICKS, 7, ticks(500))
        writer.append(RowKind.TICKS, 0, ticks(5))
    clock.now += DAY_NS
    with JournalWriter(folder, clock) as writer:
        assert writer.last_seq == 2
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == 3
        assert writer.file.name == "2023-11-15.sqlite"
    with JournalWriter(folder, clock) as writer:
        assert writer.append(RowKind.TICKS, 7, ticks(1)) == 4
        assert (writer.last_clock(0), writer.last_clock(7), writer.last_clock(8)) == (5, 500, None)

    assert files(folder) == ["2023-11-14.sqlite", "2023-11-15.sqlite"]
    assert [(row.seq, row.clock) for row in stored(folder / "2023-11-15.sqlite")] == [(3, 5), (4, 500)]


def test_a_stream_gets_its_number_once_and_every_file_carries_all(folder: Path, clock: Clock):
    with JournalWriter(folder, clock) as writer:
        first = writer.stream("sim", BTC, FeedKind.TRADES, 0)
        assert writer.stream("sim", BTC, FeedKind.TRADES, 0) == first
        assert writer.stream("sim", BTC, FeedKind.TRADES, 0, extended=True).id == 1
        assert writer.stream("kraken", BTC, FeedKind.TRADES, 0).id == 2
    clock.now += DAY_NS
    with JournalWriter(folder, clock) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
        assert writer.stream("sim", ETH, FeedKind.CONFLATED, 0).id == 3
        assert [stream.id for stream in writer.streams] == [0, 1, 2, 3]
        path = writer.file

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT id, feed, ticker, kind, extended FROM streams").fetchall() == [
            (0, "sim", "BTCUSD", 0, 0),
            (1, "sim", "BTCUSD", 0, 1),
            (2, "kraken", "BTCUSD", 0, 0),
            (3, "sim", "ETHUSD", 1, 0),
        ]


def test_a_clock_that_is_set_back_does_not_go_back_to_an_older_file(folder: Path, clock: Clock):
    """Files in the order of their names are rows in the order of their numbers."""
    with JournalWriter(folder, clock) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
        clock.now -= 3 * DAY_NS
        writer.append(RowKind.TICKS, 0, ticks(2))
    with JournalWriter(folder, clock) as writer:
        writer.append(RowKind.TICKS, 0, ticks(3))

    assert files(folder) == ["2023-11-14.sqlite"]


def test_a_consumer_that_had_seen_more_is_never_given_a_number_twice(folder: Path, clock: Clock):
    with JournalWriter(folder, clock, first_seq=100) as writer:
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == 100
    with JournalWriter(folder, clock, first_seq=50) as writer:
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == 101
    with JournalWriter(folder, clock, first_seq=200):
        pass
    with JournalWriter(folder, clock) as writer:
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == 200, "the jump is kept though it was not used"


def test_after_a_power_loss_numbering_jumps(folder: Path, clock: Clock):
    """The last seconds may be gone from the disk that a consumer had already read: their numbers stay theirs."""
    writer = JournalWriter(folder, clock, boot_id="monday")
    writer.append(RowKind.TICKS, 0, ticks(1))
    state = {path.name: path.read_bytes() for path in folder.iterdir()}
    writer.close()
    for name, content in state.items():
        (folder / name).write_bytes(content)

    with JournalWriter(folder, clock, boot_id="tuesday") as writer:
        assert writer.append(RowKind.TICKS, 0, ticks(2)) == 2 + POWER_LOSS_JUMP
    with JournalWriter(folder, clock, boot_id="wednesday") as writer:
        assert writer.append(RowKind.TICKS, 0, ticks(3)) == 3 + POWER_LOSS_JUMP, "the day before ended cleanly"


def test_a_kill_right_after_a_new_file_was_made_is_no_power_loss(folder: Path, clock: Clock):
    """The file appears with all its facts at once, so that the next writer knows that the machine stayed up."""
    with JournalWriter(folder, clock, boot_id="monday") as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
    clock.now += DAY_NS
    create(folder / day_name(clock.now), writer.streams, writer.last_seq, "monday")

    with JournalWriter(folder, clock, boot_id="monday") as writer:
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == 2


def test_a_checkpoint_that_holds_the_writer_off_is_waited_out(folder: Path, clock: Clock):
    """For some milliseconds every few seconds; an error then would end ingest."""
    with (
        JournalWriter(folder, clock) as writer,
        closing(sqlite3.connect(writer.file, isolation_level=None, check_same_thread=False)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.02, lambda: other.execute("ROLLBACK"))
        timer.start()
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == 1
        timer.join()


def test_a_program_that_never_lets_go_is_told_of(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sinks.journal.BUSY_TRIES", 10)
    with JournalWriter(folder, clock) as writer, closing(sqlite3.connect(writer.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DeskError, match="database is locked; see that no other program has it open"):
            writer.append(RowKind.TICKS, 0, ticks(1))
        other.execute("ROLLBACK")
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == 1


def test_many_batches_in_one_transaction_are_all_there_or_none(folder: Path, clock: Clock):
    with JournalWriter(folder, clock) as writer:
        assert writer.append_many((RowKind.TICKS, 3, ticks(n)) for n in range(10, 15)) == 5

        def interrupted():
            yield RowKind.TICKS, 3, ticks(99)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            writer.append_many(interrupted())
        assert writer.append(RowKind.TICKS, 3, ticks(15)) == 6
        path = writer.file

    assert [row.clock for row in stored(path)] == [10, 11, 12, 13, 14, 15]


def test_only_one_process_writes_and_the_other_is_told_who(folder: Path, clock: Clock):
    holder = rf"is being written by process {os.getpid()}; stop that one"
    with JournalWriter(folder, clock), pytest.raises(DeskError, match=holder):
        JournalWriter(folder, clock)
    JournalWriter(folder, clock).close()


def test_a_writer_that_cannot_start_lets_go_of_the_lock(folder: Path, clock: Clock):
    folder.mkdir()
    (folder / "2023-11-14.sqlite").write_bytes(b"not a database, though it is named like one" * 100)
    for _ in range(2):
        with pytest.raises(DeskError, match="is damaged: file is not a database; move it out"):
            JournalWriter(folder, clock)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, clock: Clock):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeskError, match="file/journal cannot be written: Not a directory; choose another"):
        JournalWriter(tmp_path / "file" / "journal", clock)


def test_a_file_of_a_newer_program_is_not_touched(folder: Path, clock: Clock):
    JournalWriter(folder, clock).close()
    path = folder / "2023-11-14.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=2")
    with pytest.raises(DeskError, match="has format version 2, this program writes 1"):
        JournalWriter(folder, clock)


def times_reset(log: Path) -> int:
    """How often a write-ahead log was begun anew: a field of its header."""
    return int.from_bytes(log.read_bytes()[12:16], "big")


def test_the_log_is_begun_anew_every_few_seconds_while_rows_keep_coming(folder: Path, clock: Clock):
    """Else it grows by 2 KB a row for as long as the desk runs."""
    with JournalWriter(folder, clock, checkpoint_s=0.01) as writer:
        log = folder / "2023-11-14.sqlite-wal"

        def reset() -> bool:
            writer.append(RowKind.TICKS, 0, ticks(1))
            return times_reset(log) >= 3

        wait_until(reset)
        assert writer.checkpoint_error is None
    assert not log.exists(), "a clean close leaves the file alone"


def test_most_of_a_checkpoint_is_done_without_holding_the_writer_off(folder: Path, clock: Clock):
    """A reset that had all the rows to copy would hold a tick up for as long, and rows come all the while."""
    done: list[str] = []

    class RowsComeMeanwhile:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection = connection

        def execute(self, sql: str) -> sqlite3.Cursor:
            """Run it, and have a row come right after it if it held nobody off."""
            found = self.connection.execute(sql)
            done.append(sql)
            if "PASSIVE" in sql:
                writer.append(RowKind.TICKS, 0, ticks(1))
            return found

        def close(self) -> None:
            """Close it."""
            self.connection.close()

    with JournalWriter(folder, clock, checkpoint_s=3600) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
        rounds = writer._checkpoints
        rounds._connection = RowsComeMeanwhile(sqlite3.connect(writer.file, isolation_level=None))  # type: ignore[assignment]
        rounds._round()
        before = times_reset(folder / "2023-11-14.sqlite-wal")
        writer.append(RowKind.TICKS, 0, ticks(1))
        assert times_reset(folder / "2023-11-14.sqlite-wal") == before + 1
        assert [sql[22:-1] for sql in done] == ["PASSIVE", "PASSIVE", "RESTART"]
        done.clear()
        rounds._done = writer.last_seq
        rounds._round()
        assert done == [], "where nothing was written, nothing is done"
        rounds._release()


def test_the_file_of_the_day_before_is_finished_by_the_checkpoints(folder: Path, clock: Clock):
    with JournalWriter(folder, clock, checkpoint_s=0.01) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
        clock.now += DAY_NS
        writer.append(RowKind.TICKS, 0, ticks(2))
        wait_until(lambda: not (folder / "2023-11-14.sqlite-wal").exists())


def test_what_a_killed_writer_left_of_earlier_days_is_tidied(folder: Path, clock: Clock):
    with JournalWriter(folder, clock) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1))
        left = {path.name: path.read_bytes() for path in folder.iterdir()}
        clock.now += DAY_NS
        writer.append(RowKind.TICKS, 0, ticks(2))
    for name, content in left.items():
        (folder / name).write_bytes(content)
    (folder / "2023-11-16.sqlite.new").write_bytes(b"half made")

    with JournalWriter(folder, clock) as writer:
        assert writer.last_seq == 2
        assert {path.name for path in folder.iterdir()} == {
            "2023-11-14.sqlite", "2023-11-15.sqlite", "2023-11-15.sqlite-wal", "2023-11-15.sqlite-shm", "lock",
        }  # fmt: skip
    assert [row.seq for row in stored(folder / "2023-11-14.sqlite")] == [1]


def test_domain_clocks_survive_a_kill_at_any_row(folder: Path, clock: Clock):
    """The table of clocks is renewed every few seconds; what came after is read from the rows."""
    with JournalWriter(folder, clock) as writer:
        for n in range(1, 300):
            writer.append(RowKind.TICKS, n % 3, ticks(n))
            if n % 70 == 0:
                writer._ask_note()
            if n % 50 == 0:
                copy = folder.with_name(f"copy{n}")
                copy.mkdir()
                for path in folder.glob("2023*"):
                    if not path.name.endswith("-shm"):
                        (copy / path.name).write_bytes(path.read_bytes())
    for n in range(50, 300, 50):
        with closing(sqlite3.connect(folder.with_name(f"copy{n}") / "2023-11-14.sqlite")) as connection:
            spans = contents(connection).spans
        assert {domain: (span.last_seq, span.last_clock) for domain, span in spans.items()} == {
            seq % 3: (seq, seq) for seq in (n - 2, n - 1, n)
        }
        assert {domain: span.first_seq for domain, span in spans.items()} == {1: 1, 2: 2, 0: 3}


@pytest.fixture
def four_days(folder: Path, clock: Clock) -> Iterator[JournalWriter]:
    """Four days with one row each: numbers 1 to 4, the last one today."""
    with JournalWriter(folder, clock) as writer:
        for day in range(4):
            clock.now = DAY + day * DAY_NS
            writer.append(RowKind.TICKS, 0, ticks(day))
        yield writer


def days(removed: list[Path]) -> list[str]:
    return [path.stem[-2:] for path in removed]


def test_old_files_go_by_age(four_days: JournalWriter):
    assert days(four_days.prune(3, 0, 4)) == []
    assert days(four_days.prune(2, 0, 4)) == ["14"]
    assert days(four_days.prune(0, 0, 4)) == ["15", "16"], "today's is being written"


def test_young_files_go_where_room_is_needed_oldest_first(four_days: JournalWriter, folder: Path):
    free = {4: 10, 3: 20, 2: 30, 1: 40}
    removed = four_days.prune(99, 30, 4, free_bytes=lambda: free[len(files(folder))])
    assert days(removed) == ["14", "15"]


@pytest.mark.parametrize(("consumed", "archived"), [(1, None), (1, 4), (4, 1)])
def test_what_is_not_consumed_or_not_archived_stays(four_days: JournalWriter, consumed: int, archived: int | None):
    """Nor does anything after it go, however old: the journal has no holes."""
    assert days(four_days.prune(0, 1 << 60, consumed, archived)) == ["14"]


def test_the_file_being_written_stays_however_little_room_there_is(four_days: JournalWriter, folder: Path):
    assert days(four_days.prune(0, 1 << 60, 4)) == ["14", "15", "16"]
    assert files(folder) == ["2023-11-17.sqlite"]


def test_a_file_that_cannot_be_read_is_not_removed(four_days: JournalWriter, folder: Path):
    """Nobody can say whether it has been consumed."""
    (folder / "2023-11-14.sqlite").write_bytes(b"x" * 5000)
    assert four_days.prune(0, 0, 4) == []


def test_nothing_of_a_removed_file_is_left(four_days: JournalWriter, folder: Path):
    four_days.prune(0, 0, 4)
    assert {path.name[:10] for path in folder.glob("2023*")} == {"2023-11-17"}


_FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from market.journal_rows import RowKind
from market.ticks import TICK
from sinks.journal import JournalFull, JournalWriter
writer = JournalWriter(Path(sys.argv[1]), lambda: 19_675 * 86_400_000_000_000)
writer.append(RowKind.TICKS, 0, np.zeros(1, TICK))
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    while True:
        last = writer.append(RowKind.TICKS, 0, np.zeros(10, TICK))
except JournalFull as error:
    print(last, writer.last_seq, type(error.__cause__).__name__, error)
writer.close()
"""


def test_a_disk_without_room_stops_by_name_and_all_before_is_readable(folder: Path, clock: Clock):
    """The limit on the size of files stands for a full disk: both end in a write that fails."""
    done = subprocess.run([sys.executable, "-c", _FULL, str(folder)], capture_output=True, text=True, check=True)

    last, last_seq, cause, text = done.stdout.split(maxsplit=3)
    assert (last, cause) == (last_seq, "OperationalError")
    assert text.startswith(f"journal file {folder / '2023-11-14.sqlite'}")
    with JournalWriter(folder, clock) as writer:
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == int(last) + 1
        path = writer.file
    rows = stored(path)
    assert [row.seq for row in rows] == [*range(1, int(last) + 2)]
    assert {fault(row) for row in rows} == {None}


def test_a_full_disk_has_an_error_of_its_own(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    """Callers tell it from damage, which room on the disk does not mend."""
    with JournalWriter(folder, clock) as writer:
        writer._connection.execute("PRAGMA max_page_count=1")
        with pytest.raises(JournalFull, match="the disk is full; make room"):
            writer.append(RowKind.TICKS, 0, ticks(*range(1000)))
        with pytest.raises(JournalFull):
            writer.append_many([(RowKind.TICKS, 0, ticks(*range(100)))])
        writer._connection.execute("PRAGMA max_page_count=1000000")
        before = writer.last_seq
        assert writer.append(RowKind.TICKS, 0, ticks(1)) == before + 1
