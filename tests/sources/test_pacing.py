"""Pauses grow, are random, and begin anew; messages keep to the venue's limit."""

import random

import pytest

from sources.pacing import RETRY_AFTER_MAX_S, Backoff, TokenBucket, retry_after_s


def test_the_pause_doubles_to_a_minute_and_no_further():
    """With the draw at its upper end."""
    backoff = Backoff(lambda: 1.0)

    assert [backoff.failed() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_each_pause_is_drawn_from_nothing_to_its_bound():
    """Full jitter: a thousand clients of a venue that comes back do not all knock in the same second."""
    draw = random.Random(1).random
    pauses = []
    for _ in range(1000):
        backoff = Backoff(draw)
        for _ in range(7):
            last = backoff.failed()
        pauses.append(last)

    assert min(pauses) < 1
    assert 59 < max(pauses) <= 60
    assert 28 < sum(pauses) / len(pauses) < 32


def test_a_stable_minute_begins_the_count_anew_and_less_does_not():
    backoff = Backoff(lambda: 1.0)
    for _ in range(5):
        backoff.failed()

    assert backoff.failed(stood_s=59.9) == 32
    assert backoff.failed(stood_s=60.0) == 1


def test_a_night_of_failures_overflows_nothing():
    backoff = Backoff(lambda: 1.0)

    assert [backoff.failed() for _ in range(5000)][-1] == 60


def test_messages_keep_to_the_rate_after_the_first_second():
    now = [100.0]
    bucket = TokenBucket(5.0, lambda: now[0])

    assert [bucket.take() for _ in range(5)] == [0] * 5
    assert [round(bucket.take(), 6) for _ in range(3)] == [0.2, 0.4, 0.6]
    now[0] += 10.0
    assert [bucket.take() for _ in range(5)] == [0] * 5


def test_a_venue_that_allows_less_than_one_a_second_still_gets_the_first_at_once():
    bucket = TokenBucket(0.5, lambda: 0.0)

    assert [bucket.take(), bucket.take()] == [0.0, 2.0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        ("99999", RETRY_AFTER_MAX_S),
        ("Fri, 20 Nov 2026 00:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 00:00:30", 30.0),
        ("Thu, 19 Nov 2026 00:00:00 GMT", 0.0),
        ("tomorrow", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(header, seconds):
    now_ns = 1_795_132_800 * 10**9  # 2026-11-20T00:00:00Z

    assert retry_after_s(header, now_ns) == seconds
