"""The bar kernel against the oracle, over random journals, and the laws that any bars must obey."""

import os

from bar_scenarios import GRACE, SECOND, STREAMS, Shard, chunks, journals, plain_bounds, run_kernel, run_oracle
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_contract import assert_deterministic, assert_mutates_nothing, assert_resumable

from market.bars import BarState
from market.intervals import Interval

MANY = settings(max_examples=100_000 if os.environ.get("POCKETQUANT_TEST_PROFILE") == "prove" else 300)
"""The first test finds what the others only narrow down."""

PLACES = st.lists(st.integers(0, 25), max_size=6)


@MANY
@given(journals(), PLACES, PLACES)
def test_the_kernel_says_what_the_oracle_says(rows, cuts, stops):
    """Every emission with revision, clock and seq, every reject, every forming bar; batched and resumed anywhere.

    The oracle keeps all ticks and knows neither shards nor batches nor running sums.
    """
    assert run_kernel(rows, [min(cut, len(rows)) for cut in cuts], stops) == run_oracle(rows)


@given(journals(), st.sampled_from([0, SECOND // 2, 59 * SECOND, 60 * SECOND]))
def test_any_grace_closes_by_the_same_rule(rows, grace):
    """Up to a minute: then four minutes can be open at once."""
    assert run_kernel(rows, grace=grace) == run_oracle(rows, grace)


@given(journals())
def test_each_higher_bar_is_the_roll_up_of_its_minutes(rows):
    """To the last bit, revisions of late ticks included: sums are the left fold of the minutes in order."""
    for out in run_kernel(rows).values():
        final = {(bar[0], bar[1], bar[2]): bar for bar in out.bars}
        for (stream, interval, start), bar in final.items():
            if interval == Interval.M1 or STREAMS[stream].symbol == STREAMS[0].symbol:
                continue  # A symbol with two feeds has minutes of both.
            end = bar[3]
            inside = sorted(b for b in final.values() if b[0] == stream and b[1] == 0 and start <= b[2] < end)
            volume, notional = inside[0][8], inside[0][9]
            for minute in inside[1:]:
                volume, notional = volume + minute[8], notional + minute[9]
            assert bar[4:11] == (
                inside[0][4], max(b[5] for b in inside), min(b[6] for b in inside), inside[-1][7], volume, notional,
                sum(b[10] for b in inside),
            )  # fmt: skip
            assert (start, end) == plain_bounds(STREAMS[stream].symbol, Interval(interval), inside[0][2])


@given(journals())
def test_revisions_of_a_bar_count_from_one(rows):
    """Without a gap or a repeat, whoever makes the symbol's bars; and no bar closes before its end and the grace."""
    for out in run_kernel(rows).values():
        revisions: dict[tuple, list[int]] = {}
        for bar in out.bars:
            stream = STREAMS[bar[0]]
            revisions.setdefault((stream.symbol, stream.domain, bar[1], bar[2]), []).append(bar[12])
        assert all(found == list(range(1, len(found) + 1)) for found in revisions.values())
        assert all(bar[13] >= bar[3] + GRACE for bar in out.bars)
        assert {bar[11] for bar in out.bars} <= {BarState.CLOSED, BarState.PARTIAL}


@given(journals(), PLACES, st.integers(0, 25), st.sampled_from([0, 1]))
def test_the_shard_keeps_the_operator_contract(rows, cuts, cut, number):
    """Resumable anywhere, deterministic, and what it was given stays as it was."""
    items = chunks(rows, [min(place, len(rows)) for place in cuts])
    assert_resumable(lambda: Shard.new(number), lambda s: Shard.restore(number, s), items, min(cut, len(items)))
    assert_deterministic(lambda: Shard.new(number), items)
    assert_mutates_nothing(lambda: Shard.new(number), items)


@given(journals(), PLACES)
def test_the_snapshot_does_not_depend_on_the_batches(rows, cuts):
    """So that two desks that read one journal can be compared by their bytes."""
    for number in (0, 1):
        whole, cut = Shard.new(number), Shard.new(number)
        for chunk in chunks(rows):
            whole.step(chunk)
        for chunk in chunks(rows, [min(place, len(rows)) for place in cuts]):
            cut.step(chunk)
        assert whole.snapshot() == cut.snapshot()
