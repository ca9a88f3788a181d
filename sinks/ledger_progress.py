"""How far things have come: consumers in the journal, files being replayed, feeds."""

from typing import Final, NamedTuple

from market.symbols import Symbol
from sinks.ledger_file import LedgerFile

ARCHIVE: Final = "archive"
"""The consumer for which the journal's old days wait without holding back what the others have read."""

PAPER: Final = "paper"
"""The consumer that is there as long as anything runs on paper."""


class ConsumerPosition(NamedTuple):
    """How far one consumer has read the journal."""

    consumer: str
    seq: int
    """Last row of its newest snapshot."""
    previous: int
    """That of the snapshot before: what it may have to read again from."""


class Replay(NamedTuple):
    """A file of ticks put into the journal."""

    hash: str
    """Of the file's bytes."""
    symbol: Symbol
    path: str
    rows: int
    """Rows of the file journaled so far."""
    state: str
    """`running`, `done` or `failed`."""
    changed_at: int
    """ns."""


class FeedState(NamedTuple):
    """How a feed was when last heard of."""

    feed: str
    state: str
    """`up`, `down`, `connecting`, ..."""
    since: int
    """ns."""
    reconnects: int
    text: str


class Progress(LedgerFile):
    """One row a consumer, a file and symbol, a feed."""

    def move(self, consumer: str, seq: int) -> None:
        """Take note that a consumer's newest snapshot is at `seq`. Never back, so that a late note is harmless."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO positions VALUES(?, ?, 0) ON CONFLICT(consumer) DO UPDATE SET"
                " previous = seq, seq = excluded.seq WHERE excluded.seq > seq",
                (consumer, seq),
            )

    def reset(self, consumer: str, seq: int = 0) -> None:
        """Put a consumer back, before it reads again what it has read."""
        with self.transaction(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO positions VALUES(?, ?, ?)", (consumer, seq, seq))

    def forget(self, consumer: str) -> None:
        """Wait for a consumer no longer."""
        with self.transaction(durable=True) as connection:
            connection.execute("DELETE FROM positions WHERE consumer = ?", (consumer,))

    def positions(self) -> list[ConsumerPosition]:
        """All consumers."""
        return [
            ConsumerPosition._make(row)
            for row in self.read("SELECT consumer, seq, previous FROM positions ORDER BY consumer")
        ]

    def consumed_seq(self) -> int:
        """The row up to which no consumer can ask again; 0 where none is known, so that nothing is removed.

        The archive is told apart: `archived_seq`.
        """
        return min((one.previous for one in self.positions() if one.consumer != ARCHIVE), default=0)

    def archived_seq(self) -> int | None:
        """The row up to which all is archived; None where nothing ever was, or is to be any more."""
        return next((one.seq for one in self.positions() if one.consumer == ARCHIVE), None)

    def seen_seq(self) -> int:
        """The highest row that any consumer has seen; 0 where none is known."""
        return max((position.seq for position in self.positions()), default=0)

    def note_replay(self, replay: Replay) -> None:
        """Take note of how far a replay is; known by hash and symbol."""
        with self.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO replays VALUES(?, ?, ?, ?, ?, ?, ?)",
                (replay.hash, *replay.symbol, replay.path, replay.rows, replay.state, replay.changed_at),
            )

    def replays(self, digest: str | None = None) -> list[Replay]:
        """Replays by time of change, of one file if its hash is given."""
        rows = self.read(
            "SELECT hash, exchange, ticker, path, rows, state, changed_at FROM replays"
            " WHERE hash = coalesce(?, hash) ORDER BY changed_at, hash",
            (digest,),
        )
        return [Replay(name, Symbol(exchange, ticker), *rest) for name, exchange, ticker, *rest in rows]

    def note_feed(self, state: FeedState) -> None:
        """Take note of how a feed is."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO feeds VALUES(?, ?, ?, ?, ?)", state)

    def feeds(self) -> list[FeedState]:
        """All feeds ever heard of."""
        rows = self.read("SELECT feed, state, since, reconnects, text FROM feeds ORDER BY feed")
        return [FeedState._make(row) for row in rows]
