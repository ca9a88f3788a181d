"""Alpha Vantage: days, weeks and months of US stocks, and minutes on a paid plan. Wants a key, which is free.

Source: https://www.alphavantage.co/documentation. Rows are an object by stamp, newest first; a stamp of a day is its
date, of a week or month that of its last session so far, of minutes the start on New York's clock; fields are `1. open`
to `5. volume`. The newest row may still be open. Prices are as they traded where that is asked for (`adjusted=false`);
volume is in shares; nothing is said of the notional or the count of trades.

`compact` brings the newest 100 rows and `full` all, the latter for days on a paid plan only. Weeks and months come
whole. Minutes come by the month. Limits are told with status 200: a `Note` or an `Information` instead of rows.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from market.intervals import Interval
from market.sessions import calendar_for
from market.slots import slots
from market.symbols import Symbol
from sources.history.http_caller import Answer, Busy, HttpCaller
from sources.history.provider import (
    BadAnswer,
    KeyRefused,
    Means,
    NoKey,
    NotOffered,
    Page,
    ProviderError,
    QuotaSpent,
    Terms,
    Window,
)
from sources.history.request import BarRequest, Progress, bar_request, moment_text
from sources.history.rows import BarPages, Row, read_rows, shown
from sources.history.us_stocks import from_new_york, new_york, settled, start_of, us_ticker

URL: Final = "https://www.alphavantage.co"

SERIES: Final = {
    Interval.D1: ("TIME_SERIES_DAILY", "Time Series (Daily)"),
    Interval.W1: ("TIME_SERIES_WEEKLY", "Weekly Time Series"),
    Interval.MO1: ("TIME_SERIES_MONTHLY", "Monthly Time Series"),
}
"""Function and name of the rows by interval."""
MINUTES: Final = {Interval.M1: "1min", Interval.M5: "5min", Interval.M15: "15min", Interval.M30: "30min"}
"""An hour is cut at full hours and so is none of ours: a session opens at 9:30."""

COMPACT: Final = 100
TERMS: Final = Terms(
    intervals=frozenset({*SERIES, *MINUTES}),
    page_bars=8_000,
    windows=(Window(60, 5), Window(86_400, 25)),
    per_second=1.0,
)
"""Source: https://www.alphavantage.co/support: 25 calls a day, and 5 a minute, on the free plan."""

_DAY_NS: Final = 86_400 * 10**9
_FIRST_MONTH: Final = date(2000, 1, 1)
"""Source: as above, `month`: "in YYYY-MM format ... any month equal to or later than 2000-01"."""


class AlphaVantageHistory:
    """See `sources.history.provider.Provider`."""

    name = "alpha_vantage"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet.

        Raises:
            NoKey: There is no key.
        """
        del secret
        self._means = means
        self._caller = alpha_vantage_caller(means, key, url)

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """Newest page first, and but one of days, weeks and months; see `sources.history.provider.Provider`."""
        request = bar_request(self.name, self.terms, self._means.now_ns(), symbol, interval, start, end, count)
        name = us_ticker(symbol, self.name, "yahoo")
        if request.empty:
            return iter(())
        return self._by_month(request, name) if interval.intraday else self._whole(request, name)

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _whole(self, request: BarRequest, name: str) -> Iterator[Page]:
        function, field = SERIES[request.interval]
        params = {"function": function, "symbol": name}
        if request.interval is Interval.D1:
            params["outputsize"] = "compact" if self._reaches(request) else "full"
        answer = self._caller.get("/query", params)
        rows, bad = read_rows(self.name, _rows(answer, field), lambda item: _read(item, request))
        yield self._page(BarPages(request), request, rows, bad, answer)

    def _reaches(self, request: BarRequest) -> bool:
        """Whether the newest hundred days hold all that is wanted."""
        now = self._means.now_ns()
        calendar = calendar_for(request.symbol)
        days = slots(calendar, request.interval, max(now - 2 * COMPACT * _DAY_NS, 0), now)
        later = int((days[:, 0] >= request.end).sum())
        wanted = int((days[:, 0] >= request.start).sum()) if request.count is None else request.count + later
        return wanted < COMPACT and (request.count is not None or bool(request.start >= days[0, 0]))

    def _by_month(self, request: BarRequest, name: str) -> Iterator[Page]:
        pages, progress, known = BarPages(request), Progress(self.name), False
        month = new_york(request.end - 1).date().replace(day=1)
        first = max(new_york(max(request.start, _DAY_NS)).date().replace(day=1), _FIRST_MONTH)
        while not pages.done and month >= first:
            try:
                answer = self._month(request, name, month)
            except NotOffered:
                if known:
                    # What it says of an unknown symbol it also says of a month before a symbol's first.
                    return
                raise
            field = f"Time Series ({MINUTES[request.interval]})"
            rows, bad = read_rows(self.name, _rows(answer, field), lambda item: _read(item, request))
            yield self._page(pages, request, rows, bad, answer)
            known = known or bool(rows)
            if rows:
                progress.made()
            elif progress.ends(empty=True):
                return
            else:
                continue
            month = (month - timedelta(days=1)).replace(day=1)

    def _month(self, request: BarRequest, name: str, month: date) -> Answer:
        params = {"function": "TIME_SERIES_INTRADAY", "symbol": name, "interval": MINUTES[request.interval]}
        params |= {"month": f"{month:%Y-%m}", "outputsize": "full", "adjusted": "false", "extended_hours": "false"}
        return self._caller.get("/query", params)

    @staticmethod
    def _page(pages: BarPages, request: BarRequest, rows: list[Row], bad: list[Any], answer: Answer) -> Page:
        return pages.page(settled(request, rows, answer.now_ns), answer.now_ns, bad)


def alpha_vantage_caller(means: Means, key: str | None, url: str | None) -> HttpCaller:
    """Calls with the key in the query, where alone it is taken.

    Raises:
        NoKey: There is none.
    """
    if not key:
        msg = (
            "alpha_vantage needs POCKETQUANT_PROVIDERS__ALPHA_VANTAGE__KEY, which is not set; "
            "set it, or name another provider"
        )
        raise NoKey(msg)
    return HttpCaller(
        "alpha_vantage",
        means,
        (url or URL,),
        judge=lambda answer: _judge(answer, key, means.now_ns()),
        params={"apikey": key},
        hidden=(key,),
        keyed=True,
    )


def _judge(answer: Answer, key: str, now_ns: int) -> ProviderError | Busy | None:
    """All that it has to say comes with status 200; it repeats the key in it."""
    value = answer.value if isinstance(answer.value, dict) else {}
    for field in ("Error Message", "Information", "Note"):
        if isinstance(value.get(field), str):
            words = value[field].lower()
            told = " ".join(value[field].replace(key, "***").split())[:200]
            break
    else:
        return None
    if field == "Error Message":
        if "apikey" in words:
            return KeyRefused(f"alpha_vantage refuses the key: {told}; check POCKETQUANT_PROVIDERS__ALPHA_VANTAGE__KEY")
        return NotOffered(f"alpha_vantage does not have that: {told}; check the symbol, or name another provider")
    # Each of its sentences also praises the paid plans, which lift all limits: the first that fits is what is meant.
    if "sparingly" in words:
        return Busy(f"alpha_vantage says {told}", 1.0)
    if "per minute" in words:
        return Busy(f"alpha_vantage says {told}", 60.0)
    if "is a premium" in words:
        return NotOffered(f"alpha_vantage has that on a paid plan only: {told}; name another provider")
    if "per day" in words:
        until = _next_midnight(now_ns)
        msg = f"alpha_vantage allows no call before {moment_text(until)}: {told}; try then, or name another provider"
        return QuotaSpent(msg, until)
    return Busy(f"alpha_vantage says {told}", 60.0)


def _next_midnight(now_ns: int) -> int:
    """When New York's next day begins."""
    return from_new_york(f"{new_york(now_ns).date() + timedelta(days=1)} 00:00:00")


def _rows(answer: Answer, field: str) -> Any:
    """Stamp and fields of each row, oldest first."""
    held = answer.value.get(field) if isinstance(answer.value, dict) else None
    if not isinstance(held, dict):
        msg = f"alpha_vantage answers with {shown(answer.value)} where {field} is expected; name another provider"
        raise BadAnswer(msg)
    return sorted(held.items())


def _read(item: Any, request: BarRequest) -> Row:
    stamp, values = item
    if request.interval.intraday:
        start = from_new_york(stamp)
    else:
        start = start_of(request.symbol, request.interval, date.fromisoformat(stamp))
    return Row(start, *(values[name] for name in ("1. open", "2. high", "3. low", "4. close", "5. volume")))
