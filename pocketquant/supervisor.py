"""The supervisor: starts the desk's processes in order, keeps them running, stops them in order."""

import fcntl
import os
import random
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

import psutil  # type: ignore[import-untyped]

from infra.folders import Folders
from infra.lifeline import SUPERVISOR_PID
from infra.logs import Redaction, logger
from infra.status import StatusFile, read_status
from market.errors import DeskError
from pocketquant.children import LOOP_AFTER, Backoff, Child, ChildSpec

OnEvent = Callable[[str, str, str], None]
"""Called with an event's name, what it is about, and one sentence."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """Keeps the children of one data folder running, alone: a lock on the pid file refuses a second one."""

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
        rank = {name: place for place, name in enumerate(stop_order)}
        backwards = reversed(self.children)
        self._to_stop = sorted(backwards, key=lambda child: rank.get(child.name, -1))
        self._facts = dict(facts or {})
        self._status = StatusFile(folders.status_file("supervisor"), "supervisor", every_s=0.0)
        self._on_event = on_event
        self._on_step = on_step
        self._lock: int | None = None
        self._signals = 0
        self._looping: set[str] = set()

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal came."""
        return self._signals > 0

    def acquire(self) -> None:
        """Take the folder, and clear what a supervisor that was killed left behind.

        Raises:
            DeskError: Another supervisor holds it; its pid is named.
        """
        handle = os.open(self.folders.pid_file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            msg = (
                f"a desk already runs on {self.folders.data_dir} (pid {pid}): stop it with `pq down "
                f"--data-dir {self.folders.data_dir}`, or give this one another --data-dir"
            )
            raise DeskError(msg) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._lock = handle
        self._end_leftovers()

    def release(self) -> None:
        """Give the folder back. The pid file stays, empty: removing a locked file would let two take it."""
        if self._lock is not None:
            self._status.remove()
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def run(self, exit_after_s: float | None = None) -> int:
        """Run until a signal comes or the time is over, then stop all.

        Returns:
            0; or 1 if a child had to be killed or was failing over and over when the end came.
        """
        if self._lock is None:
            self.acquire()
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
            self.release()

    def step(self, now: float) -> None:
        """One round: start what is due, look after what runs."""
        changed, clear = False, True
        for child in self.children:
            if child.state != "stopped":
                changed |= child.step(now)
            elif clear:
                child.start(now)
                changed = True
            self._watch_loop(child)
            clear = clear and child.ready(now)
        if changed:
            self._write_status()
        self._on_step()

    def _watch_loop(self, child: Child) -> None:
        if child.failures >= LOOP_AFTER and child.name not in self._looping:
            self._looping.add(child.name)
            text = f"{child.name} ended {child.failures} times in a row, last by {child.last_end}"
            logger().error("restart loop", child=child.name, text=text)
            self._on_event("restart loop", child.name, text)
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
        self._status.write({**self._facts, "processes": [child.describe() for child in self.children]}, force=True)

    def _note_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._signals += 1

    @staticmethod
    def _sleep(reader: int, seconds: float) -> None:
        if select.select([reader], [], [], max(0.0, seconds))[0]:
            with suppress(BlockingIOError):
                os.read(reader, 4096)

    def _end_leftovers(self) -> None:
        """End the children of a supervisor that was killed; they are ending by themselves, but may be flushing."""
        left = read_status(self.folders.status_file("supervisor"))
        if left is None:
            return
        orphans = [
            process for entry in left.get("processes", []) if (process := _child_of(left.get("pid"), entry.get("pid")))
        ]
        for process in orphans:
            logger().warning("ending a process of an earlier run", pid=process.pid)
            with suppress(psutil.NoSuchProcess):
                process.terminate()
        _, stubborn = psutil.wait_procs(orphans, timeout=max((c.spec.stop_s for c in self.children), default=10.0))
        for process in stubborn:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(stubborn, timeout=5)
        self.folders.status_file("supervisor").unlink(missing_ok=True)


def running_pid(folders: Folders) -> int | None:
    """Pid of the supervisor that holds this folder now; None if none does."""
    try:
        handle = os.open(folders.pid_file, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(handle, 32).decode(errors="replace").strip()
        return int(text) if text.isdigit() else None
    else:
        return None
    finally:
        os.close(handle)


def stop(folders: Folders, wait_s: float) -> int | None:
    """Signal the supervisor of this folder and wait until it has ended.

    Returns:
        Its pid, or None if none ran.

    Raises:
        DeskError: It may not be signalled, or has not ended in time.
    """
    pid = running_pid(folders)
    if pid is None:
        return None
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return pid
    except PermissionError as error:
        msg = f"the desk on {folders.data_dir} (pid {pid}) belongs to another user: stop it as that user"
        raise DeskError(msg) from error
    deadline = time.monotonic() + wait_s
    while running_pid(folders) == pid:
        if time.monotonic() >= deadline:
            msg = f"the desk on {folders.data_dir} (pid {pid}) has not ended in {wait_s:g} s: see {folders.logs}"
            raise DeskError(msg)
        time.sleep(0.05)
    return pid


def _child_of(supervisor: Any, pid: Any) -> psutil.Process | None:
    """The process if it still is the child that this supervisor started, by what its environment says."""
    if not isinstance(pid, int) or not isinstance(supervisor, int):
        return None
    try:
        process = psutil.Process(pid)
        ours = process.environ().get(SUPERVISOR_PID) == str(supervisor)
    except psutil.Error:
        return None
    return process if ours and process.status() != psutil.STATUS_ZOMBIE else None


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Receive SIGCHLD, so that it wakes the loop."""


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer
