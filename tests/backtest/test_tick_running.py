"""Runs filled by the journal's ticks: worked out by hand, on bars that the real dataflow made of the same journal."""

from contextlib import closing

import numpy as np
import pytest
from ran.journaled import BEGIN, GRACE, MINUTE, SECOND, Journaled
from ran.running import loops

from backtest import tick_running
from backtest.output import changes, output
from backtest.plan import Plan
from backtest.tick_running import run_over_ticks
from dataflows.past import opened
from market.bars import BAR, BarBatch, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.ticks import MarkKind
from strategies.loader.files import from_source
from strategies.loader.parameters import as_text
from trading.assumptions.fills import Fills
from trading.opening import Conditions
from trading.records import State

HOLDS = '''"""Holds what the last digit of the close says."""

from pydantic import BaseModel

from strategies.interface import Needs
import numpy as np


class Parameters(BaseModel):
    """None."""


def needs(p):
    return Needs()


def begin(p):
    return (np.zeros(1),)


def decide(state, bar, p):
    digit = round(bar.close * 10) % 10
    return 1.0 if digit == 1 else -1.0 if digit == 2 else 0.0
'''
"""A price of x.1 says long, of x.2 short, of x.0 flat."""

BRACKET = (
    HOLDS.partition("def decide")[0].replace(
        "import numpy as np\n", "import numpy as np\n\nfrom trading import requests as ask\n"
    )
    + """def decide(state, bar, p, orders):
    state[0][0] += 1
    return ask.bracket(orders, 0, bar.symbol, 1, 10.0, 0, 110.0, 99.0) if state[0][0] == 1 else 0
"""
)
"""Buys 10 units on the first bar, with a profit to be taken at 110 and a loss at 99."""


@pytest.fixture
def desk(tmp_path):
    with closing(Journaled(tmp_path / "desk")) as made:
        yield made


def ran(desk, tmp_path, source=HOLDS, symbols=("SIM:BTCUSD",), interval="1m", cash=10_000.0, **plan):
    """A run of a strategy's source over the desk's ticks."""
    strategy = from_source("holds", tmp_path / "holds.py", source)
    chosen = as_text(strategy.read_parameters({}))
    made = Plan(
        strategy="holds", source_hash=strategy.source_hash, parameters=chosen, symbols=symbols, interval=interval,
        filled_by="ticks", cash=cash, lot=plan.pop("lot", 1.0), monte_carlo=0, **plan,
    )  # fmt: skip
    with opened(desk.journal) as (rows, damage):
        return run_over_ticks(made, strategy, desk.store, tick_running.Journaled(rows, damage, GRACE), loops())


