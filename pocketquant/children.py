"""One supervised process: started, watched, started again with a growing delay, and ended."""

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from logging import LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, Final

from infra.lifeline import SUPERVISOR_PID
from infra.logs import Redaction, logger
from market.errors import DeskError

LOOP_AFTER: Final = 5
"""Ends in a row, without a stable spell between them, that are called a restart loop."""

_LOG_BYTES: Final = 2_000_000
_LOGS_KEPT: Final = 3
_LINE_BYTES: Final = 8_192


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before the next start."""

    base_s: float = 0.5
    cap_s: float = 30.0
    stable_s: float = 60.0
    """A child that ran this long counts as having been well, and its next delay is the shortest again."""

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Delay after the `failures`-th end in a row (from 1): doubled each time up to the cap, half of it drawn."""
        # The exponent is bounded because 2.0**1100 overflows, and a child may fail for weeks.
        return min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 30)) * (0.5 + 0.5 * rng.random())


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What a child is."""

    name: str
    command: Callable[[], Sequence[str]]
    """Asked at each start, so that a command may depend on what the children before it said."""
    before: Callable[[], Any] = lambda: None
    """Clears what a killed predecessor left; an error of it counts as a failed start."""
    ready: Callable[[], bool] = lambda: True
    """Whether it does its work now; the next child is started when it does."""
    gates: bool = True
    """Whether those after it wait until it is ready, or only until it was started."""
    ready_s: float = 15.0
    """After this long the next child is started all the same."""
    stop_s: float = 10.0
    """Between SIGTERM and SIGKILL."""
    environ: dict[str, str] = field(default_factory=dict)
    stands_on: str | None = None
    """Child without which this one is of no use: it is started only while that one runs, and anew when that one was."""


class Child:
    """A process that is kept running. Methods are called from one thread, the supervisor's main one.

    That matters on Linux: the kernel's signal at the parent's death is tied to the thread that started the child.
    """

    def __init__(
        self, spec: ChildSpec, log: Path, *, backoff: Backoff, rng: random.Random, redaction: Redaction
    ) -> None:
        self.spec = spec
        self.state = "stopped"
        """`starting` `running` `backoff` `stopping` `stopped`."""
        self.restarts = 0
        self.started_ns: int | None = None
        self.last_end: str | None = None
        """How it ended last and the last line that it printed."""
        self.failures = 0
        self.forced = False
        """Whether SIGKILL was needed to end it."""
        self.stood_on: int | None = None
        """Pid of the child it stands on, as it was at the start of this one."""
        self._log = log
        self._backoff = backoff
        self._rng = rng
        self._redaction = redaction
        self._process: subprocess.Popen[bytes] | None = None
        self._drain: threading.Thread | None = None
        self._last_line = ""
        self._first: float | None = None
        self._started = 0.0
        self._next = 0.0
        self._kill_at = float("inf")

    @property
    def name(self) -> str:
        """`ingest`, `bars` and so on."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """The running process, if there is one."""
        return self._process.pid if self._process is not None else None

    def start(self, now: float) -> None:
        """Start it; a start that fails is an end like any other."""
        self._first = now if self._first is None else self._first
        self._started = now
        self._last_line = ""
        try:
            self.spec.before()
            self._process = subprocess.Popen(
                list(self.spec.command()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # A group of its own: Ctrl-C in the terminal reaches the supervisor alone, which then stops in order.
                start_new_session=True,
                env={**os.environ, **self.spec.environ, SUPERVISOR_PID: str(os.getpid())},
            )
        except (OSError, DeskError) as error:
            self._ended(f"not started: {error}", now)
            return
        self.state = "starting"
        self.started_ns = time.time_ns()
        self._drain = threading.Thread(
            target=self._copy, args=(self._process.stdout,), name=f"{self.name}-output", daemon=True
        )
        self._drain.start()
        logger().info("child started", child=self.name, pid=self._process.pid, restarts=self.restarts)

    def step(self, now: float) -> bool:
        """Look after it; whether its state changed."""
        before = (self.state, self.pid)
        if self._process is not None and (code := self._process.poll()) is not None:
            self._reap(code, now)
        elif self.state == "starting" and self.spec.ready():
            self.state = "running"
        elif self.state == "running" and now - self._started >= self._backoff.stable_s:
            self.failures = 0
        elif self.state == "stopping" and now >= self._kill_at:
            self._kill_at = float("inf")
            self._kill_group()
        if self.state == "backoff" and now >= self._next:
            self.restarts += 1
            self.start(now)
        return before != (self.state, self.pid)

    def ready(self, now: float) -> bool:
        """Whether what depends on this one may start."""
        if self._first is not None and not self.spec.gates:
            return True
        waited_out = self._first is not None and now - self._first >= self.spec.ready_s
        return self.state == "running" or waited_out

    def due_s(self, now: float) -> float:
        """Seconds until `step` has something to do of itself."""
        if self.state == "backoff":
            return max(0.0, self._next - now)
        return 0.05 if self.state == "starting" and now - self._started < self.spec.ready_s else 1.0

    def terminate(self) -> None:
        """Ask it to end."""
        self.state = "stopping" if self._process is not None else "stopped"
        if self._process is not None:
            self._process.terminate()

    def renew(self, now: float) -> None:
        """End it, by SIGKILL after its time, so that it can be started anew; that is a restart, and no failure."""
        self._kill_at = now + self.spec.stop_s
        self.restarts += 1
        self.terminate()

    def kill(self) -> None:
        """End it at once, and what it started."""
        if self._process is not None:
            self.forced = True
            self._kill_group()

    def _kill_group(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def ended(self, now: float) -> bool:
        """Whether a child that was asked to end has."""
        if self._process is not None and (code := self._process.poll()) is not None:
            self._reap(code, now)
        return self._process is None

    def describe(self) -> dict[str, Any]:
        """Its entry in the supervisor's status."""
        return {
            "name": self.name,
            "pid": self.pid,
            "state": self.state,
            "started_ns": self.started_ns if self.pid is not None else None,
            "restarts": self.restarts,
            "last_end": self.last_end,
        }

    def _reap(self, code: int, now: float) -> None:
        if self._drain is not None:
            self._drain.join(timeout=1)
        self._process = None
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
        self._ended(f"{how}: {self._last_line}" if self._last_line else how, now)

    def _ended(self, how: str, now: float) -> None:
        self.last_end = how
        if self.state == "stopping":
            self.state = "stopped"
            logger().info("child stopped", child=self.name, how=how)
            return
        self.failures = 1 if now - self._started >= self._backoff.stable_s else self.failures + 1
        delay = self._backoff.delay_s(self.failures, self._rng)
        self._next = now + delay
        self.state = "backoff"
        logger().error("child ended", child=self.name, how=how, failures=self.failures, restart_in_s=round(delay, 3))

    def _copy(self, pipe: IO[bytes]) -> None:
        """Copy what the child prints into its rotating file; ends with the child."""
        handler = RotatingFileHandler(self._log, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, delay=True)
        with pipe:
            # A line of endless length comes in pieces, so that it cannot fill the memory.
            while raw := pipe.readline(_LINE_BYTES):
                line = self._redaction.text(raw.decode(errors="replace").rstrip())
                if line:
                    self._last_line = line[-500:]
                    handler.emit(LogRecord(self.name, 20, "", 0, line, None, None))
        handler.close()
