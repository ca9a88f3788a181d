"""The loop around a decision: compiled equals plain, resume anywhere, no look ahead, a sentence for each mistake."""

import math

import numpy as np
import pytest
from closed_bars import in_order, views
from hypothesis import given, settings
from hypothesis import strategies as st

from market.intervals import Interval
from strategies.interface import REQUESTS_MAX, StrategyError
from strategies.loader.files import OURS

SHORT = {
    "sma-cross": {"fast": 2, "slow": 5},
    "macd": {"fast": 2, "slow": 4, "signal": 3, "rule": "divergence"},
    "bollinger": {"length": 4, "width": 1.0, "quiet": 6, "rule": "squeeze"},
    "rsi": {"length": 3},
    "donchian": {"enter": 5, "leave": 3},
    "buy-and-hold": {},
    "trend-cross": {"fast": 2, "slow": 5, "trend": 2, "trend_interval": "1h"},
    "pair": {"length": 4, "enter": 1.0},
}
"""Parameters with which something happens on few bars."""


def shown(name, closes):
    """Bars for one of ours: of two symbols, two intervals, or one."""
    highs, lows = [close + 0.3 for close in closes], [close - 0.2 for close in closes]
    if name == "pair":
        return in_order(views(closes, symbol=0), views(closes[::-1], symbol=1))
    if name == "trend-cross":
        return in_order(views(closes[::2], minutes=60, interval=Interval.H1), views(closes, minutes=30))
    return views(closes, highs=highs, lows=lows)


def decisions(decider, bars):
    """All that was decided, as bytes."""
    if decider.strategy.places_orders:
        counts, orders = decider.requests(bars)
        return counts.tobytes(), orders.tobytes()
    return (decider.exposures(bars).tobytes(),)


CLOSES = st.lists(st.integers(50, 70).map(lambda number: number / 4), min_size=1, max_size=120)


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=15)
@given(closes=CLOSES)
def test_compiled_and_plain_decide_the_same(make, name, closes):
    """To the last bit, and with the same state afterwards."""
    compiled, plain = make(name, **SHORT[name]), make(name, compiled=False, **SHORT[name])
    assert (compiled.mode, compiled.why, plain.mode) == ("compiled", "", "plain")
    bars = shown(name, closes)
    assert decisions(compiled, bars) == decisions(plain, bars)
    assert compiled.snapshot() == plain.snapshot()


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=15)
@given(closes=CLOSES, data=st.data())
def test_resuming_anywhere_changes_nothing_and_nothing_looks_ahead(make, name, closes, data):
    """The bars up to a cut are decided as if there were no others; a snapshot goes on in either mode."""
    bars = shown(name, closes)
    cut = data.draw(st.integers(0, len(bars)))
    first, second = make(name, **SHORT[name]), make(name, compiled=data.draw(st.booleans()), **SHORT[name])
    whole = decisions(make(name, **SHORT[name]), bars)
    before = decisions(first, bars[:cut])
    second.restore(first.snapshot())
    assert tuple(map(b"".join, zip(before, decisions(second, bars[cut:]), strict=True))) == whole
    assert second.seen == len(bars)


def test_a_snapshot_of_other_parameters_is_refused(make):
    kept = make("sma-cross", fast=2, slow=5).snapshot()
    for other in (make("sma-cross", fast=3, slow=5), make("rsi", length=3)):
        with pytest.raises(StrategyError, match="the snapshot is of another strategy, of other parameters, or of a"):
            other.restore(kept)


def test_no_number_after_the_warm_up_names_the_bar(make, written):
    """NaN is a number that went wrong: it never silently means that nothing changes."""
    strategy = written("return math.nan if bar.close > 3 else KEEP", needs="return Needs(warm_up=2)")
    for compiled in (True, False):
        assert np.isnan(make(strategy, compiled=compiled).exposures(views([4, 1]))[0])
        with pytest.raises(StrategyError) as error:
            make(strategy, compiled=compiled).exposures(views([1, 2, 3, 4]))
        assert str(error.value) == (
            "strategy of-a-test: decide() returned NaN on the 1m bar of SIM:S0 that ended 2026-01-01T00:04:00Z, "
            "after its warm-up of 2 bars: return KEEP to leave the position as it is"
        )


