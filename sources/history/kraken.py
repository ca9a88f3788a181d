"""Kraken spot: the newest 720 candles of an interval, and every trade ever made, without a key.

Source: https://docs.kraken.com/api/docs/rest-api/get-ohlc-data. A candle is `[start s, open, high, low, close, vwap,
volume, trades]`, oldest first; the last one is still open and always there; 720 at most, whatever `since` says. A time
without trades comes as a candle of the last close with 0 trades. Its weeks are counted from 1970, a Thursday, and so
are none of ours. Prices are as they traded, volume is in base units. The notional is its vwap times its volume.
"""

from collections.abc import Iterator
from typing import Any, Final

from market.intervals import Interval
from market.spelling import to_venue
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.http_caller import Answer, Busy, HttpCaller
from sources.history.provider import BadAnswer, Means, NotOffered, Page, ProviderAway, ProviderError, Terms, TradePage
from sources.history.request import BarRequest, Progress, bar_request, moment_text, venue_name
from sources.history.rows import BarPages, Row, read_rows, shown
from sources.history.trade_rows import TradePages, TradeRow
from sources.stamps import epoch_ns

URL: Final = "https://api.kraken.com"

MINUTES: Final = {
    Interval.M1: 1,
    Interval.M5: 5,
    Interval.M15: 15,
    Interval.M30: 30,
    Interval.H1: 60,
    Interval.H4: 240,
    Interval.D1: 1440,
}
"""Minutes of a candle by interval."""

CANDLES: Final = 720
TERMS: Final = Terms(
    intervals=frozenset(MINUTES),
    page_bars=CANDLES,
    per_second=1.0,
    max_bars=CANDLES,
    counts_trades=True,
    has_trades=True,
)
"""Source: as above; https://support.kraken.com/articles/206548367: about one public call a second and address."""

_SECOND_NS: Final = 10**9
_PAGE_TRADES: Final = 1000
_BUSY: Final = ("EAPI:Rate limit", "EGeneral:Too many requests", "EService:Throttled")
_AWAY: Final = ("EService:", "EGeneral:Internal error", "EGeneral:Temporary lockout")


class KrakenHistory:
    """See `sources.history.provider.TradeProvider`."""

    name = "kraken"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected. No key is wanted, and one that is given is not sent."""
        del key, secret
        self._means = means
        self._caller = HttpCaller(self.name, means, (url or URL,), judge=_judge)

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """See `sources.history.provider.Provider`: one page.

        Raises:
            NotOffered: What was asked for reaches further back than its candles do; after the page of those it has.
        """
        now = self._means.now_ns()
        request = bar_request(self.name, self.terms, now, symbol, interval, start, end, count, venue=self.name)
        return iter(()) if request.empty else self._candles(request)

    def trades(self, symbol: Symbol, start: int, end: int) -> Iterator[TradePage]:
        """Each trade, oldest first, a thousand an answer."""
        venue_name(symbol, self.name)
        pages, progress = TradePages(start, end), Progress(self.name)
        # `since` leaves out the trades at that very moment.
        since, seen = start - 1, -1
        end = min(end, self._means.now_ns())
        while since < end - 1:
            value, answer = self._ask("Trades", symbol, {"since": max(since, 0), "count": _PAGE_TRADES})
            rows, bad = read_rows(self.name, value, _read_trade)
            yield pages.page(rows, bad)
            newest = max((row.trade_id for row in rows), default=-1)
            last = _last(answer)
            if newest > seen and last > since + 1:
                # One less than the last: of trades in the same nanosecond some may not have found room on this page,
                # and the ids tell which were given before.
                since, seen = last - 1, newest
                progress.made()
            elif last > since + 1:
                # Trades without ids, or a page full of one nanosecond.
                since = last
                progress.made()
            elif progress.ends(empty=True):
                return

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _candles(self, request: BarRequest) -> Iterator[Page]:
        params = {"interval": MINUTES[request.interval]}
        if request.count is None:
            params["since"] = max(request.start // _SECOND_NS - 1, 0)
        value, answer = self._ask("OHLC", request.symbol, params)
        rows, bad = read_rows(self.name, value, _read_candle)
        pages = BarPages(request, quiet=True)
        yield pages.page(rows, answer.now_ns, bad)
        reach = min((row.start for row in rows), default=request.end)
        short = not pages.done if request.count is not None else reach > request.start
        if short and len(rows) + len(bad) >= CANDLES:
            msg = (
                f"kraken has only the newest {CANDLES} {request.interval} candles of {request.symbol}, none before "
                f"{moment_text(reach)}; its trades reach further back"
            )
            raise NotOffered(msg)

    def _ask(self, what: str, symbol: Symbol, params: dict[str, int]) -> tuple[Any, Answer]:
        # Bitcoin is XBT to its REST, as it was to its first WebSocket.
        pair = to_venue(symbol, "kraken_v1").replace("/", "")
        answer = self._caller.get(f"/0/public/{what}", {"pair": pair, **params})
        result = answer.value.get("result") if isinstance(answer.value, dict) else None
        named = [value for key, value in result.items() if key != "last"] if isinstance(result, dict) else []
        if len(named) != 1:
            msg = f"kraken answers with {shown(answer.value)} where one pair is expected; name another provider"
            raise BadAnswer(msg)
        return named[0], answer


def _judge(answer: Answer) -> ProviderError | Busy | None:
    """Its errors come with status 200, as texts such as `EQuery:Unknown asset pair`."""
    errors = answer.value.get("error") if isinstance(answer.value, dict) else None
    if not isinstance(errors, list):
        return None
    texts = [text for text in errors if isinstance(text, str) and text.startswith("E")]
    told = " ".join(texts)
    if not texts:
        return None
    if told.startswith(_BUSY):
        return Busy(f"kraken says {told}")
    if told.startswith(_AWAY):
        return ProviderAway(f"it says {told}")
    return NotOffered(f"kraken does not have that: {told}; check the symbol, or name another provider")


def _last(answer: Answer) -> int:
    try:
        return int(answer.value["result"]["last"])
    except (LookupError, TypeError, ValueError) as error:
        msg = "kraken answers without the id of the last trade; try later, or name another provider"
        raise BadAnswer(msg) from error


def _read_candle(item: Any) -> Row:
    stamp, opened, high, low, close, vwap, volume, trades = item
    if type(stamp) is not int or not 0 <= stamp < 2**33:
        msg = f"{stamp!r} is no stamp"
        raise ValueError(msg)
    return Row(stamp * _SECOND_NS, opened, high, low, close, volume, float(vwap) * float(volume), trades)


def _read_trade(item: Any) -> TradeRow:
    price, size, stamp, side, _, _, *rest = item
    aggressor = {"b": Aggressor.BUY, "s": Aggressor.SELL}[side]
    return TradeRow(epoch_ns(str(stamp)), price, size, int(rest[0]) if rest else -1, int(aggressor))
