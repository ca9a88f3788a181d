"""The SQLite engine of the bar store: what its file gives a person, and what a bad file, disk or neighbour gets."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stored_bars import BEGIN_NS, CLOSED, FORMING, SYMBOLS, bar, batch, imported, live, logged, shown

from market.errors import DeskError
from market.intervals import Interval
from sinks import sqlite_bars, sqlite_columns, sqlite_file, sqlite_reads
from sinks.bar_store import StoreAway, Written, open_store
from sinks.sqlite_bars import SqliteBars


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bars.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteBars]:
    opened = SqliteBars(path, timeout_s=0.05)
    yield opened
    opened.close()


def test_a_person_with_the_shell_reads_bars_by_name(store: SqliteBars, path: Path):
    live(
        store,
        bar(1, 10.25, interval=Interval.M3, end=BEGIN_NS + 240 * 10**9),
        bar(0, stream=5, notional=np.nan),
        upto=2,
    )

    db = sqlite3.connect(path)
    rows = db.execute("SELECT * FROM bars ORDER BY exchange").fetchall()
    names = [column[0] for column in db.execute("SELECT * FROM bars").description]

    assert dict(zip(names, rows[0], strict=True)) == {
        "exchange": "KRAKEN",
        "symbol": "BTCUSD",
        "interval": "3m",
        "start": "2024-01-01T00:01:00Z",
        "end": "2024-01-01T00:04:00Z",
        "open": 9.0,
        "high": 11.0,
        "low": 8.0,
        "close": 10.25,
        "volume": 2.0,
        "notional": 20.5,
        "trades": 3,
        "vwap": 10.25,
        "state": "closed",
        "source": "kraken",
        "revision": 1,
        "updated_at": "2024-01-01T00:02:02.000000000Z",
    }
    assert rows[1][1:3] == ("BRK.B", "1m")
    assert rows[1][10:15] == (None, 3, None, "closed", "file:3f2a9c01")
    db.close()


def test_a_file_that_another_process_holds_is_away_and_nothing_is_lost(store: SqliteBars, path: Path):
    neighbour = sqlite3.connect(path, isolation_level=None)
    neighbour.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreAway, match=r"bars\.sqlite is locked"):
        live(store, bar(0), upto=1)
    assert shown(store) == []
    neighbour.execute("ROLLBACK")

    assert live(store, bar(0), upto=1) == Written(1, 0, 0, 1)
    assert store.check_log() == []
    neighbour.close()


def test_a_full_disk_is_named_and_what_was_stored_stays_readable(store: SqliteBars):
    """SQLite's own limit of pages says what a full disk says."""
    live(store, bar(0), upto=1)
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(DeskError, match=r"bars\.sqlite: database or disk is full.*free some space") as caught:
        imported(store, *(bar(minute, stream=1) for minute in range(2000)))

    assert not isinstance(caught.value, StoreAway)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert shown(store) == [(10.0, "closed", 1)]
    store._db.execute("PRAGMA max_page_count = 100000")
    assert imported(store, *(bar(minute, stream=1) for minute in range(2000))).inserted == 2000
    assert store.check_log() == []


