"""Kraken spot, WebSocket v2: each trade with its sequence number, and the best bid and ask.

Source: https://docs.kraken.com/exchange/api-reference/spot-websocket-v2/trade and .../ticker. `side` is the taker's.
The simulated exchange speaks the same protocol.
"""

from collections.abc import Sequence
from math import nan
from typing import Final, Literal

import msgspec

from market.spelling import to_venue
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import Aggressor, SessionState
from sources.feed import Limits, Parsed, Parser
from sources.frames import READ_ERRORS, Routes, TradeId, chunks, refuse
from sources.stamps import StampError, StampReader
from sources.venue_feed import VenueFeed

BUY: Final = int(Aggressor.BUY)
SELL: Final = int(Aggressor.SELL)
OPEN: Final = int(SessionState.OPEN)

LIMITS: Final = Limits(
    symbols_per_connection=500,
    symbols_per_subscribe=100,
    messages_per_second=5.0,
    connect_interval_s=4.0,
    silence_s=10.0,
    symbol_silence_s=600.0,
    heartbeat_s=30.0,
    lifetime_s=None,
    max_frame_bytes=4 * 1024 * 1024,
)
"""Source: support.kraken.com, "WebSocket API unexpected disconnections": about 150 connects in ten minutes from one
address, and a heartbeat about every second while nothing else comes. The venue names no number of symbols or messages;
those here are ours, well within what it serves."""


class _Trade(msgspec.Struct, gc=False):
    symbol: str
    side: Literal["buy", "sell"]
    price: float
    qty: float
    trade_id: TradeId
    timestamp: str


class _Ticker(msgspec.Struct, gc=False):
    symbol: str
    bid: float | None = None
    bid_qty: float | None = None
    ask: float | None = None
    ask_qty: float | None = None
    last: float | None = None
    timestamp: str = ""


class _System(msgspec.Struct):
    system: str = ""


class _Trades(msgspec.Struct, tag_field="channel", tag="trade", gc=False):
    data: list[_Trade]
    type: str = ""


class _Tickers(msgspec.Struct, tag_field="channel", tag="ticker", gc=False):
    data: list[_Ticker]


class _Heartbeat(msgspec.Struct, tag_field="channel", tag="heartbeat", gc=False):
    pass


class _Status(msgspec.Struct, tag_field="channel", tag="status"):
    data: list[_System] = []


class _Subscription(msgspec.Struct):
    channel: str = ""
    symbol: str = ""


class _Envelope(msgspec.Struct):
    """Any frame, read loosely: an answer to a request, or one of which a part could not be read."""

    channel: str = ""
    type: str = ""
    method: str = ""
    data: list[msgspec.Raw] = []
    success: bool | None = None
    error: str = ""
    symbol: str = ""
    result: _Subscription | None = None


_NOT_ASKED_FOR: Final = frozenset({"book", "level3", "ohlc", "instrument"})

_decode = msgspec.json.Decoder(_Trades | _Tickers | _Heartbeat | _Status).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_trade = msgspec.json.Decoder(_Trade).decode
_decode_ticker = msgspec.json.Decoder(_Ticker).decode


