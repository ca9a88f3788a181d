"""The bar store's port: what every engine promises, and the one rule by which a bar replaces another.

**The rule.** A bar's key is (exchange, symbol, interval, start). Of two bars with one key the store shows the one of
the higher rank (official beats healed beats closed or partial beats forming); within a rank the one of the higher
revision; within a revision the one that came to be known later (`updated_at`); two that agree in all of that are the
same bar. So the bar that is shown is a maximum: it does not depend on the order of writers, on retries, or on crashes.

**Revisions.** A writer that counts its own revisions (the bars dataflow, whose bars are a pure function of the journal)
passes `own_revisions=True`, and the rule is all there is. Any other writer (an import, a sync, a heal, a rebuild) does
not know what the store holds, so the store counts for it: a new bar is revision 1; a bar of a higher rank, or of the
same rank with other content, is the held revision + 1; the same content or a lower rank is no write. Content is the
state, the end and the numbers; neither `source` nor `updated_at`. A forming bar is always revision 0.

**The log.** Every revision from a bar's close on is appended to the log of its writer (`sinks.revision_log`), never a
forming one. Reads as of a moment T show, by the same rule, what the log held with `updated_at <= T`.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from market.bars import BarBatch, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl


class StoreAway(DeskError):  # noqa: N818  (a state of the world that passes, not a defect)
    """The store cannot be reached, or is locked, for now: wait and write the same batch again. Nothing was skipped."""


class Written(NamedTuple):
    """What one `upsert` did."""

    inserted: int
    """Bars whose key was new."""

    updated: int
    """Bars that replaced another."""

    unchanged: int
    """Rows that changed nothing: held already, beaten by what is held, or by a later row of the same batch."""

    logged: int
    """Rows appended to the writer's log."""


class Series(NamedTuple):
    """One symbol at one interval, as far as it is held."""

    symbol: Symbol
    interval: Interval
    bars: int
    """How many are held, > 0."""
    first: int
    """Start of the oldest bar, ns."""
    last: int
    """Start of the newest bar, ns."""


class Name(NamedTuple):
    """What a logged row's `stream` stands for."""

    feed: str
    """The bar's source."""
    symbol: Symbol


class Logged(NamedTuple):
    """Consecutive rows of one writer's log."""

    writer: str
    seqs: NDArray[np.int64]
    """Place of each row in the writer's log, from 1, rising by one."""
    rows: NDArray[np.void]
    """`BAR` records in the order in which they were written; `stream` indexes `names`."""
    names: tuple[Name, ...]


class Wrong(StrEnum):
    """What can be wrong with a row of the log."""

    ALTERED = "altered"
    MISSING = "missing"
    REORDERED = "reordered"


class Finding(NamedTuple):
    """One thing that is wrong with the log."""

    wrong: Wrong
    writer: str
    first_seq: int
    """The row, or the first of a range of rows, by its place in the writer's log."""
    last_seq: int
    """The last of the range; `first_seq` where it is one row."""
    symbol: Symbol | None
    """The row's symbol as it now reads; `None` where it cannot be read any more."""
    interval: Interval | None
    start: int | None
    """The bar's start as it now reads, ns."""
    detail: str
    """How it shows, as half a sentence."""

    def __str__(self) -> str:
        one = self.first_seq == self.last_seq
        rows = f"row {self.first_seq}" if one else f"rows {self.first_seq} to {self.last_seq}"
        bar = ""
        if self.symbol is not None and self.interval is not None and self.start is not None:
            bar = f" ({self.symbol} {self.interval} {np.datetime64(self.start // 1_000_000_000, 's')}Z)"
        return f"log of {self.writer}: {rows}{bar} {self.wrong}: {self.detail}"


