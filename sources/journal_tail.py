"""The journal as a Bytewax source: chunks of rows, from anywhere on, woken by the doorbell instead of polling."""

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from market.chunks import Chunk, Position
from market.errors import DeskError
from market.journal_rows import CorruptRow
from sources.doorbell import DoorbellListener
from sources.journal import JournalReader

BLOCK_MS: Final = 50
"""Longest wait for the doorbell. The flow's timers and epochs are late by up to this much."""

MAX_TICKS: Final = 131_072
"""About 6 MB: large enough that calls cost nothing beside the fold, small enough for the caches."""

MANY_ROWS: Final = 256
"""After more rows than this at once, the journal is looked at again before the doorbell is listened to."""

SNAPSHOT_VERSION: Final = 1

Snapshot = tuple[int, int, tuple[tuple[int, int], ...]]
"""(version, last sequence number emitted, ((domain, clock), ...)): recovery data."""

_PAST = datetime(1970, 1, 1, tzinfo=UTC)


class InFlight:
    """Counts items between the source and the end of the flow. One worker, one thread: a plain number will do."""

    def __init__(self) -> None:
        self.count = 0
        """Items on their way."""

    def add(self, n: int = 1) -> None:
        """Take note of `n` more: the source of each chunk it emits, a step of each item it makes beyond the first."""
        self.count += n

    def done(self, n: int = 1) -> None:
        """Take note that `n` have reached the end."""
        self.count -= n
        assert self.count >= 0, "acknowledged more than was emitted"


class JournalTail(FixedPartitionedSource[Chunk, Snapshot]):
    """One partition, `journal`, that emits `Chunk`s in the order of the journal. For a single worker."""

    def __init__(
        self,
        folder: Path,
        stop: threading.Event,
        *,
        doorbell: Path | None = None,
        in_flight: InFlight | None = None,
        start: Position | None = None,
        until_end: bool = False,
        max_ticks: int = MAX_TICKS,
        block_ms: int = BLOCK_MS,
        on_corrupt: Callable[[CorruptRow], None] | None = None,
    ) -> None:
        """Describe the source; nothing is opened before the flow runs.

        Args:
            folder: The journal's; may be made later.
            stop: Once set, the source ends, so that the flow flushes and takes a last snapshot.
            doorbell: Path of the socket to listen at; without it, the source looks every `block_ms`.
            in_flight: Counts what the flow has not finished. The source adds each chunk and waits, blocking the flow's
                one thread, only at zero: otherwise what is downstream would starve. Without it, it always may.
            start: Where to begin if there is no snapshot; the beginning of the journal unless given.
            until_end: End at the journal's end instead of waiting for more.
            max_ticks: About how many ticks to emit at a time.
            block_ms: Longest wait.
            on_corrupt: As `JournalReader`'s.
        """
        self._folder = folder
        self._stop = stop
        self._doorbell = doorbell
        self._in_flight = in_flight
        self._start = start or Position()
        self._until_end = until_end
        self._max_ticks = max_ticks
        self._block_ms = block_ms
        self._on_corrupt = on_corrupt

    def list_parts(self) -> list[str]:
        """The one partition."""
        return ["journal"]

    def build_part(self, step_id: str, for_part: str, resume_state: Snapshot | None) -> "JournalTailPartition":
        """Open the journal at a snapshot, or at the start.

        Raises:
            DeskError: The snapshot is of another version, or the doorbell's socket cannot be made.
        """
        del step_id, for_part
        return JournalTailPartition(
            JournalReader(self._folder, self._on_corrupt, doubts=True),
            self._start if resume_state is None else restore(resume_state),
            self._stop,
            None if self._doorbell is None or self._until_end else DoorbellListener(self._doorbell),
            self._in_flight,
            until_end=self._until_end,
            max_ticks=self._max_ticks,
            block_ms=self._block_ms,
        )


