"""What the paper book in MongoDB does without transactions: a crash or a copy at any moment finds a whole book."""

import pytest
from pymongo import MongoClient
from pymongo.errors import AutoReconnect
from servers.mongo import MongoServer

from sinks.bar_store import StoreAway
from sinks.paper_book import Position, Written
from sinks.paper_mongo import STATES_KEPT_NS, MongoPaper

pytestmark = pytest.mark.mongo
MINUTE = 60 * 10**9


@pytest.fixture
def book(mongo_uri):
    """An empty book."""
    with MongoPaper(mongo_uri) as found:
        yield found


def minute(number: int) -> Position:
    return Position(number * 10, number, number * MINUTE, 0)


def order(state: str) -> dict:
    return {"run": "ab", "number": 1, "state": state}


class CrashError(Exception):
    """The process is killed."""


@pytest.mark.parametrize("step", ["orders", "states", "position"])
def test_a_crash_between_two_steps_leaves_the_state_of_the_position_and_the_batch_comes_again(
    book, mongo_uri, monkeypatch, step
):
    """A state that is ahead of the position would count what comes between twice."""
    book.write(Written({"orders": [order("working")]}, {"ab": b"one"}, minute(1)))
    later = Written({"orders": [order("filled")]}, {"ab": b"two"}, minute(2))
    put = book._put

    def until(name, *arguments, **options):
        if name == step:
            raise CrashError
        put(name, *arguments, **options)

    monkeypatch.setattr(book, "_put", until)
    with pytest.raises(CrashError):
        book.write(later)

    with MongoPaper(mongo_uri) as again:
        assert (again.position(), again.state("ab")) == (minute(1), (10, b"one"))
        assert again.write(later)
        assert (again.position(), again.state("ab")) == (minute(2), (20, b"two"))
        assert again.rows("orders")[0]["state"] == "filled"


def test_a_write_that_failed_is_known_to_have_failed(book, monkeypatch):
    """What the object remembers of the position must not outlive an error: the server has the last word."""
    book.write(Written(position=minute(1)))
    monkeypatch.setattr(book, "_put", lambda *_, **__: (_ for _ in ()).throw(AutoReconnect("gone")))
    with pytest.raises(StoreAway):
        book.write(Written(position=minute(2)))
    monkeypatch.undo()

    assert book.write(Written(position=minute(2)))
    assert not book.write(Written(position=minute(2)))


def test_old_states_go_once_they_were_followed_long_enough_ago(book, mongo_uri):
    """Bounded: three a run that is written each minute; and a run that stands still keeps its one."""
    book.write(Written({}, {"ab": b"1", "cd": b"still"}, minute(1)))
    for number in range(2, 10):
        book.write(Written({}, {"ab": b"%d" % number}, minute(number)))

    with MongoClient(mongo_uri) as client:
        held = [bytes(one["state"]) for one in client.get_default_database().paper_states.find({"run": "ab"})]
    kept = 9 - STATES_KEPT_NS // MINUTE
    assert sorted(held) == [b"%d" % number for number in range(kept, 10)]
    assert book.state("cd") == (10, b"still")


def test_a_server_that_is_away_is_told_apart_and_the_same_batch_goes_in_when_it_is_back(mongo_jars, tmp_path):
    """The dataflow waits for it with patience."""
    server = MongoServer(mongo_jars, tmp_path / "data.h2").start()
    book = MongoPaper(f"{server.uri}/desk", timeout_s=1.5)
    batch = Written({"orders": [order("filled")]}, {"ab": b"x"}, minute(1))
    try:
        assert book.position() == Position()
        server.stop()
        with pytest.raises(StoreAway, match="does not answer"):
            book.write(batch)
        server.start()
        for _ in range(20):
            try:
                done = book.write(batch)
            except StoreAway:
                continue
            break
        assert done
        assert (book.position(), book.state("ab")) == (minute(1), (10, b"x"))
    finally:
        book.close()
        server.stop()
