"""A desk's data as Polars frames, for notebooks and scripts: what `pq` prints, with the same arguments and columns."""

import warnings
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from infra.settings import Settings, load_settings
from market.bars import COLUMNS, BarState
from market.errors import DeskError
from market.intervals import Interval, IntervalError, parse_interval
from market.sessions import calendar_name
from market.spelling import read_symbol
from market.symbols import Symbol, SymbolError
from pocketquant.bar_frames import BarReader
from pocketquant.times import TimeError, parse_time

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from market.journal_rows import CorruptRow
    from pocketquant.paper.frames import Paper
    from sinks.bar_store import BarStore

Moment = str | datetime | date | int | None
"""ISO 8601 text, an aware datetime, a date (midnight UTC), or ns since 1970 UTC."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FOREVER_NS: Final = 10**18
_ADJUST: Final = ("none", "splits", "all")
_GAP_STATES: Final = ("open", "healed", "unfillable")


def open_desk(data_dir: str | Path | None = None, config: str | Path | None = None) -> "Desk":
    """See `pocketquant.open`."""
    settings = load_settings(
        None if data_dir is None else Path(data_dir).expanduser(),
        None if config is None else Path(config).expanduser(),
    )
    settings.folders.require()
    return Desk(settings)


class Desk:
    """Reads of one desk. Times in frames are `Datetime("ns", "UTC")`. To be used by one thread at a time.

    Symbols and intervals are written as for `pq`: `"KRAKEN:BTCUSD"`, `"1m"`. Every method raises `DeskError`, whose
    text says what is wrong and what to do, where an argument is wrong or the data cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet; use `pocketquant.open`."""
        self._settings = settings
        self._bars = BarReader(settings)

    def bars(
        self,
        symbol: str | Symbol,
        interval: str | Interval,
        *,
        start: Moment = None,
        end: Moment = None,
        limit: int | None = 20,
        as_of: Moment = None,
        state: str | Iterable[str] | None = None,
        adjust: str = "none",
        archive: bool = False,
        newest_first: bool = True,
    ) -> "pl.DataFrame":
        """Bars of a symbol, the forming one included: `pq bars`.

        Args:
            symbol: Whose.
            interval: Of the thirteen.
            start: Bars that start at this time or later.
            end: Bars that start before this time.
            limit: The newest so many; None for all (`--all`).
            as_of: As they were known at this time: closed bars, not later revisions.
            state: In this state only, or in these.
            adjust: `none`, `splits` or `all`.
            archive: Out of the Parquet archive instead of the store: a million in a tenth of a second.
            newest_first: The order of the rows.

        Returns:
            One row a bar, columns `market.bars.COLUMNS`; vwap and notional are null where they are not known.
        """
        if adjust not in _ADJUST:
            msg = f"adjust {adjust!r} is none of {' '.join(_ADJUST)}"
            raise DeskError(msg)
        first, last = _span(start, end)
        return self._bars.frame(
            _symbol(symbol),
            _interval(interval),
            first,
            last,
            _limit(limit),
            _states(state),
            _moment("as_of", as_of),
            newest_first,
            adjust=adjust,
            archive=archive,
        )

    def ticks(
        self, symbol: str | Symbol, *, start: Moment = None, end: Moment = None, limit: int | None = None
    ) -> "pl.DataFrame":
        """Ticks of a symbol as journaled, in the order in which they came: `pq ticks`.

        Those that the journal has let go are read from the archive. What cannot be read is warned of and left out.

        Args:
            symbol: Whose.
            start: Ticks whose event time is this or later.
            end: Ticks whose event time is before this.
            limit: Only the so many that were journaled last.

        Returns:
            seq, exchange, symbol, event_time, received_time, price, size, count, aggressor, trade_id, feed.
        """
        from pocketquant.archived import archive_of
        from sources.journal import JournalReader
        from sources.journal_ticks import TickPage, tick_pages, ticks_frame

        wanted = _symbol(symbol)
        first, last = _span(start, end)
        if _limit(limit) is not None:
            return self._newest_ticks(wanted, first, last, limit or 0)
        with _told() as damaged, JournalReader(self._settings.folders.journal, damaged.append) as reader:
            begins = reader.first_seq()
            archive = archive_of(self._settings) if begins != 1 else None
            pages = []
            if archive is not None:
                pages += [TickPage(*page) for page in archive.ticks(wanted, first, last, begins or None)]
            pages += tick_pages(reader, wanted, first, last, late_ns=_FOREVER_NS)
            streams = reader.streams() or (archive.streams() if archive is not None else ())
        return ticks_frame(pages, streams)

    def quotes(self, *symbols: str | Symbol) -> "pl.DataFrame":
        """The latest quotes, of these symbols or of all, and their age: `pq quotes`.

        Returns:
            exchange, symbol, last, bid, ask, bid_size, ask_size, event_time, received_time, age_s, feed, kind,
            session; null is not known. A quote older than a minute is not there any more.

        Raises:
            DeskError: Redis does not answer, as when the desk is not running.
        """
        import time
        from contextlib import closing

        from pocketquant.cache import Cache
        from pocketquant.commands.quotes import COLUMNS as KINDS
        from pocketquant.commands.quotes import quote_row

        with closing(Cache(self._settings.redis)) as cache:
            found = cache.quotes([_symbol(symbol) for symbol in symbols] or None)
        now = time.time_ns()
        return _frame(KINDS, [quote_row(quote, now) for quote in found])

    def quote_history(self, symbol: str | Symbol, *, start: Moment = None, end: Moment = None) -> "pl.DataFrame":
        """Quotes of a symbol as journaled (four a second unless set otherwise), in the order in which they came.

        Args:
            symbol: Whose.
            start: Quotes whose event time is this or later.
            end: Quotes whose event time is before this.

        Returns:
            seq, exchange, symbol, event_time, received_time, last, bid, ask, bid_size, ask_size, session, feed; null is
            not known.
        """
        from pocketquant.quote_history import quote_history

        first, last = _span(start, end)
        with _told() as damaged:
            return quote_history(self._settings, _symbol(symbol), first, last, damaged)

    def gaps(
        self,
        symbol: str | Symbol | None = None,
        *,
        state: str | None = None,
        start: Moment = None,
        end: Moment = None,
    ) -> "pl.DataFrame":
        """The gap ledger, oldest first: `pq gaps`.

        Args:
            symbol: Of this symbol only.
            state: `open`, `healed` or `unfillable` only.
            start: Gaps that reach past this time.
            end: Gaps that begin before this time.

        Returns:
            exchange, symbol, start, end, reason, state, healed_by, noticed_at; a gap without an end lasts.
        """
        import polars as pl

        from sinks.ledger import Ledger
        from sinks.ledger_frames import gaps_frame

        if state is not None and state not in _GAP_STATES:
            msg = f"state {state!r} is none of {' '.join(_GAP_STATES)}"
            raise DeskError(msg)
        first, last = _span(start, end)
        wanted = None if symbol is None else _symbol(symbol)
        if not self._settings.folders.desk.is_file():
            return gaps_frame([])
        with Ledger(self._settings.folders.desk) as ledger:
            found = ledger.gaps_frame(wanted)
        if state is not None:
            found = found.filter(pl.col("state") == state)
        if first is not None:
            found = found.filter(pl.col("end").is_null() | (pl.col("end").dt.epoch("ns") > first))
        return found if last is None else found.filter(pl.col("start").dt.epoch("ns") < last)

    def revisions(
        self, symbol: str | Symbol, interval: str | Interval, *, start: Moment = None, end: Moment = None
    ) -> "pl.DataFrame":
        """Every revision of a symbol's bars from their close on, as the store's log has them.

        Args:
            symbol: Whose.
            interval: Of the thirteen.
            start: Of bars that start at this time or later.
            end: Of bars that start before this time.

        Returns:
            writer, log_seq (place in the writer's log), and the columns of a bar; by start, then as they came to be.
        """
        import polars as pl

        wanted, length = _symbol(symbol), _interval(interval)
        first, last = _span(start, end)
        parts = list(_revisions(self._opened_store(), wanted, length, first, last))
        return pl.concat(parts).sort("start", "updated_at", "writer", "log_seq")

    def series(self) -> "pl.DataFrame":
        """What bars the store holds: exchange, symbol, interval, bars, first, last (starts)."""
        store = self._opened_store()
        rows = [] if store is None else [(*one.symbol, str(one.interval), *one[2:]) for one in store.series()]
        kinds = dict.fromkeys(("exchange", "symbol", "interval"), "text")
        return _frame({**kinds, "bars": "int", "first": "time", "last": "time"}, rows)

    @property
    def paper(self) -> "Paper":
        """Its paper runs: `desk.paper.trades("sma-cross")`."""
        from pocketquant.paper.frames import Paper

        return Paper(self._settings, _frame)

    def close(self) -> None:
        """Let go of what was opened. Reading on opens it again."""
        self._bars.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Desk({str(self._settings.data_dir)!r})"

    def _opened_store(self) -> "BarStore | None":
        return self._bars.store

    def _newest_ticks(self, symbol: Symbol, start: int | None, end: int | None, limit: int) -> "pl.DataFrame":
        from pocketquant.reading import TICK_KINDS, newest_ticks

        with _told() as damaged:
            rows = newest_ticks(self._settings, symbol, start, end, limit, damaged)
        import polars as pl

        return _frame(TICK_KINDS, rows).with_columns(pl.col("count").cast(pl.UInt32))


class _told:  # noqa: N801  # A context manager that is used like a function.
    """A list of damaged rows, of which the user is warned at the end."""

    def __enter__(self) -> "list[CorruptRow]":
        self._damaged: list[CorruptRow] = []
        return self._damaged

    def __exit__(self, *_: object) -> None:
        for one in self._damaged:
            warnings.warn(f"left out: {one}", stacklevel=3)


def _revisions(
    store: "BarStore | None", symbol: Symbol, interval: Interval, start: int | None, end: int | None
) -> "Iterator[pl.DataFrame]":
    import numpy as np

    from market.bars import BAR
    from sinks.bar_frame import bar_frame

    # None of its rows, so that there is a frame where nothing was logged.
    nothing = np.empty(0, BAR)
    yield _logged("", np.empty(0, np.int64), bar_frame(symbol, interval, nothing, []))
    for part in store.revisions() if store is not None else ():
        rows = part.rows
        own = np.array([name.symbol == symbol for name in part.names])[rows["stream"]]
        own &= rows["interval"] == interval
        if start is not None:
            own &= rows["start"] >= start
        if end is not None:
            own &= rows["start"] < end
        if own.any():
            frame = bar_frame(symbol, interval, rows[own], [name.feed for name in part.names])
            yield _logged(part.writer, part.seqs[own], frame)


def _logged(writer: str, seqs: "NDArray[np.int64]", frame: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    return frame.select(pl.lit(writer).alias("writer"), pl.Series("log_seq", seqs), *COLUMNS)


def _frame(kinds: Any, rows: Iterable[tuple[Any, ...]]) -> "pl.DataFrame":
    """Rows of a command as a frame."""
    import polars as pl

    types = {"text": pl.String, "time": pl.Int64, "float": pl.Float64, "int": pl.Int64, "bool": pl.Boolean}
    found = pl.DataFrame(list(rows), schema={name: types[kind] for name, kind in kinds.items()}, orient="row")
    times = [name for name, kind in kinds.items() if kind == "time"]
    return found.with_columns(pl.col(times).cast(pl.Datetime("ns", "UTC")))


def _symbol(value: str | Symbol) -> Symbol:
    try:
        symbol = value if isinstance(value, Symbol) else read_symbol(value)
    except SymbolError as error:
        raise DeskError(str(error)) from error
    # An exchange without a calendar can hold nothing: a slip, as it is for `pq`, and not an empty answer.
    calendar_name(symbol)
    return symbol


def _interval(value: str | Interval) -> Interval:
    if isinstance(value, Interval):
        return value
    try:
        return parse_interval(value)
    except IntervalError as error:
        raise DeskError(str(error)) from error


def _states(value: str | Iterable[str] | None) -> list[BarState] | None:
    if value is None:
        return None
    try:
        return [BarState[name.upper()] for name in ([value] if isinstance(value, str) else value)]
    except KeyError as error:
        msg = f"state {error.args[0].lower()!r} is none of {' '.join(map(str, BarState))}"
        raise DeskError(msg) from error


def _limit(value: int | None) -> int | None:
    if value is not None and value < 1:
        msg = f"limit {value} is not at least 1; None is for all"
        raise DeskError(msg)
    return value


def _span(start: Moment, end: Moment) -> tuple[int | None, int | None]:
    first, last = _moment("start", start), _moment("end", end)
    if first is not None and last is not None and last <= first:
        msg = f"end {end} is not after start {start}"
        raise DeskError(msg)
    return first, last


def _moment(name: str, value: Moment) -> int | None:
    """Nanoseconds since 1970 UTC.

    >>> _moment("start", "1970-01-02") == _moment("start", date(1970, 1, 2)) == 86_400 * 10**9
    True
    """
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return parse_time(value)
        except TimeError as error:
            msg = f"{name}: {error}"
            raise DeskError(msg) from error
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if value.tzinfo is None:
        msg = f"{name} {value} has no time zone; give it one, such as tzinfo=datetime.UTC"
        raise DeskError(msg)
    return (value - _EPOCH) // timedelta(microseconds=1) * 1000
