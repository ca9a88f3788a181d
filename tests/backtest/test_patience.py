"""A strategy that never comes back ends a run with a sentence, not the patience of whoever started it."""

import threading
from pathlib import Path

import pytest
from ran.report import GOOG, bars
from ran.running import loops

from backtest.patience import patiently
from backtest.plan import Plan
from backtest.reading import Series
from backtest.running import run
from market.errors import DeskError
from market.intervals import Interval
from strategies.loader.files import from_source

HANGS = '''"""Waits on its fifth bar for what comes when the test lets it."""

import threading

import numpy as np
from pydantic import BaseModel

from strategies.interface import Needs

free = threading.Event()


class Parameters(BaseModel):
    """None."""


def needs(p):
    return Needs()


def begin(p):
    return (np.zeros(1),)


def decide(state, bar, p):
    state[0][0] += 1
    if state[0][0] == 5:
        free.wait()
    return 0.0
'''


def test_a_strategy_that_hangs_is_named_with_what_to_look_for():
    strategy = from_source("hangs", Path("hangs.py"), HANGS)
    plan = Plan(strategy="hangs", source_hash=strategy.source_hash, symbols=[str(GOOG)], interval="1d")
    shown = bars(20)
    shown["interval"], shown["state"] = Interval.D1, 1
    try:
        with pytest.raises(DeskError, match=r"strategy hangs has not come back for 0.5 s: look for a loop in decide"):
            run(plan, strategy, lambda *_: Series(GOOG, Interval.D1, shown, "test"), loops(), patience_s=0.5)
    finally:
        strategy.module.free.set()


def test_what_hangs_in_plain_python_is_ended():
    """Or it would go on beside whatever the process does next, and eat what it eats."""
    threads = []

    def work(beat):
        threads.append(threading.current_thread())
        while True:
            pass

    with pytest.raises(DeskError, match="has not come back"):
        patiently(work, 0.1, "")
    threads[0].join(30)
    assert not threads[0].is_alive()


def test_work_that_goes_on_may_take_longer_than_the_patience():
    """Each beat begins the waiting anew; nothing here is timed but by the beats themselves."""
    turns = threading.Semaphore(0)

    def work(beat):
        for turn in range(50):
            beat.go_on(f"turn {turn}")
            turns.release()
        return "done"

    assert patiently(work, 30.0, "") == "done"
    assert turns.acquire(timeout=0)


def test_what_is_raised_inside_is_raised_outside():
    def work(beat):
        msg = "wrong"
        raise ValueError(msg)

    with pytest.raises(ValueError, match="wrong"):
        patiently(work, 30.0, "")
