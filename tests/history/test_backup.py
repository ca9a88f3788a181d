"""Backups and restores: to a folder and to a real S3, with and without a key, of both bar stores."""

import datetime as dt
import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.mongo import MongoServer, mongo_address, mongo_jars, mongo_uri
from servers.s3 import S3Server, s3_bucket, s3_server
from stored_bars import SYMBOLS, bar, imported

from history.backup import Repository, back_up, damage, expired, find, repository
from history.desk import HistoryDesk
from history.restoring import drill, restore
from infra.settings import load_settings
from market.errors import DeskError
from market.intervals import Interval
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import TICK
from sinks.backup_book import BackupBook
from sinks.backup_repository import Damaged, Listed
from sinks.bar_store import open_store
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sinks.paper_book import Position, Written, open_paper_book
from sinks.sealing import Seal
from sources.journal import JournalReader

__all__ = ["mongo_address", "mongo_jars", "mongo_uri", "s3_bucket", "s3_server"]

SECOND = 10**9
DAY_S = 86_400
BEGIN = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z."""


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> int:
        return self.now


def opened(folder: Path, clock: Clock, **backup) -> HistoryDesk:
    options = {"backup": backup} if backup else {}
    return HistoryDesk(load_settings(folder, environ={}, **options), now_ns=clock, sleep=lambda _: None)


def fill(desk: HistoryDesk, clock: Clock, bars: int = 3, ticks: int = 50) -> None:
    """Bars, ticks and a gap, as a running desk writes them."""
    for number in range(bars):
        imported(desk.store, bar(number, 10.0 + number))
    # Versions that are not shown any more, one of them without a notional.
    imported(desk.store, bar(0, 10.5, notional=float("nan")))
    imported(desk.store, bar(0, 10.25))
    note(desk, clock, ticks)
    desk.ledger.note_gap(SYMBOLS[0], BEGIN, BEGIN + 60 * SECOND, "down", BEGIN)
    desk.folders.config.write_text('grace_s = 3.0\nnotify = ["json://user:hunter2@localhost"]\n')


def note(desk: HistoryDesk, clock: Clock, ticks: int) -> None:
    with JournalWriter(desk.folders.journal, clock) as writer:
        stream = writer.stream("sim", Symbol("SIM", "BTCUSD"), FeedKind.TRADES, 0)
        rows = np.zeros(ticks, TICK)
        rows["event_time"] = rows["received_time"] = clock.now + np.arange(ticks)
        rows["price"], rows["size"], rows["stream"] = 100.5, 1.25, stream.id
        writer.append(RowKind.TICKS, 0, rows)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["folder", "encrypted", "s3"])
def place(request, tmp_path):
    """Settings of each kind of place."""
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        return {
            "to": request.getfixturevalue("s3_bucket"),
            "s3_endpoint": server.endpoint,
            "s3_access_key": server.access_key,
            "s3_secret_key": server.secret_key,
        }
    # A key of its own: to unlock one by a passphrase takes seconds, as guessing it is meant to.
    key = {"key": Seal.new()[1]} if request.param == "encrypted" else {}
    return {"to": str(tmp_path / "backups"), **key}


def test_what_was_backed_up_is_restored_to_the_byte(tmp_path, clock, place):
    """Bars, ticks, ledgers and settings; and the drill that says so."""
    desk = opened(tmp_path / "desk", clock, **place)
    fill(desk, clock)

    made = back_up(desk)
    done = drill(desk)
    restored = restore(desk, made.id, tmp_path / "new")

    assert (made.kind, done.id, restored.files) == ("full", made.id, made.files)
    with closing(open_store(tmp_path / "new" / "bars.sqlite")) as store:
        frame = store.read(SYMBOLS[0], Interval.M1)
        assert frame.equals(desk.store.read(SYMBOLS[0], Interval.M1))
        assert store.check_log() == []
    with closing(JournalReader(tmp_path / "new" / "journal", lambda _: None)) as reader:
        (row,) = reader.read(0)
        assert len(row.records) == 50
    with Ledger(tmp_path / "new" / "desk.sqlite") as ledger:
        assert len(ledger.gaps()) == 1
    with BackupBook(desk.folders.history) as book:
        assert [(one.backup, one.trouble) for one in book.drills()] == [(made.id, "")]
        assert [(one.backup, one.trouble) for one in book.made()] == [(made.id, "")]
    assert not (desk.folders.run / "drill").exists()
    desk.close()


def test_strategies_of_ones_own_come_back_too(tmp_path, clock):
    """They are nowhere else."""
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    (desk.folders.strategies / "__pycache__").mkdir(parents=True)
    (desk.folders.strategies / "__pycache__" / "mine.pyc").write_bytes(b"compiled")
    (desk.folders.strategies / "mine.py").write_text("# mine\n")

    restore(desk, back_up(desk).id, tmp_path / "new")

    assert (tmp_path / "new" / "strategies" / "mine.py").read_text() == "# mine\n"
    assert not (tmp_path / "new" / "strategies" / "__pycache__").exists()


def test_settings_come_back_without_their_secrets(tmp_path, clock):
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    desk = HistoryDesk(load_settings(tmp_path / "desk", environ={}), now_ns=clock)

    restore(desk, back_up(desk).id, tmp_path / "new")

    text = (tmp_path / "new" / "pocketquant.toml").read_text()
    assert "hunter2" not in text
    assert "set again: notify" in text
    assert load_settings(tmp_path / "new", environ={}).grace_s == 3.0
    for file in (desk.folders.backups).rglob("*"):
        assert file.is_dir() or b"hunter2" not in file.read_bytes()


def test_an_hourly_backup_costs_what_changed_and_a_tail_only_the_journal(tmp_path, clock, place):
    desk = opened(tmp_path / "desk", clock, **place)
    fill(desk, clock, ticks=60_000)
    first = back_up(desk)

    clock.now += 3_600 * SECOND
    same = back_up(desk, "hourly")
    clock.now += 300 * SECOND
    note(desk, clock, 10)
    imported(desk.store, bar(9, 99.0))
    tail = back_up(desk, "tail")

    assert same.written < first.written / 2
    assert (same.bytes, tail.kind) == (pytest.approx(first.bytes, rel=0.2), "tail")
    restore(desk, tail.id, tmp_path / "new")
    with closing(JournalReader(tmp_path / "new" / "journal", lambda _: None)) as reader:
        assert sum(len(row.records) for row in reader.read(0)) == 60_010
    with closing(open_store(tmp_path / "new" / "bars.sqlite")) as store:
        assert store.read(SYMBOLS[0], Interval.M1).height == 3, "a tail takes the store from the backup before"
    desk.close()


def test_the_first_backup_is_a_full_one_whatever_was_asked(tmp_path, clock):
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    assert back_up(desk, "tail").kind == "full"


def test_every_flipped_byte_is_found_by_the_name_of_its_file(tmp_path, clock, place):
    """In each file of the repository in turn, at a seeded place; the restore refuses, and says which."""
    desk = opened(tmp_path / "desk", clock, **place)
    fill(desk, clock)
    made = back_up(desk)
    there, rng = repository(desk).place, random.Random(7)
    names = sorted(there.names("pieces") + there.names("backups"))
    assert len(names) >= 5
    for name in names:
        whole = there.read(name)
        at = rng.randrange(len(whole))
        there.put(name, whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1 :])
        if name.startswith("pieces"):
            assert [found.name for found in damage(repository(desk), find(repository(desk), "latest"))] == [name]
        with pytest.raises(DeskError, match=name.rpartition("/")[2][:40]):
            restore(desk, made.id, tmp_path / "new")
        assert not (tmp_path / "new").exists(), "nothing half restored stays"
        there.put(name, whole)
    for name in (names[0], names[-1]):
        whole = there.read(name)
        there.put(name, whole[: len(whole) // 2])
        with pytest.raises(DeskError, match=name.rpartition("/")[2][:40]):
            restore(desk, made.id, tmp_path / "new")
        there.remove(name)
        with pytest.raises(DeskError, match=r"is missing|there is no backup"):
            restore(desk, made.id, tmp_path / "new")
        there.put(name, whole)
    restore(desk, made.id, tmp_path / "new")


def test_a_full_backup_mends_the_pieces_that_it_finds_damaged(tmp_path, clock):
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    back_up(desk)
    piece = max(desk.folders.backups.glob("pieces/*/*"), key=lambda path: path.stat().st_size)
    piece.write_bytes(b"garbage")

    clock.now += DAY_S * SECOND
    made = back_up(desk)

    assert made.mended == (piece.name,)
    assert damage(repository(desk), find(repository(desk), made.id)) == []
    drill(desk)


def test_a_restore_overwrites_nothing(tmp_path, clock):
    """Neither the desk itself, nor another one, nor a file in the way."""
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    made = back_up(desk)
    before = hashlib.sha256(desk.folders.bars.read_bytes()).digest()

    with pytest.raises(DeskError, match=r"desk is in use: it holds .*; a restore overwrites nothing, so name an empty"):
        restore(desk, made.id)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DeskError, match="is a file: name a folder"):
        restore(desk, made.id, tmp_path / "file")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "pocketquant.toml").write_text("grace_s = 9.0\n")
    with pytest.raises(DeskError, match=r"it holds pocketquant\.toml"):
        restore(desk, made.id, tmp_path / "new")

    assert hashlib.sha256(desk.folders.bars.read_bytes()).digest() == before
    assert (tmp_path / "new" / "pocketquant.toml").read_text() == "grace_s = 9.0\n"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["pocketquant.toml"]


def test_the_desk_comes_back_where_the_machine_was_lost(tmp_path, clock):
    """The whole data folder is gone, the backups lie elsewhere: one command without any option."""
    desk = opened(tmp_path / "desk", clock, to=str(tmp_path / "elsewhere"))
    fill(desk, clock)
    back_up(desk)
    desk.close()
    subprocess.run(["rm", "-r", str(tmp_path / "desk")], check=True)

    anew = opened(tmp_path / "desk", clock, to=str(tmp_path / "elsewhere"))
    done = restore(anew, "latest")

    assert done.into == tmp_path / "desk"
    assert anew.store.read(SYMBOLS[0], Interval.M1).height == 3


def test_another_key_or_none_opens_nothing_and_says_so(tmp_path, clock):
    to = str(tmp_path / "backups")
    desk = opened(tmp_path / "desk", clock, to=to, key="right")
    fill(desk, clock)
    back_up(desk)
    for key, said in (
        ("wrong", "do not open with this backup.key"),
        (None, "are encrypted: set POCKETQUANT_BACKUP__KEY"),
    ):
        other = opened(tmp_path / "desk", clock, to=to, **({"key": key} if key else {}))
        with pytest.raises(DeskError, match=said):
            back_up(other) if key is None else restore(other, "latest", tmp_path / "new")
    plain = opened(tmp_path / "desk", clock, to=str(tmp_path / "plain"))
    back_up(plain)
    with pytest.raises(DeskError, match=r"are not encrypted, and backup\.key is set"):
        back_up(opened(tmp_path / "desk", clock, to=str(tmp_path / "plain"), key="late"))


def test_nothing_readable_lies_in_an_encrypted_backup(tmp_path, clock):
    desk = opened(tmp_path / "desk", clock, to=str(tmp_path / "b"), key="right")
    fill(desk, clock)
    back_up(desk)
    assert restore(desk, "latest", tmp_path / "new").files == 4
    for path in (tmp_path / "b").rglob("*"):
        if path.is_file() and path.name != "repository.json":
            assert path.read_bytes().startswith(b"age-encryption.org/v1")


def test_a_backup_that_cannot_be_written_is_noted_and_harms_none_before(tmp_path, clock):
    (tmp_path / "file").write_text("")
    desk = opened(tmp_path / "desk", clock, to=str(tmp_path / "file" / "backups"))
    fill(desk, clock)
    with pytest.raises(DeskError, match="cannot be used"):
        back_up(desk)
    with BackupBook(desk.folders.history) as book:
        assert "cannot be used" in book.made()[0].trouble
    with pytest.raises(DeskError, match="there is no backup at"):
        restore(opened(tmp_path / "desk", clock), "latest", tmp_path / "new")


def test_a_backup_is_named_by_as_much_as_tells_it_from_others(tmp_path, clock):
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    first = back_up(desk)
    clock.now += SECOND
    second = back_up(desk, "hourly")
    store: Repository = repository(desk)
    assert find(store, "latest").listed.id == second.id == "20260101T000001Z-hourly"
    assert find(store, first.id).listed.id == first.id
    with pytest.raises(DeskError, match=r"2 backups are named '2026'"):
        find(store, "2026")
    with pytest.raises(DeskError, match=r"no backup is named '1999' .* the newest is 20260101T000001Z-hourly"):
        find(store, "1999")


@given(
    st.lists(
        st.tuples(st.integers(0, 500 * 24), st.sampled_from(["full", "hourly", "tail"])), max_size=60, unique=True
    ),
    st.integers(1, 60),
    st.integers(0, 14),
)
def test_what_is_too_old_goes_and_a_way_back_always_stays(made, keep_days, keep_months):
    """By the rule in words, backup by backup."""
    base = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    listed = sorted(Listed(f"{base + dt.timedelta(hours=hour):%Y%m%dT%H%M%SZ}-{kind}", "") for hour, kind in made)
    now = base + dt.timedelta(hours=500 * 24)

    gone = {one.id for one in expired(listed, int(now.timestamp()) * SECOND, keep_days, keep_months)}

    firsts: dict[str, str] = {}
    for one in listed:
        if one.kind == "full":
            firsts.setdefault(one.id[:6], one.id)
    for one in listed:
        when = dt.datetime.strptime(one.id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        days = (now - when) / dt.timedelta(days=1)
        months = (now.year - when.year) * 12 + now.month - when.month
        stays = days <= (1 if one.kind == "tail" else keep_days)
        stays |= firsts.get(one.id[:6]) == one.id and months <= keep_months
        stays |= one == listed[-1] or one.id == max((each.id for each in listed if each.kind == "full"), default="")
        assert (one.id not in gone) == stays


def test_pieces_that_no_backup_counts_on_are_swept_up(tmp_path, clock):
    """Nothing grows for good; and what is left restores."""
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    back_up(desk)
    orphan = desk.folders.backups / "pieces" / "ab" / ("ab" + "0" * 62)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"of a backup that was killed")
    clock.now += 400 * DAY_S * SECOND
    imported(desk.store, bar(9, 99.0))

    made = back_up(desk)

    assert not orphan.exists()
    assert [one.id for one in repository(desk).backups()] == [made.id]
    assert len(made.removed) == 1
    drill(desk)


@pytest.mark.mongo
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_the_collections_of_mongodb_come_back_as_they_were(request, tmp_path, clock, mongo_uri, kind):
    place = {"to": str(tmp_path / "backups")}
    if kind == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        place = {
            "to": request.getfixturevalue("s3_bucket"),
            "s3_endpoint": server.endpoint,
            "s3_access_key": server.access_key,
            "s3_secret_key": server.secret_key,
        }
    settings = load_settings(tmp_path / "desk", environ={}, backup=place, mongodb_uri=mongo_uri)
    desk = HistoryDesk(settings, now_ns=clock)
    fill(desk, clock, bars=40)

    made = back_up(desk)
    done = drill(desk)

    counts = {held.name: held.rows for held in done.collections}
    assert counts["mongo/bars:bars"] == 40
    with pytest.raises(DeskError, match="holds bars already: a restore overwrites nothing"):
        restore(desk, made.id, tmp_path / "new")
    other = f"{mongo_uri}_restored"
    restore(desk, made.id, tmp_path / "new", mongodb_uri=other)
    with closing(open_store(other)) as store:
        assert store.read(SYMBOLS[0], Interval.M1).equals(desk.store.read(SYMBOLS[0], Interval.M1))
        assert store.check_log() == []
        imported(store, bar(90, 1.0))
        assert store.read(SYMBOLS[0], Interval.M1).height == 41
    plain = opened(tmp_path / "plain", clock, **place)
    with pytest.raises(DeskError, match="holds bars of a MongoDB: name the server"):
        restore(plain, made.id, tmp_path / "other")
    desk.close()


def trade(desk: HistoryDesk, minute: int) -> None:
    """What paper trading writes down at the end of a minute."""
    with open_paper_book(desk.settings.store, desk.folders.paper) as book:
        fill = {"run": "ab", "number": minute, "price": 10.0 + minute}
        place = Position(minute * 10, minute, minute * 60 * SECOND)
        book.write(Written({"fills": [fill]}, {"ab": b"%d" % minute}, place, {"ab": b"bars"}))
        book.ask("ab", "stop", {}, minute)


def traded(settings, folder: Path) -> tuple:
    """What is there of it."""
    with open_paper_book(settings.store, folder, read_only=True) as book:
        fills = [row["price"] for row in book.rows("fills", "ab")]
        return fills, book.state("ab"), book.warm_up("ab"), book.position().seq, len(book.controls())


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
def test_paper_trading_comes_back_with_what_was_asked_since_the_last_full_backup(request, tmp_path, clock, engine):
    """A tail has the newest of it: orders and controls are in no journal."""
    uri = request.getfixturevalue("mongo_uri") if engine == "mongo" else None
    settings = load_settings(tmp_path / "desk", environ={}, backup={"to": str(tmp_path / "b")}, mongodb_uri=uri)
    desk = HistoryDesk(settings, now_ns=clock)
    fill(desk, clock)
    trade(desk, 1)
    back_up(desk)
    trade(desk, 2)
    clock.now += 300 * SECOND
    tail = back_up(desk, "tail")
    trade(desk, 3)

    restored = load_settings(tmp_path / "new", environ={}, mongodb_uri=f"{uri}_new" if uri else None)
    restore(desk, tail.id, restored.data_dir, mongodb_uri=restored.store if uri else None)

    assert traded(restored, restored.folders.paper) == ([11.0, 12.0], (20, b"2"), b"bars", 20, 2)
    assert drill(desk).id == tail.id
    desk.close()


def test_the_paper_book_is_never_ahead_of_the_bars_and_the_journal_that_it_was_made_from(tmp_path, clock):
    """What is copied first is the oldest: a desk that trades during its backup comes back whole."""
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    trade(desk, 1)
    back_up(desk)

    names = [entry["name"].partition("/")[0] for entry in find(repository(desk), "latest").files]
    assert [name for name in names if name in {"paper.sqlite", "bars.sqlite", "journal"}] == [
        "paper.sqlite", "bars.sqlite", "journal",
    ]  # fmt: skip
    desk.close()


@pytest.mark.mongo
def test_a_server_that_is_away_does_not_keep_the_journals_end_from_a_tail(tmp_path, clock, mongo_jars):
    """The paper book is then that of the backup before, all of it."""
    server = MongoServer(mongo_jars).start()
    uri = f"{server.uri}/desk"
    try:
        settings = load_settings(tmp_path / "desk", environ={}, backup={"to": str(tmp_path / "b")}, mongodb_uri=uri)
        desk = HistoryDesk(settings, now_ns=clock)
        fill(desk, clock)
        trade(desk, 1)
        back_up(desk)
    finally:
        server.stop()
    note(desk, clock, 10)
    clock.now += 300 * SECOND

    tail = back_up(desk, "tail")

    names = [entry["name"] for entry in find(repository(desk), tail.id).files]
    assert names.count("mongo/paper_fills") == names.count("mongo/bars") == 1
    desk.close()


KILLED = """
import sys
from pathlib import Path
from history.backup import back_up
from history.desk import HistoryDesk
from infra.settings import load_settings
print("ready", flush=True)
back_up(HistoryDesk(load_settings(Path(sys.argv[1]), environ={})), sys.argv[2])
"""


@pytest.mark.crash
def test_a_backup_that_is_killed_leaves_all_others_whole_and_the_next_one_works(tmp_path, clock):
    """At seeded moments; whatever is listed afterwards can be restored."""
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock, ticks=200_000)
    rng = random.Random(11)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path / "desk"), rng.choice(["full", "hourly", "tail"])],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.random() * 0.25)  # A seeded moment of its work.
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for listed in repository(desk).backups():
            assert damage(repository(desk), find(repository(desk), listed.id)) == []
    clock.now = time.time_ns() + SECOND
    made = back_up(desk)
    assert drill(desk).id == made.id
    assert not (desk.folders.run / "backup").exists()


def test_a_table_that_differs_after_a_restore_is_named(tmp_path, clock):
    """The drill compares content, not only checksums of pieces."""
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    back_up(desk)
    store = repository(desk)
    backup = find(store, "latest")
    entry = next(entry for entry in backup.files if entry["name"] == "desk.sqlite")
    gaps = next(table for table in entry["tables"] if table[0] == "gaps")
    gaps[1] += 1
    store.remove(backup.listed)
    store.add_manifest(backup.listed.id, backup.manifest)

    with pytest.raises(DeskError, match=r"desk\.sqlite of .*: gaps has 1 rows after the restore"):
        drill(desk)

    with BackupBook(desk.folders.history) as book:
        assert "gaps has 1 rows" in book.drills()[0].trouble


def test_a_store_that_is_damaged_is_not_backed_up_as_if_it_were_whole(tmp_path, clock):
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    desk.close()
    with closing(sqlite3.connect(desk.folders.bars)) as held:
        held.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = bytearray(desk.folders.bars.read_bytes())
    whole[20_000:40_000] = bytes(20_000)
    desk.folders.bars.write_bytes(whole)

    with pytest.raises(DeskError, match=r"bars\.sqlite is damaged"):
        back_up(opened(tmp_path / "desk", clock))


def test_a_manifest_that_was_altered_is_named(tmp_path, clock):
    desk = opened(tmp_path / "desk", clock)
    fill(desk, clock)
    back_up(desk)
    (path,) = desk.folders.backups.glob("backups/*.manifest")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Damaged, match="is damaged: its bytes are not those that its name stands for") as caught:
        find(repository(desk), "latest")
    assert caught.value.name == f"backups/{path.name}"
