"""Reads of the SQLite bar store: one series as a frame, now or as of a moment, and what is held."""

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR, BarState
from market.intervals import MINUTE_NS, MINUTES, Interval
from market.symbols import Symbol
from sinks.bar_frame import bar_frame
from sinks.bar_store import Series
from sinks.sqlite_file import BLOCK_HOURS, BLOCK_SHIFT, HOUR_MINUTES, INTERVAL_BITS, OFFSET_BITS
from sinks.sqlite_rows import block_hour, fetch
from sinks.upsert_rule import best_of_each

if TYPE_CHECKING:
    import polars as pl

_MANY: Final = 50_000
"""Bars from which on a read is a long one."""

_TIMEOUT_S: Final = 10.0
_FIRST_MINUTE: Final = -(2**63) // MINUTE_NS
_LAST_MINUTE: Final = 2**63 // MINUTE_NS

# One run of keys a block, newest block first; the join is pinned so that rows come in the order of time without a sort.
_RUNS: Final = f"""FROM (SELECT hour, (hour << {BLOCK_SHIFT}) + (:series << {OFFSET_BITS}) AS first FROM blocks
    WHERE series = :series AND hour BETWEEN :first_hour AND :last_hour) k
    CROSS JOIN {{table}} b ON b.key >= k.first + max(0, :from - k.hour * {HOUR_MINUTES})
    AND b.key < k.first + min({1 << OFFSET_BITS}, :to - k.hour * {HOUR_MINUTES})"""
_NEWEST: Final = "ORDER BY k.hour DESC, b.key DESC"


def read(
    db: sqlite3.Connection,
    path: Path,
    symbol: Symbol,
    interval: Interval,
    start: int | None,
    end: int | None,
    limit: int | None,
    states: Collection[BarState] | None,
    as_of: int | None,
    newest_first: bool,
) -> "pl.DataFrame":
    """See `BarStore.read`."""
    sources = _sources(db)
    wanted = {BarState(state) for state in (BarState if states is None else states)}
    if as_of is not None:
        wanted.discard(BarState.FORMING)
    bounds = _bounds(db, symbol, interval, start, end)
    rows = np.empty(0, dtype=BAR)
    if bounds is not None and wanted and (limit is None or limit > 0):
        bounds |= {"limit": -1 if limit is None else limit, "as_of": as_of}
        rows = _shown(db, path, bounds, wanted) if as_of is None else _known(db, bounds, wanted, limit)
    return bar_frame(symbol, interval, rows if newest_first else rows[::-1], sources)


def starts(db: sqlite3.Connection, symbol: Symbol, interval: Interval, start: int, end: int) -> NDArray[np.int64]:
    """See `BarStore.starts`."""
    bounds = _bounds(db, symbol, interval, start, end)
    if bounds is None:
        return np.empty(0, np.int64)
    over = f"WHERE b.state != {int(BarState.FORMING)} ORDER BY k.hour, b.key"
    found = db.execute(f"SELECT b.key {_RUNS.format(table='bar_rows')} {over}", bounds)
    keys = np.fromiter((key for (key,) in found), np.int64)
    return ((keys >> BLOCK_SHIFT) * HOUR_MINUTES + (keys & ((1 << OFFSET_BITS) - 1))) * MINUTE_NS


