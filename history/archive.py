"""Archiving: what the journal and the store hold goes to Parquet files, so that the journal's old days may go.

Run it as often as you like: each run adds what came since the last one, and a run that was killed is taken up where it
was. What is archived is read back and compared before it counts; only then is the journal told that it may go.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from market.errors import DeskError
from market.intervals import Interval
from market.journal_rows import CorruptRow, RowKind, RowValues
from sinks.ledger_progress import ARCHIVE
from sinks.lock_file import LockFile
from sources.journal import JournalReader

if TYPE_CHECKING:
    import polars as pl

    from history.desk import HistoryDesk
    from market.streams import Stream
    from market.symbols import Symbol
    from sinks.archive_bars import BarArchive
    from sinks.archive_manifest import Day, Part
    from sinks.bar_store import BarStore
    from sinks.parquet_archive import ParquetArchive
    from sources.journal_file import DayFile

Tell = Callable[[str, float], None]
"""Called with what is being done (`journal`, `bars`) and how much of it is done, 0 to 1; now and then."""

READ_BYTES: Final = 16 << 20
BARS_AT_ONCE: Final = 500_000
"""Of one symbol, held at a time; some 100 MB."""

_JUMPED: Final = "the numbering begins anew here"


class Archived(NamedTuple):
    """What a run did."""

    where: str
    """The archive."""
    ticks: int
    quotes: int
    marks: int
    journal_rows: int
    """Rows of the journal that these were in."""
    days: tuple[str, ...]
    """Days of the journal that were archived, or went on."""
    upto_seq: int
    """Every row of the journal up to this one is in the archive; 0 if there is none."""
    journal_bytes: int
    """Bytes of the files that were written for them."""
    tick_bytes: int
    """Of these, of files of ticks."""
    journal_seconds: float
    bars: int
    """Bars in the files that were written for them."""
    bar_files: int
    bar_bytes: int
    damaged: tuple[str, ...]
    """What of the journal could not be read, a sentence each."""

    @property
    def bytes_per_tick(self) -> float | None:
        """Size of a tick in the archive, every column; None where no tick was written."""
        return self.tick_bytes / self.ticks if self.ticks else None


class _Journaled(NamedTuple):
    """What a run did about the journal."""

    ticks: int = 0
    quotes: int = 0
    marks: int = 0
    rows: int = 0
    days: tuple[str, ...] = ()
    bytes: int = 0
    tick_bytes: int = 0


def archive(desk: "HistoryDesk", *, tell: Tell | None = None) -> Archived:
    """Bring the archive up to date with the journal and the store. A desk may be running meanwhile.

    Raises:
        DeskError: Another process archives; the archive is of another journal, damaged, or cannot be written; the
            journal or the store cannot be read.
    """
    from sinks.archive_bars import BarArchive
    from sinks.parquet_archive import ParquetArchive

    tell = tell or (lambda *_: None)
    desk.folders.create()
    with LockFile(desk.folders.run / "archive.lock", "archiving"):
        target = ParquetArchive(desk.archive_place)
        target.clean()
        began = time.perf_counter()
        damaged: list[CorruptRow] = []
        journaled = _journal(desk.folders.journal, target, damaged, tell)
        target.clean()
        took = time.perf_counter() - began
        upto = target.last_seq()
        if upto:
            # From here on the journal's days up to there may go.
            desk.ledger.reset(ARCHIVE, upto)
        bars, files, size = _bars(desk.store, BarArchive(desk.archive_place), tell)
    return Archived(
        target.where,
        journaled.ticks,
        journaled.quotes,
        journaled.marks,
        journaled.rows,
        journaled.days,
        upto,
        journaled.bytes,
        journaled.tick_bytes,
        took,
        bars,
        files,
        size,
        tuple(map(str, damaged)),
    )


def check(desk: "HistoryDesk") -> list[str]:
    """Compare every file of the archive with its manifest; a sentence for each that is not as it was written."""
    from sinks.parquet_archive import ParquetArchive

    return ParquetArchive(desk.archive_place).check()


def release(desk: "HistoryDesk") -> None:
    """Have the journal wait for the archive no longer; the next run of `archive` has it wait again."""
    desk.ledger.forget(ARCHIVE)


def _journal(folder: Path, target: "ParquetArchive", damaged: list[CorruptRow], tell: Tell) -> _Journaled:
    """Archive the rows that came since the last run."""
    done = target.newest()
    total = _Journaled()
    with JournalReader(folder, damaged.append) as reader:
        last = reader.last_seq()
        _refuse_another_journal(done, reader, last, target)
        begin = max(reader.first_seq() - 1, done.last_seq if done is not None else 0)
        for file in reader.files():
            with file:
                file_last = min(file.last_seq() or 0, last)
                after = max(begin, file.spans_from()[1] if file.first_seq() is not None else begin)
                if file_last <= after:
                    continue
                day = file.path.stem
                for part, counts in _parts(reader, target, file, after, file_last, damaged):
                    written = part.files.values()
                    total = _Journaled(
                        total.ticks + counts[RowKind.TICKS],
                        total.quotes + counts[RowKind.QUOTES],
                        total.marks + counts[RowKind.MARKS],
                        total.rows + part.journal_rows,
                        total.days if day in total.days else (*total.days, day),
                        total.bytes + sum(one.bytes for one in written),
                        total.tick_bytes + (part.files["ticks"].bytes if "ticks" in part.files else 0),
                    )
                    tell("journal", min(1.0, (part.last_seq - begin) / max(1, last - begin)))
    tell("journal", 1.0)
    return total


def _parts(
    reader: JournalReader,
    target: "ParquetArchive",
    file: "DayFile",
    after: int,
    last: int,
    damaged: list[CorruptRow],
) -> Iterator[tuple["Part", dict[int, int]]]:
    """Write one day's rows above `after`, part by part: each part, and how many records of each kind it has.

    A part is written by a thread while the next one is read.
    """
    known = target.day(file.path.stem)
    with ThreadPoolExecutor(1, "archive") as pool:
        writing: tuple[_Lot, Future[Part]] | None = None
        for lot in _lots(reader, file, after, last, damaged):
            writing, done = (lot, pool.submit(target.write_part, file.path.stem, lot.rows, lot.streams)), writing
            if done is not None:
                known = _saved(target, file.path.stem, known, *done)
                yield known.parts[-1], done[0].counts
        if writing is not None:
            known = _saved(target, file.path.stem, known, *writing)
            yield known.parts[-1], writing[0].counts


class _Lot(NamedTuple):
    """Rows of one day that become a part."""

    rows: list[RowValues]
    counts: dict[int, int]
    """Records by kind."""
    streams: "tuple[Stream, ...]"
    starts: list[tuple[int, str]]
    damaged: list[tuple[int, int, str]]


def _lots(reader: JournalReader, file: "DayFile", after: int, last: int, damaged: list[CorruptRow]) -> "Iterator[_Lot]":
    """Yield the rows of a day above `after`, some at a time."""
    from sinks.parquet_archive import PART_RECORDS

    reached, told = after, len(damaged)
    rows: list[RowValues] = []
    counts = dict.fromkeys(map(int, RowKind), 0)
    while after < last:
        found = reader.read_values(after, max_bytes=READ_BYTES)
        if found and found[-1][0] > last:
            found = [row for row in found if row[0] <= last]
        # Nothing more to be read, though there should be: the end of the day is damaged.
        after = found[-1][0] if found else last
        rows += found
        for row in found:
            counts[row[1]] += row[4]
        if not rows or (after < last and max(counts.values()) < PART_RECORDS):
            continue
        starts = [(seq, _JUMPED) for seq in _after_holes(rows, reached) if file.jumped_to(seq)]
        lost = [(one.first_seq, one.last_seq, one.why) for one in damaged[told:]]
        yield _Lot(rows, counts, reader.streams(), starts, lost)
        reached, told = after, len(damaged)
        rows, counts = [], dict.fromkeys(map(int, RowKind), 0)


def _saved(target: "ParquetArchive", day: str, known: "Day | None", lot: _Lot, writing: "Future[Part]") -> "Day":
    """Wait for a part and name it in the day's manifest."""
    part = writing.result()
    return target.save_day(day, known, part, lot.streams, lot.rows[-1][6], lot.starts, lot.damaged)


