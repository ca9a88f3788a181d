"""The skew of clocks is a median: single old or late ticks do not move it."""

from operators.clock_skew import ENOUGH, ClockSkew, Skew

SECOND = 10**9


def fed(skew, delay_ns, times=ENOUGH):
    for n in range(times):
        skew.add(n * SECOND, n * SECOND + delay_ns)
    return skew


def test_a_snapshot_of_old_trades_gives_no_verdict():
    assert fed(ClockSkew(), 3600 * SECOND, ENOUGH - 1).verdict() == Skew(None, alarm=False, changed=False)


def test_a_third_of_the_ticks_late_by_minutes_is_no_alarm():
    skew = fed(fed(ClockSkew(), 5 * 60 * SECOND, 10), 40_000_000, 20)

    assert skew.verdict() == Skew(40_000_000, alarm=False, changed=False)


def test_the_alarm_comes_once_and_goes_once_and_does_not_flutter():
    """Clocks that differ by 1.1 s, 0.9 s and 0.7 s in turn; a venue ahead of us is skewed too."""
    skew = fed(ClockSkew(), -1_100_000_000, 256)
    assert skew.verdict() == Skew(-1_100_000_000, alarm=True, changed=True)
    assert skew.verdict() == Skew(-1_100_000_000, alarm=True, changed=False)
    fed(skew, 900_000_000, 256)
    assert skew.verdict() == Skew(900_000_000, alarm=True, changed=False)
    fed(skew, 700_000_000, 256)
    assert skew.verdict() == Skew(700_000_000, alarm=False, changed=True)


def test_after_a_reset_the_old_samples_do_not_count():
    skew = fed(ClockSkew(), 5 * SECOND)
    skew.reset()

    assert skew.verdict().median_ns is None
