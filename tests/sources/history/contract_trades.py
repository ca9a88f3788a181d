"""The contract of providers of trades, as tests; see `contract`."""

# ruff: noqa: D102  # A test's name is its claim.

import random
from dataclasses import replace
from typing import Any

import pytest
from contract_venue import NOW, Bar, Desk, HistoryContract, Question, Trade, Venue
from servers.history_http import HistoryServer

from market.intervals import Interval
from market.ticks import Aggressor
from sources.history.provider import NotOffered, TradePage


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
