"""A kept answer is always the store's answer, whoever writes, whenever; and Redis may be away."""

import os
import signal
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers.redis_server import RedisServer, redis_server
from stored_bars import HEALED, OFFICIAL, SYMBOLS, bar, batch, imported

from market.bars import BarBatch
from market.intervals import Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks import query_cache
from sinks.bar_store import BarStore, open_store
from sinks.query_cache import AnnouncedBars, Hits, QueryCache

__all__ = ["redis_server"]

BTC, ETH = SYMBOLS[:2]
WHERE = "a store"


@pytest.fixture
def client(redis_server: RedisServer) -> redis.Redis:
    """A client of a Redis that runs."""
    return redis_server.start()


@pytest.fixture
def cache(redis_server: RedisServer) -> QueryCache:
    return QueryCache(redis_server.url, WHERE)


@pytest.fixture
def store(tmp_path: Path, redis_server: RedisServer):
    """A store whose writes are announced."""
    with closing(AnnouncedBars(open_store(tmp_path / "bars.sqlite"), redis_server.url, WHERE)) as found:
        yield found


class Asked:
    """Asks the cache, and counts how often it asked the store."""

    def __init__(self, cache: QueryCache, store: BarStore) -> None:
        self._cache = cache
        self._store = store
        self.loads = 0

    def __call__(self, symbol: Symbol = BTC, interval: Interval = Interval.M1, **query: object) -> pl.DataFrame:
        def load() -> pl.DataFrame:
            self.loads += 1
            return self._store.read(symbol, interval, **query)

        return self._cache.read(load, symbol, interval, **query)


@pytest.fixture
def ask(cache: QueryCache, store: BarStore) -> Asked:
    return Asked(cache, store)


def test_a_question_is_asked_once_and_its_answer_is_the_same(ask: Asked, store: BarStore, client):
    """To the type of each column."""
    imported(store, bar(0), bar(1, notional=np.nan), bar(2, volume=0.0))

    answers = [ask(limit=2), ask(limit=2), ask(limit=3), ask(limit=2, newest_first=False), ask(limit=2)]

    assert ask.loads == 3
    assert answers[0].equals(answers[1])
    assert answers[0].schema == answers[1].schema == store.read(BTC, Interval.M1).schema
    assert answers[3].equals(answers[0].reverse())


def test_what_is_written_drops_the_answers_of_its_series_and_no_other(ask: Asked, store: BarStore, client):
    imported(store, bar(0), bar(0, stream=1), bar(0, interval=Interval.H1))
    for _ in range(2):
        for question in ({}, {"symbol": ETH}, {"interval": Interval.H1}):
            ask(**question)
    assert ask.loads == 3

    imported(store, bar(1), writer="heal")
    assert ask()["start"].len() == 2
    ask(ETH)
    ask(interval=Interval.H1)

    assert ask.loads == 4


@pytest.mark.parametrize("write", ["bars", "import", "heal", "sync", "forget"])
def test_every_writer_drops_what_was_kept(ask: Asked, store: BarStore, client, write: str):
    imported(store, bar(0))
    ask()
    if write == "forget":
        store.forget(BTC)
    elif write == "bars":
        store.upsert(batch(bar(0, 20.0, revision=2)), writer="bars", upto=5, own_revisions=True)
    else:
        imported(store, bar(0, 20.0, state=OFFICIAL), writer=write)

    assert ask().equals(store.read(BTC, Interval.M1))
    assert ask.loads == 2


def test_what_was_read_before_a_write_is_not_kept_after_it(cache: QueryCache, store: BarStore, client):
    """The race of a slow reader: it asks, another writes, a third asks else, and then it brings its old answer."""
    imported(store, bar(0, 1.0))

    def slow() -> pl.DataFrame:
        old = store.read(BTC, Interval.M1)
        imported(store, bar(0, 2.0, state=HEALED))
        cache.read(lambda: store.read(BTC, Interval.M1, limit=7), BTC, Interval.M1, limit=7)
        return old

    assert cache.read(slow, BTC, Interval.M1)["close"].to_list() == [1.0]
    assert cache.read(lambda: store.read(BTC, Interval.M1), BTC, Interval.M1)["close"].to_list() == [2.0]


def test_a_writer_that_is_killed_in_the_middle_leaves_no_old_answer(
    ask: Asked, store: BarStore, client, monkeypatch: pytest.MonkeyPatch
):
    """After its commit and before its word: nothing is kept of that series until the mark expires."""
    imported(store, bar(0, 1.0))
    ask()
    monkeypatch.setattr(AnnouncedBars, "_drop", lambda *_: None)
    imported(store, bar(0, 2.0, state=HEALED))
    monkeypatch.undo()

    assert [ask()["close"][0], ask()["close"][0]] == [2.0, 2.0]
    assert ask.loads == 3
    (marked,) = client.keys("bars:asked:*KRAKEN:BTCUSD:1m")
    assert 0 < client.ttl(marked) <= 300


