"""Bars between NumPy and SQLite: keys packed and unpacked, arrays to parameters, rows to arrays."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR
from market.intervals import MINUTE_NS, Interval
from sinks.sqlite_file import BLOCK_HOURS, BLOCK_HOURS_ARRAY, BLOCK_SHIFT, HOUR_MINUTES, INTERVAL_BITS, OFFSET_BITS

CHUNK: Final = 100
"""Rows in one statement. Fewer pay for more statements; more gain nothing (measured)."""

COLUMNS: Final = (
    "key", "minutes", "open", "high", "low", "close", "volume", "notional", "trades", "state", "source", "revision",
    "updated_at",
)  # fmt: skip
_VALUES: Final = len(COLUMNS)
_PART: Final = 50 * CHUNK
_SECOND_NS: Final = 1_000_000_000
_ROW: Final = "(" + ",".join("?" * len(COLUMNS)) + ")"
_REPLACED: Final = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])

# Everything is fetched as a float64, so that one flat pass makes the array: an int64 of nanoseconds would lose its last
# digits, hence two columns for it; a key is an hour, a series and a place, each of them small.
_FETCHED: Final = (
    f"b.key >> {BLOCK_SHIFT}, b.key & {(1 << BLOCK_SHIFT) - 1}, b.minutes, b.open, b.high, b.low, b.close, b.volume, "
    "ifnull(b.notional, 9e999), b.trades, b.state, b.source, b.revision, "
    f"b.updated_at / {_SECOND_NS}, b.updated_at % {_SECOND_NS}"
)
_WIDTH: Final = 15


def block_hour(interval: Interval, minute: int) -> int:
    """The hour (since 1970) with which the block of a bar begins.

    Args:
        interval: The bar's.
        minute: The bar's start in minutes since 1970.
    """
    length = BLOCK_HOURS[interval]
    return minute // HOUR_MINUTES // length * length


def pack_keys(series: NDArray[np.int64], rows: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys of bars, and the key of the first place of each one's block (which tells series and block)."""
    minute = rows["start"] // MINUTE_NS
    length = BLOCK_HOURS_ARRAY[rows["interval"]]
    hour = minute // HOUR_MINUTES // length * length
    block = (hour << BLOCK_SHIFT) + (series << OFFSET_BITS)
    return block + (minute - hour * HOUR_MINUTES), block


def unpack_block(block: int) -> tuple[int, int]:
    """Series and hour of a block, from the key of its first place."""
    return block >> OFFSET_BITS & ((1 << BLOCK_SHIFT - OFFSET_BITS) - 1), block >> BLOCK_SHIFT


def insert(db: sqlite3.Connection, keys: NDArray[np.int64], rows: NDArray[np.void]) -> tuple[int, NDArray[np.int64]]:
    """Insert bars; leave what is there.

    Args:
        db: Within a transaction.
        keys: Rising, none twice.
        rows: `BAR` records whose `stream` is the id of their source.

    Returns:
        How many were inserted; and the places of those that may not have been (a superset, whole statements of them).
    """
    inserted, doubtful = 0, []
    for first, count, parameters in _statements(keys, rows):
        done = db.execute(_insert_sql(count, "ON CONFLICT DO NOTHING"), parameters).rowcount
        inserted += done
        if done < count:
            doubtful.append(np.arange(first, first + count))
    return inserted, np.concatenate(doubtful) if doubtful else np.empty(0, dtype=np.int64)


def replace(db: sqlite3.Connection, keys: NDArray[np.int64], rows: NDArray[np.void]) -> None:
    """Write bars over whatever is there. Arguments as for `insert`."""
    for _, count, parameters in _statements(keys, rows):
        db.execute(_insert_sql(count, f"ON CONFLICT (key) DO UPDATE SET {_REPLACED}"), parameters)


def supersede(db: sqlite3.Connection, keys: NDArray[np.int64], rows: NDArray[np.void]) -> None:
    """Keep versions that are not shown, for reads as of a moment. A version that is kept already stays."""
    for _, count, parameters in _statements(keys, rows):
        db.execute(_insert_sql(count, "ON CONFLICT DO NOTHING", "superseded"), parameters)


