"""One account through windows of different parameters: what each holds is taken over, what it left is ended."""

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from ran.running import loops, shown_of
from ran.sweeping import BTC, waves, written

from backtest.handover import Handover, Part
from backtest.simulating import Decisions, simulate
from backtest.stream import stream
from market.intervals import Interval
from market.sessions import calendar_for
from strategies.loader.files import find
from trading.opening import Conditions
from trading.records import Reason, State

SOON = -(2**62)

ORDERS = '''
def decide(state, bar, p, orders):
    """Each fifth bar a bracket that never ends by itself, of so many units."""
    n = 0
    if int(bar.end // 86_400_000_000_000) % 5 == 0:
        from trading.requests import bracket

        n = bracket(orders, n, bar.symbol, 1, float(p.length), 0, bar.close * 9.0, bar.close / 9.0)
    return n
'''


def begun(strategy, **parameters):
    chosen = strategy.read_parameters(parameters)
    return lambda: Decisions(strategy, chosen, [str(BTC)], Interval.D1, loops(), compiled=False)


def account(shown, decisions, first=0):
    return simulate(shown, decisions, Conditions(), 10_000.0, "USD", first=first)


def longer(bars, interval, days):
    """Bars of so many days each."""
    made = bars[: len(bars) // days * days : days].copy()
    last = bars[days - 1 :: days]
    made["end"], made["close"], made["interval"] = last["end"], last["close"], interval
    return made


def same(one, other):
    return (
        one.curve.equity.tolist() == other.curve.equity.tolist()
        and one.trades.tobytes() == other.trades.tobytes()
        and one.fills.tobytes() == other.fills.tobytes()
    )


@settings(max_examples=20)
@given(st.integers(0, 119), st.lists(st.integers(1, 119), max_size=4, unique=True))
def test_the_same_parameters_through_any_windows_are_one_run(first, cuts):
    """From a row on; what they had decided before is taken over, as somebody would who had followed them."""
    shown = shown_of(waves(120))
    sma = begun(find("sma-cross"), fast=3, slow=8)
    bounds = sorted({first, *(cut for cut in cuts if cut > first), 120})
    parts = [Part(SOON, begin, last, sma, fresh=number > 0) for number, (begin, last) in enumerate(pairwise(bounds))]
    wanted = sma().exposures(shown.seen)
    held = [value for value in wanted[: first + 1] if not np.isnan(value)]

    class FromThere(Decisions):
        places_orders, mode, why = False, "plain", ""

        def __init__(self):
            self._wanted = wanted.copy()
            self._wanted[first] = held[-1] if held else 0.0

        def exposures(self, seen):
            return self._wanted[: len(seen)]

    assert same(account(shown, Handover(shown, parts), first), account(shown, FromThere(), first))


def test_what_the_new_parameters_would_hold_is_held_from_the_windows_first_bar_on():
    """The long one turns where the short one has: so at row 60 it is known what each holds."""
    shown = shown_of(waves(120))
    quick, slow = begun(find("sma-cross"), fast=2, slow=5), begun(find("sma-cross"), fast=5, slow=40)
    parts = [Part(SOON, 20, 60, quick), Part(SOON, 60, 120, slow, fresh=True)]
    found = Handover(shown, parts).exposures(shown.seen)
    decided = [value for value in slow().exposures(shown.seen)[:61] if not np.isnan(value)]

    assert found[60] == decided[-1]
    assert np.isnan(found[:20]).all()
    assert np.array_equal(found[21:60], quick().exposures(shown.seen)[21:60], equal_nan=True)
    assert np.array_equal(found[61:], slow().exposures(shown.seen)[61:], equal_nan=True)


def test_bars_before_a_window_learns_are_not_shown():
    """As a sweep on the window saw them: the averages begin there."""
    shown = shown_of(waves(120))
    sma = begun(find("sma-cross"), fast=5, slow=40)
    since = int(shown.views["start"][70])
    found = Handover(shown, [Part(since, 100, 120, sma)]).exposures(shown.seen)
    alone = sma().exposures(shown.seen[70:])

    assert np.array_equal(found[101:], alone[31:], equal_nan=True)
    assert found[100] == 0.0, "thirty bars are too few for the slow one"


def test_a_window_without_parameters_holds_nothing():
    shown = shown_of(waves(120))
    sma = begun(find("sma-cross"), fast=2, slow=5)
    parts = [Part(SOON, 20, 60, sma), Part(SOON, 60, 90, None, fresh=True), Part(SOON, 90, 120, sma, fresh=True)]
    found = account(shown, Handover(shown, parts), 20)
    exposure = found.curve.exposure

    assert (exposure[10:41] > 0).all()
    assert (exposure[42:71] == 0).all()
    assert (exposure[72:] > 0).all()


def test_orders_that_others_left_are_cancelled_and_their_position_is_closed():
    """Brackets of one unit up to row 50, then of two: the first bar of the second window ends all that is left."""
    shown = shown_of(waves(100))
    strategy = written(ORDERS)
    parts = [
        Part(SOON, 10, 50, begun(strategy, length=1)),
        Part(SOON, 50, 100, begun(strategy, length=2), fresh=True),
    ]
    found = account(shown, Handover(shown, parts), 10)
    ended = int(shown.views["end"][50])
    before = found.orders[found.orders["placed_at"] < ended]

    assert (before["reason"] == Reason.CANCELLED).sum() == 16, "two exits of each of eight brackets"
    assert set(before["state"].tolist()) == {State.FILLED, State.CANCELLED}
    closing = found.trades[found.trades["exit_row"] == 51]
    assert closing["units"].sum() == found.fills[found.fills["row"] <= 50]["units"].sum() > 0
    assert set(found.fills[found.fills["row"] > 51]["units"].tolist()) == {2.0}


def test_a_bracket_asked_for_on_the_very_first_bar_still_hangs_together():
    """Its exits name the entry by its place among the bar's orders, which two others now precede."""
    shown = shown_of(waves(100))
    first = next(row for row in range(40, 60) if int(shown.views["end"][row]) // 86_400_000_000_000 % 5 == 0)
    strategy = written(ORDERS)
    parts = [
        Part(SOON, 10, first, begun(strategy, length=1)),
        Part(SOON, first, 100, begun(strategy, length=2), fresh=True),
    ]
    found = account(shown, Handover(shown, parts), 10)
    placed = found.orders[found.orders["placed_at"] == int(shown.views["end"][first])]
    entry = placed[placed["parent"] == 0][-1]
    exits = placed[placed["parent"] > 0]

    assert set(exits["parent"].tolist()) == {int(entry["id"])}
    assert len(set(exits["group"].tolist())) == 1
    assert (found.orders["state"] != State.REJECTED).all()


def test_of_longer_intervals_a_window_sees_its_own_alone():
    """The bars of another window's interval are among the account's; those decided here are as if they were not."""
    days = waves(120).bars
    weeks, fortnights = longer(days, Interval.W1, 7), longer(days, Interval.MO1, 14)

    def shown(*others):
        series = {(BTC, Interval(int(one["interval"][0]))): one for one in (days, *others)}
        return stream(series, [BTC], Interval.D1, {BTC: calendar_for(BTC)})

    trend = begun(find("trend-cross"), fast=2, slow=5, trend=2, trend_interval="1w")
    every, own = shown(weeks, fortnights), shown(weeks)
    rows = len(every.views)
    found = Handover(every, [Part(SOON, 0, rows, trend, (Interval.W1,))]).exposures(every.seen)
    alone = trend().exposures(own.seen)

    seen = every.views["interval"] != Interval.MO1
    assert np.array_equal(found[seen][1:], alone[1:], equal_nan=True)
    assert np.isnan(found[~seen]).all()
    assert (~np.isnan(alone)).sum() > 3


def test_orders_of_one_window_are_those_of_a_run():
    shown = shown_of(waves(100))
    orders = begun(written(ORDERS), length=7)

    assert same(account(shown, Handover(shown, [Part(SOON, 0, 100, orders)])), account(shown, orders()))
