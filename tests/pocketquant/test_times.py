"""Times at the edge."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pocketquant.times
from pocketquant.times import TimeError, format_time, parse_time


@given(st.integers(-(2**61), 2**62))
def test_a_written_time_reads_back_to_the_nanosecond(time_ns):
    assert parse_time(format_time(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01Z", 60),
        ("1970-01-01 00:00:07", 7),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00-0130", 5400),
        ("2026-01-02t03:04:00z", 1_767_323_040),
    ],
)
def test_forms_of_a_time(text, seconds):
    """A date alone is midnight, a time without a zone is UTC."""
    assert parse_time(text) == seconds * 10**9


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-02-31", "2026-01-02T25:00", "1767323040", "2026-01-02T03:04:05.Z"]
)
def test_what_is_no_time_is_named(text):
    with pytest.raises(TimeError, match="time"):
        parse_time(text)


def test_the_examples_in_the_docstrings_run():
    assert doctest.testmod(pocketquant.times).failed == 0
