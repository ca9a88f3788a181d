"""The exchange's past over HTTP: `/history/symbols`, `/history/klines`, `/history/trades`, in pages, with faults."""

import asyncio
import math
from collections.abc import Mapping
from typing import Any, Final

from market.errors import DeskError
from market.intervals import MINUTE_NS, parse_interval
from market.symbols import parse_symbol
from sources.simulated.answers import Answer, whole
from sources.simulated.exchange import Exchange
from sources.simulated.faults import FaultKind
from sources.simulated.history import INTERVALS, Forgotten, History
from sources.simulated.history_pages import (
    BAR_COLUMNS,
    MS,
    TRADE_COLUMNS,
    Asked,
    Dealt,
    HistoryDice,
    Row,
    Served,
    alter,
    bar_rows,
    encode,
    trade_rows,
)
from sources.simulated.klines import records
from sources.simulated.listing import EXCHANGE, Instrument
from sources.simulated.synthetic import FIRST_DAY, LISTED_NS

BARS_MAX: Final = 1_000
TRADES_MAX: Final = 5_000
OVERLAP_ROWS: Final = 10


class NotHere(DeskError):  # noqa: N818  # A fact, not a defect.
    """It has no such symbol or interval: HTTP 404."""


class HistoryApi:
    """Serves pages. They are made in threads, so that a long one holds up no trade."""

    def __init__(self, exchange: Exchange, history: History, per_minute: int = 0) -> None:
        """Serve one exchange.

        Args:
            exchange: Its clock and its faults.
            history: Its past.
            per_minute: Requests that are answered in a minute of its clock; 0 without bound.
        """
        self.served = Served()
        self._exchange = exchange
        self._history = history
        self._dice = HistoryDice(exchange.seed)
        self._per_minute = per_minute
        self._minute = 0
        self._used = 0

    async def symbols(self, _: Mapping[str, str]) -> Answer:
        """What is listed, since when, and with which intervals."""
        return Answer.of(
            {
                "exchange": EXCHANGE,
                "intervals": [str(interval) for interval in INTERVALS],
                "page": BARS_MAX,
                "trades_page": TRADES_MAX,
                "symbols": [
                    {
                        "symbol": str(one.symbol),
                        "description": one.description,
                        "currency": one.currency,
                        "tick_size": f"{10.0**-one.decimals:.{one.decimals}f}",
                        "since": LISTED_NS // MS,
                    }
                    for one in self._exchange.instruments
                ],
            }
        )

    async def klines(self, query: Mapping[str, str]) -> Answer:
        """A page of bars: the oldest `limit` that start in `[start, end)`, or the newest with `order=desc`."""
        instrument = self._instrument(query)
        interval = parse_interval(query.get("interval", ""))
        if interval not in INTERVALS:
            msg = f"interval {interval} is not offered: build it from one of {' '.join(map(str, INTERVALS))}"
            raise NotHere(msg)
        self._exchange.pump()
        done_ns = self._exchange.done_ns
        # A bar that begins in this very moment has no trade yet.
        start, end = self._span(query, MS, done_ns + 1)
        limit = _limit(query, BARS_MAX)
        backwards = _backwards(query)
        asked = Asked(str(instrument.symbol), str(interval), start, end, backwards)
        refusal, dealt = await self._begin(asked)
        if refusal is not None:
            return refusal
        take = self._history.page_back if backwards else self._history.page
        page = await _in_thread(take, instrument, interval, start, end, limit)
        rows = bar_rows(page.bars, instrument, interval, done_ns)
        before: list[Row] = []
        if FaultKind.HISTORY_OVERLAP in dealt.kinds:
            begin, upto = (page.end, done_ns + 1) if backwards else (LISTED_NS, page.start)
            other = (self._history.page if backwards else self._history.page_back)(
                instrument, interval, begin, max(begin, upto), OVERLAP_ROWS
            )
            before = bar_rows(other.bars, instrument, interval, done_ns)
        if backwards:
            rows, before = rows[::-1], before[::-1]
        following = page.start if backwards else page.end
        document = {
            "symbol": str(instrument.symbol),
            "interval": str(interval),
            "columns": BAR_COLUMNS,
            "bars": alter(rows, before, dealt),
            "now": done_ns,
            "next": following // MS if page.more else None,
        }
        if FaultKind.HISTORY_EMPTY in dealt.kinds:
            document["next"] = (end if backwards else start) // MS
        return self._finish(asked, dealt, document, page.start, page.end, len(page.bars.start))

    async def trades(self, query: Mapping[str, str]) -> Answer:
        """A page of trades: by time, `[start, end)` in ns and then `cursor`; or by `after_id`."""
        instrument = self._instrument(query)
        self._exchange.pump()
        done_ns = self._exchange.done_ns
        limit = _limit(query, TRADES_MAX)
        if "after_id" in query:
            after_id = whole(query, "after_id", 0)
            asked = Asked(str(instrument.symbol), "trades by id", after_id, 0, backwards=False)
            refusal, dealt = await self._begin(asked)
            if refusal is not None:
                return refusal
            trades = await _in_thread(self._history.trades_after, instrument, after_id, limit)
            last_id = int(trades["trade_id"][-1]) if len(trades) else after_id
            following = str(last_id) if len(trades) == limit else None
            document = self._trades_document(
                instrument, trade_rows(trades, instrument), [], following, dealt, str(after_id)
            )
            return self._finish(asked, dealt, document, after_id, last_id, len(trades))
        start, end = self._span(query, 1, done_ns + 1)
        time, _, skip = query.get("cursor", f"{start}-0").partition("-")
        if not (time.isdecimal() and skip.isdecimal()):
            msg = f"cursor is what an answer says in next, got {query['cursor']!r}"
            raise DeskError(msg)
        at = (int(time), int(skip))
        asked = Asked(str(instrument.symbol), "trades", at[0], end, backwards=False)
        refusal, dealt = await self._begin(asked)
        if refusal is not None:
            return refusal
        page = await _in_thread(self._history.trades, instrument, *at, end, limit)
        before = []
        if FaultKind.HISTORY_OVERLAP in dealt.kinds:
            earlier = self._history.all_trades(instrument, at[0] - MINUTE_NS, at[0])
            before = trade_rows(earlier[-OVERLAP_ROWS:], instrument)
        following = None if page.next is None else f"{page.next[0]}-{page.next[1]}"
        document = self._trades_document(
            instrument, trade_rows(page.trades, instrument), before, following, dealt, f"{at[0]}-{at[1]}"
        )
        return self._finish(asked, dealt, document, at[0], end if page.next is None else page.next[0], len(page.trades))

    async def truth(self, query: Mapping[str, str]) -> Answer:
        """Bars as `KLINE` records, without faults and uncounted: start in `[start, end)` (ns), any of 13 intervals."""
        instrument = self._instrument(query)
        interval = parse_interval(query.get("interval", ""))
        self._exchange.pump()
        start, end = whole(query, "start", 0), min(whole(query, "end", 2**62), self._exchange.done_ns + 1)
        bars = await _in_thread(self._history.bars, instrument, interval, start, end)
        return Answer(200, records(bars, interval).tobytes(), "application/octet-stream")

    def _instrument(self, query: Mapping[str, str]) -> Instrument:
        name = query.get("symbol", "")
        symbol = str(parse_symbol(name if ":" in name else f"{EXCHANGE}:{name}"))
        found = self._history.instrument(symbol)
        if found is None:
            msg = f"{symbol} is not listed here; see /history/symbols"
            raise NotHere(msg)
        return found

    def _span(self, query: Mapping[str, str], unit_ns: int, now_ns: int) -> tuple[int, int]:
        start = whole(query, "start", -(-LISTED_NS // unit_ns)) * unit_ns
        if start < LISTED_NS:
            msg = f"nothing was traded before {FIRST_DAY}, when the symbols were listed; start there"
            raise DeskError(msg)
        end = min(whole(query, "end", now_ns // unit_ns + 1) * unit_ns, now_ns)
        return start, max(start, end)

    async def _begin(self, asked: Asked) -> tuple[Answer | None, Dealt]:
        """Count a request, and refuse or delay it as the limit and the faults want."""
        counts = self.served.counts
        counts["requests"] += 1
        dealt = self._dice.deal(asked, self._exchange.schedule.active)
        wait_s = self._over_limit()
        refuse = dealt.kinds.get(FaultKind.HISTORY_REFUSE)
        if wait_s is not None or refuse is not None:
            counts["refused"] += 1
            status, seconds = (429, wait_s) if wait_s is not None else (refuse.status, refuse.seconds)  # type: ignore[union-attr]  # One of the two is there.
            answer = Answer.error(status, "too many requests" if status == 429 else "the exchange is not itself today")
            return answer._replace(headers=(("Retry-After", str(math.ceil(seconds))),)), dealt
        slow = dealt.kinds.get(FaultKind.HISTORY_SLOW)
        if slow is not None:
            await asyncio.sleep(slow.seconds)
        return None, dealt

    def _over_limit(self) -> float | None:
        """Seconds until there is room again, or None if there is."""
        if not self._per_minute:
            return None
        clock = self._exchange.clock
        minute = clock.now_ns() // MINUTE_NS
        if minute != self._minute:
            self._minute, self._used = minute, 0
        if self._used >= self._per_minute:
            return max(1.0, clock.seconds_until((minute + 1) * MINUTE_NS) or 0.0)
        self._used += 1
        return None

    @staticmethod
    def _trades_document(
        instrument: Instrument, rows: list[Row], before: list[Row], following: str | None, dealt: Dealt, here: str
    ) -> dict[str, Any]:
        return {
            "symbol": str(instrument.symbol),
            "columns": TRADE_COLUMNS,
            "trades": alter(rows, before, dealt),
            "next": here if FaultKind.HISTORY_EMPTY in dealt.kinds else following,
        }

    def _finish(self, asked: Asked, dealt: Dealt, document: dict[str, Any], start: int, end: int, rows: int) -> Answer:
        body = encode(document, dealt)
        reset = FaultKind.HISTORY_RESET in dealt.kinds
        if dealt.whole:
            self.served.whole(asked, start, end, rows, altered=bool(dealt.kinds))
        else:
            self.served.counts["spoiled"] += 1
        headers = (("X-Used-Weight", str(self._used)),) if self._per_minute else ()
        return Answer(200, body, headers=headers, reset=reset)


async def _in_thread(function: Any, *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


def _limit(query: Mapping[str, str], most: int) -> int:
    limit = whole(query, "limit", most)
    if not 1 <= limit <= most:
        msg = f"limit is 1 to {most}, got {limit}"
        raise DeskError(msg)
    return limit


def _backwards(query: Mapping[str, str]) -> bool:
    order = query.get("order", "asc")
    if order not in {"asc", "desc"}:
        msg = f"order is asc or desc, got {order!r}"
        raise DeskError(msg)
    return order == "desc"


def status_of(error: Exception) -> int:
    """HTTP status of a mistake in a request."""
    if isinstance(error, NotHere):
        return 404
    return 410 if isinstance(error, Forgotten) else 400
