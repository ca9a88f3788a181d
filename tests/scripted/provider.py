"""A provider of history that serves a truth given to it, in the order and with the failures of a script."""

from dataclasses import dataclass, field

import numpy as np

from history.roster import Roster
from market.bars import BAR, BarState
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.ticks import TICK
from operators.rollup import roll_up
from sources.history.provider import Page, Terms, TradePage


def truth_of_minutes(start, minutes, *, seed=1, quiet=0.0, interval=Interval.M1):
    """One-minute bars from `start` on as a random walk; `quiet` is the share of minutes without a trade."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(minutes, BAR)
    rows["start"] = start + np.arange(minutes) * MINUTE_NS
    rows["end"] = rows["start"] + MINUTE_NS
    close = 100 + rng.normal(0, 0.1, minutes).cumsum().round(2)
    rows["open"], rows["close"] = np.concatenate(([100.0], close[:-1])), close
    rows["high"] = np.maximum(rows["open"], close) + 0.25
    rows["low"] = np.minimum(rows["open"], close) - 0.25
    rows["volume"] = rng.integers(1, 1000, minutes) / 64
    rows["notional"] = rows["volume"] * close
    rows["trades"] = rng.integers(1, 50, minutes)
    rows["seq"], rows["interval"], rows["state"] = -1, interval, BarState.OFFICIAL
    return rows[rng.random(minutes) >= quiet]


def truth_of_trades(start, end, *, seed=1, a_minute=5.0):
    """Trades at random moments, several of them in one nanosecond now and then."""
    rng = np.random.default_rng(seed)
    count = int((end - start) / MINUTE_NS * a_minute)
    ticks = np.zeros(count, TICK)
    ticks["event_time"] = np.sort(rng.integers(start, end, count) // 1000 * 1000)
    twins = rng.random(count) < 0.2
    twins[:1] = False
    ticks["event_time"][twins] = ticks["event_time"][np.flatnonzero(twins) - 1]
    ticks["event_time"].sort()
    ticks["received_time"] = ticks["event_time"]
    ticks["price"] = (100 + rng.normal(0, 0.05, count).cumsum()).round(2)
    ticks["size"] = rng.integers(1, 100, count) / 16
    ticks["trade_id"] = np.arange(1, count + 1)
    ticks["count"] = 1
    return ticks


def quick(*intervals, page_bars=100, **more):
    """Terms under which calls take no time."""
    return Terms(frozenset(intervals), page_bars, per_second=1e6, **more)


@dataclass
class Script:
    """What a provider does; shared by all that are made of it, so that a test sees every call."""

    bars: np.ndarray = field(default_factory=lambda: np.zeros(0, BAR))
    """The truth, as one-minute bars; the other intervals that it serves are their roll-up."""
    ticks: np.ndarray = field(default_factory=lambda: np.zeros(0, TICK))
    terms: Terms = field(default_factory=lambda: quick(Interval.M1))
    newest_first: bool = False
    fails: dict = field(default_factory=dict)
    """By the number of the call, from 0 on: what is raised instead of an answer."""
    weight: int = 1
    calls: list = field(default_factory=list)
    """(symbol, interval or `trades`, start, end) of each page that was served or failed."""
    spent: list = field(default_factory=list)
    """(moment in ns, weight) of each call that was let in."""
    closed: int = 0


@dataclass
class Seat:
    """A script as a roster takes it; with a reason, one that may not be called."""

    name: str
    script: Script
    missing: str = ""
    identity: str = ""

    @property
    def terms(self):
        """The script's."""
        return self.script.terms

    def make(self, means):
        """One for a worker."""
        return Scripted(self.name, self.script, means)


class Scripted:
    """A provider by the port."""

    def __init__(self, name, script, means):
        self.name = name
        self.terms = script.terms
        self._script = script
        self._means = means

    def fetch(self, symbol, interval, start=None, end=None, count=None):
        """By the port."""
        script = self._script
        end = self._means.now_ns() if end is None else end
        bars = script.bars[script.bars["start"] < self._means.now_ns()]
        if interval is not Interval.M1:
            bars = roll_up(bars, interval, calendar_for(symbol), upto=self._means.now_ns())
        bars = bars[bars["start"] < end]
        bars = bars[bars["start"] >= start] if start is not None else bars[-count:]
        bars = bars.copy()
        bars["state"] = np.where(bars["end"] > self._means.now_ns(), BarState.FORMING, BarState.OFFICIAL)
        size = script.terms.page_bars
        places = range(0, max(1, len(bars)), size)
        pages = [bars[place : place + size] for place in places]
        if script.newest_first:
            cuts = range(len(bars), 0, -size) if len(bars) else [0]
            pages = [bars[max(0, cut - size) : cut] for cut in cuts]
        for page in pages:
            self._call(symbol, interval, start, end)
            yield Page(page)

    def trades(self, symbol, start, end):
        """By the port."""
        script = self._script
        ticks = script.ticks
        ticks = ticks[(ticks["event_time"] >= start) & (ticks["event_time"] < min(end, self._means.now_ns()))]
        for place in range(0, max(1, len(ticks)), 50):
            self._call(symbol, "trades", start, end)
            yield TradePage(ticks[place : place + 50])

    def close(self):
        """Counted."""
        self._script.closed += 1

    def _call(self, symbol, interval, start, end):
        self._means.ask(self._script.weight)
        self._script.spent.append((self._means.now_ns(), self._script.weight))
        number = len(self._script.calls)
        self._script.calls.append((symbol, interval, start, end))
        error = self._script.fails.get(number)
        if error is not None:
            raise error


def seat(desk, **scripts):
    """Make these the only providers of a desk, by name; a text instead of a script says why one may not be called."""
    seats = {
        name: Seat(name, Script(), one) if isinstance(one, str) else Seat(name, one) for name, one in scripts.items()
    }
    return desk.keep(Roster, lambda: Roster(desk, seats))
