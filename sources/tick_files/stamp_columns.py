"""Columns of time stamps: ISO 8601, or integers whose digits say s, ms, us or ns. One unit a column."""

import re
from typing import Final

import numpy as np
import polars as pl

from sources.stamps import StampError, StampReader, epoch_ns
from sources.tick_files.batches import EARLIEST_NS, Ints

UNITS: Final = {1_000_000_000: "s", 1_000_000: "ms", 1000: "us", 1: "ns"}
"""Nanoseconds in each unit, and its name."""

_ISO = re.compile(r"\d{4}-\d\d-\d\d(?P<t>[T ])\d\d:\d\d:\d\d(?:\.\d{1,9})?(?P<z>Z|\+00:00)?", re.ASCII)


class MixedUnitsError(StampError):
    """A stamp in another unit than the column's first."""


def unit_of(stamp: int) -> int:
    """Nanoseconds in the unit that the digits of an epoch stamp say: of 1990 to 2262 no two units overlap.

    >>> [UNITS[unit_of(stamp)] for stamp in (1561939203, 1561939203172, 1561939203172000, 1561939203172000000)]
    ['s', 'ms', 'us', 'ns']
    """
    if stamp < 100_000_000_000:
        return 1_000_000_000
    if stamp < 100_000_000_000_000:
        return 1_000_000
    return 1000 if stamp < 100_000_000_000_000_000 else 1


class StampColumn:
    """Reads one column's stamps, one by one or all at once; the first one sets the form of the rest."""

    __slots__ = ("_format", "_iso", "unit")

    def __init__(self, unit: int | None = None) -> None:
        """Read a column.

        Args:
            unit: Nanoseconds in its unit; 0 for ISO 8601; None to take it from the first stamp.
        """
        self.unit = unit
        self._iso = StampReader()
        self._format: str | None = None

    def read(self, text: str) -> int:
        """Nanoseconds.

        Raises:
            MixedUnitsError: The stamp has another form than the column's first.
            StampError: The text is no stamp, or before 1990 or after 2261.
        """
        whole = text.partition(".")[0]
        if whole.isascii() and whole.isdecimal():
            if len(whole) > 19:
                msg = f"stamp {text[:40]!r} has more digits than nanoseconds have"
                raise StampError(msg)
            unit = unit_of(int(whole))
            nanos = epoch_ns(text) if "." in text and unit == 1_000_000_000 else self._integer(text, unit)
        else:
            unit = 0
            nanos = self._iso.read(text if len(text) > 10 else f"{text}T00:00:00")
        if nanos < EARLIEST_NS:
            msg = f"stamp {text!r} is before 1990"
            raise StampError(msg)
        if self.unit is None:
            self.unit = unit
            found = _ISO.fullmatch(text)
            if found:
                self._format = f"%Y-%m-%d{found['t']}%H:%M:%S%.f{found['z'] or ''}"
        elif unit != self.unit:
            msg = f"stamp {text!r} is in {UNITS.get(unit, 'ISO 8601')}, the first was in {_name(self.unit)}"
            raise MixedUnitsError(msg)
        return nanos

    def dtype(self) -> type[pl.DataType] | None:
        """How polars shall read the column so that `take` can go on; None where only `read` can."""
        if self.unit:
            return pl.Int64
        return pl.String if self._format else None

    def take(self, column: pl.Series) -> Ints | None:
        """The whole column at once; None if any stamp of it needs, or fails, a closer look by `read`."""
        if column.null_count():
            return None
        if self.unit:
            stamps = column.to_numpy().astype(np.int64, copy=False)
            low, high = int(stamps.min()), int(stamps.max())
            if low < 0 or unit_of(low) != self.unit or unit_of(high) != self.unit or low * self.unit < EARLIEST_NS:
                return None
            return stamps * self.unit if high * self.unit < 2**63 else None
        assert self._format is not None
        # Years that nanoseconds cannot hold would wrap around in silence.
        years = column.str.head(4)
        first, last = years.min(), years.max()
        if str(first) < "1990" or str(last) > "2261":
            return None
        moments = column.str.to_datetime(self._format, time_unit="ns", strict=False)
        return None if moments.null_count() else moments.to_physical().to_numpy()

    @staticmethod
    def _integer(text: str, unit: int) -> int:
        if not text.isdecimal() or int(text) * unit >= 2**63:
            msg = f"stamp {text[:40]!r} is not a whole number of {UNITS[unit]} before 2262"
            raise StampError(msg)
        return int(text) * unit


def _name(unit: int) -> str:
    return UNITS.get(unit, "ISO 8601")
