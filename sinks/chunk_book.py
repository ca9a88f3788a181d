"""The book of chunks: which spans of a series were fetched whole, from whom, and into which store.

A chunk is noted once its bars are in the store, so no span is fetched again that was noted. A note counts only while
the store holds what it held then: it says how far the writer's log had come, and a store whose log ends before that
place (another store, one restored from a backup, or one that lost its last moments with the power) lacks the bars.
"""

from typing import Any, ClassVar, Final, NamedTuple

from market.intervals import NAMES, Interval
from market.symbols import Symbol
from sinks.bar_store import BarStore
from sinks.history_book import HistoryBook

_SQLITE: Final = "sqlite"


class Chunk(NamedTuple):
    """One span of one series that was fetched."""

    start: int
    """ns; bars that start at this moment or later."""
    end: int
    """ns; bars that start before this moment."""
    provider: str
    """Who gave them; two are joined by `+`."""
    bars: int
    """How many there were; the other bars that the calendar has room for did not trade."""
    fetched_at: int
    """ns."""
    writer: str
    """Whose log in the store they are in."""
    log_seq: int
    """Where that log ended, with them in it."""


class ChunkBook(HistoryBook):
    """Any number of processes may have it open. One row a chunk; spans noted with `join` become one row."""

    TABLES: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS chunks(
      store TEXT NOT NULL, exchange TEXT NOT NULL, ticker TEXT NOT NULL, interval TEXT NOT NULL, writer TEXT NOT NULL,
      start INTEGER NOT NULL, end INTEGER NOT NULL, provider TEXT NOT NULL, bars INTEGER NOT NULL,
      fetched_at INTEGER NOT NULL, log_seq INTEGER NOT NULL,
      PRIMARY KEY(store, exchange, ticker, interval, writer, start, end, provider)) WITHOUT ROWID;
    """

    def record(self, store: BarStore, symbol: Symbol, interval: Interval, chunk: Chunk, *, join: bool = False) -> None:
        """Note that a span was fetched and that its bars are in the store.

        Args:
            store: That the bars were written to.
            symbol: Whose bars.
            interval: Their length.
            chunk: The span; an empty one is not noted.
            join: Make one row of it and of those by the same writer and provider that it overlaps or touches: for
                spans that are fetched again and again.
        """
        if chunk.end <= chunk.start:
            return
        series = (store_key(store), *symbol, NAMES[interval], chunk.writer)
        with self.transaction() as connection:
            if join:
                touching = (
                    "WHERE store = ? AND exchange = ? AND ticker = ? AND interval = ? AND writer = ? AND provider = ?"
                    " AND start <= ? AND end >= ?"
                )
                values = (*series, chunk.provider, chunk.end, chunk.start)
                rows = connection.execute(f"SELECT start, end, bars, log_seq FROM chunks {touching}", values).fetchall()
                connection.execute(f"DELETE FROM chunks {touching}", values)
                chunk = _joined(chunk, rows)
            connection.execute(
                "INSERT OR REPLACE INTO chunks VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*series, chunk.start, chunk.end, chunk.provider, chunk.bars, chunk.fetched_at, chunk.log_seq),
            )

    def chunks(self, store: BarStore, symbol: Symbol, interval: Interval, provider: str | None = None) -> list[Chunk]:
        """What was fetched of a series and is in the store, by start; spans may overlap.

        Args:
            store: As it is now.
            symbol: Whose bars.
            interval: Their length.
            provider: Fetched from this one only.
        """
        rows = self.read(
            "SELECT start, end, provider, bars, fetched_at, writer, log_seq FROM chunks WHERE store = ?"
            " AND exchange = ? AND ticker = ? AND interval = ? AND provider = coalesce(?, provider)"
            " ORDER BY start, end",
            (store_key(store), *symbol, NAMES[interval], provider),
        )
        found = [Chunk._make(row) for row in rows]
        heads = {writer: store.head(writer)[0] for writer in {chunk.writer for chunk in found}}
        return [chunk for chunk in found if chunk.log_seq <= heads[chunk.writer]]

    def prune(self, store: BarStore) -> int:
        """Forget for good what the store has lost; how many rows that were.

        To be called before anything more is written to the store: once its logs have grown past where they had been,
        they no longer show that they were ever cut short.
        """
        key = store_key(store)
        lost = 0
        for (writer,) in self.read("SELECT DISTINCT writer FROM chunks WHERE store = ?", (key,)):
            values = (key, writer, store.head(writer)[0])
            rule = "WHERE store = ? AND writer = ? AND log_seq > ?"
            # Looked for first, so that nothing is written where nothing is lost.
            if self.read(f"SELECT 1 FROM chunks {rule} LIMIT 1", values):
                with self.transaction() as connection:
                    lost += connection.execute(f"DELETE FROM chunks {rule}", values).rowcount
        return lost

    def forget(
        self, symbol: Symbol, interval: Interval | None = None, start: int | None = None, end: int | None = None
    ) -> None:
        """Forget what was fetched in a span, in every store: it will be fetched again.

        Args:
            symbol: Whose bars.
            interval: Of this length only.
            start: ns; from this moment on.
            end: ns; before this moment.
        """
        rules, values = ["exchange = ?", "ticker = ?"], list[object](symbol)
        for rule, value in (
            ("interval = ?", None if interval is None else NAMES[interval]),
            ("end > ?", start),
            ("start < ?", end),
        ):
            if value is not None:
                rules.append(rule)
                values.append(value)
        where = f"WHERE {' AND '.join(rules)}"
        with self.transaction() as connection:
            rows: list[Any] = connection.execute(f"SELECT * FROM chunks {where}", values).fetchall()
            connection.execute(f"DELETE FROM chunks {where}", values)
            for row in rows:
                first, last = row[5], row[6]
                # What lies outside the span stays fetched; how many of its bars are outside is not known.
                for left, right in ((first, start), (end, last)):
                    if left is not None and right is not None and left < right:
                        kept = (*row[:5], left, right, *row[7:])
                        connection.execute(
                            "INSERT OR REPLACE INTO chunks VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", kept
                        )


def store_key(store: BarStore) -> str:
    """A store's name in the book: a server's address, or a word for the file, so that a data folder may be moved."""
    return store.where if "://" in store.where else _SQLITE


def _joined(chunk: Chunk, rows: list[tuple[int, int, int, int]]) -> Chunk:
    if not rows:
        return chunk
    starts, ends, bars, seqs = zip(*rows, strict=True)
    apart = all(end == chunk.start or start == chunk.end for start, end in zip(starts, ends, strict=True))
    return chunk._replace(
        start=min(chunk.start, *starts),
        end=max(chunk.end, *ends),
        # Where they overlap the same bars came twice, so the larger number is all that is sure.
        bars=chunk.bars + sum(bars) if apart else max(chunk.bars, *bars),
        log_seq=max(chunk.log_seq, *seqs),
    )
