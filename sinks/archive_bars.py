"""Closed bars in the archive: `bars/EXCHANGE/TICKER/INTERVAL/SPAN.parquet`, a span being a month, a year, or `all`.

Whatever was archived stays, unless the store has something better by its own rule (`sinks.bar_store`): an archive that
outlives its store is not spoiled by a new one that knows less.
"""

import io
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR, COLUMNS, RANK, BarState
from market.errors import DeskError
from market.intervals import Interval, parse_interval
from market.symbols import Symbol
from sinks.archive_manifest import (
    BARS_HEADS,
    FOLDER,
    FORMAT,
    BarFile,
    BarsHeads,
    FileNote,
    SymbolBars,
    in_path,
    load,
    save,
    symbol_path,
)
from sinks.bar_frame import bar_frame
from sinks.places import Place

if TYPE_CHECKING:
    import polars as pl

ALL: Final = "all"
"""The one span of bars of a day and longer."""

SPANS_AT_ONCE: Final = 12
"""Read together, where they follow on one another: a year of minutes."""

OVER: Final = tuple(state for state in BarState if state != BarState.FORMING)
"""What is archived: bars that are over."""


class BarsWritten(NamedTuple):
    """What a write did."""

    files: int
    """Files made or replaced; those whose bars were just these already do not count."""
    bars: int
    """Bars in them."""
    bytes: int


class Held(NamedTuple):
    """One symbol at one interval, as far as it is archived."""

    symbol: Symbol
    interval: Interval
    bars: int
    first: int
    """Start of the oldest bar, ns."""
    last: int
    """Start of the newest bar, ns."""


def spans_of(interval: Interval, starts: NDArray[np.int64]) -> list[str]:
    """The spans that bars belong to, each once, in order.

    >>> spans_of(Interval.M1, np.array([0, 40 * 86_400 * 10**9]))
    ['1970-01', '1970-02']
    """
    if not interval.intraday:
        return [ALL] if len(starts) else []
    unit = "M" if interval < Interval.H1 else "Y"
    return [str(span) for span in np.unique(starts.astype("datetime64[ns]").astype(f"datetime64[{unit}]"))]


def spans_between(interval: Interval, first: int, last: int) -> list[str]:
    """The spans from that of one start (ns) to that of another."""
    if not interval.intraday:
        return [ALL]
    unit = "M" if interval < Interval.H1 else "Y"
    low, high = (np.datetime64(start, "ns").astype(f"datetime64[{unit}]") for start in (first, last))
    return [str(span) for span in np.arange(low, high + 1)]


def bounds(span: str) -> tuple[int | None, int | None]:
    """First moment of a span, and the first after it, ns; None for `all`.

    >>> bounds("1970"), bounds("1970-01"), bounds("all")
    ((0, 31536000000000000), (0, 2678400000000000), (None, None))
    """
    if span == ALL:
        return None, None
    year, _, month = span.partition("-")
    if month:
        first = datetime(int(year), int(month), 1, tzinfo=UTC)
        after = datetime(int(year) + (month == "12"), int(month) % 12 + 1, 1, tzinfo=UTC)
    else:
        first, after = datetime(int(year), 1, 1, tzinfo=UTC), datetime(int(year) + 1, 1, 1, tzinfo=UTC)
    return int(first.timestamp()) * 10**9, int(after.timestamp()) * 10**9


