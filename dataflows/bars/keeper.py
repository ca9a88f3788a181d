"""The keeper writes closed bars to the store, in order, in a thread of its own.

The flow's thread hands over what a chunk closed and goes on, so that a minute's thousand bars do not hold up the next
tick. A store that is away is waited for, with backoff and jitter; nothing is skipped. The flow's snapshots wait for the
keeper, so that a snapshot never says more than the store has.
"""

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dataflows.bars.pieces import Refused
from dataflows.bars.progress import Progress
from dataflows.patience import Patience
from market.bars import BAR, BarBatch, BarState
from market.intervals import INTERVALS
from market.streams import Stream
from sinks.bar_store import BarStore

WRITER: Final = "bars"
"""The dataflow's name in the store's log."""
FLUSH_BARS: Final = 100_000
"""About so many bars are written at once when catching up: the size of a flush decides the speed."""
WAITING_BARS: Final = 300_000
"""With more than this handed over and not written, the flow waits."""
REFUSED_S: Final = 0.1
"""Ticks that entered no bar are noted this often: each note is a commit, and nobody waits for it."""

SHORT_RUN: Final = 64
"""Bars of one shard and journal row: with fewer than this on average they are sorted one by one."""


_KINDS: Final = len(BarState) << 8
"""Values of a bar's last two bytes: interval, then state."""
_WHOLE: Final = np.dtype(f"V{BAR.itemsize}")
"""A bar as one value, which NumPy moves at once."""
_NO_BYTES: Final = np.empty(0, np.uint8)


class Closed(NamedTuple):
    """What a chunk closed, in canonical order."""

    upto: int
    """Last journal row of the chunk."""

    runs: Sequence[NDArray[np.void]]
    """`BAR` records one array after the other, closed or partial, or forming if a shutdown flushes them."""

    streams: tuple[Stream, ...]

    refused: list[Refused]
    """Ticks of the chunk that entered no bar."""

    minute_over: bool = False
    """Whether the store's position is to move to `upto` though nothing closed: who reads bars in the journal's order
    waits for it at the end of each minute."""

    @property
    def bars(self) -> int:
        """How many."""
        return sum(map(len, self.runs))


class Announce(Protocol):
    """Tells others of bars that the store has taken, and waits for nobody who is away."""

    def __call__(self, rows: NDArray[np.void], streams: Sequence[Stream], log_seqs: NDArray[np.int64]) -> object:
        """Rows that were logged, and the place of each in the log."""


