"""Ticks of one symbol: the same as by looking at every row, in a fraction of the reading."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import QUOTE, TICK, Aggressor
from sinks.journal import JournalWriter
from sources.journal import JournalReader
from sources.journal_file import DayFile
from sources.journal_ticks import AHEAD_NS, tick_pages, ticks_frame

DAY_NS = 86_400_000_000_000
DAY = 19_675 * DAY_NS
SECOND = 1_000_000_000
BTC = Symbol("SIM", "BTCUSD")
ETH = Symbol("SIM", "ETHUSD")

ROWS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 40 * SECOND),
        st.lists(st.tuples(st.integers(-120, 60), st.integers(0, 1)), min_size=1, max_size=3),
        st.sampled_from(["row", "row", "row", "next day", "note", "quotes"]),
    ),
    max_size=25,
)


@settings(max_examples=settings().max_examples // 3)  # Each makes files and syncs them.
@given(
    rows=ROWS,
    start=st.none() | st.integers(-200, 2000),
    length=st.integers(0, 1500),
    bounded=st.booleans(),
)
def test_ticks_in_a_span_are_those_that_looking_at_every_row_gives(
    tmp_path_factory: pytest.TempPathFactory, rows: list, start: int | None, length: int, bounded: bool
):
    """Live rows and replayed files between each other, days with and without the symbol, notes fresh and stale."""
    folder = tmp_path_factory.mktemp("journal")
    now = [DAY]
    clocks = [DAY, 5 * SECOND, DAY - 7 * DAY_NS, DAY]
    expected = []
    first = None if start is None else DAY + start * SECOND
    last = (DAY if first is None else first) + length * SECOND if bounded else None
    with JournalWriter(folder, lambda: now[0]) as writer, JournalReader(folder) as reader:
        streams = [
            [writer.stream(f"feed{domain}", symbol, FeedKind.TRADES, domain).id for symbol in (BTC, ETH)]
            for domain in range(3)
        ]
        for domain, step, ticks, what in rows:
            if what == "next day":
                now[0] += DAY_NS
            elif what == "note":
                writer._ask_note()
            elif what == "quotes":
                writer.append(RowKind.QUOTES, 0, np.zeros(2, QUOTE))
            own = domain % 3
            clocks[own] += step
            records = np.zeros(len(ticks), TICK)
            records["received_time"] = clocks[own]
            records["event_time"] = [clocks[own] + offset * SECOND for offset, _ in ticks]
            records["stream"] = [streams[own][which] for _, which in ticks]
            seq = writer.append(RowKind.TICKS, own, records)
            expected += [
                (seq, record)
                for record in records.tolist()
                if record[6] in {pair[0] for pair in streams}
                and (first is None or record[0] >= first)
                and (last is None or record[0] < last)
            ]
        pages = [*tick_pages(reader, BTC, first, last)]

    found = [(seq, tick) for page in pages for seq, tick in zip(page.seq.tolist(), page.ticks.tolist(), strict=True)]
    assert found == expected


def test_most_of_the_journal_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A day may be gigabytes; the answer has to come at once."""
    with JournalWriter(tmp_path, lambda: DAY) as writer:
        writer.stream("sim", BTC, FeedKind.TRADES, 0)

        def rows():
            for n in range(5000):
                records = np.zeros(1, TICK)
                records["event_time"] = records["received_time"] = DAY + n * SECOND
                yield RowKind.TICKS, 0, records

        writer.append_many(rows())
    looked = []
    real = DayFile.row_from
    monkeypatch.setattr(DayFile, "row_from", lambda self, *args: looked.append(1) or real(self, *args))
    with JournalReader(tmp_path) as reader:
        begin, end = DAY + 2000 * SECOND, DAY + 2010 * SECOND
        read = []
        whole = reader.read
        monkeypatch.setattr(reader, "read", lambda after, **most: read.append(rows := whole(after, **most)) or rows)
        (page,) = tick_pages(reader, BTC, begin, end, late_ns=0)
    assert page.seq.tolist() == [*range(2001, 2011)]
    assert len(looked) < 40
    assert read[0][0].seq == 2001 - AHEAD_NS // SECOND


def test_the_frame_has_the_columns_that_users_read(tmp_path: Path):
    with JournalWriter(tmp_path, lambda: DAY) as writer:
        stream = writer.stream("kraken", BTC, FeedKind.TRADES, 0)
        records = np.zeros(3, TICK)
        records["event_time"] = DAY + np.arange(3)
        records["received_time"] = DAY + 5
        records["price"], records["size"], records["count"] = 1.5, 2.5, 1
        records["trade_id"] = [7, -1, 8]
        records["aggressor"] = [Aggressor.BUY, Aggressor.SELL, Aggressor.UNKNOWN]
        records["stream"] = stream.id
        writer.append(RowKind.TICKS, 0, records)
    with JournalReader(tmp_path) as reader:
        frame = ticks_frame([*tick_pages(reader, BTC)], reader.streams())
        empty = ticks_frame([], reader.streams())

    assert frame.columns == [
        "seq", "exchange", "symbol", "event_time", "received_time", "price", "size", "count", "aggressor", "trade_id",
        "feed",
    ]  # fmt: skip
    assert frame.schema == empty.schema
    assert frame.drop("event_time", "received_time").rows() == [
        (1, "SIM", "BTCUSD", 1.5, 2.5, 1, "buy", 7, "kraken"),
        (1, "SIM", "BTCUSD", 1.5, 2.5, 1, "sell", None, "kraken"),
        (1, "SIM", "BTCUSD", 1.5, 2.5, 1, "", 8, "kraken"),
    ]
    assert frame["event_time"].to_physical().to_list() == [DAY, DAY + 1, DAY + 2]
