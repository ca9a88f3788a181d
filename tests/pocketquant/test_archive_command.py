"""`pq archive`, and the commands that read what it wrote."""

import json
import shutil

import polars as pl
import pytest
from archived_rows import ticks
from duckdb_rows import duckdb_rows

from market.bars import COLUMNS
from market.intervals import MINUTE_NS
from market.journal_rows import RowKind
from sinks.journal import JournalWriter
from sinks.ledger import Ledger

NOON = 1_767_355_200 * 10**9
CSV = "event_time,price,size\n" + "".join(
    f"2026-01-02T12:{second // 60:02}:{second % 60:02}Z,{100 + second % 7},1\n" for second in range(0, 600, 5)
)


@pytest.fixture
def replayed(pq, tmp_path):
    """A desk with ten minutes of bars at all intervals."""
    file = tmp_path / "ticks.csv"
    file.write_text(CSV)
    assert pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk").code == 0
    return tmp_path / "desk"


def test_what_is_archived_is_said_and_polars_and_duckdb_read_it(pq, replayed):
    """120 ticks; over by 12:10 are 15 bars."""
    answer = pq("archive", "--data-dir", replayed)

    assert (answer.code, answer.err) == (0, "")
    first, second, third = answer.out.splitlines()
    assert "up to row 12: 120 ticks, 0 quotes, 2 marks in" in first
    assert second.startswith("bars: 15 in 3 files, ")
    assert third == f"in {replayed}/archive"
    assert pl.read_parquet(replayed / "archive" / "ticks").height == 120
    minutes = f"{replayed}/archive/bars/OKX/BTCUSDT/1m/*.parquet"
    assert duckdb_rows(f"SELECT count(*), sum(trades)::INT FROM '{minutes}'") == [(10, 120)]
    assert pq("archive", "--data-dir", replayed).out == f"nothing new to archive\nin {replayed}/archive\n"


def test_the_result_as_json(pq, replayed):
    told = pq("archive", "--json", "--data-dir", replayed).json()

    assert (told["ticks"], told["journal_rows"], told["upto_seq"], told["bars"], told["damaged"]) == (
        120,
        12,
        12,
        15,
        [],
    )
    assert told["bytes_per_tick"] == told["tick_bytes"] / 120


def test_check_finds_what_was_altered(pq, replayed):
    pq("archive", "--data-dir", replayed)
    good = pq("archive", "--check", "--data-dir", replayed)
    assert (good.code, good.out) == (0, f"every file in {replayed}/archive is as its manifest says\n")

    path = next((replayed / "archive" / "ticks").rglob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)

    bad = pq("archive", "--check", "--data-dir", replayed)
    assert bad.code == 1
    assert bad.out.startswith(f"{path.relative_to(replayed / 'archive')}: altered")
    assert len(pq("archive", "--check", "--json", "--data-dir", replayed).json()["findings"]) == 1


def test_ticks_and_bars_outlive_the_journal_and_the_store(pq, replayed):
    """Both are gone; the archive gives the ticks back, and from these the bars."""
    whole, some = (
        pq("ticks", "OKX:BTCUSDT", "--json", *extra, "--data-dir", replayed).json()
        for extra in ((), ("--limit", 5, "--end", "2026-01-02T12:05"))
    )
    bars = pq("bars", "OKX:BTCUSDT", "1m", "--state", "closed", "--json", "--data-dir", replayed).json()
    pq("archive", "--data-dir", replayed)
    assert pq("bars", "OKX:BTCUSDT", "1m", "--archive", "--json", "--data-dir", replayed).json() == bars
    shutil.rmtree(replayed / "journal")
    for path in replayed.glob("bars.sqlite*"):
        path.unlink()

    assert pq("ticks", "OKX:BTCUSDT", "--json", "--data-dir", replayed).json() == whole
    limited = pq("ticks", "OKX:BTCUSDT", "--limit", 5, "--end", "2026-01-02T12:05", "--json", "--data-dir", replayed)
    assert limited.json() == some
    assert len(some) == 5
    rebuilt = pq("rebuild", "OKX:BTCUSDT", "--data-dir", replayed)
    assert (rebuilt.code, rebuilt.err) == (0, "")
    assert "15 bars made anew" in rebuilt.out
    again = pq("bars", "OKX:BTCUSDT", "1m", "--state", "closed", "--json", "--data-dir", replayed).json()
    assert again == bars
    assert pq("ticks", "OKX:NONE", "--data-dir", replayed).out == ""


def test_a_journal_that_lost_its_first_days_goes_on_where_the_archive_ends(pq, fill, folders, desk):
    """Ticks of both come in one order; a tick is in one of them only."""
    pq("archive", "--data-dir", desk)
    before = pq("ticks", "SIM:BTCUSD", "--json", "--data-dir", desk).json()
    with JournalWriter(folders.journal, now_ns=lambda: NOON + 3 * 86_400 * 10**9) as journal:
        journal.append(RowKind.TICKS, 0, ticks(7.5, at=NOON + 9 * MINUTE_NS))
    for path in folders.journal.glob("2026-01-02*"):
        path.unlink()

    after = pq("ticks", "SIM:BTCUSD", "--json", "--data-dir", desk).json()
    assert [row["seq"] for row in after] == [1, 1, 2]
    assert after[:2] == before
    assert pq("ticks", "SIM:BTCUSD", "--limit", 2, "--json", "--data-dir", desk).json() == after[1:]


def test_releasing_lets_the_journal_go_without_the_archive(pq, desk, folders):
    pq("archive", "--data-dir", desk)
    with Ledger(folders.desk) as ledger:
        assert ledger.archived_seq() == 1
        answer = pq("archive", "--release", "--data-dir", desk)
        assert answer.code == 0
        assert "until `pq archive` runs again" in answer.out
        assert ledger.archived_seq() is None


def test_wrong_use_is_said(pq, desk, tmp_path):
    """Nothing is made in a folder that holds no desk."""
    both = pq("archive", "--check", "--release", "--data-dir", desk)
    assert (both.code, "ask for one of them" in both.err) == (2, True)
    nowhere = pq("archive", "--data-dir", tmp_path / "none")
    assert nowhere.code == 2
    assert not (tmp_path / "none").exists()
    earlier = pq("bars", "SIM:BTCUSD", "1m", "--archive", "--as-of", "2026-01-02", "--data-dir", desk)
    assert (earlier.code, "--archive and --as-of do not go together" in earlier.err) == (2, True)
    none = pq("bars", "SIM:BTCUSD", "1m", "--archive", "--data-dir", desk)
    assert none.code == 1
    assert "there is no archive in" in none.err


def test_columns_of_the_archive_are_those_of_the_command(pq, desk):
    pq("archive", "--data-dir", desk)

    (path,) = (desk / "archive" / "bars").rglob("*.parquet")
    assert tuple(pl.read_parquet(path).columns) == COLUMNS
    manifest = json.loads((desk / "archive" / "manifests" / "bars-SIM-BTCUSD.json").read_text())
    assert [file["file"]["rows"] for file in manifest["files"]] == [3]
