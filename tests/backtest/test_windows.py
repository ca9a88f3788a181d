"""Windows follow the calendar or the bars, learn only from what came before, and test each bar once."""

import datetime as dt
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.curve import DAY_NS
from backtest.windows import Length, folds, parse_length
from market.errors import DeskError


def at(text):
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * 10**9


def days(first, last):
    """Ends of daily bars from one date to another, at 21:00."""
    return np.arange(at(first), at(last) + DAY_NS // 2, DAY_NS) + 21 * 3600 * 10**9


def cut(ends, train, test, how="rolling", begin=None):
    found = folds(ends, int(ends[0]) - 6 * 3600 * 10**9 if begin is None else begin, parse_length(train),
                  parse_length(test), anchored=how == "anchored")  # fmt: skip
    return [tuple(str(np.datetime64(bound, "ns"))[:16] for bound in fold) for fold in found]


@pytest.mark.parametrize(("text", "length", "words"), [
    ("2y", Length(2, "y"), "2 years"), ("6m", Length(6, "m"), "6 months"), ("1M", Length(1, "m"), "1 month"),
    (" 8w ", Length(8, "w"), "8 weeks"), ("90d", Length(90, "d"), "90 days"), ("1500", Length(1500, ""), "1,500 bars"),
])  # fmt: skip
def test_a_length_is_read_as_people_write_it(text, length, words):
    assert parse_length(text) == length
    assert parse_length(text).words == words
    assert parse_length(str(length)) == length


@pytest.mark.parametrize("text", ["", "0", "0y", "-1y", "2 y", "1.5y", "2h", "y", "2y6m", "99999999d"])
def test_what_is_no_length_is_told_how_to_write_one(text):
    with pytest.raises(DeskError, match="write 2y, 6m"):
        parse_length(text)


def test_rolling_windows_of_a_calendar_by_hand():
    """Two years and a bit: learned from a year, tested on half of one; the last has what is left."""
    assert cut(days("2020-01-31", "2022-03-05"), "1y", "6m") == [
        ("2020-01-31T00:00", "2021-01-31T00:00", "2021-07-31T00:00"),
        ("2020-07-31T00:00", "2021-07-31T00:00", "2022-01-31T00:00"),
        ("2021-01-31T00:00", "2022-01-31T00:00", "2022-03-05T21:00"),
    ]


def test_anchored_windows_all_learn_from_the_first_day():
    assert cut(days("2020-01-31", "2021-11-05"), "1y", "6m", "anchored") == [
        ("2020-01-31T00:00", "2021-01-31T00:00", "2021-07-31T00:00"),
        ("2020-01-31T00:00", "2021-07-31T00:00", "2021-11-05T21:00"),
    ]


def test_a_month_after_the_31st_is_the_months_last_day_and_comes_back():
    found = cut(days("2020-08-31", "2021-04-05"), "1m", "1m")

    assert [fold[1][:10] for fold in found] == [
        "2020-09-30", "2020-10-31", "2020-11-30", "2020-12-31", "2021-01-31", "2021-02-28", "2021-03-31",
    ]  # fmt: skip


def test_windows_by_bars_count_those_that_are_there():
    """Ten bars with a hole: four learned from, three tested on; of two symbols a moment counts once."""
    ends = np.delete(days("2020-01-01", "2020-01-12"), [5, 6])
    found = cut(np.sort(np.concatenate([ends, ends])), "4", "3")

    assert [fold[1:] for fold in found] == [
        ("2020-01-04T21:00", "2020-01-09T21:00"), ("2020-01-09T21:00", "2020-01-12T21:00"),
    ]  # fmt: skip
    assert found[1][0] == "2020-01-03T21:00"


def test_a_window_in_which_nothing_traded_is_none():
    ends = np.concatenate([days("2020-01-01", "2020-03-20"), days("2020-07-10", "2020-08-10")])
    found = cut(ends, "1m", "1m")

    assert [fold[1][:10] for fold in found] == ["2020-02-01", "2020-03-01", "2020-07-01", "2020-08-01"]


def test_too_short_a_history_says_how_long_it_is():
    with pytest.raises(DeskError, match=r"from 2020-01-01 15:00 to 2020-03-01 21:00, 61 of them, and --train 1y"):
        cut(days("2020-01-01", "2020-03-01"), "1y", "1m")
    with pytest.raises(DeskError, match="leaves none to test on"):
        cut(days("2020-01-01", "2020-03-01"), "61", "1m")


def test_more_windows_than_anybody_reads_are_refused():
    with pytest.raises(DeskError, match="more than 1,000 windows"):
        cut(days("2015-01-01", "2020-01-01"), "1m", "1d")


lengths = st.one_of(
    st.builds(Length, st.integers(1, 3), st.just("m")),
    st.builds(Length, st.integers(1, 9), st.just("w")),
    st.builds(Length, st.integers(1, 60), st.sampled_from(["d", ""])),
)


@given(st.integers(0, 20_000), st.sets(st.integers(0, 300), min_size=2, max_size=120), lengths, lengths, st.booleans())
def test_each_bar_is_tested_once_and_never_learned_from_before(first, places, train, test, anchored):
    """Whatever the lengths: windows follow each other to the last bar, and none learns what it is tested on."""
    ends = (first + np.array(sorted(places)) + 1) * DAY_NS
    try:
        found = folds(ends, int(ends[0]) - DAY_NS, train, test, anchored=anchored)
    except DeskError:
        return

    tested = [ends[(ends > fold.test_from) & (ends <= fold.test_to)] for fold in found]
    assert np.concatenate(tested).tolist() == ends[ends > found[0].test_from].tolist()
    assert all(len(part) for part in tested)
    assert all(fold.train_from < fold.test_from < fold.test_to for fold in found)
    assert all(before.test_to <= fold.test_from for before, fold in pairwise(found))
    if anchored:
        assert {fold.train_from for fold in found} == {found[0].train_from}
