"""Reads of what a desk holds: bars with the forming ones, and ticks as journaled."""

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from infra.settings import Settings
from market.bars import RANK, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from pocketquant.output import Kind, note

if TYPE_CHECKING:
    from collections.abc import Collection

    from market.forming import Forming
    from market.journal_rows import CorruptRow, Row
    from sinks.bar_store import BarStore
    from sources.journal import JournalReader

BAR_KINDS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "start": "time",
    "end": "time",
    "open": "float",
    "high": "float",
    "low": "float",
    "close": "float",
    "volume": "float",
    "notional": "float",
    "trades": "int",
    "vwap": "float",
    "state": "text",
    "source": "text",
    "revision": "int",
    "updated_at": "time",
}

TICK_KINDS: Final[dict[str, Kind]] = {
    "seq": "int",
    "exchange": "text",
    "symbol": "text",
    "event_time": "time",
    "received_time": "time",
    "price": "float",
    "size": "float",
    "count": "int",
    "aggressor": "text",
    "trade_id": "int",
    "feed": "text",
}

AHEAD_NS: Final = 60 * 10**9
"""A venue's stamp is at most this much ahead of ours, so older rows hold nothing newer."""

_START, _END, _STATE, _REVISION = (list(BAR_KINDS).index(name) for name in ("start", "end", "state", "revision"))

_AGGRESSORS: Final = {-1: "sell", 1: "buy"}

Bar = tuple[Any, ...]
"""One bar in the order of `BAR_KINDS`; times in ns."""

Tick = tuple[Any, ...]
"""One tick in the order of `TICK_KINDS`; times in ns, the trade id None where the venue gave none."""


def open_bars(settings: Settings) -> "BarStore | None":
    """The bar store for reading; None where nothing was stored yet.

    Raises:
        DeskError: It cannot be read, or is away.
    """
    from sinks.bar_store import open_store

    if settings.mongodb_uri is None and not settings.folders.bars.is_file():
        return None
    return open_store(settings.store, read_only=True)


def read_bars(
    settings: Settings,
    symbol: Symbol,
    interval: Interval,
    *,
    start: int | None = None,
    end: int | None = None,
    limit: int | None = 20,
    states: "Collection[BarState] | None" = None,
    as_of: int | None = None,
    newest_first: bool = True,
    adjust: str = "none",
    archive: bool = False,
) -> list[Bar]:
    """Bars of one series, the forming one of the cache among them.

    Args:
        settings: Of the desk.
        symbol: The instrument.
        interval: The length of the bars.
        start: First start, ns.
        end: Bars that start before this, ns.
        limit: The newest so many; None for all.
        states: Bars in these states only.
        as_of: What was known at this moment, ns: closed bars only.
        newest_first: Order of the result.
        adjust: `none`, `splits` or `all`: what is taken out of the prices, see `history.adjusting`.
        archive: Read the archive instead of the store; no bar of it forms.

    Raises:
        DeskError: The store or archive cannot be read, or what adjusting needs is not there.
    """
    from pocketquant.bar_frames import BarReader

    with closing(BarReader(settings)) as reader:
        frame = reader.stored(symbol, interval, start, end, limit, states, as_of, adjust=adjust, archive=archive)
        stored = [] if frame is None else _plain(frame)
    forming: list[Bar] = []
    if not archive:
        forming = wanted_forming(settings, symbol, interval, start, end, states, as_of, adjust)
    bars = merged(stored, forming, states)
    bars = bars if limit is None else bars[:limit]
    return bars if newest_first else bars[::-1]


def wanted_forming(
    settings: Settings,
    symbol: Symbol,
    interval: Interval,
    start: int | None,
    end: int | None,
    states: "Collection[BarState] | None",
    as_of: int | None,
    adjust: str,
) -> list[Bar]:
    """Forming bars of the cache that a question is about, newest first; the arguments are those of `read_bars`."""
    if as_of is not None or (states is not None and BarState.FORMING not in states):
        return []
    forming = _forming_rows(settings, symbol, interval, start, end)
    if adjust == "none" or not forming:
        return forming
    from history.adjusting import acted_within

    # It mixes prices of two footings, and is not made anew before it is over.
    whole = [bar for bar in forming if not acted_within(settings.folders.history, symbol, bar[_START], bar[_END])]
    if len(whole) < len(forming):
        note(f"the forming {interval} bar holds a split or dividend of {symbol}, and is left out")
    return whole