class BarStore(Protocol):
    """Where bars are kept. Every method may raise `StoreAway`, or `DeskError` for trouble that waiting does not end.

    One object may be used by several threads; several processes may write and read one store at a time.
    """

    @property
    def where(self) -> str:
        """The store as a user knows it: a file's path, or a server's address without its password."""
        ...

    def upsert(self, batch: BarBatch, *, writer: str, upto: int | None = None, own_revisions: bool) -> Written:
        """Write bars by the one rule (see the module), and log what is to be logged, as one act.

        Args:
            batch: Bars in the order in which they came to be. A key may appear more than once.
            writer: Whose log they are appended to: `bars`, `import`, `heal`.
            upto: For a writer that reads the journal, whose rows come in the order of their `seq`: the last journal
                sequence that this batch, with all before it, holds the bars of. Rows whose `seq` is at or below the
                writer's `position` were logged before and are not logged again, and the position moves to `upto`
                together with the rows, so a batch that is written again after a crash leaves one copy in the log.
                `None`: rows that changed the store are logged.
            own_revisions: Whether the rows' `revision` counts, or the store does the counting.

        Raises:
            DeskError: A row's start is no whole minute or a number in it is not finite (NaN means "unknown" for
                notional alone), or the store refuses the write: full, read-only, damaged.
            StoreAway: Nothing of the batch counts as written; write it again.
        """
        ...

    def position(self, writer: str) -> int:
        """Journal sequence up to which the writer's bars are stored and logged; 0 before the first."""
        ...

    def read(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
        states: "Collection[BarState] | None" = None,
        as_of: int | None = None,
        newest_first: bool = True,
    ) -> "pl.DataFrame":
        """Bars of one series as a frame with the columns `market.bars.COLUMNS`.

        Args:
            symbol: The instrument.
            interval: The length of the bars.
            start: Bars that start at this moment or later, ns.
            end: Bars that start before this moment, ns.
            limit: At most so many, the newest.
            states: Bars in one of these states only.
            as_of: Bars as they were known at this moment, ns: closed or better, of each the version that the rule
                chooses among those with `updated_at <= as_of`. `states` looks at that version.
            newest_first: The order of the rows; `limit` keeps the newest either way.

        Returns:
            One row a bar; start, end and updated_at are `Datetime("ns", "UTC")`; vwap is null where volume is 0 or
            notional unknown, and an unknown notional is null.
        """
        ...

    def starts(self, symbol: Symbol, interval: Interval, start: int, end: int) -> NDArray[np.int64]:
        """Starts (ns) in `[start, end)` of the bars of one series that are over, in order: a fraction of a `read`."""
        ...

    def series(self) -> list[Series]:
        """What is held, by symbol and interval."""
        ...

    def revisions(self, writer: str | None = None, after: int = 0) -> Iterator[Logged]:
        """Logged rows with a place above `after`, in order; of all writers one after the other if none is named."""
        ...

    def writers(self) -> list[str]:
        """Everyone who has a log, by name."""
        ...

    def head(self, writer: str) -> tuple[int, str]:
        """Place of the last row in the writer's log, and the hash (hex) of the chain up to it; 0 and "" if empty.

        A hash that was written down elsewhere proves, later, that nothing before it was rewritten.
        """
        ...

    def check_log(self) -> list[Finding]:
        """Every altered, missing or reordered row of every writer's log; empty if all is as it was written."""
        ...

    def forget(self, symbol: Symbol) -> int:
        """Remove the bars of a symbol at every interval, with all their versions; returns how many were shown.

        The log keeps its rows: it is a chain, and a chain has no holes. Whatever writes the symbol again begins anew.
        """
        ...

    def size_bytes(self) -> int:
        """What the store occupies on its disk."""
        ...

    def ping(self) -> None:
        """Return if the store answers.

        Raises:
            StoreAway: It does not.
        """
        ...

    def close(self) -> None:
        """Let go of the store. Whatever `upsert` returned from is kept."""
        ...


def open_store(where: str | Path, *, read_only: bool = False) -> BarStore:
    """Open the store at a MongoDB address (`mongodb://`, `mongodb+srv://`) or in an SQLite file.

    Args:
        where: Address or path. A file is made if it is not there, unless it is to be read only.
        read_only: Promise to write nothing; an SQLite file may then lie on a read-only disk.

    Raises:
        DeskError: The file cannot be opened, or is no bar store.
        StoreAway: The server does not answer.
    """
    text = str(where)
    if text.startswith(("mongodb://", "mongodb+srv://")):
        from sinks.mongo_bars import MongoBars

        return MongoBars(text, read_only=read_only)
    from sinks.sqlite_bars import SqliteBars

    return SqliteBars(Path(where), read_only=read_only)
