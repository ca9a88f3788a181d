"""Binance's aggregate trades as JSON: one object a line, or one array.

An aggregate of the trades f to l counts as l - f + 1 of them and is known by the last, as on the live feed. `m` says
that the buyer was the maker, so that the taker sold.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from market.errors import DeskError
from market.symbols import Symbol
from sources.frames import READ_ERRORS, MillisOrMicros, TradeId
from sources.tick_files.batches import EARLIEST_NS, Clock, FileBatch, Refused, make_ticks, shorten
from sources.tick_files.text_blocks import Block, read_blocks, read_chunks

OBJECT_BYTES_MOST: Final = 1024 * 1024
FIRST_MICRO: Final = 100_000_000_000_000
"""Stamps from here on are microseconds: as milliseconds they would be past the year 5138."""

_OBJECT = re.compile(rb"\{[^{}]*\}")
_BETWEEN = re.compile(rb"[\s,]*")


class Aggregate(msgspec.Struct, gc=False):
    """One report, with the venue's names."""

    p: float
    q: float
    f: TradeId
    l: TradeId  # noqa: E741 - the venue's name
    T: MillisOrMicros
    m: bool
    a: TradeId = 0


class _Place(NamedTuple):
    """Where an aggregate stands in its file."""

    row: int
    line: int


class _Piece(NamedTuple):
    """One object or line that could not be read with the others."""

    place: _Place
    content: bytes
    last: bool
    """Whether the file ends with it."""


_decode = msgspec.json.Decoder(Aggregate, strict=False)
_decode_array = msgspec.json.Decoder(list[Aggregate], strict=False).decode


