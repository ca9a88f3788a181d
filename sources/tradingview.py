"""TradingView's quotes: samples of the last price, a few a second, with the day's volume so far. Opt-in.

There is no documented interface: what is read here was seen in recorded sessions. A message carries only the fields
that changed, so they are merged for each key. Of that follows what makes a tick: a last price (`lp`), or more volume at
a last price that did not change; re-sent metadata makes none. A drop of the day's volume begins a new day. `lp_time` is
in whole seconds, and where it is not sent it has not changed. Prices after hours (`rtc`) are no ticks.
"""

import re
from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any, Final

import msgspec

from market.spelling import to_venue
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import SessionState, TickFlag
from sources.feed import Limits, Parsed, Parser
from sources.frames import READ_ERRORS, Routes, chunks, refuse
from sources.stamps import LATEST_S, SECOND_NS
from sources.tradingview_frames import HEARTBEAT, encode_frame, resume_within, split_frames

TERMS: Final = (
    "TradingView's terms allow its data for your own display only: no redistribution, and no automated use without "
    "its consent. This feed is unofficial, samples prices and may be delayed; you switched it on in the configuration."
)
"""What the start says when this feed is on."""

LIMITS: Final = Limits(
    symbols_per_connection=400,
    symbols_per_subscribe=50,
    messages_per_second=5.0,
    connect_interval_s=5.0,
    silence_s=30.0,
    symbol_silence_s=3600.0,
    heartbeat_s=None,
    lifetime_s=None,
    max_frame_bytes=16 * 1024 * 1024,
)
"""Source: seen by users of the protocol, not promised by the venue: its heartbeats come every 5 to 10 s and a client
that does not echo them is closed after about 30 s; some seven sockets from one address are answered 429; a snapshot of
5,000 bars is half a megabyte. Numbers of symbols are ours."""

FIELDS: Final = (
    "lp", "lp_time", "volume", "bid", "ask", "bid_size", "ask_size", "current_session", "update_mode", "status", "type",
    "short_name", "pro_name", "exchange", "currency_code", "pricescale", "minmov", "rtc", "rtc_time",
)  # fmt: skip
"""Fields asked for; those after `update_mode` help a reader of the frames."""

_SESSIONS: Final = {
    "market": int(SessionState.OPEN),
    "pre_market": int(SessionState.PRE),
    "post_market": int(SessionState.POST),
    "out_of_session": int(SessionState.CLOSED),
    "holiday": int(SessionState.CLOSED),
}
_KNOWN: Final = (
    "series_", "study_", "symbol_resolved", "timescale_update", "tickmark_update", "du", "protocol_switched", "quote_",
    "clear_data", "index_update", "first_bar_time", "replay_", "pointset_", "notify_user", "set_",
)  # fmt: skip
_DELAY: Final = re.compile(r"delayed_streaming_([0-9]{1,6})", re.ASCII)
_FRESH_S: Final = 60
"""A first snapshot whose last price is older than this is no news: it makes a quote and no tick."""
_NO_NUMBER: Final = 1e99
"""The venue writes 1e+100 for an empty value."""
_QUOTED: Final = frozenset({"lp", "bid", "ask", "bid_size", "ask_size", "current_session", "update_mode"})

_decode = msgspec.json.Decoder().decode


class _Merged:
    """All that is known of one key on this connection."""

    __slots__ = ("ask", "ask_size", "bid", "bid_size", "delay_s", "flags", "lp", "lp_time", "session", "volume")

    def __init__(self) -> None:
        self.lp = nan
        self.lp_time = nan
        """Whole seconds since 1970."""
        self.volume = nan
        """Of the day so far, all of which the ticks made have told."""
        self.bid = self.ask = self.bid_size = self.ask_size = nan
        self.session = 0
        self.delay_s = 0
        self.flags = 0


