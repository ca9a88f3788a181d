"""Where each sync stands is written down, and nothing stands on `syncing` for ever."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from market.intervals import Interval
from market.symbols import Symbol
from sinks.process_token import this_process
from sinks.sync_book import UNTAKEN_NS, InHandError, SyncBook, SyncState, SyncStatus, Task

BTC, ETH = Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD")
H1, D1 = Interval.H1, Interval.D1
ME, YOU = "boot:1:5", "boot:2:6"
HOUSE = Path(__file__).resolve().parents[2]


@pytest.fixture
def living() -> set[str]:
    """Tokens of the processes that run."""
    return {ME, YOU}


@pytest.fixture
def book(tmp_path, living):
    with SyncBook(tmp_path / "history.sqlite", alive=living.__contains__) as book:
        yield book


def states(book, now=1000):
    return {(one.task, one.symbol.ticker, one.interval): one.state for one in book.statuses(now)}


def test_a_sync_goes_from_pending_over_syncing_to_completed_with_its_times(book):
    assert book.status(Task.SYNC, BTC, H1, 0) is None

    assert book.ask(Task.SYNC, [BTC, ETH], H1, 10, ME) == 2
    assert book.status(Task.SYNC, BTC, H1, 11) == SyncStatus(
        Task.SYNC, BTC, H1, SyncState.PENDING, None, 0, 0, 0, None, 10, None, None, None
    )
    work = book.begin(Task.SYNC, BTC, H1, 20, ME)
    book.advance(work, 100, "binance")
    assert book.status(Task.SYNC, BTC, H1, 21) == SyncStatus(
        Task.SYNC, BTC, H1, SyncState.SYNCING, "binance", 100, 0, 0, None, 10, 20, None, None
    )
    book.complete(work, 500, "binance+kraken", 30)
    assert book.status(Task.SYNC, BTC, H1, 31) == SyncStatus(
        Task.SYNC, BTC, H1, SyncState.COMPLETED, "binance+kraken", 500, 0, 0, None, 10, 20, 30, 30
    )
    assert book.status(Task.SYNC, ETH, H1, 31).state == SyncState.PENDING


def test_a_failure_says_why_and_leaves_when_it_was_completed_last(book):
    book.complete(book.begin(Task.SYNC, BTC, D1, 1, ME), 5, "okx", 2)

    book.fail(book.begin(Task.SYNC, BTC, D1, 3, ME), "okx is away", 4)

    assert book.status(Task.SYNC, BTC, D1, 5) == SyncStatus(
        Task.SYNC, BTC, D1, SyncState.ERROR, None, 0, 0, 0, "okx is away", 3, 3, 4, 2
    )


def test_what_is_asked_for_twice_is_pending_once(book):
    assert book.ask(Task.SYNC, [BTC], H1, 1, ME) == 1
    assert book.ask(Task.SYNC, [BTC, ETH], H1, 2, YOU) == 1
    work = book.begin(Task.SYNC, BTC, H1, 3, ME)

    assert book.ask(Task.SYNC, [BTC], H1, 4, YOU) == 0, "it is in hand"
    book.complete(work, 1, "okx", 5)
    assert book.ask(Task.SYNC, [BTC], H1, 6, YOU) == 1


def test_a_task_of_one_interval_is_not_that_of_another(book):
    book.begin(Task.SYNC, BTC, H1, 1, ME)
    book.begin(Task.SYNC, BTC, D1, 1, ME)
    book.fail(book.begin(Task.BACKFILL, BTC, H1, 1, ME), "no", 2)

    assert states(book) == {
        ("sync", "BTCUSD", H1): "syncing",
        ("sync", "BTCUSD", D1): "syncing",
        ("backfill", "BTCUSD", H1): "error",
    }


def test_work_of_a_process_that_ended_is_an_error_from_then_on(book, living):
    """Killed with -9 it could not say so itself."""
    book.ask(Task.SYNC, [ETH], H1, 1, YOU)
    book.begin(Task.BACKFILL, BTC, H1, 1, "boot:77:5")
    living.remove(YOU)

    found = book.statuses(9)

    assert [(one.symbol, one.state, one.ended_at) for one in found] == [(BTC, "error", 9), (ETH, "error", 9)]
    assert found[0].message == "its process (pid 77) ended before it was done; start it again, and it goes on"


def test_work_in_hand_is_refused_to_who_wants_to_be_alone_until_its_process_ends(book, living):
    living.add("boot:77:5")
    book.begin(Task.BACKFILL, BTC, H1, 1, "boot:77:5", alone=True)

    with pytest.raises(InHandError, match="backfill of SIM:BTCUSD 1h goes on already in process 77; wait"):
        book.begin(Task.BACKFILL, BTC, H1, 2, ME, alone=True)
    living.remove("boot:77:5")
    work = book.begin(Task.BACKFILL, BTC, H1, 3, ME, alone=True)
    book.complete(work, 1, "okx", 4)
    assert book.status(Task.BACKFILL, BTC, H1, 5).state == "completed"


def test_what_an_older_run_says_does_not_count_any_more(book):
    """Two may sync one series at a time; the status is that of the one that began last."""
    old = book.begin(Task.SYNC, BTC, H1, 1, YOU)
    new = book.begin(Task.SYNC, BTC, H1, 2, ME)

    book.fail(old, "stopped", 3)
    assert book.status(Task.SYNC, BTC, H1, 3).state == "syncing"
    book.complete(new, 9, "okx", 4)
    book.advance(old, 1, "kraken")
    assert book.status(Task.SYNC, BTC, H1, 5).bars == 9


def test_a_wish_that_nobody_takes_up_is_given_up_after_a_day(book):
    book.ask(Task.SYNC, [BTC], H1, 0)

    assert book.status(Task.SYNC, BTC, H1, UNTAKEN_NS).state == "pending"
    assert book.status(Task.SYNC, BTC, H1, UNTAKEN_NS + 1).state == "error"
    assert book.ask(Task.SYNC, [BTC], H1, UNTAKEN_NS + 2) == 1


def test_a_wish_that_a_process_takes_up_ends_with_that_process(book, living):
    book.ask(Task.SYNC, [BTC], H1, 1)

    assert book.ask(Task.SYNC, [BTC], H1, 2, YOU) == 0
    living.remove(YOU)

    found = book.status(Task.SYNC, BTC, H1, 3)
    assert (found.state, found.asked_at) == ("error", 1)


def test_a_symbol_that_was_removed_is_forgotten(book):
    book.ask(Task.SYNC, [BTC, ETH], H1, 0, ME)

    book.forget(BTC)

    assert states(book) == {("sync", "ETHUSD", H1): "pending"}


def test_many_threads_begin_one_after_the_other(tmp_path):
    def work():
        with SyncBook(tmp_path / "history.sqlite") as book:
            for _ in range(20):
                book.complete(book.begin(Task.SYNC, BTC, H1, 1, this_process()), 1, "okx", 2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with SyncBook(tmp_path / "history.sqlite") as book:
        assert book.begin(Task.SYNC, BTC, H1, 3, this_process()).run == 81


@pytest.mark.crash
def test_a_process_killed_while_it_syncs_leaves_an_error(tmp_path):
    """The real thing: another process, and SIGKILL."""
    script = (
        "import sys, pathlib; from sinks.sync_book import *; from sinks.process_token import this_process;"
        "from market.symbols import Symbol; from market.intervals import Interval;"
        "book = SyncBook(pathlib.Path(sys.argv[1]));"
        "book.begin(Task.SYNC, Symbol('SIM', 'BTCUSD'), Interval.H1, 1, this_process()); print('begun', flush=True);"
        "input()"
    )
    path = tmp_path / "history.sqlite"
    with subprocess.Popen(
        [sys.executable, "-c", script, path], cwd=HOUSE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "begun\n"
        with SyncBook(path) as book:
            assert book.status(Task.SYNC, BTC, H1, 2).state == "syncing"
            child.kill()
            child.wait()
            assert book.status(Task.SYNC, BTC, H1, 3).state == "error"
