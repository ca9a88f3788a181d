"""Bars of nearly any exchange from TradingView's charts: at most the newest 5,000 of a series. Opt-in, unofficial.

Conventions: a row's stamp is its start in whole seconds UTC; a daily, weekly or monthly bar is stamped with the open of
its first session. The last row is the bar that is still open. Prices are asked for without adjustment, volume is in
base units and 0 where the venue counts none (indices, currencies). Bars count back from now, so that an old span costs
all bars since. Source: recorded sessions; nothing of it is documented or promised.
"""

from collections.abc import Iterator
from typing import Any, Final

from market.intervals import MINUTE_NS, Interval
from market.sessions import ROUND_THE_WEEK, calendar_for, calendar_name
from market.slots import slots
from market.symbols import Symbol
from sources.history.delayed import unsettled_from
from sources.history.patience import Patience
from sources.history.provider import BadRow, Means, NotOffered, Page, Terms, Window
from sources.history.request import BarRequest, Progress, bar_request, moment_text, venue_name
from sources.history.rows import BarPages, Row
from sources.history.tradingview_chart import ChartSession, Series
from sources.stamps import SECOND_NS

MAX_BARS: Final = 5_000
"""Of one series, without a paid plan. Source: https://www.tradingview.com/support/solutions/43000480679, "Historical
intraday data bars and limits"."""

TERMS: Final = Terms(
    intervals=frozenset(Interval),
    page_bars=1_000,
    # Ours: the venue says no figures, and users who fetched in a loop were shut out.
    windows=(Window(60, 30), Window(86_400, 5_000)),
    per_second=1.0,
    max_bars=MAX_BARS,
)

_RESOLUTIONS: Final = {
    Interval.M1: "1", Interval.M3: "3", Interval.M5: "5", Interval.M15: "15", Interval.M30: "30", Interval.M45: "45",
    Interval.H1: "60", Interval.H2: "120", Interval.H3: "180", Interval.H4: "240",
    Interval.D1: "1D", Interval.W1: "1W", Interval.MO1: "1M",
}  # fmt: skip
_CURRENCIES: Final = frozenset({Interval.M1, Interval.M3, Interval.M5, Interval.M15, Interval.M30, Interval.H1})
"""TradingView's day of a currency starts at 17:00 New York, ours at 00:00 UTC; these intervals fit into both."""
_ANONYMOUS: Final = "unauthorized_user_token"
_SLACK: Final = 10
_HOUR_NS: Final = 3_600_000_000_000


class TradingViewHistory:
    """TradingView's charts, anonymous or with the token of the user's own session. See `sources.history.provider`."""

    name = "tradingview"
    terms = TERMS

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet.

        Args:
            means: Clock, patience and quota.
            key: The user's `auth_token`, which expires after about four hours; without it stocks are delayed.
            secret: Not wanted.
            url: Another address of the socket.
        """
        del secret
        host = "prodata.tradingview.com" if key else "data.tradingview.com"
        self._means = means
        self._session = ChartSession(
            url or f"wss://{host}/socket.io/websocket?from=chart%2F&type=chart", key or _ANONYMOUS, means.now_ns
        )
        self._patience = Patience(means)

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
            NotOffered: Also after the pages that there are, when more than 5,000 bars are wanted.
            ProviderError: As its classes say.
        """
        if count is not None and count > MAX_BARS:
            msg = (
                f"count {count} is over tradingview's {MAX_BARS} bars of a series; "
                f"ask for {MAX_BARS} at most, or name another provider"
            )
            raise NotOffered(msg)
        now = self._means.now_ns()
        request = bar_request(self.name, self.terms, now, symbol, interval, start, end, count)
        return iter(()) if request.empty else self._backward(request, self._key(request), now)

    def close(self) -> None:
        """Let go of the connection."""
        self._session.close()

    def _backward(self, request: BarRequest, key: str, now: int) -> Iterator[Page]:
        pages = BarPages(request)
        progress = Progress(self.name)
        seen: set[int] = set()
        wanted = self._wanted(request, now)
        while True:
            size = min(wanted, TERMS.page_bars, MAX_BARS - len(seen))
            series = self._series(key, request.interval, len(seen), size)
            fresh = series.rows.keys() - seen
            seen |= fresh
            yield self._page(request, pages, series)
            oldest = min(seen, default=0) * SECOND_NS
            if series.exhausted or pages.done or (seen and oldest <= request.start):
                return
            if fresh:
                progress.made()
            elif progress.ends(empty=True):
                return
            if len(seen) >= MAX_BARS:
                raise NotOffered(_too_far(request, oldest))
            wanted = TERMS.page_bars

    def _page(self, request: BarRequest, pages: BarPages, series: Series) -> Page:
        moment = self._moment(series)
        unsettled = unsettled_from(request.symbol, request.interval, moment - series.delay_s * SECOND_NS)
        rows = [_row(values, unsettled) for values in series.rows.values()]
        return pages.page(rows, moment, [BadRow("unreadable", text) for text in series.odd])

    @staticmethod
    def _key(request: BarRequest) -> str:
        """The series' name. Parts without quotes or backslashes: symbols have neither."""
        symbol, interval = request.symbol, request.interval
        if symbol.exchange == "SIM":
            msg = f"tradingview does not have {symbol}: its exchange is simulated here; name provider simulated"
            raise NotOffered(msg)
        if calendar_name(symbol) == ROUND_THE_WEEK and interval not in _CURRENCIES:
            msg = (
                f"tradingview's {interval} bars of {symbol} are cut at 17:00 New York and not at 00:00 UTC; "
                "ask for 1h or shorter, from which longer ones are built"
            )
            raise NotOffered(msg)
        return f'={{"symbol":"{venue_name(symbol, "tradingview")}","adjustment":"none","session":"regular"}}'

    @staticmethod
    def _wanted(request: BarRequest, now: int) -> int:
        """Bars from now back that the first page should bring."""
        if request.count is not None and request.end >= now:
            return request.count
        if not request.start:
            return TERMS.page_bars
        # As many minutes hold more bars than a series has, on any calendar: a session is more than a sixth of a week.
        interval = request.interval
        longest = MAX_BARS * interval.minutes * MINUTE_NS * 6 if interval.intraday else now
        held = slots(calendar_for(request.symbol), interval, max(request.start, now - longest), now)
        return len(held) + _SLACK

    def _series(self, key: str, interval: Interval, held: int, size: int) -> Series:
        """The next page, on a new connection with all bars anew if the old one broke."""
        resolution = _RESOLUTIONS[interval]

        def request() -> Series:
            if held and self._session.connected:
                return self._session.more(resolution, key, size)
            return self._session.load(key, resolution, held + size)

        return self._patience.call(request)

    def _moment(self, series: Series) -> int:
        """When it was said, by the slower of two clocks."""
        now = self._means.now_ns()
        told = series.told_ns
        return min(now, told) if told is not None and abs(now - told) < _HOUR_NS else now


def _row(values: list[Any], unsettled: int) -> Row:
    """Volume is missing where none is counted."""
    start, opened, high, low, close = (values + [None] * 5)[:5]
    begin = int(start) * SECOND_NS
    return Row(begin, opened, high, low, close, values[5] if len(values) > 5 else 0.0, over=begin < unsettled)


def _too_far(request: BarRequest, oldest: int) -> str:
    return (
        f"tradingview has the newest {MAX_BARS} bars of a series only: {request.symbol} {request.interval} begins "
        f"there at {moment_text(oldest)}; ask for what is later, or name another provider for the rest"
    )
