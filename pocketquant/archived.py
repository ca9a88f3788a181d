"""Reads of the archive, where there is one: what the journal has let go, and bars without the store."""

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from infra.settings import Settings
from market.symbols import Symbol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from market.ticks import Batch
    from sinks.parquet_archive import ParquetArchive
    from sinks.places import Place

Tick = tuple[Any, ...]

_AGGRESSORS: Final = {-1: "sell", 1: "buy"}


def place_of(settings: Settings) -> "Place | None":
    """Where the archive is; None where none was ever made."""
    if settings.archive_to is None and not settings.folders.archive.is_dir():
        return None
    from history.desk import HistoryDesk

    return HistoryDesk(settings).archive_place


def archive_of(settings: Settings) -> "ParquetArchive | None":
    """The archive; None where none was ever made."""
    from history.desk import HistoryDesk

    return HistoryDesk(settings).archive


def archived_ticks(
    settings: Settings, symbol: Symbol, start: int | None, end: int | None, before_seq: int | None
) -> Iterator[Tick]:
    """Ticks of a symbol that are in the archive, in the order of the journal, in the order of `TICK_KINDS`.

    Args:
        settings: Of the desk.
        symbol: The instrument.
        start: First event time, ns.
        end: Ticks before this event time, ns.
        before_seq: Rows of the journal below this only: those that it has let go. None for all.

    Raises:
        DeskError: The archive cannot be read.
    """
    archive = _with_rows_before(settings, before_seq)
    if archive is None:
        return
    feeds = {stream.id: stream.feed for stream in archive.streams()}
    for seqs, ticks in archive.ticks(symbol, start, end, before_seq):
        yield from _rows(symbol, seqs, ticks, feeds)


def newest_archived_ticks(
    settings: Settings, symbol: Symbol, start: int | None, end: int | None, before_seq: int | None, limit: int
) -> list[Tick]:
    """The last `limit` of what `archived_ticks` gives, without reading all of it."""
    archive = _with_rows_before(settings, before_seq)
    found: deque[Tick] = deque()
    if archive is None:
        return []
    feeds = {stream.id: stream.feed for stream in archive.streams()}
    for seqs, ticks in archive.ticks(symbol, start, end, before_seq, newest_first=True):
        last = slice(max(0, len(seqs) - limit + len(found)), None)
        found.extendleft(reversed(list(_rows(symbol, seqs[last], ticks[last], feeds))))
        if len(found) >= limit:
            break
    return list(found)


def _with_rows_before(settings: Settings, before_seq: int | None) -> "ParquetArchive | None":
    """The archive, if the journal has let any row go at all."""
    return None if before_seq is not None and before_seq <= 1 else archive_of(settings)


def _rows(symbol: Symbol, seqs: "NDArray[np.int64]", ticks: "Batch", feeds: dict[int, str]) -> Iterator[Tick]:
    for seq, tick in zip(seqs.tolist(), ticks.tolist(), strict=True):
        event_time, received_time, price, size, trade_id, count, stream, aggressor, _ = tick
        yield (
            seq,
            symbol.exchange,
            symbol.ticker,
            event_time,
            received_time,
            price,
            size,
            count,
            _AGGRESSORS.get(aggressor, ""),
            None if trade_id < 0 else trade_id,
            feeds[stream],
        )
