"""Bars as MongoDB documents: the upsert that is the rule in one operation, and documents back to rows.

A bar is `{exchange, symbol, interval, start, bar: {version, updated_at, ...}, known}`. MongoDB compares embedded
documents field by field in their order, so `$max` on `bar` with the version and `updated_at` first *is* the rule: one
atomic operation by the unique key alone. (A guard in the filter makes some servers scan; an update written as a
pipeline is not had on all.) `known` is the smallest `updated_at` of any logged version: what reads as of a moment ask
first.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np
from bson.datetime_ms import DatetimeMS
from numpy.typing import NDArray

from market.bars import BAR, BarState
from market.intervals import NAMES, Interval
from market.symbols import Symbol
from sinks.upsert_rule import NEVER

MILLISECOND_NS: Final = 1_000_000
LOGGED_VERSION: Final = 1 << 32
"""Versions from here on are those of bars that are over."""

_STATES: Final = [str(state) for state in BarState]
_STATE_OF: Final = {name: place for place, name in enumerate(_STATES)}


def upserts(
    rows: NDArray[np.void],
    versions: NDArray[np.int64],
    symbols: Sequence[Symbol],
    sources: Sequence[str],
    known: NDArray[np.int64],
) -> Iterator[dict[str, Any]]:
    """One operation a bar, as the server's `update` command takes it: half the work of the driver's own objects.

    Args:
        rows: `BAR` records.
        versions: Rank and revision of each (`upsert_rule.versions`).
        symbols: By `stream`.
        sources: By `stream`.
        known: Smallest `updated_at` of the logged versions of each; `NEVER` where none is logged.
    """
    columns = zip(
        rows["stream"].tolist(),
        rows["interval"].tolist(),
        _dates(rows["start"]),
        _dates(rows["end"]),
        versions.tolist(),
        rows["updated_at"].tolist(),
        rows["open"].tolist(),
        rows["high"].tolist(),
        rows["low"].tolist(),
        rows["close"].tolist(),
        rows["volume"].tolist(),
        rows["notional"].tolist(),
        rows["trades"].tolist(),
        rows["state"].tolist(),
        rows["revision"].tolist(),
        known.tolist(),
        strict=True,
    )
    for (
        stream,
        interval,
        start,
        end,
        version,
        updated_at,
        open_,
        high,
        low,
        close,
        volume,
        notional,
        trades,
        state,
        revision,
        first,
    ) in columns:
        exchange, ticker = symbols[stream]
        update: dict[str, Any] = {
            "$max": {
                "bar": {
                    "version": version,
                    "updated_at": updated_at,
                    "state": _STATES[state],
                    "revision": revision,
                    "source": sources[stream],
                    "end": end,
                    "open": open_,
                    "high": high,
                    "low": low,
                    "close": close,
                    "volume": volume,
                    "notional": notional,
                    "trades": trades,
                }
            }
        }
        if first != NEVER:
            update["$min"] = {"known": first}
        key = {"exchange": exchange, "symbol": ticker, "interval": NAMES[interval], "start": start}
        yield {"q": key, "u": update, "upsert": True}


def _dates(times_ns: NDArray[np.int64]) -> list[datetime]:
    """MongoDB's dates of whole milliseconds, made without a step of Python for each."""
    found: list[datetime] = times_ns.astype("datetime64[ns]").astype("datetime64[ms]").tolist()
    return found


def moment(time_ns: int) -> DatetimeMS:
    """A moment as MongoDB's date, rounded up to its milliseconds: whole seconds still compare with it rightly."""
    return DatetimeMS(-(-time_ns // MILLISECOND_NS))


def from_documents(documents: Iterable[dict[str, Any]], interval: Interval) -> tuple[NDArray[np.void], list[str]]:
    """`BAR` records of one series' documents, in their order, and the sources that their `stream` indexes."""
    found = [(document["start"], document["bar"]) for document in documents]
    rows = np.zeros(len(found), dtype=BAR)
    rows["interval"] = interval
    rows["seq"] = -1
    if not found:
        return rows, []
    rows["start"] = [int(start) for start, _ in found]
    rows["end"] = [int(bar["end"]) for _, bar in found]
    rows["start"] *= MILLISECOND_NS
    rows["end"] *= MILLISECOND_NS
    for name in ("open", "high", "low", "close", "volume", "notional", "trades", "revision", "updated_at"):
        rows[name] = [bar[name] for _, bar in found]
    rows["state"] = [_STATE_OF[bar["state"]] for _, bar in found]
    sources: dict[str, int] = {}
    rows["stream"] = [sources.setdefault(bar["source"], len(sources)) for _, bar in found]
    return rows, list(sources)