def merged(stored: list[Bar], forming: list[Bar], states: "Collection[BarState] | None") -> list[Bar]:
    """Both, newest first, each start once."""
    bars = _merge(stored, forming)
    if states is None:
        return bars
    # The cache may hold a forming bar where the store has a closed one, so the states are looked at again.
    wanted = {str(state) for state in states}
    return [bar for bar in bars if bar[_STATE] in wanted]


def _plain(frame: Any) -> list[Bar]:
    import polars as pl

    times = [name for name, kind in BAR_KINDS.items() if kind == "time"]
    return [tuple(row) for row in frame.select(list(BAR_KINDS)).with_columns(pl.col(times).cast(pl.Int64)).iter_rows()]


def _forming_rows(
    settings: Settings, symbol: Symbol, interval: Interval, start: int | None, end: int | None
) -> list[Bar]:
    """Forming bars in the cache; none while Redis is away, since what it would say cannot be current."""
    from pocketquant.cache import Cache, CacheAway

    if settings.redis_url is None and not settings.folders.redis_socket.exists():
        return []
    try:
        with closing(Cache(settings.redis)) as cache:
            found = cache.forming([symbol]).get(symbol)
    except CacheAway:
        note("Redis is away: the forming bar is as the last shutdown left it, if it is shown")
        return []
    if found is None:
        return []
    bars = forming_bars(symbol, found, interval)
    return [bar for bar in bars if (start is None or bar[3] >= start) and (end is None or bar[3] < end)]


def forming_bars(symbol: Symbol, forming: "Forming", interval: Interval) -> list[Bar]:
    """The cached bars of one interval, newest first."""
    bars = []
    for row in forming.rows[forming.rows["interval"] == interval]:
        volume, notional = float(row["volume"]), float(row["notional"])
        bars.append(
            (
                symbol.exchange,
                symbol.ticker,
                str(interval),
                int(row["start"]),
                int(row["end"]),
                *(float(row[name]) for name in ("open", "high", "low", "close")),
                volume,
                notional,
                int(row["trades"]),
                notional / volume if volume else None,
                str(BarState(int(row["state"]))),
                forming.feed,
                int(row["revision"]),
                int(row["updated_at"]),
            )
        )
    return sorted(bars, key=lambda bar: bar[_START], reverse=True)


def _merge(stored: list[Bar], forming: list[Bar]) -> list[Bar]:
    """Both, newest first; of two with one start what is closed beats what forms, and the cache a flushed one."""
    by_start = {bar[_START]: bar for bar in stored}
    for bar in forming:
        held = by_start.get(bar[_START])
        if held is None or RANK[_state(held)] <= RANK[BarState.FORMING]:
            by_start[bar[_START]] = bar
    return [by_start[start] for start in sorted(by_start, reverse=True)]


def _state(bar: Bar) -> BarState:
    return BarState[str(bar[_STATE]).upper()]


def read_ticks(
    settings: Settings, symbol: Symbol, start: int | None, end: int | None, damaged: list["CorruptRow"]
) -> Iterator[Tick]:
    """Ticks of a symbol, of all its feeds, in the order of the journal, as they are read.

    Those that the journal has let go come first, out of the archive.

    Args:
        settings: Of the desk.
        symbol: The instrument.
        start: First event time, ns.
        end: Ticks before this event time, ns.
        damaged: Gets what cannot be read; the rest is read all the same.
    """
    from pocketquant.archived import archived_ticks
    from sources.journal import JournalReader

    with closing(JournalReader(settings.folders.journal, damaged.append)) as reader:
        yield from archived_ticks(settings, symbol, start, end, reader.first_seq() or None)
        yield from _journaled(reader, symbol, start, end, 0)


