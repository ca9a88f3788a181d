"""Journal records and bars as Arrow tables, and as Parquet files of them: columns, types and encodings.

Without loss: `*_records` gives back what `*_table` was given. Parquet's own encodings are chosen by column, since they
decide the size: stamps and numbers that rise are stored by their differences, names by dictionary, floats as they are
(zstd does better on whole prices than on their bytes apart).
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from market.streams import Stream
from market.ticks import ALL_STREAMS, ALWAYS, MARK, NEVER, QUOTE, TICK, Aggressor, Batch, MarkKind, SessionState

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

ROW_GROUP: Final = 1 << 17
"""Rows whose columns lie together: what a reader of one symbol or hour has to skip or read."""

COMPRESSION_LEVEL: Final = 3
SMALL: Final = 1 << 13
"""Rows of a file that is compressed as well as can be, since it takes no time to speak of."""
SMALL_LEVEL: Final = 15

_TIME: Final = pa.timestamp("ns", tz="UTC")
_DELTA: Final = "DELTA_BINARY_PACKED"
_PLAIN: Final = "PLAIN"

_SIDES: Final = {Aggressor.SELL: "sell", Aggressor.UNKNOWN: "", Aggressor.BUY: "buy"}
_NAMES: Final = ("exchange", "symbol", "feed")


class Kind(StrEnum):
    """What a file of the archive holds; the name of its top folder."""

    TICKS = "ticks"
    QUOTES = "quotes"
    MARKS = "marks"
    BARS = "bars"


SCHEMAS: Final[Mapping[Kind, "pa.Schema"]] = {
    Kind.TICKS: pa.schema(
        [
            ("seq", pa.int64()),
            ("exchange", pa.string()),
            ("symbol", pa.string()),
            ("event_time", _TIME),
            ("received_time", _TIME),
            ("price", pa.float64()),
            ("size", pa.float64()),
            ("count", pa.uint32()),
            ("aggressor", pa.string()),
            ("trade_id", pa.int64()),
            ("feed", pa.string()),
            ("flags", pa.uint8()),
            ("place", pa.int32()),
            ("stream", pa.uint16()),
        ]
    ),
    Kind.QUOTES: pa.schema(
        [
            ("seq", pa.int64()),
            ("exchange", pa.string()),
            ("symbol", pa.string()),
            ("event_time", _TIME),
            ("received_time", _TIME),
            ("last", pa.float64()),
            ("bid", pa.float64()),
            ("ask", pa.float64()),
            ("bid_size", pa.float64()),
            ("ask_size", pa.float64()),
            ("session", pa.string()),
            ("feed", pa.string()),
            ("flags", pa.uint8()),
            ("place", pa.int32()),
            ("stream", pa.uint16()),
        ]
    ),
    Kind.MARKS: pa.schema(
        [
            ("seq", pa.int64()),
            ("exchange", pa.string()),
            ("symbol", pa.string()),
            ("time", _TIME),
            ("start", _TIME),
            ("end", _TIME),
            ("kind", pa.string()),
            ("feed", pa.string()),
            ("domain", pa.int32()),
            ("place", pa.int32()),
            ("stream", pa.uint16()),
        ]
    ),
    Kind.BARS: pa.schema(
        [
            ("exchange", pa.string()),
            ("symbol", pa.string()),
            ("interval", pa.string()),
            ("start", _TIME),
            ("end", _TIME),
            ("open", pa.float64()),
            ("high", pa.float64()),
            ("low", pa.float64()),
            ("close", pa.float64()),
            ("volume", pa.float64()),
            ("notional", pa.float64()),
            ("trades", pa.int64()),
            ("vwap", pa.float64()),
            ("state", pa.string()),
            ("source", pa.string()),
            ("revision", pa.uint32()),
            ("updated_at", _TIME),
        ]
    ),
}
"""Columns by kind.

