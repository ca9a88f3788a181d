"""Frames adjusted when they are read: raw bars stay in the store."""

import datetime as dt

import numpy as np
import pytest

from history.adjusting import adjusted
from market.actions import dividend, split
from market.adjustment import Adjust
from market.bars import BAR, BarBatch, BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar_for
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.actions_book import ActionsBook
from sinks.registry_book import Instrument, RegistryBook
from sinks.sqlite_bars import SqliteBars

AAPL = Symbol("NASDAQ", "AAPL")
STREAM = Stream(0, "file", AAPL, FeedKind.TRADES, 0)
FRIDAY, MONDAY, TUESDAY = (dt.date(2005, 2, 25), dt.date(2005, 2, 28), dt.date(2005, 3, 1))


def bar(interval: Interval, day: dt.date, close: float, volume: float, **prices: float) -> np.ndarray:
    found = calendar_for(AAPL).bounds_of_date(interval, day)
    row = np.zeros(1, BAR)
    row["start"], row["end"] = (found[0] * MINUTE_NS, found[1] * MINUTE_NS)
    for name in ("open", "high", "low", "close"):
        row[name] = prices.get(name, close)
    row["volume"], row["notional"], row["trades"] = volume, close * volume, 7
    row["updated_at"], row["seq"] = row["end"], -1
    row["interval"], row["state"] = interval, BarState.OFFICIAL
    return row


@pytest.fixture
def desk(tmp_path):
    """Three days around Apple's two for one split of 28 February 2005, and the month and week of the first of them."""
    store = SqliteBars(tmp_path / "bars.sqlite")
    rows = [
        bar(Interval.D1, FRIDAY, 88.99, 100.0, open=89.62, high=89.91, low=88.19),
        bar(Interval.D1, MONDAY, 44.86, 200.0, open=44.68, high=45.14, low=43.96),
        bar(Interval.D1, TUESDAY, 44.5, 150.0),
        bar(Interval.W1, FRIDAY, 88.99, 100.0),
    ]
    store.upsert(BarBatch(np.concatenate(rows), (STREAM,)), writer="import", own_revisions=False)
    yield store, tmp_path / "history.sqlite"
    store.close()


def note(history, *actions, asked=None):
    with ActionsBook(history) as book:
        return book.note(actions, 1, asked=asked)


def read(desk, interval=Interval.D1, adjust=Adjust.SPLITS, **query):
    store, history = desk
    raw = store.read(AAPL, interval, newest_first=False, **query)
    return adjusted(raw, store, history, AAPL, interval, adjust)


def test_bars_before_a_split_are_on_the_footing_of_those_after(desk):
    note(desk[1], split(AAPL, MONDAY, 2.0, "massive"))

    frame = read(desk)

    assert frame["close"].to_list() == [44.495, 44.86, 44.5]
    assert frame["high"].to_list()[0] == 44.955
    assert frame["volume"].to_list() == [200.0, 200.0, 150.0]
    assert frame["notional"].to_list() == pytest.approx([8899.0, 8972.0, 6675.0])
    assert frame["vwap"].to_list() == pytest.approx([44.495, 44.86, 44.5])
    assert desk[0].read(AAPL, Interval.D1)["close"].to_list() == [44.5, 44.86, 88.99], "the store keeps what traded"


def test_a_dividend_counts_by_the_close_of_the_day_before(desk):
    """0.445 from Tuesday's raw 44.5 would be one hundredth; its close before is Monday's 44.86."""
    note(desk[1], split(AAPL, MONDAY, 2.0, "massive"), dividend(AAPL, TUESDAY, 4.486, "USD", "massive"))

    assert read(desk, adjust=Adjust.ALL)["close"].to_list() == pytest.approx([88.99 / 2 * 0.9, 44.86 * 0.9, 44.5])
    assert read(desk)["close"].to_list() == [44.495, 44.86, 44.5]


def test_a_month_with_a_split_in_it_is_made_of_its_days(desk):
    """No factor could mend a high of 89.91 beside a low of 43.96: the split was on the month's last session."""
    store, history = desk
    month = bar(Interval.MO1, FRIDAY, 44.86, 300.0, open=89.62, high=89.91, low=43.96)
    days = []
    for day in range(1, 28):
        date = dt.date(2005, 2, day)
        if calendar_for(AAPL).bounds_of_date(Interval.D1, date) is not None and date < FRIDAY:
            days.append(bar(Interval.D1, date, 80.0, 10.0))
    store.upsert(BarBatch(np.concatenate([month]), (STREAM,)), writer="import", own_revisions=False)
    note(history, split(AAPL, MONDAY, 2.0, "file"))

    with pytest.raises(DeskError, match=r"1M bar .* 2005-02-01 holds a split .* 2005-02-01 is missing: `pq"):
        read(desk, Interval.MO1)

    store.upsert(BarBatch(np.concatenate(days), (STREAM,)), writer="import", own_revisions=False)
    (row,) = read(desk, Interval.MO1).rows(named=True)
    assert (row["open"], row["high"], row["low"], row["close"]) == (40.0, 45.14, 40.0, 44.86)
    assert row["volume"] == len(days) * 20.0 + 200.0 + 200.0


def test_symbols_that_nobody_was_asked_of_are_not_shown_as_adjusted(desk):
    """Silence is not the knowledge that there were none."""
    with pytest.raises(DeskError, match="never fetched, so its prices can be read as they traded only"):
        read(desk)

    note(desk[1], asked={AAPL: "massive"})

    assert read(desk)["close"].to_list() == [88.99, 44.86, 44.5]


def test_what_is_never_split_and_pays_nothing_needs_no_asking(desk):
    """No provider has actions of crypto and currencies, so advice to fetch them would lead nowhere."""
    store, history = desk
    symbol = Symbol("KRAKEN", "BTCUSD")
    row = bar(Interval.M1, MONDAY, 44.86, 200.0)
    store.upsert(BarBatch(row, (STREAM._replace(symbol=symbol),)), writer="import", own_revisions=False)
    raw = store.read(symbol, Interval.M1)

    assert adjusted(raw, store, history, symbol, Interval.M1, Adjust.ALL).equals(raw)

    with RegistryBook(history) as book:
        book.put([Instrument(symbol, asset_class="stock")])
    with pytest.raises(DeskError, match="never fetched"):
        adjusted(raw, store, history, symbol, Interval.M1, Adjust.ALL)


def test_a_dividend_without_a_close_near_it_is_named(desk):
    note(desk[1], dividend(AAPL, dt.date(2005, 6, 1), 0.5, "USD", "file"))
    store, _ = desk
    later = bar(Interval.D1, dt.date(2005, 6, 2), 40.0, 1.0)
    store.upsert(BarBatch(later, (STREAM,)), writer="import", own_revisions=False)

    with pytest.raises(DeskError, match=r"2005-06-01 needs the close before it, .* is of 2005-03-01"):
        read(desk, adjust=Adjust.ALL)


def test_what_a_user_imports_stands_above_what_a_provider_says(tmp_path):
    """And telling the same again is no change."""
    history = tmp_path / "history.sqlite"
    assert note(history, split(AAPL, MONDAY, 2.0, "alpaca")) == (1, 0, 0)
    assert note(history, split(AAPL, MONDAY, 2.0, "massive")) == (0, 0, 1)
    assert note(history, split(AAPL, MONDAY, 4.0, "file")) == (0, 1, 0)
    assert note(history, split(AAPL, MONDAY, 2.0, "massive")) == (0, 0, 1)
    with ActionsBook(history) as book:
        assert [(one.value, one.source) for one in book.actions()] == [(4.0, "file")]
