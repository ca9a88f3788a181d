"""The rejects: frames and ticks that were refused, with the reason, and how many by reason."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

from market.symbols import Symbol
from sinks.ledger_file import LedgerFile

REJECTS_KEPT: Final = 100_000
DETAIL_CHARACTERS_MAX: Final = 2_000
WHOLE_ROW: Final = -1


class Reject(NamedTuple):
    """What was refused."""

    source: str
    """Who refused it: `kraken`, `bars`, `file:3f2a9c01`."""
    reason: str
    """One word: `late`, `price`, `frame`."""
    detail: str
    """The frame or the tick, or what is wrong with it; cut at 2,000 characters."""
    received_time: int
    """ns."""
    symbol: Symbol | None = None
    seq: int | None = None
    """Its journal row; None for what never got there."""
    place: int | None = None
    """Which record of that row, from 0."""


class RejectCount(NamedTuple):
    """How many of one kind were ever refused."""

    source: str
    reason: str
    total: int


class Rejects(LedgerFile):
    """Keeps the newest 100,000, and counts all.

    A reject with `seq` and `place` counts once however often it comes, so that a resumed consumer may repeat itself.
    """

    def reject(self, reject: Reject) -> bool:
        """Note one; says whether it is new."""
        return self.reject_many([reject]) == 1

    def reject_many(self, rejects: Iterable[Reject]) -> int:
        """Note many in one transaction; returns how many were new."""
        counts: Counter[tuple[str, str]] = Counter()
        with self.transaction() as connection:
            for one in rejects:
                exchange, ticker = one.symbol or (None, None)
                # NULLs never conflict, and a whole row can be refused as well as one of its records.
                place = WHOLE_ROW if one.seq is not None and one.place is None else one.place
                detail = one.detail[:DETAIL_CHARACTERS_MAX]
                counts[one.source, one.reason] += connection.execute(
                    "INSERT OR IGNORE INTO rejects(source, reason, detail, exchange, ticker, seq, place, received_time)"
                    " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                    (one.source, one.reason, detail, exchange, ticker, one.seq, place, one.received_time),
                ).rowcount
            connection.executemany(
                "INSERT INTO reject_counts VALUES(?, ?, ?)"
                " ON CONFLICT(source, reason) DO UPDATE SET count = count + excluded.count",
                [(source, reason, n) for (source, reason), n in counts.items() if n],
            )
            connection.execute("DELETE FROM rejects WHERE id <= (SELECT max(id) FROM rejects) - ?", (REJECTS_KEPT,))
        return counts.total()

    def rejects(
        self, limit: int | None = None, *, source: str | None = None, reason: str | None = None
    ) -> list[Reject]:
        """The newest ones, newest first.

        Args:
            limit: At most so many.
            source: Refused by this one only.
            reason: For this reason only.
        """
        rows = self.read(
            "SELECT source, reason, detail, received_time, exchange, ticker, seq, place FROM rejects"
            " WHERE source = coalesce(?, source) AND reason = coalesce(?, reason) ORDER BY id DESC LIMIT ?",
            (source, reason, -1 if limit is None else limit),
        )
        return [
            Reject(
                by,
                why,
                detail,
                received_time,
                None if exchange is None else Symbol(exchange, ticker),
                seq,
                None if place == WHOLE_ROW else place,
            )
            for by, why, detail, received_time, exchange, ticker, seq, place in rows
        ]

    def reject_counts(self) -> list[RejectCount]:
        """All that were ever refused, by source and reason."""
        return [
            RejectCount._make(row)
            for row in self.read("SELECT source, reason, count FROM reject_counts ORDER BY source, reason")
        ]
