"""A decision that used a later bar is found out, whatever way it took."""

from pathlib import Path

import numpy as np
import pytest
from ran.report import GOOG, bars
from ran.running import loops

from backtest.look_ahead import LookAhead
from backtest.plan import Plan
from backtest.reading import Series
from backtest.running import run
from market.errors import DeskError
from market.intervals import Interval
from strategies.interface import StrategyError
from strategies.loader.files import find, from_source
from trading.limits import Limits
from trading.opening import Conditions

FILE = '''"""Written for a test."""

import numpy as np
from pydantic import BaseModel

from strategies.interface import KEEP, Needs
from trading.requests import limit

memory = {{}}


class Parameters(BaseModel):
    """None."""


def needs(p):
    return Needs()


def begin(p):
    return (np.zeros(2),)


{decide}
'''


def run_file(decide, count=300, **plan):
    """Run a strategy of these lines on some hundred bars; all of them are checked."""
    strategy = from_source("written", Path("written.py"), FILE.format(decide=decide))
    made = Plan(strategy="written", source_hash=strategy.source_hash, symbols=[str(GOOG)], interval="1d", **plan)
    return run(made, strategy, lambda *_: Series(GOOG, Interval.D1, shown(count), "test"), loops())


def shown(count):
    """Bars of New York's sessions, as far as a test of decisions cares."""
    made = bars(count)
    made["interval"], made["state"] = Interval.D1, 1
    return made


def test_a_look_at_the_next_bar_in_hand_is_an_error_that_names_the_bar():
    """In plain Python the bars after this one are in the same lists."""
    peek = """def decide(state, bar, p):
    closes = bar.columns["close"]
    memory.clear()  # Not for Numba.
    return 1.0 if closes[min(bar.row + 1, len(closes) - 1)] > bar.close else -1.0
"""
    with pytest.raises(LookAhead, match=r"the 1d bar of NASDAQ:GOOG that ended 2024-.*Z changes when the bars after"):
        run_file(peek)


def test_who_knows_tomorrow_and_is_soon_richer_than_can_be_counted_is_found_out():
    """The account stops at what its ledger cannot count; why it came to that is what has to be said."""
    peek = """def decide(state, bar, p):
    closes = bar.columns["close"]
    memory.clear()
    return 10.0 if {} > bar.close else -10.0
"""
    rich = {"cash": 5e9, "conditions": Conditions(limits=Limits(leverage=10.0))}
    with pytest.raises(LookAhead, match="changes when the bars after"):
        run_file(peek.format("closes[min(bar.row + 1, len(closes) - 1)]"), **rich)
    with pytest.raises(DeskError, match="an amount grew beyond what the ledger can count"):
        run_file(peek.format("closes[min(bar.row + 1, len(closes) - 1)]"), look_ahead_check=False, **rich)


def test_a_decision_that_breaks_off_where_data_ends_is_found_out():
    peek = """def decide(state, bar, p):
    memory.clear()
    return 1.0 if bar.row > 298 or bar.columns["close"][bar.row + 1] > bar.close else -1.0
"""
    with pytest.raises(LookAhead, match=r"hidden, strategy written: decide\(\) raised IndexError"):
        run_file(peek)


def test_a_decision_by_chance_is_found_out():
    dice = """def decide(state, bar, p):
    memory.clear()
    return np.random.default_rng().uniform(-1, 1)
"""
    with pytest.raises(LookAhead, match="changes when"):
        run_file(dice)


def test_what_a_file_remembers_of_an_earlier_pass_is_gone_in_the_next():
    """Its module notes down closes, and would find those to come there; but each pass runs the file anew."""
    notes = """def decide(state, bar, p):
    memory[bar.end] = bar.close
    to_come = [end for end in memory if end > bar.end]
    return 1.0 if to_come and memory[min(to_come)] > bar.close else -1.0
"""
    done = run_file(notes)

    assert (done.outcome.mode, len(done.outcome.trades)) == ("plain", 1)


def test_orders_are_compared_as_exposures_are():
    peek = """def decide(state, bar, p, orders):
    memory.clear()
    closes = bar.columns["close"]
    return limit(orders, 0, bar.symbol, 1, 1.0, closes[-1])
"""
    with pytest.raises(LookAhead, match="changes when"):
        run_file(peek)


def test_what_is_remembered_is_no_look_ahead():
    keeps = """def decide(state, bar, p):
    state[0][0] = max(state[0][0], bar.close)
    return 1.0 if bar.close < state[0][0] else KEEP
"""
    done = run_file(keeps)

    said = dict(done.report.facts)["look-ahead check"]
    assert said.startswith("passed at ")
    assert done.outcome.mode == "compiled"


def test_the_check_can_be_switched_off_and_the_report_says_so():
    dice = """def decide(state, bar, p):
    memory.clear()
    return np.random.default_rng().uniform(-1, 1)
"""
    done = run_file(dice, look_ahead_check=False)

    assert ("look-ahead check", "switched off") in done.report.facts


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("np.nan", r"decide\(\) returned NaN on the 1d bar of NASDAQ:GOOG that ended 2024-01-02"),
        ("1 / int(state[0][0])", "raised ZeroDivisionError"),
        ("'long'", "returned 'long'"),
    ],
)
def test_a_strategy_that_goes_wrong_is_a_sentence_that_names_the_bar(returned, words):
    with pytest.raises(StrategyError, match=words):
        run_file(f"def decide(state, bar, p):\n    memory.clear()\n    return {returned}\n")


@pytest.mark.parametrize("name", ["sma-cross", "macd", "bollinger", "rsi", "donchian", "buy-and-hold"])
def test_our_strategies_pass(name):
    strategy = find(name)
    plan = Plan(strategy=name, source_hash=strategy.source_hash, symbols=[str(GOOG)], interval="1d")
    done = run(plan, strategy, lambda *_: Series(GOOG, Interval.D1, shown(400), "test"), loops())

    assert np.isfinite(done.outcome.curve.equity).all()
