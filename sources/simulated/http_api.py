"""The exchange over HTTP: its truth, its health, and the door for faults."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from market.errors import DeskError
from market.intervals import IntervalError, parse_interval
from market.symbols import SymbolError, parse_symbol
from sources.simulated.answers import Answer, whole
from sources.simulated.clients import Connection
from sources.simulated.exchange import Exchange
from sources.simulated.history import History
from sources.simulated.history_api import HistoryApi, status_of
from sources.simulated.listing import EXCHANGE
from sources.simulated.official_bars import official_bars
from sources.simulated.tape import Fate
from sources.simulated.truth import LAST_BIT

LIMIT: Final = 100_000
"""Ticks in one answer, unless fewer are asked for."""
TICK_COLUMNS: Final = ("trade_id", "event_time", "stamp", "price", "size", "side", "sent", "sent_to", "fate")
_CLOCKS: Final = ("event_time", "stamp")
_FOREVER: Final = np.iinfo(np.int64).max


class HttpApi:
    """The routes. `/truth/*` is read in a thread, so that a long answer holds up no trade."""

    def __init__(self, exchange: Exchange, history: History, history_per_minute: int = 0) -> None:
        """Serve an exchange.

        Args:
            exchange: What is asked about.
            history: Its past.
            history_per_minute: Pages of history in a minute; 0 without bound.
        """
        self._exchange = exchange
        self._history = HistoryApi(exchange, history, history_per_minute)

    async def answer(self, method: str, target: str, body: bytes) -> Answer:
        """Answer one request; never raises for what a client can send."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query))
        path = parts.path.rstrip("/")
        routes = {
            "/truth/ticks": self._ticks,
            "/truth/bars": self._bars,
            "/truth/summary": self._summary,
            "/health": self._health,
            "/control": self._faults,
        }
        pages = {
            "/history/symbols": self._history.symbols,
            "/history/klines": self._history.klines,
            "/history/trades": self._history.trades,
            "/truth/history": self._history.truth,
        }
        try:
            if method == "POST" and path == "/control":
                return self._control(body)
            if path not in {*routes, *pages}:
                return Answer.error(404, f"no such path {path or '/'}; there are {' '.join([*routes, *pages])}")
            if method != "GET":
                return Answer.error(405, f"{path} takes GET, not {method}")
            if path in pages:
                return await pages[path](query)
            route = routes[path]
            if path in {"/truth/ticks", "/truth/bars"}:
                return await asyncio.get_running_loop().run_in_executor(None, route, query)
            return route(query)
        except (DeskError, IntervalError, SymbolError) as error:
            return Answer.error(status_of(error), str(error))

    def _ticks(self, query: Mapping[str, str]) -> Answer:
        """Every tick made of one symbol, in order of id; `format=binary` gives `MADE` records."""
        code = self._code(query)
        after_id = whole(query, "after_id", 0)
        limit = min(whole(query, "limit", LIMIT), LIMIT) if query.get("format") != "binary" else _FOREVER
        records = self._exchange.truth.ticks(code, after_id, limit)
        if query.get("format") == "binary":
            return Answer(200, records.tobytes(), "application/octet-stream")
        rows = [
            [r[0], r[1], r[2], r[3], r[4], "buy" if r[6] > 0 else "sell", bool(r[5]), _connections(r[5]), _fate(r[7])]
            for r in records[["trade_id", "event_time", "stamp", "price", "size", "sent", "side", "flags"]].tolist()
        ]
        return Answer.of({"symbol": query["symbol"], "columns": TICK_COLUMNS, "rows": rows, "more": len(rows) == limit})

    def _bars(self, query: Mapping[str, str]) -> Answer:
        """Official bars of one symbol, of all ticks with a time in [start, end) (ns), sent or not."""
        code = self._code(query)
        interval = parse_interval(query.get("interval", "1m"))
        clock = query.get("clock", "event_time")
        if clock not in _CLOCKS:
            return Answer.error(400, f"clock {clock!r} is none of {' '.join(_CLOCKS)}")
        start, end = whole(query, "start", 0), whole(query, "end", _FOREVER)
        records = self._exchange.truth.between(code, start, end, clock)
        return Answer.of(
            {"symbol": query["symbol"], "interval": str(interval), "bars": official_bars(records, interval, clock)}
        )

    def _summary(self, _: Mapping[str, str]) -> Answer:
        """Counts by symbol, of the faults' doings, of pages of history, and of every connection."""
        exchange = self._exchange
        truth = exchange.truth
        symbols = {
            name: {"made": made, "sent": sent, "never_sent": made - sent}
            for name, made, sent in zip(truth.symbols, truth.made.tolist(), truth.sent.tolist(), strict=True)
        }
        made, sent = int(truth.made.sum()), int(truth.sent.sum())
        return Answer.of(
            {
                "made": made,
                "sent": sent,
                "never_sent": made - sent,
                "kept": len(truth) - truth.first_position,
                "symbols": symbols,
                "faults": exchange.counts,
                "history": self._history.served.summary(),
                "connections": [
                    _describe(connection)
                    for connection in (*exchange.clients.past, *exchange.clients.connected.values())
                ],
            },
        )

    def _health(self, _: Mapping[str, str]) -> Answer:
        exchange = self._exchange
        return Answer.of(
            {
                "status": "ok",
                "exchange": EXCHANGE,
                "start": exchange.start_ns,
                "now": exchange.clock.now_ns(),
                "behind_s": exchange.behind_ns / 1e9,
                "symbols": [str(instrument.symbol) for instrument in exchange.instruments],
                "connections": len(exchange.clients.connected),
                "made": exchange.counts["made"],
            },
        )

    def _faults(self, _: Mapping[str, str]) -> Answer:
        schedule = self._exchange.schedule
        return Answer.of(
            {
                "active": [str(fault.kind) for fault in schedule.active],
                "waiting": [str(f.kind) for f in schedule.waiting],
            },
        )

    def _control(self, body: bytes) -> Answer:
        try:
            given = json.loads(body)
        except ValueError as error:
            return Answer.error(400, f"/control takes a JSON object: {error}")
        return Answer.of(self._exchange.command(given))

    def _code(self, query: Mapping[str, str]) -> int:
        name = query.get("symbol", "")
        symbol = str(parse_symbol(name if ":" in name else f"{EXCHANGE}:{name}"))
        code = self._exchange.truth.index.get(symbol)
        if code is None:
            msg = f"{symbol} is not listed here; see /health"
            raise DeskError(msg)
        return code


def _describe(connection: Connection) -> dict[str, Any]:
    return {
        "connection": connection.number,
        "endpoint": connection.endpoint,
        "opened": connection.opened_ns,
        "closed": connection.closed_ns,
        "reason": connection.reason,
        "trades": connection.trades,
        "messages": connection.messages,
    }


def _connections(bits: int) -> list[int]:
    """Numbers of the connections in a record's `sent`; 63 stands for that one and all after it."""
    return [bit for bit in range(LAST_BIT + 1) if bits >> bit & 1] if bits else []


def _fate(flags: int) -> str:
    return "|".join(str(fate.name).lower() for fate in Fate if flags & fate)
