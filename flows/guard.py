"""What stands before Prefect's server: it answers this machine's own user and nobody's web page.

The server has no password on the loopback address, so a page from elsewhere that the user's browser shows could start
flows by it. Such a call names a foreign `Origin`, or, where the page's own name was made to resolve to 127.0.0.1, a
foreign `Host`. And the other way round: the UI's pages may load and call nothing but this server, which Prefect's own
analytics would (Source: measured in Chromium, a request to an amplitude.com host with analytics switched off).
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

NAMES: Final = frozenset({"127.0.0.1", "localhost", "::1"})

CONTENT_POLICY: Final = (
    "default-src 'self'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; "
    "font-src 'self' data:; "
    "connect-src 'self'; "
    "worker-src 'self' blob:; "
    "form-action 'self'; "
    "frame-ancestors 'none'"
)
"""Sent with each answer; a browser then asks no other host for anything."""


class Guard:
    """Wraps the server's application."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or connection, or refuse it with 403."""
        if scope["type"] not in {"http", "websocket"}:
            await self._application(scope, receive, send)
            return
        refusal = refuse(dict(scope["headers"]))
        if refusal is None:
            await self._application(scope, receive, _with_policy(send))
        elif scope["type"] == "websocket":
            # Before it is accepted, a connection that is closed is answered with 403.
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": f"{refusal}\n".encode()})


def refuse(headers: dict[bytes, bytes]) -> str | None:
    """Why a request is not answered; None if it is.

    Args:
        headers: Of the request, names in lower case.
    """
    host = headers.get(b"host", b"").decode("latin-1")
    if _name(host) not in NAMES:
        return f"host {host!r} is not this machine's loopback address"
    origin = headers.get(b"origin")
    if origin is not None and urlsplit(origin.decode("latin-1")).netloc != host:
        return f"origin {origin.decode('latin-1')!r} is not this server"
    return None


def _name(host: str) -> str | None:
    """The name or address in a `Host` header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _with_policy(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            policy = (b"content-security-policy", CONTENT_POLICY.encode())
            message["headers"] = [*message.get("headers", ()), policy]
        await send(message)

    return sending
