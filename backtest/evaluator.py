"""Bars that are read once, on which many combinations of parameters are tried: on all cores, and in any windows."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from pydantic import BaseModel

from backtest.account_kernels import PLAIN, Loops, compiled_loops
from backtest.curve import Numbers, Times
from backtest.patience import PATIENCE_S, patiently
from backtest.plan import Plan
from backtest.preparing import Ask, Prepared, Read, prepare
from backtest.quick import Figures
from backtest.simulating import PLAIN_MOST, Decisions
from backtest.stream import Stream
from backtest.trying import WHOLE, Trier, Window, quick_on
from backtest.worker_processes import Ground, Processes, keep_stream, stream_name
from backtest.workers import Task, Threads, Workers
from market.errors import DeskError
from strategies.interface import Needs, StrategyError
from strategies.loader.files import Strategy
from strategies.loader.parameters import as_text

if TYPE_CHECKING:
    import polars as pl

    from market.intervals import Interval

THREADS_FROM: Final = 100_000
"""Bars from which on compiled code takes so much longer than Python between two runs that threads share the work."""
WORTH_S: Final = 3.0
"""Work that is worth starting processes for, seconds of one core."""
COMPILE_S: Final = 600.0
RETURNS_MAX: Final = 256 << 20
"""Bytes of the returns of all candidates: what asks whether the best is luck takes some times as much."""

Tell = Callable[[str, float], None]
"""Told a step (`read`, `try`) and how much of it is done, 0 to 1."""


class Candidates(NamedTuple):
    """Combinations that were tried on the same bars, in their order, and what came of each."""

    parameters: list[dict[str, Any]]
    """All parameters of each, as text: `strategy.read_parameters` takes them."""
    figures: "pl.DataFrame"
    """A row each, a column for each field of `metrics.Metrics`; what cannot be said is NaN, and null of a moment."""
    daily: Numbers
    """[candidate, day]: returns of each period, the first one's from the cash at the start on."""
    days: Times
    """Dates of the periods, days since 1970."""


class Failed(NamedTuple):
    """A combination that nothing came of."""

    parameters: dict[str, Any]
    why: str


