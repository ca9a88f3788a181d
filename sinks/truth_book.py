"""The book of truth scores: how live bars compared with the venue's own, by day, symbol and interval."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final, NamedTuple

from market.intervals import NAMES, Interval, parse_interval
from market.symbols import Symbol
from sinks.history_book import HistoryBook


class Truth(NamedTuple):
    """One score; see `history.truth.Score` for what the counts mean."""

    start: int
    """ns; the span whose bars were compared: those that ended after this moment ..."""
    end: int
    """ns; ... and by this one."""
    symbol: Symbol
    interval: Interval
    source: str
    """Whose bars they were held against: `binance`, `binance(1m)`."""
    equal: int
    differing: int
    missing: int
    extra: int
    explained: int
    differences: Sequence[Sequence[Any]]
    """The largest ones: start (ns), field, live, official, share, explained."""
    made_at: int
    """ns."""

    @property
    def bars(self) -> int:
        """Bars compared."""
        return self.equal + self.differing + self.missing + self.extra

    @property
    def share(self) -> float:
        """Bars that are equal, as a part of all; 1 where there are none."""
        return self.equal / self.bars if self.bars else 1.0


_COLUMNS: Final = (
    "start, end, exchange, ticker, interval, source, equal, differing, missing, extra, explained, differences, made_at"
)


class TruthBook(HistoryBook):
    """One row a span, symbol and interval: a comparison made again takes the place of the one before."""

    TABLES: ClassVar[str] = """
    CREATE TABLE IF NOT EXISTS truths(
      start INTEGER NOT NULL, end INTEGER NOT NULL, exchange TEXT NOT NULL, ticker TEXT NOT NULL,
      interval TEXT NOT NULL, source TEXT NOT NULL, equal INTEGER NOT NULL, differing INTEGER NOT NULL,
      missing INTEGER NOT NULL, extra INTEGER NOT NULL, explained INTEGER NOT NULL, differences TEXT NOT NULL,
      made_at INTEGER NOT NULL, PRIMARY KEY(start, end, exchange, ticker, interval)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS log_places(
      time INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
    """

    def note(self, truths: Iterable[Truth]) -> None:
        """Keep scores, all or none."""
        with self.transaction() as connection:
            connection.executemany(
                f"INSERT OR REPLACE INTO truths({_COLUMNS}) VALUES({', '.join('?' * 13)})",
                (
                    (*one[:2], *one.symbol, NAMES[one.interval], *one[4:10], json.dumps(one.differences), one.made_at)
                    for one in truths
                ),
            )

    def truths(self, symbol: Symbol | None = None, start: int | None = None, end: int | None = None) -> list[Truth]:
        """Scores by span, symbol and interval.

        Args:
            symbol: Of this one only.
            start: ns; of spans that end after this moment.
            end: ns; of spans that start before this moment.
        """
        rules, values = ["1"], list[object]()
        if symbol is not None:
            rules.append("exchange = ? AND ticker = ?")
            values += symbol
        for rule, value in (("end > ?", start), ("start < ?", end)):
            if value is not None:
                rules.append(rule)
                values.append(value)
        rows = self.read(f"SELECT {_COLUMNS} FROM truths WHERE {' AND '.join(rules)}", tuple(values))
        return sorted(map(_truth, rows), key=lambda one: (one.start, one.symbol, one.interval))

    def mark_log(self, time: int, seq: int) -> None:
        """Note that the live writer's log ended at a row at a moment, ns."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO log_places VALUES(?, ?)", (time, seq))
            # A place a day is plenty, and those of a quarter are enough to go back to.
            connection.execute("DELETE FROM log_places WHERE time < ?", (time - 100 * 86_400 * 10**9,))

    def log_place(self, before: int) -> int:
        """A row of the log that was written before a moment, ns; 0 where none is known."""
        rows = self.read("SELECT max(seq) FROM log_places WHERE time <= ?", (before,))
        return int(rows[0][0] or 0)


def _truth(row: tuple[Any, ...]) -> Truth:
    start, end, exchange, ticker, name, source, equal, differing, missing, extra, explained, told, made_at = row
    counts = (equal, differing, missing, extra, explained)
    return Truth(
        start,
        end,
        Symbol(exchange, ticker),
        parse_interval(name),
        source,
        *counts,
        tuple(map(tuple, json.loads(told))),
        made_at,
    )