ticks: those of `pq ticks`, then flags (`TickFlag`), place (of the tick in its journal row) and stream (its id in the
journal). quotes: likewise; null is not known. marks: `market.ticks.MarkKind` in small letters; start is null for
`ALWAYS`, end for `NEVER`, and a mark of the clock has no stream. bars: those of `pq bars`.
"""

_SHORT: Final = frozenset({"aggressor", "count", "flags", "session", "kind", "domain", "stream", "revision", "state"})
"""Columns of few values; with the names, those stored by dictionary."""

_FOUND_BY: Final = frozenset({"exchange", "symbol", "seq", "event_time", "start"})
"""Columns whose least and greatest value is noted by row group, so that readers can skip what they do not want."""


def write_parquet(table: "pa.Table", path: "Path") -> None:
    """Write a table of one of `SCHEMAS` to a file, with a check over each page.

    Raises:
        OSError: The disk is full or fails.
    """
    dictionary = [
        field.name
        for field in table.schema
        if pa.types.is_dictionary(field.type) or field.name in _SHORT | {"source", "interval", *_NAMES}
    ]
    encoding = {
        field.name: _PLAIN if pa.types.is_floating(field.type) else _DELTA
        for field in table.schema
        if field.name not in dictionary
    }
    pq.write_table(
        table,
        path,
        row_group_size=ROW_GROUP,
        compression="zstd",
        compression_level=SMALL_LEVEL if len(table) <= SMALL else COMPRESSION_LEVEL,
        use_dictionary=dictionary,
        column_encoding=encoding,
        write_statistics=[name for name in table.column_names if name in _FOUND_BY],
        write_page_checksum=True,
        # The Parquet types say all; Arrow's copy of them would be a tenth of a small file.
        store_schema=False,
    )


def read_parquet(source: Any, filters: Any = None) -> Any:
    """A table of one of `SCHEMAS` out of a file, each page checked; names stay coded.

    Args:
        source: A path, or a file.
        filters: Rows that answer these only, as `pyarrow.parquet.read_table` takes them.

    Raises:
        OSError, pyarrow.ArrowException: It cannot be read, or is damaged.
    """
    coded = [*_NAMES, "aggressor", "session", "kind", "state", "source", "interval"]
    return pq.read_table(
        source, filters=filters, read_dictionary=coded, page_checksum_verification=True, partitioning=None
    )


def same(one: "pa.Table", other: "pa.Table") -> bool:
    """Whether two tables hold the same in the same order; names may be coded differently."""
    if one.column_names != other.column_names or len(one) != len(other):
        return False
    for mine, yours in zip(one.columns, other.columns, strict=True):
        if pa.types.is_dictionary(mine.type) and pa.types.is_dictionary(yours.type):
            texts: dict[str | None, int] = {None: -1}
            equal = np.array_equal(_codes(mine, texts), _codes(yours, texts))
        else:
            equal = mine.type == yours.type and mine.equals(yours)
        if not equal:
            return False
    return True


def tick_table(ticks: Batch, seqs: NDArray[np.int64], places: NDArray[np.int32], streams: Sequence[Stream]) -> Any:
    """Ticks as a table, in the order given.

    Args:
        ticks: n `TICK` records.
        seqs: n: the journal row of each.
        places: n: its place in that row.
        streams: The journal's, by id.
    """
    trade_ids = ticks["trade_id"]
    sides = [_SIDES[Aggressor(side)] for side in range(-1, 2)]
    return _table(
        Kind.TICKS,
        {
            "seq": seqs,
            **_stream_names(ticks["stream"], streams),
            "event_time": ticks["event_time"],
            "received_time": ticks["received_time"],
            "price": ticks["price"],
            "size": ticks["size"],
            "count": ticks["count"],
            "aggressor": _coded(ticks["aggressor"].astype(np.int32) + 1, sides),
            "trade_id": pa.array(trade_ids, mask=trade_ids == -1),
            "flags": ticks["flags"],
            "place": places,
            "stream": ticks["stream"],
        },
    )


def tick_records(table: "pa.Table") -> tuple[Batch, NDArray[np.int64], NDArray[np.int32]]:
    """The records of a table of ticks, with the row and the place of each."""
    ticks = np.zeros(len(table), TICK)
    for name in ("event_time", "received_time", "price", "size", "count", "flags", "stream"):
        ticks[name] = _values(table, name)
    ticks["trade_id"] = _values(table, "trade_id", -1)
    ticks["aggressor"] = _decoded(table, "aggressor", {text: int(side) for side, text in _SIDES.items()})
    return ticks, _values(table, "seq"), _values(table, "place")


def quote_table(quotes: Batch, seqs: NDArray[np.int64], places: NDArray[np.int32], streams: Sequence[Stream]) -> Any:
    """Quotes as a table; the arguments are those of `tick_table`."""
    sessions = [state.name.lower() for state in SessionState]
    return _table(
        Kind.QUOTES,
        {
            "seq": seqs,
            **_stream_names(quotes["stream"], streams),
            "event_time": quotes["event_time"],
            "received_time": quotes["received_time"],
            **{
                name: pa.array(quotes[name], mask=np.isnan(quotes[name]))
                for name in ("last", "bid", "ask", "bid_size", "ask_size")
            },
            "session": _coded(quotes["session"].astype(np.int32), sessions),
            "flags": quotes["flags"],
            "place": places,
            "stream": quotes["stream"],
        },
    )


def quote_records(table: "pa.Table") -> tuple[Batch, NDArray[np.int64], NDArray[np.int32]]:
    """The records of a table of quotes, with the row and the place of each."""
    quotes = np.zeros(len(table), QUOTE)
    for name in ("event_time", "received_time", "flags", "stream"):
        quotes[name] = _values(table, name)
    for name in ("last", "bid", "ask", "bid_size", "ask_size"):
        quotes[name] = _values(table, name, np.nan)
    quotes["session"] = _decoded(table, "session", {state.name.lower(): int(state) for state in SessionState})
    return quotes, _values(table, "seq"), _values(table, "place")


def mark_table(
    marks: Batch,
    seqs: NDArray[np.int64],
    places: NDArray[np.int32],
    domains: NDArray[np.int32],
    streams: Sequence[Stream],
) -> Any:
    """Marks as a table; the arguments are those of `tick_table`, and the clock domain of each mark's row."""
    ids = marks["stream"]
    everyone = ids == ALL_STREAMS
    kinds = [kind.name.lower() for kind in MarkKind]
    return _table(
        Kind.MARKS,
        {
            "seq": seqs,
            **_stream_names(np.where(everyone, 0, ids), streams, everyone),
            "time": marks["time"],
            "start": pa.array(marks["start"], mask=marks["start"] == ALWAYS),
            "end": pa.array(marks["end"], mask=marks["end"] == NEVER),
            "kind": _coded(marks["kind"].astype(np.int32) - MarkKind.CLOCK, kinds),
            "domain": domains,
            "place": places,
            "stream": pa.array(ids, mask=everyone),
        },
    )


