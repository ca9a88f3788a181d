"""Files of bars into the store: all rows of a file, or none."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from sinks.bar_store import StoreAway, Written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from history.desk import HistoryDesk
    from history.import_checks import Checked
    from market.bars import BarBatch
    from sources.bar_files.rows import BadLine, BarFile, Named

SOURCE: Final = "file"
"""Source of the bars, and of the rejects."""
WRITER: Final = "import"
ROWS_MAX: Final = 20_000_000
"""Rows of one file: 2 GB while it is checked."""
_ENOUGH: Final = 10
_VALUES: Final = ("open", "high", "low", "close", "volume")

Tell = Callable[[str, float], None]
"""Told a step (`read`, `write`) and how much of it is done, 0 to 1."""


class BadFile(DeskError):  # noqa: N818  # The user's file is at fault.
    """The file cannot be imported as it is; nothing was."""


class WrongFile(BadFile):
    """The file is none of bars, or of other bars than was said."""


class Differences(NamedTuple):
    """What a file would do to the store."""

    new: int
    """Bars that are not held."""
    same: int
    """Bars that are held as they are in the file, or better."""
    replaced: int
    """Bars that are held made from ticks (closed, partial, healed), or forming, and would become the file's."""
    corrected: int
    """Bars that are held of an earlier file, with other values."""
    contradicted: int
    """Bars that are held as official of a provider, with other values."""
    first: str
    """The first of the last two, in words; empty if there is none."""

    @property
    def odd(self) -> bool:
        """Whether the file looks like another symbol's, or an adjusted one: most of what is held of files differs."""
        known = self.same + self.corrected
        return self.corrected >= _ENOUGH and 2 * self.corrected > known


class Imported(NamedTuple):
    """What came of an import."""

    file: str
    symbol: Symbol
    interval: Interval
    bars: int
    """Good bars in the file."""
    first: int | None
    """Start of the oldest, ns."""
    last: int | None
    differences: Differences
    written: Written | None
    """None where it was only a rehearsal."""
    rejected: Mapping[str, int]
    """Rows that were left out, by reason."""
    out_of_session: int
    """Rows outside of the exchange's sessions, which enter no bar."""
    forming: int
    """Bars that are not over."""
    absent: int
    """Bars that the calendar has room for between the first and the last, and the file lacks."""
    notes: Sequence[str]
    """What a user should know, as sentences."""


