"""Runs as the core makes them, without a desk: of files, and of bars made by hand."""

import tempfile
from functools import cache
from pathlib import Path

from backtest.reading import from_file
from backtest.simulating import Decisions, simulate
from backtest.stream import stream
from history.import_checks import check_rows
from market.sessions import calendar_for
from market.spelling import read_symbol
from strategies.loader.files import find
from trading.opening import Conditions

LATER = 1_780_000_000 * 10**9
"""2026-05-28: when all recorded files are over."""


@cache
def loops():
    """A folder for compiled loops that all tests of a session share."""
    return Path(tempfile.mkdtemp(prefix="loops-"))


def checked(rows, interval, symbol):
    """Rows of a file held against the rules of an import."""
    return check_rows(rows, interval, calendar_for(symbol), LATER)


def of_file(path, symbol, interval):
    """A series of a recorded file."""
    return from_file(path, read_symbol(symbol), interval, None, None, checked)


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