class JournalTailPartition(StatefulSourcePartition[Chunk, Snapshot]):
    """The journal from a position on."""

    def __init__(
        self,
        reader: JournalReader,
        position: Position,
        stop: threading.Event,
        listener: DoorbellListener | None,
        in_flight: InFlight | None,
        *,
        until_end: bool,
        max_ticks: int,
        block_ms: int,
    ) -> None:
        self._reader = reader
        self._position = position
        self._stop = stop
        self._listener = listener
        self._in_flight = in_flight
        self._until_end = until_end
        self._max_ticks = max_ticks
        self._block_ms = block_ms
        self._more = True
        """Whether the last look at the journal found so much that there may be more."""
        last_seq = reader.last_seq()
        self._short_end = last_seq if last_seq < position.seq else None

    def next_batch(self) -> Sequence[Chunk]:
        """The next chunks; empty while the flow is busy or nothing has come.

        Raises:
            StopIteration: The source was told to stop, or has come to the end that it was to read to.
            CorruptRow: A row is damaged and nobody listens for that.
            DeskError: The journal's numbering has begun anew below what was read before.
        """
        if self._stop.is_set():
            raise StopIteration
        if self._in_flight is not None and self._in_flight.count:
            return ()
        if self._listener is None:
            chunks = self._read()
            if not chunks and not self._until_end:
                self._stop.wait(self._block_ms / 1000)
            return chunks
        # A look at the journal that finds nothing costs as much as one that finds a tick, so the bell is asked first:
        # rung for what has been read already, it says no more than that nothing is waiting.
        if self._more and (chunks := self._read()):
            return chunks
        if self._listener.answer() <= self._position.seq:
            if self._listener.wait(self._block_ms):
                if self._listener.answer() <= self._position.seq:
                    return ()
            elif self._stop.is_set():
                return ()
        # Also when nothing rang: a ring may have been lost.
        return self._read()

    def next_awake(self) -> datetime:
        """Always due: `next_batch` itself does the waiting, to the microsecond."""
        return _PAST

    def snapshot(self) -> Snapshot:
        """Position after the last chunk emitted."""
        return snapshot(self._position)

    def close(self) -> None:
        """Let go of the journal and the doorbell."""
        self._reader.close()
        if self._listener is not None:
            self._listener.close()

    def _read(self) -> Sequence[Chunk]:
        before = self._position.seq
        chunks, self._position = self._reader.read_chunks(self._position, self._max_ticks)
        ticks = sum(len(chunk.ticks) for chunk in chunks)
        self._more = ticks > self._max_ticks // 2 or self._position.seq - before > MANY_ROWS
        if chunks:
            if self._in_flight is not None:
                self._in_flight.add(len(chunks))
            self._short_end = None
        elif self._position.seq == before:
            if self._short_end is not None:
                self._check_numbering(self._short_end)
            if self._until_end:
                raise StopIteration
        return chunks

    def _check_numbering(self, short_end: int) -> None:
        """Stop where rows are written under numbers that had been read before: they would be passed over in silence."""
        last_seq = self._reader.last_seq()
        if short_end < last_seq <= self._position.seq:
            msg = (
                f"the journal goes on at row {last_seq} but had been read up to row {self._position.seq}: it was "
                "replaced or cut; put the old one back, or move the recovery folder away and make the bars anew"
            )
            raise DeskError(msg)


def snapshot(position: Position) -> Snapshot:
    """A position as recovery data."""
    return SNAPSHOT_VERSION, position.seq, tuple(sorted(position.clocks.items()))


def restore(state: Snapshot) -> Position:
    """The position of a snapshot.

    Raises:
        DeskError: It is of another version.
    """
    version, seq, clocks = state
    if version != SNAPSHOT_VERSION:
        msg = (
            f"recovery state of the journal's source has version {version}, this program knows {SNAPSHOT_VERSION}; "
            "move the recovery folder away and make the bars anew"
        )
        raise DeskError(msg)
    restored: Mapping[int, int] = dict(clocks)
    return Position(seq, restored)
