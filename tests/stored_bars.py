"""Bars for tests of the bar store, spelled briefly, and what a store shows of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from market.bars import BAR, BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.bar_store import BarStore, Written

CLOSED, PARTIAL, HEALED, OFFICIAL, FORMING = (
    BarState.CLOSED,
    BarState.PARTIAL,
    BarState.HEALED,
    BarState.OFFICIAL,
    BarState.FORMING,
)

SYMBOLS = (Symbol("KRAKEN", "BTCUSD"), Symbol("KRAKEN", "ETHUSD"), Symbol("NYSE", "BRK.B"))
STREAMS = tuple(
    Stream(place, feed, symbol, FeedKind.TRADES, 0)
    for place, (feed, symbol) in enumerate((feed, symbol) for feed in ("kraken", "file:3f2a9c01") for symbol in SYMBOLS)
)
BEGIN_NS = 1_704_067_200_000_000_000
"""2024-01-01T00:00:00Z, a Monday."""


def bar(minute: int = 0, close: float = 10.0, **fields: Any) -> np.ndarray:
    """A closed one-minute bar, first revision, known two seconds after its end; anything may be said otherwise."""
    row = np.zeros(1, dtype=BAR)
    start = BEGIN_NS + minute * MINUTE_NS
    defaults: dict[str, Any] = {
        "start": start,
        "end": start + MINUTE_NS,
        "open": 9.0,
        "high": max(close, 11.0),
        "low": min(close, 8.0),
        "close": close,
        "volume": 2.0,
        "notional": 20.5,
        "trades": 3,
        "updated_at": start + MINUTE_NS + 2_000_000_000,
        "seq": minute + 1,
        "revision": 1,
        "stream": 0,
        "interval": Interval.M1,
        "state": BarState.CLOSED,
    }
    for name, value in (defaults | fields).items():
        row[name] = value
    return row


def batch(*bars: np.ndarray) -> BarBatch:
    """The bars as one batch."""
    return BarBatch(np.concatenate(bars) if bars else np.empty(0, dtype=BAR), STREAMS)


def shown(store: BarStore, columns: Sequence[str] = ("close", "state", "revision"), **query: Any) -> list[tuple]:
    """Some columns of the one-minute bars of the first symbol, oldest first unless told."""
    query = {"symbol": SYMBOLS[0], "interval": Interval.M1, "newest_first": False} | query
    return store.read(**query).select(columns).rows()


def logged(store: BarStore, writer: str | None = None) -> list[tuple[str, int, str, int, float, int]]:
    """The log as (writer, place, ticker, minute, close, revision)."""
    return [
        (
            part.writer,
            seq,
            part.names[row["stream"]].symbol.ticker,
            (int(row["start"]) - BEGIN_NS) // MINUTE_NS,
            float(row["close"]),
            int(row["revision"]),
        )
        for part in store.revisions(writer)
        for seq, row in zip(part.seqs.tolist(), part.rows, strict=True)
    ]


def imported(store: BarStore, *bars: np.ndarray, writer: str = "import") -> Written:
    """Upsert as a writer whose revisions the store counts."""
    return store.upsert(batch(*bars), writer=writer, own_revisions=False)


def live(store: BarStore, *bars: np.ndarray, upto: int) -> Written:
    """Upsert as the bars dataflow."""
    return store.upsert(batch(*bars), writer="bars", upto=upto, own_revisions=True)
