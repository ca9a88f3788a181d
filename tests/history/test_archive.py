"""Archiving a desk: run after run, killed or not, until the journal may go."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from archived_rows import marks, quotes, ticks
from servers.s3 import S3Server, s3_bucket, s3_server
from stored_bars import SYMBOLS, bar, imported

from history.archive import archive, check, release
from history.desk import HistoryDesk
from infra.folders import Folders
from infra.settings import load_settings
from market.errors import DeskError
from market.intervals import Interval
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import MarkKind
from sinks import parquet_archive
from sinks.archive_bars import BarArchive
from sinks.journal import JournalWriter
from sinks.parquet_archive import ParquetArchive
from sources.journal import JournalReader

__all__ = ["s3_bucket", "s3_server"]

DAY_NS = 86_400 * 10**9
BEGIN = 20_455 * DAY_NS
"""2026-01-02T00:00:00Z."""
BTC = Symbol("KRAKEN", "BTCUSD")


@contextmanager
def journal(folders: Folders, now: int = BEGIN):
    """The desk's journal, open for writing, with one stream."""
    with JournalWriter(folders.journal, lambda: now) as writer:
        writer.stream("kraken", BTC, FeedKind.TRADES, 0)
        yield writer


def write(folders: Folders, now: int, rows: int = 3, each: int = 4) -> None:
    """A mark, and rows of ticks and quotes, stamped from `now` on."""
    with journal(folders, now) as writer:
        writer.append(RowKind.MARKS, 0, marks(MarkKind.CLOCK, at=now))
        for place in range(rows):
            at = now + place * 10**9
            prices = [100.0 + place + n / 8 for n in range(each)]
            writer.append(RowKind.TICKS, 0, ticks(*prices, at=at))
            writer.append(RowKind.QUOTES, 0, quotes(99.5, at=at))


def journaled(folders: Folders) -> list[tuple]:
    """Every row of the journal."""
    with JournalReader(folders.journal, lambda _: None) as reader:
        return [tuple(row) for row in reader.read_all()]


def archived(desk: HistoryDesk) -> list[tuple]:
    """Every row of the archive."""
    return [tuple(row) for part in ParquetArchive(desk.archive_place).rows() for row in part]


def test_runs_add_what_came_since(desk: HistoryDesk):
    """Three runs over two days; the middle one in the middle of a day. No row twice, none missing."""
    write(desk.folders, BEGIN)
    first = archive(desk)
    write(desk.folders, BEGIN + DAY_NS // 2)
    second = archive(desk)
    write(desk.folders, BEGIN + DAY_NS)
    third = archive(desk)

    assert (first.ticks, first.quotes, first.marks, first.journal_rows) == (12, 3, 1, 7)
    assert [run.days for run in (first, second, third)] == [("2026-01-02",), ("2026-01-02",), ("2026-01-03",)]
    assert [run.upto_seq for run in (first, second, third)] == [7, 14, 21]
    assert archived(desk) == journaled(desk.folders)
    assert check(desk) == []
    assert archive(desk).journal_rows == 0
    assert pl.read_parquet(desk.folders.archive / "ticks").height == 36


def test_a_desk_without_anything_has_an_empty_archive(desk: HistoryDesk):
    """A schedule runs on the first night too."""
    done = archive(desk)

    assert (done.upto_seq, done.ticks, done.bars, done.damaged) == (0, 0, 0, ())
    assert desk.ledger.archived_seq() is None
    assert done.bytes_per_tick is None


def test_large_days_are_cut_into_parts(desk: HistoryDesk, monkeypatch: pytest.MonkeyPatch):
    """Memory is bounded by a part, whatever came in a day."""
    monkeypatch.setattr(parquet_archive, "PART_RECORDS", 10)
    monkeypatch.setattr("history.archive.READ_BYTES", 400)
    write(desk.folders, BEGIN, rows=20)
    shares = []

    archive(desk, tell=lambda step, share: shares.append((step, share)))

    day = ParquetArchive(desk.archive_place).day("2026-01-02")
    assert len(day.parts) > 3
    assert max(note.rows for part in day.parts for note in part.files.values()) <= 24
    assert archived(desk) == journaled(desk.folders)
    assert [share for step, share in shares if step == "journal"][-1] == 1.0
    assert sorted(shares, key=lambda one: one[0] == "bars") == shares


def test_the_journal_lets_its_old_days_go_once_they_are_archived(desk: HistoryDesk):
    """Not before; and a desk that archives no more says so, or its disk would fill."""
    write(desk.folders, BEGIN)
    archive(desk)
    write(desk.folders, BEGIN + DAY_NS)
    with journal(desk.folders, BEGIN + 30 * DAY_NS) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1.0, at=BEGIN + 30 * DAY_NS))

        def prune():
            return [path.stem for path in writer.prune(7, 0, 10**6, desk.ledger.archived_seq())]

        assert prune() == ["2026-01-02"]
        assert prune() == []
        archive(desk)
        assert prune() == ["2026-01-03"]
        release(desk)
        assert desk.ledger.archived_seq() is None
    assert desk.ledger.consumed_seq() == 0, "the archive alone is no reason for anything to go"
    assert len(archived(desk)) == 15


