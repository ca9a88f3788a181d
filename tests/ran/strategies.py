"""Strategies for tests of paper trading: of every kind of order, and that go wrong."""

HEAD = '''"""{doc}"""

import numpy as np
from pydantic import BaseModel, Field

from strategies.interface import KEEP, Needs
from trading import requests as ask
from trading.records import Sizing


class Parameters(BaseModel):
    """Of the dice."""

    seed: int = Field(1, ge=0)


def needs(p):
    return Needs({needs})


def begin(p):
    state = np.zeros(4)
    state[0] = p.seed * 7919 + 1
    return (state,)


'''
ORDERS = (
    HEAD.format(doc="Throws dice for every kind of order there is.", needs="")
    + """
def decide(state, bar, p, orders):
    memory = state[0]
    memory[0] = (memory[0] * 48271.0) % 2147483647.0
    dice = int(memory[0]) % 16
    side = 1 if (int(memory[0]) // 16) % 2 else -1
    near = bar.close * (1.0 + 0.001 * ((int(memory[0]) // 32) % 5 - 2))
    symbol = bar.symbol
    if dice == 0:
        return ask.market(orders, 0, symbol, side, 2.0)
    if dice == 1:
        return ask.limit(orders, 0, symbol, side, 0.1, bar.close - side * 0.05, Sizing.FRACTION)
    if dice == 2:
        return ask.for_the_day(orders, ask.stop(orders, 0, symbol, side, 500.0, bar.close + side * 0.1, Sizing.CASH))
    if dice == 3:
        return ask.stop_limit(orders, 0, symbol, side, 3.0, bar.close + side * 0.05, bar.close + side * 0.2)
    if dice == 4:
        return ask.trailing_stop(orders, 0, symbol, -side, 2.0, 0.15)
    if dice == 5:
        return ask.trailing_stop_fraction(orders, 0, symbol, side, 2.0, 0.002)
    if dice == 6:
        return ask.bracket(orders, 0, symbol, side, 0.2, Sizing.FRACTION, near + side * 0.4, near - side * 0.4)
    if dice == 7:
        entry = bar.close - side * 0.1
        return ask.bracket(orders, 0, symbol, side, 4.0, Sizing.UNITS, entry + side * 0.3, entry - side * 0.3, entry)
    if dice == 8:
        return ask.cancel(orders, 0, symbol)
    if dice == 9:
        return ask.close(orders, 0, symbol, 0.5)
    if dice == 10:
        n = ask.stop(orders, 0, symbol, 1, 1.0, bar.close + 0.2)
        n = ask.stop(orders, n, symbol, -1, 1.0, bar.close - 0.2)
        return ask.one_cancels_other(orders, 0, n)
    if dice == 11:
        return ask.until(orders, ask.limit(orders, 0, symbol, side, 1.0, near), bar.end + 300_000_000_000)
    if dice == 12:
        return ask.take_profit(orders, 0, symbol, -side, bar.close + side * 0.1)
    if dice == 13:
        return ask.target(orders, 0, symbol, side * 0.5)
    return 0
"""
)
"""A decision on each bar: nothing once in eight."""

WISHES = (
    HEAD.format(doc="Throws dice for an exposure.", needs="")
    + """
def decide(state, bar, p):
    memory = state[0]
    memory[0] = (memory[0] * 48271.0 + bar.close * 100.0) % 2147483647.0
    dice = int(memory[0]) % 5
    return (-1.0, -0.5, 0.0, 1.0, KEEP)[dice]
"""
)
HIGHER = (
    HEAD.format(doc="Follows the quarter of an hour.", needs="intervals=(Interval.M15,)").replace(
        "from strategies.interface", "from market.intervals import Interval\nfrom strategies.interface"
    )
    + """
def decide(state, bar, p):
    memory = state[0]
    if bar.interval == Interval.M15:
        memory[1] = 1.0 if bar.close > bar.open else -1.0
        return KEEP
    return memory[1]
"""
)
PAIR = (
    HEAD.format(doc="Long the one and short the other.", needs="together=2")
    + """
def decide(state, bar, p):
    memory = state[0]
    memory[1 + bar.symbol] = bar.close
    if memory[1] == 0.0 or memory[2] == 0.0:
        return KEEP
    ahead = 1.0 if memory[1] > memory[2] else -1.0
    return 0.4 * ahead if bar.symbol == 0 else -0.4 * ahead
"""
)
RAISES = WISHES.replace(
    "    dice =", "    memory[3] += 1\n    if memory[3] > 12:\n        raise ValueError('no more')\n    dice ="
)
"""On its thirteenth bar."""
UNSURE = WISHES.replace("    dice =", "    memory[3] += 1\n    if memory[3] > 12:\n        return np.nan\n    dice =")
"""Returns NaN on its thirteenth."""
HANGS = WISHES.replace("    dice =", "    memory[3] += 1\n    while memory[3] > 12:\n        [].sort()\n    dice =")
"""Never comes back from its thirteenth."""
RESTS = (
    HEAD.format(doc="Sells far below with each bar, for the day.", needs="")
    + """
def decide(state, bar, p, orders):
    n = ask.cancel(orders, 0, bar.symbol)
    return ask.for_the_day(orders, ask.stop(orders, n, bar.symbol, -1, 1.0, bar.close * 0.5))
"""
)
"""Has an order at work whose end becomes known with the first tick, and that nothing comes of."""
