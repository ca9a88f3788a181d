"""Workers that try parameters on several cores, as threads: for compiled code, which lets go of the interpreter.

Workers are given tasks in their order and answer in any. One that shows no sign of life for too long ends the whole.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Protocol

from backtest.quick import Figures
from backtest.space import worded
from backtest.trying import Trier, Window
from market.errors import DeskError

LOOK_S: Final = 0.5
"""How often signs of life are looked at."""


class Task(NamedTuple):
    """One combination to be tried."""

    number: int
    parameters: Mapping[str, Any]
    window: Window


Answer = Figures | str
"""What came of it; or, in words, why nothing did."""


class Workers(Protocol):
    """Threads or processes."""

    def each(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[int, Answer]]:
        """Try all; number and answer of each as it is there.

        Args:
            tasks: What to try.
            look: Called twice a second while nothing is there: whoever does not want to wait any more raises in it.

        Raises:
            DeskError: A worker hangs, or has ended.
        """
        ...

    def close(self) -> None:
        """End them, whatever they do."""
        ...


def answered(trier: Trier, task: Task, tell: Callable[[], None]) -> Answer:
    """Try, and put what went wrong in words."""
    try:
        return trier.figures(task.parameters, task.window, tell)
    except DeskError as error:
        return str(error)


def hanging(strategy: str, task: Task, patience_s: float) -> DeskError:
    """The error of a worker that shows no sign of life."""
    msg = (
        f"strategy {strategy} with {worded(task.parameters)} has not come back for {patience_s:g} s: look for a loop "
        "in decide() that has no end"
    )
    return DeskError(msg)


class Threads:
    """Share the bars as they are. One that hangs is abandoned: it goes on until the program ends."""

    def __init__(self, make: Callable[[], Trier], count: int, patience_s: float) -> None:
        """Start.

        Args:
            make: Makes a trier, one for each thread.
            count: Of threads.
            patience_s: How long one may show no sign of life.
        """
        self._patience_s = patience_s
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Task, Answer | BaseException]] = queue.SimpleQueue()
        self._beats: dict[int, tuple[float, Task]] = {}
        self._strategy = ""
        for slot in range(count):
            trier = make()
            self._strategy = trier.strategy.name
            threading.Thread(target=self._work, args=(slot, trier), name=f"sweep-{slot}", daemon=True).start()
        self._count = count

    def each(self, tasks: Sequence[Task], look: Callable[[], None]) -> Iterator[tuple[int, Answer]]:
        """See `Workers`."""
        for task in tasks:
            self._tasks.put(task)
        for _ in tasks:
            while True:
                try:
                    task, answer = self._answers.get(timeout=LOOK_S)
                    break
                except queue.Empty:
                    self._look()
                    look()
            if isinstance(answer, BaseException):
                raise answer
            yield task.number, answer

    def close(self) -> None:
        """See `Workers`; what is in hand goes on to its end, which nobody waits for."""
        with suppress(queue.Empty):
            while True:
                self._tasks.get_nowait()
        for _ in range(self._count):
            self._tasks.put(None)

    def _look(self) -> None:
        for seen, task in list(self._beats.values()):
            if time.monotonic() - seen > self._patience_s:
                raise hanging(self._strategy, task, self._patience_s)

    def _work(self, slot: int, trier: Trier) -> None:
        while (task := self._tasks.get()) is not None:

            def tell(task: Task = task) -> None:
                self._beats[slot] = (time.monotonic(), task)

            tell()
            try:
                answer: Answer | BaseException = answered(trier, task, tell)
            except BaseException as error:  # noqa: BLE001  # It is raised in the caller's thread.
                answer = error
            self._beats.pop(slot, None)
            self._answers.put((task, answer))
