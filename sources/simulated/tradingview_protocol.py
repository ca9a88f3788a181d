"""The server's side of TradingView's quote protocol: frames, heartbeats, sessions, full and then partial updates."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from sources.simulated.listing import EXCHANGE, Instrument, is_open
from sources.simulated.quote_board import QuoteBoard

HEARTBEAT_S: Final = 10.0
ECHO_S: Final = 30.0
"""A heartbeat that was not echoed for this long ends the connection."""
SLOW_S: Final = 5.0
"""How often a symbol is updated that is not on the list of fast ones."""


class FrameError(ValueError):
    """Text that is not a sequence of `~m~length~m~payload`."""


class ProtocolError(Exception):
    """What the server answers before it closes the connection; the text is TradingView's."""


def frame(payload: str) -> str:
    r"""Put a payload into a frame; the length counts UTF-16 units, as JavaScript does.

    >>> frame("~h~1"), frame('"\N{DOG FACE}"')
    ('~m~4~m~~h~1', '~m~4~m~"🐶"')
    """
    length = len(payload) if payload.isascii() else len(payload.encode("utf-16-le")) // 2
    return f"~m~{length}~m~{payload}"


def split_frames(text: str) -> Iterator[str]:
    """The payloads of one message, by their lengths.

    Raises:
        FrameError: A frame has no header, or is cut off.

    >>> list(split_frames("~m~4~m~~h~1~m~2~m~{}"))
    ['~h~1', '{}']
    """
    units = text.encode("utf-16-le")
    mark = "~m~".encode("utf-16-le")
    place = 0
    while place < len(units):
        stop = units.find(mark, place + len(mark))
        digits = units[place + len(mark) : stop].decode("utf-16-le", "replace")
        if units[place : place + len(mark)] != mark or stop < 0 or not digits.isdecimal() or len(digits) > 7:
            msg = f"no frame header at unit {place // 2}"
            raise FrameError(msg)
        begin = stop + len(mark)
        place = begin + 2 * int(digits)
        if place > len(units):
            msg = f"frame of {digits} units is cut off"
            raise FrameError(msg)
        yield units[begin:place].decode("utf-16-le", "replace")


@dataclass(slots=True)
class _Watched:
    """One key of a quote session."""

    symbol: int
    shown: dict[str, Any] = field(default_factory=dict)
    """What the client was told last."""
    updated_ns: int = 0
    revision: int = -1


@dataclass(slots=True)
class _QuoteSession:
    """One quote session of a client."""

    fields: frozenset[str] | None = None
    """None: all."""
    watched: dict[str, _Watched] = field(default_factory=dict)
    """By the key exactly as it was subscribed."""
    fast: frozenset[str] | None = None
    """None: no list was ever given, and all are fast."""
    hibernating: bool = False


