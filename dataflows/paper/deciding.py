"""Decisions of all runs on what has closed, worked out in a thread that is waited for only so long.

Whoever writes a strategy may write a loop without an end. Its run fails then, and the others go on: the thread is left
behind, another takes over what it had not begun. A loop in plain Python is ended from outside; compiled code cannot be
before the process ends.
"""

import ctypes
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

PATIENCE_S: Final = 10.0
"""How long a strategy may take over the bars of one minute."""


ENDING_S: Final = 2.0
"""A thread that was left behind and runs plain Python has ended after this."""


class Hung(NamedTuple):
    """What came of a call that has not come back."""

    seconds: float


class EndedFromOutside(BaseException):
    """Raised in the thread of a strategy that has not come back, in its plain Python."""


class _Batch:
    """Calls, and how far they are."""

    def __init__(self, calls: Sequence[Callable[[], Any]], first: int) -> None:
        self.calls = calls
        self.at = first
        self.results: list[Any] = [None] * len(calls)
        self.changed = threading.Condition()
        self.over = False
        self.left = False
        """Whether nobody waits any more: another thread makes the calls that are left."""


class Thinker:
    """Makes calls one after the other, in a thread."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        """Begin without a thread; it is started with the first calls."""
        self._patience_s = patience_s
        self._work: queue.SimpleQueue[_Batch] | None = None
        self._thread: threading.Thread | None = None
        self._left: list[tuple[threading.Thread, float]] = []

    def spoiled(self) -> bool:
        """Whether a thread that was left behind goes on: in compiled code, where only the process's end ends it."""
        if not self._left:
            return False
        self._left = [(thread, since) for thread, since in self._left if thread.is_alive()]
        return any(time.monotonic() - since > ENDING_S for _, since in self._left)

    def think(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """What each call returns; the exception that it raised; or `Hung` if it has not come back."""
        results: list[Any] = [None] * len(calls)
        first = 0
        while first < len(calls):
            batch = _Batch(calls, first)
            self._give(batch)
            hung = self._wait(batch)
            end = len(calls) if hung is None else hung
            results[first:end] = batch.results[first:end]
            if hung is None:
                break
            results[hung] = Hung(self._patience_s)
            batch.left = True
            self._abandon()
            first = hung + 1
        return results

    def _give(self, batch: _Batch) -> None:
        if self._work is None:
            self._work = queue.SimpleQueue()
            self._thread = threading.Thread(target=_think, args=(self._work,), name="thinker", daemon=True)
            self._thread.start()
        self._work.put(batch)

    def _wait(self, batch: _Batch) -> int | None:
        """Wait for the end; the place of the call that has not come back, if one has not."""
        with batch.changed:
            while not batch.over:
                at = batch.at
                if not batch.changed.wait_for(lambda at=at: batch.over or batch.at != at, self._patience_s):  # type: ignore[misc]
                    return batch.at
        return None

    def _abandon(self) -> None:
        """Leave the thread behind; end it where that can be done."""
        thread, self._work, self._thread = self._thread, None, None
        if thread is not None and thread.ident is not None:
            self._left.append((thread, time.monotonic()))
            raised = ctypes.py_object(EndedFromOutside)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), raised)


def _think(work: "queue.SimpleQueue[_Batch]") -> None:
    """The thread: calls, until it is left behind."""
    with suppress(EndedFromOutside):
        while True:
            batch = work.get()
            place = batch.at
            while place < len(batch.calls) and not batch.left:
                try:
                    batch.results[place] = batch.calls[place]()
                except Exception as error:  # noqa: BLE001  # It is the run's end, and told there.
                    batch.results[place] = error
                place += 1
                batch.at = place
            if batch.left:
                return
            with batch.changed:
                batch.over = True
                batch.changed.notify_all()
