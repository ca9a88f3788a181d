"""CSV files of ticks: our own form, and `kraken-trades`.

Whole blocks of well-formed lines are read at once. A block with anything odd in it is read again line by line, where
each line that cannot be read becomes a reject with its number, and the others become ticks.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from market.errors import DeskError
from market.symbols import Symbol
from sources.stamps import StampError
from sources.tick_files.batches import Clock, FileBatch, Ints, Refused, make_ticks, shorten
from sources.tick_files.stamp_columns import MixedUnitsError, StampColumn
from sources.tick_files.text_blocks import Block, read_blocks

OWN: Final[Mapping[str, str]] = {
    name: name for name in ("event_time", "price", "size", "aggressor", "trade_id", "received_time", "count")
}
"""Column of each field, in our own form; the first three must be there."""

KRAKEN_TRADES: Final[Mapping[str, str]] = {
    "event_time": "time_ms", "price": "price", "size": "amount", "aggressor": "side",
}  # fmt: skip
"""The side is the taker's."""

NEEDED: Final = ("event_time", "price", "size")

AGGRESSORS: Final = {
    "buy": 1, "b": 1, "1": 1, "+1": 1, "sell": -1, "s": -1, "-1": -1, "": 0, "unknown": 0, "0": 0,
}  # fmt: skip
"""What a file may call the side that took liquidity, in any case."""

_ROWS_TO_LEARN_FROM: Final = 100
_LINES_READ_SINGLY: Final = 512

_Row = tuple[int, int, float, float, int, int, int, int]
"""row, event_time, price, size, aggressor, trade_id or -1, received_time or -1, count."""


