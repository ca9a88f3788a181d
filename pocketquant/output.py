"""How results are written: a table for people, JSON, CSV or Parquet for programs.

A result is a `Records`: its columns with their kinds, and rows. JSON, CSV and the table need none of the large
libraries, so that a command that reads answers quickly. Floats are written so that reading them back gives the same
float.
"""

import csv
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Literal

from market.errors import DeskError
from pocketquant.times import format_time

Format = Literal["table", "json", "csv", "parquet"]
FORMATS: Final[tuple[Format, ...]] = ("table", "json", "csv", "parquet")

Kind = Literal["text", "time", "float", "int", "bool"]
"""`time` values are ns since 1970 UTC; None, and NaN for a float, is not known."""

_BATCH: Final = 65_536
_LONG: Final = 48
"""On a terminal a longer text goes on in the next line."""


@dataclass(frozen=True, slots=True)
class Records:
    """A result with named columns."""

    columns: Mapping[str, Kind]
    rows: Iterable[Sequence[Any]]
    """Values in the order of the columns; read once."""
    title: str = ""
    empty: str = ""
    """A sentence for standard error when there are no rows."""


def write(records: Records, form: Format, output: Path | None, stream: IO[str] | None = None) -> int:
    """Write a result to standard output or to a file, and return the number of rows.

    Raises:
        DeskError: Parquet without a file; or the file cannot be written, in which case an older one is untouched.
    """
    if form == "parquet" and output is None:
        msg = "--format parquet is not for a terminal or a pipe: name a file with --output FILE"
        raise DeskError(msg)
    if output is None:
        count = _write_text(records, form, stream or sys.stdout)
    else:
        with aside(output) as path:
            if form == "parquet":
                count = _write_parquet(records, path)
            else:
                with path.open("w", encoding="utf-8", newline="") as file:
                    count = _write_text(records, form, file)
    if count == 0 and records.empty:
        note(records.empty)
    return count


def note(text: str) -> None:
    """Say something that is not a result."""
    print(text, file=sys.stderr)  # noqa: T201


@contextmanager
def aside(output: Path) -> Iterator[Path]:
    """A path beside `output` that becomes it when the block ends well, and is removed when it does not.

    Raises:
        DeskError: The folder is not there or cannot be written.
    """
    if output.is_dir():
        msg = f"output {output} is a folder: name a file in it"
        raise DeskError(msg)
    path = output.with_name(f".{output.name}.{os.getpid()}.part{output.suffix}")
    try:
        yield path
        path.replace(output)
    except OSError as error:
        msg = f"output {output} cannot be written: {error.strerror or error}"
        raise DeskError(msg) from error
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _write_text(records: Records, form: Format, file: IO[str]) -> int:
    if form == "json":
        return _write_json(records, file)
    if form == "csv":
        return _write_csv(records, file)
    return _write_table(records, file)


def _write_json(records: Records, file: IO[str]) -> int:
    """A list of objects, one a line, written as the rows come."""
    names = list(records.columns)
    count = 0
    for row in records.rows:
        file.write("[\n" if count == 0 else ",\n")
        file.write(json.dumps(dict(zip(names, plain_row(records.columns, row), strict=True)), allow_nan=False))
        count += 1
    file.write("\n]\n" if count else "[]\n")
    return count


def _write_csv(records: Records, file: IO[str]) -> int:
    out = csv.writer(file, lineterminator="\n")
    out.writerow(records.columns)
    count = 0
    for row in records.rows:
        out.writerow(["" if value is None else _word(value) for value in plain_row(records.columns, row)])
        count += 1
    return count


def _write_table(records: Records, file: IO[str]) -> int:
    rows = list(records.rows)
    if not rows:
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    words = [
        ["" if value is None else printable(_word(value)) for value in plain_row(records.columns, row)] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(records.columns, *words, strict=True)]
    table = Table(title=records.title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for (name, kind), width in zip(records.columns.items(), widths, strict=True):
        justify: Literal["right", "left"] = "right" if kind in {"float", "int"} else "left"
        table.add_column(name, justify=justify, no_wrap=width <= _LONG, overflow="fold")
    for row_words in words:
        table.add_row(*map(Text, row_words))
    console = Console(file=file, highlight=False, soft_wrap=False)
    # A column keeps its whole width, or its text goes on in the next line: a cut price would be a wrong one.
    least = sum(min(width, _LONG) for width in widths) + 2 * len(widths)
    if not console.is_terminal:
        console = Console(file=file, highlight=False, width=100_000, no_color=True)
    elif console.width < least:
        console = Console(file=file, highlight=False, width=least)
    console.print(table, crop=False, overflow="ignore", no_wrap=True)
    return len(rows)


def printable(text: str) -> str:
    r"""The text, with what is no visible character as Python writes it: a frame may hold what a terminal obeys.

    >>> printable("bad \x1b[2J frame")
    'bad \\x1b[2J frame'
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _write_parquet(records: Records, path: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(),
        "time": pa.timestamp("ns", tz="UTC"),
        "float": pa.float64(),
        "int": pa.int64(),
        "bool": pa.bool_(),
    }
    schema = pa.schema([(name, types[kind]) for name, kind in records.columns.items()])
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for batch in _batches(records.rows):
            columns = list(zip(*batch, strict=True))
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
            file.write_batch(pa.record_batch(arrays, schema=schema))
            count += len(batch)
    return count


def _batches(rows: Iterable[Sequence[Any]]) -> Iterator[list[Sequence[Any]]]:
    batch: list[Sequence[Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def plain_row(columns: Mapping[str, Kind], row: Sequence[Any]) -> list[Any]:
    """A row as values that JSON has: times as text, what is not known as None."""
    return [_value(kind, value) for kind, value in zip(columns.values(), row, strict=True)]


def _value(kind: Kind, value: Any) -> Any:
    if value is None:
        return None
    if kind == "time":
        return format_time(int(value))
    if kind == "float":
        number = float(value)
        return number if math.isfinite(number) else None
    if kind == "int":
        return int(value)
    return bool(value) if kind == "bool" else str(value)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
