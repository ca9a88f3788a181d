"""What a desk wrote down, read by the stores' own readers."""

from typing import Any

from crash.desk import Desk

from market.intervals import parse_interval
from market.journal_rows import RowKind
from market.symbols import parse_symbol
from market.ticks import TICK
from sinks.bar_store import open_store
from sources.journal import JournalReader


def last_seq(desk: Desk) -> int:
    """Newest row of the journal."""
    return JournalReader(desk.folder / "journal").last_seq()


def journaled(desk: Desk) -> dict[str, list[int]]:
    """Trade ids by symbol, in the journal's order, with any repetition."""
    reader = JournalReader(desk.folder / "journal")
    names = {stream.id: str(stream.symbol) for stream in reader.streams()}
    ids: dict[str, list[int]] = {name: [] for name in names.values()}
    after = 0
    while rows := reader.read(after, max_rows=10_000):
        for row in rows:
            if row.kind == RowKind.TICKS:
                assert row.records.dtype == TICK
                for tick in row.records:
                    ids[names[int(tick["stream"])]].append(int(tick["trade_id"]))
        after = rows[-1].seq
    return ids


def stored(desk: Desk, symbol: str, interval: str, where: str | None = None) -> list[dict[str, Any]]:
    """All bars of a symbol in the desk's store, or in the one at `where`."""
    store = open_store(where or desk.folder / "bars.sqlite", read_only=True)
    try:
        return store.read(parse_symbol(symbol), parse_interval(interval)).to_dicts()
    finally:
        store.close()
