"""The server's side of Kraken's WebSocket protocol v2: acknowledgements, trades, tickers, heartbeats, status.

Source: https://docs.kraken.com/api/docs/websocket-v2/trade, .../ticker, .../ping, .../status, .../heartbeat
"""

import json
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sources.simulated.listing import Instrument
from sources.simulated.quote_board import QuoteBoard

SNAPSHOT_TRADES: Final = 50
"""Trades of a symbol in the snapshot after a subscription."""
CHANNELS: Final = ("trade", "ticker")
HEARTBEAT_S: Final = 1.0
HEARTBEAT: Final = b'{"channel":"heartbeat"}'
_ORDER_TYPES: Final = ("limit", "market")
_SIDES: Final = {1: "buy", -1: "sell"}


def rfc3339(time_ns: int) -> str:
    """A time as Kraken writes it, to the microsecond.

    >>> rfc3339(1_700_000_000_123_456_000)
    '2023-11-14T22:13:20.123456Z'
    """
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{_whole(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=256)
def _whole(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class KrakenWriter:
    """Writes trades and tickers of all symbols, from one template a symbol: half of what a server of trades costs."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._trades = [
            f'{{"symbol":"{i.pair}","side":"%s","price":%.{i.decimals}f,"qty":%.8f,'
            '"ord_type":"%s","trade_id":%d,"timestamp":"%s"}'
            for i in instruments
        ]
        self._tickers = [
            f'{{"symbol":"{i.pair}","bid":%.{i.decimals}f,"bid_qty":%.8f,"ask":%.{i.decimals}f,"ask_qty":%.8f,'
            f'"last":%.{i.decimals}f,"volume":%.8f,"vwap":%.{i.decimals + 1}f,"low":%.{i.decimals}f,'
            f'"high":%.{i.decimals}f,"change":%.{i.decimals}f,"change_pct":%.2f,"timestamp":"%s"}}'
            for i in instruments
        ]

    def trades(self, records: NDArray[np.void]) -> list[str]:
        """One JSON object a trade, in order."""
        stamps = records["stamp"].tolist()
        if stamps.count(stamps[0]) == len(stamps):
            times = [rfc3339(stamps[0])] * len(stamps)
        else:
            times = list(map(rfc3339, stamps))
        templates = self._trades
        return [
            templates[symbol] % (_SIDES[side], price, size, _ORDER_TYPES[trade_id & 1], trade_id, stamp)
            for symbol, side, price, size, trade_id, stamp in zip(
                records["symbol"].tolist(),
                records["side"].tolist(),
                records["price"].tolist(),
                records["size"].tolist(),
                records["trade_id"].tolist(),
                times,
                strict=True,
            )
        ]

    def trade_frames(self, records: NDArray[np.void], per_frame: int, kind: str = "update") -> list[bytes]:
        """Messages with up to `per_frame` trades each, in order; `kind` is update or snapshot."""
        head = f'{{"channel":"trade","type":"{kind}","data":['
        trades = self.trades(records)
        if per_frame == 1:
            return [f"{head}{trade}]}}".encode() for trade in trades]
        return [
            f"{head}{','.join(trades[place : place + per_frame])}]}}".encode()
            for place in range(0, len(trades), per_frame)
        ]

    def ticker_frame(self, board: QuoteBoard, symbols: Sequence[int], now_ns: int, kind: str = "update") -> bytes:
        """One message with the ticker of each of `symbols`, all of which have traded."""
        stamp = rfc3339(now_ns)
        parts = []
        for symbol in symbols:
            last = float(board.last[symbol])
            volume = float(board.day_volume[symbol])
            opened = float(board.day_open[symbol])
            if volume == 0:
                # A new day in which it has not traded yet.
                opened = low = high = vwap = last
            else:
                low, high = float(board.day_low[symbol]), float(board.day_high[symbol])
                vwap = float(board.day_notional[symbol]) / volume
            parts.append(
                self._tickers[symbol]
                % (
                    board.bid[symbol],
                    board.bid_size[symbol],
                    board.ask[symbol],
                    board.ask_size[symbol],
                    last,
                    volume,
                    vwap,
                    low,
                    high,
                    last - opened,
                    100 * (last - opened) / opened,
                    stamp,
                ),
            )
        return f'{{"channel":"ticker","type":"{kind}","data":[{",".join(parts)}]}}'.encode()


class KrakenSession:
    """One client's subscriptions."""

    def __init__(self, instruments: Sequence[Instrument], number: int) -> None:
        self._number = number
        self._places = {instrument.pair: place for place, instrument in enumerate(instruments)}
        self.subscribed = {channel: np.zeros(len(instruments), np.bool_) for channel in CHANNELS}
        """By channel: which symbols."""
        self.snapshots: list[tuple[str, int]] = []
        """(channel, symbol) of snapshots that the client asked for; whoever sends them empties the list."""
        self.sent_ns = 0
        """When anything was last sent, for the heartbeat."""

    @property
    def listening(self) -> bool:
        """Whether anything is subscribed: only then are there heartbeats."""
        return any(bool(mask.any()) for mask in self.subscribed.values())

    def status(self, system: str = "online") -> bytes:
        """The status message: the first on a connection, and again when the venue's state changes."""
        data = {"version": "2.0.10", "system": system, "api_version": "v2", "connection_id": 10_000_000 + self._number}
        return json.dumps({"channel": "status", "type": "update", "data": [data]}, separators=(",", ":")).encode()

    def receive(self, text: str, now_ns: int) -> list[bytes]:
        """Answer one message; never raises."""
        try:
            request = json.loads(text)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return [self._answer({"method": "error", "error": "Malformed request", "success": False}, {}, now_ns)]
        method = request.get("method")
        if method == "ping":
            return [self._answer({"method": "pong"}, request, now_ns)]
        params = request.get("params")
        if method not in {"subscribe", "unsubscribe"} or not isinstance(params, dict):
            answer = {"method": str(method), "error": "Unsupported method", "success": False}
            return [self._answer(answer, request, now_ns)]
        channel = params.get("channel")
        symbols = params.get("symbol")
        if channel not in CHANNELS:
            answer = {"method": method, "error": f"Channel not supported {channel}", "success": False}
            return [self._answer(answer, request, now_ns)]
        if not isinstance(symbols, list) or not symbols or not all(isinstance(name, str) for name in symbols):
            answer = {"method": method, "error": "Field symbol must be a list", "success": False}
            return [self._answer(answer, request, now_ns)]
        return [
            self._answer(self._change(str(method), channel, name, params), request, now_ns)
            for name in dict.fromkeys(symbols)
        ]

    def _change(self, method: str, channel: str, name: str, params: dict[str, Any]) -> dict[str, Any]:
        """Subscribe or unsubscribe one symbol; Kraken acknowledges each on its own."""
        failed = {"method": method, "success": False, "symbol": name}
        place = self._places.get(name)
        if place is None:
            return failed | {"error": f"Currency pair not supported {name}"}
        mask = self.subscribed[channel]
        result: dict[str, Any] = {"channel": channel, "symbol": name}
        if method == "unsubscribe":
            if not mask[place]:
                return failed | {"error": "Subscription Not Found"}
            mask[place] = False
            return {"method": method, "result": result, "success": True}
        if mask[place]:
            return failed | {"error": "Already subscribed"}
        mask[place] = True
        # Trades come without a snapshot unless it is asked for, tickers with one unless it is declined.
        snapshot = params.get("snapshot", channel == "ticker") is True
        if snapshot:
            self.snapshots.append((channel, place))
        result["snapshot"] = snapshot
        if channel == "ticker":
            result["event_trigger"] = params.get("event_trigger", "trades")
        return {"method": method, "result": result, "success": True}

    @staticmethod
    def _answer(answer: dict[str, Any], request: dict[str, Any], now_ns: int) -> bytes:
        if "req_id" in request:
            answer["req_id"] = request["req_id"]
        answer["time_in"] = answer["time_out"] = rfc3339(now_ns)
        return json.dumps(answer, separators=(",", ":")).encode()