class Keeper:
    """A thread that writes to the store what it is handed, in that order."""

    def __init__(
        self,
        store: BarStore,
        *,
        patience: Patience,
        progress: Progress,
        refuse: Callable[[Sequence[Refused]], None],
        announce: Announce | None = None,
        ring: Callable[[int], object] = lambda _: None,
        clock_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Start the thread.

        Args:
            store: Used by the thread alone from here on.
            patience: Waits for the store while it is away.
            progress: Written to.
            refuse: Called with what entered no bar; the same again after a crash.
            announce: Called after each write that logged something.
            ring: Called after each write with the store's new position; never waits.
            clock_s: Seconds, for the time that writes take.
        """
        self._store = store
        self._patience = patience
        self._progress = progress
        self._refuse = refuse
        self._announce = announce
        self._ring = ring
        self._clock_s = clock_s
        self._waiting: deque[Closed] = deque()
        self._bars = 0
        self._refused: list[Refused] = []
        self._noted_s = clock_s()
        self._drained = False
        self._busy = False
        self._ended = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def put(self, closed: Closed) -> None:
        """Hand over what a chunk closed; waits while too much is on its way.

        Raises:
            BaseException: What ended the thread.
        """
        with self._changed:
            while self._bars > WAITING_BARS and self._error is None:
                self._changed.wait()
            self._raise()
            self._waiting.append(closed)
            self._bars += closed.bars
            self._progress.waiting_bars = self._bars
            self._changed.notify_all()

    def drain(self) -> None:
        """Wait until the store has all that was handed over.

        Raises:
            StoreAway: The process was asked to end while the store was away.
            BaseException: Whatever else ended the thread.
        """
        with self._changed:
            self._drained = True
            self._changed.notify_all()
            while (self._waiting or self._busy or self._refused) and self._error is None:
                self._changed.wait()
            self._drained = False
            self._raise()

    def close(self) -> None:
        """End the thread; what was not drained is dropped."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
                    while not self._waiting and not self._ended and (pause := self._pause_s()) != 0:
                        self._changed.wait(pause)
                    if self._ended:
                        return
                    taken = self._take() if self._waiting else []
                    self._busy = True
                if taken:
                    self._write(taken)
                if self._pause_s() == 0:
                    self._note_refused()
                with self._changed:
                    self._bars -= sum(closed.bars for closed in taken)
                    self._progress.waiting_bars = self._bars
        except BaseException as error:  # noqa: BLE001 - it is raised again in the flow's thread, by put or drain.
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _pause_s(self) -> float | None:
        """How long until the ticks that entered no bar are to be noted; None if there are none."""
        if not self._refused:
            return None
        return 0.0 if self._drained else max(0.0, self._noted_s + REFUSED_S - self._clock_s())

    def _take(self) -> list[Closed]:
        """The next chunks' bars, as many as make one good flush."""
        taken = [self._waiting.popleft()]
        bars = taken[0].bars
        # Each list of streams says what the rows that came with it mean.
        while self._waiting and bars < FLUSH_BARS and self._waiting[0].streams is taken[0].streams:
            taken.append(self._waiting.popleft())
            bars += taken[-1].bars
        return taken

    def _write(self, taken: Sequence[Closed]) -> None:
        last = taken[-1]
        rows = together([run for closed in taken for run in closed.runs])
        if len(rows) or any(closed.minute_over for closed in taken):
            self._store_rows(rows, last)
        for closed in taken:
            self._refused += closed.refused
        self._progress.stored_seq = last.upto

    def _note_refused(self) -> None:
        refused = self._refused
        self._refuse(refused)
        for tick in refused:
            self._progress.rejects[tick.reason] = self._progress.rejects.get(tick.reason, 0) + 1
        self._noted_s = self._clock_s()
        self._refused = []

    def _store_rows(self, rows: NDArray[np.void], last: Closed) -> None:
        batch = BarBatch(rows, last.streams)
        progress = self._progress
        began = self._clock_s()
        written = self._patience(lambda: self._store.upsert(batch, writer=WRITER, upto=last.upto, own_revisions=True))
        progress.store_seconds += self._clock_s() - began
        progress.store_batches += 1
        progress.position = last.upto
        self._ring(last.upto)
        if not len(rows):
            return
        count(rows, progress)
        if self._announce is None or not written.logged:
            return
        # What was logged before, when a crash made the flow go back, stands at the front.
        logged = rows[rows["state"] != BarState.FORMING][-written.logged :]
        end, _ = self._patience(lambda: self._store.head(WRITER))
        self._announce(logged, last.streams, np.arange(end - len(logged) + 1, end + 1))


def count(rows: NDArray[np.void], progress: Progress) -> None:
    """Add stored rows to the counts of closes and revisions; forming ones count as neither."""
    # The last eight bytes of a bar are revision, stream, interval and state: one walk through memory instead of four.
    ends = np.ascontiguousarray(rows.view(np.uint64).reshape(len(rows), -1)[:, -1])
    again = (ends & np.uint64(0xFFFFFFFF)) > 1
    # State and interval as one small number, then revisions behind first closes.
    kinds = (ends >> np.uint64(48)).astype(np.intp)
    kinds[again] += _KINDS
    counts = np.bincount(kinds, minlength=2 * _KINDS).reshape(2, -1, 256)[:, :, : len(INTERVALS)]
    first, later = np.delete(counts, BarState.FORMING, axis=1).sum(axis=1)
    progress.closes += first
    progress.revisions += later


def merge(parts: Sequence[NDArray[np.void]]) -> list[NDArray[np.void]]:
    """Bars of one chunk in canonical order: by the journal row that closed them, then shard, then as each came.

    Args:
        parts: `BAR` records of each shard, shards ascending, each by journal row.

    Returns:
        Runs to be read one after the other. They are views where that is cheap, so that bars are copied once, when a
        flush is put together.
    """
    parts = [part for part in parts if len(part)]
    if len(parts) < 2:
        return parts
    seqs = [part["seq"] for part in parts]
    first, last = min(int(seq[0]) for seq in seqs), max(int(seq[-1]) for seq in seqs)
    if first == last:
        return parts
    # Bars close in crowds, at the ends of minutes: a shard's come in long runs of one journal row, and to copy runs
    # costs a fifth of putting each bar in its place.
    if (last - first + 1) * len(parts) * SHORT_RUN > sum(map(len, parts)):
        rows = together(parts)
        return [rows.view(_WHOLE)[np.argsort(rows["seq"], kind="stable")].view(BAR)]
    runs: list[tuple[int, int, int, int]] = []
    for shard, seq in enumerate(seqs):
        place = 0
        while place < len(seq):
            row = int(seq[place])
            end = bisect_right(seq, row, place)
            runs.append((row, shard, place, end))
            place = end
    runs.sort()
    return [parts[shard][place:end] for _, shard, place, end in runs]


def together(runs: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Runs of bars as one array; the only one itself."""
    if len(runs) == 1:
        return runs[0]
    # As bytes: NumPy copies records field by field, at a fifth of the speed.
    return np.concatenate([run.view(np.uint8) for run in runs] or [_NO_BYTES]).view(BAR)