class TradingViewSession:
    """One client's quote sessions."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        board: QuoteBoard,
        number: int,
        now_ns: int,
        seconds: float = 1.0,
    ) -> None:
        """Begin a session.

        Args:
            instruments: What can be watched.
            board: Their quotes.
            number: Of the connection.
            now_ns: Exchange time.
            seconds: Exchange seconds in a second of the wall, which the heartbeats go by.
        """
        self._instruments = instruments
        self._board = board
        self._number = number
        self._places = {str(instrument.symbol): place for place, instrument in enumerate(instruments)}
        self._authorised = False
        self._sessions: dict[str, _QuoteSession] = {}
        self._heartbeats = 0
        self._heartbeat_ns = int(HEARTBEAT_S * seconds * 1e9)
        self._echo_ns = int(ECHO_S * seconds * 1e9)
        self._beat_at_ns = now_ns
        self._unanswered: dict[int, int] = {}
        self._by_symbol: dict[int, list[tuple[str, str]]] | None = None

    def hello(self, now_ns: int) -> str:
        """The first frame of a connection, the only one without a method."""
        return _text(
            {
                "session_id": f"<0.{self._number}.0>_sim",
                "timestamp": now_ns // 1_000_000_000,
                "timestampMs": now_ns // 1_000_000,
                "release": "simulated",
                "studies_metadata_hash": "0" * 40,
                "auth_scheme_vsn": 2,
                "protocol": "json",
                "via": "127.0.0.1:443",
                "javastudies": [],
            },
        )

    def receive(self, text: str, now_ns: int) -> list[str]:
        """Answer one message with payloads.

        Raises:
            ProtocolError: The connection is to be closed after a `protocol_error` of this text.
        """
        answers: list[str] = []
        try:
            for payload in split_frames(text):
                if payload.startswith("~h~"):
                    self._unanswered.pop(int(payload[3:]) if payload[3:].isdecimal() else -1, None)
                else:
                    answers += self._answer(payload, now_ns)
        except FrameError as error:
            msg = "wrong data"
            raise ProtocolError(msg) from error
        return answers

    def heartbeat(self, now_ns: int) -> str | None:
        """The heartbeat, if its time has come.

        Raises:
            ProtocolError: The client did not echo an earlier one.
        """
        if self._unanswered and now_ns - min(self._unanswered.values()) >= self._echo_ns:
            msg = "heartbeat timeout"
            raise ProtocolError(msg)
        if now_ns - self._beat_at_ns < self._heartbeat_ns:
            return None
        self._beat_at_ns = now_ns
        self._heartbeats += 1
        self._unanswered[self._heartbeats] = now_ns
        return f"~h~{self._heartbeats}"

    def updates(self, symbols: Sequence[int], now_ns: int) -> list[str]:
        """Partial updates of those of `symbols` that are watched and changed."""
        if self._by_symbol is None:
            self._by_symbol = {}
            for name, session in self._sessions.items():
                for key, watched in session.watched.items():
                    self._by_symbol.setdefault(watched.symbol, []).append((name, key))
        payloads: list[str] = []
        for symbol in symbols:
            for name, key in self._by_symbol.get(symbol, ()):
                session = self._sessions[name]
                watched = session.watched[key]
                fast = session.fast is None or key in session.fast
                if not session.hibernating and (fast or now_ns - watched.updated_ns >= SLOW_S * 1e9):
                    payloads += self._update(name, session, key, watched, now_ns)
        return payloads

    @property
    def watching(self) -> bool:
        """Whether any symbol is watched."""
        return any(session.watched for session in self._sessions.values())

    def _answer(self, payload: str, now_ns: int) -> list[str]:
        try:
            message = json.loads(payload)
            method, params = message["m"], message["p"]
        except (ValueError, TypeError, KeyError) as error:
            msg = "wrong data"
            raise ProtocolError(msg) from error
        if not isinstance(params, list) or not isinstance(method, str):
            msg = "wrong data"
            raise ProtocolError(msg)
        if method == "set_auth_token":
            if len(params) != 1 or not isinstance(params[0], str) or not params[0]:
                msg = "bad auth token"
                raise ProtocolError(msg)
            self._authorised = True
            return []
        if not self._authorised:
            msg = "auth token expected"
            raise ProtocolError(msg)
        if method in {"set_locale", "set_data_quality"}:
            return []
        if not method.startswith("quote_") or not params or not isinstance(params[0], str):
            return [_critical(params[0] if params else "", "invalid_method", method)]
        return self._quote(method, params[0], params[1:], now_ns)

    def _quote(self, method: str, name: str, params: list[Any], now_ns: int) -> list[str]:
        """Carry out one command of a quote session."""
        self._by_symbol = None
        if method == "quote_create_session":
            if name in self._sessions:
                return [_critical(name, "session_already_exists", method)]
            self._sessions[name] = _QuoteSession()
            return []
        session = self._sessions.get(name)
        if session is None:
            return [_critical(name, "unknown_session", method)]
        if not all(isinstance(param, str) for param in params):
            return [_critical(name, "invalid_parameters", method)]
        if method == "quote_delete_session":
            del self._sessions[name]
        elif method == "quote_set_fields":
            session.fields = frozenset(params)
        elif method == "quote_add_symbols":
            return self._add(name, session, params, now_ns)
        elif method == "quote_remove_symbols":
            for key in params:
                session.watched.pop(key, None)
        elif method == "quote_fast_symbols":
            session.fast = frozenset(params)
            session.hibernating = False
        elif method == "quote_hibernate_all":
            session.hibernating = True
        else:
            return [_critical(name, "invalid_method", method)]
        return []

    def _add(self, name: str, session: _QuoteSession, keys: list[str], now_ns: int) -> list[str]:
        payloads = []
        for key in keys:
            place = self._places.get(_symbol_of(key))
            if place is None:
                error = {"n": key, "s": "error", "v": {}, "errmsg": "no_such_symbol"}
                payloads.append(_text({"m": "qsd", "p": [name, error]}))
                continue
            watched = session.watched[key] = _Watched(place)
            payloads += self._update(name, session, key, watched, now_ns)
            payloads.append(_text({"m": "quote_completed", "p": [name, key]}))
        session.hibernating = False
        return payloads

    def _update(self, name: str, session: _QuoteSession, key: str, watched: _Watched, now_ns: int) -> list[str]:
        """What has changed since the client was last told, as at most one message."""
        revision = int(self._board.revision[watched.symbol])
        timed = self._instruments[watched.symbol].session is not None
        if revision == watched.revision and not timed:
            return []
        watched.revision = revision
        values = self._values(watched.symbol, now_ns)
        if not watched.shown:
            values |= self._fixed(watched.symbol)
        changed = {
            name: value
            for name, value in values.items()
            if (session.fields is None or name in session.fields) and watched.shown.get(name) != value
        }
        first = watched.updated_ns == 0
        watched.updated_ns = now_ns
        if not changed and not first:
            return []
        watched.shown |= changed
        return [_qsd(name, key, changed)]

    def _values(self, symbol: int, now_ns: int) -> dict[str, Any]:
        """The fields that change; those of a symbol that never traded are not there."""
        board = self._board
        session = self._instruments[symbol].session
        values: dict[str, Any] = {"current_session": "market" if is_open(session, now_ns / 1e9) else "out_of_session"}
        last = float(board.last[symbol])
        if np.isnan(last):
            return values
        values |= {
            "lp": last,
            "lp_time": int(board.stamp[symbol]) // 1_000_000_000,
            "volume": round(float(board.day_volume[symbol]), 8),
            "bid": float(board.bid[symbol]),
            "ask": float(board.ask[symbol]),
            "bid_size": float(board.bid_size[symbol]),
            "ask_size": float(board.ask_size[symbol]),
        }
        opened = float(board.day_open[symbol])
        if not np.isnan(opened):
            values |= {
                "open_price": opened,
                "high_price": float(board.day_high[symbol]),
                "low_price": float(board.day_low[symbol]),
            }
        close = float(board.previous_close[symbol])
        base = opened if np.isnan(close) else close
        if not np.isnan(close):
            values["prev_close_price"] = close
        if not np.isnan(base):
            values |= {"ch": round(last - base, 8), "chp": round(100 * (last - base) / base, 2)}
        return values

    def _fixed(self, symbol: int) -> dict[str, Any]:
        """The fields that never change."""
        instrument = self._instruments[symbol]
        name = str(instrument.symbol)
        return {
            "update_mode": "streaming",
            "status": "ok",
            "type": "crypto",
            "typespecs": ["crypto"],
            "short_name": instrument.symbol.ticker,
            "pro_name": name,
            "original_name": name,
            "description": instrument.description,
            "exchange": EXCHANGE,
            "listed_exchange": EXCHANGE,
            "currency_code": instrument.currency,
            "timezone": "Etc/UTC",
            "pricescale": 10**instrument.decimals,
            "minmov": 1,
            "minmove2": 0,
            "fractional": False,
            "is_tradable": True,
            "provider_id": "simulated",
        }


def _symbol_of(key: str) -> str:
    """`SIM:BTCUSD`, also from a key of the form `={"symbol":"SIM:BTCUSD",...}`; empty if it is neither."""
    if not key.startswith("="):
        return key
    try:
        options = json.loads(key[1:])
    except ValueError:
        return ""
    symbol = options.get("symbol") if isinstance(options, Mapping) else None
    return symbol if isinstance(symbol, str) else ""


def _qsd(session: str, key: str, values: Mapping[str, Any]) -> str:
    """A quote message; its numbers have twenty digits, as TradingView's do."""
    parts = [
        f'"{name}":{value:.20g}' if isinstance(value, float) else f'"{name}":{_text(value)}'
        for name, value in values.items()
    ]
    return f'{{"m":"qsd","p":[{_text(session)},{{"n":{_text(key)},"s":"ok","v":{{{",".join(parts)}}}}}]}}'


def _critical(session: Any, reason: str, method: str) -> str:
    return _text({"m": "critical_error", "p": [session, reason, method]})


def protocol_error(reason: str) -> str:
    """The payload that goes before the server closes."""
    return _text({"m": "protocol_error", "p": [reason]})


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
