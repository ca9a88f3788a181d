"""Workers that try parameters as processes: for plain Python, and where Python between short runs is what takes time.

Bars are written to files once and mapped by all of them, so that they are in memory once.
"""

import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from backtest.preparing import Prepared
from backtest.stream import CHANGE, Stream
from backtest.trying import Trier, quick_on
from backtest.workers import LOOK_S, Answer, Task, answered, hanging
from market.errors import DeskError
from market.intervals import Interval
from strategies.loader.files import Strategy, find, from_source
from trading.records import VIEW


class Ground(NamedTuple):
    """What a process is told once."""

    strategy: tuple[str, bool, Path, str]
    """Name, whether it is ours, path, source."""
    prepared: Prepared
    loops: Path
    compiled: bool
    folder: Path
    """Of bars."""
    known: Mapping[str, Any]
    """Parameters that something came of, by which a process makes ready what is compiled."""


class Processes:
    """Map the bars. One that hangs is stopped."""

    def __init__(self, ground: Ground, count: int, patience_s: float) -> None:
        """Start; bars are in the ground's folder already.

        Args:
            ground: What each is told.
            count: Of processes.
            patience_s: How long one may show no sign of life.
        """
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        self._strategy = ground.strategy[0]
        self._patience_s = patience_s
        # Of the same clock in all processes: when each last showed a sign of life; never, until it has started.
        self._beats = context.RawArray("d", [inf] * count)
        self._pipes: list[Any] = []
        self._children: list[Any] = []
        prepared = replace(ground.prepared, series=())
        told = pickle.dumps(ground._replace(prepared=prepared))
        try:
            for slot in range(count):
                ours, theirs = context.Pipe()
                child = context.Process(
                    target=_process, args=(slot, theirs, self._beats, told), name=f"sweep-{slot}", daemon=True
                )
                with _uninterrupted():
                    child.start()
                    self._pipes.append(ours)
                    self._children.append(child)
                theirs.close()
        except BaseException:
            self.close()
            raise

    def each(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[int, Answer]]:
        """See `Workers`."""
        from multiprocessing.connection import wait

        waiting = list(reversed(tasks))
        busy: dict[Any, Task] = {}
        for slot, pipe in enumerate(self._pipes):
            self._give(slot, pipe, waiting, busy)
        while busy:
            ready: list[Any] = wait(list(busy), timeout=LOOK_S)
            if not ready:
                look()
            for pipe in ready:
                slot = self._pipes.index(pipe)
                try:
                    answer = pipe.recv()
                except (EOFError, OSError) as error:
                    raise self._ended(slot) from error
                task = busy.pop(pipe)
                self._give(slot, pipe, waiting, busy)
                if isinstance(answer, BaseException):
                    raise answer
                yield task.number, answer
            for slot, pipe in enumerate(self._pipes):
                if pipe in busy and time.monotonic() - self._beats[slot] > self._patience_s:
                    raise hanging(self._strategy, busy[pipe], self._patience_s)

    def close(self) -> None:
        """See `Workers`."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.join()
        for pipe in self._pipes:
            pipe.close()

    def _give(self, slot: int, pipe: Any, waiting: list[Task], busy: dict[Any, Task]) -> None:
        if not waiting:
            return
        busy[pipe] = waiting.pop()
        if self._beats[slot] != inf:
            self._beats[slot] = time.monotonic()
        try:
            pipe.send(busy[pipe])
        except OSError as error:
            raise self._ended(slot) from error

    def _ended(self, slot: int) -> DeskError:
        self._children[slot].join()
        code = self._children[slot].exitcode
        why = f"by signal {-code}" if code < 0 else f"with {code}"
        msg = f"a process of the sweep has ended {why}: there may be too little memory; try again with --jobs 1"
        return DeskError(msg)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits: a process that is started meanwhile never hears of it, not even before its first line of ours.

    It is for the one that waits for the answers, and ends this one.
    """
    from multiprocessing import resource_tracker

    # Starting it lifts what is held back here.
    resource_tracker.ensure_running()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    # Any other thread may be given it, and the main one is then told: it must not leave a process that is half started.
    waiting: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, lambda number, _frame: waiting.append(number)) if in_main else None
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        if waiting:
            signal.raise_signal(signal.SIGINT)


def keep_stream(folder: Path, name: str, shown: Stream) -> None:
    """Write a stream's arrays as files that processes map."""
    (folder / name).mkdir()
    for field, array in shown._asdict().items():
        if field != "symbols" and not (field == "seen" and array is shown.views):
            np.save(folder / name / f"{field}.npy", np.ascontiguousarray(array))


def kept_stream(folder: Path, name: str, prepared: Prepared) -> Stream:
    """The stream that was written, without a copy of it."""

    def mapped(field: str) -> Any:
        path = folder / name / f"{field}.npy"
        try:
            # Compiled loops take arrays that may be written to; what were written would be this process's own.
            found = np.load(path, mmap_mode="c").view(np.ndarray)
        except ValueError:
            # Of no bytes nothing is mapped.
            found = np.load(path)
        # A file knows nothing of records.
        return found.view(VIEW) if field in {"views", "seen"} else found.view(CHANGE) if field == "changes" else found

    views = mapped("views")
    seen = mapped("seen") if (folder / name / "seen.npy").exists() else views
    return Stream(prepared.symbols, views, seen, mapped("own"), mapped("factor"), mapped("sessions"), mapped("changes"))


def stream_name(intervals: tuple[Interval, ...]) -> str:
    """Of a stream's folder."""
    return "-".join(["own", *(str(int(interval)) for interval in intervals)])


def _process(slot: int, pipe: Any, beats: Any, told: bytes) -> None:
    """What a process does: tries what it is sent until nobody sends any more."""
    with suppress(EOFError, OSError):
        _serve(slot, pipe, beats, told)


def _serve(slot: int, pipe: Any, beats: Any, told: bytes) -> None:
    from backtest.account_kernels import PLAIN, compiled_loops

    ground: Ground = pickle.loads(told)  # noqa: S301  # Of the process that started this one.
    name, ours, path, source = ground.strategy
    strategy: Strategy = find(name) if ours else from_source(name, path, source)
    streams: dict[tuple[Interval, ...], Stream] = {}

    def stream_of(intervals: tuple[Interval, ...]) -> Stream:
        if intervals not in streams:
            streams[intervals] = kept_stream(ground.folder, stream_name(intervals), ground.prepared)
        return streams[intervals]

    kernels = compiled_loops() if ground.compiled else PLAIN
    trier = Trier(strategy, ground.prepared, stream_of, ground.loops, kernels)
    # Before its first sign of life: to compile may take longer than a strategy may.
    chosen = strategy.read_parameters(ground.known)
    one_bar = stream_of(strategy.needs(chosen).intervals or ()).until(1)
    with suppress(DeskError):
        quick_on(ground.prepared, one_bar, 0, strategy, ground.loops, kernels).figures(chosen)

    def tell() -> None:
        beats[slot] = time.monotonic()

    while True:
        task: Task = pipe.recv()
        tell()
        try:
            answer: Any = answered(trier, task, tell)
        except BaseException as error:  # noqa: BLE001  # It is raised in the process that waits.
            answer = RuntimeError(f"{type(error).__name__}: {error}")
        pipe.send(answer)
