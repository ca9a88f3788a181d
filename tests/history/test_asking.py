"""What cannot be asked for is refused with a sentence, before anything is called or written."""

import doctest
import re

import pytest
from scripted.fetch import DAY_NS
from scripted.fetch import NOON as NOW

import history.asking
from history.asking import COUNT_MAX, WrongRequest, check_request
from market.intervals import Interval
from market.symbols import Symbol

BTC, AAPL = Symbol("KRAKEN", "BTCUSD"), Symbol("NASDAQ", "AAPL")
D1 = Interval.D1


@pytest.mark.parametrize(
    ("symbols", "request_", "sentence"),
    [
        ([], {}, "no symbol was named: name one, such as KRAKEN:BTCUSD"),
        (
            [BTC],
            {"start": NOW - DAY_NS, "end": NOW - 2 * DAY_NS},
            "the end 2025-12-31T12:00:00Z is not after the start 2026-01-01T12:00:00Z: give a later end",
        ),
        ([BTC], {"start": 0, "end": 0}, "the end 1970-01-01T00:00:00Z is not after the start 1970"),
        (
            [BTC],
            {"start": NOW + DAY_NS},
            "the start 2026-01-03T12:00:00Z is not before now (2026-01-02T12:00:00Z): there is no history of it yet",
        ),
        (
            [AAPL, BTC],
            {"start": 1_300_000_000 * 10**9},
            (
                "KRAKEN:BTCUSD: the start 2011-03-13T07:06:40Z is before there was anything to trade at KRAKEN: "
                "give 2013-01-01 or later"
            ),
        ),
        (
            [AAPL],
            {"start": 0},
            (
                "NASDAQ:AAPL: the start 1970-01-01T00:00:00Z is before there was anything to trade at NASDAQ: "
                "give 1990-01-01 or later"
            ),
        ),
        (
            [Symbol("GEMINI", "BTCUSD")],
            {"end": 1_000_000_000 * 10**9, "count": 5},
            "GEMINI:BTCUSD: the end 2001-09-09T01:46:40Z is before there was anything to trade at GEMINI",
        ),
        ([BTC], {"start": NOW - DAY_NS, "count": 3}, "a start (2026-01-01T12:00:00Z) and a count (3) of 1d bars"),
        ([BTC], {"count": 0}, "the count is 0, and must be 1 to 1,000,000"),
        ([BTC], {"count": COUNT_MAX + 1}, "the count is 1000001, and must be 1 to 1,000,000: `pq backfill` fetches"),
        ([BTC], {"provider": "nasdaq"}, "no provider 'nasdaq': the providers are simulated binance coinbase kraken"),
        ([BTC, Symbol("MOON", "CHEESE")], {}, "exchange MOON of MOON:CHEESE has no session calendar"),
    ],
)
def test_a_request_that_breaks_a_rule_is_told_which(desk, symbols, request_, sentence):
    with pytest.raises(WrongRequest, match=re.escape(sentence)):
        check_request(desk, symbols, D1, **request_)


def test_a_request_that_can_be_names_each_symbol_once(desk):
    assert check_request(desk, [AAPL, BTC, AAPL], D1, count=COUNT_MAX, provider="binance") == [AAPL, BTC]
    assert check_request(desk, [BTC], D1, start=NOW - DAY_NS, end=NOW + DAY_NS) == [BTC]
    assert check_request(desk, [Symbol("SIM", "BTCUSD")], D1, start=1_200_000_000 * 10**9) == [Symbol("SIM", "BTCUSD")]


def test_its_examples_are_true():
    assert doctest.testmod(history.asking).failed == 0