class TradingViewParser:
    """Reads one connection's messages. Bounded by the streams given: keys that nobody asked for leave no trace."""

    __slots__ = ("_merged", "_routes")

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._merged: dict[str, _Merged] = {}

    def parse(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        """See `sources.feed.Parser`."""
        try:
            text = frame.decode() if isinstance(frame, bytes) else frame
        except UnicodeDecodeError as error:
            refuse(out, error, frame, "encoding")
            return
        self._message(text, received_time, out, nested=False)

    def _message(self, text: str, received_time: int, out: Parsed, *, nested: bool) -> None:
        for payload, fault in split_frames(text):
            if fault:
                refuse(out, fault, payload, "truncated")
                continue
            if payload.startswith(HEARTBEAT):
                out.replies.append(encode_frame(payload))
                continue
            try:
                message = _decode(payload)
            except READ_ERRORS as error:
                refuse(out, error, payload)
                rest = None if nested else resume_within(payload)
                if rest is not None:
                    # A length that happened to end at a later header took whole frames with it.
                    self._message(rest, received_time, out, nested=True)
                continue
            self._dispatch(message, payload, received_time, out)

    def _dispatch(self, message: Any, payload: str, received_time: int, out: Parsed) -> None:
        if not isinstance(message, dict):
            refuse(out, "tradingview message is not an object", payload, "shape")
            return
        method, params = message.get("m"), message.get("p")
        if method is None and "session_id" in message:
            return  # The server's hello.
        if not isinstance(method, str) or not isinstance(params, list):
            refuse(out, "tradingview message has no method with parameters", payload, "shape")
        elif method == "qsd":
            self._quote(params, payload, received_time, out)
        elif method == "quote_completed":
            out.notes.append(("subscribed", _words(params[1:])))
        elif method in {"critical_error", "protocol_error"}:
            out.notes.append(("error", f"tradingview {method}: {_words(params)}"))
        elif method == "symbol_error":
            out.notes.append(("refused", _words(params[1:])))
        elif not method.startswith(_KNOWN):
            refuse(out, f"tradingview method {method[:40]!r} is not known", payload, "unknown")

    def _quote(self, params: list[Any], payload: str, received_time: int, out: Parsed) -> None:
        quote = params[1] if len(params) > 1 else None
        key = quote.get("n") if isinstance(quote, dict) else None
        if not isinstance(quote, dict) or not isinstance(key, str):
            refuse(out, "tradingview quote names no key", payload, "shape")
            return
        if quote.get("s") == "error":
            out.notes.append(("refused", _words([key, quote.get("errmsg")])))
            return
        values = quote.get("v")
        if not isinstance(values, dict):
            refuse(out, "tradingview quote has no values", payload, "shape")
            return
        stream = self._routes.stream(key)
        if stream is None:
            refuse(out, f"tradingview key {key[:80]!r} is not subscribed", payload, "symbol")
            return
        merged = self._merged.get(key)
        if merged is None:
            merged = self._merged[key] = _Merged()
        self._labels(key, merged, values, out)
        numbers, faults = _numbers(values)
        for fault in faults:
            refuse(out, fault, payload, "number")
        _tick(merged, numbers, stream, received_time, out)
        for side in ("bid", "ask", "bid_size", "ask_size"):
            if side in numbers:
                setattr(merged, side, numbers[side])
        if not _QUOTED.isdisjoint(values):
            sides = (merged.lp, merged.bid, merged.ask, merged.bid_size, merged.ask_size)
            out.quotes.append((received_time, received_time, *sides, stream, merged.session, merged.flags, 0))

    @staticmethod
    def _labels(key: str, merged: _Merged, values: Mapping[str, Any], out: Parsed) -> None:
        """What the feed says of itself: delayed or not, and where the market stands."""
        mode = values.get("update_mode")
        if isinstance(mode, str):
            found = _DELAY.fullmatch(mode)
            merged.delay_s = int(found[1]) if found else 0
            delayed = bool(found) or mode == "endofday"
            if delayed and not merged.flags:
                out.notes.append(("delayed", f"{key} is delayed: {mode}"))
            merged.flags = int(TickFlag.DELAYED) if delayed else 0
        session = values.get("current_session")
        if isinstance(session, str):
            merged.session = _SESSIONS.get(session, int(SessionState.UNKNOWN))


def _tick(merged: _Merged, numbers: Mapping[str, float], stream: int, received_time: int, out: Parsed) -> None:
    """Merge price, time and volume, and make a tick of it if something traded."""
    first = isnan(merged.lp)
    price = numbers.get("lp", merged.lp)
    told = numbers.get("lp_time", nan)
    size = _size(merged.volume, numbers.get("volume", nan))
    priced = "lp" in numbers and not isnan(price)
    if priced and not first:
        # The same price at the same time without volume is the same trade, sent again.
        priced = price != merged.lp or size > 0 or not (isnan(told) or told == merged.lp_time)
    # Volume alone is of trades at the price that did not change; outside the session that is not where they were.
    more = size > 0 and not isnan(price) and merged.session in {int(SessionState.OPEN), int(SessionState.UNKNOWN)}
    merged.lp = price
    if not isnan(told):
        merged.lp_time = told
    if not isnan(numbers.get("volume", nan)):
        merged.volume = numbers["volume"]
    if not priced and not more:
        return
    age_s = received_time // SECOND_NS - merged.delay_s - merged.lp_time
    if first and age_s > _FRESH_S:
        return
    if isnan(age_s) or (isnan(told) and age_s > _FRESH_S):
        event_time = received_time - merged.delay_s * SECOND_NS
    else:
        # Minutes rounded up and clocks that run ahead were seen: nothing is known before it happened.
        event_time = min(int(merged.lp_time) * SECOND_NS, received_time)
    out.ticks.append((event_time, received_time, price, size, -1, 0, stream, 0, merged.flags))


def _size(before: float, now: float) -> float:
    """Volume since the last tick; after a drop, which begins a new day, all of the new day's."""
    if isnan(before) or isnan(now):
        return 0.0
    return now - before if now >= before else now


def _numbers(values: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
    """The numeric fields that are there, NaN where the venue says that there is none; and what is wrong with others."""
    numbers: dict[str, float] = {}
    faults = []
    for field in ("lp", "lp_time", "volume", "bid", "ask", "bid_size", "ask_size"):
        if field not in values:
            continue
        value = values[field]
        if value is None or value == "NaN":
            numbers[field] = nan
        elif type(value) not in {int, float}:
            faults.append(f"tradingview {field} is {type(value).__name__}, not a number")
        elif not -_NO_NUMBER < value < _NO_NUMBER:
            numbers[field] = nan
        elif (field == "lp_time" and not 0 <= value <= LATEST_S) or (field == "volume" and value < 0):
            faults.append(f"tradingview {field} {value} is out of range")
        else:
            numbers[field] = float(value)
    return numbers, faults


def _words(params: Sequence[Any]) -> str:
    return " ".join(str(param)[:200] for param in params if param is not None)


class TradingViewFeed:
    """TradingView's quotes of any exchange, anonymous or with a token from the user's own session."""

    name = "tradingview"
    exchange: str | None = None
    kind = FeedKind.CONFLATED
    contiguous_ids = False

    def __init__(
        self,
        *,
        urls: Sequence[str] = (),
        limits: Limits = LIMITS,
        token: str | None = None,
        session: str = "qs_pocketquants",
    ) -> None:
        """Set up the feed; nothing is connected.

        Args:
            urls: Addresses in the order to try them; empty for the venue's own.
            limits: What the venue allows.
            token: The user's `auth_token`; it expires after about four hours. Without one the session is anonymous, and
                US stocks are delayed.
            session: Name of the quote session, which the client invents: `qs_` and 12 letters, unique on a connection.
        """
        host = "prodata.tradingview.com" if token else "data.tradingview.com"
        self.limits = limits
        self._urls = tuple(urls) or (f"wss://{host}/socket.io/websocket?from=screener%2F",)
        self._token = token or "unauthorized_user_token"
        self._session = session

    def urls(self) -> Sequence[str]:
        """See `sources.feed.Feed`."""
        return self._urls

    def headers(self) -> dict[str, str]:
        """The venue refuses an upgrade without its own origin."""
        return {"Origin": "https://www.tradingview.com", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}

    def hello(self) -> list[str]:
        """Who we are, and one session with the fields that quotes shall have."""
        return [
            _frame("set_auth_token", self._token),
            _frame("quote_create_session", self._session),
            _frame("quote_set_fields", self._session, *FIELDS),
        ]

    def subscribe(self, symbols: Sequence[Symbol]) -> list[str]:
        """See `sources.feed.Feed`."""
        return self._requests("quote_add_symbols", symbols)

    def unsubscribe(self, symbols: Sequence[Symbol]) -> list[str]:
        """See `sources.feed.Feed`."""
        return self._requests("quote_remove_symbols", symbols)

    def heartbeat(self) -> str:
        """None of ours: the venue's are echoed."""
        return ""

    def parser(self, streams: dict[Symbol, int], *, discover: bool = False) -> Parser:
        """See `sources.feed.Feed`; `discover` as in `sources.frames.Routes`."""
        return TradingViewParser(Routes(streams, self.name, discover=discover))

    def _requests(self, method: str, symbols: Sequence[Symbol]) -> list[str]:
        return [
            _frame(method, self._session, *(to_venue(symbol, self.name) for symbol in chunk))
            for chunk in chunks(symbols, self.limits.symbols_per_subscribe)
        ]


def _frame(method: str, *params: str) -> str:
    return encode_frame(msgspec.json.encode({"m": method, "p": params}).decode())