def test_a_write_to_many_series_drops_all(ask: Asked, store: BarStore, client):
    """A thousand names are not said one by one."""
    imported(store, bar(0))
    ask()
    streams = tuple(
        Stream(place, "sim", Symbol("SIM", f"S{place}"), FeedKind.TRADES, 0) for place in range(query_cache.MANY + 1)
    )
    rows = np.concatenate([bar(0, stream=place) for place in range(len(streams))])
    store.upsert(BarBatch(rows, streams), writer="import", own_revisions=False)
    ask()
    ask()

    assert ask.loads == 2
    assert ask(streams[7].symbol).height == 1


def test_answers_go_after_five_minutes_and_do_not_pile_up(ask: Asked, store: BarStore, client):
    imported(store, *(bar(minute) for minute in range(50)))
    for limit in range(1, 50):
        ask(limit=limit)

    (name,) = client.keys("bars:asked:*BTCUSD:1m")
    assert 290 < client.ttl(name) <= 300
    assert client.hlen(name) <= query_cache.ANSWERS + 3


def test_an_answer_that_is_too_long_is_not_kept(ask: Asked, store: BarStore, client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(query_cache, "ANSWER_BYTES", 6000)
    imported(store, *(bar(minute, 10 + minute / 7) for minute in range(300)))

    ask()
    ask()
    ask(limit=1)
    ask(limit=1)

    assert ask.loads == 3


def test_what_cannot_be_read_is_asked_of_the_store(ask: Asked, store: BarStore, client):
    """What another version kept, say."""
    imported(store, bar(0))
    ask()
    (name,) = client.keys("bars:asked:*BTCUSD:1m")
    (question,) = set(client.hkeys(name)) - {b"token", b"epoch"}
    client.hset(name, question, b"no frame")

    assert ask().height == 1


def test_two_stores_in_one_redis_are_told_apart(store: BarStore, client, redis_server: RedisServer):
    imported(store, bar(0))
    one, other = (QueryCache(redis_server.url, where) for where in (WHERE, "another store"))

    assert one.read(lambda: store.read(BTC, Interval.M1), BTC, Interval.M1).height == 1
    empty = store.read(ETH, Interval.M1)
    assert other.read(lambda: empty, BTC, Interval.M1).height == 0


def test_hits_and_misses_are_counted(ask: Asked, cache: QueryCache, store: BarStore, client):
    imported(store, bar(0))
    for _ in range(5):
        ask()

    assert cache.hits() == Hits(4, 1)


def test_without_redis_the_store_answers(ask: Asked, cache: QueryCache, store: BarStore):
    """It was never started: nobody waits, nothing is an error."""
    imported(store, bar(0))
    assert [ask().height, ask().height] == [1, 1]
    assert ask.loads == 2
    assert cache.hits() is None


def test_a_redis_that_hangs_is_waited_for_once_and_left_alone(tmp_path: Path, redis_server: RedisServer, client):
    """Frozen: the first question costs its time-out, those of the next seconds nothing. Then it is asked again."""
    clock = [0.0]
    cache = QueryCache(redis_server.url, WHERE, clock_s=lambda: clock[0])
    with closing(open_store(tmp_path / "plain.sqlite")) as store:
        imported(store, bar(0))
        ask = Asked(cache, store)
        ask()
        redis_server.signal(signal.SIGSTOP)
        began = time.monotonic()
        for _ in range(100):
            assert ask().height == 1
        assert time.monotonic() - began < 10
        redis_server.signal(signal.SIGCONT)
        clock[0] = 100.0
        ask()
        loads = ask.loads
        ask()
        assert ask.loads == loads


def test_writes_while_redis_was_away_leave_nothing_doubtful(tmp_path: Path, redis_server: RedisServer, client):
    """A Redis that was out of reach of the writer, and kept an answer meanwhile: the writer's next word drops all."""
    clock = [0.0]
    inner = open_store(tmp_path / "plain.sqlite")
    with closing(AnnouncedBars(inner, redis_server.url, WHERE, clock_s=lambda: clock[0])) as store:
        ask = Asked(QueryCache(redis_server.url, WHERE), store)
        imported(store, bar(0, 1.0))
        ask()
        redis_server.signal(signal.SIGSTOP)
        imported(store, bar(0, 2.0, state=HEALED))
        redis_server.signal(signal.SIGCONT)
        clock[0] = 100.0
        imported(store, bar(0, stream=1))

        assert ask()["close"].to_list() == [2.0]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("rrwx"), st.integers(0, 3), st.integers(1, 5)), max_size=25))
def test_whatever_the_order_an_answer_is_the_stores(cache, tmp_path, redis_server, client, steps):
    """Reads, writes and writers that die in the middle, of two series, in any order: never an old answer."""
    client.flushall()
    name = f"{os.urandom(6).hex()}.sqlite"
    with closing(AnnouncedBars(open_store(tmp_path / name), redis_server.url, WHERE)) as store:
        ask = Asked(cache, store)
        for close, (step, place, limit) in enumerate(steps):
            symbol = SYMBOLS[place % 2]
            if step == "r":
                assert ask(symbol, limit=limit).equals(store.read(symbol, Interval.M1, limit=limit))
            elif step == "w":
                imported(store, bar(place, 100.0 + close, stream=place % 2))
            else:
                store._mark([store._keys.series(symbol, Interval.M1)])
                imported(store._store, bar(place, 100.0 + close, stream=place % 2))
