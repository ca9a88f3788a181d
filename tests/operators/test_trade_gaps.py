"""Lost trades are seen by their ids, and late ones are not lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.trade_gaps import Gap, TradeGaps

DAY = 1_700_000_000_000_000_000
MS = 1_000_000
LATER = DAY + 10**12


def tick(trade_id, stream=0, at=None, count=1):
    at = DAY + (trade_id if at is None else at) * MS
    return (at, at, 10.0, 1.0, trade_id, count, stream, 0, 0)


def test_a_jump_in_ids_is_a_gap_between_the_stamps_beside_it():
    gaps = TradeGaps()
    gaps.update([tick(1), tick(2), tick(7)])

    assert gaps.due(LATER) == [Gap(0, DAY + 2 * MS, DAY + 7 * MS + 1, 3, 6)]
    assert gaps.due(LATER) == []


def test_the_first_trade_of_a_stream_is_no_gap():
    gaps = TradeGaps()
    gaps.update([tick(4711), tick(4712), tick(-1), tick(4713)])

    assert not gaps.waiting


def test_an_aggregate_that_covers_its_trades_is_no_gap():
    """OKX jumps by the count: 1035721474, then 1035721479 with count 5."""
    gaps = TradeGaps()
    gaps.update(
        [tick(1035721474, at=1), tick(1035721479, at=2, count=5), tick(1035721482, at=3, count=2)], by_count=True
    )

    assert [(gap.first_id, gap.last_id) for gap in gaps.due(LATER)] == [(1035721480, 1035721480)]


def test_an_aggregate_numbered_by_one_may_still_be_missing():
    """Binance's aggregate ids rise by one whatever their count."""
    gaps = TradeGaps()
    gaps.update([tick(1), tick(2, count=9), tick(4, count=9)])

    assert [(gap.first_id, gap.last_id) for gap in gaps.due(LATER)] == [(3, 3)]


def test_trades_out_of_order_within_the_patience_are_no_gap():
    gaps = TradeGaps()
    gaps.update([tick(1), tick(5)])
    assert gaps.due(DAY + 6 * MS) == []

    gaps.update([tick(3, at=7), tick(2, at=7), tick(4, at=8)])

    assert not gaps.waiting
    assert gaps.due(LATER) == []


def test_what_a_late_trade_leaves_open_is_still_reported():
    gaps = TradeGaps()
    gaps.update([tick(1), tick(9), tick(5, at=9)])

    assert [(gap.first_id, gap.last_id, gap.missing) for gap in gaps.due(LATER)] == [(2, 4, 3), (6, 8, 3)]


def test_a_gap_is_reported_after_the_patience_and_not_before():
    gaps = TradeGaps(patience_ns=250 * MS)
    gaps.update([tick(1), tick(3)])

    assert gaps.due(DAY + 252 * MS) == []
    assert gaps.waiting
    assert len(gaps.due(DAY + 253 * MS)) == 1


def test_the_venues_word_of_a_newer_trade_is_a_gap_until_it_comes():
    """Coinbase's heartbeat names the last trade id: a lost last trade is seen though none follows."""
    gaps = TradeGaps()
    gaps.update([tick(1), tick(2)])
    gaps.exists(0, 4, DAY + 100 * MS)
    gaps.update([tick(3, at=120)])

    assert gaps.due(LATER) == [Gap(0, DAY + 2 * MS, DAY + 100 * MS + 1, 4, 4)]
    gaps.update([tick(5, at=200)])
    assert not gaps.waiting


def test_a_venue_that_numbers_anew_leaves_a_gap_of_unknown_size():
    gaps = TradeGaps()
    gaps.update([tick(500), tick(1, at=5000), tick(2, at=5001)])

    assert gaps.due(LATER) == [Gap(0, DAY + 500 * MS, DAY + 5000 * MS + 1, -1, -1)]
    assert not gaps.waiting


def test_an_old_trade_with_an_old_stamp_is_neither_gap_nor_new_numbering():
    gaps = TradeGaps()
    gaps.update([tick(500), tick(3, at=3), tick(501)])

    assert not gaps.waiting


def test_a_snapshot_of_another_version_is_refused():
    with pytest.raises(ValueError, match="gaps"):
        TradeGaps.restore(b"else")


@given(st.sets(st.integers(1, 60), min_size=1), st.randoms(use_true_random=False), st.integers(0, 60))
def test_every_missing_trade_is_reported_once_and_no_other(present, seeded, cut):
    """Whatever the order after the first, whatever the moment of a restart."""
    ids = sorted(present)
    first, rest = ids[0], ids[1:]
    seeded.shuffle(rest)
    gaps = TradeGaps(patience_ns=10**11)
    for place, trade_id in enumerate([first, *rest]):
        if place == cut:
            gaps = TradeGaps.restore(gaps.snapshot(), patience_ns=10**11)
        gaps.update([tick(trade_id)])

    reported = [n for gap in gaps.due(LATER) for n in range(gap.first_id, gap.last_id + 1)]

    assert sorted(reported) == [n for n in range(first, ids[-1] + 1) if n not in present]