def test_what_is_decided_when_a_minute_closes_fills_at_the_first_tick_after_it(desk, tmp_path):
    """Minute 0 closes at 100.1 and is over at 62 s; the tick at 63 s is stamped into minute 0 and fills nothing."""
    stream = desk.stream("SIM:BTCUSD")
    desk.ticks(stream, (10, 100.0), (50, 100.1))
    desk.ticks(stream, (61, 100.0))  # Of minute 1 already, before minute 0 is known to be over.
    decided = desk.clock(62.0)
    desk.ticks(stream, (63, 77.0), late=5)
    filled = desk.ticks(stream, (64, 100.4, 0.5), (64.1, 100.5))
    desk.ticks(stream, (90, 100.2))
    turned = desk.clock(122)
    back = desk.ticks(stream, (125, 101.0))
    last = desk.clock(183)
    desk.make_bars()
    run = ran(desk, tmp_path)
    fills, [trade, still] = run.outcome.fills, run.outcome.trades
    assert [(float(f.price), float(f.units), int(f.row), int(f.time - BEGIN) // SECOND) for f in fills] == [
        (100.4, 99.0, filled, 64),
        (101.0, 198.0, back, 125),
    ]
    assert run.outcome.orders["row"].tolist() == [decided, turned, last]
    assert (run.outcome.orders["placed_at"] - BEGIN).tolist() == [MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert run.outcome.orders["state"].tolist() == [State.FILLED, State.FILLED, State.WORKING]
    assert (trade.entry_row, trade.exit_row, trade.pnl) == (filled, back, pytest.approx(99 * 0.6))
    assert (still.side, still.units, still.exit_price) == (-1, 99.0, 101.0)
    # Marked when each minute is over, at the last tick that counted: 100.0 before anything was held, then 100.2.
    assert run.outcome.curve.time.tolist() == [BEGIN + n * MINUTE for n in (1, 2, 3)]
    assert run.outcome.curve.equity == pytest.approx([10_000, 10_000 - 99 * 0.2, 10_000 + 99 * 0.6])
    assert run.ticks.number == 7


def test_a_stop_is_reached_inside_the_bar_by_the_tick_that_reaches_it(desk, tmp_path):
    """A bracket of 10 units: in at 100.3, out at the first tick at or below 99, which is 98.9; 95 came too late."""
    stream = desk.stream("SIM:BTCUSD")
    desk.ticks(stream, (10, 100.0))
    desk.clock(62)
    desk.ticks(stream, (63, 100.3), (70, 99.5), (71, 98.9), (72, 95.0))
    desk.clock(123)
    desk.make_bars()
    run = ran(desk, tmp_path, BRACKET)
    assert [float(fill.price) for fill in run.outcome.fills] == [100.3, 98.9]
    assert [trade.pnl for trade in run.outcome.trades] == [pytest.approx(-14.0)]


def test_only_the_stream_that_makes_the_bars_fills(desk, tmp_path):
    """Another venue's ticks of the same symbol are journaled and fill nothing, until a mark says that they do."""
    first = desk.stream("SIM:BTCUSD")
    other = desk.writer.stream("kraken", desk.writer.streams[first].symbol, desk.writer.streams[first].kind, 0).id
    desk.ticks(first, (10, 100.1))
    desk.clock(62)
    desk.ticks(other, (63, 50.0))
    desk.mark(MarkKind.DESIGNATED, other, BEGIN + 64 * SECOND)
    desk.ticks(first, (65, 60.0))
    taken = desk.ticks(other, (66, 100.2))
    desk.clock(123)
    desk.ticks(other, (124, 100.0))
    desk.clock(190)
    desk.make_bars()
    run = ran(desk, tmp_path)
    assert [(float(fill.price), int(fill.row)) for fill in run.outcome.fills][:1] == [(100.2, taken)]
    later = ran(desk, tmp_path, start=BEGIN + MINUTE)
    assert [float(fill.price) for fill in later.outcome.fills] == [100.0]


def test_bars_are_those_known_then_whatever_became_of_them_since(desk, tmp_path):
    """A tick of minute 0 at 70 s amends its bar, and a correction from elsewhere does: the decision stays."""
    stream = desk.stream("SIM:BTCUSD")
    desk.ticks(stream, (10, 100.1))
    desk.clock(62)
    desk.ticks(stream, (63, 100.5))
    desk.ticks(stream, (70, 100.2), late=15)
    desk.clock(123)
    desk.make_bars()
    before = ran(desk, tmp_path)
    assert before.outcome.fills["side"].tolist()[:1] == [1]
    official = np.zeros(1, BAR)
    official["start"], official["end"], official["interval"], official["state"] = BEGIN, BEGIN + MINUTE, 1, 4
    for name in ("open", "high", "low", "close"):
        official[name] = 100.2
    official["updated_at"] = BEGIN + 300 * SECOND
    desk.store.upsert(BarBatch(official, desk.writer.streams), writer="sync", own_revisions=False)
    after = ran(desk, tmp_path)
    assert after.outcome.fills.tobytes() == before.outcome.fills.tobytes()
    assert changes(output(before, page=False).manifest, output(after, page=False).manifest) == []


def test_what_the_store_knew_before_the_first_tick_is_shown_and_not_traded_on(desk, tmp_path):
    """An import of yesterday, known when the ticks began, warms up; one that came later does not."""
    old = np.zeros(3, BAR)
    old["start"] = BEGIN - np.array([3, 2, 1]) * MINUTE
    old["end"], old["interval"], old["state"] = old["start"] + MINUTE, Interval.M1, BarState.OFFICIAL
    for name in ("open", "high", "low", "close"):
        old[name] = 100.1
    stream = desk.stream("SIM:BTCUSD")
    for rows, at in ((old[:2], BEGIN - MINUTE), (old[2:], BEGIN + MINUTE)):
        rows["updated_at"] = at
        desk.store.upsert(BarBatch(rows, desk.writer.streams), writer="import", own_revisions=False)
    desk.ticks(stream, (10, 100.1))
    desk.clock(62)
    desk.ticks(stream, (63, 100.3))
    desk.clock(123)
    desk.make_bars()
    run = ran(desk, tmp_path)
    assert (run.shown.views["start"] - BEGIN).tolist() == [-3 * MINUTE, -2 * MINUTE, 0, MINUTE]
    assert len(run.outcome.orders) == 2
    assert run.outcome.orders["placed_at"][0] == BEGIN + MINUTE


def test_what_is_decided_on_bars_from_before_a_moment_is_not_traded(desk, tmp_path):
    """From 22:02:30 on: the bar of 22:02 is shown and not traded on, that of 22:03 is."""
    stream = desk.stream("SIM:BTCUSD")
    for minute, price in enumerate((100.0, 100.1, 100.2, 100.1, 100.0)):
        desk.ticks(stream, (minute * 60 + 10, price))
        desk.clock(minute * 60 + 62)
    desk.make_bars()
    run = ran(desk, tmp_path, trade_from=BEGIN + 150 * SECOND, start=BEGIN)
    assert (run.shown.views["start"] - BEGIN).tolist() == [n * MINUTE for n in range(5)]
    assert (run.outcome.orders["placed_at"] - BEGIN).tolist() == [4 * MINUTE, 5 * MINUTE]
    assert (run.outcome.curve.time - BEGIN).tolist() == [4 * MINUTE, 5 * MINUTE]


def test_a_bar_that_closed_after_its_minute_is_shown_at_the_next(desk, tmp_path):
    """A tick 20 s late makes minute 0's bar at 75 s, between two boundaries: it is decided on at 122 s."""
    busy, quiet = desk.stream("SIM:BTCUSD"), desk.stream("SIM:ETHUSD")
    desk.ticks(busy, (10, 100.0))
    desk.clock(62)
    desk.ticks(busy, (70, 100.0))
    desk.ticks(quiet, (75, 20.1), late=20)
    between = desk.ticks(quiet, (80, 21.1))
    boundary = desk.clock(122)
    filled = desk.ticks(quiet, (125, 22.0))
    over = desk.clock(183)
    desk.make_bars()
    run = ran(desk, tmp_path, symbols=("SIM:ETHUSD",))
    assert run.outcome.orders["row"].tolist() == [boundary, over]
    assert int(run.outcome.fills["row"][0]) == filled > between
    assert any("came to be known after" in note for note in run.report.notes)


def test_a_run_says_what_it_lacks(desk, tmp_path):
    """A sentence each: no journal, no bars yet, orders that no tick fills."""
    with pytest.raises(DeskError, match="journaled no ticks yet"):
        ran(desk, tmp_path)
    stream = desk.stream("SIM:BTCUSD")
    desk.ticks(stream, (10, 100.1))
    desk.clock(30)
    desk.make_bars()
    with pytest.raises(DeskError, match=r"no bars of SIM:BTCUSD 1m in the log.*without --fills ticks"):
        ran(desk, tmp_path)
    with pytest.raises(DeskError, match="--fill close"):
        ran(desk, tmp_path, conditions=Conditions(fills=Fills(at="close")))


def test_compiled_strategies_of_ours_run_from_any_moment(desk, tmp_path):
    """A run from the middle on trades from there, and the later the less; the whole is the same in any portion."""
    stream = desk.stream("SIM:BTCUSD")
    desk.walk([stream], 60, np.random.default_rng(5))
    desk.make_bars()
    whole = ran(desk, tmp_path)
    assert len(whole.outcome.fills) > 5
    for begin, end in ((20, None), (20, 40), (None, 40)):
        part = ran(
            desk, tmp_path, start=begin and BEGIN + begin * MINUTE, end=end and BEGIN + end * MINUTE,
        )  # fmt: skip
        bars = whole.series[0].bars["start"]
        kept = (bars >= BEGIN + (begin or -9) * MINUTE) & (bars < BEGIN + (end or 99) * MINUTE)
        assert part.series[0].bars["start"].tolist() == bars[kept].tolist()
        # What it decides depends on one bar alone, so it wants the same from its first bar on.
        wanted = whole.outcome.orders["placed_at"]
        mine = part.outcome.orders["placed_at"]
        assert set(mine.tolist()[1:]) <= set(wanted.tolist())
