"""What every run of a flow has: its desk, its words, its second tries, and someone who is told when it fails.

A user's mistake and the world's trouble (`DeskError`) end a run or a task as Failed with their sentence and nothing
more; only what nobody foresaw leaves a traceback in Prefect's log.
"""

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Event
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from prefect import Flow, Task, flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import FailedRun
from prefect.runtime import flow_run, task_run
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import exponential_backoff

from flows.notices import tell
from history.books import StoppedError
from history.desk import HistoryDesk
from infra import lifeline, logs
from infra.settings import Settings, load_settings
from market.errors import DeskError

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State
    from prefect.futures import PrefectFuture

P = ParamSpec("P")
R = TypeVar("R")

RETRIES: Final = 3
RETRY_S: Final = 10
SOON_NS: Final = 60 * 10**9
"""The last try is 70 s after the first, or later."""
STOP_S: Final = 10.0
AT_ONCE: Final = 4
"""Symbols of one run at a time."""


def settings() -> Settings:
    """The settings of the desk that this run belongs to: the serving process puts them into the environment."""
    return load_settings()


class Means:
    """What the tasks of a run share."""

    def __init__(self, found: Settings) -> None:
        self.stop = Event()
        """Set when the run is to end: those in hand end after their page, and those that wait at once."""
        self.desk = HistoryDesk(found, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            msg = "it was stopped while it waited; start it again, and it goes on"
            raise StoppedError(msg)


_MEANS: ContextVar[Means] = ContextVar("means")


def means() -> Means:
    """The means of the run that this task belongs to; tasks take their run's context into their threads."""
    return _MEANS.get()


@contextmanager
def desk() -> Iterator[HistoryDesk]:
    """The run's desk, for its whole time; the process ends with the one that started it.

    Raises:
        DeskError: The settings are wrong, or the data folder cannot be used.
    """
    _tie()
    found = settings()
    folders = found.folders.create()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Addresses of providers may hold keys.
    logs.configure("runs", folders.log_file("runs"), level=found.log_level, secrets=found.secrets())
    shared = Means(found)
    token = _MEANS.set(shared)
    try:
        with shared.desk:
            yield shared.desk
    finally:
        _MEANS.reset(token)


def _tie() -> None:
    """Hold the lifeline, if this is a process of the runner's and not a test's or a script's own."""
    if os.environ.get("PREFECT__FLOW_RUN_ID"):
        lifeline.hold()


def say(text: str) -> None:
    """One line in the log of the run, where Prefect's UI shows it; from the run's or the task's own thread."""
    get_run_logger().info(text)


def voice() -> Callable[[str], None]:
    """As `say`, for any thread: the core has some of its own, which know nothing of the run."""
    return get_run_logger().info


def transient(error: BaseException) -> bool:
    """Whether the same again may go well in a minute."""
    from history.fetched import NobodyGave
    from sinks.bar_store import StoreAway
    from sources.history.provider import BadAnswer, ProviderAway, QuotaSpent

    if isinstance(error, NobodyGave):
        return error.transient or _is_soon(error.retry_at_ns)
    if isinstance(error, QuotaSpent):
        return _is_soon(error.until_ns)
    return isinstance(error, StoreAway | ProviderAway | BadAnswer)


def _is_soon(moment_ns: int | None) -> bool:
    """Whether the tries that are left come after a moment: a provider that asks for a second's pause is not spent."""
    return moment_ns is not None and moment_ns <= time.time_ns() + SOON_NS


def _worth_another(_task: Task[..., Any], _run: Any, state: "State[Any]") -> bool:
    """Whether Prefect runs a task again."""
    try:
        state.result(raise_on_failure=True)
    except BaseException as error:  # noqa: BLE001  # It is asked what it is.
        return transient(error)
    return False


def part(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A part of a run that a watcher wants to see, such as one symbol, as a task. Coarse: each costs 25 ms of CPU.

    Transient trouble is tried again thrice, 10, 20 and 40 s later and up to half as much again; the last failure, and
    any that is not transient, becomes the task's state with its sentence.

    Args:
        name: Of its runs, with the task's parameters: `backfill {symbol}`.
    """

    def make(work: Callable[P, R]) -> Task[P, R]:
        return task(
            name=work.__name__.strip("_").replace("_", " "),
            task_run_name=name,
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(RETRY_S),
            retry_jitter_factor=0.5,
            retry_condition_fn=_worth_another,
            # The store is what remembers; Prefect's own memory of results has no clean-up.
            cache_policy=NO_CACHE,
            persist_result=False,
        )(_told(work))

    return make


def _told(work: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(work)
    def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return work(*args, **kwargs)
        except DeskError as error:
            if transient(error) and (task_run.run_count or 1) <= RETRIES:
                raise
            if isinstance(error, StoppedError):
                return Cancelled(message=str(error))  # type: ignore[return-value]  # Prefect takes a state for the result.
            get_run_logger().error(str(error))
            return Failed(message=str(error))  # type: ignore[return-value]  # As above.

    return telling


def desk_flow(
    name: str, run_name: str | Callable[[dict[str, Any]], str], *, at_once: int = AT_ONCE
) -> "Callable[[Callable[P, str]], Flow[P, State[Any]]]":
    """A flow of the desk: its body returns one sentence, and whoever is to know is told if it fails.

    Args:
        name: As in the table of flows.
        run_name: Of its runs; a function makes it of the run's parameters.
        at_once: How many tasks of a run go at a time.
    """

    def make(work: Callable[P, str]) -> "Flow[P, State[Any]]":
        runner: Any = ThreadPoolTaskRunner(max_workers=at_once)
        naming = run_name if isinstance(run_name, str) else named(run_name)
        return flow(name=name, flow_run_name=naming, task_runner=runner, on_failure=[tell], on_crashed=[tell])(
            ended(work)
        )

    return make


def ended(work: Callable[P, str]) -> Callable[P, "State[Any]"]:
    """A flow's body that returns one sentence becomes the run's state with that sentence.

    A `DeskError` becomes Failed with its own. What is raised otherwise goes to Prefect.
    """

    @functools.wraps(work)
    def ending(*args: P.args, **kwargs: P.kwargs) -> "State[Any]":
        logging.getLogger("prefect.flow_runs").addFilter(_is_news)
        try:
            return Completed(message=work(*args, **kwargs))
        except DeskError as error:
            get_run_logger().error(str(error))
            return Failed(message=str(error))

    # Prefect makes the form of what the wrapped function takes, and the state of what this one returns.
    return ending


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of a run's log says anything.

    Prefect's engine wants a run's result after its end, and takes it for an unexpected exception that a failed run has
    none: thirty lines under the sentence that said it all.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], FailedRun))


def gathered(futures: "dict[str, PrefectFuture[R]]") -> tuple[dict[str, R], dict[str, str]]:
    """Wait for tasks on symbols: what each returned, and the sentences of those that failed.

    Args:
        futures: By symbol.
    """
    done = dict[str, R]()
    failed = dict[str, str]()
    try:
        for future in futures.values():
            future.wait()
    except BaseException:
        # A cancelled run: its tasks' threads are told, and get the time to end with the page in hand.
        means().stop.set()
        for future in futures.values():
            with suppress(BaseException):
                future.wait(timeout=STOP_S)
        raise
    for symbol, future in futures.items():
        state = future.state
        if state.is_completed():
            done[symbol] = future.result()
        else:
            failed[symbol] = state.message or state.name or "failed"
    return done, failed


def only(future: "PrefectFuture[R]") -> R:
    """What the only part of a run returned.

    Raises:
        DeskError: It failed.
    """
    done, failed = gathered({"": future})
    if failed:
        raise DeskError(failed[""])
    return done[""]


def check_parts(failed: dict[str, str], of: int) -> None:
    """Say that parts of a run failed, after all others were done.

    Raises:
        DeskError: Some did.
    """
    if not failed:
        return
    # Most sentences of the core begin with the symbol already.
    told = [why if part.partition(" ")[0] in why else f"{part}: {why}" for part, why in failed.items()]
    raise DeskError(
        told[0] if of == 1 else f"{len(failed)} of {of} failed: {'; '.join(told[:3])}{'; ...' * (len(told) > 3)}"
    )


def named(make: Callable[[dict[str, Any]], str]) -> Callable[[], str]:
    """A run's name, of its parameters as they came from the form."""

    def name() -> str:
        with suppress(Exception):
            return make(dict(flow_run.parameters))
        # A name is no reason for a run to fail.
        return str(flow_run.flow_name)

    return name
