"""TradingView's chart sessions on loopback, for tests: answers with the frames that recorded sessions have."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Request, Response, ServerConnection, serve

CLOSE = object()
"""Trouble: the connection is closed without a word."""


def frame(payload: str) -> str:
    """One payload with its length in front."""
    return f"~m~{len(payload)}~m~{payload}"


def message(method: str, *params: Any, **more: Any) -> str:
    """A message in its frame."""
    return frame(json.dumps({"m": method, "p": params, **more}, separators=(",", ":")))


class ChartServer:
    """Serves whole series until its block is left; what came is noted."""

    def __init__(self, series: dict[tuple[str, str], Sequence[Sequence[Any]]], *, mode: str = "streaming") -> None:
        """Prepare a server.

        Args:
            series: Rows `[start s, open, high, low, close, volume]`, oldest first, by symbol and resolution.
            mode: What `series_completed` says: `streaming`, `delayed_streaming_900`.
        """
        self.series = series
        self.mode = mode
        self.calls: list[tuple[str, list[Any]]] = []
        self.connections = 0
        self.headers: list[dict[str, str]] = []
        self.trouble: deque[Any] = deque()
        """Instead of the answer to a request for bars: messages as they are (an iterable of texts), or `CLOSE`."""
        self.refuse: deque[tuple[int, dict[str, str]]] = deque()
        """Statuses and headers with which upgrades are refused."""
        self.beats = 0
        """Heartbeats before each answer, each of which must be echoed before anything else is said."""
        self.idle_beats = 0
        """Heartbeats after each answer."""
        self.idle = threading.Event()
        """Set once the client has those."""
        self.overlap = 0
        """Newer rows that a page of older ones repeats."""
        self.resolved: dict[str, Any] = {"volume_type": "base"}
        self.time_ms: int | None = None
        """The venue's clock, as messages carry it."""
        self.echoed: list[str] = []
        self.requests = 0
        """For bars."""
        self.respond: Callable[[str, str, float | None, int], Any] | None = None
        """Gives `(rows, how many are older)`, or messages as they are, for a symbol, a resolution, the start (s) before
        which rows are wanted, and how many; instead of `series`."""
        self._server = serve(self._client, "127.0.0.1", 0, process_request=self._upgrade)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Its address."""
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/socket.io/websocket"

    def said(self, method: str) -> list[list[Any]]:
        """Parameters of each call of a method, without the session's name."""
        return [params[1:] for name, params in self.calls if name == method]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()

    def _upgrade(self, _: ServerConnection, request: Request) -> Response | None:
        self.headers.append(dict(request.headers.raw_items()))
        if not self.refuse:
            return None
        status, headers = self.refuse.popleft()
        response = Response(status, "refused", request.headers.__class__(headers), b"")
        response.headers["Content-Length"] = "0"
        return response

    def _client(self, socket: ServerConnection) -> None:
        self.connections += 1
        with suppress(ConnectionClosed):
            socket.send(frame('{"session_id":"x","timestamp":1781042357,"protocol":"json"}'))
            _Client(self, socket).run()


class _Client:
    """One connection."""

    def __init__(self, server: ChartServer, socket: ServerConnection) -> None:
        self._server = server
        self._socket = socket
        self._symbols: dict[str, str] = {}
        self._place = ("", "")
        self._turn = ""
        self._shown = 0
        self._length = 0
        self._oldest: float | None = None

    def run(self) -> None:
        for text in self._socket:
            for payload in _payloads(str(text)):
                if payload.startswith("~h~"):
                    self._server.echoed.append(payload)
                    continue
                call = json.loads(payload)
                self._server.calls.append((call["m"], call["p"]))
                self._answer(call["m"], call["p"])

    def _answer(self, method: str, params: list[Any]) -> None:
        if method == "resolve_symbol":
            self._symbols[params[1]] = json.loads(params[2].removeprefix("="))["symbol"]
        if method == "create_series":
            self._begin(params, int(params[5]))
        elif method == "modify_series":
            self._begin(params, self._length)
        elif method == "request_more_data":
            self._page(params[0], int(params[2]))

    def _begin(self, params: list[Any], length: int) -> None:
        session, _, self._turn, name, resolution, *_ = params
        self._place, self._shown, self._length = (self._symbols[name], resolution), 0, length
        self._oldest = None
        known = {symbol for symbol, _ in self._server.series}
        if self._server.respond is None and self._place[0] not in known:
            self._tell(message("symbol_error", session, name, "invalid symbol", t=1, t_ms=1000))
            return
        resolved = message("symbol_resolved", session, name, {"name": self._place[0], **self._server.resolved})
        self._page(session, length, before=resolved)

    def _page(self, session: str, count: int, before: str = "") -> None:
        server = self._server
        server.requests += 1
        if server.trouble:
            trouble = server.trouble.popleft()
            if trouble is CLOSE:
                self._socket.close()
                return
            for text in trouble:
                self._socket.send(text)
            return
        told = self._rows(count)
        if not isinstance(told, tuple):
            self._tell(*told)
            return
        shown, older = told
        update = {"sds_1": {"node": "x", "s": [_bar(i, row) for i, row in enumerate(shown)], "t": self._turn}}
        more: dict[str, Any] = {"rt_update_period": 0}
        if not older:
            more["data_completed"] = "limit"
        stamp = {} if server.time_ms is None else {"t": server.time_ms // 1000, "t_ms": server.time_ms}
        self._tell(
            before,
            message("series_loading", session, "sds_1", self._turn),
            message("timescale_update", session, update, {"index": 0}, **stamp),
            message("series_completed", session, "sds_1", server.mode, self._turn, more, **stamp),
        )

    def _rows(self, count: int) -> Any:
        """Rows, and how many older ones there are."""
        server = self._server
        if server.respond is not None:
            told = server.respond(*self._place, self._oldest, count)
            if isinstance(told, tuple):
                starts = [row[0] for row in told[0] if isinstance(row, list) and row]
                self._oldest = min([*starts, *([] if self._oldest is None else [self._oldest])], default=None)
            return told
        rows = server.series.get(self._place, ())
        newest = len(rows) - self._shown
        oldest = max(newest - count, 0)
        self._shown = len(rows) - oldest
        return rows[oldest : newest + (server.overlap if newest < len(rows) else 0)], oldest

    def _tell(self, *frames: str) -> None:
        """Heartbeats first; then all frames in one message, as the venue does."""
        for beat in range(self._server.beats):
            self._socket.send(frame(f"~h~{beat}"))
            assert self._socket.recv() == frame(f"~h~{beat}")
            self._server.echoed.append(f"~h~{beat}")
        self._socket.send("".join(frames))
        for beat in range(self._server.idle_beats):
            self._socket.send(frame(f"~h~{beat}"))
        if self._server.idle_beats:
            # A client answers a ping when it has taken in what came before.
            self._socket.ping().wait(60)
            self._server.idle.set()


def _bar(index: int, row: Any) -> dict[str, Any]:
    return {"i": index, "v": list(row) if isinstance(row, tuple) else row}


def _payloads(text: str) -> Iterable[str]:
    while text:
        length, rest = text[3:].split("~m~", 1)
        yield rest[: int(length)]
        text = rest[int(length) :]