class BarArchive:
    """The bars of an archive. Written by one process at a time; read by any number, also meanwhile."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def heads(self) -> dict[str, int]:
        """By writer, the last row of its log that is in the archive; empty before the first run.

        Raises:
            DeskError: The manifest is damaged.
        """
        found = load(self._place, BARS_HEADS, BarsHeads)
        return {} if found is None else found.heads

    def save_heads(self, heads: Mapping[str, int]) -> None:
        """Take note that all up to these rows is in the archive."""
        save(self._place, BARS_HEADS, BarsHeads(format=FORMAT, heads=dict(sorted(heads.items()))))

    def write(self, symbol: Symbol, frames: "Mapping[tuple[Interval, str], pl.DataFrame]") -> BarsWritten:
        """Write a symbol's bars.

        Args:
            symbol: Whose.
            frames: All that the store has of them by interval and span, oldest first, as `BarStore.read` gives it.

        Raises:
            PlaceTrouble: The disk is full, or the place cannot be written; what was archived is as it was.
        """
        from sinks.archive_tables import bar_table, write_parquet
        from sinks.parquet_archive import file_note

        known = load(self._place, symbol_path(symbol), SymbolBars)
        files = list(known.files) if known is not None else []
        fresh: list[BarFile] = []
        with ExitStack() as named:
            for (interval, span), frame in frames.items():
                name = f"bars/{symbol.exchange}/{in_path(symbol.ticker)}/{interval}/{span}.parquet"
                archived = self._frame(name)
                merged = frame.select(COLUMNS) if archived is None else _better(archived, frame)
                if merged.is_empty() or (archived is not None and merged.equals(archived)):
                    if archived is not None and sum(file.file.path == name for file in files) != 1:
                        # The last run was killed between this file and the manifest.
                        fresh.append(BarFile(interval=str(interval), file=self._note(name, archived)))
                    continue
                path = named.enter_context(self._place.writing(name))
                write_parquet(bar_table(merged), path)
                if not _read(path).equals(merged):
                    msg = f"{self._place.where}/{name} reads back otherwise than it was written: see the disk"
                    raise DeskError(msg)
                starts = merged["start"].dt.epoch("ns")
                note = file_note(name, path, merged.height, int(starts[0]), int(starts[-1]))
                fresh.append(BarFile(interval=str(interval), file=note))
            if not fresh:
                return BarsWritten(0, 0, 0)
            # While files get their names each of them is either the old or the new one, and both are in the manifest.
            paths = {file.file.path for file in files}
            self._save(symbol, [*files, *(file for file in fresh if file.file.path in paths)])
        replaced = {file.file.path for file in fresh}
        self._save(symbol, [*(file for file in files if file.file.path not in replaced), *fresh])
        return BarsWritten(len(fresh), sum(file.file.rows for file in fresh), sum(file.file.bytes for file in fresh))

    def read(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        limit: int | None = None,
        states: Collection[BarState] | None = None,
        newest_first: bool = True,
    ) -> "pl.DataFrame":
        """Archived bars of one series; arguments and columns are those of `BarStore.read`.

        Raises:
            DeskError: A file is missing or damaged.
        """
        import polars as pl

        wanted = {file.path: file for file in self._files(symbol, interval)}
        names = [
            name
            for name, file in sorted(wanted.items())
            if (start is None or file.last >= start) and (end is None or file.first < end)
        ]
        if not names:
            return bar_frame(symbol, interval, np.empty(0, BAR), [])
        frame = self._scan(names)
        moment = pl.Datetime("ns", "UTC")
        if start is not None:
            frame = frame.filter(pl.col("start") >= pl.lit(start, pl.Int64).cast(moment))
        if end is not None:
            frame = frame.filter(pl.col("start") < pl.lit(end, pl.Int64).cast(moment))
        if states is not None:
            frame = frame.filter(pl.col("state").is_in([str(state) for state in states]))
        if limit is not None:
            frame = frame.tail(limit)
        if newest_first:
            # Here, before it is collected, it costs half.
            frame = frame.reverse()
        try:
            found: pl.DataFrame = frame.collect()
        except (pl.exceptions.ComputeError, OSError) as error:
            msg = (
                f"archived {interval} bars of {symbol} in {self._place.where} cannot be read ({_one_line(error)}): "
                "`pq archive --check` names what is wrong, and a backup may hold it"
            )
            raise DeskError(msg) from error
        return found

    def series(self) -> list[Held]:
        """What is archived, by symbol and interval."""
        found: dict[tuple[Symbol, Interval], list[FileNote]] = {}
        for name in self._place.names(FOLDER):
            manifest = load(self._place, name, SymbolBars) if name.startswith(f"{FOLDER}/bars-") else None
            if manifest is None:
                continue
            symbol = Symbol(manifest.exchange, manifest.symbol)
            for file in {one.file.path: one for one in manifest.files}.values():
                found.setdefault((symbol, parse_interval(file.interval)), []).append(file.file)
        return [
            Held(*key, sum(one.rows for one in files), min(f.first for f in files), max(f.last for f in files))
            for key, files in sorted(found.items())
        ]

    def _files(self, symbol: Symbol, interval: Interval) -> Iterator[FileNote]:
        known = load(self._place, symbol_path(symbol), SymbolBars)
        for file in known.files if known is not None else ():
            if file.interval == str(interval):
                yield file.file

    def _scan(self, names: list[str]) -> "pl.LazyFrame":
        import polars as pl

        paths = [self._place.local(name) for name in names]
        if None not in paths:
            return pl.scan_parquet([str(path) for path in paths], hive_partitioning=False, glob=False)
        return pl.scan_parquet([self._place.read(name) for name in names], hive_partitioning=False)

    def _frame(self, name: str) -> "pl.DataFrame | None":
        """A file's bars; None where there is no such file."""
        try:
            return _read(io.BytesIO(self._place.read(name)))
        except FileNotFoundError:
            return None

    def _note(self, name: str, frame: "pl.DataFrame") -> FileNote:
        starts = frame["start"].dt.epoch("ns")
        content = self._place.read(name)
        return FileNote(
            path=name,
            rows=frame.height,
            bytes=len(content),
            sha256=self._place.sha256(name),
            first=int(starts[0]),
            last=int(starts[-1]),
        )

    def _save(self, symbol: Symbol, files: list[BarFile]) -> None:
        ordered = sorted(files, key=lambda file: file.file.path)
        manifest = SymbolBars(format=FORMAT, exchange=symbol.exchange, symbol=symbol.ticker, files=ordered)
        save(self._place, symbol_path(symbol), manifest)


def _better(archived: "pl.DataFrame", stored: "pl.DataFrame") -> "pl.DataFrame":
    """Of each start the bar that the store's rule prefers, oldest first."""
    import polars as pl

    rank = {str(state): RANK[state] for state in BarState}
    both = pl.concat([archived, stored.select(archived.columns)])
    order = [pl.col("start"), pl.col("state").replace_strict(rank, return_dtype=pl.Int8), "revision", "updated_at"]
    return both.sort(order, maintain_order=True).unique("start", keep="last", maintain_order=True)


def _read(source: object) -> "pl.DataFrame":
    import polars as pl

    return pl.read_parquet(source, hive_partitioning=False, glob=False)  # type: ignore[arg-type]


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:200]
