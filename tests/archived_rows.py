"""Journal rows for tests of the archive."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from market.journal_rows import LAYOUT, RowKind, RowValues, checksum
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import ALL_STREAMS, ALWAYS, MARK, NEVER, QUOTE, TICK, Aggressor, MarkKind

STREAMS = (
    Stream(0, "kraken", Symbol("KRAKEN", "BTCUSD"), FeedKind.TRADES, 0),
    Stream(1, "file:3f2a9c01", Symbol("KRAKEN", "BTCUSD"), FeedKind.TRADES, 1),
    Stream(2, "coinbase", Symbol("COINBASE", "ETH/USD"), FeedKind.TRADES, 0),
    Stream(3, "tradingview", Symbol("NYSE", "BRK.B"), FeedKind.CONFLATED, 0, extended=True),
)
"""Two feeds of one symbol, a ticker with a slash, and two clock domains."""

DAY_NS = 1_767_312_000 * 10**9
"""2026-01-02T00:00:00Z."""


def row(seq: int, kind: RowKind, records: np.ndarray, domain: int = 0, clock: int | None = None) -> RowValues:
    """A row as the journal holds it."""
    assert records.dtype == LAYOUT[kind]
    stamp = "time" if kind == RowKind.MARKS else "received_time"
    own = int(records[stamp][-1]) if clock is None else clock
    payload = records.tobytes()
    return (
        seq,
        int(kind),
        domain,
        own,
        len(records),
        payload,
        checksum(seq, kind, domain, own, len(records), payload),
    )


def ticks(*prices: float, stream: int = 0, at: int = DAY_NS, **fields: object) -> np.ndarray:
    """Ticks a millisecond apart, received a millisecond after."""
    records = np.zeros(len(prices), TICK)
    records["event_time"] = at + np.arange(len(prices)) * 10**6
    records["received_time"] = records["event_time"] + 10**6
    records["price"] = prices
    records["size"] = 0.25
    records["trade_id"] = np.arange(len(prices)) + 7
    records["count"] = 1
    records["stream"] = stream
    records["aggressor"] = Aggressor.BUY
    for name, value in fields.items():
        records[name] = value
    return records


def quotes(*bids: float, stream: int = 0, at: int = DAY_NS) -> np.ndarray:
    """Quotes of which no more than the bid is known."""
    records = np.zeros(len(bids), QUOTE)
    records["event_time"] = records["received_time"] = at + np.arange(len(bids)) * 10**6
    records["bid"] = bids
    for name in ("last", "ask", "bid_size", "ask_size"):
        records[name] = np.nan
    records["stream"] = stream
    records["session"] = 1
    return records


def marks(*kinds: MarkKind, stream: int = ALL_STREAMS, at: int = DAY_NS) -> np.ndarray:
    """Marks of a moment; `start` and `end` reach as far as they can."""
    records = np.zeros(len(kinds), MARK)
    records["time"] = at
    records["start"] = ALWAYS
    records["end"] = NEVER
    records["kind"] = kinds
    records["stream"] = stream
    return records


_TIMES = st.integers(-(2**62), 2**62)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_KNOWN_OR_NOT = st.one_of(st.just(float("nan")), _FLOATS)


def _records(kind: RowKind, streams: Sequence[int]) -> st.SearchStrategy[np.ndarray]:
    stream = st.sampled_from(list(streams))
    byte = st.integers(0, 255)
    if kind == RowKind.TICKS:
        parts = (
            _TIMES, _TIMES, _FLOATS, _FLOATS, st.integers(-1, 2**63 - 1), st.integers(0, 2**32 - 1), stream,
            st.sampled_from([-1, 0, 1]), byte,
        )  # fmt: skip
        layout = TICK
    elif kind == RowKind.QUOTES:
        parts = (_TIMES, _TIMES, *[_KNOWN_OR_NOT] * 5, stream, st.integers(0, 4), byte, st.just(0))
        layout = QUOTE
    else:
        span = st.one_of(_TIMES, st.sampled_from([ALWAYS, NEVER]))
        who = st.one_of(stream, st.just(ALL_STREAMS))
        parts = (_TIMES, span, span, st.integers(1, 9), st.just(0), who, st.just(0))
        layout = MARK
    return st.lists(st.tuples(*parts), min_size=1, max_size=8).map(lambda found: np.array(found, layout))


@st.composite
def journals(draw: st.DrawFn) -> list[RowValues]:
    """Some rows of every kind, with whatever values their columns can hold."""
    rows = []
    seq = 0
    for kind in draw(st.lists(st.sampled_from(list(RowKind)), min_size=1, max_size=12)):
        seq += draw(st.sampled_from([1, 1, 1, 1 << 20]))
        domain = draw(st.sampled_from([0, 0, 1]))
        # A journal's row is of one domain, and its streams are too; only a damaged or future one might not be.
        of_domain = [stream.id for stream in STREAMS if stream.domain == domain or draw(st.booleans())]
        clock = draw(st.one_of(st.none(), _TIMES))
        rows.append(row(seq, kind, draw(_records(kind, of_domain or [0])), domain, clock))
    return rows
