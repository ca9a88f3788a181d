"""The cached form of forming bars."""

import numpy as np
import pytest

from market.bars import BAR
from market.forming import FormingError, decode, encode


def bars(count: int) -> np.ndarray:
    rows = np.zeros(count, BAR)
    rows["close"] = np.arange(count) + 0.1
    rows["interval"] = np.arange(count) % 13
    return rows


@pytest.mark.parametrize("count", [0, 1, 13, 15])
def test_what_was_written_is_read_back_bit_for_bit(count):
    """Readers compare prices with ==."""
    found = decode(encode("krakené", bars(count)))

    assert found.feed == "krakené"
    assert found.rows.tobytes() == bars(count).tobytes()


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"", "version nothing"),
        (b"\x02\x00", "version 2"),
        (encode("sim", bars(2))[:-1], "no whole number"),
        (b"\x01\x09sim", "no whole number"),
        (b"\x01\x01\xff", "not UTF-8"),
    ],
)
def test_a_value_of_another_form_is_named_not_returned(value, says):
    """A cache outlives the program that wrote it."""
    with pytest.raises(FormingError, match=says):
        decode(value)


def test_a_feed_name_that_does_not_fit_is_refused():
    with pytest.raises(FormingError, match="256 bytes"):
        encode("x" * 256, bars(1))
