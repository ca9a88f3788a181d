"""What a user should hear of: events of the desk, and prices to watch for."""

import sqlite3
from typing import Final, Literal, NamedTuple

from market.errors import DeskError
from market.symbols import Symbol
from sinks.ledger_file import LedgerFile

EVENTS_KEPT: Final = 10_000

Level = Literal["info", "warning", "error"]
Side = Literal["above", "below"]


class Event(NamedTuple):
    """Something that happened to the desk."""

    time: int
    """ns UTC."""
    level: Level
    name: str
    """`feed_stale`, `clock_skew`, `disk_low`, `store_away`, `restart_loop`, `price_alert`, ..."""
    process: str
    text: str
    """One sentence."""
    feed: str | None = None
    symbol: str | None = None
    id: int = 0
    """Rises with each event; 0 before it is noted."""


class PriceAlert(NamedTuple):
    """A price that a user waits for."""

    id: int
    symbol: Symbol
    side: Side
    """Whether it fires at or above the price, or at or below it."""
    price: float
    armed: bool
    """False once it has fired."""
    made_at: int
    """ns."""
    fired_at: int | None
    """ns; None until it fires."""


class Alerts(LedgerFile):
    """Keeps the newest 10,000 events, and every price alert until it is removed."""

    def note_event(self, event: Event) -> int:
        """Note an event; returns its id."""
        with self.transaction() as connection:
            return _insert(connection, event)

    def events(self, limit: int | None = None, *, after: int = 0) -> list[Event]:
        """The newest events, newest first.

        Args:
            limit: At most so many.
            after: Of a higher id only.
        """
        rows = self.read(
            "SELECT time, level, name, process, text, feed, symbol, id FROM events WHERE id > ?"
            " ORDER BY id DESC LIMIT ?",
            (after, -1 if limit is None else limit),
        )
        return [Event._make(row) for row in rows]

    def set_price_alert(self, symbol: Symbol, side: Side, price: float, made_at: int) -> int:
        """Wait for a price; returns the alert's id. The same one again, while it is armed, is the same alert.

        Raises:
            DeskError: The side is neither `above` nor `below`.
        """
        if side not in {"above", "below"}:
            msg = f"alert of {symbol} is {side!r} a price, which is neither above nor below"
            raise DeskError(msg)
        with self.transaction(durable=True) as connection:
            known = connection.execute(
                "SELECT id FROM price_alerts WHERE exchange = ? AND ticker = ? AND side = ? AND price = ? AND armed",
                (*symbol, side, price),
            ).fetchone()
            if known:
                return int(known[0])
            number = connection.execute(
                "INSERT INTO price_alerts(exchange, ticker, side, price, armed, made_at) VALUES(?, ?, ?, ?, 1, ?)",
                (*symbol, side, price, made_at),
            ).lastrowid
            assert number is not None, "an insert has a row id"
            return number

    def fire_price_alert(self, number: int, event: Event) -> bool:
        """Disarm an alert whose price has come and note the event of it, both or neither.

        Returns:
            Whether it was armed; else it has been told before, or was removed, and nothing is noted.
        """
        with self.transaction() as connection:
            armed = connection.execute(
                "UPDATE price_alerts SET armed = 0, fired_at = ? WHERE id = ? AND armed", (event.time, number)
            ).rowcount
            if armed:
                _insert(connection, event)
            return bool(armed)

    def remove_price_alert(self, number: int) -> bool:
        """Forget an alert; says whether there was one."""
        with self.transaction(durable=True) as connection:
            return bool(connection.execute("DELETE FROM price_alerts WHERE id = ?", (number,)).rowcount)

    def price_alerts(self, *, armed: bool = False) -> list[PriceAlert]:
        """Alerts by id; only those still waiting if `armed`."""
        rows = self.read(
            "SELECT id, exchange, ticker, side, price, armed, made_at, fired_at FROM price_alerts"
            " WHERE armed >= ? ORDER BY id",
            (int(armed),),
        )
        return [
            PriceAlert(number, Symbol(exchange, ticker), side, price, bool(is_armed), made_at, fired_at)
            for number, exchange, ticker, side, price, is_armed, made_at, fired_at in rows
        ]


def _insert(connection: sqlite3.Connection, event: Event) -> int:
    number = connection.execute(
        "INSERT INTO events(time, level, name, process, feed, symbol, text) VALUES(?, ?, ?, ?, ?, ?, ?)",
        (event.time, event.level, event.name, event.process, event.feed, event.symbol, event.text),
    ).lastrowid
    assert number is not None, "an insert has a row id"
    connection.execute("DELETE FROM events WHERE id <= ?", (number - EVENTS_KEPT,))
    return number