def _after_holes(rows: list[RowValues], before: int) -> list[int]:
    """Numbers that do not follow on the one before."""
    seqs = np.array([before, *(row[0] for row in rows)])
    found: list[int] = seqs[1:][np.diff(seqs) > 1].tolist()
    return found


def _refuse_another_journal(done: "Day | None", reader: JournalReader, last: int, target: "ParquetArchive") -> None:
    """Refuse to mix two journals in one archive.

    Raises:
        DeskError: The journal ends before what is archived, or has another row of the same number.
    """
    if done is None or not last:
        return
    other = last < done.last_seq
    if not other and reader.first_seq() <= done.last_seq:
        try:
            rows = reader.read(done.last_seq - 1, 1)
        except CorruptRow:
            rows = []
        other = bool(rows) and rows[0].seq == done.last_seq and rows[0].checksum != done.last_checksum
    if other:
        msg = (
            f"archive {target.where} is of another journal: it goes up to row {done.last_seq}, which this journal "
            f"(up to row {last}) has otherwise or not yet; name another place with archive_to, or move the archive away"
        )
        raise DeskError(msg)


def _bars(store: "BarStore", target: "BarArchive", tell: Tell) -> tuple[int, int, int]:
    """Archive the closed bars of every span in which the store has changed: how many bars, files and bytes."""
    known = target.heads()
    heads = {writer: store.head(writer)[0] for writer in store.writers()}
    changed = _changed(store, known, heads)
    bars = files = size = 0
    for place, (symbol, spans) in enumerate(sorted(changed.items())):
        for frames in _frames(store, symbol, sorted(spans)):
            written = target.write(symbol, frames)
            bars, files, size = bars + written.bars, files + written.files, size + written.bytes
        tell("bars", (place + 1) / len(changed))
    if heads != known:
        target.save_heads(heads)
    tell("bars", 1.0)
    return bars, files, size