def _bounds(
    db: sqlite3.Connection, symbol: Symbol, interval: Interval, start: int | None, end: int | None
) -> dict[str, Any] | None:
    """Values for `_RUNS`; None where there can be nothing."""
    row = db.execute("SELECT id FROM symbols WHERE exchange = ? AND symbol = ?", symbol).fetchone()
    # A bar starts on a whole minute: at or after `start` is at or after the first whole minute from there.
    first = _FIRST_MINUTE if start is None else -(-start // MINUTE_NS)
    last = _LAST_MINUTE if end is None else -(-end // MINUTE_NS)
    if row is None or first >= last:
        return None
    return {
        "series": int(row[0]) << INTERVAL_BITS | interval,
        "first_hour": block_hour(interval, first),
        "last_hour": block_hour(interval, last),
        "from": first,
        "to": last,
    }


def series(db: sqlite3.Connection) -> list[Series]:
    """See `BarStore.series`."""
    low = f"(k.hour << {BLOCK_SHIFT}) + (k.series << {OFFSET_BITS})"
    run = f"FROM bar_rows b WHERE b.key >= {low} AND b.key < {low} + {1 << OFFSET_BITS}"
    minute = f"k.hour * {HOUR_MINUTES} + (SELECT {{pick}}(b.key) {run}) - ({low})"
    found = db.execute(
        f"SELECT s.exchange, s.symbol, series & {(1 << INTERVAL_BITS) - 1}, sum(n), min(first), max(last) FROM (SELECT "
        f"k.series, (SELECT count(*) {run}) AS n, {minute.format(pick='min')} AS first, "
        f"{minute.format(pick='max')} AS last FROM blocks k) JOIN symbols s ON s.id = series >> {INTERVAL_BITS} "
        "GROUP BY series HAVING sum(n) > 0 ORDER BY s.exchange, s.symbol, series"
    )
    return [
        Series(Symbol(exchange, ticker), Interval(interval), count, first * MINUTE_NS, last * MINUTE_NS)
        for exchange, ticker, interval, count, first, last in found
    ]


def forget(db: sqlite3.Connection, symbol: Symbol) -> int:
    """See `BarStore.forget`; within a transaction. The blocks stay known: other processes count on them."""
    row = db.execute("SELECT id FROM symbols WHERE exchange = ? AND symbol = ?", symbol).fetchone()
    if row is None:
        return 0
    span = {"first": int(row[0]) << INTERVAL_BITS, "last": (int(row[0]) << INTERVAL_BITS) + len(Interval) - 1}
    removed = 0
    blocks = db.execute("SELECT hour, series FROM blocks WHERE series BETWEEN :first AND :last", span).fetchall()
    for hour, series in blocks:
        low = (hour << BLOCK_SHIFT) + (series << OFFSET_BITS)
        bounds = (low, low + (1 << OFFSET_BITS))
        removed += db.execute("DELETE FROM bar_rows WHERE key >= ? AND key < ?", bounds).rowcount
        db.execute("DELETE FROM superseded WHERE key >= ? AND key < ?", bounds)
    return removed


def _shown(db: sqlite3.Connection, path: Path, bounds: dict[str, Any], wanted: set[BarState]) -> NDArray[np.void]:
    source = f"{_RUNS.format(table='bar_rows')} WHERE {_states(wanted)} {_NEWEST} LIMIT :limit"
    if _many(db, bounds):
        # Importing and loading what makes a long read quick would make a short one slow.
        from sinks.sqlite_columns import SELECTED, read_bars

        values = {name: value for name, value in bounds.items() if value is not None}
        rows = read_bars(path, f"SELECT {SELECTED} {source}", values, timeout_s=_TIMEOUT_S)
        if rows is not None:
            return rows
    return fetch(db, source, bounds)[1]


def _many(db: sqlite3.Connection, bounds: dict[str, Any]) -> bool:
    """Whether a read is likely to be a long one."""
    if 0 <= bounds["limit"] < _MANY:
        return False
    count = "SELECT count(*) FROM blocks WHERE series = :series AND hour BETWEEN :first_hour AND :last_hour"
    length = BLOCK_HOURS[bounds["series"] & (1 << INTERVAL_BITS) - 1] * HOUR_MINUTES
    minutes = MINUTES[bounds["series"] & (1 << INTERVAL_BITS) - 1] or 24 * HOUR_MINUTES
    blocks = int(db.execute(count, bounds).fetchone()[0])
    return bool(blocks * (length // minutes) >= _MANY)


def _known(
    db: sqlite3.Connection, bounds: dict[str, Any], wanted: set[BarState], limit: int | None
) -> NDArray[np.void]:
    """Bars as they were known at a moment.

    The bar that is shown is the maximum of all its versions; if it was known by then, it is the maximum of those known
    by then. Only of bars that changed later must the superseded versions be looked at.
    """
    as_shown = (
        f"{_RUNS.format(table='bar_rows')} WHERE {_states(wanted)} AND b.updated_at <= :as_of {_NEWEST} LIMIT :limit"
    )
    keys, rows = fetch(db, as_shown, bounds)
    then = (
        f"{_RUNS.format(table='superseded')} JOIN bar_rows now ON now.key = b.key "
        "WHERE b.updated_at <= :as_of AND now.updated_at > :as_of"
    )
    old_keys, old_rows = fetch(db, then, bounds)
    best = best_of_each(old_keys, old_rows)
    best = best[np.isin(old_rows["state"][best], list(wanted))]
    if not len(best):
        return rows
    keys, rows = np.concatenate((keys, old_keys[best])), np.concatenate((rows, old_rows[best]))
    # Within a series keys rise with time.
    return rows[np.argsort(keys)[::-1][:limit]]


def _states(wanted: set[BarState]) -> str:
    return f"b.state IN ({', '.join(str(int(state)) for state in sorted(wanted))})"


def _sources(db: sqlite3.Connection) -> list[str]:
    """Names of sources by id."""
    found = dict(db.execute("SELECT id, name FROM sources").fetchall())
    return [found.get(place, "") for place in range(max(found, default=0) + 1)]
