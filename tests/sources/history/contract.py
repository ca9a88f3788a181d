"""The contract of every provider of history, as tests: subclass it, say how the venue speaks, and they run.

A venue in a test is a list of bars that truly traded, and a model of its protocol: `question` reads a request into what
is asked for, `row` writes one bar as the venue does, `body` wraps rows. The model is written from the venue's own
documentation and never from the provider's code, so that each test says what the venue means: what a stamp is, which
bound is inclusive, which way pages go, what volume counts.

    class TestBinance(BarContract):
        provider = BinanceHistory
        symbol = Symbol("BINANCE", "BTCUSDT")
        page = 40                                   # what the model gives at a time
        def question(self, asked): ...
        def row(self, bar, interval): ...
        def body(self, rows, question, rest): ...
        def unknown_symbol(self): ...
        def limited(self): ...

`TradeContract` does the same for trades. A provider that does not speak HTTP overrides `serving`, and gives its own
tests of the trouble that `HttpContract` sends. In `BarContract`, tests that ask for `interval` run for each interval.
"""

# ruff: noqa: D102  # A test's name is its claim.

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from math import nan
from typing import Any

import numpy as np
import pytest
from servers.history_http import Asked, HistoryServer, Reply, half

from market.bars import BarState
from market.intervals import Interval
from market.sessions import calendar_for
from market.slots import slots
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.provider import (
    BadAnswer,
    KeyRefused,
    Means,
    NotOffered,
    Page,
    Provider,
    ProviderAway,
    QuotaSpent,
    TradePage,
)

NOW = 1_767_800_497_000_000_000
"""2026-01-07T15:41:37Z: a Wednesday, with New York open since 14:30."""
FOREVER = 2**62
_SPAN_NS = {
    **{interval: (interval.minutes or 1440) * 60_000_000_000 for interval in Interval},
    Interval.W1: 7 * 86_400_000_000_000,
    Interval.MO1: 31 * 86_400_000_000_000,
}


@dataclass(frozen=True)
class Bar:
    """One bar of the venue. A fault may put anything in place of a number."""

    start: int
    end: int
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    """0 in a quiet time."""
    notional: Any
    trades: Any


@dataclass(frozen=True)
class Trade:
    """One trade of the venue."""

    time: int
    price: Any
    size: Any
    id: int
    aggressor: Aggressor


@dataclass(frozen=True)
class Question:
    """What a request for bars or trades asks for, in our terms."""

    limit: int
    """Rows at most."""
    first: int = 0
    """ns: from this moment on."""
    last: int = FOREVER
    """ns: before this moment."""
    interval: Interval = Interval.M1
    first_id: int = 0
    last_id: int = FOREVER
    """Trades with `first_id <= id < last_id`."""
    newest: bool = False
    """Whether the limit leaves the newest rows, and not the oldest."""
    newest_first: bool = False
    """The order of the rows."""
    place: int = 0
    """Rows of the answer that were given before, where pages go by a token."""


