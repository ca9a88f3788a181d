"""One chart session with TradingView: a series of bars, counted back from now, longer at each request.

There is no documented interface: what is sent and read here was seen in recorded sessions. A connection has one chart
session and in it one series; another symbol or interval takes the series' place (`modify_series`), older bars are asked
for (`request_more_data`). Each request is answered by `series_completed`, after the messages with bars.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from sources.history.provider import BadAnswer, KeyRefused, NotOffered, ProviderAway, ProviderError, QuotaSpent
from sources.pacing import retry_after_s
from sources.tradingview_frames import HEARTBEAT, encode_frame, resume_within, split_frames

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.sync.client import ClientConnection

HEADERS: Final = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
ORIGIN: Final = "https://www.tradingview.com"
"""The venue refuses an upgrade without its own origin."""

_SILENCE_S: Final = 30.0
"""Without any message for so long, heartbeats among them, the connection is dead. Source: seen by users of the
protocol: a heartbeat comes every 5 to 10 s."""
_HEARTBEATS_MAX: Final = 6
"""So many heartbeats without a word on our request: it will not be answered."""
_MESSAGES_MAX: Final = 1000
"""In answer to one request; a whole series of 5,000 bars came in a dozen."""
_MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Source: a snapshot of 5,000 bars is half a megabyte."""
_PAUSE_S: Final = 300.0
"""How long to leave it alone when it says that it has had enough of us. Ours: it does not say."""
_LONGEST_S: Final = 86_400.0
_SESSION: Final = "cs_pocketquants"
"""The client invents it: `cs_` and 12 letters, unique on its connection."""
_SERIES: Final = "sds_1"
_NO_NUMBER: Final = 1e99
"""The venue writes 1e+100 for an empty value."""
_TOO_MUCH: Final = ("exceed", "rate", "limit", "too many")
_DELAYED: Final = "delayed_streaming_"
_LATEST_S: Final = 9_223_372_036
_LATEST_MS: Final = 1000 * _LATEST_S


@dataclass(slots=True)
class Series:
    """What one request was answered with."""

    rows: dict[int, list[Any]] = field(default_factory=dict)
    """By start (seconds since 1970): `[start, open, high, low, close, volume]` as they came, no volume where none
    is counted; an empty value is None."""
    odd: list[str] = field(default_factory=list)
    """Rows without a start, as they came, shortened."""
    delay_s: int = 0
    """How far the series lags behind the market: 900 for stocks of most exchanges without a paid account."""
    exhausted: bool = False
    """The venue says that there is nothing older."""
    told_ns: int | None = None
    """The venue's clock at the last message that carried it."""


