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
from dataclasses import replace
from itertools import islice
from math import nan
from typing import Any

import numpy as np
import pytest
from contract_trades import TradeContract
from contract_venue import NOW, Bar, Desk, HistoryContract, Question, Trade, Venue
from servers.history_http import Asked, HistoryServer, Reply, half

from market.bars import BarState
from market.intervals import Interval
from market.sessions import calendar_for
from market.slots import slots
from sources.history.provider import BadAnswer, KeyRefused, NotOffered, Page, ProviderAway, QuotaSpent

__all__ = ["NOW", "Bar", "BarContract", "Desk", "HttpContract", "Question", "Trade", "TradeContract", "Venue"]

_SPAN_NS = {
    **{interval: (interval.minutes or 1440) * 60_000_000_000 for interval in Interval},
    Interval.W1: 7 * 86_400_000_000_000,
    Interval.MO1: 31 * 86_400_000_000_000,
}


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
