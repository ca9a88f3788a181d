"""Runs beside each other: what ends one leaves the others alone, and limits over all of them hold."""

import shutil

import pytest
from ran.running import loops
from traded.paper_desk import GRACE, MINUTE, SECOND, PaperDesk

from trading.limits import Limits
from trading.opening import Conditions

BTC, ETH = "SIM:BTCUSD", "SIM:ETHUSD"

HEAD = '''"""A test."""

import numpy as np
from pydantic import BaseModel

from strategies.interface import KEEP, Needs
from trading.requests import limit


class Parameters(BaseModel):
    """None."""


def needs(p):
    return Needs()


def begin(p):
    return (np.zeros(1),)


'''
STRATEGIES = {
    "hold": "def decide(state, bar, p):\n    return 1.0\n",
    "raising": "def decide(state, bar, p):\n    state[0][0] += 1\n    if state[0][0] > 3:\n"
    "        raise ValueError('no more')\n    return 1.0\n",
    "nan": "def decide(state, bar, p):\n    state[0][0] += 1\n    return 1.0 if state[0][0] < 4 else np.nan\n",
    "hanging": "def decide(state, bar, p):\n    state[0][0] += 1\n    while state[0][0] > 3 and bar.close > 0:\n"
    "        x = [state[0][0]]\n    return eval('1.0')\n",
    "resting": "def decide(state, bar, p, orders):\n    return limit(orders, 0, 0, 1, 1.0, bar.close - 1)\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, decide in STRATEGIES.items():
        (tmp_path / f"{name}.py").write_text(HEAD + decide)
    return tmp_path


@pytest.fixture
def desk(tmp_path):
    made = PaperDesk(tmp_path / "desk", loops=loops())
    minute(made)
    made.make_bars()
    made.trade()
    yield made
    made.close()


def minute(desk, btc=100.0, eth=200.0):
    """A minute with a tick of each near its end, and its boundary."""
    end = desk.now // MINUTE * MINUTE + MINUTE
    desk.tick(BTC, btc, end - 2 * SECOND)
    desk.tick(ETH, eth, end - SECOND)
    desk.clock(end + GRACE)


def test_a_strategy_that_goes_wrong_ends_its_own_run_with_its_sentence(desk, folder):
    """Its position stays and is marked; the others go on, and so does the desk after a restart."""
    for name in ("hold", "raising", "nan", "hanging"):
        desk.start(name, folder=folder, run=name)
    for step in range(5):
        minute(desk, btc=100.0 + step)
    desk.make_bars()
    desk.trade(patience_s=0.3)

    runs = {row["run"]: row for row in desk.book.runs()}
    assert {name: row["state"] for name, row in runs.items()} == {
        "hold": "running", "raising": "failed", "nan": "failed", "hanging": "failed",
    }  # fmt: skip
    assert "no more" in runs["raising"]["why"]
    assert "NaN" in runs["nan"]["why"]
    assert "has not come back" in runs["hanging"]["why"]
    third = desk.rows("decisions", "hold")[2]["seq"]
    for name in ("raising", "nan", "hanging"):
        assert runs[name]["ended_seq"] == third
        assert len(desk.rows("decisions", name)) == 2
        assert runs[name]["positions"][0]["price"] == 104.0, "marked to the last"
        assert runs[name]["equity"] == runs["hold"]["equity"]
    assert len(desk.rows("decisions", "hold")) == 5

    minute(desk, btc=110.0)
    desk.make_bars()
    desk.trade(patience_s=0.3)
    assert len(desk.rows("decisions", "hold")) == 6
    assert {row["state"] for row in desk.book.runs() if row["run"] != "hold"} == {"failed"}


def test_a_run_that_hung_once_is_ended_at_the_same_place_again(desk, folder):
    """After a crash the strategy is not asked a second time what it had not answered the first time."""
    desk.start("hanging", folder=folder, run="hanging")
    for _ in range(5):
        minute(desk)
    desk.make_bars()
    before = desk.store.position("bars")
    desk.trade(patience_s=0.2)
    ended = desk.book.run("hanging")[0]["ended_seq"]
    assert ended < before

    shutil.rmtree(desk.recovery)
    desk.trade(patience_s=60)
    assert desk.book.run("hanging")[0]["ended_seq"] == ended


def test_the_kill_switch_survives_restarts(desk, folder):
    """Flattened at the next tick, and no order from then on, whoever starts the desk again; until it is revived."""
    desk.start("hold", folder=folder, run="hold")
    minute(desk)
    minute(desk)
    desk.make_bars()
    desk.trade()
    desk.ask("hold", "flatten")
    minute(desk)
    desk.make_bars()
    desk.trade()
    run = desk.book.run("hold")[0]
    assert (run["state"], run["positions"]) == ("killed", [])
    assert desk.rows("fills")[-1]["reason"] == "kill-switch"

    fills = len(desk.rows("fills"))
    for _ in range(3):
        minute(desk)
        desk.make_bars()
        desk.trade()
    assert len(desk.rows("fills")) == fills
    desk.ask("hold", "revive")
    minute(desk)
    desk.make_bars()
    desk.trade()
    assert desk.book.run("hold")[0]["state"] == "running"


class Watched:
    """A book that remembers what was written of runs."""

    def __init__(self, book):
        self.book = book
        self.noted = []

    def __getattr__(self, name):
        return getattr(self.book, name)

    def write(self, written):
        """Write, and remember."""
        self.noted += written.rows.get("runs", ())
        self.book.write(written)


def test_a_run_that_is_said_to_be_closed_holds_nothing_in_the_same_breath(desk, folder):
    """Figures are written now and then; whoever waits for `killed` would else still read of a position."""
    desk.start("hold", folder=folder, run="hold")
    minute(desk)
    minute(desk)
    desk.make_bars()
    desk.trade()
    desk.ask("hold", "flatten")
    minute(desk)
    desk.make_bars()
    book = Watched(desk.book)
    desk.trade(book=book)
    (killed,) = [row for row in book.noted if row.get("state") == "killed"]
    assert killed["positions"] == []


def test_what_cannot_be_is_refused_with_a_sentence(desk, folder):
    desk.start("hold", folder=folder, run="hold")
    numbers = {
        "none of this desk's": desk.ask("nobody", "stop"),
        "was started before": desk.ask("hold", "start", **desk.book.controls()[0].body),
    }
    minute(desk)
    desk.make_bars()
    desk.trade()
    numbers["is running already"] = desk.ask("hold", "revive")
    numbers["stop it first"] = desk.ask("hold", "forget")
    numbers["no feed makes bars of SIM:XRPUSD"] = len(desk.book.controls()) + 1
    desk.start("hold", symbols=["SIM:XRPUSD"], folder=folder)
    minute(desk)
    desk.make_bars()
    desk.trade()
    refused = {one.number: one.refused for one in desk.book.controls()}
    for words, number in numbers.items():
        assert words in refused[number]
    assert [row["run"] for row in desk.book.runs()] == ["hold"]


def test_a_run_that_is_forgotten_leaves_nothing(desk, folder):
    desk.start("hold", folder=folder, run="hold")
    minute(desk)
    minute(desk)
    desk.make_bars()
    desk.trade()
    desk.ask("hold", "stop")
    desk.ask("hold", "forget")
    minute(desk)
    desk.make_bars()
    desk.trade()
    assert desk.book.runs() == []
    assert all(not rows for rows in desk.all_rows().values())
    assert desk.book.state("hold") is None


def test_a_changed_file_changes_no_run(desk, folder):
    """A run goes on with the source that it was started with."""
    desk.start("hold", folder=folder, run="hold")
    minute(desk)
    desk.make_bars()
    desk.trade()
    (folder / "hold.py").write_text(HEAD + "def decide(state, bar, p):\n    return -1.0\n")
    minute(desk)
    minute(desk)
    desk.make_bars()
    desk.trade()
    assert {row["exposure"] for row in desk.rows("decisions")} == {1.0}


def test_all_runs_together_hold_no_more_than_they_may(desk, folder):
    """Two that decide on one bar do not both get the same room: the second is refused, with the rule and the value."""
    limits = {"max_exposure": 15_000.0}
    desk.ask("", "limits", **limits)
    desk.start("hold", folder=folder, run="aaaa")
    desk.start("hold", symbols=[ETH], folder=folder, run="bbbb")
    for _ in range(3):
        minute(desk)
    desk.make_bars()
    desk.trade()

    held = sum(abs(one["value"]) for row in desk.book.runs() for one in row["positions"])
    assert held <= limits["max_exposure"]
    (refused,) = [row for row in desk.rows("orders") if row["state"] == "rejected"]
    assert (refused["run"], refused["reason"]) == ("bbbb", "max-exposure")
    assert refused["allowed"] == pytest.approx(5_000.0, abs=1.0)
    first = desk.rows("decisions", "bbbb")[0]
    assert first["headroom"]["exposure"] == pytest.approx(5_000.0, abs=1.0)


def test_all_runs_together_place_no_more_orders_a_minute_than_they_may(desk, folder):
    """A run's own limit counts as well, whichever is tighter."""
    desk.ask("", "limits", max_orders_per_minute=2)
    own = Conditions(limits=Limits(orders=1, orders_each="hour"))
    desk.start("resting", folder=folder, run="aaaa", conditions=own)
    for run in ("bbbb", "cccc", "dddd"):
        desk.start("resting", folder=folder, run=run)
    for _ in range(2):
        minute(desk)
    desk.make_bars()
    desk.trade()

    placed = {}
    for row in desk.rows("orders"):
        placed.setdefault(row["seq"], []).append((row["run"], row["state"], row["reason"]))
    first, second = placed.values()
    assert first == [
        ("aaaa", "working", "none"), ("bbbb", "working", "none"), ("cccc", "rejected", "order-rate"),
        ("dddd", "rejected", "order-rate"),
    ]  # fmt: skip
    assert second == [
        ("aaaa", "rejected", "order-rate"), ("bbbb", "working", "none"), ("cccc", "working", "none"),
        ("dddd", "rejected", "order-rate"),
    ]  # fmt: skip


def test_a_loss_of_all_runs_together_stops_all_of_them(desk, folder):
    """Each has lost less than the limit; together they have lost more."""
    desk.ask("", "limits", max_daily_loss=1_500.0, flatten=True)
    desk.start("hold", folder=folder, run="aaaa")
    desk.start("hold", symbols=[ETH], folder=folder, run="bbbb")
    minute(desk)
    minute(desk)
    minute(desk, btc=91.0, eth=182.0)
    minute(desk, btc=91.0, eth=182.0)
    desk.make_bars()
    desk.trade()

    for run in desk.book.runs():
        assert (run["state"], run["positions"]) == ("killed", [])
        (event,) = [row for row in desk.rows("events", run["run"]) if row["name"] == "desk_daily_loss"]
        assert "1,500.00" in event["text"]
        assert run["equity"] == pytest.approx(9_100.0, abs=1.0)


def test_splits_and_dividends_are_done_to_what_is_held(desk, folder):
    """Two for one, then 0.5 a unit: the position doubles at half the price, and is paid for."""
    desk.start("hold", folder=folder, run="hold")
    minute(desk)
    minute(desk)
    desk.make_bars()
    desk.trade()
    before = desk.book.run("hold")[0]
    desk.ask("hold", "split", symbol=BTC, value=2.0, time=desk.now)
    desk.ask("hold", "dividend", symbol=BTC, value=0.5, time=desk.now)
    desk.clock(desk.now + SECOND)
    minute(desk, btc=50.0)
    desk.make_bars()
    desk.trade()
    after = desk.book.run("hold")[0]
    assert after["positions"][0]["units"] == pytest.approx(2 * before["positions"][0]["units"])
    paid = 0.5 * after["positions"][0]["units"]
    assert after["equity"] == pytest.approx(before["equity"] + paid, abs=0.01)


def test_what_a_user_may_want_to_hear_of_is_told_once(desk, folder):
    """Also when a crash has the same things come about again."""
    desk.start("hold", folder=folder, run="hold")
    for _ in range(3):
        minute(desk)
    desk.make_bars()
    desk.trade()
    desk.ask("hold", "flatten")
    minute(desk)
    desk.make_bars()
    desk.trade()
    shutil.rmtree(desk.recovery)
    desk.trade()
    names = [name for name, _ in desk.told]
    assert names == ["paper_started", "paper_flattening", "paper_killed", "paper_trade"]
