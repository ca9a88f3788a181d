"""The gap ledger: spans in which ticks of a symbol are or may be missing, and what became of them."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple

from market.symbols import Symbol
from sinks.ledger_file import LedgerFile


class GapState(StrEnum):
    """What became of a gap."""

    OPEN = "open"
    HEALED = "healed"
    UNFILLABLE = "unfillable"


class Gap(NamedTuple):
    """One span of one symbol."""

    id: int
    symbol: Symbol
    start: int
    """ns; first moment that may lack ticks."""
    end: int | None
    """ns, the first moment after; None while it lasts."""
    reason: str
    """`down`, `away` (ingest was not running), `trade_ids`, `late`, `partial` (by a bar's own word), ...: a word of
    whoever noticed it."""
    state: GapState
    healed_by: str | None
    """Provider or feed that filled it."""
    noticed_at: int
    """ns, by the clock of the journal."""
    feed: str
    """Feed that lacked the ticks; empty where that is not known."""


_COLUMNS = "id, exchange, ticker, start, end, reason, state, healed_by, noticed_at, feed"

# The unique key keeps the first noting; a later one can only push the end on, never reopen a gap.
_NOTE = (
    "INSERT INTO gaps(exchange, ticker, start, end, reason, state, healed_by, noticed_at, feed)"
    " VALUES(?, ?, ?, ?, ?, 'open', NULL, ?, ?)"
    " ON CONFLICT(exchange, ticker, start, reason) DO UPDATE SET end = excluded.end"
    " WHERE excluded.end IS NOT NULL AND (end IS NULL OR end < excluded.end)"
)


class NewGap(NamedTuple):
    """A span to be noted that is over."""

    symbol: Symbol
    start: int
    """ns; first moment that may lack ticks."""
    end: int
    """ns, the first moment after."""
    reason: str
    noticed_at: int
    """ns."""
    feed: str


class Gaps(LedgerFile):
    """A gap is known by (symbol, start, reason): to note it again changes nothing but an end that had been earlier.

    Unbounded: one row an outage, a loss or a minute that got late ticks.
    """

    def open_gap(self, symbol: Symbol, start: int, reason: str, noticed_at: int, feed: str = "") -> int:
        """Note a gap that lasts; returns its id."""
        return self._note(symbol, start, None, reason, noticed_at, feed)

    def note_gap(self, symbol: Symbol, start: int, end: int, reason: str, noticed_at: int, feed: str = "") -> int:
        """Note a gap that is over; returns its id."""
        return self._note(symbol, start, end, reason, noticed_at, feed)

    def note_gaps(self, gaps: Iterable[NewGap]) -> None:
        """Note many that are over, in one transaction."""
        with self.transaction() as connection:
            connection.executemany(_NOTE, ((*gap.symbol, *gap[1:]) for gap in gaps))

    def end_gap(self, symbol: Symbol, start: int, reason: str, end: int) -> bool:
        """End a gap that lasts; says whether there was one."""
        with self.transaction() as connection:
            return bool(
                connection.execute(
                    "UPDATE gaps SET end = ? WHERE exchange = ? AND ticker = ? AND start = ? AND reason = ?"
                    " AND end IS NULL",
                    (end, *symbol, start, reason),
                ).rowcount
            )

    def settle_gap(self, number: int, state: GapState, healed_by: str | None = None) -> bool:
        """Say what became of a gap; says whether there is one of that id."""
        with self.transaction() as connection:
            return bool(
                connection.execute(
                    "UPDATE gaps SET state = ?, healed_by = ? WHERE id = ?", (str(state), healed_by, number)
                ).rowcount
            )

    def gaps(self, symbol: Symbol | None = None, *, state: GapState | None = None, lasting: bool = False) -> list[Gap]:
        """Gaps by start.

        Args:
            symbol: Of this one only.
            state: In this state only.
            lasting: Those without an end only.
        """
        rules, values = ["1"], list[object]()
        if symbol is not None:
            rules.append("exchange = ? AND ticker = ?")
            values += symbol
        if state is not None:
            rules.append("state = ?")
            values.append(str(state))
        if lasting:
            rules.append("end IS NULL")
        rows = self.read(f"SELECT {_COLUMNS} FROM gaps WHERE {' AND '.join(rules)} ORDER BY start, id", tuple(values))
        return [_gap(row) for row in rows]

    def _note(self, symbol: Symbol, start: int, end: int | None, reason: str, noticed_at: int, feed: str) -> int:
        with self.transaction() as connection:
            connection.execute(_NOTE, (*symbol, start, end, reason, noticed_at, feed))
            found: int = connection.execute(
                "SELECT id FROM gaps WHERE exchange = ? AND ticker = ? AND start = ? AND reason = ?",
                (*symbol, start, reason),
            ).fetchone()[0]
            return found


def _gap(row: tuple[Any, ...]) -> Gap:
    number, exchange, ticker, start, end, reason, state, *rest = row
    return Gap(number, Symbol(exchange, ticker), start, end, reason, GapState(state), *rest)