def test_a_pruned_journal_goes_on_in_the_archive(desk: HistoryDesk):
    write(desk.folders, BEGIN)
    archive(desk)
    write(desk.folders, BEGIN + DAY_NS)
    whole = journaled(desk.folders)
    for path in desk.folders.journal.glob("2026-01-02*"):
        path.unlink()

    archive(desk)

    assert archived(desk) == whole


def test_an_archive_is_never_mixed_with_another_journal(desk: HistoryDesk):
    """A data folder that was made anew, with an archive elsewhere that was kept."""
    write(desk.folders, BEGIN)
    archive(desk)
    for path in desk.folders.journal.iterdir():
        path.unlink()
    write(desk.folders, BEGIN, rows=1)
    with pytest.raises(DeskError, match=r"is of another journal: it goes up to row 7.*archive_to"):
        archive(desk)
    write(desk.folders, BEGIN, rows=9)
    with pytest.raises(DeskError, match="is of another journal"):
        archive(desk)
    assert len(archived(desk)) == 7


def test_a_damaged_row_is_named_and_the_others_are_archived(desk: HistoryDesk):
    """In the middle of one day, and at the end of it."""
    write(desk.folders, BEGIN)
    write(desk.folders, BEGIN + DAY_NS)
    whole = journaled(desk.folders)
    with closing(sqlite3.connect(desk.folders.journal / "2026-01-02.sqlite", isolation_level=None)) as file:
        file.execute("UPDATE rows SET payload = zeroblob(48) WHERE seq IN (4, 7)")

    done = archive(desk)

    assert [text.partition(":")[0] for text in done.damaged] == [
        "journal file 2026-01-02.sqlite, row 4",
        "journal file 2026-01-02.sqlite, row 7",
    ]
    assert archived(desk) == [row for row in whole if row[0] not in {4, 7}]
    target = ParquetArchive(desk.archive_place)
    assert [found[:2] for found in target.damaged()] == [(4, 4), (7, 7)]
    assert archive(desk).damaged == ()


def test_numbers_that_jump_on_purpose_are_told_from_rows_that_are_missing(desk: HistoryDesk):
    """As after a power loss."""
    write(desk.folders, BEGIN, rows=1)
    with JournalWriter(desk.folders.journal, lambda: BEGIN, first_seq=1000) as writer:
        writer.append(RowKind.TICKS, 0, ticks(1.0))

    archive(desk)

    day = ParquetArchive(desk.archive_place).day("2026-01-02")
    assert ([seq for seq, _ in day.starts], day.damaged) == ([1000], [])


def test_closed_bars_follow_the_store(desk: HistoryDesk):
    """New ones, healed ones, other symbols; a span in which nothing changed is not written again."""
    imported(desk.store, bar(0), bar(1), bar(0, stream=2, interval=Interval.D1))
    first = archive(desk)
    imported(desk.store, bar(1, 12.0), bar(60 * 24 * 40), writer="heal")
    second = archive(desk)

    assert (first.bar_files, first.bars) == (2, 3)
    assert (second.bar_files, second.bars) == (2, 3)
    assert archive(desk).bar_files == 0
    target = BarArchive(desk.archive_place)
    for symbol, interval in ((SYMBOLS[0], Interval.M1), (SYMBOLS[2], Interval.D1)):
        assert target.read(symbol, interval).equals(desk.store.read(symbol, interval))


def test_a_store_that_began_anew_is_archived_as_a_whole(desk: HistoryDesk):
    """Its logs are shorter than what was archived of them."""
    imported(desk.store, bar(0), bar(1), bar(2))
    archive(desk)
    desk.close()
    desk.folders.bars.unlink()
    imported(desk.store, bar(1, 15.0, state=4), bar(7))

    archive(desk)

    found = BarArchive(desk.archive_place).read(SYMBOLS[0], Interval.M1, newest_first=False)
    assert found["close"].to_list() == [10.0, 15.0, 10.0, 10.0]


def test_two_runs_at_a_time_are_one_too_many(desk: HistoryDesk):
    imported(desk.store, bar(0))
    refused = []

    def tell(*_: object):
        if not refused:
            with pytest.raises(DeskError, match="is archiving on this desk already") as caught:
                archive(desk)
            refused.append(caught)

    archive(desk, tell=tell)
    assert refused