class AggTradesReader:
    """Reads one file of one symbol."""

    def __init__(self, path: Path, symbol: Symbol) -> None:
        """Read `path`, whose aggregates are all of `symbol`."""
        self._path = path
        self._symbol = symbol
        self._clock = Clock()
        self._factor: int | None = None

    def batches(self) -> Iterator[FileBatch]:
        """See `sources.tick_files.batches.Reader`.

        Raises:
            DeskError: The file cannot be read, is empty, or what it holds are not aggregates.
        """
        first = next((chunk.content.lstrip() for chunk in read_chunks(self._path)), b"")
        if not first:
            msg = f"file {self._path} is empty"
            raise DeskError(msg)
        if first[:1] not in {b"[", b"{"}:
            msg = f"file {self._path} is no JSON of aggregates: it begins with {shorten(first[:40])!r}"
            raise DeskError(msg)
        if first[:1] == b"[":
            yield from self._array()
        else:
            for block in read_blocks(self._path):
                yield self._lines(block)

    def _lines(self, block: Block) -> FileBatch:
        try:
            found: list[Aggregate] = _decode.decode_lines(block.content)
        except READ_ERRORS:
            found = []
        if len(found) == block.line_count():
            numbers = range(block.first_line, block.first_line + len(found))
            return self._batch(found, list(map(_Place, numbers, numbers)), [], block.progress)
        last = block.first_line + block.line_count() - 1
        pieces = [
            _Piece(_Place(line, line), text, block.unended and line == last)
            for line, text in block.lines()
            if text.strip()
        ]
        return self._one_by_one(pieces, block.progress)

    def _array(self) -> Iterator[FileBatch]:
        """Objects of an array, wherever its lines break: what is between two braces is one, since none is nested."""
        rest = b""
        line = row = 1
        opened = False
        for chunk in read_chunks(self._path):
            text = rest + chunk.content
            if not opened:
                before, _, text = text.partition(b"[")
                line += before.count(b"\n")
                opened = True
            whole, brace, rest = text.rpartition(b"}")
            content = whole + brace
            if len(rest) > OBJECT_BYTES_MOST:
                msg = f"file {self._path}, line {line}: an object is longer than 1 MiB; these are no aggregates"
                raise DeskError(msg)
            clock = self._clock.latest
            pieces: list[_Piece] = []
            try:
                found = _decode_array(b"[" + content.strip(b", \t\r\n") + b"]")
                batch = self._batch(
                    found, [_Place(row + place, line) for place in range(len(found))], [], chunk.progress
                )
            except READ_ERRORS:
                found, batch = [], None
            if batch is None or batch.rejects:
                # Only now does it matter on which line each object stands.
                self._clock.latest = clock
                pieces = _pieces(content, line, row)
                batch = self._one_by_one(pieces, chunk.progress)
            yield batch
            row += max(len(found), len(pieces))
            line += content.count(b"\n")
        fault = _ending(rest, line)
        if fault:
            yield self._batch([], [], [fault], 1.0)

    def _one_by_one(self, pieces: list[_Piece], progress: float) -> FileBatch:
        found: list[Aggregate] = []
        places: list[_Place] = []
        rejects: list[Refused] = []
        for place, content, last in pieces:
            try:
                found.append(_decode.decode(content))
                places.append(place)
            except READ_ERRORS as error:
                shape = isinstance(error, msgspec.ValidationError)
                if last and not shape:
                    detail = f"the file ends amid this line ({error}): {shorten(content)}"
                    rejects.append(Refused(place.line, "cut_off", detail))
                else:
                    rejects.append(Refused(place.line, "shape" if shape else "json", f"{error}: {shorten(content)}"))
        return self._batch(found, places, rejects, progress)

    def _batch(
        self, found: list[Aggregate], places: list[_Place], rejects: list[Refused], progress: float
    ) -> FileBatch:
        price = np.array([aggregate.p for aggregate in found], np.float64)
        size = np.array([aggregate.q for aggregate in found], np.float64)
        first = np.array([aggregate.f for aggregate in found], np.int64)
        last = np.array([aggregate.l for aggregate in found], np.int64)
        stamp = np.array([aggregate.T for aggregate in found], np.int64)
        aggressor = np.array([-1 if aggregate.m else 1 for aggregate in found], np.int8)
        factors = np.where(stamp < FIRST_MICRO, 1_000_000, 1000)
        if self._factor is None and found:
            self._factor = int(factors[0])
        # ids are below 2**63 and not negative, so that their difference cannot wrap; a count can, by one.
        span = last - first
        good = np.ones(len(found), bool)
        for bad, reason, rule in (
            (~(np.isfinite(price) & np.isfinite(size)), "number", "a number of it is not finite"),
            ((span < 0) | (span >= 2**32 - 1), "count", "it ends before it begins, or has too many trades"),
            (stamp < EARLIEST_NS // factors, "stamp", "it is stamped before 1990"),
            (stamp > (2**63 - 1) // factors, "stamp", "it is stamped after 2261"),
            (factors != self._factor, "mixed_units", "it is stamped in another unit than the first"),
        ):
            for index in np.flatnonzero(bad & good):
                text = msgspec.json.encode(found[index])
                rejects.append(Refused(places[index].line, reason, f"{rule}: {shorten(text)}"))
            good &= ~bad
        rows = np.array([place.row for place in places], np.int64)[good]
        ticks = make_ticks(
            self._clock, rows=rows, event_time=stamp[good] * factors[good], received_time=None, price=price[good],
            size=size[good], trade_id=last[good], count=span[good] + 1, aggressor=aggressor[good],
        )  # fmt: skip
        first_row = int(rows[0]) if len(rows) else (places[0].row if places else 1)
        return FileBatch(self._symbol, ticks, first_row, sorted(rejects), progress)


def _pieces(content: bytes, line: int, row: int) -> list[_Piece]:
    """The objects of a part of an array, and what stands between them though it should not."""
    pieces: list[_Piece] = []
    end = 0
    for found in _OBJECT.finditer(content):
        between = content[end : found.start()]
        line += between.count(b"\n")
        if not _BETWEEN.fullmatch(between):
            pieces.append(_Piece(_Place(row + len(pieces), line), between.strip(b", \t\r\n"), last=False))
        pieces.append(_Piece(_Place(row + len(pieces), line), found[0], last=False))
        line += found[0].count(b"\n")
        end = found.end()
    return pieces


def _ending(rest: bytes, line: int) -> Refused | None:
    """What stands after the last object: the closing bracket, or the sign of a file that was cut off."""
    ending = rest.strip(b", \t\r\n")
    line += rest[: rest.find(ending)].count(b"\n")
    if ending == b"]":
        return None
    if ending.endswith(b"]"):
        return Refused(line, "json", f"after the last object: {shorten(ending)}")
    return Refused(line, "cut_off", f"the file ends before its array does: {shorten(ending) or 'no ] at the end'}")
