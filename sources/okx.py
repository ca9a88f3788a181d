"""OKX v5, public: trades, which the venue aggregates, and the best bid and ask.

Source: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-trades-channel. `side` is the taker's. One
report may stand for `count` trades of one taker at one price; its id is that of the last, so that the report before has
the id `tradeId - count`. Sizes of swaps and futures are contracts, turned into base units by the contract's value.
"""

from collections.abc import Mapping, Sequence
from math import nan
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from market.errors import DeskError
from market.spelling import to_venue
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import Aggressor, SessionState
from sources.feed import Limits, Parsed, Parser
from sources.frames import READ_ERRORS, Count, MillisOrMicros, Routes, TradeId, chunks, finite, refuse
from sources.stamps import LATEST_S
from sources.venue_feed import VenueFeed

BUY: Final = int(Aggressor.BUY)
SELL: Final = int(Aggressor.SELL)
OPEN: Final = int(SessionState.OPEN)

LIMITS: Final = Limits(
    symbols_per_connection=240,
    symbols_per_subscribe=60,
    messages_per_second=3.0,
    connect_interval_s=0.34,
    silence_s=30.0,
    symbol_silence_s=600.0,
    heartbeat_s=25.0,
    lifetime_s=None,
    max_frame_bytes=4 * 1024 * 1024,
)
"""Source: https://www.okx.com/docs-v5/en/#overview-websocket: 3 connects a second, 480 subscribe requests an hour and
connection, 64 KB a request, and the end of a connection on which nothing came for 30 s: the text `ping` is answered by
`pong`. Numbers of symbols are ours, within these."""

_NO_CONTRACTS: Final[Mapping[str, float]] = MappingProxyType({})


class _Trade(msgspec.Struct, gc=False):
    instId: str  # noqa: N815 - the venue's name
    tradeId: TradeId  # noqa: N815
    px: float
    sz: float
    side: Literal["buy", "sell"]
    ts: MillisOrMicros
    count: Count = 1


class _Ticker(msgspec.Struct, gc=False):
    """Numbers stay text: an empty one says that there is none."""

    instId: str  # noqa: N815
    ts: MillisOrMicros
    last: str = ""
    bidPx: str = ""  # noqa: N815
    askPx: str = ""  # noqa: N815
    bidSz: str = ""  # noqa: N815
    askSz: str = ""  # noqa: N815


class _Trades(msgspec.Struct, gc=False):
    data: list[_Trade]


class _Argument(msgspec.Struct):
    channel: str = ""
    instId: str = ""  # noqa: N815


class _Envelope(msgspec.Struct):
    """Any frame, read loosely."""

    arg: _Argument | None = None
    data: list[msgspec.Raw] = []
    event: str = ""
    code: str = ""
    msg: str = ""


_HEAD: Final = '{"arg":{"channel":"trades","instId":'
_HEAD_BYTES: Final = _HEAD.encode()
_EVENTS: Final = frozenset({"channel-conn-count", "login"})
_NOT_ASKED_FOR: Final = (
    "books", "bbo-tbt", "candle", "trades-all", "mark-price", "index-", "instruments", "funding-rate", "open-interest",
    "price-limit", "status", "estimated-price", "opt-summary", "option-trades", "liquidation-orders", "sprd-",
)  # fmt: skip

_decode_trades = msgspec.json.Decoder(_Trades, strict=False).decode
_decode_trade = msgspec.json.Decoder(_Trade, strict=False).decode
_decode_ticker = msgspec.json.Decoder(_Ticker, strict=False).decode
_decode_envelope = msgspec.json.Decoder(_Envelope, strict=False).decode