class Desk:
    """Means that note what they are asked. Time stands, but for sleeps."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now
        self.slept: list[float] = []
        self.weights: list[int] = []
        self.used: list[int] = []
        self.calls_allowed = FOREVER
        self.means = Means(now_ns=lambda: self.now, sleep=self._sleep, ask=self._ask, spent=self.used.append)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _ask(self, weight: int = 1) -> None:
        if len(self.weights) >= self.calls_allowed:
            msg = "the quota of this test is spent"
            raise QuotaSpent(msg, self.now + 60 * 10**9)
        self.weights.append(weight)


class Venue:
    """The venue's side: answers questions from its bars and trades, and errs as told."""

    def __init__(self, contract: Any, bars: dict[Interval, list[Bar]], trades: list[Trade]) -> None:
        self.bars, self.trades = bars, trades
        self.alter: Callable[[list[Any]], list[Any]] = lambda chosen: chosen
        """Changes the bars or trades of an answer."""
        self.arrange: Callable[[list[Any]], list[Any]] = lambda rows: rows
        """Changes the order of its rows, or gives some twice."""
        self.overlap = 0
        """Rows of the neighbouring page that each answer holds as well."""
        self.again: set[int] = set()
        """Numbers of calls, from 0, that are answered as the one before was."""
        self.blank: set[int] = set()
        """Numbers of calls that are answered with no row."""
        self.replies: dict[int, Reply] = {}
        """Other answers, by number of the call."""
        self._contract = contract
        self._calls = 0
        self._before: Any = None

    def respond(self, asked: Asked) -> Any:
        """One answer."""
        number, self._calls = self._calls, self._calls + 1
        if number in self.replies:
            return self.replies[number]
        if number not in self.again:
            self._before = self._answer(asked, blank=number in self.blank)
        return self._before

    def _answer(self, asked: Asked, *, blank: bool) -> Any:
        contract = self._contract
        question = contract.question(asked)
        if not isinstance(question, Question):
            return question
        if contract.about_trades(asked):
            held: list[Any] = self.trades
            inside = [
                place
                for place, trade in enumerate(held)
                if question.first <= trade.time < question.last and question.first_id <= trade.id < question.last_id
            ]
            write, wrap = contract.trade_row, contract.trade_body
        else:
            held = self.bars.get(question.interval, [])
            inside = [place for place, bar in enumerate(held) if question.first <= bar.start < question.last]
            write, wrap = (lambda bar: contract.row(bar, question.interval)), contract.body
        inside = inside[question.place :]
        rest = max(len(inside) - question.limit, 0)
        inside = inside[-question.limit :] if question.newest else inside[: question.limit]
        if blank:
            rest, inside = rest + len(inside), []
        if inside and self.overlap:
            low = max(inside[0] - (0 if question.newest else self.overlap), 0)
            high = inside[-1] + 1 + (self.overlap if question.newest else 0)
            inside = list(range(low, min(high, len(held))))
        rows = [write(item) for item in self.alter([held[place] for place in inside])]
        if question.newest_first:
            rows.reverse()
        return wrap(self.arrange(rows), question, rest)


class HistoryContract:
    """What both contracts stand on."""

    provider: type[Any]
    """The class under test."""
    symbol: Symbol
    settings: dict[str, Any] = {}  # noqa: RUF012  # Overridden as a whole, never changed.
    """`key` and `secret`, where it wants them."""
    foreign: Symbol | None = Symbol("NASDAQ", "AAPL")
    """A symbol that is none of its venue's."""
    moment = NOW
    """The venue's clock: by it the model says which bar is over, where the venue says so."""

    def question(self, asked: Asked) -> Any:
        """Read a request: a `Question`, or a `Reply` where the venue would refuse it."""
        raise NotImplementedError

    def about_trades(self, asked: Asked) -> bool:
        """Whether a request is for trades."""
        return False

    def unknown_symbol(self) -> Reply:
        """How the venue says that it has no such instrument."""
        raise NotImplementedError

    def limited(self) -> Reply:
        """How the venue says, without a moment, that there were too many calls."""
        return Reply(b"too many requests", status=429)

    def nothing(self) -> Any:
        """An answer of the wrong kind altogether."""
        return {"surprise": 1}

    def venue(self, bars: dict[Interval, list[Bar]] | None = None, trades: list[Trade] | None = None) -> Venue:
        """The venue, with what it holds."""
        return Venue(self, bars or {}, trades or [])

    @contextmanager
    def serving(self, venue: Venue, desk: Desk) -> Iterator[tuple[Any, HistoryServer]]:
        """The provider under test before a server of the venue."""
        with HistoryServer(venue.respond) as server:
            provider = self.provider(desk.means, url=server.url, **self.settings)
            try:
                yield provider, server
            finally:
                provider.close()
                provider.close()

    @pytest.fixture
    def desk(self) -> Desk:
        return Desk()


