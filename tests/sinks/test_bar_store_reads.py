"""What every engine of the bar store promises to readers, run against SQLite and against MongoDB's protocol."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from stored_bars import (
    BEGIN_NS,
    CLOSED,
    FORMING,
    PARTIAL,
    STREAMS,
    SYMBOLS,
    bar,
    imported,
    live,
    logged,
    shown,
)

from market.bars import BAR, COLUMNS, BarBatch
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.bar_store import BarStore, Series, Written, open_store


def test_a_bar_comes_back_as_it_was_written(bar_store: BarStore):
    """Prices are copies, so they compare with ==; times keep their nanoseconds."""
    row = bar(0, 0.1 + 0.2, open=1e-9, high=1e12, volume=3.5, notional=7.1, updated_at=BEGIN_NS + 61_123_456_789)
    live(bar_store, row, upto=1)

    frame = bar_store.read(SYMBOLS[0], Interval.M1)

    assert tuple(frame.columns) == COLUMNS
    (found,) = frame.rows(named=True)
    updated_at = frame["updated_at"].to_physical()[0]
    assert updated_at == BEGIN_NS + 61_123_456_789
    assert {name: value for name, value in found.items() if name != "updated_at"} == {
        "exchange": "KRAKEN",
        "symbol": "BTCUSD",
        "interval": "1m",
        "start": datetime(2024, 1, 1, tzinfo=UTC),
        "end": datetime(2024, 1, 1, 0, 1, tzinfo=UTC),
        "open": 1e-9,
        "high": 1e12,
        "low": 0.1 + 0.2,
        "close": 0.1 + 0.2,
        "volume": 3.5,
        "notional": 7.1,
        "trades": 3,
        "vwap": 7.1 / 3.5,
        "state": "closed",
        "source": "kraken",
        "revision": 1,
    }


def test_an_empty_answer_has_the_columns_of_a_full_one(bar_store: BarStore):
    empty = bar_store.read(SYMBOLS[0], Interval.M1)
    live(bar_store, bar(), upto=1)

    assert empty.schema == bar_store.read(SYMBOLS[0], Interval.M1).schema
    assert empty.schema["start"] == pl.Datetime("ns", "UTC")
    assert empty.height == 0


def test_newest_come_first_and_a_limit_keeps_the_newest(bar_store: BarStore):
    live(bar_store, *(bar(minute, 100.0 + minute) for minute in range(5)), upto=5)

    assert shown(bar_store, ["close"], newest_first=True) == [(104.0,), (103.0,), (102.0,), (101.0,), (100.0,)]
    assert shown(bar_store, ["close"], newest_first=True, limit=2) == [(104.0,), (103.0,)]
    assert shown(bar_store, ["close"], limit=2) == [(103.0,), (104.0,)]
    assert shown(bar_store, ["close"], limit=0) == []


def test_start_is_within_and_end_is_not(bar_store: BarStore):
    """Both look at a bar's start, to the nanosecond."""
    live(bar_store, *(bar(minute, 100.0 + minute) for minute in range(4)), upto=4)
    second, third = BEGIN_NS + MINUTE_NS, BEGIN_NS + 2 * MINUTE_NS

    assert shown(bar_store, ["close"], start=second, end=third) == [(101.0,)]
    assert shown(bar_store, ["close"], start=second + 1, end=third + 1) == [(102.0,)]
    assert shown(bar_store, ["close"], start=third, end=third) == []
    assert shown(bar_store, ["close"], end=second, limit=1) == [(100.0,)]


@pytest.mark.parametrize("interval", Interval)
def test_a_series_is_read_in_order_across_decades(bar_store: BarStore, interval: Interval):
    """Before 1970 too: daily bars of old stocks begin in 1962."""
    length = max(interval.minutes, 1440) * 400
    starts = [BEGIN_NS + place * length * MINUTE_NS for place in range(-60, 4)]
    bars = [
        bar(start=start, end=start + MINUTE_NS, interval=interval, close=float(i)) for i, start in enumerate(starts)
    ]
    imported(bar_store, *reversed(bars))

    frame = bar_store.read(SYMBOLS[0], interval, newest_first=False)

    assert frame["start"].to_physical().to_list() == starts
    assert frame["close"].to_list() == [float(place) for place in range(64)]
    assert frame["interval"].unique().to_list() == [str(interval)]
    middle = bar_store.read(SYMBOLS[0], interval, start=starts[10], end=starts[12], newest_first=False)
    assert middle["start"].to_physical().to_list() == starts[10:12]


