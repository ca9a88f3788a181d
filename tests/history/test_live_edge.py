"""How far the live bars have come: what is made above them must not run ahead of them."""

import numpy as np
import pytest

from history.live_edge import live_edge
from market.intervals import MINUTE_NS
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import MARK, QUOTE, TICK, MarkKind
from sinks.journal import JournalWriter


@pytest.fixture
def journal(desk):
    with JournalWriter(desk.folders.journal, desk.now_ns) as writer:
        yield writer


def clock_mark(time):
    marks = np.zeros(1, MARK)
    marks["time"], marks["kind"], marks["stream"] = time, MarkKind.CLOCK, 0xFFFF
    return marks


def test_without_a_journal_nothing_is_waited_for(desk, clock):
    assert live_edge(desk) == clock()


def test_rows_that_are_not_read_yet_hold_the_edge_where_they_begin(desk, clock, journal):
    """By the consumer's own note, or by what the store has: whichever is further."""
    times = [clock() - minutes * MINUTE_NS for minutes in (9, 8, 7, 6)]
    for time in times:
        journal.append(RowKind.MARKS, 0, clock_mark(time))
    assert live_edge(desk) == times[0]
    desk.ledger.move("bars", 2)
    assert live_edge(desk) == times[2]
    desk.ledger.move("paper", 4)
    assert live_edge(desk) == times[2], "another consumer's place means nothing"
    desk.ledger.move("bars", 4)
    assert live_edge(desk) == times[3], "the desk has stopped: of the six minutes since nothing is known"


def test_quotes_and_replayed_files_hold_nothing_up(desk, clock, journal):
    """Bars ignore quotes, and a file has a clock of its own, years ago."""
    stream = journal.stream("file:00000001", Symbol("SIM", "BTCUSD"), FeedKind.TRADES, 1)
    quotes, ticks = np.zeros(1, QUOTE), np.zeros(1, TICK)
    quotes["received_time"] = clock() - 5 * MINUTE_NS
    ticks["event_time"] = ticks["received_time"] = 10**18
    ticks["price"], ticks["stream"] = 1.0, stream.id
    journal.append(RowKind.QUOTES, 0, quotes)
    journal.append(RowKind.TICKS, 1, ticks)
    assert live_edge(desk) == clock(), "nothing was ever journaled live"
    journal.append(RowKind.MARKS, 0, clock_mark(clock() - MINUTE_NS))
    assert live_edge(desk) == clock() - MINUTE_NS