class OkxParser:
    """Reads one connection's frames."""

    __slots__ = ("_contracts", "_routes")

    def __init__(self, routes: Routes, contracts: Mapping[str, float]) -> None:
        self._routes = routes
        self._contracts = contracts

    def parse(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        """See `sources.feed.Parser`."""
        if frame in {"pong", b"pong"}:
            return
        if frame.startswith(_HEAD_BYTES if isinstance(frame, bytes) else _HEAD):  # type: ignore[arg-type]
            try:
                trades = _decode_trades(frame).data
            except READ_ERRORS:
                pass  # One trade of it may be at fault: the others are read below, one by one.
            else:
                for trade in trades:
                    self._trade(trade, received_time, out, frame)
                return
        self._read_loosely(frame, received_time, out)

    def _trade(self, trade: _Trade, received_time: int, out: Parsed, frame: str | bytes) -> None:
        stream = self._routes.stream(trade.instId)
        if stream is None:
            refuse(out, f"okx instrument {trade.instId!r} is not subscribed", frame, "symbol")
            return
        size = trade.sz if trade.instId.count("-") == 1 else self._base_units(trade)
        if size is None:
            refuse(out, f"okx contract value of {trade.instId} is not set, so its size is unknown", frame, "number")
        elif not finite(trade.px, size):
            refuse(out, "okx trade has a number that is not finite", frame, "number")
        elif trade.ts > LATEST_S * 1000:
            refuse(out, f"okx stamp {trade.ts} is beyond 2262", frame, "stamp")
        else:
            side = BUY if trade.side == "buy" else SELL
            event_time = trade.ts * 1_000_000
            out.ticks.append((event_time, received_time, trade.px, size, trade.tradeId, trade.count, stream, side, 0))

    def _base_units(self, trade: _Trade) -> float | None:
        """Contracts to base units: of a coin-margined contract (BTC-USD-SWAP) the value is in quote currency."""
        value = self._contracts.get(trade.instId)
        if value is None:
            return None
        if trade.instId.split("-")[1] == "USD":
            return trade.sz * value / trade.px if trade.px else None
        return trade.sz * value

    def _ticker(self, ticker: _Ticker, received_time: int, out: Parsed, frame: str | bytes) -> None:
        stream = self._routes.stream(ticker.instId)
        if stream is None:
            refuse(out, f"okx instrument {ticker.instId!r} is not subscribed", frame, "symbol")
            return
        if ticker.ts > LATEST_S * 1000:
            refuse(out, f"okx stamp {ticker.ts} is beyond 2262", frame, "stamp")
            return
        texts = (ticker.last, ticker.bidPx, ticker.askPx, ticker.bidSz, ticker.askSz)
        last, bid, ask, bid_size, ask_size = (_number(text) for text in texts)
        event_time = ticker.ts * 1_000_000
        out.quotes.append((event_time, received_time, last, bid, ask, bid_size, ask_size, stream, OPEN, 0, 0))

    def _read_loosely(self, frame: str | bytes, received_time: int, out: Parsed) -> None:
        try:
            message = _decode_envelope(frame)
        except READ_ERRORS as error:
            refuse(out, error, frame)
            return
        if message.event:
            self._told(message, out, frame)
            return
        channel = message.arg.channel if message.arg else ""
        if channel not in {"trades", "tickers"}:
            if not channel or not channel.startswith(_NOT_ASKED_FOR):
                refuse(out, f"okx channel {channel!r} is not known", frame, "unknown")
            return
        for item in message.data:
            part = bytes(item)
            try:
                if channel == "trades":
                    self._trade(_decode_trade(part), received_time, out, part)
                else:
                    self._ticker(_decode_ticker(part), received_time, out, part)
            except READ_ERRORS as error:
                refuse(out, error, part)

    @staticmethod
    def _told(message: _Envelope, out: Parsed, frame: str | bytes) -> None:
        about = f"{message.arg.channel} {message.arg.instId}".strip() if message.arg else ""
        if message.event in {"subscribe", "unsubscribe"}:
            out.notes.append((f"{message.event}d", about))
        elif message.event == "error":
            out.notes.append(("refused", f"okx answers {message.code}: {message.msg} {about}".strip()))
        elif message.event == "notice":
            out.notes.append(("maintenance", f"okx announces {message.code}: {message.msg}"))
            # 64008: this connection will be closed for an upgrade within a minute; others stand.
            out.reconnect = out.reconnect or message.code == "64008"
        elif message.event not in _EVENTS:
            refuse(out, f"okx event {message.event!r} is not known", frame, "unknown")


def _number(text: str) -> float:
    """A ticker's number; NaN where there is none."""
    try:
        number = float(text)
    except ValueError:
        return nan
    return number if finite(number) else nan


class OkxFeed(VenueFeed):
    """OKX's trades: ids rise by the count of trades in each report."""

    name = "okx"
    exchange: str | None = "OKX"
    kind = FeedKind.TRADES
    contiguous_ids = True

    def __init__(
        self,
        *,
        urls: Sequence[str] = ("wss://ws.okx.com:8443/ws/v5/public",),
        limits: Limits = LIMITS,
        quotes: bool = True,
        contracts: Mapping[str, float] = _NO_CONTRACTS,
    ) -> None:
        """Set up the feed; nothing is connected.

        Args:
            urls: Addresses in the order to try them.
            limits: What the venue allows.
            quotes: Subscribe to the best bid and ask as well.
            contracts: Value of one contract (`ctVal` of the venue's instruments) by its name, `BTC-USDT-SWAP`: in base
                units, or in US dollars where the contract is margined in coins.
        """
        self.limits = limits
        self._urls = tuple(urls)
        self._channels = ("trades", "tickers") if quotes else ("trades",)
        self._contracts = dict(contracts)

    def subscribe(self, symbols: Sequence[Symbol]) -> list[str]:
        """See `sources.feed.Feed`.

        Raises:
            DeskError: A symbol is a contract whose value was not given: its volume would be wrong by that factor.
        """
        for symbol in symbols:
            name = to_venue(symbol, self.name)
            if name.count("-") > 1 and name not in self._contracts:
                msg = (
                    f"symbol {symbol} is traded in contracts; set the value of one (ctVal) in the settings: "
                    f'`[okx_contracts]` and `"{name}" = 0.01`, or what it is'
                )
                raise DeskError(msg)
        return self._requests("subscribe", symbols)

    def heartbeat(self) -> str:
        """Plain text, as is the answer."""
        return "ping"

    def parser(self, streams: dict[Symbol, int], *, discover: bool = False) -> Parser:
        """See `sources.feed.Feed`; `discover` as in `sources.frames.Routes`."""
        return OkxParser(Routes(streams, self.name, discover=discover), self._contracts)

    def _requests(self, op: str, symbols: Sequence[Symbol]) -> list[str]:
        frames = []
        for chunk in chunks(symbols, self.limits.symbols_per_subscribe):
            names = [to_venue(symbol, self.name) for symbol in chunk]
            args = [{"channel": channel, "instId": name} for name in names for channel in self._channels]
            frames.append(msgspec.json.encode({"op": op, "args": args}).decode())
        return frames
