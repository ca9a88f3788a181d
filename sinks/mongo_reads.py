"""Reads of MongoDB's bar store: one series as rows, now or as of a moment, and what is held."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from pymongo import DESCENDING

from market.bars import BAR, BarState
from market.intervals import MINUTE_NS, NAMES, Interval
from market.symbols import Symbol
from sinks.bar_store import Series
from sinks.mongo_documents import LOGGED_VERSION, MILLISECOND_NS, from_documents, moment
from sinks.mongo_log import Document, known_between
from sinks.upsert_rule import best_of_each

if TYPE_CHECKING:
    from pymongo.database import Database

_STARTS: Final = 2_000
"""Bars that are asked for by their starts in one query."""
_SPARSE: Final = 4
"""Bars that may be read in vain for each that is wanted."""


def newest(database: "Database[Document]", query: Document, limit: int | None = None) -> Iterator[Document]:
    """Documents of the bars of one series that answer a query, newest first."""
    cursor = database.bars.find(query, {"_id": 0, "start": 1, "bar": 1}).sort("start", DESCENDING)
    yield from cursor if limit is None else cursor.limit(limit)


def known(
    database: "Database[Document]",
    symbol: Symbol,
    interval: Interval,
    query: Document,
    as_of: int,
    wanted: set[BarState],
    where: str,
) -> tuple[NDArray[np.void], list[str]]:
    """Bars as they were known at a moment, newest first.

    The bar that is shown is the maximum of all its versions; if it was known by then, it is the maximum of those
    known by then. Only of bars that changed later must the log be asked.
    """
    over = {"$gte": LOGGED_VERSION}
    still = {**query, "bar.version": over, "bar.updated_at": {"$lte": as_of}}
    rows, sources = from_documents(newest(database, still), interval)
    changed = {**query, "bar.version": over, "bar.updated_at": {"$gt": as_of}, "known": {"$lte": as_of}}
    found = list(database.bars.find(changed, {"start": 1, "known": 1}))
    if found:
        old, old_sources = _logged(
            database,
            symbol,
            interval,
            np.array([int(document["start"]) * MILLISECOND_NS for document in found]),
            (min(int(document["known"]) for document in found), as_of),
            where,
        )
        old["stream"] += len(sources)
        rows, sources = np.concatenate((rows, old)), [*sources, *old_sources]
    rows = rows[np.isin(rows["state"], list(wanted))]
    return rows[np.argsort(rows["start"])[::-1]], sources


def _logged(
    database: "Database[Document]",
    symbol: Symbol,
    interval: Interval,
    starts: NDArray[np.int64],
    times: tuple[int, int],
    where: str,
) -> tuple[NDArray[np.void], list[str]]:
    """Of each start the version that the rule chooses among those logged in a span of time."""
    sources: dict[str, int] = {}
    parts = [np.empty(0, dtype=BAR)]
    span = int(starts.min()), int(starts.max())
    for part in known_between(database, symbol, times, span, where):
        ours = np.array([name.symbol == symbol for name in part.names])
        stream = np.array([sources.setdefault(name.feed, len(sources)) for name in part.names], dtype=np.uint16)
        rows = part.rows[ours[part.rows["stream"]] & (part.rows["interval"] == interval)]
        rows = rows[(rows["updated_at"] <= times[1]) & np.isin(rows["start"], starts)]
        rows["stream"] = stream[rows["stream"]]
        parts.append(rows)
    rows = np.concatenate(parts)
    return rows[best_of_each(rows["start"], rows)], list(sources)


def held(
    database: "Database[Document]", keys: NDArray[np.int64], symbols: list[Symbol]
) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
    """What the store holds under each key of `batch_keys` (rising), and whether it holds something."""
    rows_held = np.zeros(len(keys), dtype=BAR)
    present = np.zeros(len(keys), dtype=np.bool_)
    series = (keys + (1 << 31)) >> 32
    minutes = keys - (series << 32)
    for some in _alike(series, minutes):
        place_of = {(*symbols[one // len(Interval)], NAMES[one % len(Interval)]): one << 32 for one in some.tolist()}
        exchanges, tickers, intervals = ({"$in": sorted(set(part))} for part in zip(*place_of, strict=True))
        starts = np.unique(minutes[np.isin(series, some)])
        for first in range(0, len(starts), _STARTS):
            when = _when(starts[first : first + _STARTS], alone=len(some) == 1)
            query = {"exchange": exchanges, "symbol": tickers, "interval": intervals, "start": when}
            documents, found = [], []
            for document in database.bars.find(query):
                place = place_of.get((document["exchange"], document["symbol"], document["interval"]))
                if place is not None:
                    documents.append(document)
                    found.append(place + int(document["start"]) * MILLISECOND_NS // MINUTE_NS)
            rows, _ = from_documents(documents, Interval.M1)
            at = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
            ours = keys[at] == found
            rows_held[at[ours]] = rows[ours]
            present[at[ours]] = True
    return rows_held, present


def _when(minutes: NDArray[np.int64], *, alone: bool) -> Document:
    """The condition for bars of some starts (rising): their span if it holds few others, else one by one.

    A page of history is a span of one series. There are servers that look at every bar for every start of a list.
    """
    first, last = int(minutes[0]), int(minutes[-1])
    step = int(np.median(np.diff(minutes))) if len(minutes) > 1 else 1
    if alone and last - first <= _SPARSE * step * len(minutes):
        return {"$gte": moment(first * MINUTE_NS), "$lte": moment(last * MINUTE_NS)}
    return {"$in": [moment(minute * MINUTE_NS) for minute in minutes.tolist()]}


def _alike(series: NDArray[np.int64], minutes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Series that can be asked for with one question: those of an interval, unless they have few starts in common."""
    for interval in Interval:
        ours = series % len(Interval) == interval
        some = np.unique(series[ours])
        if len(some) * len(np.unique(minutes[ours])) > 4 * int(ours.sum()):
            yield from some.reshape(-1, 1)
        elif len(some):
            yield some


def starts(database: "Database[Document]", query: Document) -> NDArray[np.int64]:
    """Starts (ns) of the bars that are over and fit a query, in order."""
    found = database.bars.find({**query, "bar.state": {"$ne": str(BarState.FORMING)}}, {"_id": 0, "start": 1})
    times = np.fromiter((int(one["start"]) for one in found.sort("start", 1)), np.int64)
    return times * 1_000_000


def series(database: "Database[Document]") -> list[Series]:
    """See `BarStore.series`."""
    group = {
        "_id": {"exchange": "$exchange", "symbol": "$symbol", "interval": "$interval"},
        "bars": {"$sum": 1},
        "first": {"$min": "$start"},
        "last": {"$max": "$start"},
    }
    found = list(database.bars.aggregate([{"$group": group}], allowDiskUse=True))
    place = {name: Interval(number) for number, name in enumerate(NAMES)}
    return sorted(
        Series(
            Symbol(row["_id"]["exchange"], row["_id"]["symbol"]),
            place[row["_id"]["interval"]],
            row["bars"],
            int(row["first"]) * MILLISECOND_NS,
            int(row["last"]) * MILLISECOND_NS,
        )
        for row in found
    )