def newest_ticks(
    settings: Settings, symbol: Symbol, start: int | None, end: int | None, limit: int, damaged: list["CorruptRow"]
) -> list[Tick]:
    """The last `limit` of what `read_ticks` gives, without reading a long journal from its beginning."""
    from pocketquant.archived import newest_archived_ticks
    from sources.journal import JournalReader

    with closing(JournalReader(settings.folders.journal, damaged.append)) as reader:
        first, last = reader.first_seq(), reader.last_seq()
    window = 8192
    while True:
        damaged.clear()
        after = max(0, last - window)
        with closing(JournalReader(settings.folders.journal, damaged.append)) as reader:
            found = deque(_journaled(reader, symbol, start, end, after), maxlen=limit)
        if len(found) == limit:
            return list(found)
        if after < max(first, 1):
            break
        window *= 8
    older = newest_archived_ticks(settings, symbol, start, end, first or None, limit - len(found))
    return [*older, *found]


def _journaled(
    reader: "JournalReader", symbol: Symbol, start: int | None, end: int | None, after_seq: int
) -> Iterator[Tick]:
    """Ticks of a symbol in the journal's rows above one."""
    from market.journal_rows import RowKind

    seq = after_seq
    if start is not None:
        seq = max(seq, seq_before(reader, symbol, start - AHEAD_NS))
    while rows := reader.read(seq):
        seq = rows[-1].seq
        feeds = {stream.id: stream.feed for stream in reader.streams() if stream.symbol == symbol}
        for row in rows:
            if feeds and row.kind == RowKind.TICKS:
                yield from _ticks_of(row, symbol, feeds, start, end)


def seq_before(reader: "JournalReader", symbol: Symbol, clock: int) -> int:
    """A row up to which every tick of the symbol was received before `clock`; 0 where that cannot be told quickly.

    The clock of the live feeds never falls, so it can be searched by halves. A file of old ticks that was replayed has
    a clock of its own, in rows anywhere.
    """
    if any(stream.domain != 0 for stream in reader.streams() if stream.symbol == symbol):
        return 0
    low, high = 0, reader.last_seq()
    while high - low > 4096:
        middle = (low + high) // 2
        row = next((row for row in reader.read(middle, 64) if row.domain == 0), None)
        if row is not None and row.clock < clock:
            low = row.seq
        else:
            high = middle
    return low


def _ticks_of(row: "Row", symbol: Symbol, feeds: dict[int, str], start: int | None, end: int | None) -> Iterator[Tick]:
    import numpy as np

    records = row.records
    wanted = np.isin(records["stream"], list(feeds))
    if start is not None:
        wanted &= records["event_time"] >= start
    if end is not None:
        wanted &= records["event_time"] < end
    for event_time, received_time, price, size, trade_id, count, stream, aggressor, _ in records[wanted].tolist():
        yield (
            row.seq,
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


def known_symbols(settings: Settings) -> set[Symbol]:
    """Symbols that the journal, the store or the ledger of subscriptions has heard of.

    Raises:
        DeskError: One of them cannot be read.
    """
    from sources.journal import JournalReader

    found: set[Symbol] = set()
    if settings.folders.journal.is_dir():
        with closing(JournalReader(settings.folders.journal, lambda _row: None)) as reader:
            found |= {stream.symbol for stream in reader.streams()}
    if not found:
        # Every file of the journal names all streams there ever were; without one, the archive may.
        from pocketquant.archived import archive_of

        archive = archive_of(settings)
        found |= {stream.symbol for stream in archive.streams()} if archive is not None else set()
    store = open_bars(settings)
    if store is not None:
        with closing(store):
            found |= {series.symbol for series in store.series()}
    if settings.folders.desk.is_file():
        from sinks.ledger import Ledger

        with Ledger(settings.folders.desk) as ledger:
            found |= {subscription.symbol for subscription in ledger.subscriptions(active=None)}
    return found


def nothing_for(settings: Settings, symbol: Symbol, what: str) -> str:
    """The sentence for an empty answer: nothing in that span, or nothing known of the symbol at all.

    Raises:
        click.UsageError: Nothing is known of its exchange either, so there never can be.
    """
    try:
        known = known_symbols(settings)
    except DeskError as error:
        return f"no {what} of {symbol} ({error})"
    if symbol in known:
        return f"no {what} of {symbol} in that span"
    from difflib import get_close_matches

    from pocketquant.options import check_exchange

    check_exchange(symbol)
    close = get_close_matches(str(symbol), [str(other) for other in known], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"`pq subscribe {symbol}` starts it"
    return f"nothing is known of {symbol}: {hint}"