class ChartSession:
    """A connection to the chart server. Not thread-safe."""

    def __init__(self, url: str, token: str, now_ns: "Callable[[], int]") -> None:
        """Nothing is connected yet.

        Args:
            url: Of the socket.
            token: `unauthorized_user_token`, or that of the user's own session.
            now_ns: The clock, for the moment until which a refusal holds.
        """
        self._url = url
        self._token = token
        self._now_ns = now_ns
        self._socket: ClientConnection | None = None
        self._turn = 0
        """Series made on this connection; the venue's word for it is turnaround, `s1`, `s2`."""
        self._volume = True

    @property
    def connected(self) -> bool:
        """Whether a session stands, as far as is known."""
        return self._socket is not None

    def load(self, key: str, resolution: str, count: int) -> Series:
        """The newest `count` bars of a symbol, or as many as the series before it had.

        Args:
            key: As `resolve_symbol` wants it: `={"symbol":"NASDAQ:AAPL",...}`.
            resolution: `1`, `45`, `1D` ...
            count: Bars of a first series. A later one on the same connection begins as long as that one was.

        Raises:
            NotOffered: No such symbol or resolution.
            ProviderError: As its classes say; after it the session is closed, and the next call opens another.
        """
        try:
            if self._socket is None:
                self._open()
            else:
                self._catch_up()
            self._turn += 1
            name, turn = f"sds_sym_{self._turn}", f"s{self._turn}"
            self._send("resolve_symbol", name, key)
            if self._turn == 1:
                self._send("create_series", _SERIES, turn, name, resolution, count, "")
            else:
                self._send("modify_series", _SERIES, turn, name, resolution, "")
            return self._answer(resolution, key)
        except ProviderError:
            self.close()
            raise

    def more(self, resolution: str, key: str, count: int) -> Series:
        """Up to `count` bars older than those that were given; raises as `load` does."""
        try:
            self._send("request_more_data", _SERIES, count)
            return self._answer(resolution, key)
        except ProviderError:
            self.close()
            raise

    def close(self) -> None:
        """End the session. Can be called twice."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _catch_up(self) -> None:
        """Read what came since the last answer: updates of a series that is given up, and heartbeats."""
        for _ in range(_MESSAGES_MAX):
            if not list(self._payloads(wait_s=0.0)):
                return

    def _open(self) -> None:
        # Sixty milliseconds, that commands which fetch nothing need not pay.
        from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
        from websockets.sync.client import connect
        from websockets.typing import Origin

        host = urlsplit(self._url).hostname or ""
        try:
            self._socket = connect(
                self._url,
                origin=Origin(ORIGIN),
                additional_headers=HEADERS,
                user_agent_header=None,
                max_size=_MESSAGE_BYTES_MAX,
                proxy=None if host in {"127.0.0.1", "localhost", "::1"} else True,
                close_timeout=2.0,
            )
        except InvalidStatus as error:
            raise self._refused(error.response.status_code, error.response.headers.get("Retry-After")) from error
        except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
            msg = (
                f"tradingview does not answer: {host} cannot be reached ({error or type(error).__name__}); "
                "check the connection, try later, or name another provider"
            )
            raise ProviderAway(msg) from error
        self._turn = 0
        self._put("set_auth_token", self._token)
        self._put("chart_create_session", _SESSION, "")
        self._send("switch_timezone", "Etc/UTC")

    def _refused(self, status: int, retry_after: str | None) -> ProviderError:
        """What an HTTP status in answer to the upgrade means."""
        if status in {429, 503}:
            wait_s = retry_after_s(retry_after, self._now_ns(), _LONGEST_S)
            return self._spent(f"HTTP {status}", _PAUSE_S if wait_s is None else wait_s)
        if status in {401, 403, 451}:
            msg = (
                f"tradingview does not serve us: HTTP {status}; check POCKETQUANT_PROVIDERS__TRADINGVIEW__KEY, "
                "or name another provider"
            )
            return KeyRefused(msg)
        msg = f"tradingview does not answer: HTTP {status}; try later, or name another provider"
        return ProviderAway(msg)

    def _spent(self, told: str, wait_s: float = _PAUSE_S) -> QuotaSpent:
        msg = f"tradingview allows no call for {wait_s:.0f} s: {told}; try then, or name another provider"
        return QuotaSpent(msg, self._now_ns() + int(wait_s * 1e9))

    def _send(self, method: str, *params: str | int) -> None:
        self._put(method, _SESSION, *params)

    def _put(self, method: str, *params: str | int) -> None:
        from websockets.exceptions import ConnectionClosed

        if self._socket is None:
            msg = "the session is closed"
            raise _lost(msg)
        text = json.dumps({"m": method, "p": params}, separators=(",", ":"))
        try:
            self._socket.send(encode_frame(text))
        except (ConnectionClosed, OSError) as error:
            raise _lost(error) from error

    def _answer(self, resolution: str, key: str) -> Series:
        """Read until the series is complete."""
        found = Series()
        beats = 0
        for _ in range(_MESSAGES_MAX):
            for payload in self._payloads():
                if payload.startswith(HEARTBEAT):
                    beats += 1
                elif self._take(payload, found, resolution, key):
                    return found
            if beats > _HEARTBEATS_MAX:
                msg = f"{beats} heartbeats and no answer"
                raise _lost(msg)
        msg = f"tradingview answers with {_MESSAGES_MAX} messages and no end; try later, or name another provider"
        raise BadAnswer(msg)

    def _payloads(self, wait_s: float = _SILENCE_S) -> Iterator[str]:
        """Payloads of the next message, heartbeats already answered; none if there is no message and no wait."""
        from websockets.exceptions import ConnectionClosed

        if self._socket is None:
            msg = "the session is closed"
            raise _lost(msg)
        try:
            message = self._socket.recv(timeout=wait_s, decode=True)
        except TimeoutError as error:
            if not wait_s:
                return
            msg = f"nothing for {wait_s:.0f} s"
            raise _lost(msg) from error
        except (ConnectionClosed, OSError) as error:
            raise _lost(error) from error
        for payload, fault in split_frames(message if isinstance(message, str) else message.decode(errors="replace")):
            if fault:
                if '"m"' in payload:
                    # It may have held bars: the page would have a hole that nothing tells of.
                    raise _unreadable(fault, payload)
                continue
            if payload.startswith(HEARTBEAT):
                self._echo(payload)
            yield payload

    def _echo(self, payload: str) -> None:
        from websockets.exceptions import ConnectionClosed

        assert self._socket is not None
        try:
            self._socket.send(encode_frame(payload))
        except (ConnectionClosed, OSError) as error:
            raise _lost(error) from error

    def _take(self, payload: str, found: Series, resolution: str, key: str) -> bool:
        """Read one message; True once the series is complete."""
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError) as error:
            why = "it holds another frame" if resume_within(payload) else str(error)
            raise _unreadable(why, payload) from error
        method, params = (message.get("m"), message.get("p")) if isinstance(message, dict) else (None, None)
        if not isinstance(method, str) or not isinstance(params, list):
            return False
        told_ms = message.get("t_ms")
        if type(told_ms) is int and 0 < told_ms < _LATEST_MS:
            found.told_ns = told_ms * 1_000_000
        if method == "protocol_error":
            raise self._protocol_error(params)
        if not params or params[0] != _SESSION:
            return False
        if method in {"timescale_update", "du"}:
            self._bars(params, payload, found)
        elif method == "symbol_resolved":
            self._resolved(params)
        elif method == "series_completed":
            return self._completed(params, found)
        elif method in {"symbol_error", "series_error", "critical_error"}:
            raise self._error(method, params, resolution, key)
        return False

    def _resolved(self, params: list[Any]) -> None:
        """What the volume counts: `tick` counts quotes, `quote` the other currency, and neither is base units."""
        told = params[2].get("volume_type") if len(params) > 2 and isinstance(params[2], dict) else None
        self._volume = str(told) not in {"tick", "quote"}

    def _bars(self, params: list[Any], payload: str, found: Series) -> None:
        """Rows of our series; those of one before it, which may still be on their way, are not ours."""
        update = params[1].get(_SERIES) if len(params) > 1 and isinstance(params[1], dict) else None
        if not isinstance(update, dict) or update.get("t", f"s{self._turn}") != f"s{self._turn}":
            return
        rows = update.get("s")
        if rows is None:
            return
        if not isinstance(rows, list):
            reason = "its bars are no list"
            raise _unreadable(reason, payload)
        for row in rows:
            held = row.get("v") if isinstance(row, dict) else None
            values: list[Any] = held if isinstance(held, list) else []
            if not values or type(values[0]) not in {int, float} or not 0 <= values[0] < _LATEST_S:
                found.odd.append(json.dumps(row)[:120])
                continue
            told = [None if type(value) is float and abs(value) > _NO_NUMBER else value for value in values]
            found.rows[int(values[0])] = told[:6] if self._volume else told[:5]
        if found.odd and not found.rows:
            reason = "none of its bars has a start"
            raise _unreadable(reason, payload)

    def _completed(self, params: list[Any], found: Series) -> bool:
        """Whether it is ours that is complete, and how far it lags."""
        if f"s{self._turn}" not in params[1:]:
            return False
        for param in params[1:]:
            if isinstance(param, str) and param.startswith(_DELAYED):
                seconds = param.removeprefix(_DELAYED)
                found.delay_s = int(seconds) if seconds.isdecimal() and len(seconds) < 7 else 0
            elif isinstance(param, dict):
                found.exhausted = bool(param.get("data_completed"))
        return True

    def _protocol_error(self, params: list[Any]) -> ProviderError:
        told = _words(params)
        if "auth" in told:
            msg = (
                f"tradingview refuses the token: {told}; paste a fresh one into "
                "POCKETQUANT_PROVIDERS__TRADINGVIEW__KEY, or leave it out"
            )
            return KeyRefused(msg)
        return BadAnswer(f"tradingview ends the session: {told}; try later, or name another provider")

    def _error(self, method: str, params: list[Any], resolution: str, key: str) -> ProviderError:
        told = _words(params[1:])
        if method == "symbol_error":
            msg = f"tradingview has no symbol {_named(key)} ({told}); search for its name, or name another provider"
            return NotOffered(msg)
        if method == "series_error" and ("resolution" in told or "not_entitled" in told or "resolve" in told):
            msg = f"tradingview has no bars of {resolution} for {_named(key)} ({told}); name another provider"
            return NotOffered(msg)
        if any(word in told.lower() for word in _TOO_MUCH):
            return self._spent(told)
        return BadAnswer(f"tradingview answers {method}: {told}; try later, or name another provider")


def _words(params: list[Any]) -> str:
    return " ".join(str(param)[:200] for param in params if param is not None)


def _named(key: str) -> str:
    try:
        return str(json.loads(key.removeprefix("="))["symbol"])
    except (ValueError, KeyError, TypeError):
        return key[:80]


def _lost(why: object) -> ProviderAway:
    msg = f"tradingview does not answer: {why}; check the connection, try later, or name another provider"
    return ProviderAway(msg)


def _unreadable(why: str, payload: str) -> BadAnswer:
    msg = f"tradingview answers with what cannot be read: {why}; in {payload[:120]!r}; try later"
    return BadAnswer(msg)
