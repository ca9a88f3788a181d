"""Whoever heals gaps is told of them at once: when the ledger has them, and when they end."""

from contextlib import contextmanager

import pytest

from dataflows.ingest.clerk import Clerk
from dataflows.ingest.gap_notes import GapNotes, Noticed
from dataflows.ingest.outages import Change
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from operators.trade_gaps import Gap
from sinks.ledger import Ledger

BTC, ETH = Symbol("SIM", "BTCUSD"), Symbol("SIM", "ETHUSD")
STREAMS = tuple(Stream(n, "sim", symbol, FeedKind.TRADES, 0) for n, symbol in enumerate((BTC, ETH)))


class Log:
    """Keeps what it was told."""

    def __init__(self):
        self.lines = []

    def _line(self, event, **fields):
        self.lines.append((event, fields))

    debug = info = warning = error = exception = _line


class NoJournal:
    """A recorder that takes marks and keeps none."""

    def marks(self, marks):
        """As the recorder's."""


@contextmanager
def notes(folder, log, noticed):
    """Notes whose clerk has done all work when the block ends."""
    with Ledger(folder / "desk.sqlite") as ledger:
        clerk = Clerk(ledger, log)
        yield GapNotes(NoJournal(), clerk, log, lambda: STREAMS, noticed)
        clerk.close(30)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "desk.sqlite") as found:
        yield found


def test_a_gap_is_told_when_it_begins_and_when_it_ends_and_lost_trades_once(tmp_path, ledger):
    """And not before the ledger has it: who is told looks there."""
    told = []

    def noticed(gaps):
        told.extend((gap, [(held.symbol, held.start, held.end) for held in ledger.gaps()]) for gap in gaps)

    with notes(tmp_path, Log(), noticed) as made:
        made.outages(Change([], [(0, 100)], []), "down", 110)
        made.outages(Change([], [], [(0, 200)]), "down", 200)
        made.lost_trades([Gap(1, 300, 320, 7, 8)], 330)
        made.lasting([(1, 400)], 500)

    assert told == [
        (Noticed(BTC, "sim", "down", 100, None), [(BTC, 100, None)]),
        (Noticed(BTC, "sim", "down", 100, 200), [(BTC, 100, 200)]),
        (Noticed(ETH, "sim", "trade_ids", 300, 320), [(BTC, 100, 200), (ETH, 300, 320)]),
        (Noticed(ETH, "sim", "away", 400, None), [(BTC, 100, 200), (ETH, 300, 320), (ETH, 400, None)]),
    ]


def test_whoever_cannot_be_told_holds_up_nothing(tmp_path, ledger):
    """The scheduled scan finds the gap in the ledger."""

    def fails(_):
        msg = "nobody listens"
        raise RuntimeError(msg)

    log = Log()
    with notes(tmp_path, log, fails) as made:
        made.outages(Change([], [(0, 100)], []), "down", 110)
        made.outages(Change([], [], [(0, 200)]), "down", 200)

    assert [(gap.start, gap.end) for gap in ledger.gaps()] == [(100, 200)]
    assert [event for event, _ in log.lines] == ["gaps noticed, but nobody could be told"] * 2
