"""Parquet files of ticks in our own form: the columns of the CSV form, with types."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from market.errors import DeskError
from market.symbols import Symbol
from sources.stamps import StampError
from sources.tick_files.batches import EARLIEST_NS, Clock, FileBatch, Ints, Refused, make_ticks, shorten
from sources.tick_files.delimited import AGGRESSORS, NEEDED, OWN
from sources.tick_files.stamp_columns import MixedUnitsError, StampColumn, unit_of

ROWS: Final = 131_072
"""Rows read at a time."""

_FACTORS: Final = {"ms": 1_000_000, "us": 1000, "ns": 1}


class _Faults:
    """Which rows of a batch are refused, each for the first reason found."""

    def __init__(self, rows: int) -> None:
        self.bad = np.zeros(rows, bool)
        self.reasons: dict[int, tuple[str, str]] = {}

    def add(self, where: NDArray[np.bool_], reason: str, detail: str) -> None:
        for index in np.flatnonzero(where & ~self.bad):
            self.reasons[int(index)] = (reason, detail)
        self.bad |= where


class ParquetReader:
    """Reads one Parquet file of one symbol."""

    def __init__(self, path: Path, symbol: Symbol) -> None:
        """Read `path`, whose ticks are all of `symbol`."""
        self._path = path
        self._symbol = symbol
        self._units: dict[str, int] = {}
        self._texts = {field: StampColumn() for field in ("event_time", "received_time")}

    def batches(self) -> Iterator[FileBatch]:
        """See `sources.tick_files.batches.Reader`.

        Raises:
            DeskError: The file is not Parquet, is cut off, or lacks a column or has one of another type.
        """
        clock = Clock()
        row = 1
        try:
            file = pq.ParquetFile(self._path)
            columns = self._columns(file.schema_arrow.names)
            total = max(file.metadata.num_rows, 1)
            for records in file.iter_batches(batch_size=ROWS, columns=list(columns.values())):
                frame = pl.DataFrame(records).rename({name: field for field, name in columns.items()})
                yield self._batch(frame, row, clock, min((row + len(frame) - 1) / total, 1.0))
                row += len(frame)
        except (pa.ArrowException, OSError) as error:
            msg = f"file {self._path} is no readable Parquet file, or is cut off: {error}"
            raise DeskError(msg) from error

    def _columns(self, names: list[str]) -> dict[str, str]:
        """The file's column of each field that it has, whatever the case."""
        found: dict[str, str] = {}
        for name in names:
            field = name.strip().lower()
            if field in OWN:
                if field in found:
                    msg = f"file {self._path} has two columns {field}"
                    raise DeskError(msg)
                found[field] = name
        missing = [field for field in NEEDED if field not in found]
        if missing:
            msg = f"file {self._path} has no column {', '.join(missing)}; it has {', '.join(names)}"
            raise DeskError(msg)
        return found

    def _batch(self, frame: pl.DataFrame, first_row: int, clock: Clock, progress: float) -> FileBatch:
        faults = _Faults(len(frame))
        event_time = self._stamps(frame, "event_time", faults)
        received_time = self._stamps(frame, "received_time", faults) if "received_time" in frame.columns else None
        price, size = (self._numbers(frame, field, faults) for field in ("price", "size"))
        trade_id = self._wholes(frame, "trade_id", -1, 2**63, faults)
        count = self._wholes(frame, "count", 1, 2**32, faults)
        aggressor = self._sides(frame, faults)
        rows = np.arange(first_row, first_row + len(frame))
        good = ~faults.bad
        ticks = make_ticks(
            clock, rows=rows[good], event_time=event_time[good],
            received_time=None if received_time is None else received_time[good], price=price[good], size=size[good],
            trade_id=trade_id[good], count=count[good], aggressor=aggressor[good],
        )  # fmt: skip
        rejects = [
            Refused(first_row + index, reason, f"{detail}: {shorten(str(frame.row(index)))}")
            for index, (reason, detail) in sorted(faults.reasons.items())
        ]
        first = int(rows[good][0]) if len(ticks) else first_row
        return FileBatch(self._symbol, ticks, first, rejects, progress)

    def _stamps(self, frame: pl.DataFrame, field: str, faults: _Faults) -> Ints:
        """Nanoseconds; -1 where an optional column has none."""
        column = frame[field]
        needed = field in NEEDED
        empty = column.is_null().to_numpy()
        if needed:
            faults.add(empty, "stamp", f"{field} is empty")
        if column.dtype == pl.String:
            return self._texts_read(column, field, faults)
        if column.dtype == pl.Date:
            column = column.cast(pl.Datetime("ms"))
        if isinstance(column.dtype, pl.Datetime):
            factors = np.full(len(column), _FACTORS[column.dtype.time_unit], np.int64)
            stamps = column.to_physical().fill_null(-1).to_numpy()
        elif column.dtype.is_integer():
            stamps = column.cast(pl.Int64, strict=False).fill_null(-1).to_numpy()
            factors = np.select(
                [stamps < 10**11, stamps < 10**14, stamps < 10**17], [10**9, 10**6, 10**3], default=1
            ).astype(np.int64)
            present = stamps[~empty]
            if len(present):
                unit = self._units.setdefault(field, unit_of(int(present[0])))
                faults.add((factors != unit) & ~empty, "mixed_units", f"{field} is in another unit than the first")
        else:
            msg = (
                f"file {self._path}: column {field} is {column.dtype}; it must be times, whole numbers or ISO 8601 text"
            )
            raise DeskError(msg)
        outside = (stamps < EARLIEST_NS // factors) | (stamps > (2**63 - 1) // factors)
        faults.add(outside & ~empty, "stamp", f"{field} is not between 1990 and 2262")
        nanos = np.where(outside, -1, stamps) * np.where(outside, 1, factors)
        return nanos.astype(np.int64)

    def _texts_read(self, column: pl.Series, field: str, faults: _Faults) -> Ints:
        reader = self._texts[field]
        if reader.dtype() == pl.String:
            taken = reader.take(column)
            if taken is not None:
                return taken
        nanos = np.full(len(column), -1, np.int64)
        for index, text in enumerate(column):
            if text is None:
                continue
            try:
                nanos[index] = reader.read(text.strip())
            except StampError as error:
                where = np.zeros(len(column), bool)
                where[index] = True
                faults.add(where, "mixed_units" if isinstance(error, MixedUnitsError) else "stamp", f"{field}: {error}")
        return nanos

    def _numbers(self, frame: pl.DataFrame, field: str, faults: _Faults) -> NDArray[np.float64]:
        numbers = self._cast(frame[field], pl.Float64(), field).fill_null(float("nan")).to_numpy()
        faults.add(~np.isfinite(numbers), "number", f"{field} is not a finite number")
        return numbers

    def _wholes(self, frame: pl.DataFrame, field: str, absent: int, end: int, faults: _Faults) -> Ints:
        if field not in frame.columns:
            return np.full(len(frame), absent, np.int64)
        column = frame[field]
        numbers = self._cast(column, pl.Int64(), field)
        values = numbers.fill_null(absent).to_numpy()
        lost = (numbers.is_null() & column.is_not_null()).to_numpy()
        given = column.is_not_null().to_numpy()
        faults.add(lost | (given & ((values < 0) | (values > end - 1))), field, f"{field} is not a whole number")
        return values

    def _sides(self, frame: pl.DataFrame, faults: _Faults) -> NDArray[np.int8]:
        if "aggressor" not in frame.columns:
            return np.zeros(len(frame), np.int8)
        texts = self._cast(frame["aggressor"], pl.String(), "aggressor").fill_null("").str.strip_chars()
        sides = texts.str.to_lowercase().replace_strict(AGGRESSORS, default=None, return_dtype=pl.Int8)
        faults.add(sides.is_null().to_numpy(), "aggressor", "aggressor is neither buy nor sell")
        return sides.fill_null(0).to_numpy()

    def _cast(self, column: pl.Series, dtype: pl.DataType, field: str) -> pl.Series:
        try:
            return column.cast(dtype, strict=False)
        except pl.exceptions.PolarsError as error:
            msg = f"file {self._path}: column {field} is {column.dtype}, which is no {dtype}"
            raise DeskError(msg) from error
