"""The book of syncs: how the fetching of each series stands, and who has it in hand.

`pending -> syncing -> completed(n) | error(message)`, one row a symbol, interval and task. Work whose process has ended
without saying so is an error from the moment in which anyone looks: nothing is `syncing` for ever.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from market.errors import DeskError
from market.intervals import NAMES, Interval, parse_interval
from market.symbols import Symbol
from sinks.history_book import HistoryBook
from sinks.process_token import is_alive, pid_of

UNTAKEN_NS: Final = 24 * 3600 * 10**9
"""After this long a wish that no process took up is given up."""


class SyncState(StrEnum):
    """Where a sync stands."""

    PENDING = "pending"
    SYNCING = "syncing"
    COMPLETED = "completed"
    ERROR = "error"


class Task(StrEnum):
    """What kind of work it is."""

    SYNC = "sync"
    BACKFILL = "backfill"


class InHandError(DeskError):
    """Another process that runs has the work in hand."""


class Work(NamedTuple):
    """One piece of work that was begun; what is noted of it later counts only while no later one was begun."""

    task: Task
    symbol: Symbol
    interval: Interval
    run: int


class SyncStatus(NamedTuple):
    """How one task of one series stands."""

    task: Task
    symbol: Symbol
    interval: Interval
    state: SyncState
    provider: str | None
    """Who gave the bars, or was asked; None before that is known. Two of them are joined by `+`."""
    bars: int
    """Received by this run so far."""
    done: int
    """Parts (chunks of a backfill) that are behind it."""
    parts: int
    """Parts in all; 0 where it has none."""
    message: str | None
    """Why it failed."""
    asked_at: int
    """ns."""
    started_at: int | None
    """ns; None before it is begun."""
    ended_at: int | None
    """ns; None before it has ended."""
    completed_at: int | None
    """ns, when it was completed last, now or by an earlier run; None if never."""


_COLUMNS: Final = (
    "task, exchange, ticker, interval, state, provider, bars, done, parts, message,"
    " asked_at, started_at, ended_at, completed_at"
)
_KEY: Final = "task = ? AND exchange = ? AND ticker = ? AND interval = ?"
_ENDED: Final = "its process (pid {pid}) ended before it was done; start it again, and it goes on"
_UNTAKEN: Final = "it was asked for, and no process took it up within a day; ask again"


class SyncBook(HistoryBook):
    """Any number of processes may have it open. All times are ns UTC and come from the caller."""

    TABLES: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS syncs(
      task TEXT NOT NULL, exchange TEXT NOT NULL, ticker TEXT NOT NULL, interval TEXT NOT NULL, state TEXT NOT NULL,
      run INTEGER NOT NULL, owner TEXT, provider TEXT, bars INTEGER NOT NULL, done INTEGER NOT NULL,
      parts INTEGER NOT NULL, message TEXT, asked_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER,
      completed_at INTEGER, PRIMARY KEY(task, exchange, ticker, interval)) WITHOUT ROWID;
    """

    def __init__(self, path: Path, *, alive: Callable[[str], bool] = is_alive) -> None:
        """Open the book.

        Args:
            path: `history.sqlite` of a desk.
            alive: Whether the process of a token still runs.
        """
        super().__init__(path)
        self._alive = alive

    def ask(self, task: Task, symbols: Iterable[Symbol], interval: Interval, now: int, owner: str | None = None) -> int:
        """Note that work is wanted; what is pending or in hand already stays as it is.

        Args:
            task: What kind of work.
            symbols: Whose.
            interval: Of which bars.
            now: ns.
            owner: Token of the process that will do it; None leaves it to whichever comes.

        Returns:
            How many are pending that were not before.
        """
        asked = 0
        with self.transaction() as connection:
            for symbol in symbols:
                self._bury(connection, now, task, symbol, interval)
                asked += connection.execute(
                    "INSERT INTO syncs VALUES(?, ?, ?, ?, 'pending', 0, ?, NULL, 0, 0, 0, NULL, ?, NULL, NULL, NULL)"
                    " ON CONFLICT DO UPDATE SET state = 'pending', run = run + 1, owner = excluded.owner,"
                    " provider = NULL, bars = 0, done = 0, parts = 0, message = NULL, asked_at = excluded.asked_at,"
                    " started_at = NULL, ended_at = NULL WHERE state IN ('completed', 'error')",
                    (str(task), *symbol, NAMES[interval], owner, now),
                ).rowcount
                if owner is not None:
                    # A wish that nobody had taken up has now somebody, whose end would be noticed.
                    connection.execute(
                        f"UPDATE syncs SET owner = ? WHERE {_KEY} AND state = 'pending' AND owner IS NULL",
                        (owner, str(task), *symbol, NAMES[interval]),
                    )
        return asked

    def begin(
        self, task: Task, symbol: Symbol, interval: Interval, now: int, owner: str, *, alone: bool = False
    ) -> Work:
        """Take work in hand.

        Args:
            task: What kind of work.
            symbol: Whose.
            interval: Of which bars.
            now: ns.
            owner: Token of the process that does it.
            alone: Refuse it while another run of it goes on.

        Raises:
            InHandError: Another run goes on, and this one wants to be alone.
        """
        key = (str(task), *symbol, NAMES[interval])
        with self.transaction() as connection:
            self._bury(connection, now, task, symbol, interval)
            held = connection.execute(
                f"SELECT run, owner, asked_at FROM syncs WHERE {_KEY} AND state = 'syncing'", key
            ).fetchone()
            if alone and held is not None:
                msg = (
                    f"{task} of {symbol} {interval} goes on already in process {pid_of(held[1])}; "
                    "wait until that one is done, or end it"
                )
                raise InHandError(msg)
            connection.execute(
                "INSERT INTO syncs VALUES(?, ?, ?, ?, 'syncing', 1, ?, NULL, 0, 0, 0, NULL, ?, ?, NULL, NULL)"
                " ON CONFLICT DO UPDATE SET state = 'syncing', run = run + 1, owner = excluded.owner, provider = NULL,"
                " bars = 0, done = 0, parts = 0, message = NULL, started_at = excluded.started_at, ended_at = NULL,"
                " asked_at = CASE state WHEN 'pending' THEN asked_at ELSE excluded.asked_at END",
                (*key, owner, now, now),
            )
            run = connection.execute(f"SELECT run FROM syncs WHERE {_KEY}", key).fetchone()[0]
        return Work(task, symbol, interval, run)

    def advance(self, work: Work, bars: int, provider: str | None, done: int = 0, parts: int = 0) -> None:
        """Note how far work has come: bars received, and parts that are behind it."""
        self._note(work, "bars = ?, provider = ?, done = ?, parts = ?", (bars, provider, done, parts))

    def complete(self, work: Work, bars: int, provider: str | None, now: int) -> None:
        """Note that work is done."""
        changes = "state = 'completed', owner = NULL, bars = ?, provider = ?, ended_at = ?, completed_at = ?"
        self._note(work, changes, (bars, provider, now, now))

    def fail(self, work: Work, message: str, now: int) -> None:
        """Note that work ended without being done, and why."""
        self._note(work, "state = 'error', owner = NULL, message = ?, ended_at = ?", (message, now))

    def statuses(self, now: int, task: Task | None = None) -> list[SyncStatus]:
        """How everything stands that was ever asked for, by task, symbol and interval.

        Args:
            now: ns; decides which wishes were given up.
            task: Of this kind only.
        """
        if any(self._dead(owner, asked_at, now) for _, owner, asked_at in self._unfinished()) and not self._read_only:
            with self.transaction() as connection:
                self._bury(connection, now)
        rows = self.read(
            f"SELECT {_COLUMNS}, owner FROM syncs WHERE task = coalesce(?, task)", (None if task is None else task,)
        )
        found = [self._status(row, now) for row in rows]
        return sorted(found, key=lambda one: (one.task, one.symbol, one.interval))

    def status(self, task: Task, symbol: Symbol, interval: Interval, now: int) -> SyncStatus | None:
        """How one stands; None if it was never asked for."""
        key = (task, symbol, interval)
        return next((one for one in self.statuses(now, task) if (one.task, one.symbol, one.interval) == key), None)

    def forget(self, symbol: Symbol) -> None:
        """Forget a symbol whose bars were removed."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM syncs WHERE exchange = ? AND ticker = ?", symbol)

    def _note(self, work: Work, changes: str, values: tuple[object, ...]) -> None:
        with self.transaction() as connection:
            connection.execute(
                f"UPDATE syncs SET {changes} WHERE {_KEY} AND run = ?",
                (*values, str(work.task), *work.symbol, NAMES[work.interval], work.run),
            )

    def _unfinished(self) -> list[tuple[Any, ...]]:
        return self.read("SELECT run, owner, asked_at FROM syncs WHERE state IN ('pending', 'syncing')")

    def _dead(self, owner: str | None, asked_at: int, now: int) -> str | None:
        """Why work that is not finished never will be; None where it may."""
        if owner is None:
            return _UNTAKEN if now - asked_at > UNTAKEN_NS else None
        return None if self._alive(owner) else _ENDED.format(pid=pid_of(owner))

    def _bury(
        self,
        connection: Any,
        now: int,
        task: Task | None = None,
        symbol: Symbol | None = None,
        interval: Interval | None = None,
    ) -> None:
        """Within a transaction: what nobody works on any more is an error."""
        one = (task, *(symbol or (None, None)), None if interval is None else NAMES[interval])
        rows = connection.execute(
            "SELECT task, exchange, ticker, interval, run, owner, asked_at FROM syncs"
            " WHERE state IN ('pending', 'syncing') AND task = coalesce(?, task) AND exchange = coalesce(?, exchange)"
            " AND ticker = coalesce(?, ticker) AND interval = coalesce(?, interval)",
            one,
        ).fetchall()
        for *key, _, owner, asked_at in rows:
            why = self._dead(owner, asked_at, now)
            if why is not None:
                connection.execute(
                    f"UPDATE syncs SET state = 'error', owner = NULL, message = ?, ended_at = ? WHERE {_KEY}",
                    (why, now, *key),
                )

    def _status(self, row: tuple[Any, ...], now: int) -> SyncStatus:
        task, exchange, ticker, interval, state, provider, bars, done, parts, message, *times, owner = row
        asked_at, started_at, ended_at, completed_at = times
        if state in {SyncState.PENDING, SyncState.SYNCING} and (why := self._dead(owner, asked_at, now)):
            # Of a book that cannot be written: said, though not noted.
            state, message = SyncState.ERROR, why
        return SyncStatus(
            Task(task), Symbol(exchange, ticker), parse_interval(interval), SyncState(state), provider, bars, done,
            parts, message, asked_at, started_at, ended_at, completed_at,
        )  # fmt: skip
