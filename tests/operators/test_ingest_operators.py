"""The operators of ingest keep the contract of all operators: resumable, deterministic, mutating nothing."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_contract import assert_deterministic, assert_mutates_nothing, assert_resumable

from operators.clock_skew import ClockSkew
from operators.dedupe import Dedupe
from operators.quotes import Conflation
from operators.trade_gaps import TradeGaps

DAY = 1_700_000_000_000_000_000
MS = 1_000_000


class Stepped:
    """An operator in the contract's terms."""

    def __init__(self, operator: Any, step: Callable[[Any, Any], Any]) -> None:
        self.operator = operator
        self._step = step

    def step(self, item):
        """Take in one burst."""
        return self._step(self.operator, item)

    def snapshot(self):
        """The state: written down by the operator itself where it outlives the process."""
        kept = hasattr(self.operator, "snapshot")
        return self.operator.snapshot() if kept else pickle.dumps(self.operator)


def gaps_step(gaps, burst):
    gaps.update(burst, by_count=True)
    return gaps.due(max((row[1] for row in burst), default=0))


def skew_step(skew, burst):
    for row in burst:
        skew.add(row[0], row[1])
    return skew.verdict()


def quotes_step(conflation, burst):
    rows = [(row[0], row[1], row[2], row[2], row[2], 1.0, 1.0, row[6], 1, 0, 0) for row in burst]
    now = max((row[1] for row in burst), default=DAY)
    return conflation.offer(rows, now) + conflation.due(now)


OPERATORS = {
    "dedupe": (Dedupe, Dedupe.restore, lambda one, burst: one.update(burst, by_count=True)),
    "trade_gaps": (TradeGaps, TradeGaps.restore, gaps_step),
    "clock_skew": (ClockSkew, pickle.loads, skew_step),
    "quotes": (Conflation, pickle.loads, quotes_step),
}


def tick(at, late, trade_id, count, stream):
    return (DAY + at * MS, DAY + (at + late) * MS, 1.0, 1.0, trade_id, count, stream, 0, 0)


ticks = st.builds(
    tick,
    st.integers(0, 5000),
    st.integers(0, 2000),
    st.integers(-1, 40),
    st.integers(1, 3),
    st.integers(0, 2),
)
bursts = st.lists(st.lists(ticks, max_size=6), max_size=10)


@pytest.mark.parametrize("name", OPERATORS)
@given(bursts, st.integers(0, 10))
def test_the_operators_of_ingest_hold_to_the_contract(name, items, cut):
    new, restore, step = OPERATORS[name]

    def fresh():
        return Stepped(new(), step)

    assert_resumable(fresh, lambda state: Stepped(restore(state), step), items, cut)
    assert_deterministic(fresh, items)
    assert_mutates_nothing(fresh, items)
