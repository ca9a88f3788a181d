"""The archive: the journal's days as Parquet files, in a folder or an S3, with manifests that say what is there.

Ticks, quotes and marks lie in `ticks/DAY/FIRST-LAST.parquet` and the like, a day being one of the journal's files and
FIRST and LAST the journal rows that the part covers. A file is written aside, read back, compared with what it was made
of, and only then given its name; it counts once the day's manifest names it.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from market.errors import DeskError
from market.journal_rows import RowKind, RowValues
from market.streams import Stream
from market.symbols import Symbol
from sinks.archive_manifest import (
    FOLDER,
    FORMAT,
    WRITING,
    Day,
    FileNote,
    Part,
    SymbolBars,
    Writing,
    day_path,
    load,
    note_of,
    save,
    stream_of,
)
from sinks.archive_parts import KINDS, Sorted, put_together, take_apart
from sinks.archive_tables import Kind, read_parquet, same, tick_records, write_parquet
from sinks.places import ASIDE, Place, sha256_of, trouble

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from market.ticks import Batch

PART_RECORDS: int = 1 << 19
"""Ticks (or quotes) of one part, about: some 10 MB on the disk, and 100 MB of memory while it is made."""

_DAY_PREFIX = f"{FOLDER}/journal-"


class ParquetArchive:
    """An archive at a place. Written by one process at a time; read by any number, also meanwhile."""

    def __init__(self, place: Place) -> None:
        self.place = place

    @property
    def where(self) -> str:
        """The place as a user knows it."""
        return self.place.where

    def days(self) -> list[str]:
        """Days of the journal that are archived, in part at least, oldest first."""
        names = self.place.names(FOLDER)
        return [name.removeprefix(_DAY_PREFIX).removesuffix(".json") for name in names if name.startswith(_DAY_PREFIX)]

    def day(self, day: str) -> Day | None:
        """What a day came to; None if it is not archived.

        Raises:
            DeskError: The manifest is damaged.
        """
        return load(self.place, day_path(day), Day)

    def newest(self) -> Day | None:
        """The last day that is archived."""
        days = self.days()
        return self.day(days[-1]) if days else None

    def last_seq(self) -> int:
        """The last row of the journal that is archived; 0 where none is."""
        day = self.newest()
        return 0 if day is None else day.last_seq

    def first_seq(self) -> int:
        """The first row of the journal that is archived; 0 where none is."""
        days = self.days()
        day = self.day(days[0]) if days else None
        return 0 if day is None else day.first_seq

    def streams(self) -> tuple[Stream, ...]:
        """All streams that the archived journal knew, by id."""
        day = self.newest()
        return () if day is None else tuple(map(stream_of, day.streams))

    def write_part(self, day: str, rows: Sequence[RowValues], streams: Sequence[Stream]) -> Part:
        """Write consecutive rows of one day; they count once `save_day` names the part.

        Args:
            day: `2026-01-02`.
            rows: At least one, intact, in the order of the journal.
            streams: The journal's, by id.

        Raises:
            PlaceTrouble: The disk is full, or the place cannot be written.
        """
        taken = take_apart(rows, streams)
        first, last = rows[0][0], rows[-1][0]
        names = {kind: f"{KINDS[kind]}/{day}/{first:012}-{last:012}.parquet" for kind in sorted(taken.tables)}
        # Should this run be killed before the manifest names them, the next one knows what to remove.
        save(self.place, WRITING, Writing(format=FORMAT, day=day, paths=list(names.values())))
        files = {str(KINDS[kind]): self._write_sorted(name, taken.tables[kind]) for kind, name in names.items()}
        return Part(first_seq=first, last_seq=last, journal_rows=len(rows), files=files, odd=taken.odd)

    def save_day(
        self,
        day: str,
        known: Day | None,
        part: Part,
        streams: Sequence[Stream],
        last_checksum: int,
        starts: Sequence[tuple[int, str]],
        damaged: Sequence[tuple[int, int, str]],
    ) -> Day:
        """Add a part to a day's manifest, and with that to the archive.

        Args:
            day: The day.
            known: Its manifest so far.
            part: As `write_part` gave it; follows on the last one.
            streams: The journal's, by id.
            last_checksum: The journal's check of the part's last row.
            starts: Rows of the part whose numbers do not follow on purpose, and why.
            damaged: First row, last row and reason of what could not be read between the last part and the end of
                this.
        """
        saved = Day(
            format=FORMAT,
            day=day,
            streams=[note_of(stream) for stream in streams],
            parts=[*(known.parts if known else ()), part],
            last_checksum=last_checksum,
            starts=[*(known.starts if known else ()), *starts],
            damaged=[*(known.damaged if known else ()), *damaged],
        )
        save(self.place, day_path(day), saved)
        return saved

    def rows(
        self, after_seq: int = 0, upto_seq: int | None = None, kinds: Sequence[RowKind] = tuple(RowKind)
    ) -> Iterator[list[RowValues]]:
        """Rows of the journal as they were, a part at a time.

        Args:
            after_seq: Rows above this only.
            upto_seq: Rows up to this only.
            kinds: Rows of these kinds only.

        Raises:
            DeskError: A file is missing, or is not what the manifest says.
        """
        for day in map(self.day, self.days()):
            if day is None or day.last_seq <= after_seq:
                continue
            streams = tuple(map(stream_of, day.streams))
            for part in day.parts:
                if part.last_seq <= after_seq:
                    continue
                if upto_seq is not None and part.first_seq > upto_seq:
                    return
                tables = {
                    kind: self._read(part.files[KINDS[kind]], whole=True) for kind in kinds if KINDS[kind] in part.files
                }
                rows = put_together(tables, part.odd, streams)
                yield [row for row in rows if row[0] > after_seq and (upto_seq is None or row[0] <= upto_seq)]

    def damaged(self) -> list[tuple[int, int, str]]:
        """Rows that could not be archived: first, last and why."""
        return [found for day in map(self.day, self.days()) if day is not None for found in day.damaged]

    def ticks(
        self,
        symbol: Symbol,
        start: int | None = None,
        end: int | None = None,
        before_seq: int | None = None,
        *,
        newest_first: bool = False,
    ) -> "Iterator[tuple[NDArray[np.int64], Batch]]":
        """Ticks of a symbol, of all its feeds, part by part, as journaled: the row of each, and `TICK` records.

        Args:
            symbol: The instrument.
            start: First event time, ns.
            end: Ticks before this event time, ns.
            before_seq: Rows of the journal below this only.
            newest_first: The order of the parts; within each the oldest comes first all the same.

        Raises:
            DeskError: A file is missing or damaged.
        """
        for table in self._of_symbol(Kind.TICKS, symbol, start, end, before_seq, newest_first):
            records, seqs, places = tick_records(table)
            order = _journal_order(seqs, places)
            yield seqs[order], records[order]

    def quotes(
        self, symbol: Symbol, start: int | None = None, end: int | None = None, before_seq: int | None = None
    ) -> "Iterator[tuple[NDArray[np.int64], Batch]]":
        """Quotes of a symbol, as `ticks`: the row of each, and `QUOTE` records."""
        from sinks.archive_tables import quote_records

        for table in self._of_symbol(Kind.QUOTES, symbol, start, end, before_seq, newest_first=False):
            records, seqs, places = quote_records(table)
            order = _journal_order(seqs, places)
            yield seqs[order], records[order]

    def notes(self) -> Iterator[FileNote]:
        """Every file that a manifest names."""
        for day in map(self.day, self.days()):
            for part in day.parts if day is not None else ():
                yield from part.files.values()
        for name in self.place.names(FOLDER):
            if name.startswith(f"{FOLDER}/bars-"):
                bars = load(self.place, name, SymbolBars)
                yield from (found.file for found in (bars.files if bars is not None else ()))

    def check(self) -> list[str]:
        """Compare every file with its manifest; a sentence for each that is missing, altered, or in no manifest."""
        notes: dict[str, list[FileNote]] = {}
        for note in self.notes():
            notes.setdefault(note.path, []).append(note)
        found = []
        for path, either in sorted(notes.items()):
            try:
                digest = self.place.sha256(path)
            except FileNotFoundError:
                found.append(f"{path}: missing, though its manifest names it; restore it from a backup")
                continue
            if digest not in {note.sha256 for note in either}:
                found.append(f"{path}: altered, its SHA-256 is {digest[:16]}... and not {either[-1].sha256[:16]}...")
        for kind in Kind:
            strangers = set(self.place.names(kind)) - set(notes)
            found += [f"{path}: in no manifest; `pq archive` sees to what it left itself" for path in sorted(strangers)]
        return found

    def clean(self) -> list[str]:
        """Remove what a killed run has left: files half written, and those of a part that no manifest names yet."""
        left = self.place.names(ASIDE)
        writing = load(self.place, WRITING, Writing)
        if writing is not None:
            day = self.day(writing.day)
            known = {note.path for part in (day.parts if day is not None else ()) for note in part.files.values()}
            left += [name for name in writing.paths if name not in known]
        for name in left:
            self.place.remove(name)
        if writing is not None:
            self.place.remove(WRITING)
        return left

    def _write_sorted(self, name: str, part: Sorted) -> FileNote:
        with self.place.writing(name) as path:
            write_parquet(part.table, path)
            if not same(part.table, read_parquet(path)):
                msg = f"{self.where}/{name} reads back otherwise than it was written: see the disk and the memory"
                raise DeskError(msg)
            return file_note(name, path, len(part.table), part.first, part.last)

    def _of_symbol(
        self,
        kind: Kind,
        symbol: Symbol,
        start: int | None,
        end: int | None,
        before_seq: int | None,
        newest_first: bool,
    ) -> Iterator["pa.Table"]:
        chosen: list[tuple[str, str, Any]] = [("exchange", "==", symbol.exchange), ("symbol", "==", symbol.ticker)]
        for bound, sign in ((start, ">="), (end, "<")):
            if bound is not None:
                chosen.append(("event_time", sign, pa.scalar(bound, pa.timestamp("ns", tz="UTC"))))
        if before_seq is not None:
            chosen.append(("seq", "<", before_seq))
        for day in map(self.day, self.days()[:: -1 if newest_first else 1]):
            if day is None or (before_seq is not None and day.first_seq >= before_seq):
                continue
            if not any(note[2:4] == symbol for note in day.streams):
                continue
            for part in day.parts[:: -1 if newest_first else 1]:
                note = part.files.get(kind)
                if (
                    note is None
                    or (start is not None and note.last < start)
                    or (end is not None and note.first >= end)
                    or (before_seq is not None and part.first_seq >= before_seq)
                ):
                    continue
                table = self._read(note, filters=chosen)
                if len(table):
                    yield table

    def _read(self, note: FileNote, *, whole: bool = False, filters: Any = None) -> "pa.Table":
        """A file's table.

        Raises:
            DeskError: It is missing or damaged, or, if `whole`, not the one that the manifest names.
        """
        path = self.place.local(note.path)
        try:
            source = path if path is not None else io.BytesIO(self.place.read(note.path))
            with trouble(self.where):
                table = read_parquet(source, filters)
        except FileNotFoundError as error:
            msg = f"archive {self.where} lacks {note.path}, which its manifest names: restore it from a backup"
            raise DeskError(msg) from error
        except (pa.ArrowException, DeskError) as error:
            msg = f"archive {self.where}: {note.path} is damaged ({_one_line(error)}): restore it from a backup"
            raise DeskError(msg) from error
        if whole and len(table) != note.rows:
            msg = f"archive {self.where}: {note.path} has {len(table)} rows, its manifest says {note.rows}"
            raise DeskError(msg)
        return table


def file_note(name: str, path: Path, rows: int, first: int, last: int) -> FileNote:
    """Describe a file that is about to get its name."""
    return FileNote(path=name, rows=rows, bytes=path.stat().st_size, sha256=sha256_of(path), first=first, last=last)


def _journal_order(seqs: "NDArray[np.int64]", places: "NDArray[np.int32]") -> "NDArray[np.int64]":
    import numpy as np

    return np.lexsort((places, seqs))


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
