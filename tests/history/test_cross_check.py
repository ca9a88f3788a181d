"""Two providers of one symbol are held against each other; what differs too much is kept with both values."""

from random import Random

import numpy as np
import pytest
from scripted.provider import Script, quick, seat, truth_of_minutes

from history.cross_check import cross_check
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol
from sinks.findings_book import Finding, FindingsBook

NOON = 1_767_355_200 * 10**9
FORD = Symbol("SIM", "BTCUSD")


@pytest.fixture
def two(desk):
    """Two providers with the same thousand minutes; the second's can be altered."""
    truth = truth_of_minutes(NOON - 1000 * MINUTE_NS, 1001)
    scripts = Script(truth, terms=quick(Interval.M1)), Script(truth.copy(), terms=quick(Interval.M1))
    seat(desk, alpaca=scripts[0], massive=scripts[1])
    desk.settings.provider_order["SIM"] = ["alpaca", "massive"]
    return scripts


def check(desk, seed=1, **more):
    return cross_check(desk, FORD, Interval.M1, chance=Random(seed), **more)


def test_the_same_bars_give_no_finding(desk, two):
    checked = check(desk)

    assert (checked.first, checked.second, checked.compared, checked.alone) == ("alpaca", "massive", 50, 0)
    assert checked.findings == ()


def test_a_price_that_differs_by_more_than_the_setting_is_kept_with_both_values(desk, two, clock):
    """At 100: 100.09 is within a tenth of a percent, 100.11 is not, by hand. Found again, it is the same finding."""
    noticed = clock.now_ns = NOON + 1
    for script, close in zip(two, (100.0, 100.11), strict=True):
        script.bars["open"], script.bars["low"], script.bars["close"] = 100.0, 100.0, close
        script.bars["high"] = 100.0 if script is two[0] else 100.09
    checked = check(desk, bars=3)
    expected = [
        Finding(FORD, Interval.M1, start, "close", "alpaca", 100.0, "massive", 100.11, pytest.approx(0.11), noticed)
        for start in sorted({one.start for one in checked.findings})
    ]

    assert list(checked.findings) == expected
    assert len(expected) == 3
    with FindingsBook(desk.folders.history) as book:
        assert book.findings() == expected[::-1]
        assert book.findings(FORD, limit=1) == expected[-1:]
        assert book.findings(Symbol("SIM", "OTHER")) == []
    two[1].bars["close"] = 100.2
    clock.now_ns += MINUTE_NS // 2
    check(desk, bars=3)
    with FindingsBook(desk.folders.history) as book:
        again = book.findings()
        assert [(one.second_value, one.noticed_at) for one in again] == [(100.2, noticed)] * 3


def test_a_bar_that_only_one_has_is_counted_and_no_finding(desk, two):
    two[1].bars = np.delete(two[1].bars, np.arange(0, 1001, 10))
    checked = check(desk)

    assert (checked.compared, checked.alone, checked.findings) == (45, 5, ())


def test_the_bar_that_is_not_over_is_not_compared(desk, two, clock):
    clock.now_ns = NOON + MINUTE_NS // 2
    two[1].bars["close"][-1] = 1.0
    for seed in range(30):
        assert check(desk, seed, bars=400).findings == ()


def test_samples_lie_here_and_there(desk, two):
    for seed in range(5):
        check(desk, seed)

    assert len({call[2] for call in two[0].calls}) == 5
    assert all(NOON - 500 * MINUTE_NS <= call[2] < NOON for call in two[0].calls)


def test_one_provider_is_not_enough(desk):
    seat(desk, alpaca=Script(), massive="no POCKETQUANT_PROVIDERS__MASSIVE__KEY")
    desk.settings.provider_order["SIM"] = ["alpaca", "massive"]
    with pytest.raises(DeskError, match="two providers are wanted, and there is only alpaca; `pq providers` says"):
        check(desk)
    with pytest.raises(DeskError, match="there is only massive"):
        check(desk, providers=["massive", "massive"])
    desk.settings.provider_order["SIM"] = ["massive"]
    with pytest.raises(DeskError, match="two providers are wanted, and none can be asked"):
        check(desk)
