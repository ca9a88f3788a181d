"""The stamps of a file of bars: ISO 8601 or integers, with a zone or in the file's own; dates alone stay dates."""

import re
from datetime import UTC, date, datetime, tzinfo
from typing import Final, NamedTuple

from sources.stamps import StampError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS: Final = 10**9
_UNITS: Final = ((11, 10**9), (14, 10**6), (17, 10**3), (20, 1))
"""Nanoseconds in the unit of an integer with fewer digits than that."""
_COMPACT_DATE: Final = re.compile(r"(19|20)\d{6}", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SLASHED: Final = re.compile(r"(\d{4})[/.](\d\d)[/.](\d\d)(.*)", re.ASCII | re.DOTALL)
_LONG_FRACTION: Final = re.compile(r"(\.\d{6})\d+", re.ASCII)
_LATEST_YEAR: Final = 2261


class Stamp(NamedTuple):
    """A moment, or a whole day."""

    time_ns: int
    """ns since 1970 UTC; of a day, midnight in the file's zone."""
    day: date | None
    """The day, where the text names no time or midnight in the file's zone; None otherwise."""


class BarStamps:
    """Reads the stamps of one file, in the order of its rows."""

    def __init__(self, zone: tzinfo) -> None:
        """Of a file whose stamps are in `zone` where they name none."""
        self._zone = zone
        self._last = 0

    def read(self, text: str) -> Stamp:
        """Read one stamp.

        Where a clock is put back, a local time comes twice: it is the second one if the stamp would else go backwards.

        Raises:
            StampError: It is no stamp, is ambiguous, or names a time that the zone skips.

        >>> BarStamps(UTC).read("2026-01-02T03:04:00+01:00").time_ns
        1767319440000000000
        >>> BarStamps(UTC).read("2026-01-02").day
        datetime.date(2026, 1, 2)
        """
        text = text.strip()
        if text.isascii() and text.isdigit() and not _COMPACT_DATE.fullmatch(text):
            return self._whole(int(text), text)
        day_alone = _DATE.fullmatch(text) or _COMPACT_DATE.fullmatch(text)
        slashed = _SLASHED.fullmatch(text)
        if slashed is not None:
            text = f"{slashed[1]}-{slashed[2]}-{slashed[3]}{slashed[4]}"
            day_alone = day_alone or _DATE.fullmatch(text)
        try:
            moment = datetime.fromisoformat(_LONG_FRACTION.sub(r"\1", text))
        except ValueError as error:
            msg = f"{text[:40]!r} is no time such as 2026-01-02, 2026-01-02 03:04:00 or 2026-01-02T03:04:00Z"
            raise StampError(msg) from error
        stamp = self._of(moment, text)
        if day_alone and stamp.day is None:
            # A zone may skip midnight itself.
            return Stamp(stamp.time_ns, moment.date())
        return stamp

    def moment(self, time_ns: int) -> Stamp:
        """A stamp that was a moment already."""
        self._last = time_ns
        seconds, rest = divmod(time_ns, _SECOND_NS)
        local = datetime.fromtimestamp(seconds, self._zone)
        midnight = rest == 0 and (local.hour, local.minute, local.second) == (0, 0, 0)
        return Stamp(time_ns, local.date() if midnight else None)

    def local(self, moment: datetime) -> Stamp:
        """A stamp that was a time already, without a zone."""
        return self._of(moment, moment.isoformat())

    def _whole(self, number: int, text: str) -> Stamp:
        """Seconds, ms, us or ns since 1970, by the number of digits."""
        unit = next((unit for digits, unit in _UNITS if len(text) < digits), None)
        if unit is None or len(text) < 9:
            msg = f"{text[:40]!r} is no time: a whole number has 9 to 19 digits, of s, ms, us or ns since 1970"
            raise StampError(msg)
        if number * unit >= 2**63:
            msg = f"{text!r} is beyond {_LATEST_YEAR}"
            raise StampError(msg)
        return self.moment(number * unit)

    def _of(self, moment: datetime, text: str) -> Stamp:
        if not 1970 <= moment.year <= _LATEST_YEAR:
            msg = f"{text[:40]!r} is outside 1970 to {_LATEST_YEAR}"
            raise StampError(msg)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
            second = moment.replace(fold=1)
            if moment.utcoffset() != second.utcoffset():
                moment = self._doubtful(moment, second, text)
        time_ns = _nanoseconds(moment)
        local = moment.astimezone(self._zone)
        self._last = time_ns
        return Stamp(time_ns, local.date() if local.time() == local.min.time() else None)

    def _doubtful(self, first: datetime, second: datetime, text: str) -> datetime:
        """A local time around which the zone's clock is changed."""
        if first.astimezone(UTC).astimezone(self._zone).replace(tzinfo=None) != first.replace(tzinfo=None):
            msg = f"{text[:40]!r} does not exist in {self._zone}: the clock was put forward over it"
            raise StampError(msg)
        return second if _nanoseconds(first) <= self._last else first


def _nanoseconds(moment: datetime) -> int:
    since = moment.astimezone(UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * _SECOND_NS + since.microseconds * 1000
