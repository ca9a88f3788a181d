"""All that was ever journaled: rows of days that the journal let go come from the archive, the others from the journal.

Read like the journal itself, so that whoever folds it does not know which is which.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from market.chunks import Chunk, Position, join
from market.journal_rows import CorruptRow, Row, RowKind, RowValues
from market.streams import Stream
from market.ticks import TICK
from sources.journal import JournalReader
from sources.journal_doubt import doubt

if TYPE_CHECKING:
    from sinks.parquet_archive import ParquetArchive

_FOLDED = (RowKind.TICKS, RowKind.MARKS)


@contextmanager
def opened(
    journal: Path, archive: "ParquetArchive | None" = None
) -> "Iterator[tuple[JournalReader | Past, list[CorruptRow]]]":
    """All that was journaled, and what of it turns out to be damaged while it is read.

    Args:
        journal: The journal's folder.
        archive: Of the rows before; None where there is none.
    """
    damage: list[CorruptRow] = []
    with JournalReader(journal, damage.append, doubts=True) as reader:
        yield (reader if archive is None else Past(reader, archive, damage)), damage


class Past:
    """A journal with its archive before it. To be used by one thread at a time."""

    def __init__(
        self,
        journal: JournalReader,
        archive: "ParquetArchive",
        damage: list[CorruptRow],
        *,
        prefer_archive: bool = False,
    ) -> None:
        """Look at both.

        Args:
            journal: Of the rows that are left; tells of its own damage, and doubts what it passes over.
            archive: Of the rows before.
            damage: Gets what the archive could not be given, when it was made.
            prefer_archive: Read from the archive whatever it has, for a journal that is damaged.

        Raises:
            DeskError: The archive's manifests cannot be read.
        """
        self._journal = journal
        self._archive = archive
        self._damage = damage
        archived, first = archive.last_seq(), journal.first_seq()
        self._upto = archived if prefer_archive or not first else min(archived, first - 1)
        """Rows up to this one come from the archive."""
        self._rows: Iterator[RowValues] = iter(())
        self._next: RowValues | None = None
        self._at = -1
        self._known: tuple[Stream, ...] = ()

    def streams(self) -> tuple[Stream, ...]:
        """All streams, by id."""
        return self._journal.streams() or self._archive.streams()

    def first_seq(self) -> int:
        """Number of the oldest row; 0 where there is none."""
        return (self._archive.first_seq() if self._upto else 0) or self._journal.first_seq()

    def last_seq(self) -> int:
        """Number of the newest row; 0 where there is none."""
        return max(self._journal.last_seq(), self._upto)

    def read(self, after_seq: int) -> list[Row]:
        """Some rows that follow; none where there is no more."""
        if after_seq < self._upto:
            for part in self._archive.rows(after_seq, self._upto):
                if part:
                    return [Row(*row) for row in part]
        return self._journal.read(max(after_seq, self._upto))

    def read_chunks(self, position: Position, max_ticks: int) -> tuple[list[Chunk], Position]:
        """Read on from a position and join the rows; as `JournalReader.read_chunks`."""
        if position.seq >= self._upto:
            return self._journal.read_chunks(position, max_ticks)
        if position.seq != self._at:
            self._known = self.streams()
            self._rows = self._with_doubts(position.seq)
            self._next = next(self._rows, None)
        rows: list[RowValues] = []
        size = 0
        while self._next is not None and (not rows or size < max_ticks * TICK.itemsize):
            rows.append(self._next)
            size += len(self._next[5])
            self._next = next(self._rows, None)
        chunks, after = join(rows, position, self._known)
        if self._next is None:
            # Rows of quotes at the end were not asked for.
            after = Position(self._upto, after.clocks)
        self._at = after.seq
        return chunks, after

    def _with_doubts(self, after_seq: int) -> Iterator[RowValues]:
        """Archived rows, and a row of doubt in the place of each range that could not be archived."""
        lost = [found for found in self._archive.damaged() if found[1] > after_seq and found[0] <= self._upto]
        before: dict[int, RowValues] = {}
        for row in chain.from_iterable(self._archive.rows(after_seq, self._upto, _FOLDED)):
            while lost and lost[0][1] < row[0]:
                first, last, why = lost.pop(0)
                self._damage.append(CorruptRow(first, last, "of the archive", why))
                if before:
                    yield _numbered(doubt(before.get(row[2]), row, self._known), last)
            before[row[2]] = row
            yield row


def _numbered(row: RowValues, seq: int) -> RowValues:
    return seq, *row[1:]
