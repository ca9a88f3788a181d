"""The parts of paper trading without the engine: the thread that decides, the limits over all, what counts."""

import threading

import numpy as np
import pytest

from dataflows.paper import deciding
from dataflows.paper.counting import Counting
from dataflows.paper.deciding import Hung, Thinker
from dataflows.paper.overall import Overall, Shared
from market.intervals import MINUTE_NS
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import TICK
from trading.headroom import Headroom, lend, take_back
from trading.limits import Limits
from trading.opening import Conditions, open_account

DAY = 1440 * MINUTE_NS


def test_calls_are_answered_in_their_order():
    def wrong():
        msg = "no"
        raise ValueError(msg)

    one, error, three = Thinker(5.0).think([lambda: 1, wrong, lambda: 3])
    assert (one, three) == (1, 3)
    assert isinstance(error, ValueError)


def test_a_call_that_does_not_come_back_holds_up_no_other():
    """The thread is left behind, and ended where it runs plain Python."""

    def forever():
        while True:
            pass

    thinker = Thinker(0.2)
    first, hung, third = thinker.think([lambda: 1, forever, lambda: 3])
    assert (first, third) == (1, 3)
    assert isinstance(hung, Hung)
    assert thinker.think([lambda: 4]) == [4]


def test_a_thread_that_cannot_be_ended_is_known(monkeypatch):
    """As compiled code cannot be: then only a new process gets its core back."""
    monkeypatch.setattr(deciding, "ENDING_S", 0.0)
    release = threading.Event()
    thinker = Thinker(0.1)
    assert isinstance(thinker.think([lambda: release.wait(60)])[0], Hung)
    assert thinker.spoiled()
    release.set()
    for thread, _ in thinker._left:
        thread.join(60)
    assert not thinker.spoiled()


class Holding:
    """A run, as far as its money goes."""

    state = "running"

    def __init__(self, run, equity=10_000.0, committed=0.0):
        self.run = run
        self.equity = round(equity * 1e8)
        self.value = committed

    def committed(self):
        """Account currency."""
        return self.value


def test_what_one_run_takes_is_gone_for_the_next():
    overall = Overall(0, {}, 0, 0, max_exposure=100.0)
    one, other = Holding("one", committed=30.0), Holding("other")
    shared = Shared.of(overall, [one, other])
    assert shared.headroom(one, MINUTE_NS) == Headroom(100.0, 0, 0)
    one.value = 80.0
    shared.took(one, 1, MINUTE_NS)
    assert shared.headroom(other, MINUTE_NS) == Headroom(20.0, 0, 0)


def test_orders_are_counted_by_minutes_of_the_clock():
    overall = Overall(0, {}, 0, 0, max_orders_per_minute=3)
    run = Holding("run")
    shared = Shared.of(overall, [run])
    shared.took(run, 2, 5 * MINUTE_NS)
    assert shared.headroom(run, 5 * MINUTE_NS) == Headroom(None, 3, 2)
    assert shared.headroom(run, 6 * MINUTE_NS) == Headroom(None, 3, 0)


def test_a_days_loss_counts_from_midnight_and_is_told_once():
    overall = Overall(0, {}, 0, 0, max_daily_loss=100.0)
    run = Holding("run")
    assert overall.new_moment(5 * DAY, [run]) is None
    run.equity -= round(101 * 1e8)
    assert overall.new_moment(5 * DAY + 1, [run]) == pytest.approx(101.0)
    assert overall.new_moment(5 * DAY + 2, [run]) is None
    assert overall.new_moment(6 * DAY, [run]) is None
    assert overall.new_moment(6 * DAY + 1, [run]) is None


@pytest.mark.parametrize("own", [0, 1, 5])
@pytest.mark.parametrize("left", [0, 2, 9])
def test_what_is_lent_is_taken_back(own, left):
    """The tighter rate counts; the account's own goes on as if it had counted these orders itself."""
    limits = Limits(orders=own, orders_each="hour", exposure=2.0)
    account = open_account(["SIM:A"], Conditions(limits=limits), 10_000.0).account
    lent = lend(account, limits, Headroom(5_000.0, 9, 9 - left), 90 * MINUTE_NS)
    assert account.exposure_max == 0.5
    bound = account.orders_max - (account.window_orders if account.window * account.orders_window else 0)
    assert min(own or 99, left) == (own if not lent.narrowed else bound)
    account.window = 90 * MINUTE_NS // account.orders_window
    account.window_orders += min(own or 99, left)
    assert take_back(account, lent, 90 * MINUTE_NS) == min(own or 99, left)
    assert account.orders_max == own
    if own:
        assert (account.window, account.window_orders) == (1, min(own, left))
    lend(account, limits, None, 91 * MINUTE_NS)
    assert (account.exposure_max, account.limited) == (2.0, 1)


def ticks(*rows):
    """(stream, event, received) each."""
    found = np.zeros(len(rows), TICK)
    for place, (stream, event, received) in enumerate(rows):
        found[place]["stream"], found[place]["event_time"], found[place]["received_time"] = stream, event, received
    return found


def test_what_counts():
    """Stream, minute, stamp and session each decide."""
    streams = (
        Stream(0, "sim", Symbol("SIM", "A"), FeedKind.TRADES, 0),
        Stream(1, "other", Symbol("SIM", "A"), FeedKind.TRADES, 0),
        Stream(2, "sim", Symbol("NASDAQ", "AAPL"), FeedKind.TRADES, 0),
    )
    counting = Counting({"SIM:A": 0, "NASDAQ:AAPL": 2})
    counting.learn(streams)
    counting.watch(["SIM:A", "NASDAQ:AAPL"])
    opens = 1_700_058_600_000_000_000  # Wednesday, 15 November 2023, 09:30 in New York.
    closes = opens + 390 * MINUTE_NS
    rows = ticks(
        (0, opens, opens), (1, opens, opens), (0, opens - 1, opens), (0, opens + 2 * MINUTE_NS, opens),
        (2, opens, opens), (2, opens - 1, opens), (2, closes - 1, closes), (2, closes, closes),
    )  # fmt: skip
    found = counting.counted(rows, np.arange(8), opens)
    assert found is not None
    assert found.rows.tolist() == [0, 4, 6]
    assert [counting.symbols[slot] for slot in found.slots] == ["SIM:A", "NASDAQ:AAPL", "NASDAQ:AAPL"]
    assert found.sessions.tolist() == [(opens // DAY + 1) * DAY, closes, closes]
    counting.designate([1])
    swapped = counting.counted(rows, np.arange(8), opens)
    assert swapped is not None
    assert swapped.rows.tolist() == [1, 4, 6]
