"""Parquet files of bars."""

from collections.abc import Iterator
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any, Final

import numpy as np

from market.errors import DeskError
from sources.bar_files.columns import find_columns
from sources.bar_files.rows import NEEDED, NO_DAY, NO_STATE, NUMBERS, ROW, STATES, BadLine, Named, Rows
from sources.bar_files.stamps import BarStamps, Stamp
from sources.stamps import StampError

_AT_ONCE: Final = 20_000
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()


class ParquetBars:
    """See `sources.bar_files.rows.BarFile`."""

    def __init__(self, path: Path, zone: tzinfo) -> None:
        """Read its schema.

        Args:
            path: Of the file.
            zone: Of its stamps where they have none.

        Raises:
            DeskError: It cannot be read, or lacks a column.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        self._stamps = BarStamps(zone)
        self.note = ""
        try:
            self._file: Any = pq.ParquetFile(path)
        except (OSError, pa.ArrowException) as error:
            msg = f"file {path} is no whole Parquet file: {_first(error)}; give another, or a CSV file"
            raise DeskError(msg) from error
        header = self._file.schema_arrow.names
        self._layout = find_columns(path, header)
        self._columns = [
            header[place]
            for place in (
                *self._layout.starts,
                *self._layout.numbers.values(),
                *(() if self._layout.state is None else (self._layout.state,)),
                *(self._layout.series or ()),
            )
        ]
        self._header = header
        self.left_out = self._layout.left_out

    def read(self) -> Iterator[Rows]:
        """See `sources.bar_files.rows.BarFile`."""
        import pyarrow as pa

        total, done = max(1, self._file.metadata.num_rows), 0
        try:
            for batch in self._file.iter_batches(_AT_ONCE, columns=list(dict.fromkeys(self._columns))):
                part = self._part(batch, done + 1)
                done += batch.num_rows
                part.progress = done / total
                yield part
        except (OSError, pa.ArrowException) as error:
            msg = f"file {self._path} cannot be read beyond row {done}: {_first(error)}; nothing was imported"
            raise DeskError(msg) from error

    def _part(self, batch: Any, first_row: int) -> Rows:
        layout, header = self._layout, self._header
        stamps = self._starts(batch)
        part = Rows(np.empty(batch.num_rows, ROW))
        numbers, lost = {}, {}
        for name in NUMBERS:
            place = layout.numbers.get(name)
            numbers[name], lost[name] = self._numbers(batch, None if place is None else header[place])
        states = [NO_STATE] * batch.num_rows
        if layout.series is not None:
            names = [batch.column(header[place]).to_pylist() for place in layout.series]
            part.named = frozenset(Named(*map(str, one)) for one in set(zip(*names, strict=True)))
            if layout.state is not None:
                states = [STATES.get(str(text), NO_STATE) for text in batch.column(header[layout.state]).to_pylist()]
        count = 0
        for place in range(batch.num_rows):
            row = first_row + place
            stamp = stamps[place]
            if not isinstance(stamp, Stamp):
                part.bad.append(BadLine(row, "stamp", stamp))
                continue
            wrong = self._wrong(place, numbers, lost)
            if wrong is not None:
                part.bad.append(BadLine(row, *wrong))
                continue
            day = NO_DAY if stamp.day is None else stamp.day.toordinal() - _EPOCH_DAY
            values = (numbers[name][place] for name in NUMBERS)
            part.rows[count] = (row, stamp.time_ns, day, *values, states[place])
            count += 1
        part.rows = part.rows[:count]
        return part

    @staticmethod
    def _wrong(place: int, numbers: dict[str, Any], lost: dict[str, Any]) -> tuple[str, str] | None:
        """What is wrong with the numbers of a row."""
        for name in NEEDED:
            if lost[name][place]:
                return "missing value", f"no {name}"
            if not np.isfinite(numbers[name][place]):
                return "not a number", f"{name} is {numbers[name][place]}"
        return None

    def _starts(self, batch: Any) -> list[Stamp | str]:
        """The stamps, or what is wrong with them."""
        import pyarrow as pa

        columns = [batch.column(self._header[place]) for place in self._layout.starts]
        column = columns[0]
        kind = column.type
        if len(columns) == 2:
            texts = [column.cast(pa.string()).to_pylist() for column in columns]
            values: list[Any] = [None if None in pair else " ".join(pair) for pair in zip(*texts, strict=True)]
        elif pa.types.is_timestamp(kind) and kind.tz is not None:
            return [
                "there is none" if time is None else self._stamps.moment(time)
                for time in column.cast(pa.timestamp("ns", kind.tz)).cast(pa.int64()).to_pylist()
            ]
        elif pa.types.is_timestamp(kind):
            # Whole microseconds suffice: a bar starts at a whole minute.
            values = column.cast(pa.timestamp("us"), safe=False).to_pylist()
        elif pa.types.is_date(kind):
            values = column.cast(pa.date32()).to_pylist()
        elif pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            values = column.cast(pa.string()).to_pylist()
        else:
            msg = f"file {self._path}: column {self._header[self._layout.starts[0]]!r} is {kind}, which is no time"
            raise DeskError(msg)
        return [self._stamp(value) for value in values]

    def _stamp(self, value: Any) -> Stamp | str:
        try:
            if isinstance(value, datetime):
                return self._stamps.local(value)
            return "there is none" if value is None else self._stamps.read(str(value))
        except StampError as error:
            return str(error)

    def _numbers(self, batch: Any, name: str | None) -> tuple[Any, Any]:
        """A column as floats, NaN where there is none; and where that is."""
        import pyarrow as pa

        if name is None:
            return np.full(batch.num_rows, np.nan), np.ones(batch.num_rows, bool)
        column = batch.column(name)
        try:
            numbers = column.cast(pa.float64(), safe=False)
        except pa.ArrowException as error:
            msg = f"file {self._path}: column {name!r} is {column.type} and no number: {_first(error)}"
            raise DeskError(msg) from error
        return numbers.to_numpy(zero_copy_only=False).astype(np.float64), column.is_null().to_numpy(
            zero_copy_only=False
        )


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
