"""The healer's book: how far each gap is healed and why not further, and which bars are to be made again above it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, ClassVar, Final, NamedTuple

from market.intervals import NAMES, Interval, parse_interval
from market.symbols import Symbol
from sinks.history_book import HistoryBook


class AboveState(StrEnum):
    """What became of a bar that was to be made again."""

    DUE = "due"
    """To be made once it is over and the gaps in it are settled."""
    DONE = "done"
    GIVEN_UP = "given up"
    """Nobody has what it lacks."""


class GapNote(NamedTuple):
    """What the healer knows of one gap of the ledger."""

    gap: int
    """Its id there."""
    upto: int
    """ns; before this moment it is settled: healed, or known not to be had. 0 where nothing is."""
    lacking: int
    """Minutes before that moment that nobody has."""
    bars: int
    """One-minute bars written for it."""
    tried_at: int
    """ns, when it was last worked on."""
    healed_by: str
    """Providers and feeds that filled it, joined by `+`; empty while none did."""
    why: str
    """Why it is not healed, as a sentence; empty where it is."""


class Above(NamedTuple):
    """A bar that holds minutes which were, or are to be, healed."""

    symbol: Symbol
    interval: Interval
    start: int
    """ns."""
    end: int
    """ns."""
    state: AboveState = AboveState.DUE
    why: str = ""
    """Why it was given up, or waits."""


_ABOVE: Final = "exchange, ticker, interval, start, end, state, why"


class HealBook(HistoryBook):
    """Bounded by the gaps of the ledger, and by the bars above those of the last days."""

    TABLES: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS healed_gaps(
      gap INTEGER PRIMARY KEY, upto INTEGER NOT NULL, lacking INTEGER NOT NULL, bars INTEGER NOT NULL,
      tried_at INTEGER NOT NULL, healed_by TEXT NOT NULL, why TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS lacking(
      gap INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, PRIMARY KEY(gap, start)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS bars_above(
      exchange TEXT NOT NULL, ticker TEXT NOT NULL, interval TEXT NOT NULL, start INTEGER NOT NULL,
      end INTEGER NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL,
      PRIMARY KEY(exchange, ticker, interval, start)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS healer_log(
      writer TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
    """

    def gap_notes(self) -> dict[int, GapNote]:
        """All notes by the gap's id."""
        rows = self.read("SELECT gap, upto, lacking, bars, tried_at, healed_by, why FROM healed_gaps")
        return {row[0]: GapNote._make(row) for row in rows}

    def note_gap(self, note: GapNote, lacking: Iterable[tuple[int, int]] = ()) -> None:
        """Put a note in the place of the one that there was.

        Args:
            note: The note.
            lacking: Further spans of the gap that nobody has, `[start, end)` in ns.
        """
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO healed_gaps VALUES(?, ?, ?, ?, ?, ?, ?)", note)
            connection.executemany(
                "INSERT OR REPLACE INTO lacking VALUES(?, ?, ?)", ((note.gap, *span) for span in lacking)
            )

    def lacking(self) -> dict[int, list[tuple[int, int]]]:
        """By gap: the spans that nobody has, in order."""
        found: dict[int, list[tuple[int, int]]] = {}
        for gap, start, end in self.read("SELECT gap, start, end FROM lacking ORDER BY gap, start"):
            found.setdefault(gap, []).append((start, end))
        return found

    def forget_gaps(self, gaps: Iterable[int]) -> None:
        """Forget what is known of gaps, so that they are tried from their beginning."""
        keys = [(gap,) for gap in gaps]
        with self.transaction() as connection:
            connection.executemany("DELETE FROM healed_gaps WHERE gap = ?", keys)
            connection.executemany("DELETE FROM lacking WHERE gap = ?", keys)

    def want_above(self, bars: Iterable[Above]) -> None:
        """Bars are to be made again, also those that were made or given up before."""
        with self.transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO bars_above VALUES(?, ?, ?, ?, ?, ?, ?)", map(_row, bars))

    def renew_above(self, bars: Iterable[Above]) -> int:
        """Of these bars, those that were made before are to be made again; says how many those are."""
        keys = [_key(bar) for bar in bars]
        with self.transaction() as connection:
            before = connection.total_changes
            connection.executemany(
                "UPDATE bars_above SET state = 'due', why = '' WHERE exchange = ? AND ticker = ? AND interval = ?"
                " AND start = ? AND state = 'done'",
                keys,
            )
            return connection.total_changes - before

    def settle_above(self, bars: Iterable[Above]) -> None:
        """Say what became of bars; of one that was wanted again meanwhile too."""
        with self.transaction() as connection:
            connection.executemany(
                "UPDATE bars_above SET state = ?, why = ? WHERE exchange = ? AND ticker = ? AND interval = ?"
                " AND start = ?",
                ((str(bar.state), bar.why, *_key(bar)) for bar in bars),
            )

    def above(self, *states: AboveState) -> list[Above]:
        """Bars in these states, by symbol, from the shortest interval to the longest, then by start."""
        wanted = states or tuple(AboveState)
        rows = self.read(
            f"SELECT {_ABOVE} FROM bars_above WHERE state IN ({', '.join('?' * len(wanted))})",
            tuple(str(state) for state in wanted),
        )
        return sorted(map(_above, rows), key=lambda bar: (bar.symbol, bar.interval, bar.start))

    def forget_above(self, before: int) -> None:
        """Forget bars that were made and ended before a moment, ns."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM bars_above WHERE state = 'done' AND end < ?", (before,))

    def log_place(self, writer: str) -> int:
        """Up to which row a writer's log of revisions was looked through; 0 before the first."""
        rows = self.read("SELECT seq FROM healer_log WHERE writer = ?", (writer,))
        return int(rows[0][0]) if rows else 0

    def move_log_place(self, writer: str, seq: int) -> None:
        """Note that a writer's log was looked through up to a row."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO healer_log VALUES(?, ?)", (writer, seq))


def _key(bar: Above) -> tuple[str, str, str, int]:
    return *bar.symbol, NAMES[bar.interval], bar.start


def _row(bar: Above) -> tuple[Any, ...]:
    return *_key(bar), bar.end, str(bar.state), bar.why


def _above(row: tuple[Any, ...]) -> Above:
    exchange, ticker, interval, start, end, state, why = row
    return Above(Symbol(exchange, ticker), parse_interval(interval), start, end, AboveState(state), why)
