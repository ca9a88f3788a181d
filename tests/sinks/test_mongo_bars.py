"""The MongoDB engine of the bar store: a server away, frozen or restarted; crashes between two writes; secrets."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from servers.mongo import MongoServer
from stored_bars import bar, batch, imported, live, logged, shown

from market.errors import DeskError
from sinks import mongo_bars
from sinks.bar_store import StoreAway, Written, open_store
from sinks.mongo_bars import MongoBars

pytestmark = pytest.mark.mongo


@pytest.fixture
def server(mongo_jars: Path, tmp_path: Path) -> Iterator[MongoServer]:
    """A server of this test's own, which keeps its data in a file."""
    with MongoServer(mongo_jars, tmp_path / "mongo.h2") as started:
        yield started


@pytest.fixture
def impatient(server: MongoServer) -> Iterator[MongoBars]:
    """A store that counts its server as away after half a second."""
    store = MongoBars(f"{server.uri}/desk", timeout_s=0.5)
    yield store
    store.close()


@pytest.fixture
def store(mongo_uri: str) -> Iterator[MongoBars]:
    opened = MongoBars(mongo_uri)
    yield opened
    opened.close()


def test_a_server_that_is_frozen_or_restarted_is_waited_for(server: MongoServer, impatient: MongoBars):
    """Whatever the writer was told, the same batch again leaves each bar and each row of the log once."""
    patiently(live, impatient, bar(0), upto=1)
    server.pause()
    with pytest.raises(StoreAway, match="does not answer"):
        live(impatient, bar(1), bar(2), upto=3)
    with pytest.raises(StoreAway):
        impatient.ping()
    server.resume()
    patiently(live, impatient, bar(1), bar(2), upto=3)

    server.stop()
    with pytest.raises(StoreAway):
        live(impatient, bar(3), upto=4)
    with pytest.raises(StoreAway):
        shown(impatient)
    server.start()
    patiently(live, impatient, bar(3), upto=4)

    assert [row[1:4] for row in patiently(logged, impatient)] == [(seq, "BTCUSD", seq - 1) for seq in range(1, 5)]
    assert len(patiently(shown, impatient)) == 4
    assert patiently(impatient.check_log) == []
    assert patiently(impatient.position, "bars") == 4


