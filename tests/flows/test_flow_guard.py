"""The server without a password answers its own user, and no page that the user's browser happens to show."""

import asyncio

import pytest

from flows.guard import CONTENT_POLICY, Guard, refuse

OWN = [(b"host", b"127.0.0.1:4200")]


def ask(headers, kind="http"):
    """What the guard sends back for a request, and whether it reached the application."""
    sent, reached = [], []

    async def application(scope, _receive, send):
        reached.append(scope["type"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<html>"})

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(application)({"type": kind, "headers": headers}, receive, send))
    return sent, bool(reached)


def test_a_users_own_request_is_answered_with_a_policy_that_names_no_other_host():
    """The UI's own analytics would ask another host; a browser that obeys the policy does not."""
    (start, _), reached = ask(OWN)
    assert reached
    assert dict(start["headers"])[b"content-security-policy"].decode() == CONTENT_POLICY
    sources = {word for part in CONTENT_POLICY.split("; ") for word in part.split()[1:]}
    assert sources == {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}


@pytest.mark.parametrize("host", ["localhost:4200", "127.0.0.1", "[::1]:4200", "LOCALHOST:9999"])
def test_every_name_of_the_loopback_address_is_good(host):
    """Also on another port, where a tunnel begins."""
    assert refuse({b"host": host.encode()}) is None


@pytest.mark.parametrize(
    "headers",
    [
        {b"host": b"evil.example:4200"},
        {b"host": b"127.0.0.1.evil.example"},
        {b"host": b"[::1"},
        {},
        {b"host": b"127.0.0.1:4200", b"origin": b"http://evil.example"},
        {b"host": b"127.0.0.1:4200", b"origin": b"http://127.0.0.1:3000"},
        {b"host": b"127.0.0.1:4200", b"origin": b"null"},
    ],
    ids=["rebound name", "longer name", "broken", "none", "foreign page", "another server here", "sandboxed page"],
)
def test_a_foreign_host_or_origin_is_refused(headers):
    """A name that was made to resolve to 127.0.0.1 is a foreign host; a foreign page's call has its origin."""
    sent, reached = ask(list(headers.items()))
    assert not reached
    assert sent[0]["status"] == 403
    assert sent[1]["body"].decode().count("\n") == 1


def test_the_uis_own_calls_have_its_origin():
    assert refuse({b"host": b"localhost:4200", b"origin": b"http://localhost:4200"}) is None


def test_a_foreign_pages_socket_is_closed_before_it_is_open():
    """Browsers let any page open one; only the server can refuse."""
    sent, reached = ask([*OWN, (b"origin", b"http://evil.example")], kind="websocket")
    assert not reached
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_the_servers_own_life_passes():
    """Startup and shutdown come through the same door and have no headers."""
    reached = []

    async def application(scope, _receive, _send):
        reached.append(scope["type"])

    asyncio.run(Guard(application)({"type": "lifespan"}, None, None))
    assert reached == ["lifespan"]
