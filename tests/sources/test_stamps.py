"""Time stamps to nanoseconds."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.stamps import StampError, StampReader, epoch_ns

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000_000


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("1970-01-02T00:00:00Z", DAY),
        ("1970-01-02T00:00:00", DAY),
        ("1970-01-02 00:00:00.5Z", DAY + 500_000_000),
        ("1970-01-02T00:00:00.000001Z", DAY + 1000),
        ("1970-01-02T00:00:00.000000001Z", DAY + 1),
        ("1970-01-02T00:00:00.1234567899Z", DAY + 123_456_789),
        ("1970-01-02T02:00:00+02:00", DAY),
        ("1970-01-01T22:30:00.25-0130", DAY + 250_000_000),
    ],
)
def test_a_stamp_is_nanoseconds_since_1970(text, nanos):
    """By hand: a day is 86,400 s; a fraction beyond nine digits is cut off."""
    assert StampReader().read(text) == nanos


@pytest.mark.parametrize(
    "text",
    [
        "", "1970-01-02", "1970-01-02T00:00", "1970-13-02T00:00:00Z", "1970-02-30T00:00:00Z", "1970-01-02T24:00:01Z",
        "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "1970-01-02T00:00:00.Z", "1970-01-02T00:00:00.12x456Z",
        "1970-01-02T00:00:00+1", "1970-01-02T00:00:00Zjunk", "1970-1-2T00:00:00Z",
        "\uff11\uff19\uff17\uff10-01-02T00:00:00Z", "NaN", "1" * 400,
    ],
)  # fmt: skip
def test_what_is_no_stamp_is_said_to_be_none(text):
    with pytest.raises(StampError):
        StampReader().read(text)


@given(st.integers(0, 9_214_560_000_000_000), st.sampled_from(["Z", "+00:00", ""]))
def test_reading_undoes_what_datetime_writes(micros, offset):
    """From microseconds since 1970 up to the end of 2261; twice, since seconds are remembered."""
    text = (EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat() + offset
    reader = StampReader()

    assert [reader.read(text), reader.read(text)] == [micros * 1000] * 2


def test_the_seconds_remembered_are_bounded():
    """A recording of years must not keep every second of them."""
    reader = StampReader()
    for second in range(10_000):
        reader.read((EPOCH + timedelta(seconds=second)).isoformat())

    assert len(reader._seconds) <= 4096


@pytest.mark.parametrize(
    ("text", "nanos"),
    [("1618678142.557535", 1_618_678_142_557_535_000), ("0", 0), ("1.0000000019", 1_000_000_001)],
)
def test_decimal_seconds_lose_no_digit(text, nanos):
    assert epoch_ns(text) == nanos


@pytest.mark.parametrize("text", ["", "-1", "1e9", "nan", "9223372036", "1" * 30, "1.", "1_000", "1 "])
def test_what_are_no_seconds_are_refused(text):
    with pytest.raises(StampError):
        epoch_ns(text)
