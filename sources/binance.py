"""Binance spot: each trade (or aggregates of one taker's trades at one price), and the best bid and ask.

Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams. `m` says that the buyer is the
maker, so that the taker sold. `bookTicker` carries no stamp: a quote's event time is the time it was received.
"""

from collections.abc import Callable, Sequence
from math import nan
from typing import Final, Literal

import msgspec

from market.spelling import to_venue
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import Aggressor, SessionState
from sources.feed import Limits, Parsed, Parser
from sources.frames import READ_ERRORS, MillisOrMicros, Routes, TradeId, chunks, finite, refuse
from sources.venue_feed import VenueFeed

BUY: Final = int(Aggressor.BUY)
SELL: Final = int(Aggressor.SELL)
OPEN: Final = int(SessionState.OPEN)

LIMITS: Final = Limits(
    symbols_per_connection=512,
    symbols_per_subscribe=100,
    messages_per_second=4.0,
    connect_interval_s=1.0,
    silence_s=45.0,
    symbol_silence_s=600.0,
    heartbeat_s=20.0,
    lifetime_s=24 * 3600.0,
    max_frame_bytes=4 * 1024 * 1024,
)
"""Source: as above, "General WSS information": 1,024 streams a connection (two a symbol here), 5 messages a second, 300
connects in five minutes from one address, the end of each connection after 24 hours. The venue's pings are answered by
the WebSocket library and seen by nobody above it, so a question of ours shows that a quiet connection lives."""

MIRRORS: Final = (
    "wss://stream.binance.com:9443/stream?timeUnit=MICROSECOND",
    "wss://stream.binance.com:443/stream?timeUnit=MICROSECOND",
    "wss://data-stream.binance.vision/stream?timeUnit=MICROSECOND",
)
"""The last one has market data only and answers where the others refuse a region."""

_LAST_MILLI: Final = 100_000_000_000_000
"""Stamps from here on are microseconds: as milliseconds they would be past the year 5138."""


class _Trade(msgspec.Struct, gc=False):
    e: Literal["trade"]
    s: str
    t: TradeId
    p: float
    q: float
    T: MillisOrMicros
    m: bool


class _Aggregate(msgspec.Struct, gc=False):
    e: Literal["aggTrade"]
    s: str
    p: float
    q: float
    f: TradeId
    l: TradeId  # noqa: E741 - the venue's name
    T: MillisOrMicros
    m: bool


class _Book(msgspec.Struct, gc=False):
    u: int
    s: str
    b: float
    B: float
    a: float
    A: float


_Event = _Trade | _Aggregate | _Book


class _TradeFrame(msgspec.Struct, gc=False):
    data: _Trade


class _AggregateFrame(msgspec.Struct, gc=False):
    data: _Aggregate


class _BookFrame(msgspec.Struct, gc=False):
    data: _Book


class _Problem(msgspec.Struct):
    code: int = 0
    msg: str = ""


_ABSENT: Final = msgspec.Raw()


class _Envelope(msgspec.Struct):
    """Any frame, read loosely: an answer, a control event, or a stream that was not asked for."""

    stream: str = ""
    data: msgspec.Raw = _ABSENT
    e: str = ""
    id: msgspec.Raw = _ABSENT
    error: _Problem | None = None
    code: int = 0
    msg: str = ""


class _Kind(msgspec.Struct):
    e: str = ""


_NOT_ASKED_FOR: Final = frozenset({
    "depthUpdate", "kline", "24hrTicker", "24hrMiniTicker", "avgPrice", "1hTicker", "4hTicker", "1dTicker",
    "referencePrice", "blockTrade",
})  # fmt: skip
_STREAMS_NOT_ASKED_FOR: Final = ("depth", "kline", "ticker", "miniTicker", "avgPrice", "blockTrade", "referencePrice")

_PAYLOADS: Final[dict[str, Callable[[str | bytes], _Event]]] = {
    "trade": msgspec.json.Decoder(_Trade, strict=False).decode,
    "aggTrade": msgspec.json.Decoder(_Aggregate, strict=False).decode,
    "bookTicker": msgspec.json.Decoder(_Book, strict=False).decode,
}
_TEXT_FRAMES: Final[dict[str, Callable[[str | bytes], _TradeFrame | _AggregateFrame | _BookFrame]]] = {
    "trade": msgspec.json.Decoder(_TradeFrame, strict=False).decode,
    "aggTrade": msgspec.json.Decoder(_AggregateFrame, strict=False).decode,
    "bookTicker": msgspec.json.Decoder(_BookFrame, strict=False).decode,
}
_BYTE_FRAMES: Final = {name.encode(): decode for name, decode in _TEXT_FRAMES.items()}
_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode
_decode_kind = msgspec.json.Decoder(_Kind).decode


