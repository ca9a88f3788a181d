"""A provider's HTTP on loopback, for tests: answers what a function says, and troubles when told to.

It sends no `Date` unless a reply has one, so that a test's own clock is the only one.
"""

import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One call that came."""

    path: str
    params: dict[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """What to answer."""

    body: Any = b""
    """Bytes as they are; anything else as JSON, in which NaN is the bare word."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    """Close the connection after so many bytes of the body, though its length was announced."""
    hang_up: bool = False
    """Close the connection without any answer."""

    @property
    def data(self) -> bytes:
        """The body as sent."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def half(body: Any) -> Reply:
    """The first half of a JSON body, as if that were all: its length is that of the half."""
    data = Reply(body).data
    return Reply(data[: len(data) // 2])


class HistoryServer:
    """Serves until its block is left. Each call is noted before it is answered."""

    def __init__(self, respond: Callable[[Asked], Any]) -> None:
        """Prepare a server.

        Args:
            respond: Gives a `Reply`, or a body, to each call. Called in the server's threads, one call at a time.
        """
        self.calls: list[Asked] = []
        self.trouble: deque[Reply] = deque()
        """Replies that go out, one a call, before `respond` is asked again."""
        self._respond = respond
        guard = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Small answers go out at once, and not when the kernel has waited for more.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                asked = Asked(parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), dict(self.headers))
                with guard:
                    outer.calls.append(asked)
                    told = outer.trouble.popleft() if outer.trouble else outer._respond(asked)
                self._answer(told if isinstance(told, Reply) else Reply(told))

            def _answer(self, reply: Reply) -> None:
                if reply.hang_up:
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                headers = {"Content-Type": "application/json", "Content-Length": str(len(reply.data)), **reply.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.data[: reply.cut])
                if reply.cut is not None:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
