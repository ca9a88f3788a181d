"""The ledger of calls: what was asked of each provider, kept over restarts and shared by all processes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from sinks.history_book import HistoryBook

if TYPE_CHECKING:
    import sqlite3

DAY_S: Final = 86_400
_SECOND_NS: Final = 10**9
_DAY_NS: Final = DAY_S * _SECOND_NS
_DAYS_KEPT: Final = 400
_AHEAD_NS: Final = 300 * _SECOND_NS
"""Calls noted so far ahead of the clock were made under a clock that was wrong."""


class Call(NamedTuple):
    """One call, or what a provider counted beyond ours."""

    at_ns: int
    weight: int


class Day(NamedTuple):
    """One provider's calls of one UTC day."""

    provider: str
    day: int
    """Days since 1970."""
    weight: int
    calls: int


class Block(NamedTuple):
    """A provider said itself that it takes no calls for a while."""

    provider: str
    until_ns: int
    text: str
    """Its words."""


class Account:
    """One provider's calls, for the length of a transaction: read them, then add one."""

    def __init__(self, connection: "sqlite3.Connection", provider: str, now_ns: int, recent_ns: int) -> None:
        self._connection = connection
        self._provider = provider
        self._now_ns = now_ns
        self._since_ns = now_ns - recent_ns
        connection.execute(
            "DELETE FROM quota_calls WHERE provider = ? AND (at <= ? OR at > ?)",
            (provider, self._since_ns, now_ns + _AHEAD_NS),
        )

    def recent(self) -> list[Call]:
        """Calls of the last `recent_ns`, oldest first."""
        rows = self._connection.execute(
            "SELECT at, weight FROM quota_calls WHERE provider = ? ORDER BY at", (self._provider,)
        )
        return [Call(*row) for row in rows]

    def days(self, count: int) -> list[tuple[int, int]]:
        """Days since 1970 and the weight spent on each, of today and so many days before."""
        rows = self._connection.execute(
            "SELECT day, weight FROM quota_days WHERE provider = ? AND day >= ? ORDER BY day",
            (self._provider, self._now_ns // _DAY_NS - count),
        )
        return [(day, weight) for day, weight in rows]

    def add(self, weight: int) -> None:
        """Note a call made now."""
        self._connection.execute("INSERT INTO quota_calls VALUES(?, ?, ?)", (self._provider, self._now_ns, weight))
        self._connection.execute(
            "INSERT INTO quota_days VALUES(?, ?, ?, 1) ON CONFLICT(provider, day) DO UPDATE SET"
            " weight = weight + excluded.weight, calls = calls + 1",
            (self._provider, self._now_ns // _DAY_NS, weight),
        )

    def correct(self, since_ns: int, weight: int) -> None:
        """The provider has counted this weight since a moment: note what it has more than we have."""
        ours = self._connection.execute(
            "SELECT ifnull(sum(weight), 0) FROM quota_calls WHERE provider = ? AND at >= ?", (self._provider, since_ns)
        ).fetchone()[0]
        if weight > ours and since_ns > self._since_ns:
            self._connection.execute(
                "INSERT INTO quota_calls VALUES(?, ?, ?)", (self._provider, since_ns, weight - ours)
            )


class QuotaBook(HistoryBook):
    """Calls within the longest window that rolls, and the sums of the UTC days of the last 400.

    Several processes that ask at once are answered one after the other, so that no limit is passed by two together.
    """

    TABLES: ClassVar[str] = """
CREATE TABLE IF NOT EXISTS quota_calls(provider TEXT NOT NULL, at INTEGER NOT NULL, weight INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS quota_calls_by_time ON quota_calls(provider, at);
CREATE TABLE IF NOT EXISTS quota_days(
  provider TEXT NOT NULL, day INTEGER NOT NULL, weight INTEGER NOT NULL, calls INTEGER NOT NULL,
  PRIMARY KEY(provider, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quota_blocks(
  provider TEXT PRIMARY KEY, until INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
"""

    @contextmanager
    def account(self, provider: str, now_ns: int, recent_ns: int) -> Iterator[Account]:
        """One provider's calls, read and written as one act.

        Args:
            provider: Its name.
            now_ns: ns.
            recent_ns: How long single calls matter: the longest window that rolls, ns. Older ones are forgotten.
        """
        with self.transaction() as connection:
            yield Account(connection, provider, now_ns, recent_ns)

    def block(self, provider: str, until_ns: int, text: str) -> None:
        """Call it no more until a moment; a later one stands."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO quota_blocks VALUES(?, ?, ?) ON CONFLICT(provider) DO UPDATE SET"
                " until = excluded.until, text = excluded.text WHERE excluded.until > until",
                (provider, until_ns, text),
            )

    def blocks(self, now_ns: int) -> dict[str, Block]:
        """Blocks that last, by provider."""
        rows = self.read("SELECT provider, until, text FROM quota_blocks WHERE until > ?", (now_ns,))
        return {row[0]: Block(*row) for row in rows}

    def recent(self, provider: str, since_ns: int) -> list[Call]:
        """Calls noted after a moment, oldest first."""
        rows = self.read(
            "SELECT at, weight FROM quota_calls WHERE provider = ? AND at > ? ORDER BY at", (provider, since_ns)
        )
        return [Call(*row) for row in rows]

    def days(self, since_ns: int, provider: str | None = None) -> list[Day]:
        """Sums by UTC day, from the day that holds a moment on."""
        sql = "SELECT provider, day, weight, calls FROM quota_days WHERE day >= ?"
        rows = (
            self.read(f"{sql} ORDER BY provider, day", (since_ns // _DAY_NS,))
            if provider is None
            else self.read(f"{sql} AND provider = ? ORDER BY day", (since_ns // _DAY_NS, provider))
        )
        return [Day(*row) for row in rows]

    def forget(self, now_ns: int) -> None:
        """Let go of days older than 400."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM quota_days WHERE day < ?", (now_ns // _DAY_NS - _DAYS_KEPT,))
