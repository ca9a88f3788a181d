"""Sweeps as the core makes them, without a desk, over bars that go up and down in waves."""

from dataclasses import asdict
from pathlib import Path

import polars as pl
from ran.report import bars
from ran.running import loops

from backtest.evaluator import Evaluator
from backtest.plan import Plan
from backtest.reading import Series
from backtest.sweep import Hunt, sweep
from market.intervals import Interval
from market.symbols import Symbol
from strategies.loader.files import find, from_source

FILE = '''"""Written for a test."""

from pydantic import BaseModel, Field

from strategies.interface import Needs


class Parameters(BaseModel):
    """One number, and what may go wrong."""

    length: int = Field(default=2, ge=1, le=100)


def needs(p):
    return Needs(warm_up=p.length)


def begin(p):
    return ()


{decide}
'''


BTC = Symbol("SIM", "BTCUSD")


def waves(count=400):
    """Daily bars of what never closes."""
    made = bars(count, weekends=True)
    made["interval"], made["state"] = Interval.D1, 1
    return Series(BTC, Interval.D1, made, "test")


def written(decide):
    """A strategy of these lines with one parameter, `length`."""
    return from_source("written", Path("written.py"), FILE.format(decide=decide))


def planned(strategy, **fields):
    """A plan for the waves."""
    return Plan(strategy=strategy.name, source_hash=strategy.source_hash, symbols=[str(BTC)], interval="1d", **fields)


def evaluator(strategy, series, *, plan=None, **options):
    """What tries its parameters."""
    return Evaluator(plan or planned(strategy), strategy, lambda *_: series, loops(), **options)


def swept(space, strategy=None, *, series=None, plan=None, jobs=1, patience_s=30.0, **hunt):
    """A sweep of sma-cross, or of another."""
    strategy = strategy or find("sma-cross")
    found = series or waves()
    return sweep(
        plan or planned(strategy), Hunt(space=space, **hunt), strategy, lambda *_: found, loops(), jobs=jobs,
        patience_s=patience_s,
    )  # fmt: skip


def figures_of(metrics):
    """Figures as the candidates have them, in one row."""
    return pl.DataFrame([asdict(metrics)], schema_overrides={"deepest_to": pl.Int64})
