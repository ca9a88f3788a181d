"""The book of runs: what was run on what, what came of it, and its trades."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from sinks.history_book import HistoryBook


class Noted(NamedTuple):
    """One run."""

    run: str
    """Its id, which is made of all that it depends on: the same run again is the same row."""
    kind: str
    """`backtest`, `nightly`, `sweep`, `walk-forward`."""
    made_at: int
    """ns; of the last time."""
    strategy: str
    source_hash: str
    parameters: Mapping[str, Any]
    symbols: Sequence[str]
    interval: str
    begin: int
    """Start of the first bar, ns."""
    end: int
    """End of the last, ns."""
    folder: str
    """Where its files are; empty if they were not written."""
    metrics: Mapping[str, Any]
    manifest: Mapping[str, Any]


Trade = Sequence[Any]
"""Values in the order of the columns of `run_trades` after its number."""

_COLUMNS = (
    "run, kind, made_at, strategy, source_hash, parameters, symbols, interval, begin, end, folder, metrics, manifest"
)


class RunBook(HistoryBook):
    """Runs and their trades. A run that is made again takes the place of itself, its trades included."""

    TABLES: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS runs(
      run TEXT PRIMARY KEY, kind TEXT NOT NULL, made_at INTEGER NOT NULL, strategy TEXT NOT NULL,
      source_hash TEXT NOT NULL, parameters TEXT NOT NULL, symbols TEXT NOT NULL, interval TEXT NOT NULL,
      begin INTEGER NOT NULL, end INTEGER NOT NULL, folder TEXT NOT NULL, metrics TEXT NOT NULL,
      manifest TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS runs_by_time ON runs(made_at);
    CREATE TABLE IF NOT EXISTS trades(
      run TEXT NOT NULL, number INTEGER NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, size REAL NOT NULL,
      entry_time INTEGER NOT NULL, exit_time INTEGER NOT NULL, entry_price REAL NOT NULL, exit_price REAL NOT NULL,
      pnl REAL NOT NULL, return REAL NOT NULL, fees REAL NOT NULL, entry_reason TEXT NOT NULL,
      exit_reason TEXT NOT NULL, PRIMARY KEY(run, number)) WITHOUT ROWID;
    """

    def note(self, noted: Noted, trades: Iterable[Trade]) -> None:
        """Write a run down with its trades, or in place of what was held of it."""
        run = noted.run
        words = [json.dumps(value) if isinstance(value, Mapping | list | tuple) else value for value in noted]
        with self.transaction(durable=True) as connection:
            connection.execute("DELETE FROM trades WHERE run = ?", (run,))
            connection.execute(f"INSERT OR REPLACE INTO runs VALUES({', '.join('?' * len(words))})", words)
            rows = ((run, number, *trade) for number, trade in enumerate(trades, 1))
            connection.executemany(f"INSERT INTO trades VALUES({', '.join('?' * 14)})", rows)

    def runs(self, limit: int | None = None) -> list[Noted]:
        """Runs, the newest first."""
        rows = self.read(
            f"SELECT {_COLUMNS} FROM runs ORDER BY made_at DESC, run LIMIT ?", (-1 if limit is None else limit,)
        )
        return [_noted(row) for row in rows]

    def find(self, begins: str) -> list[Noted]:
        """Runs whose id begins so, the newest first."""
        rows = self.read(
            f"SELECT {_COLUMNS} FROM runs WHERE substr(run, 1, ?) = ? ORDER BY made_at DESC", (len(begins), begins)
        )
        return [_noted(row) for row in rows]

    def forget(self, kind: str, under: str) -> int:
        """Take away the runs of a kind whose files are in a folder, with their trades; how many there were."""
        which = "kind = ? AND substr(folder, 1, ?) = ?"
        values = (kind, len(under) + 1, f"{under}/")
        with self.transaction(durable=True) as connection:
            connection.execute(f"DELETE FROM trades WHERE run IN (SELECT run FROM runs WHERE {which})", values)
            return connection.execute(f"DELETE FROM runs WHERE {which}", values).rowcount

    def trades(self, run: str) -> list[tuple[Any, ...]]:
        """A run's trades in their order, after its number."""
        rows = self.read("SELECT * FROM trades WHERE run = ? ORDER BY number", (run,))
        return [tuple(row[2:]) for row in rows]


def _noted(row: Sequence[Any]) -> Noted:
    run, kind, made_at, strategy, source_hash, parameters, symbols, *rest = row
    interval, begin, end, folder, metrics, manifest = rest
    return Noted(
        run, kind, made_at, strategy, source_hash, json.loads(parameters), tuple(json.loads(symbols)), interval, begin,
        end, folder, json.loads(metrics), json.loads(manifest),
    )  # fmt: skip