def _frames(
    store: "BarStore", symbol: "Symbol", spans: "list[tuple[Interval, str]]"
) -> "Iterator[dict[tuple[Interval, str], pl.DataFrame]]":
    """Yield the closed bars of some spans, many read at a time: a long read is times quicker than short ones."""
    from sinks.archive_bars import OVER, bounds

    frames: dict[tuple[Interval, str], pl.DataFrame] = {}
    rows = 0
    for run in _runs(spans):
        interval = run[0][0]
        start, end = bounds(run[0][1])[0], bounds(run[-1][1])[1]
        whole = store.read(symbol, interval, start, end, states=OVER, newest_first=False)
        rows += whole.height
        starts = whole["start"].dt.epoch("ns")
        for _, span in run:
            first, after = bounds(span)
            low = 0 if first is None else starts.search_sorted(first)
            high = whole.height if after is None else starts.search_sorted(after)
            frames[interval, span] = whole.slice(low, high - low)
        if rows >= BARS_AT_ONCE:
            yield frames
            frames, rows = {}, 0
    if frames:
        yield frames


def _runs(spans: "list[tuple[Interval, str]]") -> "Iterator[list[tuple[Interval, str]]]":
    """Spans in their order, as runs of one interval that follow on one another."""
    from sinks.archive_bars import SPANS_AT_ONCE, bounds

    run: list[tuple[Interval, str]] = []
    for one in spans:
        follows = run and run[-1][0] == one[0] and bounds(run[-1][1])[1] == bounds(one[1])[0]
        if run and (not follows or len(run) >= SPANS_AT_ONCE):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _changed(
    store: "BarStore", known: dict[str, int], heads: dict[str, int]
) -> "dict[Symbol, set[tuple[Interval, str]]]":
    """Spans with bars that were logged since the last run, by symbol; all of them where the logs begin anew."""
    from sinks.archive_bars import spans_between, spans_of

    changed: dict[Symbol, set[tuple[Interval, str]]] = {}
    if not known or any(heads.get(writer, 0) < head for writer, head in known.items()):
        for series in store.series():
            spans = spans_between(series.interval, series.first, series.last)
            changed.setdefault(series.symbol, set()).update((series.interval, span) for span in spans)
        return changed
    for writer, head in heads.items():
        if head == known.get(writer, 0):
            continue
        for logged in store.revisions(writer, known.get(writer, 0)):
            rows = logged.rows
            for stream in np.unique(rows["stream"]).tolist():
                spans_held = changed.setdefault(logged.names[stream].symbol, set())
                own = rows[rows["stream"] == stream]
                for number in np.unique(own["interval"]).tolist():
                    interval = Interval(number)
                    starts = own["start"][own["interval"] == number]
                    spans_held.update((interval, span) for span in spans_of(interval, starts))
    return changed