def test_a_file_that_may_not_be_written_is_named(store: SqliteBars):
    live(store, bar(0), upto=1)
    store._db.execute("PRAGMA query_only = 1")

    with pytest.raises(DeskError, match="read-only: give this user the right to write"):
        live(store, bar(1), upto=2)
    assert shown(store) == [(10.0, "closed", 1)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_bars_on_a_read_only_folder_can_be_read(store: SqliteBars, path: Path):
    live(store, bar(0), upto=1)
    store.close()
    path.parent.chmod(0o555)
    try:
        reader = open_store(path, read_only=True)
        assert shown(reader) == [(10.0, "closed", 1)]
        reader.close()
    finally:
        path.parent.chmod(0o755)


def test_a_file_that_is_no_database_is_left_alone(path: Path):
    path.write_bytes(b"open,high,low,close\n" * 1000)

    for read_only in (False, True):
        with pytest.raises(DeskError, match=r"bars\.sqlite.*not an SQLite file"):
            open_store(path, read_only=read_only)
    assert path.read_bytes() == b"open,high,low,close\n" * 1000


def test_a_database_of_something_else_is_left_alone(path: Path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE diary (day TEXT)")
    db.commit()
    db.close()

    for read_only in (False, True):
        with pytest.raises(DeskError, match="an SQLite file, but no bar store"):
            open_store(path, read_only=read_only)


def test_a_layout_of_another_version_is_refused(store: SqliteBars, path: Path):
    store.close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(DeskError, match="layout 99"):
        open_store(path)


def test_a_damaged_file_is_named_with_what_to_do(store: SqliteBars, path: Path):
    imported(store, *(bar(minute) for minute in range(3000)))
    store.close()
    content = bytearray(path.read_bytes())
    page = 16384
    for place in range(2 * page, len(content), page):
        content[place : place + 2000] = b"\xff" * 2000
    path.write_bytes(content)

    with pytest.raises(DeskError, match=r"bars\.sqlite.*(damaged|rebuild)"):
        shown(open_store(path, read_only=True))


def test_a_store_that_is_not_there_is_not_made_by_reading(path: Path):
    with pytest.raises(DeskError, match=r"no bar store at .* yet"):
        open_store(path, read_only=True)
    assert not path.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DeskError, match=r"absent/bars\.sqlite: unable to open.*folder"):
        open_store(tmp_path / "absent" / "bars.sqlite")


def test_rows_of_the_log_that_were_tampered_with_are_named(store: SqliteBars, path: Path):
    """With the means of the SQLite shell: an update, a deletion, a swap."""
    for minute in range(6):
        live(store, bar(minute), upto=minute + 1)
    db = sqlite3.connect(path, isolation_level=None)
    assert store.check_log() == []

    db.execute("BEGIN")
    body = bytearray(db.execute("SELECT body FROM bar_revisions WHERE first_seq = 2").fetchone()[0])
    body[20] ^= 1
    db.execute("UPDATE bar_revisions SET body = ? WHERE first_seq = 2", (bytes(body),))
    db.execute("DELETE FROM bar_revisions WHERE first_seq = 4")
    db.execute("COMMIT")

    assert [str(finding).partition(": ")[2].partition(":")[0] for finding in store.check_log()] == [
        "row 2 (KRAKEN",
        "row 4 missing",
    ]
    with pytest.raises(DeskError, match="pq verify"):
        logged(store)
    assert [row[1] for row in logged_after(store, 4)] == [5, 6]
    db.close()


def logged_after(store: SqliteBars, after: int) -> list[tuple[str, int]]:
    return [(part.writer, seq) for part in store.revisions("bars", after) for seq in part.seqs.tolist()]


def test_the_write_ahead_log_does_not_grow_without_end(path: Path, monkeypatch: pytest.MonkeyPatch):
    """Checkpoints run beside the writer, and the writer waits for one that has fallen far behind."""
    monkeypatch.setattr(sqlite_file, "_WAL_LIMIT_BYTES", 256 << 10)
    monkeypatch.setattr(sqlite_file, "_WAL_BEHIND_BYTES", 512 << 10)
    store = SqliteBars(path)
    wal = path.with_name(path.name + "-wal")

    largest = 0
    for turn in range(40):
        live(store, *(bar(turn * 500 + more) for more in range(500)), upto=turn * 500 + 500)
        largest = max(largest, wal.stat().st_size)
    size = store.size_bytes()
    store.close()

    assert largest < 3 << 20 < size
    assert not wal.exists()


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from stored_bars import bar, batch
from sinks.bar_store import open_store
store = open_store(sys.argv[1])
begin = store.position("bars")
for turn in range(begin, begin + 10_000):
    rows = [bar(turn, 10.0 + turn), bar(turn, 11.0 + turn, revision=2)]
    store.upsert(batch(*rows), writer="bars", upto=turn + 1, own_revisions=True)
    print(turn + 1, flush=True)
"""


def test_a_writer_that_is_killed_leaves_whole_batches(path: Path):
    """Bars, log and position move together, whatever the moment."""
    root = Path(__file__).parents[2]
    acknowledged = 0
    for batches in (1, 7, 30):
        command = [sys.executable, "-c", WRITER, str(path), str(root), str(root / "tests")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(batches):
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)

    store = open_store(path)
    position = store.position("bars")
    assert position >= acknowledged
    assert shown(store) == [(11.0 + minute, "closed", 2) for minute in range(position)]
    assert [row[3:] for row in logged(store)] == [
        (minute, 10.0 + minute + more, 1 + more) for minute in range(position) for more in (0, 1)
    ]
    assert store.check_log() == []
    store.close()


def test_readers_and_a_writer_do_not_wait_for_each_other(store: SqliteBars, path: Path):
    """A read that goes on sees one state of the store; a write that is not committed is seen by nobody."""
    live(store, bar(0), upto=1)
    reader = SqliteBars(path, read_only=True, timeout_s=0.05)
    parts = reader.revisions()
    next(parts)

    assert live(store, bar(1), upto=2).inserted == 1
    assert len(shown(reader)) == 2
    store._db.execute("BEGIN IMMEDIATE")
    store._db.execute("DELETE FROM bar_rows")
    assert shown(reader, ["state"], states=[CLOSED, FORMING]) == [("closed",), ("closed",)]
    store._db.execute("ROLLBACK")
    reader.close()


def test_a_name_without_bars_harms_nobody(store: SqliteBars):
    """Names are given ids before the batch is written, and the batch may fail."""
    store._db.execute("PRAGMA max_page_count = 1")
    with pytest.raises(DeskError):
        imported(store, *(bar(minute) for minute in range(500)))
    store._db.execute("PRAGMA max_page_count = 100000")

    assert store.series() == []
    assert store.read(SYMBOLS[0], Interval.M1).height == 0
    assert imported(store, bar(0)) == Written(1, 0, 0, 1)
    assert len(batch(bar(0)).rows) == 1


def test_a_long_read_says_what_a_short_one_says(store: SqliteBars, monkeypatch: pytest.MonkeyPatch):
    """Long reads go by compiled code, and by SQLite's own functions where the interpreter shows them."""
    rows = [
        bar(minute * 7, minute / 3, state=CLOSED if minute % 3 else FORMING, stream=minute % 2 * 3, trades=minute << 33)
        for minute in range(-400, 400)
    ]
    rows[17]["notional"] = np.nan
    imported(store, *rows)
    queries = [
        {},
        {"newest_first": False},
        {"limit": 300},
        {"states": [FORMING], "start": BEGIN_NS - 10**12, "end": BEGIN_NS + 10**13},
    ]
    slow = [store.read(SYMBOLS[0], Interval.M1, **query) for query in queries]
    monkeypatch.setattr(sqlite_reads, "_MANY", 200)
    monkeypatch.setattr(sqlite_columns, "_FIRST_ROWS", 128)
    fetched: list[object] = []
    monkeypatch.setattr(sqlite_reads, "fetch", fetched.append)

    quick = [store.read(SYMBOLS[0], Interval.M1, **query) for query in queries]

    assert [frame.height for frame in slow] == [800, 800, 300, 8]
    assert all(one.equals(other) for one, other in zip(quick, slow, strict=True))
    assert slow[0]["trades"][0] == 399 << 33


def test_a_long_read_without_those_functions_is_a_slow_one(store: SqliteBars, monkeypatch: pytest.MonkeyPatch):
    imported(store, *(bar(minute) for minute in range(300)))
    monkeypatch.setattr(sqlite_reads, "_MANY", 200)
    monkeypatch.setattr(sqlite_columns, "_library", lambda: None)

    assert len(shown(store)) == 300


def test_what_is_remembered_of_the_file_is_bounded(store: SqliteBars, monkeypatch: pytest.MonkeyPatch):
    """A block of time that was forgotten is still one block."""
    monkeypatch.setattr(sqlite_bars, "_BLOCKS_MAX", 3)
    for turn in range(20):
        live(store, bar(turn % 10 * 60, float(turn), revision=turn + 1, seq=turn), upto=turn)

    assert len(store._blocks) <= 4
    assert shown(store, ["close"]) == [(float(turn),) for turn in range(10, 20)]
