"""The book of corporate actions: splits and dividends by symbol, as each source told them."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, ClassVar, NamedTuple

from market.actions import Action, ActionKind
from market.symbols import Symbol
from sinks.history_book import HistoryBook

FILE_SOURCE = "file"
"""What a user imported: it stands above what any provider says."""


class Noted(NamedTuple):
    """What a writing did."""

    new: int
    changed: int
    unchanged: int


class ActionsBook(HistoryBook):
    """One action a (symbol, date, kind): the last teller's word, but a user's import stands above any provider's."""

    TABLES: ClassVar[str] = """
CREATE TABLE IF NOT EXISTS corporate_actions(
  exchange TEXT NOT NULL, ticker TEXT NOT NULL, date TEXT NOT NULL, kind TEXT NOT NULL, value REAL NOT NULL,
  currency TEXT NOT NULL, source TEXT NOT NULL, noted_at INTEGER NOT NULL,
  PRIMARY KEY(exchange, ticker, date, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS action_fetches(
  exchange TEXT NOT NULL, ticker TEXT NOT NULL, source TEXT NOT NULL, fetched_at INTEGER NOT NULL,
  PRIMARY KEY(exchange, ticker)) WITHOUT ROWID;
"""

    def note(self, actions: Iterable[Action], noted_at: int, *, asked: Mapping[Symbol, str] | None = None) -> Noted:
        """Write actions down, all or none.

        Args:
            actions: Of any symbols.
            noted_at: ns.
            asked: Symbols of which somebody (the provider, or `file`) has now told all: one without any action then is
                known to have none.
        """
        new = changed = unchanged = 0
        with self.transaction(durable=True) as connection:
            for one in actions:
                key = (*one.symbol, one.date.isoformat(), str(one.kind))
                held = connection.execute(
                    "SELECT value, source FROM corporate_actions"
                    " WHERE exchange = ? AND ticker = ? AND date = ? AND kind = ?",
                    key,
                ).fetchone()
                if held is None:
                    new += 1
                elif held[0] == one.value or (held[1] == FILE_SOURCE and one.source != FILE_SOURCE):
                    unchanged += 1
                    continue
                else:
                    changed += 1
                connection.execute(
                    "INSERT OR REPLACE INTO corporate_actions VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                    (*key, one.value, one.currency, one.source, noted_at),
                )
            connection.executemany(
                "INSERT OR REPLACE INTO action_fetches VALUES(?, ?, ?, ?)",
                ((*symbol, source, noted_at) for symbol, source in (asked or {}).items()),
            )
        return Noted(new, changed, unchanged)

    def asked(self) -> dict[Symbol, tuple[str, int]]:
        """Who was last asked of each symbol, and when (ns)."""
        rows = self.read("SELECT exchange, ticker, source, fetched_at FROM action_fetches")
        return {Symbol(exchange, ticker): (source, at) for exchange, ticker, source, at in rows}

    def actions(self, symbol: Symbol | None = None) -> list[Action]:
        """Actions by symbol and date; of one symbol only if it is given."""
        where, values = ("WHERE exchange = ? AND ticker = ?", tuple(symbol)) if symbol is not None else ("", ())
        rows = self.read(
            "SELECT exchange, ticker, date, kind, value, currency, source FROM corporate_actions"
            f" {where} ORDER BY exchange, ticker, date, kind",
            values,
        )
        return [_action(row) for row in rows]

    def remove(self, symbol: Symbol, day: date, kind: ActionKind) -> bool:
        """Take an action out; says whether there was one."""
        with self.transaction(durable=True) as connection:
            return bool(
                connection.execute(
                    "DELETE FROM corporate_actions WHERE exchange = ? AND ticker = ? AND date = ? AND kind = ?",
                    (*symbol, day.isoformat(), str(kind)),
                ).rowcount
            )


def _action(row: tuple[Any, ...]) -> Action:
    exchange, ticker, day, kind, value, currency, source = row
    return Action(Symbol(exchange, ticker), date.fromisoformat(day), ActionKind(kind), value, currency, source)
