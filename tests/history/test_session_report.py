"""Session reports: when they are due by the calendar, and what they say."""

import numpy as np
import pytest
from scripted.provider import Script, seat, truth_of_minutes

from history.session_report import Session, due_sessions, last_session, session_report, session_reports
from market.bars import BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.ledger import GapState
from sinks.session_book import SessionBook
from sources.history.provider import ProviderAway

BTC, FORD = Symbol("SIM", "BTCUSD"), Symbol("NYSE", "F")
HOUR = 60 * MINUTE_NS
DAY = 24 * HOUR


def at(text):
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-01-02T21:00", "2026-01-02T14:30", "2026-01-02T21:00"),
        ("2026-01-02T20:59", "2025-12-31T14:30", "2025-12-31T21:00"),
        ("2026-11-27T18:00", "2026-11-27T14:30", "2026-11-27T18:00"),
        ("2026-07-06T12:00", "2026-07-02T13:30", "2026-07-02T20:00"),
    ],
    ids=["an ordinary day", "new year is a holiday", "a half day ends at 13:00 in New York", "a long weekend"],
)
def test_the_last_session_is_the_calendars_to_say(now, start, end):
    assert last_session(calendar_for(FORD), at(now)) == (at(start), at(end))


def test_a_session_is_due_a_quarter_of_an_hour_after_its_close_and_once(desk, clock):
    """New York's is over at 21:00 UTC, the simulated exchange's day at midnight."""
    desk.ledger.subscribe(FORD, "tradingview", clock())
    desk.ledger.subscribe(BTC, "sim", clock())
    seat(desk, **{name: Script() for name in ("simulated", "alpaca", "massive", "tradier", "alpha_vantage",
                                              "yfinance", "tradingview")})  # fmt: skip
    clock.now_ns = at("2026-01-02T21:14")
    assert [one.exchange for one in due_sessions(desk)] == ["NYSE", "SIM"], "of the days before"
    session_reports(desk)
    assert due_sessions(desk) == []

    clock.now_ns = at("2026-01-02T21:15")
    assert due_sessions(desk) == [Session("NYSE", at("2026-01-02T14:30"), at("2026-01-02T21:00"), (FORD,))]
    session_reports(desk)
    clock.now_ns = at("2026-01-03T00:16")
    assert due_sessions(desk) == [Session("SIM", at("2026-01-02T00:00"), at("2026-01-03T00:00"), (BTC,))]
    clock.now_ns = at("2026-01-09T12:00")
    assert [one.exchange for one in due_sessions(desk)] == ["NYSE", "SIM"]


def live(desk, truth, lost=()):
    """Minute bars as the dataflow wrote them, without those that were lost."""
    rows = truth.copy()
    rows["state"], rows["revision"], rows["updated_at"] = BarState.CLOSED, 1, rows["end"]
    for start, end in lost:
        inside = (rows["start"] >= start) & (rows["end"] <= end)
        rows = rows[~inside]
        rows["state"][(rows["start"] < end) & (rows["end"] > start)] = BarState.PARTIAL
    batch = BarBatch(rows, (Stream(0, "sim", BTC, FeedKind.TRADES, 0),))
    desk.store.upsert(batch, writer="bars", own_revisions=True)
    return rows


def test_a_report_says_what_was_received_lost_and_healed(desk, clock):
    day = clock() // DAY * DAY - DAY
    truth = truth_of_minutes(day, 1440)
    gaps = [(day + 600 * MINUTE_NS + 30 * 10**9, day + 610 * MINUTE_NS), (day + 700 * MINUTE_NS, day + 705 * MINUTE_NS)]
    rows = live(desk, truth, gaps)
    desk.ledger.subscribe(BTC, "sim", day - DAY)
    first, second = (desk.ledger.note_gap(BTC, *gap, "down", gap[1], "sim") for gap in gaps)
    desk.ledger.settle_gap(first, GapState.HEALED, "simulated")
    desk.ledger.settle_gap(second, GapState.UNFILLABLE)
    seat(desk, simulated=Script(bars=truth))
    (report,) = session_reports(desk)

    (row,) = report.symbols
    assert (report.exchange, report.start, report.end) == ("SIM", day, day + DAY)
    assert row._replace(symbol=None, error="") == (
        None, 1440, 1426, 1, int(rows["trades"].sum()), 1440, 2, 870.0, 570.0, 300.0, 1441, "",
    )  # fmt: skip
    assert row.error == ""
    assert desk.store.read(BTC, Interval.D1, day, day + 1)["state"].to_list() == ["official"]
    with SessionBook(desk.folders.history) as book:
        assert book.reports() == [report]
        assert book.reports("NYSE") == []


def test_what_a_provider_does_not_give_is_in_the_report(desk, clock):
    day = clock() // DAY * DAY - DAY
    desk.ledger.subscribe(BTC, "sim", day)
    seat(desk, simulated=Script(fails={n: ProviderAway("simulated does not answer") for n in range(99)}))
    (session,) = due_sessions(desk)
    (row,) = session_report(desk, session).symbols

    assert "does not answer" in row.error
    assert (row.live, row.held, row.synced, row.gaps) == (0, 0, 0, 0)
