"""One call to a provider: which trouble is waited out, which is told, and as what."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from servers.history_http import HistoryServer, Reply, half

from market.errors import DeskError
from sources.history.http_caller import TRIES, Answer, Busy, HttpCaller
from sources.history.provider import (
    BadAnswer,
    KeyRefused,
    Means,
    NotOffered,
    ProviderAway,
    ProviderError,
    QuotaSpent,
)

NOW = 1_767_623_340_000_000_000
"""2026-01-05T14:29:00Z."""


class Desk:
    """Means that note what they are asked."""

    def __init__(self) -> None:
        self.now = NOW
        self.slept: list[float] = []
        self.asked: list[int] = []
        self.allowed = 1000
        self.means = Means(now_ns=lambda: self.now, sleep=self.sleep, ask=self.ask)

    def sleep(self, seconds: float) -> None:
        """Pass the time."""
        self.slept.append(seconds)
        self.now += int(seconds * 1e9)

    def ask(self, weight: int = 1) -> None:
        """The quota."""
        if len(self.asked) == self.allowed:
            msg = "the quota is spent"
            raise QuotaSpent(msg, NOW + 1)
        self.asked.append(weight)


@pytest.fixture
def desk():
    return Desk()


@contextmanager
def served(desk: Desk, *replies: Any, **options: Any) -> Iterator[tuple[HttpCaller, HistoryServer]]:
    """A caller of a server that gives these replies, the last one for ever."""
    waiting = list(replies)
    with HistoryServer(lambda _: waiting.pop(0) if len(waiting) > 1 else waiting[0]) as server:
        caller = HttpCaller("venue", desk.means, [server.url], **options)
        try:
            yield caller, server
        finally:
            caller.close()


def test_numbers_keep_every_digit_and_whole_ones_are_ints(desk):
    """A float of its own making would lose what a nanosecond stamp, or a price of 18 digits, says."""
    with served(desk, Reply(b'[1559347203.799812345, "8552.90", 17, 1e-8, NaN, -Infinity, true, null]')) as (caller, _):
        answer = caller.get("/x")

    assert answer.value == ["1559347203.799812345", "8552.90", 17, "1e-8", "NaN", "-Infinity", True, None]


def test_the_question_goes_out_as_asked(desk):
    options = {"headers": {"APCA-KEY": "k"}, "params": {"apikey": "secret"}}
    with served(desk, Reply({})) as (_, server), served(desk, Reply({})):
        caller = HttpCaller("venue", desk.means, [server.url + "/base/"], **options)
        caller.get("/v2/bars", {"symbol": "BRK/B", "limit": 7}, weight=2)
        caller.close()
        (asked,) = server.calls

    assert asked.path == "/base/v2/bars"
    assert asked.params == {"apikey": "secret", "symbol": "BRK/B", "limit": "7"}
    assert (asked.headers["APCA-KEY"], asked.headers["User-Agent"]) == ("k", "PocketQuant")
    assert desk.asked == [2]


def test_each_try_is_asked_for_before_it_is_made(desk):
    """A try that the quota does not know of is a call over the limit."""
    with served(desk, Reply(status=500), Reply(status=502), Reply([1])) as (caller, server):
        assert caller.get("/x", weight=3).value == [1]
        assert len(server.calls) == 3
    assert desk.asked == [3, 3, 3]


def test_a_quota_that_is_spent_between_two_tries_ends_them(desk):
    desk.allowed = 2
    with served(desk, Reply(status=500)) as (caller, server), pytest.raises(QuotaSpent, match="the quota is spent"):
        caller.get("/x")
    assert len(server.calls) == 2


@pytest.mark.parametrize(
    "trouble",
    [
        Reply(status=500),
        Reply(b"<html>bad gateway", status=502),
        Reply(status=504),
        Reply(status=408),
        Reply(hang_up=True),
        Reply([1, 2, 3], cut=3),
    ],
    ids=["500", "502", "504", "408", "hang up", "cut off"],
)
def test_passing_trouble_is_tried_again_with_growing_pauses_and_then_told(desk, trouble):
    with served(desk, trouble, trouble, Reply([1])) as (caller, _):
        assert caller.get("/x").value == [1]
    first, second = desk.slept
    assert 0.5 <= first <= 1.0 <= second <= 2.0

    with served(desk, trouble) as (caller, server), pytest.raises(ProviderAway, match="venue does not answer") as told:
        caller.get("/x")
    assert len(server.calls) == TRIES
    assert str(told.value).endswith("check the connection, try later, or name another provider")


def test_nobody_there_is_told_as_away(desk):
    with HistoryServer(lambda _: Reply({})) as server:
        gone = server.url
    caller = HttpCaller("venue", desk.means, [gone])
    with pytest.raises(ProviderAway, match="venue does not answer"):
        caller.get("/x")
    assert len(desk.asked) == TRIES
    caller.close()


@pytest.mark.parametrize("status", [429, 418, 503])
def test_a_short_retry_after_is_waited_for_to_the_second(desk, status):
    with served(desk, Reply(status=status, headers={"Retry-After": "7"}), Reply([1])) as (caller, _):
        assert caller.get("/x").value == [1]
    assert desk.slept == [7.0]


def test_a_retry_after_may_be_a_date(desk):
    late = Reply(status=429, headers={"Retry-After": "Mon, 05 Jan 2026 14:29:12 GMT"})
    with served(desk, late, Reply([1])) as (caller, _):
        assert caller.get("/x").value == [1]
    assert desk.slept == [12.0]


@pytest.mark.parametrize(("header", "seconds"), [("61", 61), ("259200", 259_200), ("999999999", 259_200)])
def test_a_long_retry_after_is_handed_up_with_its_moment(desk, header, seconds):
    """Binance bans for up to three days: a worker that sleeps them away does nothing else meanwhile."""
    with (
        served(desk, Reply(status=418, headers={"Retry-After": header})) as (caller, server),
        pytest.raises(QuotaSpent, match="venue allows no call before 2026-01-0") as told,
    ):
        caller.get("/x")
    assert told.value.until_ns == NOW + seconds * 10**9
    assert (len(server.calls), desk.slept) == (1, [])


def test_a_ban_without_a_moment_is_not_made_longer_by_trying(desk):
    with served(desk, Reply(status=418)) as (caller, server), pytest.raises(QuotaSpent) as told:
        caller.get("/x")
    assert told.value.until_ns == NOW + 120 * 10**9
    assert len(server.calls) == 1


def test_a_limit_that_never_ends_is_a_spent_quota(desk):
    with served(desk, Reply({"msg": "slow down"}, status=429)) as (caller, server):
        with pytest.raises(QuotaSpent, match="slow down") as told:
            caller.get("/x")
        assert len(server.calls) == TRIES
    assert told.value.until_ns == desk.now + 60 * 10**9


@pytest.mark.parametrize(
    "broken",
    [
        half([[1, "2", "3"]] * 9),
        Reply(b""),
        Reply(b"<html>"),
        Reply(b"[" * 100_000),
        Reply(b"\xff\xfe["),
        Reply(b"not gzip", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["half", "empty", "html", "nested", "bytes", "gzip"],
)
def test_what_cannot_be_read_is_asked_for_once_more_and_then_told(desk, broken):
    with served(desk, broken, Reply([1])) as (caller, _):
        assert caller.get("/x").value == [1]
    with served(desk, broken) as (caller, server):
        with pytest.raises(BadAnswer, match="venue answers /x with what cannot be read"):
            caller.get("/x")
        assert len(server.calls) == 2


def test_compressed_answers_are_read(desk):
    packed = Reply(gzip.compress(b"[1]"), headers={"Content-Encoding": "gzip"})
    with served(desk, packed) as (caller, _):
        assert caller.get("/x").value == [1]


def test_an_endless_answer_is_cut(desk, monkeypatch):
    """A small answer can unpack to gigabytes."""
    monkeypatch.setattr("sources.history.http_caller.BODY_BYTES_MAX", 1 << 20)
    bomb = Reply(gzip.compress(b" " * (4 << 20)), headers={"Content-Encoding": "gzip"})
    with served(desk, bomb) as (caller, server):
        with pytest.raises(BadAnswer, match="more than 1 MB"):
            caller.get("/x")
        assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, NotOffered), (404, NotOffered), (401, KeyRefused), (403, KeyRefused), (451, KeyRefused), (302, BadAnswer)],
)
def test_a_status_that_will_not_change_is_told_at_once_in_the_providers_words(desk, status, kind):
    with served(desk, Reply({"code": -1121, "msg": "Invalid  symbol."}, status=status)) as (caller, server):
        with pytest.raises(kind, match=rf"HTTP {status} to /x: Invalid symbol\."):
            caller.get("/x")
        assert len(server.calls) == 1


def test_a_key_is_blacked_out_wherever_it_would_be_repeated(desk):
    echo = Reply(b"Invalid key hunter22 given", status=401)
    with (
        served(desk, echo, hidden=["hunter22", ""], keyed=True) as (caller, _),
        pytest.raises(KeyRefused, match=r"Invalid key \*\*\* given; check POCKETQUANT_PROVIDERS__VENUE__KEY"),
    ):
        caller.get("/x")


def test_a_mirror_is_turned_to_when_the_first_address_refuses_our_region_or_is_away(desk):
    with HistoryServer(lambda _: Reply(status=451)) as closed, HistoryServer(lambda _: Reply([1])) as mirror:
        caller = HttpCaller("venue", desk.means, [closed.url, mirror.url])
        assert caller.get("/x").value == [1]
        assert caller.get("/x").value == [1]
        caller.close()
        assert (len(closed.calls), len(mirror.calls)) == (1, 2)
        gone = closed.url
        away = HttpCaller("venue", desk.means, [gone.replace(str(closed.url[-5:]), "1"), mirror.url])
        assert away.get("/x").value == [1]
        away.close()
    assert not any(desk.slept)


def test_every_mirrors_refusal_is_a_refusal(desk):
    with HistoryServer(lambda _: Reply(status=451)) as server:
        caller = HttpCaller("venue", desk.means, [server.url, server.url])
        with pytest.raises(KeyRefused, match="POCKETQUANT_PROVIDERS__VENUE__URL to a mirror"):
            caller.get("/x")
        caller.close()
        assert len(server.calls) == 2


def judge(answer: Answer) -> ProviderError | Busy | None:
    """Reads errors that come with a status of 200."""
    error = answer.value.get("error") if isinstance(answer.value, dict) else None
    if error == "limit":
        return Busy("venue says limit", float(answer.value["wait"]) if "wait" in answer.value else None)
    return NotOffered(f"venue has no such thing: {error}") if error else None


def test_a_judge_reads_errors_that_come_with_a_good_status(desk):
    with served(desk, Reply({"error": "limit", "wait": "2.5"}), Reply({"error": "limit"}), Reply([1]), judge=judge) as (
        caller,
        _,
    ):
        assert caller.get("/x").value == [1]
    assert desk.slept[0] == 2.5
    assert 1.0 <= desk.slept[1] <= 2.0
    with served(desk, Reply({"error": "pair"}), judge=judge) as (caller, server):
        with pytest.raises(NotOffered, match="no such thing: pair"):
            caller.get("/x")
        assert len(server.calls) == 1


def test_the_slower_clock_decides_what_is_over(desk):
    """A clock of ours that runs fast would call a bar over that the venue still adds to."""
    dated = Reply([], headers={"Date": "Mon, 05 Jan 2026 14:28:57 GMT"})
    astray = Reply([], headers={"Date": "Mon, 05 Jan 2026 12:28:57 GMT"})
    garbled = Reply([], headers={"Date": "some day"})
    with served(desk, dated, astray, garbled, Reply([])) as (caller, _):
        seen = [caller.get("/x").now_ns - NOW for _ in range(4)]

    assert seen == [-3 * 10**9, 0, 0, 0]


@pytest.mark.parametrize(
    "url", ["venue.example", "ftp://venue.example", "http://", "https://venue.example/?a=1", "http://[", "http://a:b"]
)
def test_an_address_that_is_none_is_a_mistake_of_the_settings(desk, url):
    with pytest.raises(DeskError, match="of provider venue is not http://host"):
        HttpCaller("venue", desk.means, [url])
