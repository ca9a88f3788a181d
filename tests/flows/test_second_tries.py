"""A database that was busy for a moment is nobody's business but the server's."""

import asyncio

import pytest

from flows import second_tries
from flows.second_tries import TRIES, SecondTries


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """Pauses are noted and not made."""
    noted = []

    async def sleep(seconds):
        noted.append(seconds)

    monkeypatch.setattr(second_tries.asyncio, "sleep", sleep)
    return noted


def ask(application, body=(b'{"interval":', b' "1m"}'), kind="http"):
    """What reaches whoever asked."""
    sent = []
    left = [{"type": "http.request", "body": part, "more_body": True} for part in body[:-1]]
    left += [{"type": "http.request", "body": body[-1], "more_body": False}, {"type": "http.disconnect"}]

    async def receive():
        return left.pop(0)

    async def send(message):
        sent.append(message)

    try:
        asyncio.run(SecondTries(application, lambda: 0.0)({"type": kind}, receive, send))
    except RuntimeError:
        sent.append("raised")
    return [message if message == "raised" else message.get("status", message.get("body")) for message in sent]


class Server:
    """Is busy some times, and then answers with what it was sent."""

    def __init__(self, busy, status=200):
        self.busy, self.status, self.calls = busy, status, 0

    async def __call__(self, _scope, receive, send):
        """Answer one request."""
        self.calls += 1
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
        if self.calls <= self.busy:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b"busy"})
            raise RuntimeError
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": body})


def test_a_busy_database_is_asked_again_with_the_same_body(pauses):
    """The pauses double; the jitter is drawn as 0 here."""
    server = Server(busy=3)
    assert ask(server) == [200, b'{"interval": "1m"}']
    assert server.calls == 4
    assert pauses == [0.05, 0.1, 0.2]


def test_one_that_stays_busy_says_so_in_the_end():
    server = Server(busy=99)
    assert ask(server) == [503, b"busy", "raised"]
    assert server.calls == TRIES


@pytest.mark.parametrize("status", [200, 201, 404, 409, 500])
def test_every_other_answer_is_given_at_once(status, pauses):
    """409 is a form that was refused; a bug is not to be had five times."""
    server = Server(busy=0, status=status)
    assert ask(server) == [status, b'{"interval": "1m"}']
    assert (server.calls, pauses) == (1, [])


def test_what_is_raised_without_an_answer_goes_on():
    async def broken(_scope, _receive, _send):
        raise RuntimeError

    assert ask(broken) == ["raised"]


def test_a_request_too_long_to_hold_is_made_once(monkeypatch):
    """And whole."""
    monkeypatch.setattr(second_tries, "BODY_BYTES", 4)
    server = Server(busy=1)
    assert ask(server, body=(b"abc", b"def", b"ghi")) == [503, b"busy", "raised"]
    assert ask(Server(busy=0), body=(b"abc", b"def", b"ghi")) == [200, b"abcdefghi"]


def test_sockets_and_the_servers_own_life_pass():
    reached = []

    async def application(scope, _receive, _send):
        reached.append(scope["type"])

    ask(application, kind="websocket")
    ask(application, kind="lifespan")
    assert reached == ["websocket", "lifespan"]
