"""The archive of the journal: what other tools read in it, and what happens to it."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from archived_rows import DAY_NS, STREAMS, marks, quotes, row, ticks
from duckdb_rows import duckdb_rows

from market.errors import DeskError
from market.journal_rows import RowKind, RowValues
from market.symbols import Symbol
from market.ticks import TICK, MarkKind
from sinks.archive_manifest import Day
from sinks.parquet_archive import ParquetArchive
from sinks.places import FolderPlace, PlaceTrouble

BTC = STREAMS[0].symbol
ROWS = [
    row(1, RowKind.MARKS, marks(MarkKind.SUBSCRIBED, stream=0)),
    row(2, RowKind.TICKS, np.concatenate([ticks(10.5, 11.25), ticks(3.0, stream=2)])),
    row(3, RowKind.QUOTES, quotes(10.0, 10.25)),
    row(4, RowKind.TICKS, ticks(12.0, at=DAY_NS + 60 * 10**9)),
]


@pytest.fixture
def archive(tmp_path: Path) -> ParquetArchive:
    """An archive in a folder, empty."""
    return ParquetArchive(FolderPlace(tmp_path / "archive"))


def add(archive: ParquetArchive, rows: list[RowValues], day: str = "2026-01-02", known: Day | None = None) -> Day:
    """Archive rows as one part."""
    part = archive.write_part(day, rows, STREAMS)
    return archive.save_day(day, known, part, STREAMS, rows[-1][-1], [], [])


def test_polars_and_duckdb_read_the_ticks_with_their_columns(archive: ParquetArchive, tmp_path: Path):
    """By folder and by glob, with no option and nothing of ours: price times size of a symbol, by hand."""
    add(archive, ROWS)
    folder = tmp_path / "archive"

    frame = pl.read_parquet(folder / "ticks")
    assert frame.columns[:11] == [
        "seq", "exchange", "symbol", "event_time", "received_time", "price", "size", "count", "aggressor", "trade_id",
        "feed",
    ]  # fmt: skip
    assert frame.schema["event_time"] == pl.Datetime("ns", "UTC")
    assert frame.filter(pl.col("symbol") == "BTCUSD")["price"].to_list() == [10.5, 11.25, 12.0]
    (found,) = duckdb_rows(
        f"SELECT sum(price * size), epoch_ns(max(event_time)) FROM '{folder}/ticks/**/*.parquet' "
        "WHERE exchange = 'KRAKEN' AND symbol = 'BTCUSD'"
    )
    assert found == ((10.5 + 11.25 + 12.0) / 4, DAY_NS + 60 * 10**9)
    (quoted,) = duckdb_rows(f"SELECT count(bid), count(ask) FROM '{folder}/quotes/**/*.parquet'")
    assert quoted == (2, 0)
    assert pl.read_parquet(folder / "marks")["kind"].to_list() == ["subscribed"]


def test_the_manifest_says_what_is_there_and_the_system_can_check_it(archive: ParquetArchive, tmp_path: Path):
    """Rows, bytes and SHA-256 of each file, in JSON that needs no program of ours."""
    import hashlib

    add(archive, ROWS)

    told = json.loads((tmp_path / "archive" / "manifests" / "journal-2026-01-02.json").read_text())
    (part,) = told["parts"]
    assert {kind: file["rows"] for kind, file in part["files"].items()} == {"marks": 1, "quotes": 2, "ticks": 4}
    assert (part["first_seq"], part["last_seq"], part["journal_rows"]) == (1, 4, 4)
    for file in part["files"].values():
        content = (tmp_path / "archive" / file["path"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert archive.check() == []


def test_days_and_parts_give_the_journals_rows_back(archive: ParquetArchive):
    day = add(archive, ROWS[:2])
    add(archive, ROWS[2:], known=day)
    later = [row(5, RowKind.TICKS, ticks(1.0, stream=3)), row(9, RowKind.TICKS, ticks(2.0, stream=1), domain=1)]
    add(archive, later, day="2026-01-03")

    assert [one for part in archive.rows() for one in part] == ROWS + later
    assert [one[0] for part in archive.rows(after_seq=1, upto_seq=5) for one in part] == [2, 3, 4, 5]
    assert [one[0] for part in archive.rows(kinds=[RowKind.TICKS]) for one in part] == [2, 4, 5, 9]
    assert (archive.first_seq(), archive.last_seq(), archive.days()) == (1, 9, ["2026-01-02", "2026-01-03"])
    assert archive.streams() == STREAMS


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [10.5, 11.25, 12.0]),
        ({"start": DAY_NS + 10**6}, [11.25, 12.0]),
        ({"end": DAY_NS + 10**6}, [10.5]),
        ({"start": DAY_NS + 1, "end": DAY_NS + 60 * 10**9}, [11.25]),
        ({"before_seq": 4}, [10.5, 11.25]),
        ({"newest_first": True}, [12.0, 10.5, 11.25]),
    ],
)
def test_one_symbols_ticks_are_found_by_time_and_row(archive: ParquetArchive, query: dict, expected: list[float]):
    """As journaled; the newest parts first if asked, each still in its own order."""
    day = add(archive, ROWS[:2])
    add(archive, ROWS[2:], known=day)

    pages = list(archive.ticks(BTC, **query))

    assert np.concatenate([records["price"] for _, records in pages]).tolist() == expected
    assert all(records.dtype == TICK and len(seqs) == len(records) for seqs, records in pages)
    assert list(archive.ticks(Symbol("KRAKEN", "NONE"))) == []


def test_quotes_of_a_symbol_come_back_with_what_is_not_known(archive: ParquetArchive):
    add(archive, ROWS)

    ((seqs, records),) = archive.quotes(BTC)

    assert seqs.tolist() == [3, 3]
    assert records.tobytes() == ROWS[2][5]


def test_a_flipped_byte_is_found_by_the_files_name(archive: ParquetArchive, tmp_path: Path):
    """In each file and at many places: by `check` always, and by reading wherever it matters."""
    day = add(archive, ROWS)
    for note in day.parts[0].files.values():
        path = tmp_path / "archive" / note.path
        good = path.read_bytes()
        for place in range(0, len(good), 97):
            path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
            (told,) = archive.check()
            assert told.startswith(f"{note.path}: altered")
        path.write_bytes(good[: len(good) // 2])
        assert archive.check()[0].startswith(f"{note.path}: altered")
        with pytest.raises(DeskError, match=f"{note.path} is damaged"):
            list(archive.rows())
        path.write_bytes(good)
    assert archive.check() == []


def test_a_file_that_is_gone_or_strange_is_named(archive: ParquetArchive, tmp_path: Path):
    day = add(archive, ROWS)
    gone = tmp_path / "archive" / day.parts[0].files["ticks"].path
    gone.rename(gone.with_name("else.parquet"))

    assert [text.partition(";")[0] for text in archive.check()] == [
        f"{day.parts[0].files['ticks'].path}: missing, though its manifest names it",
        "ticks/2026-01-02/else.parquet: in no manifest",
    ]
    with pytest.raises(DeskError, match=r"lacks ticks/.*which its manifest names"):
        list(archive.rows())


def test_a_damaged_manifest_is_named(archive: ParquetArchive, tmp_path: Path):
    add(archive, ROWS)
    path = tmp_path / "archive" / "manifests" / "journal-2026-01-02.json"
    good = path.read_text()

    path.write_text(good[:-20])
    with pytest.raises(DeskError, match=r"journal-2026-01-02\.json is damaged"):
        archive.last_seq()
    path.write_text(good.replace('"format": 1', '"format": 2'))
    with pytest.raises(DeskError, match="has format 2, this program knows 1"):
        archive.last_seq()


def test_what_a_killed_run_left_does_not_count_and_goes_with_the_next(archive: ParquetArchive, tmp_path: Path):
    """A part that no manifest names would be read twice by those who read the folder."""
    day = add(archive, ROWS[:2])
    archive.write_part("2026-01-02", ROWS[2:3], STREAMS)
    aside = tmp_path / "archive" / "aside" / "1-ticks"
    aside.write_bytes(b"half")

    assert archive.last_seq() == 2
    assert archive.clean() == ["aside/1-ticks", "quotes/2026-01-02/000000000003-000000000003.parquet"]
    assert archive.clean() == []
    add(archive, ROWS[2:], known=day)
    assert archive.clean() == []
    assert [one for part in archive.rows() for one in part] == ROWS


def test_a_file_that_reads_back_otherwise_is_never_shown(archive: ParquetArchive, monkeypatch: pytest.MonkeyPatch):
    """Broken memory, say: here another table is put in the file's place."""
    from sinks import parquet_archive

    real = parquet_archive.write_parquet
    monkeypatch.setattr(parquet_archive, "write_parquet", lambda table, path: real(table.slice(1), path))

    with pytest.raises(DeskError, match="reads back otherwise than it was written"):
        add(archive, ROWS)
    monkeypatch.undo()
    assert archive.check() == []
    assert archive.place.names("ticks") == []


def test_a_full_disk_leaves_the_archive_as_it_was(archive: ParquetArchive, monkeypatch: pytest.MonkeyPatch):
    """The error is the system's own for a full disk, from where it would come."""
    import errno

    from sinks import parquet_archive

    day = add(archive, ROWS[:2])

    def full(_table: object, path: Path):
        path.write_bytes(b"PAR1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(parquet_archive, "write_parquet", full)
    with pytest.raises(PlaceTrouble, match="the disk is full; make room and try again"):
        add(archive, ROWS[2:], known=day)
    monkeypatch.undo()

    assert archive.check() == []
    assert [one for part in archive.rows() for one in part] == ROWS[:2]
    assert archive.place.names("aside") == []
