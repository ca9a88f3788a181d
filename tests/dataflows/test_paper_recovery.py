"""Whatever interrupts paper trading, and whenever: what it comes to is what it would have come to uninterrupted."""

import random
import shutil

import pytest
from ran.running import loops
from traded.crashing import Crash, CrashingBook
from traded.paper_desk import MINUTE, SECOND, PaperDesk

from dataflows.paper import tail

SEEDS = 8


def asked_for(desk: PaperDesk) -> None:
    """Three runs that come and go while an hour passes, asked for beforehand: each at its own moment."""
    desk.walk(30)
    desk.make_bars()
    desk.trade()
    at = desk.now
    desk.start("sma-cross", fast=2, slow=4, at=at, run="aaaa")
    desk.start("pair", symbols=desk.symbols, length=5, enter=0.5, at=at + 3 * MINUTE, run="bbbb")
    later = at + 5 * MINUTE + 7 * SECOND
    desk.start("trend-cross", fast=2, slow=3, trend=2, trend_interval="5m", at=later, run="cccc")
    desk.ask("aaaa", "flatten", at=at + 20 * MINUTE)
    desk.ask("aaaa", "revive", at=at + 23 * MINUTE)
    desk.ask("bbbb", "stop", at=at + 30 * MINUTE)
    desk.ask("", "limits", at=at + 33 * MINUTE, max_exposure=12_000.0, max_orders_per_minute=3)
    desk.walk(60, seed=2)
    desk.make_bars()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    desk = PaperDesk(tmp_path_factory.mktemp("whole"), loops=loops())
    asked_for(desk)
    desk.trade()
    rows = desk.all_rows()
    desk.close()
    return rows


def test_the_hour_has_something_of_everything(uninterrupted):
    """Else what follows would prove little."""
    assert min(map(len, uninterrupted.values())) > 0
    assert len(uninterrupted["fills"]) > 30
    assert {row["state"] for row in uninterrupted["runs"]} == {"running", "stopped"}
    assert {row["reason"] for row in uninterrupted["fills"]} >= {"signal", "kill-switch"}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_an_interrupted_run_equals_an_uninterrupted_one_row_by_row(uninterrupted, tmp_path, monkeypatch, seed):
    """It dies at writes of the book, goes on from snapshots of any age, or from the book where there is none."""
    rng = random.Random(seed)
    monkeypatch.setattr(tail, "EVENTS_MAX", 3)
    monkeypatch.setattr(tail, "KEEP_S", 0.0)
    monkeypatch.setattr(tail, "REST_LONGEST_S", rng.choice([0.0, 5.0]))
    desk = PaperDesk(tmp_path / "desk", loops=loops())
    asked_for(desk)
    crashes = 0
    while True:
        if rng.random() < 0.3:
            shutil.rmtree(desk.recovery, ignore_errors=True)
        try:
            desk.trade(book=CrashingBook(desk.book, rng, 40), epoch_s=rng.choice([0, 0.005, 10]))
        except Crash:
            crashes += 1
        else:
            break
    assert crashes > 0
    rows = desk.all_rows()
    desk.close()
    for kind, expected in uninterrupted.items():
        assert rows[kind] == expected, kind
