"""The book of session reports: what was received of each exchange's day, what was lost, and what was healed."""

import json
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from market.symbols import Symbol
from sinks.history_book import HistoryBook


class SymbolSession(NamedTuple):
    """One symbol's session."""

    symbol: Symbol
    expected: int
    """Minutes in which it could trade."""
    live: int
    """Minute bars that were made live."""
    partial: int
    """Of these, those across a gap."""
    trades: int
    """Trades in them, as far as their feed says."""
    held: int
    """Minute bars that the store has now; the other minutes were quiet, or are lacking."""
    gaps: int
    """Gaps of the ledger that touch the session."""
    lost_s: float
    """Seconds of the session that lie in a gap."""
    healed_s: float
    """Of these, those in a gap that is healed."""
    unfillable_s: float
    """Of these, those that nobody has; the rest is still open."""
    synced: int
    """Official bars that came with the sync of the day: its minutes and the day itself."""
    error: str = ""
    """Why the sync failed; empty where it did not."""


class SessionReport(NamedTuple):
    """One exchange's session."""

    exchange: str
    start: int
    """ns; first open of the day."""
    end: int
    """ns; last close of the day."""
    made_at: int
    """ns."""
    symbols: Sequence[SymbolSession]
    """By name."""


class SessionBook(HistoryBook):
    """One row a session of an exchange; a report made again takes the place of the one before."""

    TABLES: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS session_reports(
      exchange TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, made_at INTEGER NOT NULL,
      symbols TEXT NOT NULL, PRIMARY KEY(exchange, start)) WITHOUT ROWID;
    """

    def note(self, report: SessionReport) -> None:
        """Keep a report."""
        told = json.dumps([[*one.symbol, *one[1:]] for one in report.symbols])
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO session_reports VALUES(?, ?, ?, ?, ?)", (*report[:4], told))

    def has(self, exchange: str, start: int) -> bool:
        """Whether there is a report of the session that starts at a moment, ns."""
        return bool(self.read("SELECT 1 FROM session_reports WHERE exchange = ? AND start = ?", (exchange, start)))

    def reports(self, exchange: str | None = None, limit: int | None = None) -> list[SessionReport]:
        """Reports, the newest session first."""
        rows = self.read(
            "SELECT exchange, start, end, made_at, symbols FROM session_reports WHERE exchange = coalesce(?, exchange)"
            " ORDER BY end DESC, exchange LIMIT ?",
            (exchange, -1 if limit is None else limit),
        )
        return [
            SessionReport(
                name,
                start,
                end,
                made_at,
                tuple(SymbolSession(Symbol(where, ticker), *rest) for where, ticker, *rest in json.loads(told)),
            )
            for name, start, end, made_at, told in rows
        ]