class BarContract(HistoryContract):
    """Bars: every one of the span, once, in our conventions, whatever the pages look like."""

    page = 40
    """Rows that the venue's model gives at a time, at most."""
    several_pages = True
    """Whether a request may need more than one answer."""
    fills_quiet = True
    """Whether the venue makes up a bar of the last close for a time without trades."""
    says_notional = True
    """Whether its bars tell the notional; else it is NaN."""
    notional_within = 0.0
    """Relative error of the notional, where it is worked out from a rounded vwap."""

    def row(self, bar: Bar, interval: Interval) -> Any:
        """Write a bar as the venue does."""
        raise NotImplementedError

    def body(self, rows: list[Any], question: Question, rest: int) -> Any:
        """Wrap rows; `rest` is how many more the question has."""
        raise NotImplementedError

    @property
    def intervals(self) -> list[Interval]:
        """Those of the provider, the shortest first."""
        return sorted(self.provider.terms.intervals)

    def truth(self, interval: Interval, now: int = NOW) -> list[Bar]:
        """Two pages and a half of bars up to now, one slot in five of them quiet; the last one is open."""
        wanted = 2 * self.page + self.page // 2
        calendar = calendar_for(self.symbol)
        reach = now - wanted * _SPAN_NS[interval] * (1 if self.symbol.exchange in {"BINANCE", "OKX"} else 2)
        bounds = slots(calendar, interval, max(reach, 0), now)[-wanted:]
        chance = random.Random(int(interval))
        bars, close = [], 100.0
        for place, (start, end) in enumerate(bounds.tolist()):
            if place % 5 == 2 and place < len(bounds) - 1:
                if self.fills_quiet:
                    bars.append(Bar(start, end, close, close, close, close, 0.0, 0.0, 0))
                continue
            prices = [round(close + chance.gauss(0, 1), 2) for _ in range(4)]
            close = prices[3]
            size = round(chance.uniform(0.1, 50), 4)
            notional, trades = round(size * prices[0], 6), chance.randrange(1, 900)
            bars.append(Bar(start, end, prices[0], max(prices), min(prices), close, size, notional, trades))
        return bars

    def expected(self, bars: list[Bar], now: int = NOW) -> list[tuple[Any, ...]]:
        """What must come of bars: those that traded, and which of them are over."""
        terms = self.provider.terms
        return [
            (
                bar.start, bar.end, bar.open, bar.high, bar.low, bar.close, bar.volume,
                bar.notional if self.says_notional else None,
                bar.trades if terms.counts_trades else 0,
                BarState.OFFICIAL if bar.end <= now else BarState.FORMING,
            )
            for bar in bars
            if bar.volume
        ]  # fmt: skip

    def told(self, pages: list[Page], interval: Interval) -> list[tuple[Any, ...]]:
        """What came, in order of start, after the checks that each page must pass."""
        found = []
        for page in pages:
            assert (np.diff(page.bars["start"]) > 0).all(), "each page is in order of start"
            blank = {"updated_at": 0, "seq": -1, "revision": 0, "stream": 0, "interval": interval}
            for name, value in blank.items():
                assert (page.bars[name] == value).all(), f"{name} is the core's to fill in"
            names = ("start", "end", "open", "high", "low", "close", "volume", "notional", "trades", "state")
            for bar in page.bars:
                values = [bar[name].item() for name in names]
                values[7] = None if np.isnan(values[7]) else values[7]
                found.append(tuple(values))
        assert len({bar[0] for bar in found}) == len(found), "no start comes twice"
        return sorted(found)

    def same(self, found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> None:
        """Compare, the notional within its error."""
        assert [bar[:7] + bar[8:] for bar in found] == [bar[:7] + bar[8:] for bar in wanted]
        for bar, other in zip(found, wanted, strict=True):
            if other[7] is None:
                assert bar[7] is None
            else:
                assert bar[7] == pytest.approx(other[7], rel=self.notional_within, abs=0)

    def whole(self, venue: Venue, desk: Desk, interval: Interval, bars: list[Bar] | None = None) -> HistoryServer:
        """Ask for all that the venue has, and check it."""
        held = venue.bars[interval]
        with self.serving(venue, desk) as (provider, server):
            pages = list(provider.fetch(self.symbol, interval, start=held[0].start))
        wanted = held if bars is None else bars
        self.same(self.told(pages, interval), self.expected(wanted, desk.now))
        assert len(server.calls) == len(desk.weights), "each call was asked for"
        return server

    # What every provider keeps.

    def test_a_span_is_every_bar_that_starts_in_it_once(self, interval, desk):
        """From the first moment on, and not at the last one any more."""
        bars = self.truth(interval)
        start, end = bars[3].start, bars[-2].start
        with self.serving(self.venue({interval: bars}), desk) as (provider, _):
            pages = list(provider.fetch(self.symbol, interval, start=start, end=end))
            self.same(self.told(pages, interval), self.expected(bars[3:-2]))
            pages = list(provider.fetch(self.symbol, interval, start=start + 1, end=end + 1))
            self.same(self.told(pages, interval), self.expected(bars[4:-1]))

    def test_up_to_now_the_last_bar_is_open_and_therefore_forming(self, interval, desk):
        """Its close is not the close: stored as official it would stay wrong for ever."""
        bars = self.truth(interval)
        assert bars[-1].end > NOW
        self.whole(self.venue({interval: bars}), desk, interval)

    def test_a_count_is_of_the_newest_bars(self, interval, desk):
        bars = self.truth(interval)
        count = self.page + self.page // 4
        with self.serving(self.venue({interval: bars}), desk) as (provider, _):
            pages = list(provider.fetch(self.symbol, interval, count=count))
            self.same(self.told(pages, interval), self.expected(bars)[-count:])
            pages = list(provider.fetch(self.symbol, interval, end=bars[-2].start, count=3))
            self.same(self.told(pages, interval), self.expected(bars[:-2])[-3:])

    def test_a_count_beyond_what_there_is_gives_all(self, desk):
        interval = self.intervals[0]
        bars = self.truth(interval)
        with self.serving(self.venue({interval: bars}), desk) as (provider, server):
            pages = list(provider.fetch(self.symbol, interval, count=2 * len(bars)))
        self.same(self.told(pages, interval), self.expected(bars))
        assert len(server.calls) < 60, "it does not look for ever"

    def test_a_bar_is_over_at_the_moment_of_its_end(self):
        interval = self.intervals[0]
        bars = self.truth(interval)
        self.moment = bars[-1].end
        desk = Desk(self.moment)
        with self.serving(self.venue({interval: bars}), desk) as (provider, _):
            pages = list(provider.fetch(self.symbol, interval, start=bars[-9].start))
        found = self.told(pages, interval)
        self.same(found, self.expected(bars[-9:], desk.now))
        assert found[-1][-1] == BarState.OFFICIAL

    def test_an_empty_span_makes_no_call(self, desk):
        with self.serving(self.venue(), desk) as (provider, server):
            interval = self.intervals[0]
            assert not list(provider.fetch(self.symbol, interval, start=NOW - 10**12, end=NOW - 10**12))
            assert not list(provider.fetch(self.symbol, interval, start=NOW + 10**12))
            assert not list(provider.fetch(self.symbol, interval, count=0))
        assert not server.calls

    def test_a_symbol_without_bars_gives_empty_pages_and_an_end(self, desk):
        interval = self.intervals[0]
        with self.serving(self.venue(), desk) as (provider, server):
            pages = list(provider.fetch(self.symbol, interval, start=NOW - 20 * _SPAN_NS[interval]))
            pages += provider.fetch(self.symbol, interval, count=5)
        assert pages
        assert not any(len(page.bars) or page.bad for page in pages)
        assert len(server.calls) < 60

    def test_rows_out_of_order_and_rows_given_twice_change_nothing(self, desk):
        interval = self.intervals[0]
        chance = random.Random(1)
        venue = self.venue({interval: self.truth(interval)})
        venue.arrange = lambda rows: chance.sample(rows + rows[:7], len(rows) + len(rows[:7]))
        self.whole(venue, desk, interval)

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ({"high": "NaN"}, "not a number"),
            ({"close": nan}, "not a number"),
            ({"open": "Infinity"}, "not a number"),
            ({"volume": "many"}, "not a number"),
            ({"low": None}, "not a number"),
            ({"low": [1]}, "not a number"),
            ({"open": True}, "not a number"),
            ({"high": 0.001, "low": 1e9}, "high below low"),
            ({"open": 1e9}, "open outside"),
            ({"close": 0.001}, "close outside"),
            ({"low": "0.0"}, "no price"),
            ({"volume": -1.5}, "negative volume"),
        ],
        ids=str,
    )
    def test_a_row_that_breaks_a_rule_is_left_out_and_told(self, desk, fault, reason):
        """The rest of its page is as good as before."""
        interval = self.intervals[0]
        bars = self.truth(interval)
        venue = self.venue({interval: bars})
        broken = [bar for bar in bars if bar.volume][5]
        venue.alter = lambda chosen: [replace(bar, **fault) if bar is broken else bar for bar in chosen]
        with self.serving(venue, desk) as (provider, _):
            pages = list(provider.fetch(self.symbol, interval, start=bars[0].start))
        self.same(self.told(pages, interval), self.expected([bar for bar in bars if bar is not broken]))
        told = [bad for page in pages for bad in page.bad]
        assert {bad.reason for bad in told} <= {reason, "unreadable"}
        assert told
        assert all(0 < len(bad.detail) <= 200 for bad in told)

    def test_a_bar_that_starts_off_the_bounds_of_its_interval_is_left_out_and_told(self, desk):
        """Another alignment (Thursday weeks, UTC+8 days) would otherwise pass for ours."""
        interval = Interval.M5 if Interval.M5 in self.intervals else self.intervals[-1]
        bars = self.truth(interval)
        venue = self.venue({interval: bars})
        broken = [bar for bar in bars if bar.volume][5]
        venue.alter = lambda chosen: [
            replace(bar, start=bar.start + 60 * 10**9) if bar is broken else bar for bar in chosen
        ]
        with self.serving(venue, desk) as (provider, _):
            pages = list(provider.fetch(self.symbol, interval, start=bars[0].start))
        self.same(self.told(pages, interval), self.expected([bar for bar in bars if bar is not broken]))
        assert {bad.reason for page in pages for bad in page.bad} == {"off the bounds"}

    def test_rows_that_are_none_at_all_are_a_bad_answer(self, desk):
        interval = self.intervals[0]
        venue = self.venue({interval: self.truth(interval)})
        for strange in (7, "row", [], {}, None):
            venue.arrange = lambda rows, strange=strange: [strange for _ in rows]
            with self.serving(venue, desk) as (provider, _), pytest.raises(BadAnswer, match=self.provider.name):
                list(provider.fetch(self.symbol, interval, count=5))

    def test_an_interval_that_it_lacks_is_not_offered_and_not_asked_for(self, desk):
        lacking = [interval for interval in Interval if interval not in self.provider.terms.intervals]
        with self.serving(self.venue(), desk) as (provider, server):
            for interval in lacking:
                with pytest.raises(NotOffered, match=f"no {interval} bars"):
                    next(iter(provider.fetch(self.symbol, interval, count=1)))
        assert not server.calls

    def test_a_symbol_of_another_exchange_is_not_offered_and_not_asked_for(self, desk):
        if self.foreign is None:
            pytest.skip("it serves every exchange")
        with (
            self.serving(self.venue(), desk) as (provider, server),
            pytest.raises(NotOffered, match=self.foreign.ticker),
        ):
            next(iter(provider.fetch(self.foreign, self.intervals[0], count=1)))
        assert not server.calls

    def test_a_symbol_that_the_venue_does_not_know_is_not_offered(self, desk):
        venue = self.venue()
        venue.replies = dict.fromkeys(range(20), self.unknown_symbol())
        with self.serving(venue, desk) as (provider, _), pytest.raises(NotOffered, match=self.provider.name):
            next(iter(provider.fetch(self.symbol, self.intervals[0], count=1)))
        assert not desk.slept

    def test_an_iterator_that_is_left_makes_no_further_call(self, desk):
        interval = self.intervals[0]
        bars = self.truth(interval)
        with self.serving(self.venue({interval: bars}), desk) as (provider, server):
            pages = provider.fetch(self.symbol, interval, start=bars[0].start)
            assert not server.calls
            assert len(list(islice(pages, 1))) == 1
            calls = len(server.calls)
            del pages
        assert calls == len(server.calls) >= 1

    def test_a_spent_quota_ends_it_before_the_call_and_what_was_given_stands(self, desk):
        interval = self.intervals[0]
        bars = self.truth(interval)
        with self.serving(self.venue({interval: bars}), desk) as (provider, server):
            pages = provider.fetch(self.symbol, interval, start=bars[0].start)
            if self.several_pages:
                assert len(next(pages).bars)
            desk.calls_allowed = len(desk.weights)
            calls = len(server.calls)
            with pytest.raises(QuotaSpent, match="of this test"):
                next(pages)
        assert len(server.calls) == calls

    # What pages may do.

    def test_pages_that_overlap_are_cut(self, desk):
        self._needs_pages()
        interval = self.intervals[0]
        venue = self.venue({interval: self.truth(interval)})
        venue.overlap = 5
        self.whole(venue, desk, interval)

    def test_a_page_that_comes_twice_loses_and_doubles_nothing(self, desk):
        self._needs_pages()
        interval = self.intervals[0]
        venue = self.venue({interval: self.truth(interval)})
        venue.again = {1}
        self.whole(venue, desk, interval)

    def test_an_empty_page_amid_others_is_no_end(self, desk):
        self._needs_pages()
        interval = self.intervals[0]
        venue = self.venue({interval: self.truth(interval)})
        venue.blank = {1}
        self.whole(venue, desk, interval)

    def _needs_pages(self) -> None:
        if not self.several_pages:
            pytest.skip("all that it has comes in one page")


