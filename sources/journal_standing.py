"""How things stand at a row of the journal, for whoever begins to read there: looked up backwards from it."""

import sqlite3
from contextlib import ExitStack, suppress
from typing import Final

import numpy as np

from market.streams import Stream
from market.ticks import MARK, MarkKind
from sources.journal import JournalReader

LIVE: Final = 0


def clock_at(reader: JournalReader, seq: int) -> int | None:
    """Clock of the last live row up to `seq` that was no quotes row, ns; None if there is none.

    Raises:
        DeskError: A file cannot be opened.
    """
    with ExitStack() as opened:
        files = [opened.enter_context(file) for file in reader.files()]
        rows = (file.row_before(seq + 1, LIVE) for file in reversed(files))
        return next((row[3] for row in rows if row is not None), None)


def designated_at(reader: JournalReader, seq: int) -> dict[str, int]:
    """By symbol the stream that makes its bars after row `seq`.

    Where the journal no longer has the mark that said so, the oldest live stream of a symbol is taken to.

    Raises:
        DeskError: A file cannot be opened.
    """
    found: dict[str, int] = {}
    several: set[str] = set()
    streams = reader.streams()
    for stream in streams:
        if stream.domain == LIVE:
            symbol = str(stream.symbol)
            if symbol in found:
                several.add(symbol)
            else:
                found[symbol] = stream.id
    # Most symbols have one stream, of which nothing has to be looked up.
    if several:
        with ExitStack() as opened:
            files = [opened.enter_context(file) for file in reader.files()]
            for file in reversed(files):
                # What cannot be read says nothing; older marks may.
                with suppress(sqlite3.DatabaseError):
                    for row in file.marks_before(seq + 1, LIVE):
                        _note(row[5], streams, several, found)
                        if not several:
                            return found
    return found


def _note(payload: bytes, streams: tuple[Stream, ...], several: set[str], found: dict[str, int]) -> None:
    """Take from a row of marks what it says of symbols that are still looked for."""
    marks = np.frombuffer(payload, MARK)
    for place in reversed(marks["stream"][marks["kind"] == MarkKind.DESIGNATED].tolist()):
        symbol = str(streams[place].symbol)
        if symbol in several:
            found[symbol] = place
            several.discard(symbol)
