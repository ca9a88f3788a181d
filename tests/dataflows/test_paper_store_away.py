"""A store that is away delays paper trading and loses nothing of it; it is the bars' and the book's at once."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from ran.running import loops
from servers.mongo import MongoServer, mongo_jars
from traded.paper_desk import GRACE, MINUTE, PaperDesk

from dataflows.paper import running, tail
from dataflows.recovery import Recovery
from market.errors import DeskError
from sinks.bar_store import StoreAway

__all__ = ["mongo_jars"]


class AwayNowAndThen:
    """A store or book that is not there for some of its calls."""

    def __init__(self, real, every: int) -> None:
        self._real = real
        self._every = every
        self._calls = 0
        self.away = 0

    def __getattr__(self, name):
        method = getattr(self._real, name)
        if not callable(method) or name == "close":
            return method

        def call(*values, **named):
            self._calls += 1
            if self._calls % self._every == 0:
                self.away += 1
                msg = "the store is away"
                raise StoreAway(msg)
            return method(*values, **named)

        return call


def prepared(desk: PaperDesk) -> None:
    """Half an hour with one run in it."""
    desk.walk(5)
    desk.make_bars()
    desk.trade()
    desk.start("sma-cross", fast=2, slow=4, run="aaaa")
    desk.walk(20, seed=3, late=0.0)
    desk.clock(desk.now + MINUTE)
    desk.make_bars()


def test_a_store_that_is_away_now_and_then_changes_nothing(tmp_path, monkeypatch):
    """Every third call of the book and every second of the store finds nobody; each is tried again until answered."""
    monkeypatch.setattr("dataflows.patience.BACKOFF_S", (0.001, 0.01))
    monkeypatch.setattr(tail, "EVENTS_MAX", 4)
    expected = PaperDesk(tmp_path / "there", loops=loops())
    prepared(expected)
    expected.trade()

    desk = PaperDesk(tmp_path / "away", loops=loops())
    prepared(desk)
    real = desk.store
    desk.store = AwayNowAndThen(real, 2)
    book = AwayNowAndThen(desk.book, 3)
    desk.trade(book=book)
    assert book.away > 5
    assert desk.store.away >= 2
    desk.store = real
    assert desk.all_rows() == expected.all_rows()
    assert {name for _, name, _ in desk.reports} == {"store_away", "store_back"}
    desk.close()
    expected.close()


def test_a_book_that_is_older_than_the_recovery_store_is_refused(tmp_path):
    """It was replaced or restored: what to do is said, and nothing is written."""
    desk = PaperDesk(tmp_path / "desk", loops=loops())
    prepared(desk)
    desk.trade()
    desk.book._connection.execute("UPDATE position SET seq = 1")
    with pytest.raises(DeskError, match="it was replaced or restored"):
        desk.trade()
    desk.close()


def test_two_processes_do_not_trade_on_one_folder(tmp_path):
    desk = PaperDesk(tmp_path / "desk", loops=loops())
    does = "paper trading of one data folder is done"
    with Recovery(desk.recovery, does), pytest.raises(DeskError, match=f"{does} by one process"):
        Recovery(desk.recovery, does)
    desk.close()


@pytest.mark.mongo
def test_a_server_that_is_frozen_is_waited_for(tmp_path: Path, mongo_jars: Path, monkeypatch):
    """Bars and book are both in it: nothing is passed over, nothing done twice."""
    monkeypatch.setattr(tail, "EVENTS_MAX", 1)
    server = MongoServer(mongo_jars).start()
    try:
        expected = PaperDesk(tmp_path / "whole", loops=loops())
        prepared(expected)
        expected.trade()
        desk = PaperDesk(tmp_path / "desk", loops=loops(), store=f"{server.uri}/desk")
        prepared(desk)
        seen = threading.Event()

        def told(_level, name, _text):
            if name == "store_away":
                seen.set()

        frozen = threading.Event()

        def watch():
            # Frozen as soon as something was written, until the desk has noticed.
            while not desk.book.rows("decisions"):
                seen.wait(0.001)
            server.pause()
            frozen.set()
            seen.wait(60)
            server.resume()

        watcher = threading.Thread(target=watch)
        watcher.start()
        with Recovery(desk.recovery) as recovery:
            bench = running.Bench(
                desk.journal, recovery, desk.store, desk.book, desk.ledger, desk.progress, told, lambda *_: None,
                desk.loops, GRACE,
            )  # fmt: skip
            running.trade(bench, threading.Event(), lambda: desk.now, until_end=True, epoch=timedelta(seconds=0.05))
        watcher.join(60)
        assert frozen.is_set()
        assert seen.is_set()
        assert desk.all_rows() == expected.all_rows()
        desk.close()
        expected.close()
    finally:
        server.stop()
