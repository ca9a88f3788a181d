"""The truth: bounded, kept over restarts, and the bars that it makes."""

from datetime import UTC, datetime

import numpy as np
import pytest

from market.errors import DeskError
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.symbols import Symbol
from sources.simulated.official_bars import bucket, official_bars
from sources.simulated.tape import MADE
from sources.simulated.truth import SEGMENT, TruthLog

A, B, C = (Symbol("SIM", ticker) for ticker in ("AUSD", "BUSD", "CUSD"))


def records(count, symbol=0, first_id=1, sent=0):
    made = np.zeros(count, MADE)
    made["trade_id"] = np.arange(first_id, first_id + count)
    made["event_time"] = made["stamp"] = np.arange(first_id, first_id + count) * 1_000_000
    made["price"] = 10 + np.arange(count)
    made["size"] = 1
    made["symbol"] = symbol
    made["sent"] = sent
    return made


def test_made_is_sent_and_never_sent():
    log = TruthLog(None, [A, B])
    log.append(records(10, 0, sent=1))
    late = log.append(records(6, 1))
    log.mark_sent(late + np.array([0, 1, 2]), 3)
    log.mark_sent(late + np.array([2]), 5)
    log.mark_lost(late + np.array([0, 2]), 3)

    assert log.made.tolist() == [10, 6]
    assert log.sent.tolist() == [10, 2], "the second by 3, the third by 5"
    assert [int(sent) for sent in log.ticks(1, 0, 100)["sent"]] == [0, 8, 32, 0, 0, 0]


@pytest.mark.parametrize("on_disk", [True, False])
def test_the_oldest_go_when_there_are_too_many(tmp_path, on_disk):
    """Two segments are kept; what was dropped can be neither found nor marked."""
    log = TruthLog(tmp_path / "truth" if on_disk else None, [A], keep=SEGMENT)
    for part in range(7):
        log.append(records(SEGMENT // 2, first_id=1 + part * (SEGMENT // 2)))
    log.mark_sent(np.array([0, len(log) - 1]), 0)

    assert len(log) == SEGMENT * 7 // 2
    assert log.first_position == 2 * SEGMENT
    assert log.ticks(0, 0, 1)["trade_id"].tolist() == [2 * SEGMENT + 1]
    assert (log.made.tolist(), log.sent.tolist()) == ([SEGMENT * 7 // 2], [1])
    assert len(list((tmp_path / "truth").glob("*.ticks")) if on_disk else log._open) == 2


def test_a_killed_exchange_finds_what_it_made(tmp_path):
    """Nothing was closed or flushed; another listing may even come first."""
    log = TruthLog(tmp_path, [A, B])
    log.append(records(SEGMENT + 5, 0, sent=1))
    log.append(records(3, 1))

    again = TruthLog(tmp_path, [C, B])
    ids, prices = again.last_trades()

    assert again.symbols == ("SIM:AUSD", "SIM:BUSD", "SIM:CUSD")
    assert again.codes.tolist() == [2, 1]
    assert ids.tolist() == [0, 3]
    assert prices.tolist() == [0, 12]
    assert len(again) == SEGMENT + 8
    assert (again.made.tolist(), again.sent.tolist()) == ([SEGMENT + 5, 3, 0], [SEGMENT + 5, 0, 0])


def test_a_folder_that_is_none_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeskError, match="give it another --data-dir"):
        TruthLog(tmp_path / "file", [A])
    (tmp_path / "0000000000.ticks").write_bytes(b"short")
    with pytest.raises(DeskError, match="not a file of the truth"):
        TruthLog(tmp_path, [A])


def test_official_bars_by_hand():
    """Three trades in one minute, the second and third at one time; one trade two minutes on."""
    ticks = records(4)
    ticks["event_time"] = [MINUTE_NS + 5, MINUTE_NS + 9, MINUTE_NS + 9, 3 * MINUTE_NS]
    ticks["price"] = [10, 12, 9, 20]
    ticks["size"] = [1, 2, 3, 0.5]

    assert official_bars(ticks, Interval.M1) == [
        {
            "start": MINUTE_NS, "end": 2 * MINUTE_NS, "open": 10, "high": 12, "low": 9, "close": 9,
            "volume": 6, "notional": 61, "trades": 3,
        },
        {
            "start": 3 * MINUTE_NS, "end": 4 * MINUTE_NS, "open": 20, "high": 20, "low": 20, "close": 20,
            "volume": 0.5, "notional": 10, "trades": 1,
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        (Interval.M1, "2026-01-07T13:47", "2026-01-07T13:48"),
        (Interval.M45, "2026-01-07T13:30", "2026-01-07T14:15"),
        (Interval.H4, "2026-01-07T12:00", "2026-01-07T16:00"),
        (Interval.D1, "2026-01-07T00:00", "2026-01-08T00:00"),
        (Interval.W1, "2026-01-05T00:00", "2026-01-12T00:00"),
        (Interval.MO1, "2026-01-01T00:00", "2026-02-01T00:00"),
    ],
)
def test_buckets_lie_where_the_calendar_says(interval, start, end):
    """2026-01-07 is a Wednesday."""

    def ns(text):
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9

    assert bucket(ns("2026-01-07T13:47") + 30 * 10**9, interval) == (ns(start), ns(end))


def test_every_interval_tiles_time():
    for interval in INTERVALS:
        start, end = bucket(1_767_623_340_000_000_000, interval)
        assert bucket(start, interval) == bucket(end - 1, interval) == (start, end)
        assert bucket(end, interval)[0] == end