def held(db: sqlite3.Connection, keys: NDArray[np.int64]) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
    """What is there under each key (anything where nothing is), and whether something is."""
    found_rows = np.zeros(len(keys), dtype=BAR)
    present = np.zeros(len(keys), dtype=np.bool_)
    wide = 5 * CHUNK
    for first in range(0, len(keys), wide):
        part = keys[first : first + wide].tolist()
        marks = ",".join("?" * len(part))
        found_keys, rows = fetch(db, f"FROM bar_rows b WHERE b.key IN ({marks})", part)
        if len(rows):
            places = first + np.searchsorted(keys[first : first + wide], found_keys)
            found_rows[places] = rows
            present[places] = True
    return found_rows, present


def fetch(
    db: sqlite3.Connection, source: str, parameters: Sequence[Any] | Mapping[str, Any]
) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    """Rows of a query over bars `b` as keys and `BAR` records (`stream` is the id of the source, `seq` -1).

    Args:
        db: The connection.
        source: The query from its FROM on.
        parameters: Its values.
    """
    cursor = db.execute(f"SELECT {_FETCHED} {source}", parameters)
    flat = np.fromiter(chain.from_iterable(cursor), dtype=np.float64)
    return from_columns(np.ascontiguousarray(flat.reshape(-1, _WIDTH).T))


def from_columns(columns: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    """Keys and `BAR` records of fetched columns, shape (15, rows)."""
    hour, rest = columns[0].astype(np.int64), columns[1].astype(np.int64)
    rows = np.zeros(columns.shape[1], dtype=BAR)
    rows["interval"] = rest >> OFFSET_BITS & (1 << INTERVAL_BITS) - 1
    minute = hour * HOUR_MINUTES + (rest & (1 << OFFSET_BITS) - 1)
    rows["start"] = minute * MINUTE_NS
    rows["end"] = (minute + columns[2].astype(np.int64)) * MINUTE_NS
    names = ("open", "high", "low", "close", "volume", "notional", "trades", "state", "stream", "revision")
    for name, column in zip(names, columns[3:13], strict=True):
        rows[name] = column
    rows["notional"][np.isinf(rows["notional"])] = np.nan
    rows["updated_at"] = columns[13].astype(np.int64) * _SECOND_NS + columns[14].astype(np.int64)
    rows["seq"] = -1
    return (hour << BLOCK_SHIFT) + rest, rows


def _statements(keys: NDArray[np.int64], rows: NDArray[np.void]) -> Iterator[tuple[int, int, list[Any]]]:
    """Parameters for statements of up to `CHUNK` rows: (place of the first row, rows, values)."""
    # In parts, so that a part's objects are used and freed while they are in the processor's caches.
    for begin in range(0, len(keys), _PART):
        part = rows[begin : begin + _PART]
        flat = _values(keys[begin : begin + _PART], part)
        for first in range(0, len(part), CHUNK):
            count = min(CHUNK, len(part) - first)
            yield begin + first, count, flat[first * _VALUES : (first + count) * _VALUES]


def _values(keys: NDArray[np.int64], rows: NDArray[np.void]) -> list[Any]:
    """The rows' columns as SQLite takes them, row after row."""
    notional = rows["notional"].tolist()
    if np.isnan(rows["notional"]).any():
        notional = [None if value != value else value for value in notional]  # noqa: PLR0124  (NaN is not itself)
    return list(
        chain.from_iterable(
            zip(
                keys.tolist(),
                ((rows["end"] - rows["start"]) // MINUTE_NS).tolist(),
                rows["open"].tolist(),
                rows["high"].tolist(),
                rows["low"].tolist(),
                rows["close"].tolist(),
                rows["volume"].tolist(),
                notional,
                rows["trades"].tolist(),
                rows["state"].tolist(),
                rows["stream"].tolist(),
                rows["revision"].tolist(),
                rows["updated_at"].tolist(),
                strict=True,
            )
        )
    )


def _insert_sql(count: int, conflict: str, table: str = "bar_rows") -> str:
    # sqlite3 keeps prepared statements by their text, so a text of its own for each remainder is prepared once.
    return f"INSERT INTO {table} ({', '.join(COLUMNS)}) VALUES {','.join([_ROW] * count)} {conflict}"
