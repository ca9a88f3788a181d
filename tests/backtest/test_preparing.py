"""What is settled before a run's first bar."""

import pytest
from ran.report import GOOG, bars

from backtest.curve import DAY_NS
from backtest.plan import Plan
from backtest.preparing import prepare
from backtest.reading import Series
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol
from strategies.interface import Needs

COIN = Symbol("SIM", "BTCUSD")


def made(symbol, interval, count, begins=0, step=DAY_NS):
    """Bars of one series that begin so many of them later."""
    found = bars(count, step, weekends=True)
    for name in ("start", "end"):
        found[name] += begins * step
    found["interval"], found["state"] = interval, 1
    return Series(symbol, interval, found, "test")


@pytest.mark.parametrize("since", [None, 25])
def test_a_run_begins_with_its_own_interval_whatever_longer_one_was_there_before(since):
    """Its years, and what it is held against, would count a time in which nothing could be traded."""
    hour = 60 * MINUTE_NS
    of = {Interval.D1: made(COIN, Interval.D1, 20), Interval.H1: made(COIN, Interval.H1, 48, 24 * 10, hour)}
    begins = int(of[Interval.H1].bars["start"][0])
    trade_from = None if since is None else begins + since * hour
    plan = Plan(strategy="any", source_hash="", symbols=[str(COIN)], interval="1h", trade_from=trade_from)
    prepared = prepare(plan, Needs(intervals=(Interval.D1,)), lambda _, interval, *__: of[interval])
    shown = prepared.shown()
    first = prepared.first(shown)

    assert shown.own[first]
    assert int(shown.views["start"][first]) == (begins if since is None else trade_from)
    assert prepared.terms(shown, first).begin == int(shown.views["start"][first])


def test_shares_have_no_round_the_clock():
    """Their figures are by the exchange's own sessions."""
    plan = Plan(strategy="any", source_hash="", symbols=[str(GOOG)], interval="1d")
    prepared = prepare(plan, Needs(), lambda symbol, interval, *_: made(symbol, interval, 20))

    assert not prepared.round_the_clock
    assert prepared.first(prepared.shown()) == 0