class BinanceParser:
    """Reads one connection's frames: by the stream's name at the frame's head into a typed record."""

    __slots__ = ("_last", "_routes")

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._last: dict[int, float] = {}

    def parse(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        """See `sources.feed.Parser`."""
        # {"stream":"btcusdt@trade","data":...}: what stands between the at sign and the next quote is the channel.
        if isinstance(frame, bytes):
            at = frame.find(b"@", 0, 64) if frame.startswith(b'{"stream":"') else -1
            decode = _BYTE_FRAMES.get(frame[at + 1 : frame.find(b'"', at)]) if at > 0 else None
        else:
            at = frame.find("@", 0, 64) if frame.startswith('{"stream":"') else -1
            decode = _TEXT_FRAMES.get(frame[at + 1 : frame.find('"', at)]) if at > 0 else None
        if decode is None:
            self._read_loosely(frame, received_time, out)
            return
        try:
            message = decode(frame)
        except READ_ERRORS as error:
            refuse(out, error, frame)
            return
        self._event(message.data, received_time, out, frame)

    def _event(self, event: _Event, received_time: int, out: Parsed, frame: str | bytes) -> None:
        stream = self._routes.stream(event.s.lower())
        if stream is None:
            refuse(out, f"binance symbol {event.s!r} is not subscribed", frame, "symbol")
        elif isinstance(event, _Book):
            if not finite(event.b, event.B, event.a, event.A):
                refuse(out, "binance quote has a number that is not finite", frame, "number")
                return
            last = self._last.get(stream, nan)
            out.quotes.append(
                (received_time, received_time, last, event.b, event.a, event.B, event.A, stream, OPEN, 0, 0)
            )
        elif not finite(event.p, event.q):
            refuse(out, "binance trade has a number that is not finite", frame, "number")
        else:
            trade_id, count = (event.t, 1) if isinstance(event, _Trade) else (event.l, event.l - event.f + 1)
            if not 1 <= count < 2**32:
                refuse(out, f"binance aggregate ends before it begins, or holds {count} trades", frame, "number")
                return
            event_time = event.T * (1_000_000 if event.T < _LAST_MILLI else 1000)
            if event_time > 2**63 - 1:
                refuse(out, f"binance stamp {event.T} is beyond 2262", frame, "stamp")
                return
            self._last[stream] = event.p
            side = SELL if event.m else BUY
            out.ticks.append((event_time, received_time, event.p, event.q, trade_id, count, stream, side, 0))

    def _read_loosely(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        try:
            envelope = _decode_envelope(frame)
            payload = bytes(envelope.data) or frame
            kind = envelope.e or (_decode_kind(payload).e if payload[:1] in {"{", b"{"} else "")
        except READ_ERRORS as error:
            refuse(out, error, frame)
            return
        channel = envelope.stream.partition("@")[2]
        if envelope.error or envelope.msg:
            problem = envelope.error or _Problem(envelope.code, envelope.msg)
            out.notes.append(("refused", f"binance answers {problem.code}: {problem.msg}"))
        elif kind == "serverShutdown":
            out.notes.append(("maintenance", "binance is about to shut this server down"))
            out.reconnect = True
        elif bytes(envelope.id) and not bytes(envelope.data) and not kind:
            return  # The answer to a subscription or to a heartbeat.
        elif kind in _NOT_ASKED_FOR or channel.startswith(_STREAMS_NOT_ASKED_FOR):
            return
        else:
            self._payload(payload, kind or "bookTicker", received_time, out, frame)

    def _payload(self, payload: str | bytes, kind: str, received_time: int, out: Parsed, frame: str | bytes) -> None:
        decode = _PAYLOADS.get(kind)
        if decode is None:
            refuse(out, f"binance event {kind!r} is not known", frame, "unknown")
            return
        try:
            event = decode(payload)
        except READ_ERRORS as error:
            refuse(out, error, frame)
            return
        self._event(event, received_time, out, frame)


class BinanceFeed(VenueFeed):
    """Binance's trades, by their ids; or aggregates, known by the id of their last trade and the count of them."""

    name = "binance"
    exchange: str | None = "BINANCE"
    kind = FeedKind.TRADES
    contiguous_ids = True

    def __init__(
        self,
        *,
        urls: Sequence[str] = MIRRORS,
        limits: Limits = LIMITS,
        trades: Literal["trade", "aggTrade"] = "trade",
        quotes: bool = True,
    ) -> None:
        """Set up the feed; nothing is connected.

        Args:
            urls: Addresses in the order to try them.
            limits: What the venue allows.
            trades: `trade` for each trade, `aggTrade` for fewer frames with the same volume.
            quotes: Subscribe to the best bid and ask as well.
        """
        self.limits = limits
        self._urls = tuple(urls)
        self._channels = (trades, "bookTicker") if quotes else (trades,)

    def heartbeat(self) -> str:
        """A question whose answer shows that the connection lives."""
        return '{"method":"LIST_SUBSCRIPTIONS","id":0}'

    def parser(self, streams: dict[Symbol, int], *, discover: bool = False) -> Parser:
        """See `sources.feed.Feed`; `discover` as in `sources.frames.Routes`."""
        return BinanceParser(Routes(streams, self.name, discover=discover))

    def _requests(self, method: str, symbols: Sequence[Symbol]) -> list[str]:
        frames = []
        for number, chunk in enumerate(chunks(symbols, self.limits.symbols_per_subscribe), start=1):
            params = [f"{to_venue(symbol, self.name)}@{channel}" for symbol in chunk for channel in self._channels]
            frames.append(msgspec.json.encode({"method": method.upper(), "params": params, "id": number}).decode())
        return frames
