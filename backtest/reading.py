"""Where a run's bars come from: the store, the archive, or a file."""

from collections.abc import Callable, Collection
from datetime import UTC, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from backtest.stream import Bars
from market.bars import BAR, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    import polars as pl

_COPIED: Final = ("open", "high", "low", "close", "volume", "trades", "revision")
_STATES: Final = {str(state): int(state) for state in BarState}

OVER: Final = tuple(state for state in BarState if state is not BarState.FORMING)
"""What a run may see: bars that are over."""

CONTENT: Final = ("start", "end", "open", "high", "low", "close", "volume", "notional", "trades", "interval", "state")
"""What a run takes of a bar, and so what its hash is made of."""


class Checked(Protocol):
    """What the check of a file's rows comes to; see `history.import_checks`."""

    bars: Bars
    bad: list[tuple[int, str, str]]
    out_of_session: int


class Series(NamedTuple):
    """Bars of one symbol at one interval."""

    symbol: Symbol
    interval: Interval
    bars: Bars
    source: str
    """Where they were read, in words."""


class Reads(Protocol):
    """A store, or whatever answers as one."""

    def read(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        *,
        states: "Collection[BarState] | None" = None,
        newest_first: bool = True,
    ) -> "pl.DataFrame":
        """See `sinks.bar_store.BarStore`."""
        ...


def from_store(
    store: Reads, symbol: Symbol, interval: Interval, start: int | None, end: int | None, words: str = "store"
) -> Series:
    """Bars that are over, of the store or of an archive.

    Args:
        store: Or the archive's bars.
        symbol: The instrument.
        interval: The length of the bars.
        start: ns; bars that start at this moment or later.
        end: ns; bars that start before this moment.
        words: What it is called in the report.
    """
    frame = store.read(symbol, interval, start, end, states=OVER, newest_first=False)
    return Series(symbol, interval, bars_of(frame, interval), words)


def bars_of(frame: "pl.DataFrame", interval: Interval) -> Bars:
    """A frame of bars that are over, as a store reads it, as `BAR` records."""
    bars = np.zeros(len(frame), BAR)
    for name in ("start", "end", "updated_at"):
        bars[name] = frame[name].dt.epoch("ns").to_numpy()
    for name in _COPIED:
        bars[name] = frame[name].to_numpy()
    bars["notional"] = frame["notional"].fill_null(np.nan).to_numpy()
    bars["state"] = frame["state"].replace_strict(_STATES).to_numpy() if len(frame) else 0
    bars["interval"] = interval
    bars["seq"] = -1
    return bars


Check = Callable[[Bars, Interval, Symbol], Checked]
"""Holds rows of a file against the rules of bars, as an import does."""


def from_file(
    path: Path,
    symbol: Symbol,
    interval: Interval,
    start: int | None,
    end: int | None,
    check: Check,
    zone: tzinfo = UTC,
) -> Series:
    """Bars of a CSV or Parquet file; nothing is stored.

    Args:
        path: Of the file.
        symbol: Whose bars they are.
        interval: Their length.
        start: ns; bars that start at this moment or later.
        end: ns; bars that start before this moment.
        check: Made for whoever imports files.
        zone: Of stamps that name none.

    Raises:
        DeskError: It cannot be read, lacks a column, has bad rows, or is of other bars.
    """
    from sources.bar_files.opening import open_bars
    from sources.bar_files.rows import ROW

    parts, bad = [np.empty(0, ROW)], []
    for part in open_bars(path, zone).read():
        for named in part.named:
            if (named.exchange, named.symbol, named.interval) != (*symbol, str(interval)):
                theirs = f"{named.exchange}:{named.symbol} {named.interval}"
                msg = f"file {path} holds {theirs}, not {symbol} {interval}: name these, or another file"
                raise DeskError(msg)
        parts.append(part.rows)
        bad += part.bad
    try:
        checked = check(np.concatenate(parts), interval, symbol)
    except DeskError as error:
        msg = f"file {path} is none of {interval} bars: {error}"
        raise DeskError(msg) from error
    bad += checked.bad  # type: ignore[arg-type]
    if bad:
        line, reason, detail = min(bad)
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        msg = f"file {path}: line {line}: {reason}: {detail}{more}; mend the file, or `pq import --skip-bad` it"
        raise DeskError(msg)
    if not len(checked.bars) and checked.out_of_session:
        msg = (
            f"file {path} has no {interval} bar of {symbol}: all {checked.out_of_session} rows are outside of its "
            "sessions; name another --interval, or with --tz the zone of the stamps"
        )
        raise DeskError(msg)
    bars = checked.bars[checked.bars["state"] != BarState.FORMING]
    # A moment of the check's would make another hash of the same file each time.
    bars["updated_at"] = 0
    kept = np.ones(len(bars), bool)
    if start is not None:
        kept &= bars["start"] >= start
    if end is not None:
        kept &= bars["start"] < end
    return Series(symbol, interval, bars[kept], f"file {path.name}")


def data_hash(bars: Bars) -> str:
    """SHA-256 of all that a run takes of its bars: the same bars from elsewhere have the same."""
    found = sha256()
    for name in CONTENT:
        found.update(np.ascontiguousarray(bars[name]).tobytes())
    return found.hexdigest()


def require(series: Series, least: int, span: str, hint: str) -> None:
    """Refuse a series that is too short.

    Raises:
        DeskError: It has fewer bars than the strategy wants before its first decision, and one more.
    """
    if len(series.bars) == 0:
        msg = f"no bars of {series.symbol} {series.interval} in the {series.source}{span}: {hint}"
        raise DeskError(msg)
    if len(series.bars) <= least:
        msg = (
            f"{series.symbol} {series.interval} has {len(series.bars)} bars in the {series.source}{span}, and the "
            f"strategy wants more than {least} to warm up: {hint}, or give it shorter lengths"
        )
        raise DeskError(msg)
