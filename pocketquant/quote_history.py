"""Quotes as journaled, out of the archive and the journal."""

from typing import TYPE_CHECKING

from infra.settings import Settings
from market.symbols import Symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from market.journal_rows import CorruptRow
    from market.streams import Stream
    from market.ticks import Batch


def quote_history(
    settings: Settings, symbol: Symbol, start: int | None, end: int | None, damaged: list["CorruptRow"]
) -> "pl.DataFrame":
    """Quotes of a symbol, of all its feeds, in the order of the journal.

    Args:
        settings: Of the desk.
        symbol: The instrument.
        start: First event time, ns.
        end: Quotes before this event time, ns.
        damaged: Gets what cannot be read; the rest is read all the same.

    Raises:
        DeskError: The journal or the archive cannot be read.
    """
    import numpy as np

    from market.journal_rows import RowKind
    from pocketquant.archived import archive_of
    from pocketquant.reading import AHEAD_NS, seq_before
    from sources.journal import JournalReader

    parts: list[tuple[NDArray[np.int64], Batch]] = []
    with JournalReader(settings.folders.journal, damaged.append) as reader:
        begins = reader.first_seq()
        archive = archive_of(settings) if begins != 1 else None
        if archive is not None:
            parts += archive.quotes(symbol, start, end, begins or None)
        streams = reader.streams() or (archive.streams() if archive is not None else ())
        own = [stream.id for stream in streams if stream.symbol == symbol]
        seq = seq_before(reader, symbol, start - AHEAD_NS) if start is not None else 0
        while own and (rows := reader.read(seq)):
            seq = rows[-1].seq
            for row in rows:
                if row.kind != RowKind.QUOTES:
                    continue
                records = row.records
                wanted = np.isin(records["stream"], own)
                if start is not None:
                    wanted &= records["event_time"] >= start
                if end is not None:
                    wanted &= records["event_time"] < end
                if wanted.any():
                    parts.append((np.full(int(wanted.sum()), row.seq), records[wanted]))
    return _frame(symbol, parts, streams)


def _frame(
    symbol: Symbol, parts: "list[tuple[NDArray[np.int64], Batch]]", streams: "Sequence[Stream]"
) -> "pl.DataFrame":
    import numpy as np
    import polars as pl

    from market.ticks import QUOTE, SessionState

    quotes = np.concatenate([records for _, records in parts]) if parts else np.zeros(0, QUOTE)
    seqs = np.concatenate([found for found, _ in parts]) if parts else np.zeros(0, np.int64)
    moment = pl.Datetime("ns", "UTC")
    sessions = pl.Series([state.name.lower() for state in SessionState], dtype=pl.String)
    feeds = pl.Series([stream.feed for stream in streams], dtype=pl.String)
    return pl.DataFrame(
        {
            "seq": seqs,
            "exchange": pl.repeat(symbol.exchange, len(quotes), dtype=pl.String, eager=True),
            "symbol": pl.repeat(symbol.ticker, len(quotes), dtype=pl.String, eager=True),
            "event_time": pl.Series(quotes["event_time"].copy()).cast(moment),
            "received_time": pl.Series(quotes["received_time"].copy()).cast(moment),
            **{
                name: pl.Series(quotes[name].copy()).fill_nan(None)
                for name in ("last", "bid", "ask", "bid_size", "ask_size")
            },
            "session": sessions.gather(pl.Series(quotes["session"].astype(np.uint32))),
            "feed": feeds.gather(pl.Series(quotes["stream"].astype(np.uint32))),
        }
    )