def test_a_warm_up_is_over_when_each_symbol_and_interval_has_had_its_bars(make, written):
    """The third hour closes as the sixth half hour does, and before it: it must be decided."""
    strategy = written("return math.nan", needs="return Needs(warm_up=3, intervals=(Interval.H1,))")
    bars = in_order(views([1, 2, 3], minutes=60, interval=Interval.H1), views([1] * 6, minutes=30))
    for compiled in (True, False):
        with pytest.raises(StrategyError, match="NaN on the 1h bar of SIM:S0 that ended 2026-01-01T03:00:00Z"):
            make(strategy, interval=Interval.M1, compiled=compiled).exposures(bars)


@pytest.mark.parametrize(
    ("decide", "found"),
    [
        ("return math.inf", "returned inf on the 1m bar of SIM:S0 that ended 2026-01-01T00:01:00Z: an exposure is"),
        ("return -1e7", "returned -10000000.0 on the 1m bar"),
        ("return 1.0 / (bar.close - 1.0)", "raised ZeroDivisionError"),
        ("return state[0][0] / (bar.close - 1.0)", "raised .*(ZeroDivisionError|FloatingPointError)"),
        ("raise ValueError('too dear')", "raised ValueError: too dear on the 1m bar"),
        ("return None", "returns a number; it returned None on the 1m bar"),
        ("return 'long'", "returns a number; it returned 'long' on the 1m bar"),
        ("return float('{:.0f} percent'.format(bar.close))", "raised ValueError: could not convert .* on the 1m bar"),
    ],
)
def test_a_decision_that_goes_wrong_is_one_sentence(make, written, decide, found):
    strategy = written(decide, begin="return (np.ones(1),)")
    for compiled in (True, False):
        with pytest.raises(StrategyError, match=rf"strategy of-a-test: decide\(\) .*{found}"):
            make(strategy, compiled=compiled).exposures(views([1]))


def test_what_numba_does_not_take_runs_as_plain_python(make, written):
    """And the same decider says why; the next start does not try again."""
    strategy = written(
        """
        rounded = "{:.0f}".format(bar.close)
        return 1.0 if float(rounded) > 2 else 0.0
        """
    )
    for _ in range(2):
        decider = make(strategy)
        assert decider.mode == "plain"
        assert decider.why
        assert "\n" not in decider.why
        assert decider.exposures(views([1, 3])).tolist() == [0, 1]


def test_functions_of_the_strategys_own_file_are_compiled_with_it(make, written):
    strategy = written(
        "return doubled(bar.close)",
        head="""
        FACTOR = 2

        def doubled(value):
            return times(value, FACTOR)

        def times(value, factor):
            return value * factor
        """,
    )
    decider = make(strategy)
    assert decider.mode == "compiled", decider.why
    assert decider.exposures(views([1, 3])).tolist() == [2, 6]


def test_parameters_of_every_kind_reach_a_decision(make, written):
    strategy = written(
        "return p.factor * p.count if p.up and p.way == Way.LONG and p.every == Interval.H1 else 0.0",
        parameters="""
        factor: float = 0.5
        count: int = 3
        up: bool = True
        way: Way
        every: Interval = Interval.H1
        """,
        head="""
        from enum import IntEnum

        class Way(IntEnum):
            SHORT = 0
            LONG = 1
        """,
    )
    for compiled in (True, False):
        for way, wanted in (("long", 1.5), ("short", 0.0)):
            decider = make(strategy, compiled=compiled, way=way)
            assert decider.mode == ("compiled" if compiled else "plain"), decider.why
            assert decider.exposures(views([1])).tolist() == [wanted]


def test_a_bar_is_seen_whole(make, written):
    """Every field, in both modes, and in the orders that a strategy writes."""
    strategy = written(
        """
        n = limit(orders, 0, bar.symbol, 1, bar.volume, bar.low)
        n = limit(orders, n, bar.symbol, -1, bar.notional + bar.trades, bar.high)
        return limit(orders, n, bar.symbol, 1, float(bar.end - bar.start), bar.open + bar.close + bar.interval)
        """,
        orders=True,
    )
    bars = views([5], highs=[6], lows=[4], symbol=1)
    bars["trades"], bars["notional"] = 3, 5.5
    for compiled in (True, False):
        found = make(strategy, compiled=compiled).requests(bars)
        assert found.counts.tolist() == [3]
        assert found.orders[["symbol", "amount", "limit"]].tolist() == [(1, 1, 4), (1, 8.5, 6), (1, 6e10, 10)]