def import_bars(
    desk: "HistoryDesk",
    path: Path,
    symbol: Symbol,
    interval: Interval,
    *,
    form: str | None = None,
    zone: tzinfo = UTC,
    skip_bad: bool = False,
    force: bool = False,
    dry_run: bool = False,
    tell: Tell = lambda _step, _share: None,
) -> Imported:
    """Bars of a file into the store, as one act.

    Prices are stored as they traded: an adjusted close is left out. A date alone is that day's session, or its week's
    or month's; of intraday bars it is midnight.

    Args:
        desk: Whose store.
        path: A CSV or Parquet file.
        symbol: Whose bars they are.
        interval: Their length.
        form: `csv` or `parquet`; None looks.
        zone: Of stamps that name none.
        skip_bad: Import the good rows of a file that has bad ones; the bad ones go to the rejects. Else the file is
            refused.
        force: Also where the store holds other official bars in their place.
        dry_run: Check and compare, and write nothing.
        tell: Told how far it is.

    Raises:
        WrongFile: It cannot be read, lacks a column, or is of other bars.
        BadFile: It has bad rows, or contradicts what is held. Nothing was written.
        DeskError: The symbol's exchange has no calendar, or the store does not take it. Nothing was written, unless a
            server went away amid it: then the same file, imported again, completes it.
    """
    import numpy as np

    from history.import_checks import check_rows
    from market.bars import BarBatch
    from market.sessions import calendar_for
    from market.streams import FeedKind, Stream
    from sources.bar_files.opening import open_bars
    from sources.bar_files.rows import ROW

    calendar = calendar_for(symbol)
    try:
        file = open_bars(path, zone, form)
        parts, unread = _read(file, path, symbol, interval, tell)
    except DeskError as error:
        raise WrongFile(str(error)) from error
    rows = np.concatenate([np.empty(0, ROW), *parts])
    negative = str(symbol) in desk.settings.negative_prices
    try:
        checked = check_rows(rows, interval, calendar, desk.now_ns(), negative_prices=negative)
    except DeskError as error:
        msg = f"file {path} is none of {interval} bars: {error}"
        raise WrongFile(msg) from error
    bad = sorted([*unread, *checked.bad])
    if not skip_bad:
        _refuse_bad(path, checked, bad)
    if not len(checked.bars):
        why = f": {_by_reason(bad)}" if bad else ""
        if checked.out_of_session and not why:
            why = f": all {checked.out_of_session} rows are outside of its sessions (--tz names the zone of the stamps)"
        msg = f"file {path} has no bar of {symbol} {interval}{why}; nothing was imported"
        raise BadFile(msg)
    stream = Stream(0, SOURCE, symbol, FeedKind.TRADES, 0)
    differences = _compare(desk, symbol, interval, checked.bars)
    if (differences.contradicted or differences.odd) and not force and not dry_run:
        count = differences.contradicted or differences.corrected
        whose = "as official" if differences.contradicted else "from an earlier file"
        msg = (
            f"{symbol} {interval}: {count} of {len(checked.bars)} bars of {path} are held {whose} with other values, "
            f"the first: {differences.first}; nothing was imported: look with --dry-run, or let the file's stand with "
            "--force"
        )
        raise BadFile(msg)
    written = None
    if not dry_run:
        tell("write", 0.0)
        written = _store(desk, path, BarBatch(checked.bars, (stream,)))
        _note_rejects(desk, path, symbol, bad)
        tell("write", 1.0)
    return Imported(
        file=str(path),
        symbol=symbol,
        interval=interval,
        bars=len(checked.bars),
        first=int(checked.bars["start"][0]),
        last=int(checked.bars["start"][-1]),
        differences=differences,
        written=written,
        rejected=Counter(one.reason for one in bad),
        out_of_session=checked.out_of_session,
        forming=checked.forming,
        absent=checked.absent,
        notes=_notes(file, checked, differences),
    )


def _read(
    file: "BarFile", path: Path, symbol: Symbol, interval: Interval, tell: Tell
) -> tuple[list["NDArray[np.void]"], list["BadLine"]]:
    """All rows, and the lines that are none."""
    parts, bad, count = [], [], 0
    for part in file.read():
        for named in part.named:
            _check_named(path, named, symbol, interval)
        parts.append(part.rows)
        bad += part.bad
        count += len(part.rows)
        if count > ROWS_MAX:
            msg = f"file {path} has more than {ROWS_MAX:,} rows; cut it into several"
            raise DeskError(msg)
        tell("read", part.progress)
    return parts, bad


def _check_named(path: Path, named: "Named", symbol: Symbol, interval: Interval) -> None:
    """Refuse a file that says itself that it is of another series."""
    asked = (symbol.exchange, symbol.ticker, str(interval))
    if tuple(named) != asked:
        msg = (
            f"file {path} holds bars of {named.exchange}:{named.symbol} {named.interval}, and not of {symbol} "
            f"{interval}; name what it holds, or take its columns exchange, symbol and interval away"
        )
        raise DeskError(msg)


def _refuse_bad(path: Path, checked: "Checked", bad: Sequence["BadLine"]) -> None:
    """Refuse a file with anything wrong in it."""
    troubles = []
    if bad:
        troubles.append(f"{len(bad)} bad {'row' if len(bad) == 1 else 'rows'}: {_by_reason(bad)}")
    if checked.unsorted is not None:
        one = checked.unsorted
        troubles.append(f"rows that are not in order of time (line {one.line}: {one.detail})")
    if not troubles:
        return
    left = f"--skip-bad imports the other {len(checked.bars)} and notes these in `pq rejects`"
    if not bad:
        left = "--skip-bad puts them in order"
    msg = f"file {path} has {', and '.join(troubles)}; nothing was imported: mend the file, or {left}"
    raise BadFile(msg)


