"""From the network's thread to the dataflow: what changed since the dataflow last looked, and nothing older.

A mailbox in which the newest of each symbol replaces the one before: its size is bounded by the symbols, a slow
dataflow sees fewer values, never older ones, and the network's thread never waits for it.
"""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from operators.quotes import newest_ticks
from operators.validate import QuoteRow, TickRow

_Row = TypeVar("_Row")

WAIT_S: Final = 0.25
"""How long the dataflow blocks when there is nothing."""
SPACING_S: Final = 0.02
"""Between two looks, so that a busy symbol costs one write and not one a tick."""
TAKEN_MAX: Final = 64
"""Symbols taken at once: with more, the writing would hold up the network's thread for milliseconds."""


class Changes(NamedTuple):
    """What changed, by stream: the newest tick and the newest quote of each."""

    ticks: list[TickRow]
    quotes: list[QuoteRow]


class Mailbox:
    """Filled by one thread, emptied by another."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin empty.

        Args:
            monotonic: Seconds; the clock of the spacing.
        """
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._ticks: dict[int, TickRow] = {}
        self._quotes: dict[int, QuoteRow] = {}
        self._waiting = False
        self._next_s = float("-inf")
        self._owed = 0
        self.stopped = threading.Event()

    def begin(self) -> None:
        """A dataflow begins to take; what an earlier one had taken is forgotten."""
        self._owed = 0

    def __len__(self) -> int:
        """How many values wait."""
        return len(self._ticks) + len(self._quotes)

    def put_ticks(self, rows: Iterable[TickRow]) -> None:
        """Take ticks that have been journaled."""
        with self._changed:
            newest_ticks(self._ticks, rows)
            if self._waiting:
                self._changed.notify()

    def put_quotes(self, rows: Iterable[QuoteRow]) -> None:
        """Take quotes that have been journaled."""
        with self._changed:
            for row in rows:
                self._quotes[row[7]] = row
            if self._waiting:
                self._changed.notify()

    def take(self, wait_s: float = WAIT_S) -> Changes | None:
        """Wait for changes, at most `wait_s`, and take them, those that have waited longest first.

        Returns:
            The changes, none of them if nothing came; None while something taken before has not been `written`, for
            then whoever writes it must run first.
        """
        if self._owed:
            return None
        pause_s = self._next_s - self._monotonic()
        if pause_s > 0 and self.stopped.wait(pause_s):
            pause_s = 0
        with self._changed:
            if not self._ticks and not self._quotes and not self.stopped.is_set():
                self._waiting = True
                self._changed.wait(wait_s)
                self._waiting = False
            changes = Changes(_pop(self._ticks), _pop(self._quotes))
        self._owed += 1
        self._next_s = self._monotonic() + SPACING_S
        return changes

    def written(self, count: int) -> None:
        """So many of the changes taken have been written."""
        self._owed -= count

    def stop(self) -> None:
        """End the dataflow once it has written what is in here now."""
        self.stopped.set()
        with self._changed:
            self._changed.notify()


def _pop(waiting: dict[int, _Row]) -> list[_Row]:
    """Take the first values out."""
    return [waiting.pop(stream) for stream in list(islice(waiting, TAKEN_MAX))]


class _Partition(StatefulSourcePartition[Changes, None]):
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def next_batch(self) -> list[Changes]:
        changes = self._mailbox.take()
        if changes is None:
            return []
        if self._mailbox.stopped.is_set() and not any(changes):
            raise StopIteration
        return [changes]

    def next_awake(self) -> datetime:
        # Always past: waiting in `take` costs nothing, while the engine itself would look each millisecond.
        return _PAST

    def snapshot(self) -> None:
        return None


_PAST: Final = datetime(2000, 1, 1, tzinfo=UTC)


class MailboxSource(FixedPartitionedSource[Changes, None]):
    """The dataflow's one input. Not resumable: what was in the mailbox is in the journal, and soon out of date."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def list_parts(self) -> list[str]:
        """One."""
        return ["mailbox"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> _Partition:  # noqa: ARG002
        """Build the partition."""
        return _Partition(self._mailbox)
