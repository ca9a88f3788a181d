"""The truth: every trade that was made and who got it, bounded on disk or in memory, and the official bars."""

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.errors import DeskError
from market.symbols import Symbol
from sources.simulated.forgotten import ForgottenMinutes
from sources.simulated.tape import MADE

SEGMENT: Final = 1 << 17
"""Records in one file, 7 MB: made and dropped as a whole."""
KEEP_ON_DISK: Final = 20_000_000
KEEP_IN_MEMORY: Final = 1_000_000
OPEN_SEGMENTS: Final = 4
"""Files that stay mapped."""
LAST_BIT: Final = 63

Records = NDArray[np.void]
_NOTHING: Final = np.zeros(0, MADE)


class TruthLog:
    """An append-only list of `MADE` records in segments; the oldest go when there are too many.

    On disk a segment is a mapped file, so that a trade is in the page cache before any client sees it and a killed
    exchange goes on with the next trade id. `position` counts records from the first that the folder ever held.
    """

    def __init__(self, folder: Path | None, symbols: Sequence[Symbol], keep: int | None = None) -> None:
        """Open the log, or begin it.

        Args:
            folder: Of this log alone; None keeps it in memory.
            symbols: Of this run. A folder may know others too: it only ever learns more.
            keep: Newest records to keep, rounded up to segments; 20 million on disk or 1 million in memory.

        Raises:
            DeskError: The folder cannot be written, is full or does not hold such a log.
        """
        self._folder = folder
        self._keep_segments = max(2, -(-(keep or (KEEP_ON_DISK if folder else KEEP_IN_MEMORY)) // SEGMENT))
        self._open: OrderedDict[int, Records] = OrderedDict()
        self._first_segment = 0
        self._count = 0
        self._spans: dict[int, tuple[int, int]] = {}
        table = self._read_symbols()
        known = set(table)
        table += [str(symbol) for symbol in symbols if str(symbol) not in known]
        self.symbols = tuple(table)
        """Names by the index that the records' `symbol` holds."""
        self.index = {name: place for place, name in enumerate(table)}
        self.codes: NDArray[np.uint16] = np.array([self.index[str(symbol)] for symbol in symbols], np.uint16)
        """Index in `symbols` of each of this run's symbols."""
        self.made = np.zeros(len(table), np.int64)
        """Trades made, by `symbols`, among those ever kept here."""
        self.sent = np.zeros(len(table), np.int64)
        """Of these, those that at least one connection got."""
        if folder is not None:
            self._write_symbols()
            self._recover()
        self.forgotten = ForgottenMinutes(folder, self._first_segment)
        """What is left of the records that are no longer kept."""

    def __len__(self) -> int:
        """Position after the newest record."""
        return self._count

    @property
    def first_position(self) -> int:
        """Position of the oldest record that is still kept."""
        return self._first_segment * SEGMENT

    @property
    def oldest_ns(self) -> int | None:
        """Stamp of the oldest record that is still kept, if older ones are not; ns."""
        return None if self._first_segment == 0 else int(self._map(self._first_segment)["stamp"][0])

    def append(self, records: Records) -> int:
        """Add `MADE` records, whose `symbol` counts this log's `symbols`; returns the position of the first.

        Raises:
            DeskError: The disk is full or not writable.
        """
        position = self._count
        done = 0
        while done < len(records):
            number, offset = divmod(self._count, SEGMENT)
            if offset == 0:
                self._begin_segment(number)
            room = min(SEGMENT - offset, len(records) - done)
            self._segment(number)[offset : offset + room] = records[done : done + room]
            self._count += room
            done += room
        np.add.at(self.made, records["symbol"], 1)
        np.add.at(self.sent, records["symbol"], records["sent"] != 0)
        return position

    def mark_sent(self, positions: NDArray[np.int64], bit: int) -> None:
        """Note that a connection got these records after they were appended; those no longer kept are skipped."""
        self._change(positions, lambda sent: sent | np.uint64(1 << bit))

    def mark_lost(self, positions: NDArray[np.int64], bit: int) -> None:
        """Take back that a connection got these records: they were on their way when it ended."""
        self._change(positions, lambda sent: sent & ~np.uint64(1 << bit))

    def segments(self) -> Iterator[tuple[int, Records]]:
        """Position of the first record and the records of each segment, oldest first."""
        count = self._count
        for number in range(self._first_segment, -(-count // SEGMENT)):
            yield number * SEGMENT, self._map(number)[: count - number * SEGMENT]

    def newest(self, records_max: int) -> tuple[int, Records]:
        """Position of the first and the records of the newest part of the log, read-only by convention."""
        begin = max(self.first_position, self._count - records_max)
        parts = []
        position = begin
        while position < self._count:
            number, offset = divmod(position, SEGMENT)
            part = self._segment(number)[offset : self._count - number * SEGMENT]
            parts.append(part)
            position += len(part)
        return begin, np.concatenate(parts) if parts else np.empty(0, MADE)

    def last_trades(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Id and price of the last trade of each of this run's symbols; 0 where there is none."""
        ids = np.zeros(len(self.symbols), np.int64)
        prices = np.zeros(len(self.symbols))
        missing = set(self.codes.tolist())
        for number in range(-(-self._count // SEGMENT) - 1, self._first_segment - 1, -1):
            part = self._map(number)[: self._count - number * SEGMENT]
            codes, places = np.unique(part["symbol"][::-1], return_index=True)
            for code, place in zip(codes.tolist(), (len(part) - 1 - places).tolist(), strict=True):
                if code in missing:
                    missing.discard(code)
                    ids[code], prices[code] = part["trade_id"][place], part["price"][place]
            if not missing:
                break
        return ids[self.codes], prices[self.codes]

    def ticks(self, code: int, after_id: int, limit: int) -> Records:
        """The first `limit` records of one symbol with an id above `after_id`."""
        found = []
        count = 0
        for _, part in self.segments():
            rows = part[part["symbol"] == code]
            rows = rows[rows["trade_id"] > after_id][: limit - count]
            if len(rows):
                found.append(rows)
                count += len(rows)
            if count >= limit:
                break
        return np.concatenate(found) if found else np.empty(0, MADE)

    def between(self, code: int, start_ns: int, end_ns: int, clock: str) -> Records:
        """The records of one symbol whose `clock` (`event_time` or `stamp`) is in [start, end), in the order made."""
        found = [np.empty(0, MADE)]
        for position, part in self.segments():
            first_ns, last_ns = self._span(position, part)
            if first_ns < end_ns and last_ns >= start_ns:
                rows = part[part["symbol"] == code]
                found.append(rows[(rows[clock] >= start_ns) & (rows[clock] < end_ns)])
        return np.concatenate(found)

    def began(self, now_ns: int) -> int:
        """When the exchange first opened on this folder, ns: `now_ns` if that is now, and in memory always."""
        oldest = next((int(part["stamp"][0]) for _, part in self.segments() if len(part)), now_ns)
        if self._folder is None:
            return oldest
        path = self._folder / "began"
        try:
            if not path.exists():
                aside = path.with_name("began.new")
                aside.write_text(str(oldest))
                aside.replace(path)
            return int(path.read_text())
        except (OSError, ValueError) as error:
            msg = f"the simulated exchange cannot use {path}: {error}; give it another --data-dir"
            raise DeskError(msg) from error

    def close(self) -> None:
        """Let go of the files; what they hold stays."""
        self._open.clear()

    def _change(self, positions: NDArray[np.int64], change: Callable[[NDArray[np.uint64]], NDArray[np.uint64]]) -> None:
        kept = positions[positions >= self.first_position]
        numbers = kept // SEGMENT
        for number in np.unique(numbers).tolist():
            places = kept[numbers == number] % SEGMENT
            segment = self._segment(number)
            before = segment["sent"][places]
            after = change(before)
            segment["sent"][places] = after
            np.add.at(self.sent, segment["symbol"][places], (after != 0).astype(np.int64) - (before != 0))

    def _span(self, position: int, part: Records) -> tuple[int, int]:
        """First and last time in a segment, by whichever clock: what one that is full never changes."""
        span = self._spans.get(position)
        if span is None:
            times = (part["event_time"], part["stamp"])
            span = (
                (min(int(one.min()) for one in times), max(int(one.max()) for one in times)) if len(part) else (0, -1)
            )
            if len(part) == SEGMENT:
                self._spans[position] = span
        return span

    def _segment(self, number: int) -> Records:
        segment = self._open.get(number)
        if segment is None:
            segment = self._open[number] = self._map(number)
            if self._folder is not None:
                while len(self._open) > OPEN_SEGMENTS:
                    self._open.popitem(last=False)
        return segment

    def _map(self, number: int) -> Records:
        """A segment; empty if it has just gone, which a reader in another thread may find."""
        if self._folder is None:
            return self._open.get(number, _NOTHING)
        path = self._path(self._folder, number)
        # Mapping a file that is not there would make it.
        return np.memmap(path, MADE, "r+", shape=(SEGMENT,)) if path.exists() else _NOTHING

    def _begin_segment(self, number: int) -> None:
        if self._folder is None:
            self._open[number] = np.zeros(SEGMENT, MADE)
        else:
            path = self._path(self._folder, number)
            try:
                with path.open("wb") as file:
                    # A full disk must say so here: writing to a mapped hole of a file would kill the process.
                    os.posix_fallocate(file.fileno(), 0, SEGMENT * MADE.itemsize)
            except OSError as error:
                path.unlink(missing_ok=True)
                msg = f"cannot write the truth to {path}: {error.strerror}; free space, or leave out --data-dir"
                raise DeskError(msg) from error
        while number - self._first_segment >= self._keep_segments:
            self.forgotten.add(self._first_segment, self._map(self._first_segment))
            self._spans.pop(self._first_segment * SEGMENT, None)
            self._open.pop(self._first_segment, None)
            if self._folder is not None:
                self._path(self._folder, self._first_segment).unlink(missing_ok=True)
            self._first_segment += 1

    def _recover(self) -> None:
        """Find the last record that an earlier run wrote, and count again."""
        assert self._folder is not None
        numbers = sorted(int(path.stem) for path in self._folder.glob("*.ticks"))
        if not numbers:
            return
        newest = self._path(self._folder, numbers[-1])
        if newest.stat().st_size == 0 and len(numbers) > 1:
            # Killed between making the file and filling it.
            newest.unlink()
            numbers.pop()
        for number in numbers:
            path = self._path(self._folder, number)
            if path.stat().st_size != SEGMENT * MADE.itemsize:
                msg = f"{path} is not a file of the truth: it has {path.stat().st_size:,} bytes; remove it"
                raise DeskError(msg)
        self._first_segment = numbers[0]
        last = self._map(numbers[-1])
        # Records are written in order, and an unused one is all zeros.
        self._count = numbers[-1] * SEGMENT + int(np.count_nonzero(last["trade_id"]))
        for _, part in self.segments():
            self.made += np.bincount(part["symbol"], minlength=len(self.symbols))
            self.sent += np.bincount(part["symbol"], part["sent"] != 0, len(self.symbols)).astype(np.int64)

    def _read_symbols(self) -> list[str]:
        if self._folder is None:
            return []
        path = self._folder / "symbols.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            names = json.loads(path.read_text()) if path.exists() else []
        except (OSError, ValueError) as error:
            msg = f"the simulated exchange cannot use {self._folder}: {error}; give it another --data-dir"
            raise DeskError(msg) from error
        return [str(name) for name in names]

    def _write_symbols(self) -> None:
        assert self._folder is not None
        aside = self._folder / "symbols.json.new"
        try:
            aside.write_text(json.dumps(self.symbols))
            aside.replace(self._folder / "symbols.json")
        except OSError as error:
            msg = f"the simulated exchange cannot write to {self._folder}: {error.strerror}; give it another --data-dir"
            raise DeskError(msg) from error

    @staticmethod
    def _path(folder: Path, number: int) -> Path:
        return folder / f"{number:010d}.ticks"