class KrakenParser:
    """Reads one connection: one decode by channel into typed records; what does not fit is read again, loosely."""

    __slots__ = ("_routes", "_stamp")

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._stamp = StampReader().read

    def parse(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        """See `sources.feed.Parser`."""
        try:
            message = _decode(frame)
        except READ_ERRORS as error:
            self._read_loosely(frame, received_time, out, error)
            return
        kind = type(message)
        if kind is _Trades:
            if message.type == "snapshot":
                # The last 50 trades, to close the gap of a short outage: in the order in which they happened.
                message.data.sort(key=_by_id)
            self._trades(message.data, received_time, out, frame)
        elif kind is _Tickers:
            self._tickers(message.data, received_time, out, frame)
        elif kind is _Status:
            for system in message.data:
                event = "status" if system.system == "online" else "maintenance"
                out.notes.append((event, f"the venue's state is {system.system or 'unknown'}"))

    def _trades(self, trades: list[_Trade], received_time: int, out: Parsed, frame: str | bytes) -> None:
        stamp = self._stamp
        append = out.ticks.append
        name, stream = "", None
        for trade in trades:
            if trade.symbol != name:
                name = trade.symbol
                stream = self._routes.stream(name)
            if stream is None:
                refuse(out, f"kraken symbol {name!r} is not subscribed", frame, "symbol")
                continue
            try:
                event_time = stamp(trade.timestamp)
            except StampError as error:
                refuse(out, error, frame, "stamp")
                continue
            side = BUY if trade.side == "buy" else SELL
            append((event_time, received_time, trade.price, trade.qty, trade.trade_id, 1, stream, side, 0))

    def _tickers(self, tickers: list[_Ticker], received_time: int, out: Parsed, frame: str | bytes) -> None:
        for ticker in tickers:
            stream = self._routes.stream(ticker.symbol)
            if stream is None:
                refuse(out, f"kraken symbol {ticker.symbol!r} is not subscribed", frame, "symbol")
                continue
            try:
                event_time = self._stamp(ticker.timestamp) if ticker.timestamp else received_time
            except StampError as error:
                refuse(out, error, frame, "stamp")
                continue
            numbers = (ticker.last, ticker.bid, ticker.ask, ticker.bid_qty, ticker.ask_qty)
            last, bid, ask, bid_size, ask_size = (nan if number is None else number for number in numbers)
            out.quotes.append((event_time, received_time, last, bid, ask, bid_size, ask_size, stream, OPEN, 0, 0))

    def _read_loosely(self, frame: str | bytes, received_time: int, out: Parsed, first: Exception) -> None:
        try:
            message = _decode_envelope(frame)
        except READ_ERRORS as error:
            refuse(out, error, frame)
            return
        if message.method:
            _note_answer(message, out)
        elif message.channel in {"trade", "ticker"} and message.data:
            for item in message.data:
                part = bytes(item)
                try:
                    if message.channel == "trade":
                        self._trades([_decode_trade(part)], received_time, out, part)
                    else:
                        self._tickers([_decode_ticker(part)], received_time, out, part)
                except READ_ERRORS as error:
                    refuse(out, error, part)
        elif message.channel in {"trade", "ticker", "heartbeat", "status"}:
            refuse(out, first, frame)
        elif message.error:
            out.notes.append(("refused", f"{message.symbol} {message.error}".strip()))
        elif message.channel not in _NOT_ASKED_FOR:
            refuse(out, f"kraken channel {message.channel!r} is not known", frame, "unknown")


def _by_id(trade: _Trade) -> int:
    return trade.trade_id


def _note_answer(answer: _Envelope, out: Parsed) -> None:
    if answer.success is False:
        out.notes.append(("refused", f"{answer.symbol} {answer.error}".strip()))
    elif answer.method in {"subscribe", "unsubscribe"} and answer.result:
        out.notes.append((f"{answer.method}d", f"{answer.result.channel} {answer.result.symbol}"))


class KrakenFeed(VenueFeed):
    """Kraken's trades; with another name, exchange and address, the simulated exchange's."""

    kind = FeedKind.TRADES
    contiguous_ids = True

    def __init__(
        self,
        *,
        name: str = "kraken",
        exchange: str = "KRAKEN",
        urls: Sequence[str] = ("wss://ws.kraken.com/v2",),
        limits: Limits = LIMITS,
        snapshot: bool = True,
        quotes: bool = True,
    ) -> None:
        """Set up the feed; nothing is connected.

        Args:
            name: `kraken` or `sim`, which is also the spelling of its symbols.
            exchange: The exchange of its symbols.
            urls: Addresses in the order to try them.
            limits: What the venue allows.
            snapshot: Ask for the last 50 trades at each subscription; the ones already known go by their ids.
            quotes: Subscribe to the best bid and ask as well.
        """
        self.name = name
        self.exchange: str | None = exchange
        self.limits = limits
        self._urls = tuple(urls)
        self._snapshot = snapshot
        self._quotes = quotes

    def heartbeat(self) -> str:
        """Keeps a connection without subscriptions, which the venue would end after a minute."""
        return '{"method":"ping"}'

    def parser(self, streams: dict[Symbol, int], *, discover: bool = False) -> Parser:
        """See `sources.feed.Feed`; `discover` as in `sources.frames.Routes`."""
        return KrakenParser(Routes(streams, self.name, discover=discover))

    def _requests(self, method: str, symbols: Sequence[Symbol]) -> list[str]:
        frames = []
        for chunk in chunks(symbols, self.limits.symbols_per_subscribe):
            names = [to_venue(symbol, self.name) for symbol in chunk]
            trades: dict[str, object] = {"channel": "trade", "symbol": names}
            tickers: dict[str, object] = {"channel": "ticker", "symbol": names, "event_trigger": "bbo"}
            if method == "subscribe":
                trades["snapshot"] = self._snapshot
            wanted = [trades, tickers] if self._quotes else [trades]
            frames += [msgspec.json.encode({"method": method, "params": params}).decode() for params in wanted]
        return frames
