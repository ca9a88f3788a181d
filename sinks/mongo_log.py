"""The log's segments in MongoDB: one document each. Its `_id` is the writer and the first place: no fork is possible.

The collection `writers` notes where each log ends. The note may lag behind by a crash; the segments have the last word.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from market.errors import DeskError
from market.symbols import Symbol
from sinks.bar_store import Finding, Logged
from sinks.log_check import check_chain
from sinks.revision_log import EMPTY, SEGMENT_ROWS, Head, Segment, as_stored, decode, head_of, noted_head

Document = dict[str, Any]
_ROWS_MAX: Final = 150_000
"""Rows that fit a document of 16 MB, with their names."""


class ForkError(Exception):
    """Another process has appended to the same log meanwhile: look where it ends now, and decide anew."""


def ensure_indexes(database: Database[Document]) -> None:
    """What reads by writer and by time rely on."""
    database.bar_revisions.create_index([("writer", ASCENDING), ("first_seq", ASCENDING)], unique=True)
    database.bar_revisions.create_index([("known_to", ASCENDING)])


def head(database: Database[Document], writer: str) -> Head:
    """Where the writer's log ends, and its position in the journal."""
    noted = database.writers.find_one({"_id": writer}) or {}
    end = Head(noted["head"]["last_seq"], noted["head"]["hash"], noted["head"]["upto"]) if "head" in noted else EMPTY
    fields = {"last_seq": 1, "hash": 1, "upto": 1}
    while (after := database.bar_revisions.find_one({"_id": f"{writer}:{end.last_seq + 1}"}, fields)) is not None:
        end = Head(after["last_seq"], after["hash"], after["upto"])
    return end._replace(upto=max(end.upto, noted.get("upto", 0)))


def append(database: Database[Document], segment: Segment) -> Head:
    """Add the segment that follows the head.

    Raises:
        ForkError: Another segment stands there already.
    """
    document: Document = {"_id": f"{segment.writer}:{segment.first_seq}", **segment._asdict()}
    try:
        database.bar_revisions.insert_one(document)
    except DuplicateKeyError as error:
        raise ForkError from error
    return head_of(segment)


def note_head(database: Database[Document], writer: str, end: Head, applied: int) -> None:
    """Note where the log ends, its position, and the last place whose bar is known to be written; none of it falls."""
    noted = {"head": {"last_seq": end.last_seq, "hash": end.hash, "upto": end.upto}, "upto": end.upto}
    database.writers.update_one({"_id": writer}, {"$max": {**noted, "applied": applied}}, upsert=True)


def applied(database: Database[Document], writer: str) -> int:
    """Last place whose bar is known to be written."""
    noted = database.writers.find_one({"_id": writer}, {"applied": 1}) or {}
    return int(noted.get("applied", 0))


def writers(database: Database[Document]) -> list[str]:
    """Everyone who has a log, by name."""
    return sorted({*database.bar_revisions.distinct("writer"), *database.writers.distinct("_id")})


def rows_after(database: Database[Document], writer: str, after: int, where: str) -> Logged | None:
    """The rest of the first segment that has rows above `after`; `None` if there is none.

    Raises:
        DeskError: The segment was altered.
    """
    query = {"writer": writer, "last_seq": {"$gt": after}}
    found = list(database.bar_revisions.find(query).sort("first_seq", ASCENDING).limit(1))
    if not found:
        return None
    part = _intact(found[0], where)
    keep = part.seqs > after
    return part._replace(seqs=part.seqs[keep], rows=part.rows[keep])


def known_between(
    database: Database[Document], symbol: Symbol, times: tuple[int, int], starts: tuple[int, int], where: str
) -> Iterator[Logged]:
    """Segments that may hold versions of a symbol's bars which came to be known in a span of time.

    Args:
        database: Where they are.
        symbol: Whose bars.
        times: First and last `updated_at`, ns.
        starts: First and last start of a bar, ns.
        where: The store, for errors.
    """
    query = {
        "known_to": {"$gte": times[0]},
        "known_from": {"$lte": times[1]},
        "start_to": {"$gte": starts[0]},
        "start_from": {"$lte": starts[1]},
    }
    name = f'"{symbol.exchange}","{symbol.ticker}"'.encode()
    chosen = [found["_id"] for found in database.bar_revisions.find(query, {"names": 1}) if name in found["names"]]
    for place in chosen:
        document = database.bar_revisions.find_one({"_id": place})
        assert document is not None, f"segment {place} was there a moment ago, and nothing deletes segments"
        yield _intact(document, where)


def cut(seqs: NDArray[np.int64], first: int, upto: int) -> tuple[int, int]:
    """Where a segment that begins at `first` ends, and the journal sequence that it completes.

    A segment holds whole journal rows, so that its `upto` is true even if the next one is never written.
    """
    if len(seqs) - first <= SEGMENT_ROWS:
        return len(seqs), upto
    last = int(np.searchsorted(seqs, seqs[first + SEGMENT_ROWS], side="left"))
    if last <= first:
        last = int(np.searchsorted(seqs, seqs[first], side="right"))
    if last - first > _ROWS_MAX:
        msg = (
            f"journal row {seqs[first]} closes {last - first} bars at once; MongoDB's documents hold "
            f"{_ROWS_MAX}: use SQLite, or fewer symbols a desk"
        )
        raise DeskError(msg)
    return last, upto if last == len(seqs) else int(seqs[last - 1])


def check(database: Database[Document], writer: str) -> Iterator[Finding]:
    """What is wrong with the writer's log."""
    noted = database.writers.find_one({"_id": writer})
    end = None
    if noted is not None and "head" in noted:
        end = noted_head(noted["head"].get("last_seq"), noted["head"].get("hash"))
    found = database.bar_revisions.find({"writer": writer}).sort("first_seq", ASCENDING).batch_size(1)
    yield from check_chain(writer, map(_segment, found), end, lags=True)


def _intact(document: Document, where: str) -> Logged:
    try:
        return decode(_segment(document))
    except ValueError as error:
        msg = f"bar store {where}: {error}; `pq verify` names what is wrong, and a backup has the rows as they were"
        raise DeskError(msg) from error


def _segment(document: Document) -> Segment:
    return as_stored(document.get(name) for name in Segment._fields)
