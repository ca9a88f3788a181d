"""Runs as the core makes them, without a desk: of files, and of bars made by hand."""

import os
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from backtest.reading import from_file
from backtest.simulating import Decisions, simulate
from backtest.stream import stream
from history.import_checks import check_rows
from market.bars import BAR, BarState
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.spelling import read_symbol
from strategies.loader.files import find
from trading.opening import Conditions

LATER = 1_780_000_000 * 10**9
"""2026-05-28: when all recorded files are over."""


@cache
def loops():
    """A folder for compiled loops that all tests of a session share, those in its other processes too."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if session is None:
        return Path(tempfile.mkdtemp(prefix="loops-"))
    shared = Path(tempfile.gettempdir()) / f"loops-{session}"
    shared.mkdir(exist_ok=True)
    return shared


def checked(rows, interval, symbol):
    """Rows of a file held against the rules of an import."""
    return check_rows(rows, interval, calendar_for(symbol), LATER)


def of_file(path, symbol, interval):
    """A series of a recorded file."""
    return from_file(path, read_symbol(symbol), interval, None, None, checked)


def hours(count, seed):
    """Hourly bars of a random walk around 100, in cents, round the clock."""
    rng = np.random.default_rng(seed)
    prices = np.round(100 * np.exp(np.cumsum(rng.normal(0, 0.01, count + 1))), 2)
    made = np.zeros(count, BAR)
    made["start"] = 1_704_067_200 * 10**9 + np.arange(count) * 60 * MINUTE_NS
    made["end"] = made["start"] + 60 * MINUTE_NS
    made["open"], made["close"] = prices[:-1], prices[1:]
    made["high"], made["low"] = np.maximum(prices[:-1], prices[1:]) + 0.3, np.minimum(prices[:-1], prices[1:]) - 0.3
    made["volume"], made["interval"], made["state"] = 1000.0, Interval.H1, BarState.CLOSED
    return made


def shown_of(series, **options):
    """The stream of one series."""
    symbol, interval, bars, _ = series
    return stream({(symbol, interval): bars}, [symbol], interval, {symbol: calendar_for(symbol)}, **options)


def sma_cross(series, *, cash=10_000.0, conditions=None, compiled=True, **parameters):
    """Run sma-cross on one series; returns its stream and what came of it."""
    shown = shown_of(series)
    strategy = find("sma-cross")
    chosen = strategy.read_parameters(parameters)
    decisions = Decisions(strategy, chosen, [str(series.symbol)], series.interval, loops(), compiled=compiled)
    return shown, simulate(shown, decisions, conditions or Conditions(), cash, "USD")
