"""What every run of a flow has: its desk, its words, its second tries, and someone who is told when it fails.

A user's mistake and the world's trouble (`DeskError`) end a run or a task as Failed with their sentence and nothing
more; only what nobody foresaw leaves a traceback in Prefect's log.
"""

import functools
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from prefect import Task, get_run_logger
from prefect.runtime import flow_run, task_run
from prefect.states import Completed, Failed
from prefect.tasks import exponential_backoff

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
AT_ONCE: Final = 4
"""Symbols of one run at a time."""


def settings() -> Settings:
    """The settings of the desk that this run belongs to: the serving process puts them into the environment."""
    return load_settings()


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
    with HistoryDesk(found) as opened:
        yield opened


def _tie() -> None:
    """Hold the lifeline, if this is a process of the runner's and not a test's or a script's own."""
    if os.environ.get("PREFECT__FLOW_RUN_ID"):
        lifeline.hold()


def say(text: str) -> None:
    """One line in the log of the run, where Prefect's UI shows it."""
    get_run_logger().info(text)


def transient(error: BaseException) -> bool:
    """Whether the same again may go well in a minute."""
    from sinks.bar_store import StoreAway
    from sources.history.provider import BadAnswer, ProviderAway

    return isinstance(error, StoreAway | ProviderAway | BadAnswer)


def _worth_another(_task: Task[..., Any], _run: Any, state: "State[Any]") -> bool:
    """Whether Prefect runs a task again."""
    try:
        state.result(raise_on_failure=True)
    except BaseException as error:  # noqa: BLE001  # It is asked what it is.
        return transient(error)
    return False


def symbol_task(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task on one symbol, the coarsest unit that a watcher wants to see: Prefect needs 25 ms of CPU for each.

    Transient trouble is tried again thrice, 10, 20 and 40 s later and up to half as much again; the last failure, and
    any that is not transient, becomes the task's state with its sentence.

    Args:
        name: Of its runs, with the task's parameters: `backfill {symbol}`.
    """

    def make(work: Callable[P, R]) -> Task[P, R]:
        from prefect import task

        return task(
            name=work.__name__.strip("_").replace("_", " "),
            task_run_name=name,
            retries=RETRIES,
            retry_delay_seconds=exponential_backoff(RETRY_S),
            retry_jitter_factor=0.5,
            retry_condition_fn=_worth_another,
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
            get_run_logger().error(str(error))
            return Failed(message=str(error))  # type: ignore[return-value]  # Prefect takes a state for the result.

    return telling


def ended(work: Callable[P, str]) -> Callable[P, "State[Any]"]:
    """A flow's body that returns one sentence becomes the run's state with that sentence.

    A `DeskError` becomes Failed with its own. What is raised otherwise goes to Prefect.
    """

    @functools.wraps(work)
    def ending(*args: P.args, **kwargs: P.kwargs) -> "State[Any]":
        try:
            return Completed(message=work(*args, **kwargs))
        except DeskError as error:
            get_run_logger().error(str(error))
            return Failed(message=str(error))

    # Prefect makes the form of what the wrapped function takes, and the state of what this one returns.
    return ending


def gathered(futures: "dict[str, PrefectFuture[R]]") -> tuple[dict[str, R], dict[str, str]]:
    """Wait for tasks on symbols: what each returned, and the sentences of those that failed.

    Args:
        futures: By symbol.
    """
    done = dict[str, R]()
    failed = dict[str, str]()
    for symbol, future in futures.items():
        future.wait()
        state = future.state
        if state.is_completed():
            done[symbol] = future.result()
        else:
            failed[symbol] = state.message or state.name or "failed"
    return done, failed


def check_parts(failed: dict[str, str], of: int) -> None:
    """Say that parts of a run failed, after all others were done.

    Raises:
        DeskError: Some did.
    """
    if failed:
        first = "; ".join(f"{symbol}: {why}" for symbol, why in list(failed.items())[:3])
        msg = f"{len(failed)} of {of} failed: {first}" + ("; ..." if len(failed) > 3 else "")
        raise DeskError(msg)


def named(make: Callable[[dict[str, Any]], str]) -> Callable[[], str]:
    """A run's name, of its parameters as they came from the form."""

    def name() -> str:
        with suppress(Exception):
            return make(dict(flow_run.parameters))
        # A name is no reason for a run to fail.
        return str(flow_run.flow_name)

    return name
