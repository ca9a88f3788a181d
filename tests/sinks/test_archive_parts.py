"""What is archived comes back as it was journaled, through the file, to the last bit."""

import io

import numpy as np
import pyarrow as pa
import pytest
from archived_rows import STREAMS, journals, marks, quotes, row, ticks
from hypothesis import given

from market.journal_rows import RowKind, RowValues
from market.ticks import MarkKind
from sinks.archive_parts import put_together, take_apart
from sinks.archive_tables import read_parquet, same, write_parquet


def through_files(rows: list[RowValues]) -> list[RowValues]:
    """Rows taken apart, written, read and put together."""
    taken = take_apart(rows, STREAMS)
    tables = {}
    for kind, part in taken.tables.items():
        file = io.BytesIO()
        write_parquet(part.table, file)
        tables[kind] = read_parquet(io.BytesIO(file.getvalue()))
        assert same(part.table, tables[kind])
    return put_together(tables, taken.odd, STREAMS)


@given(journals())
def test_every_row_comes_back_with_every_column(rows: list[RowValues]):
    """Whatever the numbers, the order within the row, the domain or the clock; the journal's own check says so too."""
    assert through_files(rows) == rows


def test_a_table_is_sorted_by_symbol_and_feed_and_then_as_journaled():
    """By hand: two rows, three streams of two symbols."""
    rows = [
        row(1, RowKind.TICKS, np.concatenate([ticks(1.0, 2.0), ticks(3.0, stream=2), ticks(4.0)])),
        row(2, RowKind.TICKS, ticks(5.0, 6.0, stream=1), domain=1),
        row(3, RowKind.TICKS, ticks(7.0)),
    ]

    table = take_apart(rows, STREAMS).tables[RowKind.TICKS].table

    columns = table.select(["symbol", "feed", "seq", "place", "price"]).to_pydict().values()
    assert list(zip(*columns, strict=True)) == [
        ("ETH/USD", "coinbase", 1, 2, 3.0),
        ("BTCUSD", "file:3f2a9c01", 2, 0, 5.0),
        ("BTCUSD", "file:3f2a9c01", 2, 1, 6.0),
        ("BTCUSD", "kraken", 1, 0, 1.0),
        ("BTCUSD", "kraken", 1, 1, 2.0),
        ("BTCUSD", "kraken", 1, 3, 4.0),
        ("BTCUSD", "kraken", 3, 0, 7.0),
    ]


def test_what_a_venue_does_not_say_is_null_or_empty():
    """As `pq ticks` shows it: -1 is no trade id, and a conflated feed has no aggressor."""
    rows = [row(1, RowKind.TICKS, ticks(1.0, trade_id=-1, aggressor=0)), row(2, RowKind.QUOTES, quotes(2.0))]

    tables = {kind: part.table for kind, part in take_apart(rows, STREAMS).tables.items()}

    assert tables[RowKind.TICKS].select(["trade_id", "aggressor"]).to_pylist() == [{"trade_id": None, "aggressor": ""}]
    assert tables[RowKind.QUOTES].select(["bid", "ask", "session"]).to_pylist() == [
        {"bid": 2.0, "ask": None, "session": "open"}
    ]


def test_a_mark_of_the_clock_has_no_symbol_and_open_ends_are_null():
    rows = [row(1, RowKind.MARKS, np.concatenate([marks(MarkKind.CLOCK), marks(MarkKind.DOWN, stream=3)]))]

    table = take_apart(rows, STREAMS).tables[RowKind.MARKS].table

    assert table.select(["symbol", "kind", "start", "end", "stream"]).to_pylist() == [
        {"symbol": "BRK.B", "kind": "down", "start": None, "end": None, "stream": 3},
        {"symbol": None, "kind": "clock", "start": None, "end": None, "stream": None},
    ]


@pytest.mark.parametrize(
    "field", [{"price": 3.0}, {"aggressor": -1}, {"event_time": 5}, {"trade_id": -1}, {"stream": 2}, {"count": 2}]
)
def test_tables_that_differ_in_any_column_are_not_the_same(field: dict):
    """What is read back after writing is compared by this."""

    def table(**last: object) -> pa.Table:
        records = ticks(1.0, 2.0)
        for name, value in last.items():
            records[name][1] = value
        return take_apart([row(1, RowKind.TICKS, records)], STREAMS).tables[RowKind.TICKS].table

    plain = table()
    assert same(plain, table())
    assert not same(plain, table(**field))
    assert not same(plain, plain.slice(1))
    assert not same(plain, plain.drop_columns(["price"]))


def test_names_may_be_coded_in_other_ways():
    """Each group of rows in a file has codes of its own."""
    one = pa.table({"symbol": pa.array(["B", "A", None, "A"]).dictionary_encode()})
    parts = [["B"], ["A", None], ["A"]]
    other = pa.table({"symbol": pa.chunked_array([pa.array(part).dictionary_encode() for part in parts])})

    assert same(one, other)
    assert not same(one, pa.table({"symbol": pa.array(["B", "A", "A", "A"]).dictionary_encode()}))
    assert not same(one, pa.table({"symbol": pa.array(["B", "B", None, "A"]).dictionary_encode()}))
