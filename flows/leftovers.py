"""What an earlier life of the flows left with Prefect's server: runs that nobody runs any more, runs that were missed.

A server knows only what it is told. Whoever was killed told it nothing, so its runs would stay Running for good
(Source: measured, with the runner and the run killed); and the runs that were planned while the desk was off are Late,
a dozen of each flow, of which at most one is worth making up for.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from flows import calendar_runs

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import State

CUT_OFF: Final = "cut off: the process that ran it was ended; started again, it goes on where it was"
_PAGE: Final = 200
_MISSED_AFTER: Final = timedelta(minutes=1)
_SETTLED_AFTER: Final = timedelta(minutes=2)
"""Tasks report through a queue: after 500 of them it is 14 s behind."""


async def close_orphans(client: "PrefectClient") -> int:
    """Mark runs as crashed that are said to be running; to be called before anything runs. How many there were."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelled, Crashed

    types = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    states = FlowRunFilterState(type=FlowRunFilterStateType(any_=types))
    count = 0
    while runs := await client.read_flow_runs(flow_run_filter=FlowRunFilter(state=states), limit=_PAGE):
        for run in runs:
            cancelling = run.state_type == StateType.CANCELLING
            state: State[Any] = Cancelled(message="cancelled") if cancelling else Crashed(message=CUT_OFF)
            await client.set_flow_run_state(run.id, state, force=True)
        count += len(runs)
    return count


async def close_tasks(client: "PrefectClient", now: datetime) -> int:
    """Mark tasks as crashed that are said to be running in runs that have ended; how many there were.

    A run that was killed could not say how its tasks ended, and the server does not conclude it.

    Args:
        client: Of the server.
        now: The present moment; what ended just before it may not be in the tables yet.
    """
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterEndTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
        TaskRunFilter,
        TaskRunFilterState,
        TaskRunFilterStateType,
    )
    from prefect.client.schemas.objects import TERMINAL_STATES, StateType
    from prefect.states import Crashed

    ended = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(TERMINAL_STATES))),
        end_time=FlowRunFilterEndTime.model_validate({"before_": now - _SETTLED_AFTER}),
    )
    types = [StateType.RUNNING, StateType.PENDING]
    going = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=types)))
    count = 0
    while tasks := await client.read_task_runs(flow_run_filter=ended, task_run_filter=going, limit=_PAGE):
        for one in tasks:
            await client.set_task_run_state(one.id, Crashed(message=CUT_OFF), force=True)
        count += len(tasks)
    return count


async def drop_missed(client: "PrefectClient", catch_up: Collection[str], now: datetime) -> int:
    """Take away planned runs whose time has passed, but for the newest one of each flow that makes up for it.

    Those that were planned by a calendar stay unless their flow makes up for one: each is a moment of its own.

    Args:
        client: Of the server.
        catch_up: Names of the flows that do.
        now: The present moment.

    Returns:
        How many were taken away.
    """
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterExpectedStartTime,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    missed = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"before_": now - _MISSED_AFTER}),
    )
    names = {flow.id: flow.name for flow in await client.read_flows(limit=_PAGE)}
    kept, dropped, offset = set[str](), 0, 0
    while runs := await client.read_flow_runs(
        flow_run_filter=missed, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=_PAGE, offset=offset
    ):
        for run in runs:
            name = names.get(run.flow_id, "")
            by_itself = run.auto_scheduled or (name in catch_up and calendar_runs.TAG in run.tags)
            if not by_itself or (name in catch_up and name not in kept):
                # One that somebody asked for is never dropped.
                kept.add(name)
                offset += 1
            else:
                await client.delete_flow_run(run.id)
                dropped += 1
    return dropped
