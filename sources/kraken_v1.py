"""Kraken spot, WebSocket v1: arrays with numbers as text and no trade ids. Frozen by the venue; it serves recordings.

Source: https://docs.kraken.com/exchange/api-reference/spot-websocket-v1/trade: `[channelID, [[price, volume, time,
side, orderType, misc], ...], "trade", "XBT/USD"]`; the side is the taker's, `b` or `s`.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from market.spelling import to_venue
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import Aggressor, SessionState
from sources.feed import Limits, Parsed, Parser
from sources.frames import READ_ERRORS, Routes, chunks, finite, refuse
from sources.kraken import LIMITS
from sources.stamps import StampError, epoch_ns
from sources.venue_feed import VenueFeed

BUY: Final = int(Aggressor.BUY)
SELL: Final = int(Aggressor.SELL)
OPEN: Final = int(SessionState.OPEN)


class _Trade(msgspec.Struct, array_like=True, gc=False):
    price: float
    volume: float
    time: str
    side: Literal["b", "s"]


class _Ticker(msgspec.Struct):
    a: tuple[float, float, float]
    b: tuple[float, float, float]
    c: tuple[float, float]


class _Subscription(msgspec.Struct):
    name: str = ""


class _Event(msgspec.Struct):
    event: str
    status: str = ""
    pair: str = ""
    errorMessage: str = ""  # noqa: N815 - the venue's name
    subscription: _Subscription | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_trade = msgspec.json.Decoder(_Trade, strict=False).decode
_decode_ticker = msgspec.json.Decoder(_Ticker, strict=False).decode


class KrakenV1Parser:
    """Reads one connection's frames, item by item: recordings are short."""

    __slots__ = ("_routes",)

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def parse(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        """See `sources.feed.Parser`."""
        try:
            if frame[:1] in {"[", b"["}:
                self._channel(_decode_array(frame), received_time, out, frame)
            else:
                self._event(_decode_event(frame), out, frame)
        except READ_ERRORS as error:
            refuse(out, error, frame)

    def _channel(self, parts: list[msgspec.Raw], received_time: int, out: Parsed, frame: str | bytes) -> None:
        if len(parts) < 4:
            refuse(out, f"kraken array has {len(parts)} parts, not 4", frame, "shape")
            return
        channel, pair = _decode_text(parts[-2]), _decode_text(parts[-1])
        if channel not in {"trade", "ticker"}:
            if not channel.startswith(("book", "ohlc", "spread")):
                refuse(out, f"kraken channel {channel!r} is not known", frame, "unknown")
            return
        stream = self._routes.stream(pair)
        if stream is None:
            refuse(out, f"kraken pair {pair!r} is not subscribed", frame, "symbol")
        elif channel == "trade":
            for row in _decode_rows(parts[1]):
                _read_trade(bytes(row), stream, received_time, out)
        else:
            ticker = _decode_ticker(parts[1])
            numbers = (ticker.c[0], ticker.b[0], ticker.a[0], ticker.b[2], ticker.a[2])
            if not finite(*numbers):
                refuse(out, "kraken ticker has a number that is not finite", frame, "number")
                return
            last, bid, ask, bid_size, ask_size = numbers
            out.quotes.append((received_time, received_time, last, bid, ask, bid_size, ask_size, stream, OPEN, 0, 0))

    @staticmethod
    def _event(event: _Event, out: Parsed, frame: str | bytes) -> None:
        channel = event.subscription.name if event.subscription else ""
        if event.event == "subscriptionStatus" and event.status == "error":
            out.notes.append(("refused", f"{event.pair} {event.errorMessage}".strip()))
        elif event.event == "subscriptionStatus":
            out.notes.append((event.status or "subscribed", f"{channel} {event.pair}".strip()))
        elif event.event == "systemStatus":
            out.notes.append(("status" if event.status == "online" else "maintenance", f"kraken is {event.status}"))
        elif event.event == "error":
            out.notes.append(("refused", event.errorMessage))
        elif event.event not in {"heartbeat", "pong"}:
            refuse(out, f"kraken event {event.event!r} is not known", frame, "unknown")


def _read_trade(row: bytes, stream: int, received_time: int, out: Parsed) -> None:
    try:
        trade = _decode_trade(row)
        event_time = epoch_ns(trade.time)
    except StampError as error:
        refuse(out, error, row, "stamp")
        return
    except READ_ERRORS as error:
        refuse(out, error, row)
        return
    if not finite(trade.price, trade.volume):
        refuse(out, "kraken trade has a number that is not finite", row, "number")
        return
    side = BUY if trade.side == "b" else SELL
    out.ticks.append((event_time, received_time, trade.price, trade.volume, -1, 1, stream, side, 0))


class KrakenV1Feed(VenueFeed):
    """Kraken's old protocol. Without trade ids a loss cannot be seen, so live feeds use v2."""

    name = "kraken_v1"
    exchange: str | None = "KRAKEN"
    kind = FeedKind.TRADES
    contiguous_ids = False

    def __init__(self, *, urls: Sequence[str] = ("wss://ws.kraken.com",), limits: Limits = LIMITS) -> None:
        """Set up the feed; nothing is connected.

        Args:
            urls: Addresses in the order to try them.
            limits: What the venue allows.
        """
        self.limits = limits
        self._urls = tuple(urls)

    def heartbeat(self) -> str:
        """The venue answers with a pong."""
        return '{"event":"ping"}'

    def parser(self, streams: dict[Symbol, int], *, discover: bool = False) -> Parser:
        """See `sources.feed.Feed`; `discover` as in `sources.frames.Routes`."""
        return KrakenV1Parser(Routes(streams, self.name, discover=discover))

    def _requests(self, event: str, symbols: Sequence[Symbol]) -> list[str]:
        return [
            msgspec.json.encode(
                {"event": event, "pair": [to_venue(s, self.name) for s in chunk], "subscription": {"name": channel}}
            ).decode()
            for chunk in chunks(symbols, self.limits.symbols_per_subscribe)
            for channel in ("trade", "ticker")
        ]
