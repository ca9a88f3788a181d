"""The truth score by hand."""

import numpy as np

from history.truth import score
from market.bars import BAR, BarState
from market.intervals import MINUTE_NS

NONE = np.empty((0, 2), np.int64)


def bars(*minutes, state=BarState.CLOSED, **fields):
    rows = np.zeros(len(minutes), BAR)
    rows["start"] = np.array(minutes) * MINUTE_NS
    rows["end"] = rows["start"] + MINUTE_NS
    for name, value in (
        {"open": 1.0, "high": 3.0, "low": 0.5, "close": 2.0, "volume": 4.0, "trades": 7} | fields
    ).items():
        rows[name] = value
    rows["state"] = state
    return rows


def counts(found):
    return found.equal, found.differing, found.missing, found.extra, found.explained


def test_the_same_figures_are_equal_whatever_the_order_of_their_sums():
    """0.1 + 0.2 + 0.3 is 0.6000000000000001 from the left; the venue says 0.6."""
    live, official = bars(1, 2, volume=0.6000000000000001), bars(1, 2, volume=0.6)
    found = score(live, official, NONE)

    assert (counts(found), found.share, found.differences) == ((2, 0, 0, 0, 0), 1.0, ())


def test_a_price_must_be_the_same_number_and_a_difference_names_both():
    live, official = bars(1, 2, 3), bars(1, 2, 3)
    live["close"][1] = 2.0000000001
    live["volume"][2] = 3.0
    found = score(live, official, NONE)

    assert counts(found) == (1, 2, 0, 0, 0)
    assert found.unexplained == 2
    assert [one[:4] for one in found.differences] == [
        (3 * MINUTE_NS, "volume", 3.0, 4.0),
        (2 * MINUTE_NS, "close", 2.0000000001, 2.0),
    ]
    assert found.differences[0].share == 0.25


def test_a_count_of_trades_that_one_does_not_know_is_no_difference():
    assert counts(score(bars(1, 2, trades=0), bars(1, 2), NONE)) == (2, 0, 0, 0, 0)
    assert counts(score(bars(1, trades=6), bars(1), NONE)) == (0, 1, 0, 0, 0)


def test_a_bar_of_one_side_is_missing_or_extra():
    found = score(bars(1, 2), bars(2, 3, 4), NONE)

    assert counts(found) == (1, 0, 2, 1, 0)
    assert [(one.start // MINUTE_NS, one.live, one.official) for one in found.differences] == [
        (1, 2.0, None), (3, None, 2.0), (4, None, 2.0)
    ]  # fmt: skip
    assert (found.bars, found.share) == (4, 0.25)


def test_what_the_desk_had_doubts_about_is_explained():
    """A gap from 00:02:30 to 00:03:10 touches two minutes; minute 5 is partial by its own word."""
    live = bars(1, 2, 5, volume=1.0)
    live["state"][2] = BarState.PARTIAL
    gap = np.array([[2 * MINUTE_NS + 30 * 10**9, 3 * MINUTE_NS + 10 * 10**9]])
    found = score(live, bars(1, 2, 3, 5), gap)

    assert counts(found) == (0, 3, 1, 0, 3)
    assert found.unexplained == 1
    assert not found.differences[0].explained, "what is not explained comes first"


def test_only_the_largest_differences_are_named():
    live = bars(*range(100), volume=np.linspace(1, 3, 100))
    found = score(live, bars(*range(100)), NONE, keep=3)

    assert (found.differing, [one.start // MINUTE_NS for one in found.differences]) == (100, [0, 1, 2])


def test_nothing_against_nothing_is_true():
    assert (score(bars(), bars(), NONE).share, score(bars(), bars(), NONE).bars) == (1.0, 0)