def patiently(ask: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Ask until the store answers, as its callers do; each question waits as long as the store does."""
    for _ in range(100):
        with suppress(StoreAway):
            return ask(*args, **kwargs)
    return pytest.fail("the server did not come back")


def test_an_uncounted_writer_that_crashed_behind_its_log_is_completed(
    store: MongoBars, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
):
    """The log is written first; the next write by that name brings its end into the bars."""
    imported(store, bar(0, 10.0))
    with monkeypatch.context() as broken:
        broken.setattr(MongoBars, "_show", crash)
        with pytest.raises(KeyboardInterrupt):
            imported(store, bar(0, 11.0), bar(1, 20.0))
    assert shown(store) == [(10.0, "closed", 1)]

    after = open_store(mongo_uri)
    assert imported(after, bar(0, 11.0), bar(2, 30.0)) == Written(1, 0, 1, 1)

    assert shown(after) == [(11.0, "closed", 2), (20.0, "closed", 1), (30.0, "closed", 1)]
    assert [row[3:] for row in logged(after)] == [(0, 10.0, 1), (0, 11.0, 2), (1, 20.0, 1), (2, 30.0, 1)]
    assert after.check_log() == []
    after.close()


def crash(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_reader_of_the_journal_that_crashed_before_its_log_completes_it(
    store: MongoBars, monkeypatch: pytest.MonkeyPatch
):
    """Bars are written first; the same rows come again, and the log gets them then."""
    live(store, bar(0), upto=1)
    with monkeypatch.context() as broken:
        broken.setattr(MongoBars, "_log_counted", crash)
        with pytest.raises(KeyboardInterrupt):
            live(store, bar(1), bar(1, 12.0, revision=2), upto=2)
    assert store.position("bars") == 1

    live(store, bar(1), bar(1, 12.0, revision=2), bar(2), upto=3)

    assert [row[3:] for row in logged(store)] == [(0, 10.0, 1), (1, 10.0, 1), (1, 12.0, 2), (2, 10.0, 1)]


def test_a_journal_row_that_is_cut_off_by_a_crash_is_logged_once(store: MongoBars, monkeypatch: pytest.MonkeyPatch):
    """Of a batch that fills several segments, those that were written say truly how far they reach."""
    monkeypatch.setattr(mongo_bars.mongo_log, "SEGMENT_ROWS", 3)
    rows = [bar(minute, seq=minute // 2) for minute in range(2, 12)]
    append, appended = mongo_bars.mongo_log.append, []

    def fail_after_two(*args: object) -> object:
        if len(appended) == 2:
            raise KeyboardInterrupt
        appended.append(append(*args))
        return appended[-1]

    with monkeypatch.context() as broken:
        broken.setattr(mongo_bars.mongo_log, "append", fail_after_two)
        with pytest.raises(KeyboardInterrupt):
            live(store, *rows, upto=9)
    assert 0 < store.position("bars") < 5

    live(store, *rows[2:6], upto=3)
    live(store, *rows, upto=9)

    assert [row[3] for row in logged(store)] == list(range(2, 12))
    assert store.position("bars") == 9


def test_the_note_of_the_end_may_be_older_than_the_log(store: MongoBars, monkeypatch: pytest.MonkeyPatch):
    live(store, bar(0), upto=1)
    with monkeypatch.context() as broken:
        broken.setattr(mongo_bars.mongo_log, "note_head", crash)
        with pytest.raises(KeyboardInterrupt):
            live(store, bar(1), upto=2)

    assert store.position("bars") == 2
    assert store.head("bars")[0] == 2
    assert store.check_log() == []


def test_tampered_rows_of_the_log_are_named(store: MongoBars):
    for minute in range(6):
        live(store, bar(minute), upto=minute + 1)
    segments = store._database.bar_revisions
    rows = bytearray(segments.find_one({"_id": "bars:2"})["rows"])
    rows[20] ^= 1
    segments.update_one({"_id": "bars:2"}, {"$set": {"rows": bytes(rows)}})
    segments.delete_one({"_id": "bars:4"})

    assert [str(finding).partition(": ")[2].partition(":")[0] for finding in store.check_log()] == [
        "row 2 (KRAKEN",
        "row 4 missing",
    ]
    with pytest.raises(DeskError, match="pq verify"):
        logged(store)


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://desk:hunter2@127.0.0.1:1/pocketquant?authSource=admin",
        "mongodb://desk:hunter2@127.0.0.1:port/pocketquant",
        "mongodb://desk:hunter2/with/slashes@127.0.0.1:1/",
        "mongodb://desk:hunter2@@127.0.0.1:1/",
        "mongodb://desk:hunter2@127.0.0.1:1/?w=hunter2&tls=perhaps",
        "mongodb://127.0.0.1:1/?password=hunter2",
        "mongodb+srv://desk:hunter2@127.0.0.1/",
    ],
)
def test_no_error_shows_the_password(uri: str):
    """Neither the sentence, nor the causes that a log prints with it, nor the name under which `pq status` knows it."""
    with pytest.raises(DeskError) as caught:
        MongoBars(uri, timeout_s=0.2).upsert(batch(bar(0)), writer="import", own_revisions=False)

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "127.0.0.1" in str(caught.value)


def test_a_server_that_is_away_is_no_reason_not_to_start():
    store = MongoBars("mongodb://desk:hunter2@127.0.0.1:1/", timeout_s=0.2)

    assert store.where == "mongodb://127.0.0.1:1/"
    with pytest.raises(StoreAway, match=r"MongoDB at mongodb://127\.0\.0\.1:1/ does not answer"):
        store.ping()
    store.close()


@pytest.mark.parametrize("step", [1, 1000], ids=["a page", "far apart"])
def test_what_is_held_is_found_whether_it_lies_close_or_far_apart(store: MongoBars, step: int):
    """A page is asked for as a span, in which other bars may lie; bars far apart are asked for one by one."""
    held = range(0, 20 * step, 2 * step)
    between = [minute + 1 for minute in held] if step > 1 else [minute for minute in range(20) if minute % 2]
    imported(store, *(bar(minute) for minute in held), *(bar(minute, close=9.5) for minute in between))

    again = imported(store, *(bar(minute) for minute in held))
    changed = imported(store, *(bar(minute, close=10.5) for minute in [*held, 20 * step]))

    assert again == Written(0, 0, 10, 0)
    assert changed == Written(1, 10, 0, 11)
    assert [close for close, *_ in shown(store)].count(9.5) == len(between)
