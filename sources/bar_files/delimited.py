"""CSV files of bars, separated by commas, semicolons or tabs, with a header."""

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, tzinfo
from itertools import islice
from pathlib import Path
from typing import IO, Final

import numpy as np

from market.errors import DeskError
from sources.bar_files.blocks import read_block
from sources.bar_files.columns import Layout, find_columns
from sources.bar_files.rows import NEEDED, NO_DAY, NO_STATE, NUMBERS, ROW, STATES, BadLine, Named, Rows
from sources.bar_files.stamps import BarStamps
from sources.stamps import StampError

_AT_ONCE: Final = 20_000
_EPOCH_DAY: Final = np.datetime64("1970-01-01").astype(object).toordinal()
_SHOWN: Final = 120


class DelimitedBars:
    """See `sources.bar_files.rows.BarFile`. A line is a row: no cell holds a line break."""

    def __init__(self, path: Path, zone: tzinfo) -> None:
        """Read its header.

        Args:
            path: Of the file, UTF-8.
            zone: Of its stamps where they name none.

        Raises:
            DeskError: It cannot be read, is empty, or its header lacks a column.
        """
        self._path = path
        self._zone = zone
        self._stamps = BarStamps(zone)
        self._named: dict[tuple[str, ...], Named] = {}
        self.note = ""
        try:
            self._size = path.stat().st_size
            with path.open("rb") as file:
                self._first_line, header = self._header(file)
                # The last byte tells whether the last line was ended.
                file.seek(-1, 2)
                self._unended = file.read(1) not in b"\r\n"
        except OSError as error:
            msg = f"file {path} cannot be read: {error.strerror or error}; name another"
            raise DeskError(msg) from error
        self._separator = max(",;\t", key=header.count)
        cells = next(csv.reader([header], delimiter=self._separator))
        self._layout: Layout = find_columns(path, cells)
        self._width = len(cells)
        self.left_out = self._layout.left_out

    def read(self) -> Iterator[Rows]:
        """See `sources.bar_files.rows.BarFile`."""
        try:
            with self._path.open("rb") as file:
                for _ in range(self._first_line):
                    file.readline()
                line, done = self._first_line, file.tell()
                while texts := list(islice(file, _AT_ONCE)):
                    done += sum(map(len, texts))
                    part = self._part(texts, line + 1, last=done == self._size)
                    part.progress = done / self._size
                    yield part
                    line += len(texts)
        except OSError as error:
            msg = f"file {self._path} cannot be read to its end: {error.strerror or error}; nothing was imported"
            raise DeskError(msg) from error

    def _header(self, file: IO[bytes]) -> tuple[int, str]:
        """Number and text of the first line that is not blank."""
        for number, content in enumerate(file, 1):
            try:
                text = content.decode("utf-8-sig").strip("\r\n")
            except UnicodeDecodeError as error:
                msg = f"file {self._path}: line {number} is not UTF-8 text; give a CSV or Parquet file"
                raise DeskError(msg) from error
            if "\0" in text:
                msg = f"file {self._path}: line {number} is not text; give a CSV or Parquet file"
                raise DeskError(msg)
            if text.strip():
                return number, text
        msg = f"file {self._path} is empty: it has no header; start,open,high,low,close,volume are needed"
        raise DeskError(msg)

    def _part(self, texts: Sequence[bytes], first_line: int, *, last: bool) -> Rows:
        if self._zone is UTC and not (last and self._unended):
            rows = read_block(texts, first_line, self._layout, self._width, self._separator)
            if rows is not None:
                return Rows(rows)
        part = Rows(np.empty(len(texts), ROW))
        count = 0
        for line, content in enumerate(texts, first_line):
            if not content.strip():
                continue
            reason = self._row(line, content, part, count)
            if reason is None:
                count += 1
            elif last and self._unended and line == first_line + len(texts) - 1:
                part.bad.append(BadLine(line, "cut off", f"the file ends amid {_shown(content)}"))
            else:
                part.bad.append(reason)
        if last and self._unended and count and not (part.bad and part.bad[-1].reason == "cut off"):
            self.note = f"the last line of {self._path} has no line end: check that the file is whole"
        part.rows = part.rows[:count]
        part.named = frozenset(self._named.values())
        return part

    def _row(self, line: int, content: bytes, part: Rows, place: int) -> BadLine | None:
        """Read one line into a place, or say what is wrong with it."""
        try:
            cells = self._cells(content)
        except (UnicodeDecodeError, csv.Error) as error:
            return BadLine(line, "unreadable", f"{error} in {_shown(content)}")
        if len(cells) != self._width:
            return BadLine(line, "columns", f"{len(cells)} where the header has {self._width}: {_shown(content)}")
        layout = self._layout
        try:
            stamp = self._stamps.read(" ".join(cells[start].strip() for start in layout.starts))
        except StampError as error:
            return BadLine(line, "stamp", str(error))
        values = []
        for name in NUMBERS:
            column = layout.numbers.get(name)
            text = "" if column is None else cells[column].strip()
            if not text:
                if name in NEEDED:
                    return BadLine(line, "missing value", f"no {name} in {_shown(content)}")
                values.append(np.nan)
                continue
            try:
                number = float(text)
            except ValueError:
                return BadLine(line, "not a number", f"{name} is {text[:40]!r}")
            if "_" in text or not np.isfinite(number):
                return BadLine(line, "not a number", f"{name} is {text[:40]!r}")
            values.append(number)
        state = NO_STATE
        if layout.state is not None and layout.series is not None:
            state = STATES.get(cells[layout.state].strip(), NO_STATE)
        if layout.series is not None:
            key = tuple(cells[column] for column in layout.series)
            if key not in self._named and len(self._named) < 3:
                self._named[key] = Named(*(text.strip() for text in key))
        day = NO_DAY if stamp.day is None else stamp.day.toordinal() - _EPOCH_DAY
        part.rows[place] = (line, stamp.time_ns, day, *values, state)
        return None

    def _cells(self, content: bytes) -> Sequence[str]:
        text = content.decode().rstrip("\r\n")
        if '"' in text:
            return next(csv.reader([text], delimiter=self._separator, strict=True))
        return text.split(self._separator)


def _shown(content: bytes) -> str:
    text = content.decode("utf-8", "replace").strip()
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
