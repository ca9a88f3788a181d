"""Alpaca: bars of US stocks from the tape of all exchanges, since 2016. Wants a key and its secret, which are free.

Source: https://docs.alpaca.markets/reference/stockbars. A bar is `{t, o, h, l, c, v, n, vw}`; `t` is its start in UTC,
of a daily bar the midnight of New York; `start` and `end` are both inclusive; the newest bar may still be open. Bars of
the whole day from 4:00 to 20:00 come, of which the regular session is kept. Prices are asked for `raw`, as they traded;
volume is in shares; the notional is `vw` times `v`.

Without a paid plan the last fifteen minutes are not to be had, and no bar is official before they have passed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from market.intervals import Interval
from market.symbols import Symbol
from sources.history.http_caller import Answer, Busy, HttpCaller
from sources.history.provider import BadAnswer, KeyRefused, Means, NoKey, NotOffered, Page, ProviderError, Terms, Window
from sources.history.request import BarRequest, Progress, bar_request, moment_text
from sources.history.rows import BarPages, Row, read_rows, shown
from sources.history.us_stocks import DELAY_NS, new_york, settled, start_of, us_ticker
from sources.stamps import StampReader

URL: Final = "https://data.alpaca.markets"

TIMEFRAMES: Final = {
    Interval.M1: "1Min",
    Interval.M3: "3Min",
    Interval.M5: "5Min",
    Interval.M15: "15Min",
    Interval.M30: "30Min",
    Interval.D1: "1Day",
}
"""Longer intraday bars are cut by the clock, at full hours, and so are none of ours: a session opens at 9:30.
Source: https://forum.alpaca.markets/t/14632."""

TERMS: Final = Terms(
    intervals=frozenset(TIMEFRAMES),
    page_bars=10_000,
    windows=(Window(60, 200),),
    per_second=3.0,
    counts_trades=True,
)
"""Source: https://docs.alpaca.markets/docs/about-market-data-api: 200 calls a minute on the free plan."""

FIRST_NS: Final = int(datetime(2016, 1, 1, tzinfo=UTC).timestamp()) * 10**9
"""Source: as above, "historical data since 2016"."""

_DAY_NS: Final = 86_400 * 10**9
_NEAR_NS: Final = 14 * _DAY_NS
_WHOLE_DAY: Final = 3
"""Rows of the whole day for one of the regular session, with room to spare."""


class AlpacaHistory:
    """See `sources.history.provider.Provider`."""

    name = "alpaca"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet.

        Raises:
            NoKey: The key or its secret is missing.
        """
        self._means = means
        self._caller = alpaca_caller(means, key, secret, url)
        self._stamp = StampReader().read

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """See `sources.history.provider.Provider`: with a start oldest page first, with a count alone newest first.

        Raises:
            NotOffered: What was asked for begins before its history does; after the pages that there are.
        """
        now = self._means.now_ns()
        reach = now - DELAY_NS
        request = bar_request(self.name, self.terms, now, symbol, interval, start, reach if end is None else end, count)
        name = us_ticker(symbol, self.name, "alpaca")
        return iter(()) if request.empty else self._pages(request, name, min(request.end, reach))

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _pages(self, request: BarRequest, name: str, until: int) -> Iterator[Page]:
        pages, progress = BarPages(request), Progress(self.name)
        limit = self.terms.page_bars
        if request.count is not None:
            limit = min(limit, request.count * (_WHOLE_DAY if request.interval.intraday else 1))
        # A day is stamped with its midnight and starts for us at its open, so that a day more is asked for.
        early = 0 if request.interval.intraday else _DAY_NS
        since = max(request.start - early, FIRST_NS)
        params: dict[str, str | int] = {
            "symbols": name,
            "timeframe": TIMEFRAMES[request.interval],
            "start": moment_text(since),
            "end": moment_text(until - 1),
            "limit": limit,
            "adjustment": "raw",
            "feed": "sip",
            "sort": "asc" if request.count is None else "desc",
        }
        oldest = request.end
        while since < until:
            answer = self._caller.get("/v2/stocks/bars", params)
            rows, bad = read_rows(self.name, _bars(answer, name), lambda item: self._read(item, request))
            rows = settled(request, rows, answer.now_ns)
            yield pages.page(rows, answer.now_ns, bad)
            oldest = min((row.start for row in rows), default=oldest)
            token = next_token(answer)
            if pages.done or not token:
                break
            if token != params.get("page_token"):
                progress.made()
            elif progress.ends(empty=False):
                break
            params["page_token"] = token
        if request.start < FIRST_NS and request.count is None and oldest < FIRST_NS + _NEAR_NS:
            msg = (
                f"alpaca's history begins on {moment_text(FIRST_NS)[:10]}: there is nothing older of {request.symbol}; "
                "name another provider for what was before"
            )
            raise NotOffered(msg)

    def _read(self, item: Any, request: BarRequest) -> Row:
        start = self._stamp(item["t"])
        if not request.interval.intraday:
            start = start_of(request.symbol, request.interval, new_york(start).date())
        volume, notional = item["v"], item.get("vw")
        turnover = float("nan") if notional is None else float(notional) * float(volume)
        return Row(start, item["o"], item["h"], item["l"], item["c"], volume, turnover, item.get("n", 0))


def alpaca_caller(means: Means, key: str | None, secret: str | None, url: str | None) -> HttpCaller:
    """Calls with the two halves of a key.

    Raises:
        NoKey: One of them is missing.
    """
    for setting, value in (("KEY", key), ("SECRET", secret)):
        if not value:
            msg = (
                f"alpaca needs POCKETQUANT_PROVIDERS__ALPACA__{setting}, which is not set; "
                "set it, or name another provider"
            )
            raise NoKey(msg)
    return HttpCaller(
        "alpaca",
        means,
        (url or URL,),
        judge=lambda answer: _judge(answer, means.now_ns()),
        headers={"APCA-API-KEY-ID": key or "", "APCA-API-SECRET-KEY": secret or ""},
        hidden=(key or "", secret or ""),
        keyed=True,
    )


def next_token(answer: Answer) -> str:
    """What the next page is asked for with, empty after the last one."""
    return str(answer.value.get("next_page_token") or "")


def _judge(answer: Answer, now_ns: int) -> ProviderError | Busy | None:
    told = answer.text
    if answer.status == 403 and "subscription" in told:
        return NotOffered(f"alpaca's plan does not include that: {told}; ask for what is older, or another provider")
    if answer.status in {401, 403}:
        return KeyRefused(
            f"alpaca refuses the key: {told}; check POCKETQUANT_PROVIDERS__ALPACA__KEY and _SECRET, "
            "which are those of its trading account"
        )
    if answer.status == 429 and "retry-after" not in answer.headers:
        reset = answer.headers.get("x-ratelimit-reset", "")
        wait_s = int(reset) - now_ns / 1e9 if reset.isdecimal() else 60.0
        return Busy(f"alpaca says {told}", min(max(wait_s, 1.0), 60.0))
    return None


def _bars(answer: Answer, name: str) -> Any:
    """The rows of one symbol; none where it has none."""
    value = answer.value
    held = value["bars"] if isinstance(value, dict) and "bars" in value else ()
    if held is None:
        return []
    if not isinstance(held, dict):
        msg = f"alpaca answers with {shown(value)} where bars are expected; try later, or name another provider"
        raise BadAnswer(msg)
    return held.get(name) or []
