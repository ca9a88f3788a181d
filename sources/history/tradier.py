"""Tradier: minutes of US stocks for the last few weeks. Wants the token of an account.

Source: https://documentation.tradier.com/brokerage-api/markets/get-timesales. A bar is `{time, timestamp, open, high,
low, close, volume, vwap}` under `series.data`, which is one object where there is one bar and null where there is none;
`time` is New York's, `timestamp` the same moment in seconds; both are its start. `start` and `end` are New York's,
inclusive, to the minute. Only the regular session is asked for. Volume is in shares; the notional is `vwap` times it.

Its daily history is left alone: whether those prices are adjusted is nowhere promised ("may not be dividend adjusted as
this relies on the exchanges"), and an adjusted price must not be kept as if it had traded. Days are built from minutes.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from market.intervals import Interval
from market.symbols import Symbol
from sources.history.http_caller import Answer, Busy, HttpCaller
from sources.history.provider import BadAnswer, BadRow, Means, NoKey, Page, ProviderError, Terms, Window
from sources.history.reach import last_days
from sources.history.request import BarRequest, bar_request
from sources.history.rows import Row, read_rows, shown
from sources.history.us_stocks import from_new_york, new_york, settled, us_ticker

URL: Final = "https://api.tradier.com"

INTERVALS: Final = {Interval.M1: "1min", Interval.M5: "5min", Interval.M15: "15min"}

TERMS: Final = Terms(
    intervals=frozenset(INTERVALS),
    page_bars=5 * 390,
    windows=(Window(60, 120),),
    per_second=2.0,
    reach_days={Interval.M1: 20, Interval.M5: 40, Interval.M15: 40},
)
"""Source: as above; https://documentation.tradier.com/brokerage-api/overview/rate-limiting: 120 calls a minute."""

_PAGE_DAYS: Final = 7
"""A week of minutes is a page: a size is not documented, and it answers one question with all that it has."""


class TradierHistory:
    """See `sources.history.provider.Provider`."""

    name = "tradier"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet; the sandbox is another `url`.

        Raises:
            NoKey: There is no token.
        """
        del secret
        if not key:
            msg = (
                "tradier needs POCKETQUANT_PROVIDERS__TRADIER__KEY, which is not set; set it, or name another provider"
            )
            raise NoKey(msg)
        self._means = means
        self._caller = HttpCaller(
            self.name,
            means,
            (url or URL,),
            judge=lambda answer: _judge(answer, means.now_ns()),
            headers={"Authorization": f"Bearer {key}"},
            hidden=(key,),
            keyed=True,
        )

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """Newest page first; see `sources.history.provider.Provider`.

        Raises:
            NotOffered: What was asked for reaches further back than it does; after the pages that there are.
        """
        now = self._means.now_ns()
        request = bar_request(self.name, self.terms, now, symbol, interval, start, end, count)
        name = us_ticker(symbol, self.name, "tradier")
        if request.empty:
            return iter(())
        days = self.terms.reach_days[interval]
        return last_days(self.name, request, now, days, _PAGE_DAYS, partial(self._span, request, name))

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _span(
        self, request: BarRequest, name: str, since: int, until: int
    ) -> tuple[Sequence[Row], Sequence[BadRow], int]:
        answer = self._caller.get(
            "/v1/markets/timesales",
            {
                "symbol": name,
                "interval": INTERVALS[request.interval],
                "start": f"{new_york(since):%Y-%m-%d %H:%M}",
                "end": f"{new_york(until - 1):%Y-%m-%d %H:%M}",
                "session_filter": "open",
            },
        )
        rows, bad = read_rows(self.name, _series(answer), _read)
        return settled(request, rows, answer.now_ns), bad, answer.now_ns


def _judge(answer: Answer, now_ns: int) -> ProviderError | Busy | None:
    """Its errors are plain text: `Invalid Access Token`, `Quota Violation`."""
    told = answer.text
    if answer.status == 429 or "quota violation" in told.lower():
        expiry = answer.headers.get("x-ratelimit-expiry", "")
        wait_s = (
            int(expiry) / 1e3 - now_ns / 1e9 if expiry.isdecimal() and "retry-after" not in answer.headers else None
        )
        return Busy(f"tradier says {told}", None if wait_s is None else min(max(wait_s, 1.0), 60.0))
    return None


def _series(answer: Answer) -> Any:
    """The rows: one is no list, and none is null, or the word."""
    value = answer.value
    if not isinstance(value, dict) or "series" not in value:
        msg = f"tradier answers with {shown(value)} where a series is expected; try later, or name another provider"
        raise BadAnswer(msg)
    series = value["series"]
    if series is None or series == "null":
        return []
    rows = series.get("data") if isinstance(series, dict) else series
    return [rows] if isinstance(rows, dict) else rows


def _read(item: Any) -> Row:
    stamp, start = item["timestamp"], from_new_york(item["time"])
    if type(stamp) is not int or stamp * 10**9 != start:
        msg = f"{stamp!r} is not {item['time']!r} in New York"
        raise ValueError(msg)
    volume, mean = item["volume"], item.get("vwap")
    notional = float("nan") if mean is None else float(mean) * float(volume)
    return Row(start, item["open"], item["high"], item["low"], item["close"], volume, notional)