class RowError(ValueError):
    """Why one row makes no tick."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class DelimitedReader:
    """Reads one CSV file of one symbol."""

    def __init__(self, path: Path, symbol: Symbol, columns: Mapping[str, str], *, unit: int | None = None) -> None:
        """Read `path`.

        Args:
            path: UTF-8, with a header.
            symbol: Whose ticks these are.
            columns: Name of each field's column.
            unit: Nanoseconds in the unit of `event_time`; None where its digits say it.
        """
        self._path = path
        self._symbol = symbol
        self._columns = columns
        self._unit = unit

    def batches(self) -> Iterator[FileBatch]:
        """See `sources.tick_files.batches.Reader`.

        Raises:
            DeskError: The header lacks a column, or the file cannot be read.
        """
        table: _Table | None = None
        for block in read_blocks(self._path):
            if table is None:
                header_line = next((line for line, text in block.lines() if text.strip()), None)
                if header_line is None:
                    continue
                table = _Table(self._path, self._symbol, self._header(block, header_line), header_line, self._unit)
                block = _after(block, header_line)  # noqa: PLW2901 - what is left of it are rows.
            if block.content:
                yield from table.read(block)
        if table is None:
            msg = f"file {self._path} is empty: it has no header"
            raise DeskError(msg)

    def _header(self, block: Block, header_line: int) -> tuple[list[str | None], str]:
        """The field of each column, and the separator."""
        text = block.content.split(b"\n")[header_line - block.first_line].decode("utf-8", "replace")
        separator = max(",;\t", key=text.count)
        names = [name.strip().strip('"').strip().lower() for name in text.split(separator)]
        fields = {column: field for field, column in self._columns.items()}
        found = [fields.get(name) for name in names]
        missing = [self._columns[field] for field in NEEDED if field not in found]
        doubled = [name for name in names if name in fields and names.count(name) > 1]
        if missing or doubled:
            trouble = f"has no column {', '.join(missing)}" if missing else f"has two columns {doubled[0]}"
            msg = (
                f"file {self._path}, line {header_line}: the header {trouble}; it is {shorten(text)!r}, and "
                f"{', '.join(self._columns[field] for field in NEEDED)} are needed"
            )
            raise DeskError(msg)
        return found, separator


def _after(block: Block, line: int) -> Block:
    """What follows a line of the block."""
    parts = block.content.split(b"\n", line - block.first_line + 1)
    rest = parts[-1] if len(parts) > line - block.first_line + 1 else b""
    return block._replace(content=rest, first_line=line + 1, unended=block.unended and bool(rest))


class _Table:
    """The rows after the header."""

    def __init__(
        self, path: Path, symbol: Symbol, header: tuple[list[str | None], str], header_line: int, unit: int | None
    ) -> None:
        self._path = path
        self._symbol = symbol
        self._fields, self._separator = header
        self._header_line = header_line
        self._clock = Clock()
        self._place = {field: place for place, field in enumerate(self._fields) if field}
        self._stamps = {"event_time": StampColumn(unit)}
        if "received_time" in self._place:
            self._stamps["received_time"] = StampColumn()
        self._learned = False

    def read(self, block: Block) -> Iterator[FileBatch]:
        """The block's rows, by halves down to the few lines around what is odd."""
        if not self._learned:
            self._learn(block)
        batch = self._all_at_once(block)
        if batch is not None:
            yield batch
        elif block.line_count() <= _LINES_READ_SINGLY or not self._regular():
            yield self._line_by_line(block)
        else:
            for half in block.halves():
                yield from self.read(half)

    def _regular(self) -> bool:
        """Whether the stamps have a form that whole blocks can be read in."""
        return all(stamps.dtype() is not None for stamps in self._stamps.values())

    def _learn(self, block: Block) -> None:
        """Let the first readable rows set the form of the stamps."""
        for line, content in block.lines():
            try:
                self._row(line, content)
            except RowError:
                continue
            if line - block.first_line >= _ROWS_TO_LEARN_FROM or all(
                stamps.unit is not None for stamps in self._stamps.values()
            ):
                break
        self._learned = True

    def _all_at_once(self, block: Block) -> FileBatch | None:
        content, lines = block.content, block.line_count()
        separator = self._separator.encode()
        dtypes: dict[str, type[pl.DataType]] = {
            "price": pl.Float64,
            "size": pl.Float64,
            "trade_id": pl.Int64,
            "count": pl.Int64,
        }
        for field, stamps in self._stamps.items():
            dtype = stamps.dtype()
            if dtype is None:
                return None
            dtypes[field] = dtype
        if block.unended or b'"' in content:
            return None
        if content.count(separator) != lines * (len(self._fields) - 1):
            return None
        names = [field or f"_{place}" for place, field in enumerate(self._fields)]
        schema = {name: dtypes.get(name, pl.String) for name in names}
        try:
            frame = pl.read_csv(
                content, has_header=False, schema=schema, separator=self._separator, quote_char=None,
                truncate_ragged_lines=False,
            )  # fmt: skip
        except pl.exceptions.PolarsError:
            return None
        return self._checked(frame, block) if len(frame) == lines else None

    def _checked(self, frame: pl.DataFrame, block: Block) -> FileBatch | None:
        """The batch, or None if any row of it needs a closer look."""
        event_time = self._stamps["event_time"].take(frame["event_time"])
        price, size = frame["price"], frame["size"]
        if event_time is None or price.null_count() or size.null_count():
            return None
        prices, sizes = price.to_numpy(), size.to_numpy()
        if not np.isfinite(prices).all() or not np.isfinite(sizes).all():
            return None
        received_time: Ints | None = None
        if "received_time" in self._stamps:
            received_time = self._stamps["received_time"].take(frame["received_time"])
            if received_time is None:
                return None
        trade_id: Ints | None = None
        if "trade_id" in self._place:
            trade_id = frame["trade_id"].fill_null(-1).to_numpy()
            if (frame["trade_id"] < 0).any():
                return None
        count: Ints | int = 1
        if "count" in self._place:
            count = frame["count"].fill_null(1).to_numpy()
            if int(count.min()) < 0 or int(count.max()) >= 2**32:
                return None
        aggressor = np.zeros(len(frame), np.int8)
        if "aggressor" in self._place:
            texts = frame["aggressor"].fill_null("").str.to_lowercase()
            sides = texts.replace_strict(AGGRESSORS, default=None, return_dtype=pl.Int8)
            if sides.null_count():
                return None
            aggressor = sides.to_numpy()
        first_row = block.first_line - self._header_line
        ticks = make_ticks(
            self._clock, rows=np.arange(first_row, first_row + len(frame)), event_time=event_time,
            received_time=received_time, price=prices, size=sizes, trade_id=trade_id, count=count, aggressor=aggressor,
        )  # fmt: skip
        return FileBatch(self._symbol, ticks, first_row, [], block.progress)

    def _line_by_line(self, block: Block) -> FileBatch:
        rows: list[_Row] = []
        rejects: list[Refused] = []
        last = block.first_line + block.line_count() - 1
        for line, content in block.lines():
            if not content.strip():
                continue
            try:
                rows.append(self._row(line, content))
            except RowError as error:
                if block.unended and line == last:
                    detail = f"the file ends amid this line ({error}): {shorten(content)}"
                    rejects.append(Refused(line, "cut_off", detail))
                else:
                    rejects.append(Refused(line, error.reason, f"{error}: {shorten(content)}"))
        columns = list(zip(*rows, strict=True)) if rows else [()] * 8
        row, event_time, price, size, aggressor, trade_id, received_time, count = columns
        numbers = np.array(row, np.int64)
        ticks = make_ticks(
            self._clock, rows=numbers, event_time=np.array(event_time, np.int64),
            received_time=np.array(received_time, np.int64), price=np.array(price, np.float64),
            size=np.array(size, np.float64), trade_id=np.array(trade_id, np.int64), count=np.array(count, np.int64),
            aggressor=np.array(aggressor, np.int8),
        )  # fmt: skip
        first_row = int(numbers[0]) if rows else block.first_line - self._header_line
        return FileBatch(self._symbol, ticks, first_row, rejects, block.progress)

    def _row(self, line: int, content: bytes) -> _Row:
        cells = self._cells(content)
        event_time = self._stamp("event_time", cells)
        assert event_time is not None
        received_time = self._stamp("received_time", cells) if "received_time" in self._place else None
        aggressor = AGGRESSORS.get(self._cell("aggressor", cells).lower())
        if aggressor is None:
            reason = "aggressor"
            raise RowError(reason, f"aggressor {self._cell('aggressor', cells)!r} is neither buy nor sell")
        return (
            line - self._header_line, event_time, self._number("price", cells), self._number("size", cells), aggressor,
            self._whole("trade_id", cells, -1, 2**63), -1 if received_time is None else received_time,
            self._whole("count", cells, 1, 2**32),
        )  # fmt: skip

    def _cells(self, content: bytes) -> Sequence[str]:
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            reason = "encoding"
            raise RowError(reason, f"the line is not UTF-8 (byte {error.start})") from error
        if '"' in text:
            try:
                cells = next(csv.reader([text], delimiter=self._separator, strict=True))
            except (csv.Error, StopIteration) as error:
                reason = "columns"
                raise RowError(reason, f"the line's quotes do not match ({error})") from error
        else:
            cells = text.split(self._separator)
        if len(cells) != len(self._fields):
            reason = "columns"
            raise RowError(reason, f"the line has {len(cells)} columns, the header {len(self._fields)}")
        return cells

    def _cell(self, field: str, cells: Sequence[str]) -> str:
        place = self._place.get(field)
        return cells[place].strip() if place is not None else ""

    def _stamp(self, field: str, cells: Sequence[str]) -> int | None:
        text = self._cell(field, cells)
        if not text and field not in NEEDED:
            return None
        try:
            return self._stamps[field].read(text)
        except MixedUnitsError as error:
            reason = "mixed_units"
            raise RowError(reason, f"{field}: {error}") from error
        except StampError as error:
            reason = "stamp"
            raise RowError(reason, f"{field}: {error}") from error

    def _number(self, field: str, cells: Sequence[str]) -> float:
        text = self._cell(field, cells)
        reason = "number"
        try:
            number = float(text)
        except ValueError as error:
            raise RowError(reason, f"{field} {text[:40]!r} is not a number") from error
        if not np.isfinite(number) or "_" in text:
            raise RowError(reason, f"{field} {text[:40]!r} is not a finite number")
        return number

    def _whole(self, field: str, cells: Sequence[str], absent: int, end: int) -> int:
        text = self._cell(field, cells)
        if not text:
            return absent
        if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < end):
            raise RowError(field, f"{field} {text[:40]!r} is not a whole number below {end}")
        return int(text)