class Evaluator:
    """Tries parameters of one strategy under one plan; a context manager, whose end ends its workers."""

    def __init__(
        self,
        plan: Plan,
        strategy: Strategy,
        read: Read,
        loops: Path,
        *,
        actions: Ask = lambda _symbol: None,
        jobs: int | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Nothing is read yet.

        Args:
            plan: What is run; its parameters are not looked at.
            strategy: Whose parameters are tried.
            read: Where bars come from; asked once for each series.
            loops: Folder of compiled loops.
            actions: Splits and dividends.
            jobs: Cores to use; None for all there are.
            patience_s: How long a strategy may show no sign of life.
        """
        self.plan = plan
        self.strategy = strategy
        self._read = read
        self._loops = loops
        self._actions = actions
        self._jobs = jobs or _cores()
        self._patience_s = patience_s
        self._prepared: dict[tuple[Interval, ...], Prepared] = {}
        self._streams: dict[tuple[Interval, ...], Stream] = {}
        self._workers: Workers | None = None
        self._scratch: Path | None = None
        self._kernels: Loops = PLAIN
        self.mode = ""
        """How the strategy runs: `compiled` or `plain`; empty before the first was tried."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._workers is not None:
            self._workers.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._workers = self._scratch = None

    def prepared(self, needs: Needs, tell: Tell = lambda _step, _share: None) -> Prepared:
        """The bars of a combination, read and looked at.

        Raises:
            DeskError: They are wrong, or there are none.
        """
        key = needs.intervals or ()
        if key not in self._prepared:
            # Too few for one combination may be enough for another.
            self._prepared[key] = prepare(
                self.plan, needs._replace(warm_up=0), self._read, actions=self._actions, tell=tell
            )
        return self._prepared[key]

    def shown(self, needs: Needs) -> Stream:
        """All the bars in the order in which they are shown; raises as `prepared`."""
        key = needs.intervals or ()
        if key not in self._streams:
            self._streams[key] = self.prepared(needs).shown()
            if self._scratch is not None:
                keep_stream(self._scratch, stream_name(key), self._streams[key])
        return self._streams[key]

    def try_all(
        self,
        chosen: Sequence[BaseModel],
        window: Window = WHOLE,
        *,
        expected: int | None = None,
        tell: Tell = lambda _step, _share: None,
    ) -> list[Figures | str]:
        """Try combinations.

        Args:
            chosen: Parameters by `strategy.read_parameters`.
            window: The bars that count.
            expected: How many will be tried in all, if more are to come: by that is chosen how.
            tell: Told how much of the step `try` is done, again and again; what it raises ends all.

        Returns:
            For each its figures, or in words why there are none.

        Raises:
            DeskError: The bars are wrong, they are too many combinations, or the strategy hangs.
        """
        if not chosen:
            return []
        found: dict[int, Figures | str] = {}

        def done(answers: Iterable[tuple[int, Figures | str]]) -> None:
            for number, answer in answers:
                found[number] = answer
                _check_room(answer, expected or len(chosen))
                look()

        def look() -> None:
            tell("try", len(found) / len(chosen))

        tasks = []
        for number, one in enumerate(chosen):
            try:
                needs = self.strategy.needs(one)
            except StrategyError as error:
                done([(number, str(error))])
                continue
            # Here and not in a thread, so that the desk's stores stay with the thread that opened them.
            self.shown(needs)
            tasks.append(Task(number, as_text(one), window))
        while tasks and self._workers is None:
            # One after the other until something comes of one: the time that it takes tells how to try the others.
            task = tasks.pop(0)
            try:
                self._compile(task, expected or len(chosen))
            except StrategyError as error:
                done([(task.number, str(error))])
                continue
            alone = Threads(self._trier, 1, self._patience_s)
            try:
                begun = time.perf_counter()
                done(alone.each([task], look))
            finally:
                alone.close()
            if not isinstance(found[task.number], str):
                self._workers = self._hired(task, time.perf_counter() - begun, (expected or len(chosen)) - 1)
        if tasks and self._workers is not None:
            done(self._workers.each(tasks, look))
        return [found[number] for number in range(len(chosen))]

    def candidates(
        self,
        chosen: Sequence[BaseModel],
        window: Window = WHOLE,
        *,
        expected: int | None = None,
        tell: Tell = lambda _step, _share: None,
    ) -> tuple[Candidates, list[Failed]]:
        """Try combinations: those that something came of, and the others; arguments and errors as `try_all`.

        Raises:
            DeskError: Nothing came of any.
        """
        return gathered(chosen, self.try_all(chosen, window, expected=expected, tell=tell))

    def _hired(self, tried: Task, took_s: float, left: int) -> Workers:
        """Who tries the others, given what one took."""
        rows = max(len(stream.views) for stream in self._streams.values())
        jobs = max(min(self._jobs, left), 1)
        shared = self.mode == "compiled" and rows >= THREADS_FROM
        if jobs > 1 and not shared and took_s * left > WORTH_S:
            return self._processes(jobs, tried)
        return Threads(self._trier, jobs if shared else 1, self._patience_s)

    def _compile(self, task: Task, expected: int) -> None:
        """Compile what has to be, here, where it may take longer than any strategy."""
        chosen = self.strategy.read_parameters(task.parameters)
        needs = self.strategy.needs(chosen)
        rows = len(self.shown(needs).views)
        self._kernels = compiled_loops() if rows * expected > PLAIN_MOST else PLAIN
        prepared, one_bar = self.prepared(needs), self.shown(needs).until(1)

        def tried() -> str:
            decisions = Decisions(self.strategy, chosen, self.plan.symbols, prepared.interval, self._loops)
            if self._kernels is not PLAIN:
                quick_on(prepared, one_bar, 0, self.strategy, self._loops, self._kernels).figures(chosen)
            return decisions.mode

        self.mode = patiently(lambda _beat: tried(), COMPILE_S, "look for a loop in begin() or decide() without an end")

    def _trier(self) -> Trier:
        return Trier(self.strategy, self._ground(), self._streams.__getitem__, self._loops, self._kernels)

    def _ground(self) -> Prepared:
        """What holds for all combinations: any that was prepared, since they differ in their series alone."""
        return next(iter(self._prepared.values()))

    def _processes(self, jobs: int, known: Task) -> Workers:
        self._scratch = Path(tempfile.mkdtemp(prefix="pocketquant-sweep-"))
        for intervals, shown in self._streams.items():
            keep_stream(self._scratch, stream_name(intervals), shown)
        one = self.strategy
        ground = Ground(
            (one.name, one.ours, one.path, one.source),
            self._ground(),
            self._loops,
            self._kernels is not PLAIN,
            self._scratch,
            known.parameters,
        )
        return Processes(ground, jobs, self._patience_s)


def gathered(chosen: Sequence[BaseModel], answers: Sequence[Figures | str]) -> tuple[Candidates, list[Failed]]:
    """Answers of one window as candidates, and the combinations that nothing came of.

    Raises:
        DeskError: Nothing came of any.
    """
    import polars as pl

    named = [as_text(one) for one in chosen]
    failed = [Failed(one, why) for one, why in zip(named, answers, strict=True) if isinstance(why, str)]
    tried = [(one, found) for one, found in zip(named, answers, strict=True) if not isinstance(found, str)]
    if not tried:
        msg = f"nothing came of any of the {len(named):,} combinations; of the first: {failed[0].why}"
        raise DeskError(msg)
    figures = pl.DataFrame(
        [asdict(found.metrics) for _, found in tried],
        schema_overrides={"deepest_to": pl.Int64},
        infer_schema_length=None,
    )
    daily = np.array([found.returns for _, found in tried])
    return Candidates([one for one, _ in tried], figures, daily, tried[0][1].dates), failed


def _check_room(answer: Figures | str, expected: int) -> None:
    """Refuse to begin what would not fit.

    Raises:
        DeskError: The returns of all would be too many.
    """
    if isinstance(answer, str) or answer.returns.nbytes * expected <= RETURNS_MAX:
        return
    most = RETURNS_MAX // answer.returns.nbytes
    msg = (
        f"{expected:,} combinations on {len(answer.returns):,} days are more than fit: try up to {most:,}, such as "
        "with --search random or tpe, or a shorter span"
    )
    raise DeskError(msg)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
