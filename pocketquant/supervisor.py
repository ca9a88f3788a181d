"""The supervisor: starts the desk's processes in order, keeps them running, stops them in order."""

import os
import random
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from infra.folders import Folders
from infra.logs import Redaction, logger
from infra.status import StatusFile
from pocketquant.children import LOOP_AFTER, Backoff, Child, ChildSpec

OnEvent = Callable[[str, str, str], None]
"""Called with an event's name, what it is about, and one sentence."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """Keeps the children of one data folder running; whoever makes one holds the folder (`pocketquant.hold`)."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        folders: Folders,
        *,
        stop_order: Sequence[str] = (),
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
        secrets: Iterable[str] = (),
        facts: Mapping[str, Any] | None = None,
        on_event: OnEvent = lambda _name, _subject, _text: None,
        on_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Describe what to run; nothing starts before `run`.

        Args:
            specs: Children in the order of their start; each waits for those before it to be ready.
            folders: The data folder, created.
            stop_order: Names in the order of their stop; those not in it come first, the last started first.
            backoff: Delays between restarts.
            rng: Draws the jitter.
            secrets: Texts to black out in what children print.
            facts: Further keys of the supervisor's status (`feed`).
            on_event: Told of restart loops and forced ends.
            on_step: Called on each round of the loop, from the main thread.
        """
        self.folders = folders
        redaction = Redaction(secrets)
        self.children = [
            Child(
                spec,
                folders.logs / f"{spec.name}.err.log",
                backoff=backoff or Backoff(),
                rng=rng or random.Random(),  # noqa: S311  # Jitter is no secret.
                redaction=redaction,
            )
            for spec in specs
        ]
        self._by_name = {child.name: child for child in self.children}
        rank = {name: place for place, name in enumerate(stop_order)}
        backwards = reversed(self.children)
        self._to_stop = sorted(backwards, key=lambda child: rank.get(child.name, -1))
        self._facts = dict(facts or {})
        self._status = StatusFile(folders.status_file("supervisor"), "supervisor", every_s=0.0)
        self._on_event = on_event
        self._on_step = on_step
        self._signals = 0
        self._looping: set[str] = set()
        self._started_ns = time.time_ns()

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal came."""
        return self._signals > 0

    def run(self, exit_after_s: float | None = None) -> int:
        """Run until a signal comes or the time is over, then stop all.

        Returns:
            0; or 1 if a child had to be killed or was failing over and over when the end came.
        """
        started = time.monotonic()
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        # The byte that the interpreter writes at each signal wakes the select below; an Event could deadlock, since a
        # handler runs between any two steps of the very wait that it would end.
        old_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        old = {number: signal.signal(number, self._note_signal) for number in _SIGNALS}
        old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _wake)
        try:
            while not self.asked_to_stop:
                now = time.monotonic()
                self.step(now)
                left = None if exit_after_s is None else started + exit_after_s - now
                if left is not None and left <= 0:
                    break
                waits = [child.due_s(now) for child in self.children]
                self._sleep(reader, min([1.0, *waits, *([left] if left is not None else [])]))
            return self._stop(reader)
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(old_wakeup)
            os.close(reader)
            os.close(writer)
            self._status.remove()

    def step(self, now: float) -> None:
        """One round: start what is due, look after what runs."""
        changed, clear = False, True
        for child in self.children:
            before = child.state
            if not self._may_run(child, now):
                pass
            elif child.state != "stopped":
                changed |= child.step(now) or child.state != before
            elif clear:
                child.start(now)
                changed = True
            self._watch_loop(child)
            clear = clear and child.ready(now)
        if changed:
            self._write_status()
        self._on_step()

    def _may_run(self, child: Child, now: float) -> bool:
        """Whether what it stands on runs; it is ended if that is not any more what it was started on."""
        leader = self._by_name.get(child.spec.stands_on or "")
        if leader is None:
            return True
        if child.pid is None:
            child.stood_on = leader.pid
            return leader.state == "running"
        if child.stood_on != leader.pid and child.state != "stopping":
            logger().warning("child is started anew", child=child.name, because=leader.name)
            child.renew(now)
        return True

    def _watch_loop(self, child: Child) -> None:
        if child.failures >= LOOP_AFTER and child.name not in self._looping:
            self._looping.add(child.name)
            text = f"{child.name} ended {child.failures} times in a row, last by {child.last_end}"
            logger().error("restart loop", child=child.name, text=text)
            self._on_event("restart_loop", child.name, text)
        elif child.failures == 0:
            self._looping.discard(child.name)

    def _stop(self, reader: int) -> int:
        """Stop one after the other; a second signal ends the waiting."""
        failing = bool(self._looping)
        asked = self._signals
        for child in self._to_stop:
            child.terminate()
            self._write_status()
            deadline = time.monotonic() + child.spec.stop_s
            while not child.ended(time.monotonic()):
                if time.monotonic() >= deadline or self._signals > asked + 1:
                    text = f"{child.name} was still there {child.spec.stop_s:g} s after SIGTERM and was killed"
                    self._on_event("killed", child.name, text)
                    logger().error("child killed", child=child.name)
                    child.kill()
                    deadline = float("inf")
                self._sleep(reader, 0.1)
        self._write_status()
        return 1 if failing or any(child.forced for child in self.children) else 0

    def _write_status(self) -> None:
        processes = [child.describe() for child in self.children]
        fields = {**self._facts, "supervisor_started_ns": self._started_ns, "processes": processes}
        self._status.write(fields, force=True)

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    @staticmethod
    def _sleep(reader: int, seconds: float) -> None:
        if select.select([reader], [], [], max(0.0, seconds))[0]:
            with suppress(BlockingIOError):
                os.read(reader, 4096)


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Receive SIGCHLD, so that it wakes the loop."""


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer
