"""Massive (which was Polygon until October 2025): bars of US stocks. Wants a key, which is free.

Source: https://massive.com/docs/rest/stocks/aggregates/custom-bars. A bar is `{t, o, h, l, c, v, n, vw}`; `t` is its
start in milliseconds, of a daily bar the midnight of New York; `from` and `to` are both inclusive; the newest bar may
still be open. Bars of the whole day from 4:00 to 20:00 come, of which the regular session is kept. Adjusted prices are
its default: raw ones are asked for, and an answer that says it is adjusted is refused. Volume is in shares; the
notional is `vw` times `v`. `limit` counts the minutes or days that bars are made of, so that a page may be short.

How far back a plan reaches (two years, the free one) is the server's to say.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from market.intervals import Interval
from market.sessions import calendar_for
from market.slots import slots
from market.symbols import Symbol
from sources.history.http_caller import Answer, Busy, HttpCaller
from sources.history.provider import BadAnswer, KeyRefused, Means, NoKey, NotOffered, Page, ProviderError, Terms, Window
from sources.history.request import BarRequest, Progress, bar_request
from sources.history.rows import BarPages, Row, read_rows, shown
from sources.history.us_stocks import WITHIN_THE_SESSION, new_york, settled, start_of, us_ticker

URL: Final = "https://api.massive.com"

TERMS: Final = Terms(
    intervals=frozenset({*WITHIN_THE_SESSION, Interval.D1}),
    page_bars=50_000,
    windows=(Window(60, 5),),
    counts_trades=True,
)
"""Source: as above; https://massive.com/pricing: five calls a minute on the free plan."""

_MS: Final = 1_000_000
_DAY_NS: Final = 86_400 * 10**9
_LIMIT_MIN: Final = 100
_WHOLE_DAY: Final = 3
"""Minutes of the whole day for one of the regular session, with room to spare."""
_CHUNKS_MAX: Final = 4
"""So many spans in a row without a bar: there is nothing older."""


class MassiveHistory:
    """See `sources.history.provider.Provider`."""

    name = "massive"
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
        self._caller = massive_caller(means, key, url)

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """See `sources.history.provider.Provider`: with a start oldest page first, with a count alone newest first."""
        request = bar_request(self.name, self.terms, self._means.now_ns(), symbol, interval, start, end, count)
        name = us_ticker(symbol, self.name, "polygon")
        if request.empty:
            return iter(())
        pages = BarPages(request)
        if count is None:
            return self._span(request, pages, name, request.start, request.end)
        return self._backward(request, pages, name, count)

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _backward(self, request: BarRequest, pages: BarPages, name: str, count: int) -> Iterator[Page]:
        """Spans of about twice as many bars as are wanted, each older than the one before."""
        until, empty = request.end, 0
        while not pages.done and until > request.start and empty < _CHUNKS_MAX:
            since = max(self._back(request, until, 2 * count), request.start)
            empty += 1
            for page in self._span(request, pages, name, since, until):
                empty = 0 if len(page.bars) else empty
                yield page
            until = since

    @staticmethod
    def _back(request: BarRequest, until: int, count: int) -> int:
        """The moment that leaves room for so many bars before `until`."""
        days = 4
        while True:
            held = slots(calendar_for(request.symbol), request.interval, max(until - days * _DAY_NS, 0), until)
            if len(held) >= count:
                return int(held[-count, 0])
            if until - days * _DAY_NS <= 0:
                return 0
            days *= 2

    def _span(self, request: BarRequest, pages: BarPages, name: str, since: int, until: int) -> Iterator[Page]:
        intraday = request.interval.intraday
        if intraday:
            span = f"{request.interval.minutes}/minute/{-(-since // _MS)}/{(until - 1) // _MS}"
        else:
            span = f"1/day/{new_york(max(since, _DAY_NS)).date()}/{new_york(until - 1).date()}"
        path = f"/v2/aggs/ticker/{name}/range/{span}"
        limit = self.terms.page_bars
        if request.count is not None:
            minutes = request.interval.minutes * _WHOLE_DAY if intraday else 1
            limit = min(max(2 * request.count * minutes, _LIMIT_MIN), limit)
        order = "asc" if request.count is None else "desc"
        params: dict[str, str | int] = {"adjusted": "false", "sort": order, "limit": limit}
        progress = Progress(self.name)
        while True:
            answer = self._caller.get(path, params)
            rows, bad = read_rows(self.name, massive_results(answer), lambda item: _read(item, request))
            rows = settled(request, rows, answer.now_ns)
            yield pages.page(rows, answer.now_ns, bad)
            following = next_page(answer)
            if pages.done or following is None:
                return
            if following != (path, params):
                progress.made()
            elif progress.ends(empty=False):
                return
            path, params = following


def massive_caller(means: Means, key: str | None, url: str | None) -> HttpCaller:
    """Calls with the key in a header, so that no address holds it.

    Raises:
        NoKey: There is none.
    """
    if not key:
        msg = "massive needs POCKETQUANT_PROVIDERS__MASSIVE__KEY, which is not set; set it, or name another provider"
        raise NoKey(msg)
    return HttpCaller(
        "massive",
        means,
        (url or URL,),
        judge=_judge,
        headers={"Authorization": f"Bearer {key}"},
        hidden=(key,),
        keyed=True,
    )


def massive_results(answer: Answer) -> list[Any]:
    """Rows of an answer, which are left out where there are none.

    Raises:
        BadAnswer: It is of another form, or says that its prices are adjusted.
    """
    value = answer.value
    if not isinstance(value, dict) or str(value.get("status")) not in {"OK", "DELAYED"}:
        msg = f"massive answers with {shown(value)} where results are expected; try later, or name another provider"
        raise BadAnswer(msg)
    if value.get("adjusted"):
        msg = "massive gives adjusted prices though raw ones were asked for; none is kept: name another provider"
        raise BadAnswer(msg)
    results = value.get("results") or []
    if not isinstance(results, list):
        msg = f"massive answers with {shown(results)} where results are expected; try later, or name another provider"
        raise BadAnswer(msg)
    return results


def next_page(answer: Answer) -> tuple[str, dict[str, str | int]] | None:
    """Path and query of the next page; at our own address, whatever host it names.

    Raises:
        BadAnswer: It is no address.
    """
    told = answer.value.get("next_url")
    if not isinstance(told, str) or not told:
        return None
    parts = urlsplit(told)
    if not parts.path.startswith("/"):
        # Put behind our address it would be another one.
        msg = f"massive names {shown(told)} as its next page; try later, or name another provider"
        raise BadAnswer(msg)
    return parts.path, {name: value for name, value in parse_qsl(parts.query) if name.lower() != "apikey"}


def _judge(answer: Answer) -> ProviderError | Busy | None:
    told = answer.text
    if answer.status == 403 and "timeframe" in told:
        return NotOffered(f"massive's plan does not reach that far: {told}; ask for what is later, or another provider")
    if answer.status in {401, 403}:
        return KeyRefused(
            f"massive refuses: {told}; check POCKETQUANT_PROVIDERS__MASSIVE__KEY and what its plan includes"
        )
    if answer.status == 429 and "retry-after" not in answer.headers:
        # Its limit is by the minute, and it does not say when that is over.
        return Busy(f"massive says {told}", 60.0)
    return None


def _read(item: Any, request: BarRequest) -> Row:
    stamp = item["t"]
    if type(stamp) is not int or not 0 <= stamp < 2**43:
        msg = f"{stamp!r} is no stamp"
        raise ValueError(msg)
    start = stamp * _MS
    if not request.interval.intraday:
        start = start_of(request.symbol, request.interval, new_york(start).date())
    volume, notional = item["v"], item.get("vw")
    turnover = float("nan") if notional is None else float(notional) * float(volume)
    return Row(start, item["o"], item["h"], item["l"], item["c"], volume, turnover, item.get("n", 0))
