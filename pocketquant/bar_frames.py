"""Bars as frames: the store's, of which Redis keeps what was asked lately, with the forming ones; or the archive's."""

from typing import TYPE_CHECKING, Any, cast

from infra.settings import Settings
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl

    from market.bars import BarState
    from sinks.bar_store import BarStore
    from sinks.query_cache import QueryCache


class BarReader:
    """Reads the bars of one desk; opens what it needs when it is first wanted. To be used by one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store: BarStore | None = None
        self._cache: QueryCache | None = None

    def stored(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
        states: "Collection[BarState] | None" = None,
        as_of: int | None = None,
        newest_first: bool = True,
        *,
        adjust: str = "none",
        archive: bool = False,
    ) -> "pl.DataFrame | None":
        """Bars of one series, without what only Redis has of the forming ones; None where nothing was ever stored.

        Args:
            symbol: The instrument.
            interval: The length of the bars.
            start: First start, ns.
            end: Bars that start before this, ns.
            limit: The newest so many; None for all.
            states: Bars in these states only.
            as_of: What was known at this moment, ns: closed bars only.
            newest_first: Order of the result.
            adjust: `none`, `splits` or `all`, see `history.adjusting`.
            archive: Read the archive instead of the store.

        Raises:
            DeskError: It cannot be read, what adjusting needs is not there, or the archive is asked for what it has
                not.
        """
        if archive:
            store = self._archive(as_of)
            frame = store.read(symbol, interval, start, end, limit, states, newest_first=newest_first)
        else:
            opened = self._opened()
            if opened is None:
                return None
            store = opened
            frame = self._asked(store, symbol, interval, (start, end, limit, states, as_of, newest_first))
        if adjust != "none":
            from history.adjusting import adjusted
            from infra.kept_schedules import keep_in
            from market.adjustment import Adjust

            keep_in(self._settings.folders.cache)
            frame = adjusted(frame, store, self._settings.folders.history, symbol, interval, Adjust(adjust))
        return frame

    def frame(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = 20,
        states: "Collection[BarState] | None" = None,
        as_of: int | None = None,
        newest_first: bool = True,
        *,
        adjust: str = "none",
        archive: bool = False,
    ) -> "pl.DataFrame":
        """Bars of one series, the forming ones among them; arguments and errors as `stored`."""
        from pocketquant.reading import wanted_forming

        frame = self.stored(
            symbol, interval, start, end, limit, states, as_of, newest_first, adjust=adjust, archive=archive
        )
        if frame is None:
            import numpy as np

            from market.bars import BAR
            from sinks.bar_frame import bar_frame

            frame = bar_frame(symbol, interval, np.empty(0, BAR), [])
        if archive:
            return frame
        forming = wanted_forming(self._settings, symbol, interval, start, end, states, as_of, adjust)
        return _with_forming(frame, forming, states, limit, newest_first=newest_first) if forming else frame

    @property
    def store(self) -> "BarStore | None":
        """The bar store, to be read; None where nothing was ever stored."""
        return self._opened()

    def close(self) -> None:
        """Let go of what was opened."""
        for opened in (self._store, self._cache):
            if opened is not None:
                opened.close()
        self._store = self._cache = None

    def _asked(self, store: "BarStore", symbol: Symbol, interval: Interval, query: tuple[Any, ...]) -> "pl.DataFrame":
        """The store's answer, kept in Redis where there is one."""
        settings = self._settings
        if settings.redis_url is None and not settings.folders.redis_socket.exists():
            return store.read(symbol, interval, *query)
        if self._cache is None:
            from sinks.query_cache import QueryCache

            self._cache = QueryCache(settings.redis, settings.store)
        return self._cache.read(lambda: store.read(symbol, interval, *query), symbol, interval, *query)

    def _opened(self) -> "BarStore | None":
        if self._store is None:
            from pocketquant.reading import open_bars

            self._store = open_bars(self._settings)
        return self._store

    def _archive(self, as_of: int | None) -> "BarStore":
        """The archived bars, which are read like a store's.

        Raises:
            DeskError: There is no archive, or it is asked for what it has not.
        """
        from pocketquant.archived import place_of
        from sinks.archive_bars import BarArchive

        if as_of is not None:
            msg = "the archive holds bars as they are, not as they were: ask the store for an earlier moment"
            raise DeskError(msg)
        place = place_of(self._settings)
        if place is None:
            folder = self._settings.folders.archive
            msg = f"there is no archive in {folder}: `pq archive` makes it, or the setting archive_to says where it is"
            raise DeskError(msg)
        return cast("BarStore", BarArchive(place))


def _with_forming(
    frame: "pl.DataFrame",
    forming: list[tuple[Any, ...]],
    states: "Collection[BarState] | None",
    limit: int | None,
    *,
    newest_first: bool,
) -> "pl.DataFrame":
    """A frame of stored bars, and rows of forming ones, merged."""
    import polars as pl

    from pocketquant.reading import BAR_KINDS, merged

    # What forms is at the newest end, so the other bars need not be looked at one by one.
    first = min(bar[list(BAR_KINDS).index("start")] for bar in forming)
    young = pl.col("start").dt.epoch("ns") >= first
    times = [name for name, kind in BAR_KINDS.items() if kind == "time"]
    held = [tuple(row) for row in frame.filter(young).with_columns(pl.col(times).cast(pl.Int64)).iter_rows()]
    plain = {name: pl.Int64() if name in times else dtype for name, dtype in frame.schema.items()}
    rows = pl.DataFrame(merged(held, forming, states), schema=plain, orient="row")
    made = rows.with_columns(pl.col(times).cast(frame.schema["start"]))
    older = frame.filter(~young)
    found = pl.concat([made, older] if newest_first else [older, made.reverse()])
    if limit is None:
        return found
    return found.head(limit) if newest_first else found.tail(limit)
