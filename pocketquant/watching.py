"""A result that is shown again and again until Ctrl-C: redrawn on a terminal, elsewhere what has changed of it."""

import json
import sys
import time
from collections.abc import Callable, Collection
from typing import Any, Final, NoReturn

import click

from pocketquant.output import Format, Records, plain_row, write

WATCH_S: Final = 1.0


def keep_showing(records: Callable[[], Records], form: Format, key: int, ignored: Collection[str] = ()) -> NoReturn:
    """Show a result once a second: redrawn on a terminal, else the rows that changed, one after the other.

    Args:
        records: Makes the result anew.
        form: How a row is written.
        key: So many of the first columns say which row it is.
        ignored: Columns whose change alone is none, such as an age.
    """
    if form == "table" and sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        with console.screen(hide_cursor=True):
            while True:
                shown = records()
                console.clear()
                write(shown, "table", None)
                time.sleep(WATCH_S)
    seen: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    while True:
        made = records()
        looked_at = [place for place, name in enumerate(made.columns) if name not in ignored]
        for row in made.rows:
            content = tuple(row[place] for place in looked_at)
            if seen.get(tuple(row[:key])) != content:
                seen[tuple(row[:key])] = content
                _write_line(made, tuple(row), form)
        sys.stdout.flush()
        time.sleep(WATCH_S)


def _write_line(records: Records, row: tuple[Any, ...], form: Format) -> None:
    """One row on one line: a JSON object, or words."""
    values = plain_row(records.columns, row)
    if form == "json":
        click.echo(json.dumps(dict(zip(records.columns, values, strict=True))))
    else:
        separator = "," if form == "csv" else "  "
        click.echo(separator.join("" if value is None else str(value) for value in values))
