"""Duplicates are dropped, new trades never; the memory is bounded."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.dedupe import RUNS, Dedupe

DAY = 1_700_000_000_000_000_000


def tick(trade_id, stream=0, at=None, count=1):
    return (DAY + (trade_id if at is None else at), DAY, 10.0, 1.0, trade_id, count, stream, 0, 0)


def ids(rows):
    return [(row[6], row[4]) for row in rows]


def test_a_snapshot_after_a_reconnect_adds_only_what_was_missed():
    """Kraken repeats its last trades on each subscription: the known ones go, those of the outage stay."""
    dedupe = Dedupe()
    dedupe.update([tick(n) for n in range(100, 110)])

    result = dedupe.update([tick(n) for n in range(105, 115)])

    assert ids(result.rows) == [(0, n) for n in range(110, 115)]
    assert result.dropped == 5


def test_two_overlapping_connections_tell_each_trade_once():
    """Whatever the order in which the two deliver, within and between them."""
    seeded = random.Random(3)
    one, two = list(range(50, 90)), list(range(70, 120))
    told = [0] * len(one) + [1] * len(two)
    seeded.shuffle(told)
    queues = (iter(one), iter(two))
    dedupe = Dedupe()

    out = [row[4] for side in told for row in dedupe.update([tick(next(queues[side]))]).rows]

    assert sorted(out) == list(range(50, 120))


def test_the_same_id_on_another_stream_is_another_trade():
    dedupe = Dedupe()

    assert ids(dedupe.update([tick(5, stream=0), tick(5, stream=1), tick(5, stream=0)]).rows) == [(0, 5), (1, 5)]


def test_ticks_without_an_id_always_pass():
    dedupe = Dedupe()
    rows = [tick(-1), tick(-1)]

    assert dedupe.update(rows).rows is rows


def test_a_trade_older_than_the_first_one_seen_is_new():
    dedupe = Dedupe()
    dedupe.update([tick(100)])

    assert ids(dedupe.update([tick(98), tick(99), tick(98)]).rows) == [(0, 98), (0, 99)]


def test_a_venue_that_numbers_anew_is_believed_when_its_stamps_go_on():
    """A test exchange that restarts begins at 1: its trades are new though their ids are known."""
    dedupe = Dedupe()
    dedupe.update([tick(n, at=n) for n in range(1, 50)])

    result = dedupe.update([tick(1, at=1000), tick(2, at=1001)])

    assert ids(result.rows) == [(0, 1), (0, 2)]
    assert result.restarted == (0,)
    assert ids(dedupe.update([tick(1, at=1000), tick(3, at=1002)]).rows) == [(0, 3)]


def test_an_aggregate_covers_the_ids_of_its_trades():
    """OKX: 1035721474, then 1035721479 with count 5, are next to each other."""
    dedupe = Dedupe()
    dedupe.update([tick(1035721474), tick(1035721479, count=5)], by_count=True)

    assert dedupe.update([tick(1035721477)], by_count=True).rows == []


def test_memory_is_bounded_and_what_is_forgotten_counts_as_seen():
    """A venue with holes everywhere must not grow the state; a trade that old is told twice rather never."""
    dedupe = Dedupe()
    dedupe.update([tick(2 * n) for n in range(10_000)])

    assert len(dedupe.snapshot()) <= RUNS * 32 + 16
    assert dedupe.update([tick(1)]).rows == []
    assert ids(dedupe.update([tick(2 * 9_999 - 1)]).rows) == [(0, 2 * 9_999 - 1)]


def test_a_snapshot_of_another_version_is_refused():
    with pytest.raises(ValueError, match="dedupe"):
        Dedupe.restore(b"dedupe9\n")


def oracle(bursts):
    """A set that forgets nothing."""
    seen = set()
    for burst in bursts:
        out = []
        for row in burst:
            key = (row[6], row[4])
            if row[4] < 0 or key not in seen:
                out.append(row)
            seen.add(key)
        yield out


walks = st.lists(
    st.lists(st.builds(lambda i, s: tick(i, s, at=0), st.integers(-1, 60), st.integers(0, 2)), max_size=8), max_size=8
)


@given(walks, st.integers(0, 8))
def test_it_agrees_with_a_set_wherever_it_is_stopped_and_resumed(bursts, cut):
    """Below the bound on holes the runs are a set; a snapshot changes nothing, and what is given is not changed."""
    dedupe = Dedupe()
    for place, (burst, expected) in enumerate(zip(bursts, oracle(bursts), strict=True)):
        if place == cut:
            dedupe = Dedupe.restore(dedupe.snapshot())
        before = list(burst)

        result = dedupe.update(burst)

        assert result.rows == expected
        assert result.dropped == len(burst) - len(expected)
        assert burst == before
