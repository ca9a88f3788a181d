"""An account as bytes, its logs, and the compiled step that it finds by itself."""

import numpy as np
import pytest
from scripted.accounts import FOREVER, account, bars, logged, once, run

from market.errors import DeskError
from trading import requests as ask
from trading import risk, step
from trading.book import KEEP_TRADES, least_room
from trading.jit import njit
from trading.ledger import Fault
from trading.records import Reason, Side
from trading.snapshot import SnapshotError, drained, from_bytes, to_bytes

FLAT = (100, 100, 100, 100)


def held():
    """An account with a position, a waiting order, and its logs drained."""
    book = account()

    def asked(orders):
        return ask.limit(orders, ask.market(orders, 0, 0, Side.BUY, 10.0), 0, Side.SELL, 10.0, 110.0)

    run(book, bars(FLAT, FLAT), once(0, asked))
    drained(book)
    return book


def test_a_snapshot_restores_what_is_held_what_waits_and_the_kill_switch():
    """And not where things were in memory: the bytes are the same in every process."""
    book = held()
    risk.kill(book.account, False, 10, 2)
    drained(book)
    saved = to_bytes(book)
    again = from_bytes(saved)
    assert to_bytes(again) == saved
    assert (again.positions[0].lots, again.account.killed, again.account.working) == (10, 1, 0)
    run(again, bars(FLAT, first=2 * 60_000_000_000), once(0, lambda o: ask.target(o, 0, 0, 0.5)))
    assert logged(again)[0][0].reason == Reason.KILLED


def test_full_logs_are_not_part_of_a_snapshot():
    """Whoever takes one drains them first, or their records would be lost."""
    book = account()
    run(book, bars(FLAT, FLAT), once(0, lambda o: ask.market(o, 0, 0, Side.BUY, 10.0)))
    with pytest.raises(SnapshotError, match="a snapshot leaves the logs out, and they hold 2 records"):
        to_bytes(book)
    logs = drained(book)
    assert [len(log) for log in logs] == [1, 1, 0]
    assert [len(log) for log in drained(book)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data[:10], "has at least .* bytes, and these are 10"),
        (lambda data: data[:-1], "is cut short"),
        (lambda data: b"\x07" + data[1:], "saved by another version"),
        (lambda data: data[:4] + b"\xff" + data[5:], "saved by another version"),
    ],
)
def test_bytes_that_are_no_snapshot_are_refused(damage, sentence):
    """In a sentence, before anything of them is believed."""
    with pytest.raises(DeskError, match=sentence):
        from_bytes(damage(to_bytes(held())))


def test_an_account_says_when_its_logs_must_be_emptied():
    """Before a step could need more room than there is."""
    book = account(room=1)
    assert book.account.room == least_room(17) + 1
    side = {True: Side.BUY, False: Side.SELL}
    rows = 0
    for row, view in enumerate(bars(*[FLAT] * 200)):
        step.advance(book.account, view, row, FOREVER)
        step.want(book.account, view, row, float(side[row % 2 == 0]))
        rows = row
        if book.account.full:
            break
    assert 0 < rows < 199
    assert book.account.room - book.account.done < least_room(17)
    drained(book)
    assert not book.account.full


def test_a_sweep_may_keep_trades_only():
    """What is not kept costs no memory."""
    book = account()
    book.account.keep = KEEP_TRADES
    wishes = {0: 1.0, 1: -1.0}
    run(book, bars(*[FLAT] * 3), lambda row, o: ask.target(o, 0, 0, wishes[row]) if row in wishes else 0)
    assert [len(log) for log in logged(book)] == [0, 0, 1]


@njit
def compiled(accounts, views, wishes):
    account = accounts[0]
    for row in range(views.size):
        step.advance(account, views[row], row, 1 << 62)
        step.want(account, views[row], row, wishes[row])


def test_a_compiled_loop_finds_the_step_by_itself():
    """The account's first entry compiles the step, or reads it from disk, and takes its own place."""
    book = account()
    first = int(book.account.entry)
    compiled(book.accounts, bars(*[FLAT] * 4), np.array([1.0, np.nan, 0.0, np.nan]))
    assert book.account.entry not in {0, first}
    assert [f.units for f in logged(book)[1]] == [100.0, 100.0]


def test_a_compiled_loop_without_an_entry_stops_the_account():
    """Rather than calling nothing."""
    book = account()
    book.account.entry = 0
    compiled(book.accounts, bars(FLAT), np.array([1.0]))
    assert book.account.fault == Fault.NOT_ATTACHED
