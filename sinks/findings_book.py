"""What was found not to agree: two values of one figure of one bar, and who said which."""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

from market.intervals import Interval
from market.symbols import Symbol
from sinks.history_book import HistoryBook


class Finding(NamedTuple):
    """One figure of one bar on which two providers differ."""

    symbol: Symbol
    interval: Interval
    start: int
    """Of the bar, ns."""
    field: str
    """`open`, `high`, `low` or `close`."""
    first: str
    """Provider."""
    first_value: float
    second: str
    second_value: float
    percent: float
    """How far the second is from the first, in percent of the first, > 0."""
    noticed_at: int
    """ns, when it was first found."""


class FindingsBook(HistoryBook):
    """Findings by bar, figure and pair of providers: what is found again keeps its place and gets its new values."""

    TABLES: ClassVar[str] = """
CREATE TABLE IF NOT EXISTS findings(
  exchange TEXT NOT NULL, ticker TEXT NOT NULL, interval INTEGER NOT NULL, start INTEGER NOT NULL,
  field TEXT NOT NULL, first TEXT NOT NULL, first_value REAL NOT NULL, second TEXT NOT NULL,
  second_value REAL NOT NULL, percent REAL NOT NULL, noticed_at INTEGER NOT NULL,
  PRIMARY KEY(exchange, ticker, interval, start, field, first, second)) WITHOUT ROWID;
"""

    def note(self, findings: Iterable[Finding]) -> None:
        """Keep findings, all or none."""
        with self.transaction() as connection:
            connection.executemany(
                "INSERT INTO findings VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT(exchange, ticker, interval, start, field, first, second) DO UPDATE SET"
                " first_value = excluded.first_value, second_value = excluded.second_value, percent = excluded.percent",
                ((*one.symbol, int(one.interval), *one[2:]) for one in findings),
            )

    def findings(self, symbol: Symbol | None = None, limit: int | None = None) -> list[Finding]:
        """What was found, the newest bars first."""
        where, values = ("", ()) if symbol is None else ("WHERE exchange = ? AND ticker = ?", tuple(symbol))
        rows = self.read(
            f"SELECT * FROM findings {where} ORDER BY start DESC, exchange, ticker, interval, field LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        return [Finding(Symbol(row[0], row[1]), Interval(row[2]), *row[3:]) for row in rows]
