"""Silence is told from quiet, by the clock it is given."""

from dataclasses import replace

import pytest

from sources.feed import Limits
from sources.watchdog import MUTE_GAPS, Watchdog

LIMITS = Limits(
    symbols_per_connection=100,
    symbols_per_subscribe=10,
    messages_per_second=5.0,
    connect_interval_s=1.0,
    silence_s=10.0,
    symbol_silence_s=60.0,
    heartbeat_s=None,
    lifetime_s=None,
    max_frame_bytes=1 << 20,
)


def tick(stream=0):
    return (0, 0, 1.0, 1.0, -1, 1, stream, 0, 0)


def watched(*, rate, seconds, streams=1, limits=LIMITS):
    """A watchdog on a connection that ticked evenly, and the time that it is."""
    watchdog = Watchdog(limits)
    watchdog.began(0.0)
    now = 0.0
    for n in range(int(rate * seconds)):
        now = n / rate
        watchdog.saw([tick(n % streams)], now)
        watchdog.mute_s(now)
    return watchdog, now


def test_no_frame_for_the_limit_is_silence_and_a_heartbeat_ends_it():
    watchdog = Watchdog(LIMITS)
    watchdog.began(100.0)

    assert watchdog.silent_s(0, 110.0) is None
    assert watchdog.silent_s(0, 110.1) == pytest.approx(10.1)
    assert watchdog.silent_s(1, 110.2) is None
    assert watchdog.silent_s(1, 120.3) == pytest.approx(10.1)


def test_a_busy_feed_is_mute_after_three_silence_limits():
    """A hundred ticks a second, then heartbeats only."""
    watchdog, now = watched(rate=100, seconds=60)

    assert watchdog.mute_s(now + 29.0) is None
    assert watchdog.mute_s(now + 31.0) == pytest.approx(31.0)


def test_a_slow_feed_is_judged_by_its_own_rhythm():
    """One tick in ten seconds: five minutes of quiet are plausible, more than a hundred of its gaps are not."""
    watchdog, now = watched(rate=0.1, seconds=6000)

    assert watchdog.mute_s(now + 300.0) is None
    assert watchdog.mute_s(now + 10 * MUTE_GAPS * 6) is not None


def test_a_feed_that_never_ticked_is_not_mute():
    watchdog = Watchdog(LIMITS)
    watchdog.began(0.0)

    assert watchdog.mute_s(10_000.0) is None


def test_a_new_connection_is_not_judged_by_the_silence_of_the_last():
    watchdog, now = watched(rate=100, seconds=10)
    watchdog.began(now + 100)

    assert watchdog.mute_s(now + 200) is None
    assert watchdog.silent_s(0, now + 109) is None


def test_a_quiet_symbol_is_named_after_its_limit_then_ever_more_seldom():
    watchdog = Watchdog(LIMITS)
    watchdog.began(0.0)
    watchdog.saw([tick(0), tick(1)], 0.0)

    named = []
    for now in range(1, 1000):
        watchdog.saw([tick(1)], float(now))
        named += [(stream, now) for stream, _ in watchdog.mute_streams(float(now))]

    assert named == [(0, 61), (0, 121), (0, 241), (0, 481), (0, 961)]


def test_a_symbol_that_trades_again_is_as_new():
    watchdog = Watchdog(LIMITS)
    watchdog.began(0.0)
    watchdog.saw([tick(0)], 0.0)
    assert watchdog.mute_streams(61.0) == [(0, 61.0)]
    watchdog.saw([tick(0)], 62.0)
    assert watchdog.mute_streams(70.0) == []

    assert watchdog.mute_streams(123.0) == [(0, 61.0)]


def test_a_symbol_that_never_traded_or_was_let_go_is_not_named():
    watchdog = Watchdog(replace(LIMITS, symbol_silence_s=1.0))
    watchdog.began(0.0)
    watchdog.saw([tick(0), tick(1)], 0.0)
    watchdog.forget(0)

    assert [stream for stream, _ in watchdog.mute_streams(5.0)] == [1]
    assert watchdog.seen([0, 1, 2]) == [1]
