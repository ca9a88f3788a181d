"""The lengths that indicators take."""

from typing import Final

LENGTH_MAX: Final = 1_000_000
"""Bars: two years of minutes round the clock."""


def checked_length(length: int, name: str, least: int) -> int:
    """Return the length of an indicator's window as an integer.

    Raises:
        ValueError: It is no whole number from `least` to 1,000,000.
    """
    if not least <= length <= LENGTH_MAX or int(length) != length:
        msg = f"{name} takes a length of {least} to {LENGTH_MAX} bars; it is {length}"
        raise ValueError(msg)
    return int(length)
