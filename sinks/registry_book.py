"""The registry of symbols: what a desk knows of an instrument beside its data, and the user's lists of them."""

import json
from collections.abc import Iterable
from typing import Any, ClassVar, Final, NamedTuple

from market.symbols import Symbol
from sinks.history_book import HistoryBook

ASSET_CLASSES: Final = ("crypto", "stock", "fx", "future", "index", "other")


class Instrument(NamedTuple):
    """One registered symbol."""

    symbol: Symbol
    name: str = ""
    """`Apple Inc.`"""
    description: str = ""
    asset_class: str = ""
    """One of `ASSET_CLASSES`; empty: by its exchange."""
    tick_size: float | None = None
    """The price step, quote currency, > 0; None where it is not known."""
    live: str = ""
    """Feed of its live data; empty: its exchange's own."""
    history: tuple[str, ...] = ()
    """Providers of its history, in order; empty: by its asset class."""
    added_at: int = 0
    """ns."""


class RegistryBook(HistoryBook):
    """Instruments by symbol, and universes: named lists of symbols. Bounded by what the user adds."""

    TABLES: ClassVar[str] = """
CREATE TABLE IF NOT EXISTS instruments(
  exchange TEXT NOT NULL, ticker TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
  asset_class TEXT NOT NULL, tick_size REAL, live TEXT NOT NULL, history TEXT NOT NULL, added_at INTEGER NOT NULL,
  PRIMARY KEY(exchange, ticker)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS universes(
  name TEXT NOT NULL, exchange TEXT NOT NULL, ticker TEXT NOT NULL,
  PRIMARY KEY(name, exchange, ticker)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS removals(
  exchange TEXT NOT NULL, ticker TEXT NOT NULL, removed_at INTEGER NOT NULL,
  PRIMARY KEY(exchange, ticker)) WITHOUT ROWID;
"""

    def put(self, instruments: Iterable[Instrument]) -> None:
        """Add instruments, or write them over; the time at which one was first added stays. All or none."""
        with self.transaction(durable=True) as connection:
            connection.executemany(
                "INSERT INTO instruments VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(exchange, ticker) DO UPDATE SET"
                " name = excluded.name, description = excluded.description, asset_class = excluded.asset_class,"
                " tick_size = excluded.tick_size, live = excluded.live, history = excluded.history",
                ((*one.symbol, *one[1:6], json.dumps(one.history), one.added_at) for one in instruments),
            )

    def get(self, symbol: Symbol) -> Instrument | None:
        """One instrument, None if it is not registered."""
        rows = self.read("SELECT * FROM instruments WHERE exchange = ? AND ticker = ?", symbol)
        return _instrument(rows[0]) if rows else None

    def instruments(self, universe: str | None = None) -> list[Instrument]:
        """All, or those of one universe, by symbol."""
        if universe is None:
            return [_instrument(row) for row in self.read("SELECT * FROM instruments ORDER BY exchange, ticker")]
        rows = self.read(
            "SELECT i.* FROM instruments i JOIN universes u USING(exchange, ticker) WHERE u.name = ?"
            " ORDER BY exchange, ticker",
            (universe,),
        )
        return [_instrument(row) for row in rows]

    def remove(self, symbol: Symbol) -> bool:
        """Take a symbol out of the registry and of every universe; says whether it was in it."""
        with self.transaction(durable=True) as connection:
            connection.execute("DELETE FROM universes WHERE exchange = ? AND ticker = ?", symbol)
            return bool(
                connection.execute("DELETE FROM instruments WHERE exchange = ? AND ticker = ?", symbol).rowcount
            )

    def note_removal(self, symbol: Symbol, now: int) -> None:
        """Note that the bars of a symbol are removed, ns: that they are absent is no fault of the store."""
        with self.transaction(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO removals VALUES(?, ?, ?)", (*symbol, now))

    def removals(self) -> dict[Symbol, int]:
        """When the bars of a symbol were removed last, ns."""
        rows = self.read("SELECT exchange, ticker, removed_at FROM removals")
        return {Symbol(exchange, ticker): removed_at for exchange, ticker, removed_at in rows}

    def set_universe(self, name: str, instruments: Iterable[Instrument]) -> None:
        """Make a universe hold these and no others, and register those that are not yet. All or none."""
        found = list(instruments)
        with self.transaction(durable=True) as connection:
            connection.executemany(
                "INSERT INTO instruments VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(exchange, ticker) DO UPDATE SET"
                " name = iif(excluded.name = '', name, excluded.name),"
                " description = iif(excluded.description = '', description, excluded.description),"
                " asset_class = iif(excluded.asset_class = '', asset_class, excluded.asset_class),"
                " tick_size = ifnull(excluded.tick_size, tick_size)",
                ((*one.symbol, *one[1:6], json.dumps(one.history), one.added_at) for one in found),
            )
            connection.execute("DELETE FROM universes WHERE name = ?", (name,))
            connection.executemany("INSERT INTO universes VALUES(?, ?, ?)", ((name, *one.symbol) for one in found))

    def drop_universe(self, name: str) -> bool:
        """Forget a universe, not its symbols; says whether there was one."""
        with self.transaction(durable=True) as connection:
            return bool(connection.execute("DELETE FROM universes WHERE name = ?", (name,)).rowcount)

    def universes(self) -> list[tuple[str, int]]:
        """Names of the universes, and how many symbols each holds."""
        return [(name, count) for name, count in self.read("SELECT name, count(*) FROM universes GROUP BY name")]


def _instrument(row: tuple[Any, ...]) -> Instrument:
    exchange, ticker, name, description, asset_class, tick_size, live, history, added_at = row
    return Instrument(
        Symbol(exchange, ticker), name, description, asset_class, tick_size, live, tuple(json.loads(history)), added_at
    )
