"""The archive's manifests: what it holds, in how many rows, with the checksum of each file. JSON, to be read by anyone.

A file counts from the moment at which a manifest names it. `manifests/journal-DAY.json` says what a day of the journal
came to, `manifests/bars-EXCHANGE-TICKER.json` what there is of a symbol's bars, and `manifests/bars.json` up to which
row of each writer's log the bars are as the store had them.
"""

from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from market.errors import DeskError
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.places import Place

FORMAT: Final = 1
"""Of the manifests and of what they describe; another one is refused."""

FOLDER: Final = "manifests"
BARS_HEADS: Final = f"{FOLDER}/bars.json"
WRITING: Final = f"{FOLDER}/writing.json"

StreamNote = tuple[int, str, str, str, int, int, bool]
"""id, feed, exchange, ticker, kind, domain, extended: a `Stream`."""


class FileNote(msgspec.Struct, frozen=True, kw_only=True):
    """One Parquet file."""

    path: str
    """From the archive's folder."""
    rows: int
    bytes: int
    sha256: str
    """Hex, of the whole file: what `sha256sum` prints."""
    first: int
    """Least event time (ticks, quotes), time (marks) or start (bars), ns."""
    last: int
    """Greatest of these, ns."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive rows of the journal, in one file a kind."""

    first_seq: int
    last_seq: int
    journal_rows: int
    files: dict[str, FileNote]
    """By kind: ticks, quotes, marks."""
    odd: list[tuple[int, int, int]] = []
    """(seq, domain, clock) of the rows for which these are not those of their streams and of their last record."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What a day's file of the journal came to."""

    format: int
    day: str
    """The UTC day on which the journal's file was begun."""
    streams: list[StreamNote]
    """All that the journal knew by then."""
    parts: list[Part]
    """In order; grows while the day lasts."""
    last_checksum: int
    """The journal's own check of the last row: tells this journal from another with the same numbers."""
    starts: list[tuple[int, str]] = []
    """Rows whose numbers do not follow on purpose, and why."""
    damaged: list[tuple[int, int, str]] = []
    """First row, last row and reason, of what could not be read when it was archived."""

    @property
    def first_seq(self) -> int:
        """First row."""
        return self.parts[0].first_seq

    @property
    def last_seq(self) -> int:
        """Last row."""
        return self.parts[-1].last_seq


class BarFile(msgspec.Struct, frozen=True, kw_only=True):
    """Bars of one symbol at one interval in one stretch of time."""

    interval: str
    file: FileNote


class SymbolBars(msgspec.Struct, frozen=True, kw_only=True):
    """What there is of a symbol's bars."""

    format: int
    exchange: str
    symbol: str
    files: list[BarFile]
    """By path. While a file is being replaced there are two of its path, and it is either."""


class BarsHeads(msgspec.Struct, frozen=True, kw_only=True):
    """How far the bars were archived."""

    format: int
    heads: dict[str, int]
    """By writer: the last row of its log that is in the archive."""


class Writing(msgspec.Struct, frozen=True, kw_only=True):
    """The part that is being written: there while a run lasts, and after one that was killed."""

    format: int
    day: str
    paths: list[str]


T = TypeVar("T", Day, SymbolBars, BarsHeads, Writing)


def day_path(day: str) -> str:
    """Name of a day's manifest."""
    return f"{FOLDER}/journal-{day}.json"


def symbol_path(symbol: Symbol) -> str:
    """Name of the manifest of a symbol's bars.

    >>> symbol_path(Symbol("FX", "EUR/USD"))
    'manifests/bars-FX-EUR%2FUSD.json'
    """
    return f"{FOLDER}/bars-{symbol.exchange}-{in_path(symbol.ticker)}.json"


def in_path(ticker: str) -> str:
    """A ticker as part of a path: of all that it may hold, only the slash must not be there."""
    return quote(ticker, safe="!&+")


def load(place: Place, name: str, kind: type[T]) -> T | None:
    """Read a manifest; None where there is none.

    Raises:
        DeskError: It is damaged, or of another version.
    """
    try:
        content = place.read(name)
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        msg = f"manifest {place.where}/{name} is damaged: {error}; restore it from a backup, or move the archive away"
        raise DeskError(msg) from error
    if found.format != FORMAT:
        msg = (
            f"manifest {place.where}/{name} has format {found.format}, this program knows {FORMAT}; use its own "
            "program, or name another place with archive_to"
        )
        raise DeskError(msg)
    return found


def save(place: Place, name: str, manifest: Any) -> None:
    """Write a manifest; it appears when it is whole."""
    place.put(name, msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")


def note_of(stream: Stream) -> StreamNote:
    """A stream as it is noted."""
    return (
        stream.id, stream.feed, stream.symbol.exchange, stream.symbol.ticker, int(stream.kind), stream.domain,
        stream.extended,
    )  # fmt: skip


def stream_of(note: StreamNote) -> Stream:
    """The stream that was noted."""
    number, feed, exchange, ticker, kind, domain, extended = note
    return Stream(number, feed, Symbol(exchange, ticker), FeedKind(kind), domain, extended)
