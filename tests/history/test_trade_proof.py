"""What the journal came to hold after all: proved by ids that follow on each other, and by nothing less."""

import numpy as np
import pytest
from scripted.provider import Script, seat, truth_of_minutes

from history.heal import heal
from history.trade_proof import AROUND_NS, LONGEST_NS, JournaledTrades
from market.intervals import MINUTE_NS, Interval
from market.journal_rows import RowKind
from market.sessions import calendar
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import MARK, TICK, MarkKind
from sinks.journal import JournalWriter
from sinks.ledger import GapState

BTC = Symbol("SIM", "BTCUSD")
SECOND = 10**9
CLOCK = calendar("24/7")


class Journal:
    """A journal of one feed, in which trades arrive when they are said to."""

    def __init__(self, desk, feed="sim", kind=FeedKind.TRADES):
        self.writer = JournalWriter(desk.folders.journal, desk.now_ns)
        self.stream = self.writer.stream(feed, BTC, kind, 0)

    def trades(self, received, *trades):
        """(event time, id[, count]) as one row."""
        rows = np.zeros(len(trades), TICK)
        for row, (event_time, number, *count) in zip(rows, trades, strict=True):
            row["event_time"], row["trade_id"], row["count"] = event_time, number, *(count or [1])
        rows["received_time"], rows["price"], rows["size"] = received, 100 + rows["trade_id"] % 7, 1.0
        rows["stream"] = self.stream.id
        self.writer.append(RowKind.TICKS, 0, rows)

    def clock(self, time):
        """A mark that time has passed."""
        marks = np.zeros(1, MARK)
        marks["time"], marks["kind"], marks["stream"] = time, MarkKind.CLOCK, 0xFFFF
        self.writer.append(RowKind.MARKS, 0, marks)


@pytest.fixture
def journal(desk):
    made = Journal(desk)
    yield made
    made.writer.close()


def proved(desk, start, end, feed="sim"):
    rows = JournaledTrades(desk, [(BTC, feed, (start, end))]).minutes(BTC, feed, (start, end), CLOCK)
    return None if rows is None else [(int(row["start"] - start) // MINUTE_NS, int(row["trades"])) for row in rows]


def test_a_snapshot_after_an_outage_that_joins_on_proves_the_minutes(desk, clock, journal):
    """Ids 1 to 3 came before, 4 to 7 in one row long after they were traded, 8 as it happened."""
    start = clock()
    journal.trades(start - SECOND, (start - 3 * SECOND, 1), (start - 2 * SECOND, 2), (start - SECOND, 3))
    journal.trades(
        start + 3 * MINUTE_NS,
        (start + 10 * SECOND, 4), (start + 20 * SECOND, 5), (start + 70 * SECOND, 6), (start + 130 * SECOND, 7),
    )  # fmt: skip
    journal.trades(start + 3 * MINUTE_NS + SECOND, (start + 3 * MINUTE_NS + SECOND, 8))
    journal.clock(start + 4 * MINUTE_NS)

    assert proved(desk, start, start + 2 * MINUTE_NS) == [(0, 2), (1, 1)]
    assert proved(desk, start, start + 3 * MINUTE_NS) == [(0, 2), (1, 1), (2, 1)]


@pytest.mark.parametrize(
    ("missing", "why"), [(1, "nothing before"), (3, "a hole"), (4, "a hole at its end"), (5, "nothing behind")]
)
def test_nothing_less_than_every_id_proves_anything(desk, clock, journal, missing, why):
    start = clock()
    at = {1: start - SECOND, 2: start + SECOND, 3: start + 2 * SECOND, 4: start + 59 * SECOND, 5: start + MINUTE_NS}
    journal.trades(start + 2 * MINUTE_NS, *((moment, number) for number, moment in at.items() if number != missing))
    journal.clock(start + 3 * MINUTE_NS)

    assert proved(desk, start, start + MINUTE_NS) is None, why


def test_a_quiet_minute_is_proved_by_the_trades_around_it(desk, clock, journal):
    start = clock()
    journal.trades(start + 2 * MINUTE_NS, (start - SECOND, 7), (start + MINUTE_NS, 8))
    journal.clock(start + 3 * MINUTE_NS)

    assert proved(desk, start, start + MINUTE_NS) == []


def test_an_aggregate_covers_the_ids_that_it_counts(desk, clock, journal):
    start = clock()
    journal.trades(start + 2 * MINUTE_NS, (start - SECOND, 10), (start + SECOND, 15, 5), (start + MINUTE_NS, 16))
    journal.clock(start + 3 * MINUTE_NS)

    assert proved(desk, start, start + MINUTE_NS) == [(0, 5)]


def test_a_trade_stamped_out_of_order_leaves_no_side_open(desk, clock, journal):
    """Id 3 is stamped behind id 4: what belongs to the minute are 2 and 4, and all of 1 to 5 must be there."""
    start = clock()
    trades = [(start - SECOND, 1), (start + SECOND, 2), (start + 61 * SECOND, 3), (start + 59 * SECOND, 4)]
    journal.trades(start + 2 * MINUTE_NS, *trades, (start + 70 * SECOND, 5))
    journal.clock(start + 3 * MINUTE_NS)

    assert proved(desk, start, start + MINUTE_NS) == [(0, 2)]


def test_trades_without_ids_and_samples_prove_nothing(desk, clock):
    start = clock()
    for feed, kind, first in (("plain", FeedKind.TRADES, -1), ("sampled", FeedKind.CONFLATED, 1)):
        journal = Journal(desk, feed, kind)
        ids = [-1, -1, -1] if first < 0 else [1, 2, 3]
        journal.trades(
            start + 2 * MINUTE_NS, *zip((start - SECOND, start + SECOND, start + MINUTE_NS), ids, strict=True)
        )
        journal.clock(start + 3 * MINUTE_NS)
        journal.writer.close()
        assert proved(desk, start, start + MINUTE_NS, feed) is None


def test_what_is_too_long_or_too_far_is_left_to_history(desk, clock, journal):
    start = clock()
    journal.trades(start + 20 * MINUTE_NS, (start - AROUND_NS - SECOND, 1), (start + LONGEST_NS + MINUTE_NS, 2))
    journal.clock(start + 30 * MINUTE_NS)

    assert proved(desk, start, start + MINUTE_NS) is None
    assert proved(desk, start, start + LONGEST_NS + MINUTE_NS) is None


def test_a_gap_whose_ids_were_filled_is_closed_without_a_call(desk, clock, journal):
    """And says by whom: the feed that brought them after all."""
    start = clock() - 3 * MINUTE_NS
    journal.trades(start + 90 * SECOND, (start - SECOND, 1), (start + SECOND, 2), (start + 2 * SECOND, 3))
    journal.trades(start + 2 * MINUTE_NS, (start + 61 * SECOND, 4))
    journal.clock(clock())
    desk.ledger.subscribe(BTC, "sim", start - MINUTE_NS)
    desk.ledger.note_gap(BTC, start + SECOND, start + 2 * SECOND + 1, "trade_ids", start + 10 * SECOND, "sim")
    script = Script(bars=truth_of_minutes(start, 3))
    seat(desk, simulated=script)
    heal(desk)

    (gap,) = desk.ledger.gaps()
    assert (gap.state, gap.healed_by) == (GapState.HEALED, "sim")
    (row,) = desk.store.read(BTC, Interval.M1).to_dicts()
    assert (row["state"], row["source"], row["trades"], row["volume"]) == ("healed", "sim", 2, 2.0)
    assert script.calls == []