def mark_records(table: "pa.Table") -> tuple[Batch, NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """The records of a table of marks, with the row, the place and the clock domain of each."""
    marks = np.zeros(len(table), MARK)
    marks["time"] = _values(table, "time")
    marks["start"] = _values(table, "start", ALWAYS)
    marks["end"] = _values(table, "end", NEVER)
    marks["stream"] = _values(table, "stream", ALL_STREAMS)
    marks["kind"] = _decoded(table, "kind", {kind.name.lower(): int(kind) for kind in MarkKind})
    return marks, _values(table, "seq"), _values(table, "place"), _values(table, "domain")


def bar_table(frame: "pl.DataFrame") -> Any:
    """A frame of bars, with the columns `market.bars.COLUMNS`, as a table."""
    schema = SCHEMAS[Kind.BARS]
    table = frame.select(schema.names).to_arrow()
    return pa.table([column.cast(field.type) for column, field in zip(table.columns, schema, strict=True)], schema)


def _table(kind: Kind, columns: Mapping[str, Any]) -> Any:
    """Columns as a table of a kind; names stay coded, since they are stored so."""
    arrays, fields = [], []
    for field in SCHEMAS[kind]:
        values = columns[field.name]
        if isinstance(values, np.ndarray):
            values = pa.array(np.ascontiguousarray(values))
        if not pa.types.is_dictionary(values.type) and values.type != field.type:
            values = values.cast(field.type) if values.type != pa.int64() else values.view(field.type)
        arrays.append(values)
        fields.append(pa.field(field.name, values.type))
    return pa.table(arrays, pa.schema(fields))


def _stream_names(
    ids: NDArray[np.uint16], streams: Sequence[Stream], none: NDArray[np.bool_] | None = None
) -> dict[str, Any]:
    """Exchange, symbol and feed of each record, coded; null where `none` says so."""
    parts = {
        "exchange": [stream.symbol.exchange for stream in streams],
        "symbol": [stream.symbol.ticker for stream in streams],
        "feed": [stream.feed for stream in streams],
    }
    found = {}
    for name, texts in parts.items():
        # Each text once, however many streams share it, so that the codes are short.
        distinct = list(dict.fromkeys(texts)) or [""]
        place = {text: code for code, text in enumerate(distinct)}
        code_of = np.array([place[text] for text in texts] or [0], np.int32)
        found[name] = _coded(code_of[ids], distinct, none)
    return found


def _coded(codes: NDArray[np.int32], texts: Sequence[str], none: NDArray[np.bool_] | None = None) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=none), pa.array(list(texts), pa.string()))


def _decoded(table: "pa.Table", name: str, values: Mapping[str, int]) -> NDArray[np.int64]:
    """The numbers that a column of texts stands for."""
    column = table[name].combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    numbers = np.array([values[text] for text in column.dictionary.to_pylist()] or [0], np.int64)
    found: NDArray[np.int64] = numbers[column.indices.to_numpy(zero_copy_only=False)]
    return found


def _codes(column: "pa.ChunkedArray", texts: dict[str | None, int]) -> NDArray[np.int32]:
    """A number for each text, the same for both of two columns; `texts` grows."""
    parts = [np.empty(0, np.int32)]
    for chunk in column.chunks:
        numbers = np.array(
            [texts.setdefault(text, len(texts)) for text in chunk.dictionary.to_pylist()] or [0], np.int32
        )
        indices = chunk.indices
        found = np.take(numbers, indices.fill_null(0).to_numpy(zero_copy_only=False))
        if indices.null_count:
            found[indices.is_null().to_numpy(zero_copy_only=False)] = -1
        parts.append(found)
    return np.concatenate(parts)


def _values(table: "pa.Table", name: str, null: Any = None) -> NDArray[Any]:
    """A column as numbers."""
    column = table[name]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if null is not None and column.null_count:
        column = column.fill_null(pa.scalar(null, column.type))
    found: NDArray[Any] = column.to_numpy()
    return found
