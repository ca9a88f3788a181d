"""Which symbols the desk follows, and on which feed."""

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from market.symbols import Symbol
from sinks.ledger_file import LedgerFile


class Subscription(NamedTuple):
    """One symbol on one feed, as a user asked for it."""

    symbol: Symbol
    feed: str
    since: int
    """ns, when it was first asked for, or asked for again after it had been dropped."""
    active: bool
    """False once dropped."""
    designated: bool
    """Whether this feed makes the symbol's bars: one active feed of a symbol at a time."""


class Subscriptions(LedgerFile):
    """Kept over restarts; other processes see a change by `changed()`. One row a symbol and feed ever subscribed."""

    def subscribe(self, symbol: Symbol, feed: str, since: int, *, designated: bool | None = None) -> Subscription:
        """Follow a symbol on a feed; one that is followed already stays as it is.

        Args:
            symbol: The instrument.
            feed: Its feed.
            since: ns now.
            designated: Whether the feed makes its bars from now on, in place of another; unless told, it does where no
                other active feed does.
        """
        self.subscribe_all({symbol: feed}, since, designated=designated)
        return next(one for one in self.subscriptions() if one.symbol == symbol and one.feed == feed)

    def subscribe_all(self, feeds: Mapping[Symbol, str], since: int, *, designated: bool | None = None) -> None:
        """Follow many symbols, in one transaction: all of them, or none.

        Args:
            feeds: The feed of each symbol.
            since: As for `subscribe`.
            designated: Likewise.
        """
        with self.transaction(durable=True) as connection:
            for symbol, feed in feeds.items():
                _follow(connection, symbol, feed, since, designated)

    def unsubscribe(self, symbol: Symbol, feed: str | None = None) -> int:
        """Follow a symbol no longer, on one feed or on all; returns how many were active.

        Where the feed that made the bars is dropped, the oldest other active one makes them.
        """
        with self.transaction(durable=True) as connection:
            dropped = connection.execute(
                "UPDATE subscriptions SET active = 0, designated = 0"
                " WHERE exchange = ? AND ticker = ? AND feed = coalesce(?, feed) AND active",
                (*symbol, feed),
            ).rowcount
            connection.execute(
                "UPDATE subscriptions SET designated = 1 WHERE (exchange, ticker, feed) IN ("
                " SELECT exchange, ticker, feed FROM subscriptions WHERE exchange = ?1 AND ticker = ?2 AND active"
                " AND NOT EXISTS (SELECT 1 FROM subscriptions"
                "  WHERE exchange = ?1 AND ticker = ?2 AND active AND designated)"
                " ORDER BY since, feed LIMIT 1)",
                tuple(symbol),
            )
        return int(dropped)

    def subscriptions(self, *, active: bool | None = True) -> list[Subscription]:
        """Subscriptions by symbol and feed; dropped ones (`active=False`) or all (None) if asked for."""
        rows = self.read(
            "SELECT exchange, ticker, feed, since, active, designated FROM subscriptions"
            " WHERE active = coalesce(?, active) ORDER BY exchange, ticker, feed",
            (None if active is None else int(active),),
        )
        return [
            Subscription(Symbol(exchange, ticker), feed, since, bool(is_active), bool(designated))
            for exchange, ticker, feed, since, is_active, designated in rows
        ]


def _follow(connection: sqlite3.Connection, symbol: Symbol, feed: str, since: int, designated: bool | None) -> None:
    held = connection.execute(
        "SELECT feed, active, designated FROM subscriptions WHERE exchange = ? AND ticker = ?", symbol
    ).fetchall()
    if designated is None:
        makers = {other for other, active, makes_bars in held if active and makes_bars}
        designated = makers <= {feed}
    if designated:
        connection.execute(
            "UPDATE subscriptions SET designated = 0 WHERE exchange = ? AND ticker = ? AND designated", symbol
        )
    connection.execute(
        "INSERT INTO subscriptions VALUES(?, ?, ?, ?, 1, ?) ON CONFLICT(exchange, ticker, feed) DO UPDATE SET"
        " since = CASE WHEN active THEN since ELSE excluded.since END, active = 1,"
        " designated = excluded.designated",
        (*symbol, feed, since, int(designated)),
    )