_RUN = """
import sys, time
from pathlib import Path
from history.archive import archive
from history.desk import HistoryDesk
from infra.settings import load_settings
from sinks import parquet_archive
parquet_archive.PART_RECORDS = 40
import history.archive
history.archive.READ_BYTES = 2000
with HistoryDesk(load_settings(Path(sys.argv[1]), environ={})) as desk:
    print("begins", flush=True)
    archive(desk, tell=lambda *_: print("part", flush=True))
"""


@pytest.mark.crash
def test_runs_that_are_killed_leave_whole_files_only_and_are_taken_up(desk: HistoryDesk):
    """Killed -9 at seeded moments: after each, what counts is whole and there once; in the end nothing is missing."""
    kills = int(os.environ.get("POCKETQUANT_TEST_KILLS", "3"))
    write(desk.folders, BEGIN, rows=400)
    write(desk.folders, BEGIN + DAY_NS, rows=200)
    imported(desk.store, *(bar(minute) for minute in range(2000)))
    whole = journaled(desk.folders)
    random = np.random.default_rng(4)
    for _ in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", _RUN, str(desk.folders.data_dir)], stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout.readline() == "begins\n"
            for _ in range(int(random.integers(0, 6))):
                run.stdout.readline()
            time.sleep(float(random.random()) * 0.02)
            run.send_signal(signal.SIGKILL)
        found = archived(desk)
        assert found == whole[: len(found)]
        assert [text for text in check(desk) if "in no manifest" not in text] == []

    done = archive(desk)

    assert archived(desk) == whole
    assert check(desk) == []
    assert done.upto_seq == whole[-1][0]
    assert pl.read_parquet(desk.folders.archive / "ticks").height == 2400
    assert BarArchive(desk.archive_place).read(SYMBOLS[0], Interval.M1).height == 2000


def test_a_full_disk_in_the_middle_is_said_and_taken_up(desk: HistoryDesk, tmp_path: Path):
    """The limit on the size of files stands for a full disk. What the first part wrote stays."""
    write(desk.folders, BEGIN, rows=2, each=2)
    archive(desk)
    # Random prices do not compress, so the next part is too large.
    with journal(desk.folders) as writer:
        writer.append(RowKind.TICKS, 0, ticks(*np.random.default_rng(1).random(30_000)))
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n{_RUN}"

    run = subprocess.run(
        [sys.executable, "-c", limited, str(desk.folders.data_dir)], capture_output=True, text=True, check=False
    )

    assert run.returncode != 0
    assert "PlaceTrouble" in run.stderr
    assert "the disk is full; make room and try again, what was there is untouched" in run.stderr
    assert len(archived(desk)) == 5
    assert check(desk) == []
    archive(desk)
    assert archived(desk) == journaled(desk.folders)


def test_an_s3_holds_the_same_archive(tmp_path: Path, s3_server: S3Server, s3_bucket: str):
    """By a real server: written, checked, read."""
    settings = load_settings(
        tmp_path / "desk",
        environ={},
        archive_to=s3_bucket,
        backup={f"s3_{name}": value for name, value in s3_server._asdict().items()},
    )
    with HistoryDesk(settings) as desk:
        write(desk.folders.create(), BEGIN)
        imported(desk.store, bar(0), bar(1))
        archive(desk)
        write(desk.folders, BEGIN + DAY_NS)
        done = archive(desk)

        assert (done.upto_seq, done.where) == (14, settings.archive_to)
        assert check(desk) == []
        assert archived(desk) == journaled(desk.folders)
        found = BarArchive(desk.archive_place).read(SYMBOLS[0], Interval.M1)
        assert found.equals(desk.store.read(SYMBOLS[0], Interval.M1))
        assert not desk.folders.archive.exists()


def test_the_recorded_hour_takes_less_than_14_bytes_a_tick(desk: HistoryDesk, recorded: Path):
    """2,672 trades of Kraken, every column, the file's own overhead included."""
    from sources.tick_files.opening import open_ticks

    file = open_ticks(recorded / "kraken" / "ticks" / "kraken-XBTUSD-trades-2019-07-01T00.csv", symbol=BTC)
    with JournalWriter(desk.folders.journal, lambda: BEGIN) as writer:
        stream = writer.stream(file.feed, BTC, FeedKind.TRADES, 1)
        for found in file.batches():
            own = found.ticks.copy()
            own["stream"] = stream.id
            writer.append(RowKind.TICKS, 1, own)

    done = archive(desk)

    assert done.ticks == 2672
    assert done.bytes_per_tick <= 14.0
    assert archived(desk) == journaled(desk.folders)