def test_series_do_not_meet(bar_store: BarStore):
    live(bar_store, bar(0, 1.0), bar(0, 2.0, stream=1), bar(0, 3.0, interval=Interval.M3), upto=1)

    assert bar_store.read(SYMBOLS[1], Interval.M1)["close"].to_list() == [2.0]
    assert bar_store.read(SYMBOLS[0], Interval.M3)["close"].to_list() == [3.0]
    assert bar_store.read(SYMBOLS[2], Interval.M1).height == 0
    assert bar_store.series() == [
        Series(SYMBOLS[0], Interval.M1, 1, BEGIN_NS, BEGIN_NS),
        Series(SYMBOLS[0], Interval.M3, 1, BEGIN_NS, BEGIN_NS),
        Series(SYMBOLS[1], Interval.M1, 1, BEGIN_NS, BEGIN_NS),
    ]


def test_states_choose(bar_store: BarStore):
    live(bar_store, bar(0), bar(1, state=PARTIAL), bar(2, state=FORMING, revision=0), upto=3)

    assert shown(bar_store, ["state"]) == [("closed",), ("partial",), ("forming",)]
    assert shown(bar_store, ["state"], states=[CLOSED]) == [("closed",)]
    assert shown(bar_store, ["state"], states=[PARTIAL, FORMING], limit=1) == [("forming",)]
    assert shown(bar_store, ["state"], states=[]) == []


def test_vwap_needs_volume_and_a_known_notional(bar_store: BarStore):
    """NaN says that a provider gave no notional; it is no number and shows as null."""
    live(bar_store, bar(0, volume=0.0, notional=0.0), bar(1, notional=np.nan), bar(2), upto=3)

    assert shown(bar_store, ["notional", "vwap"]) == [(0.0, None), (None, None), (20.5, 10.25)]


def test_another_reader_sees_what_upsert_returned_from(bar_store: BarStore, store_address: str):
    reader = open_store(store_address, read_only=True) if "://" in store_address else None
    live(bar_store, bar(0), upto=1)
    reader = reader or open_store(store_address, read_only=True)

    assert shown(reader) == [(10.0, "closed", 1)]
    live(bar_store, bar(0, 12.0, revision=2, seq=2), upto=2)
    assert shown(reader) == [(12.0, "closed", 2)]
    reader.close()


def test_a_reader_cannot_write(bar_store: BarStore, store_address: str):
    live(bar_store, bar(0), upto=1)
    reader = open_store(store_address, read_only=True)

    with pytest.raises(DeskError, match="read only"):
        live(reader, bar(1), upto=2)
    reader.close()


def test_writers_at_the_same_time_leave_one_whole_log_each(store_address: str):
    """Two of them share a name, as two imports do: neither forks the other's log, and each bar has one winner."""
    failures: list[BaseException] = []

    def write(name: str, close: float) -> None:
        try:
            store = open_store(store_address)
            for turn in range(6):
                imported(store, *(bar(minute, close + turn) for minute in range(20)), writer=name)
            store.close()
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [
        threading.Thread(target=write, args=(name, close))
        for name, close in (("import", 100.0), ("import", 200.0), ("heal", 300.0))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = open_store(store_address)

    assert failures == []
    assert store.check_log() == []
    seqs = [row[1] for row in logged(store, "import")]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(shown(store)) == 20
    store.close()


def test_many_symbols_in_one_batch(bar_store: BarStore):
    streams = tuple(Stream(place, "sim", Symbol("SIM", f"S{place:04d}USD"), FeedKind.TRADES, 0) for place in range(300))
    rows = np.repeat(bar(0), 600)
    rows["stream"] = np.arange(600) % 300
    rows["interval"] = np.where(np.arange(600) < 300, Interval.M1, Interval.MO1)
    rows["close"] = np.arange(600)

    done = bar_store.upsert(BarBatch(rows.astype(BAR), streams), writer="import", own_revisions=False)

    assert done == Written(600, 0, 0, 600)
    assert len(bar_store.series()) == 600
    assert bar_store.read(Symbol("SIM", "S0123USD"), Interval.MO1)["close"].to_list() == [423.0]
    assert bar_store.upsert(BarBatch(rows, streams), writer="import", own_revisions=False) == Written(0, 0, 600, 0)
    assert len(STREAMS) == 6


def test_it_answers_and_has_a_size_and_a_name(bar_store: BarStore, store_address: str):
    bar_store.ping()

    assert bar_store.size_bytes() >= 0
    assert bar_store.where == store_address.partition("?")[0]


def test_a_new_store_may_be_opened_by_many_in_the_same_moment(tmp_path: Path):
    """SQLite does not wait for the lock that turns its write-ahead log on; `pq up` and an import both make the file."""
    failures: list[BaseException] = []
    for turn in range(40):
        gate = threading.Barrier(4)

        def begin(turn: int = turn, gate: threading.Barrier = gate) -> None:
            gate.wait()
            try:
                open_store(tmp_path / f"{turn}.sqlite").close()
            except BaseException as error:  # noqa: BLE001
                failures.append(error)

        threads = [threading.Thread(target=begin) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
