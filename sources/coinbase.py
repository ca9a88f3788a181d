"""Coinbase Exchange: each match, the best bid and ask, and a heartbeat that says which trade was the last.

Source: https://docs.cdp.coinbase.com/exchange/websocket-feed/channels. A match's `side` is the maker's, so the
aggressor is the other one. `last_match`, sent at each subscription, is a trade that was reported before: it makes no
tick, but its id shows whether trades were missed since.
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
from sources.frames import READ_ERRORS, Routes, TradeId, chunks, finite, refuse
from sources.stamps import StampError, StampReader
from sources.venue_feed import VenueFeed

BUY: Final = int(Aggressor.BUY)
SELL: Final = int(Aggressor.SELL)
OPEN: Final = int(SessionState.OPEN)

LIMITS: Final = Limits(
    symbols_per_connection=500,
    symbols_per_subscribe=100,
    messages_per_second=8.0,
    connect_interval_s=1.0,
    silence_s=10.0,
    symbol_silence_s=600.0,
    heartbeat_s=None,
    lifetime_s=None,
    max_frame_bytes=4 * 1024 * 1024,
)
"""Source: https://docs.cdp.coinbase.com/exchange/websocket-feed/rate-limits: 8 requests a second and address, 10
subscriptions a product and channel; `.../overview`: a subscription within 5 s of the connect, else it is closed. The
heartbeat channel sends one frame a second and product, so 10 s without any is a dead connection. Numbers of symbols are
ours."""


class _Match(msgspec.Struct, tag_field="type", tag="match", gc=False):
    product_id: str
    trade_id: TradeId
    side: Literal["buy", "sell"]
    price: float
    size: float
    time: str


class _LastMatch(msgspec.Struct, tag_field="type", tag="last_match", gc=False):
    product_id: str
    trade_id: TradeId


class _Heartbeat(msgspec.Struct, tag_field="type", tag="heartbeat", gc=False):
    product_id: str
    last_trade_id: TradeId


class _Ticker(msgspec.Struct, tag_field="type", tag="ticker", gc=False):
    product_id: str
    price: float
    best_bid: float = nan
    best_ask: float = nan
    best_bid_size: float = nan
    best_ask_size: float = nan
    time: str = ""


class _Channel(msgspec.Struct):
    name: str
    product_ids: list[str] = []


class _Subscriptions(msgspec.Struct, tag_field="type", tag="subscriptions"):
    channels: list[_Channel] = []


class _Error(msgspec.Struct, tag_field="type", tag="error"):
    message: str = ""
    reason: str = ""


class _Envelope(msgspec.Struct):
    type: str


_NOT_ASKED_FOR: Final = frozenset({
    "snapshot", "l2update", "received", "open", "done", "change", "activate", "status", "auction", "rfq_match", "full",
    "level3",
})  # fmt: skip

_decode = msgspec.json.Decoder(
    _Match | _LastMatch | _Heartbeat | _Ticker | _Subscriptions | _Error, strict=False
).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode


class CoinbaseParser:
    """Reads one connection's frames, one message each."""

    __slots__ = ("_routes", "_stamp")

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._stamp = StampReader().read

    def parse(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        """See `sources.feed.Parser`."""
        try:
            message = _decode(frame)
        except READ_ERRORS as error:
            _explain(frame, error, out)
            return
        if isinstance(message, _Subscriptions):
            for channel in message.channels:
                out.notes.append(("subscribed", f"{channel.name} {' '.join(channel.product_ids)}".strip()))
        elif isinstance(message, _Error):
            out.notes.append(("refused", f"{message.message}: {message.reason}".strip(": ")))
        else:
            self._about_product(message, received_time, out, frame)

    def _about_product(
        self,
        message: _Match | _LastMatch | _Heartbeat | _Ticker,
        received_time: int,
        out: Parsed,
        frame: str | bytes,
    ) -> None:
        stream = self._routes.stream(message.product_id)
        if stream is None:
            refuse(out, f"coinbase product {message.product_id!r} is not subscribed", frame, "symbol")
            return
        if isinstance(message, _Heartbeat):
            out.last_ids.append((stream, message.last_trade_id))
            return
        if isinstance(message, _LastMatch):
            out.last_ids.append((stream, message.trade_id))
            return
        try:
            event_time = self._stamp(message.time) if message.time else received_time
        except StampError as error:
            refuse(out, error, frame, "stamp")
            return
        if isinstance(message, _Match):
            if not message.time:
                refuse(out, "coinbase match has no time", frame, "stamp")
            elif not finite(message.price, message.size):
                refuse(out, "coinbase match has a number that is not finite", frame, "number")
            else:
                side = SELL if message.side == "buy" else BUY
                out.ticks.append(
                    (event_time, received_time, message.price, message.size, message.trade_id, 1, stream, side, 0)
                )
            return
        numbers = (message.price, message.best_bid, message.best_ask, message.best_bid_size, message.best_ask_size)
        last, bid, ask, bid_size, ask_size = (number if finite(number) else nan for number in numbers)
        out.quotes.append((event_time, received_time, last, bid, ask, bid_size, ask_size, stream, OPEN, 0, 0))


def _explain(frame: str | bytes, first: Exception, out: Parsed) -> None:
    """Tell a message of a channel that was not asked for, which is nothing, from one that cannot be read."""
    try:
        message = _decode_envelope(frame)
    except READ_ERRORS as error:
        refuse(out, error, frame)
        return
    if message.type in {"match", "last_match", "heartbeat", "ticker", "subscriptions", "error"}:
        refuse(out, first, frame)
    elif message.type not in _NOT_ASKED_FOR:
        refuse(out, f"coinbase message type {message.type!r} is not known", frame, "unknown")


class CoinbaseFeed(VenueFeed):
    """Coinbase's matches; trade ids rise by one for each product."""

    name = "coinbase"
    exchange: str | None = "COINBASE"
    kind = FeedKind.TRADES
    contiguous_ids = True

    def __init__(
        self,
        *,
        urls: Sequence[str] = ("wss://ws-feed.exchange.coinbase.com",),
        limits: Limits = LIMITS,
        quotes: bool = True,
    ) -> None:
        """Set up the feed; nothing is connected.

        Args:
            urls: Addresses in the order to try them.
            limits: What the venue allows.
            quotes: Subscribe to the best bid and ask as well; they come with each match.
        """
        self.limits = limits
        self._urls = tuple(urls)
        self._channels = ("matches", "heartbeat", "ticker") if quotes else ("matches", "heartbeat")

    def heartbeat(self) -> str:
        """The venue needs none: its own heartbeat channel shows that the connection lives."""
        return ""

    def parser(self, streams: dict[Symbol, int], *, discover: bool = False) -> Parser:
        """See `sources.feed.Feed`; `discover` as in `sources.frames.Routes`."""
        return CoinbaseParser(Routes(streams, self.name, discover=discover))

    def _requests(self, kind: str, symbols: Sequence[Symbol]) -> list[str]:
        return [
            msgspec.json.encode(
                {"type": kind, "product_ids": [to_venue(s, self.name) for s in chunk], "channels": self._channels}
            ).decode()
            for chunk in chunks(symbols, self.limits.symbols_per_subscribe)
        ]
