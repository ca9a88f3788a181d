"""The bar store in MongoDB. `sinks.bar_store` says what it promises, `sinks.mongo_documents` how a bar lies there.

Without transactions, order does their work. A reader of the journal writes bars first and the log after them: after a
crash in between it brings the same rows again, which changes no bar and completes the log. A writer whose revisions the
store counts writes the log first: after a crash in between nobody may come again, so the next write by that name brings
the end of the log into the bars before anything else.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray
from pymongo import ASCENDING
from pymongo.errors import BulkWriteError

from market.bars import BarBatch, BarState
from market.errors import DeskError
from market.intervals import NAMES, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks import mongo_log, mongo_reads
from sinks.bar_frame import bar_frame
from sinks.bar_store import Finding, Logged, Series, Written
from sinks.mongo_client import connect, shown, trouble
from sinks.mongo_documents import from_documents, moment, upserts
from sinks.revision_log import SEGMENT_ROWS, Head, seal, to_names
from sinks.upsert_rule import batch_keys, best_of_each, first_known, refuse_unstorable, settle, versions

if TYPE_CHECKING:
    import polars as pl

_BULK: Final = 2_000
"""Operations in one message: a small part of a time-out even for a slow server."""

_TRIES: Final = 10
_DUPLICATE: Final = 11000
_P = ParamSpec("_P")
_T = TypeVar("_T")


def _unless_forked(write: Callable[_P, _T]) -> Callable[_P, _T]:
    """If another process appended to the same log meanwhile, look again and decide anew."""

    @wraps(write)
    def tried(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        for _ in range(_TRIES - 1):
            with suppress(mongo_log.ForkError):
                return write(*args, **kwargs)
        return write(*args, **kwargs)

    return tried


class MongoBars:
    """A `BarStore` in the collections `bars`, `bar_revisions` and `writers` of one database.

    The server is not asked before the first call, so a process may start while it is away.
    """

    def __init__(self, uri: str, *, read_only: bool = False, timeout_s: float = 10.0) -> None:
        """Prepare to talk to a server.

        Args:
            uri: Its address, with user and password if it wants them, and the database's name.
            read_only: Write nothing.
            timeout_s: How long a server may take to answer before it counts as away; a third of it to connect.

        Raises:
            DeskError: The address is malformed.
        """
        self._where = shown(uri)
        self._read_only = read_only
        self._client, self._database = connect(uri, timeout_s)
        self._lock = threading.RLock()
        self._indexed = False
        self._applied: dict[str, int] = {}
        """By writer: the place in its log up to which all is known to be in the bars."""

    @property
    def where(self) -> str:
        """The server's address without user, password and options."""
        return self._where

    def upsert(self, batch: BarBatch, *, writer: str, upto: int | None = None, own_revisions: bool) -> Written:
        """See `BarStore.upsert`."""
        if self._read_only:
            msg = f"bar store {self._where} was opened to be read only; nothing can be written to it"
            raise DeskError(msg)
        refuse_unstorable(batch, upto)
        with self._lock, self._writing(writer):
            self._ensure_indexes()
            if own_revisions and upto is not None:
                return self._upsert_counted(batch, writer, upto)
            done = Written(0, 0, 0, 0)
            for first in range(0, len(batch.rows), SEGMENT_ROWS):
                part = BarBatch(batch.rows[first : first + SEGMENT_ROWS], batch.streams)
                written = self._upsert_compared(part, writer, upto or 0, own_revisions)
                done = Written(*(old + new for old, new in zip(done, written, strict=True)))
            return done

    def position(self, writer: str) -> int:
        """See `BarStore.position`."""
        with trouble(self._where):
            return mongo_log.head(self._database, writer).upto

    def read(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
        states: Collection[BarState] | None = None,
        as_of: int | None = None,
        newest_first: bool = True,
    ) -> "pl.DataFrame":
        """See `BarStore.read`."""
        wanted = {BarState(state) for state in (BarState if states is None else states)}
        query: dict[str, Any] = {"exchange": symbol.exchange, "symbol": symbol.ticker, "interval": NAMES[interval]}
        bounds = {"$gte": start, "$lt": end}
        if any(bound is not None for bound in bounds.values()):
            query["start"] = {sign: moment(bound) for sign, bound in bounds.items() if bound is not None}
        if (limit is not None and limit <= 0) or not wanted:
            rows, sources = from_documents([], interval)
        elif as_of is None:
            if states is not None:
                query["bar.state"] = {"$in": sorted(str(state) for state in wanted)}
            with trouble(self._where):
                rows, sources = from_documents(mongo_reads.newest(self._database, query, limit), interval)
        else:
            with trouble(self._where):
                rows, sources = mongo_reads.known(self._database, symbol, interval, query, as_of, wanted, self._where)
            rows = rows[:limit]
        return bar_frame(symbol, interval, rows if newest_first else rows[::-1], sources)

    def starts(self, symbol: Symbol, interval: Interval, start: int, end: int) -> NDArray[np.int64]:
        """See `BarStore.starts`."""
        key = {"exchange": symbol.exchange, "symbol": symbol.ticker, "interval": NAMES[interval]}
        query = {**key, "start": {"$gte": moment(start), "$lt": moment(end)}}
        with trouble(self._where):
            return mongo_reads.starts(self._database, query)

    def series(self) -> list[Series]:
        """See `BarStore.series`."""
        with trouble(self._where):
            return mongo_reads.series(self._database)

    def revisions(self, writer: str | None = None, after: int = 0) -> Iterator[Logged]:
        """See `BarStore.revisions`."""
        for name in self.writers() if writer is None else [writer]:
            seq = after
            while True:
                with trouble(self._where):
                    part = mongo_log.rows_after(self._database, name, seq, self._where)
                if part is None:
                    break
                yield part
                seq = int(part.seqs[-1])

    def writers(self) -> list[str]:
        """See `BarStore.writers`."""
        with trouble(self._where):
            return mongo_log.writers(self._database)

    def head(self, writer: str) -> tuple[int, str]:
        """See `BarStore.head`."""
        with trouble(self._where):
            found = mongo_log.head(self._database, writer)
        return found.last_seq, found.hash.hex() if found.last_seq else ""

    def check_log(self) -> list[Finding]:
        """See `BarStore.check_log`."""
        with trouble(self._where):
            names = mongo_log.writers(self._database)
            return [finding for name in names for finding in mongo_log.check(self._database, name)]

    @_unless_forked
    def forget(self, symbol: Symbol) -> int:
        """See `BarStore.forget`."""
        if self._read_only:
            msg = f"bar store {self._where} was opened to be read only; nothing can be removed from it"
            raise DeskError(msg)
        with self._lock, trouble(self._where):
            # Logged rows that a crash kept from the bars are brought in first, or the next write would bring them back.
            for writer in mongo_log.writers(self._database):
                end = mongo_log.head(self._database, writer)
                self._complete_bars(writer, end)
                mongo_log.note_head(self._database, writer, end, end.last_seq)
            query = {"exchange": symbol.exchange, "symbol": symbol.ticker}
            return int(self._database.bars.delete_many(query).deleted_count)

    def size_bytes(self) -> int:
        """What the server says that the database occupies."""
        with trouble(self._where):
            return int(self._database.command("dbStats").get("storageSize", 0))

    def ping(self) -> None:
        """See `BarStore.ping`."""
        with trouble(self._where):
            self._client.admin.command("ping")

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _upsert_counted(self, batch: BarBatch, writer: str, upto: int) -> Written:
        """Rows with revisions of their own, from a reader of the journal: bars, then the log."""
        rows = batch.rows
        keys, _ = batch_keys(batch)
        best = best_of_each(keys, rows)
        inserted, updated = self._show(rows[best], batch.streams, first_known(keys, rows)[best])
        logged = self._log_counted(batch, writer, upto)
        return Written(inserted, updated, len(rows) - inserted - updated, logged)

    @_unless_forked
    def _log_counted(self, batch: BarBatch, writer: str, upto: int) -> int:
        rows = batch.rows
        end = mongo_log.head(self._database, writer)
        places = np.flatnonzero((rows["seq"] > end.upto) & (rows["state"] != BarState.FORMING))
        first = 0
        while first < len(places):
            last, reached = mongo_log.cut(rows["seq"][places], first, upto)
            part, names = to_names(batch, places[first:last], rows["revision"])
            end = mongo_log.append(self._database, seal(writer, end, part, names, max(reached, end.upto)))
            first = last
        mongo_log.note_head(self._database, writer, end._replace(upto=max(upto, end.upto)), end.last_seq)
        return len(places)

    @_unless_forked
    def _upsert_compared(self, batch: BarBatch, writer: str, upto: int, own_revisions: bool) -> Written:
        """Rows that are logged only if they change the store: look, log, then write the bars."""
        end = mongo_log.head(self._database, writer)
        self._complete_bars(writer, end)
        rows = batch.rows
        keys, symbols = batch_keys(batch)
        distinct, key_of = np.unique(keys, return_inverse=True)
        held, present = mongo_reads.held(self._database, distinct, symbols)
        done = settle(rows, key_of, held, present, own_revisions=own_revisions)
        places = np.flatnonzero(done.changed & (rows["state"] != BarState.FORMING))
        if len(places):
            part, names = to_names(batch, places, done.revision)
            end = mongo_log.append(self._database, seal(writer, end, part, names, max(upto, end.upto)))
        counted = rows.copy()
        counted["revision"] = done.revision
        touched = np.flatnonzero(done.touched)
        last = np.zeros(len(distinct), dtype=np.int64)
        changed = np.flatnonzero(done.changed)
        last[key_of[changed]] = changed
        known = first_known(keys, counted, done.changed)
        self._show(counted[last[touched]], batch.streams, known[last[touched]])
        mongo_log.note_head(self._database, writer, end._replace(upto=max(upto, end.upto)), end.last_seq)
        self._applied[writer] = end.last_seq
        return Written(done.inserted, done.updated, len(rows) - done.inserted - done.updated, len(places))

    def _complete_bars(self, writer: str, end: Head) -> None:
        """Bring logged rows into the bars that a crash, here or in another process, has kept from them."""
        seq = self._applied.get(writer, -1)
        if seq < 0:
            seq = mongo_log.applied(self._database, writer)
        while seq < end.last_seq and (part := mongo_log.rows_after(self._database, writer, seq, self._where)):
            streams = tuple(
                Stream(place, name.feed, name.symbol, FeedKind.TRADES, 0) for place, name in enumerate(part.names)
            )
            keys, _ = batch_keys(BarBatch(part.rows, streams))
            best = best_of_each(keys, part.rows)
            self._show(part.rows[best], streams, first_known(keys, part.rows)[best])
            seq = int(part.seqs[-1])

    def _show(self, rows: NDArray[np.void], streams: tuple[Stream, ...], known: NDArray[np.int64]) -> tuple[int, int]:
        """Upsert bars by the rule; how many were inserted and replaced."""
        symbols = [stream.symbol for stream in streams]
        sources = [stream.feed for stream in streams]
        operations = upserts(rows, versions(rows), symbols, sources, known)
        inserted = updated = 0
        while bulk := list(islice(operations, _BULK)):
            for attempt in range(_TRIES):
                done = self._update(bulk)
                inserted += len(done.get("upserted", ()))
                updated += int(done["nModified"])
                failed = done.get("writeErrors", [])
                if not failed and not done.get("writeConcernError"):
                    break
                # Two upserts of one new key at a time: the one that came second finds the other's document now.
                raced = failed and all(one.get("code") == _DUPLICATE for one in failed)
                if attempt + 1 == _TRIES or not raced:
                    concern = done.get("writeConcernError")
                    raise BulkWriteError({**done, "writeConcernErrors": [concern] if concern else []})
        return inserted, updated

    def _update(self, operations: list[dict[str, Any]]) -> dict[str, Any]:
        """What the server says of some upserts, in no order, on its disk when it answers."""
        concern = self._database.bars.write_concern.document
        return self._database.command(
            {"update": "bars", "updates": operations, "ordered": False, "writeConcern": concern}
        )

    @contextmanager
    def _writing(self, writer: str) -> Iterator[None]:
        with trouble(self._where):
            try:
                yield
            except BaseException:
                # What did arrive is unknown: the next write asks the server.
                self._applied.pop(writer, None)
                raise

    def _ensure_indexes(self) -> None:
        if self._indexed:
            return
        key = [(name, ASCENDING) for name in ("exchange", "symbol", "interval", "start")]
        self._database.bars.create_index(key, unique=True)
        mongo_log.ensure_indexes(self._database)
        self._indexed = True