class HttpContract(BarContract):
    """As `BarContract`, over HTTP: what the wire may do."""

    def test_too_many_calls_are_made_good_after_a_pause(self, desk):
        interval = self.intervals[0]
        venue = self.venue({interval: self.truth(interval)})
        venue.replies = {0: self.limited(), 1: Reply(status=429, headers={"Retry-After": "9"})}
        self.whole(venue, desk, interval)
        assert len(desk.slept) == 2
        assert desk.slept[0] > 0
        assert desk.slept[1] == 9.0

    def test_a_long_pause_is_handed_up(self, desk):
        venue = self.venue()
        venue.replies = {0: Reply(status=429, headers={"Retry-After": "600"})}
        with self.serving(venue, desk) as (provider, _), pytest.raises(QuotaSpent) as told:
            list(provider.fetch(self.symbol, self.intervals[0], count=1))
        assert told.value.until_ns == NOW + 600 * 10**9
        assert not desk.slept

    def test_passing_trouble_loses_nothing(self, desk):
        interval = self.intervals[0]
        venue = self.venue({interval: self.truth(interval)})
        whole = venue.respond
        cut = {"cut": 1, "half": 3}

        def respond(asked: Asked) -> Any:
            number = len(desk.weights) - 1
            if number == cut["cut"]:
                return Reply(Reply(whole(asked)).data, cut=20)
            if number == cut["half"]:
                return half(whole(asked))
            return whole(asked)

        # The model notes no call that was cut, since it is asked again for the same.
        venue.replies = {0: Reply(status=500)}
        venue.respond = respond  # type: ignore[method-assign]
        self.whole(venue, desk, interval)
        assert len(desk.slept) >= 2

    def test_lasting_trouble_is_told_as_away(self, desk):
        venue = self.venue()
        venue.replies = dict.fromkeys(range(50), Reply(b"down for maintenance", status=503))
        with (
            self.serving(venue, desk) as (provider, server),
            pytest.raises(ProviderAway, match=f"{self.provider.name} .*down for maintenance.*another provider"),
        ):
            list(provider.fetch(self.symbol, self.intervals[0], count=1))
        assert 2 <= len(server.calls) <= 10

    def test_a_refusal_is_told_at_once(self, desk):
        venue = self.venue()
        venue.replies = dict.fromkeys(range(50), Reply({"message": "not you"}, status=403))
        with self.serving(venue, desk) as (provider, server), pytest.raises(KeyRefused, match="not you"):
            list(provider.fetch(self.symbol, self.intervals[0], count=1))
        assert len(server.calls) == 1

    @pytest.mark.parametrize("strange", [None, 7, "text", [7], {"surprise": 1}, [{"surprise": 1}]], ids=repr)
    def test_an_answer_of_another_kind_is_a_bad_one(self, desk, strange):
        venue = self.venue()
        venue.replies = dict.fromkeys(range(50), Reply(strange))
        with self.serving(venue, desk) as (provider, _), pytest.raises(BadAnswer, match=self.provider.name):
            list(provider.fetch(self.symbol, self.intervals[0], count=5))