def test_more_orders_than_there_is_room_for_are_counted_and_not_all_written(make, written):
    """The step refuses all of such a bar's orders, which it can only do when it knows of them."""
    strategy = written(
        """
        n = 0
        for _ in range(int(bar.close)):
            n = market(orders, n, bar.symbol, 1, bar.close)
        return n
        """,
        orders=True,
    )
    closes = [REQUESTS_MAX + 1, 2, *[REQUESTS_MAX] * 100]
    for compiled in (True, False):
        found = make(strategy, compiled=compiled).requests(views(closes))
        assert found.counts.tolist() == closes
        assert len(found.orders) == REQUESTS_MAX + 2 + REQUESTS_MAX * 100
        assert found.orders["amount"][REQUESTS_MAX : REQUESTS_MAX + 3].tolist() == [2, 2, REQUESTS_MAX]


@pytest.mark.parametrize(
    ("decide", "found"),
    [
        ("return -1", r"returned -1 orders on the 1m bar of SIM:S0 that ended 2026-01-01T00:01:00Z"),
        ("return 0.5", r"returns how many orders it wrote; it returned 0.5 on the 1m bar"),
        ("return None", r"returns how many orders it wrote; it returned None on the 1m bar"),
    ],
)
def test_a_number_of_orders_that_is_none_is_named(make, written, decide, found):
    strategy = written(decide, orders=True)
    for compiled in (True, False):
        with pytest.raises(StrategyError, match=found):
            make(strategy, compiled=compiled).requests(views([1]))


@pytest.mark.parametrize("symbol", [2, 7])
def test_an_order_of_a_symbol_that_the_run_does_not_trade_is_named(make, written, symbol):
    """Whatever follows would have no name for it; cancelling is asked of a symbol, too."""
    head = "from trading.requests import cancel"
    for order in (f"market(orders, n, {symbol}, 1, 1.0)", f"cancel(orders, n, {symbol})"):
        decide = f"""
        n = market(orders, 0, bar.symbol, 1, 1.0)
        return n if bar.close < 3 else {order}
        """
        where = "the 1m bar of SIM:S0 that ended 2026-01-01T00:03:00Z"
        found = f"an order of symbol {symbol} on {where}, and the run trades 0 SIM:S0, 1 SIM:S1:"
        for compiled in (True, False):
            with pytest.raises(StrategyError, match=found):
                make(written(decide, orders=True, head=head), compiled=compiled).requests(views([1, 2, 3, 4]))


def test_a_strategy_that_would_end_the_program_ends_only_itself(make, written):
    with pytest.raises(StrategyError, match=r"decide\(\) raised SystemExit: 3 on the 1m bar"):
        make(written("raise SystemExit(3)"), compiled=False).exposures(views([1]))
    with pytest.raises(StrategyError, match=r"begin\(\) raised SystemExit: 3"):
        make(written("return KEEP", begin="raise SystemExit(3)"))


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        ({"needs": "return Needs(intervals=(Interval.M1,))"}, "sees 1m besides its own interval, which is 1m too"),
        ({"needs": "return Needs(together=3)"}, "decides on 3 symbols together; the run has 2"),
        ({"needs": "return Needs(warm_up=-1)"}, r"needs\(\) returns Needs with warm_up >= 0"),
        ({"needs": "return None"}, r"needs\(\) returns Needs with warm_up >= 0 and together >= 1; it is None"),
        ({"needs": "return 1 / 0"}, r"needs\(\) raised ZeroDivisionError: division by zero"),
        ({"begin": "return 1 / 0"}, r"begin\(\) raised ZeroDivisionError: division by zero"),
        ({"begin": "return [np.zeros(1)]"}, r"begin\(\) returns a tuple of NumPy arrays of numbers; it is \["),
        ({"begin": "return (np.array(['a']),)"}, r"begin\(\) returns a tuple of NumPy arrays of numbers"),
    ],
)
def test_needs_and_begin_that_go_wrong_are_one_sentence(make, written, parts, found):
    with pytest.raises(StrategyError, match=f"strategy of-a-test:? {found}"):
        make(written("return KEEP", **parts))


def test_the_same_number_may_be_whole_or_not(make, written):
    """A strategy may return 1 where it means 1.0."""
    for decide in ("return 1", "return True", "return np.float64(1)", "return 1 if bar.close > 1 else 1.0"):
        for compiled in (True, False):
            found = make(written(decide), compiled=compiled).exposures(views([1, 2]))
            assert found.tolist() == [1, 1], decide
            assert found.dtype == np.float64
    assert math.isnan(make(written("return KEEP")).exposures(views([1]))[0])
