"""Venues' time stamps to int64 nanoseconds UTC, without a detour through floats."""

import re
from calendar import timegm
from datetime import UTC, datetime
from typing import Final

SECOND_NS: Final = 1_000_000_000
LATEST_S: Final = 9_223_372_035
"""The last whole second, in 2262, that int64 nanoseconds can hold."""

_SECOND = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)", re.ASCII)
_REST = re.compile(r"(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):?(\d\d))?", re.ASCII)
_DECIMAL = re.compile(r"(\d{1,19})(?:\.(\d{1,9})\d*)?", re.ASCII)
_CACHED_SECONDS = 4096


class StampError(ValueError):
    """A time stamp that cannot be read, or that nanoseconds since 1970 cannot hold."""


class StampReader:
    """Reads ISO 8601 stamps, remembering the seconds seen: trades come many a second.

    The memory is bounded by 4,096 seconds. A text without an offset is UTC. Digits beyond nanoseconds are cut off.
    """

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: dict[str, int] = {}

    def read(self, text: str) -> int:
        """Nanoseconds since 1970 UTC.

        Raises:
            StampError: The text is no stamp, or outside 1970 to 2262.

        >>> StampReader().read("2026-07-23T22:56:48.226099Z")
        1784847408226099000
        """
        second = self._seconds.get(text[:19])
        if second is None:
            second = self._remember(text[:19])
        if len(text) == 27 and text[26] == "Z" and text[19] == ".":
            micros = text[20:26]
            if micros.isdecimal():
                return second + int(micros) * 1000
        return second + _rest_ns(text)

    def _remember(self, text: str) -> int:
        found = _SECOND.fullmatch(text)
        if not found:
            msg = f"stamp {text!r} is not YYYY-MM-DDThh:mm:ss"
            raise StampError(msg)
        try:
            moment = datetime(*map(int, found.groups()), tzinfo=UTC)  # type: ignore[arg-type, misc]
        except ValueError as error:
            msg = f"stamp {text!r} is no date and time: {error}"
            raise StampError(msg) from error
        if not 1970 <= moment.year <= 2261:
            msg = f"stamp {text!r} is outside 1970 to 2261"
            raise StampError(msg)
        if len(self._seconds) >= _CACHED_SECONDS:
            self._seconds.clear()
        second = self._seconds[text] = timegm(moment.timetuple()) * SECOND_NS
        return second


def _rest_ns(text: str) -> int:
    """What follows the seconds: a fraction, and an offset from UTC to take away."""
    found = _REST.fullmatch(text, 19)
    if not found:
        msg = f"stamp {text[:40]!r} does not end as ISO 8601 does"
        raise StampError(msg)
    fraction, sign, hours, minutes = found.groups()
    nanos = int(fraction.ljust(9, "0")) if fraction else 0
    if sign:
        offset = (int(hours) * 60 + int(minutes)) * 60 * SECOND_NS
        nanos += offset if sign == "-" else -offset
    return nanos


def epoch_ns(text: str) -> int:
    """Decimal seconds since 1970 as text (`1618678142.557535`) to nanoseconds, exactly.

    Raises:
        StampError: The text is no such number, or beyond 2262.

    >>> epoch_ns("1618678142.557535")
    1618678142557535000
    """
    found = _DECIMAL.fullmatch(text)
    if not found or int(found[1]) > LATEST_S:
        msg = f"stamp {text[:40]!r} is not seconds since 1970"
        raise StampError(msg)
    return int(found[1]) * SECOND_NS + int((found[2] or "").ljust(9, "0"))