class TradeContract(HistoryContract):
    """Trades: every one of the span, once, oldest first."""

    trade_page = 50
    """Trades that the venue's model gives at a time, at most."""
    stamp_ns = 1_000_000
    """The resolution of the venue's stamps."""

    def trade_row(self, trade: Trade) -> Any:
        """Write a trade as the venue does."""
        raise NotImplementedError

    def trade_body(self, rows: list[Any], question: Question, rest: int) -> Any:
        """Wrap rows."""
        raise NotImplementedError

    def bars_of(self, trades: list[Trade]) -> dict[Interval, list[Bar]]:
        """Bars that the venue would make of trades, if the provider looks at them to find its way."""
        return {}

    def history(self, pages: float = 3.5) -> list[Trade]:
        """Trades of some hours, several in one stamp here and there, with a quiet night in the middle."""
        chance = random.Random(3)
        trades, time, price = [], NOW - 30 * 3600 * 10**9, 100.0
        many = int(pages * self.trade_page)
        for place in range(many):
            if place == many // 2:
                time += 20 * 3600 * 10**9
            elif place % 10 not in {3, 4} and place % self.trade_page:
                time += chance.randrange(1, 2 * 8 * 3600 * 10**9 // many // self.stamp_ns) * self.stamp_ns
            price = round(price + chance.gauss(0, 0.1), 2)
            side = chance.choice([Aggressor.BUY, Aggressor.SELL])
            trades.append(Trade(time, price, round(chance.uniform(0.001, 3), 8), 5_000 + place, side))
        return trades

    def same_trades(self, pages: list[TradePage], wanted: list[Trade]) -> None:
        """Compare all that came, after the checks that each page must pass."""
        found: list[tuple[Any, ...]] = []
        for page in pages:
            assert (page.ticks["received_time"] == page.ticks["event_time"]).all()
            assert (page.ticks["stream"] == 0).all()
            names = ("event_time", "price", "size", "trade_id", "aggressor", "count")
            found += [tuple(tick[name].item() for name in names) for tick in page.ticks]
        assert found == [(one.time, one.price, one.size, one.id, int(one.aggressor), 1) for one in wanted]

    def trade_venue(self, trades: list[Trade]) -> Venue:
        """The venue with trades, and bars of them."""
        return self.venue(self.bars_of(trades), trades)

    def check_trades(self, venue: Venue, desk: Desk) -> HistoryServer:
        """Ask for all, and compare."""
        with self.serving(venue, desk) as (provider, server):
            pages = list(provider.trades(self.symbol, venue.trades[0].time, NOW))
        self.same_trades(pages, venue.trades)
        assert len(server.calls) == len(desk.weights)
        return server

    def test_a_span_is_every_trade_in_it_once_oldest_first(self, desk):
        trades = self.history()
        with self.serving(self.trade_venue(trades), desk) as (provider, server):
            start, end = trades[7].time, trades[-5].time
            pages = list(provider.trades(self.symbol, start, end))
            self.same_trades(pages, [one for one in trades if start <= one.time < end])
            pages = list(provider.trades(self.symbol, start + 1, end + 1))
            self.same_trades(pages, [one for one in trades if start < one.time <= end])
            assert len(server.calls) < 200

    def test_all_trades_up_to_now(self, desk):
        self.check_trades(self.trade_venue(self.history()), desk)

    def test_a_quiet_span_is_empty_and_has_an_end(self, desk):
        trades = self.history()
        quiet = trades[len(trades) // 2 - 1].time + 1
        with self.serving(self.trade_venue(trades), desk) as (provider, server):
            pages = list(provider.trades(self.symbol, quiet, quiet + 3600 * 10**9))
            pages += provider.trades(self.symbol, NOW - 60 * 10**9, NOW)
        assert not any(len(page.ticks) for page in pages)
        assert len(server.calls) < 60

    def test_a_symbol_without_trades_gives_none(self, desk):
        with self.serving(self.trade_venue([]), desk) as (provider, server):
            pages = list(provider.trades(self.symbol, NOW - 3600 * 10**9, NOW))
        assert not any(len(page.ticks) for page in pages)
        assert len(server.calls) < 20

    def test_trades_given_twice_or_out_of_order_change_nothing(self, desk):
        chance = random.Random(1)
        venue = self.trade_venue(self.history())
        venue.arrange = lambda rows: chance.sample(rows + rows[:7], len(rows) + len(rows[:7]))
        self.check_trades(venue, desk)

    def test_trade_pages_that_overlap_or_come_again_or_are_empty_lose_nothing(self, desk):
        for fault in ("overlap", "again", "blank"):
            venue = self.trade_venue(self.history())
            if fault == "overlap":
                venue.overlap = 5
            else:
                setattr(venue, fault, {2})
            self.check_trades(venue, Desk())

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ({"price": "NaN"}, "not a number"),
            ({"size": None}, "not a number"),
            ({"price": "cheap"}, "not a number"),
            ({"size": -1}, "negative size"),
            ({"price": 0}, "no price"),
        ],
        ids=str,
    )
    def test_a_trade_that_breaks_a_rule_is_left_out_and_told(self, desk, fault, reason):
        trades = self.history()
        venue = self.trade_venue(trades)
        venue.alter = lambda chosen: [replace(one, **fault) if one is trades[9] else one for one in chosen]
        with self.serving(venue, desk) as (provider, _):
            pages = list(provider.trades(self.symbol, trades[0].time, NOW))
        self.same_trades(pages, trades[:9] + trades[10:])
        assert {bad.reason for page in pages for bad in page.bad} == {reason}

    def test_trades_of_a_symbol_that_the_venue_does_not_know_are_not_offered(self, desk):
        venue = self.trade_venue([])
        venue.replies = dict.fromkeys(range(20), self.unknown_symbol())
        with self.serving(venue, desk) as (provider, _), pytest.raises(NotOffered, match=self.provider.name):
            list(provider.trades(self.symbol, NOW - 10**12, NOW))

    def test_trades_that_are_left_make_no_further_call(self, desk):
        trades = self.history()
        with self.serving(self.trade_venue(trades), desk) as (provider, server):
            pages = provider.trades(self.symbol, trades[0].time, NOW)
            assert not server.calls
            next(iter(pages))
            calls = len(server.calls)
            del pages
        assert calls == len(server.calls)


def check_is_a_provider(provider: Provider) -> None:
    """For the type checker: what `make_provider` gives has these."""
    assert provider.name
    assert provider.terms
