"""Runs of which only figures are kept come to the same figures as runs of which all is kept."""

import numpy as np
import pytest
from ran.running import hours, loops

from backtest.account_kernels import compiled_loops
from backtest.curve import walk
from backtest.metrics import Terms, measure, period_returns
from backtest.quick import Quick
from backtest.simulating import Decisions, simulate
from backtest.stream import stream
from market.intervals import Interval
from market.sessions import calendar_for
from market.symbols import Symbol
from strategies.loader.files import find
from trading.assumptions.fees import Fees
from trading.assumptions.slippage import Slippage
from trading.limits import Limits
from trading.opening import Conditions
from trading.opening import Terms as Dealt

COSTLY = Conditions(others=Dealt(fees=Fees(bps=5.0), slippage=Slippage(bps=2.0)))
LIMITED = Conditions(limits=Limits(daily_loss=0.01, drawdown=0.3))


def shown_of(*seeds, count=3_000):
    symbols = [Symbol("SIM", f"S{seed}") for seed in seeds]
    series = {(symbol, Interval.H1): hours(count, seed) for symbol, seed in zip(symbols, seeds, strict=True)}
    return stream(series, symbols, Interval.H1, {symbol: calendar_for(symbol) for symbol in symbols})


@pytest.mark.parametrize("conditions", [Conditions(), COSTLY, LIMITED], ids=["free", "costly", "limited"])
@pytest.mark.parametrize(
    ("name", "seeds", "first"), [("sma-cross", [1], 0), ("rsi", [2], 40), ("sma-cross", [3, 4], 0), ("pair", [5, 6], 7)]
)
def test_the_figures_are_those_of_the_whole_run(name, seeds, first, conditions):
    """To the last bit, one run after the other on the same buffers, compiled."""
    shown, strategy = shown_of(*seeds), find(name)
    terms = Terms(int(shown.views["start"][first]), 10_000.0, 365)
    quick = Quick(
        shown, strategy, Interval.H1, conditions, 10_000.0, "USD", terms, loops(), first=first, loops=compiled_loops()
    )
    sets = [{"fast": 5, "slow": 20}, {"fast": 3, "slow": 8}] if name == "sma-cross" else [{}, {}]

    for parameters in sets:
        chosen = strategy.read_parameters(parameters)
        decisions = Decisions(strategy, chosen, [str(symbol) for symbol in shown.symbols], Interval.H1, loops())
        made = simulate(shown, decisions, conditions, 10_000.0, "USD", first=first, loops=compiled_loops())
        walked = walk(made.curve, terms.begin, terms.cash)
        found = quick.figures(chosen)

        assert found.metrics.plain() == measure(made.curve, made.trades, made.fills, terms).plain()
        assert found.metrics.trades > 0
        np.testing.assert_array_equal(found.dates, walked.dates)
        np.testing.assert_array_equal(found.returns, period_returns(walked, 10_000.0))


def test_an_earlier_answer_is_not_changed_by_the_next_run():
    shown, strategy = shown_of(1), find("sma-cross")
    terms = Terms(int(shown.views["start"][0]), 10_000.0, 365)
    quick = Quick(shown, strategy, Interval.H1, Conditions(), 10_000.0, "USD", terms, loops())
    one = quick.figures(strategy.read_parameters({"fast": 5, "slow": 20}))
    kept = one.returns.copy()

    quick.figures(strategy.read_parameters({"fast": 2, "slow": 9}))

    np.testing.assert_array_equal(one.returns, kept)