def _by_reason(bad: Sequence["BadLine"]) -> str:
    from sources.bar_files.rows import counted

    return counted(bad)


def _compare(desk: "HistoryDesk", symbol: Symbol, interval: Interval, bars: "NDArray[np.void]") -> Differences:
    """What is held where the file's bars would come."""
    import numpy as np

    from history.moments import iso
    from market.bars import RANK, BarState

    first, last = int(bars["start"][0]), int(bars["start"][-1])
    held = desk.store.read(symbol, interval, first, last + 1, newest_first=False)
    if not len(held):
        return Differences(len(bars), 0, 0, 0, 0, "")
    starts = held["start"].dt.epoch("ns").to_numpy()
    place = np.minimum(np.searchsorted(starts, bars["start"]), len(starts) - 1)
    known = starts[place] == bars["start"]
    ranks = {str(state): RANK[state] for state in BarState}
    rank = np.array([ranks[state] for state in held["state"]])[place]
    own = np.array(RANK)[bars["state"]]
    equal = np.ones(len(bars), bool)
    for name in _VALUES:
        equal &= held[name].to_numpy()[place] == bars[name]
    filed = np.array([source == SOURCE for source in held["source"]])[place]
    official = own == RANK[BarState.OFFICIAL]
    other = known & (own == rank) & ~equal
    contradicted = other & official & ~filed
    corrected = other & filed
    replaced = known & ((own > rank) | (other & ~contradicted & ~corrected))
    text = ""
    if (corrected | contradicted).any():
        at = int(np.flatnonzero(contradicted if contradicted.any() else corrected)[0])
        row = held.row(int(place[at]), named=True)
        name = next(name for name in _VALUES if row[name] != bars[name][at])
        mine = bars[name][at].item()
        text = f"{iso(int(bars['start'][at]))} {name} {row[name]!r} from {row['source']}, {mine!r} in the file"
    return Differences(
        new=int((~known).sum()),
        same=int((known & ~replaced & ~corrected & ~contradicted).sum()),
        replaced=int(replaced.sum()),
        corrected=int(corrected.sum()),
        contradicted=int(contradicted.sum()),
        first=text,
    )


def _store(desk: "HistoryDesk", path: Path, batch: "BarBatch") -> Written:
    """Write all of it; a server without transactions may have taken a part before it went away, and that is said."""
    from history.storing import store_patiently

    try:
        return store_patiently(desk, batch, WRITER)
    except StoreAway as error:
        if "://" not in desk.store.where:
            raise
        msg = f"{error}; a part of {path} may be stored: import it again once it answers, and no bar comes twice"
        raise StoreAway(msg) from error


def _note_rejects(desk: "HistoryDesk", path: Path, symbol: Symbol, bad: Sequence["BadLine"]) -> None:
    from sinks.ledger_rejects import Reject

    if bad:
        now = desk.now_ns()
        desk.ledger.reject_many(
            Reject(SOURCE, one.reason, f"{path.name} line {one.line}: {one.detail}", now, symbol) for one in bad
        )


def _notes(file: "BarFile", checked: "Checked", differences: Differences) -> list[str]:
    notes = []
    if differences.corrected or differences.contradicted:
        count = differences.corrected + differences.contradicted
        notes.append(f"{count} bars have other values than those held, the first: {differences.first}")
    if file.left_out:
        notes.append(f"{' and '.join(file.left_out)} is left out: prices are stored as they traded")
    if file.note:
        notes.append(file.note)
    if checked.unsorted is not None:
        notes.append("the rows were not in order of time and were put in order")
    if checked.out_of_session:
        notes.append(f"{checked.out_of_session} rows are outside of the exchange's sessions and enter no bar")
    if checked.forming:
        notes.append(f"{checked.forming} bar is not over yet and is stored as forming")
    return notes
