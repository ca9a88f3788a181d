"""The table of flows: what Prefect's UI lists, and when each runs by itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flows.watch import watch

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment

NAME: Final = "desk"
"""Each flow has one deployment, of this name."""
GAP_EVENT: Final = "pocketquant.gap.noticed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One flow and when it runs."""

    flow: "Flow[..., Any]"
    crons: tuple[str, ...] = ()
    """UTC. None: only when it is asked for."""
    alone: bool = False
    """Whether only one run of it goes at a time; the others wait."""
    catch_up: bool = False
    """Whether a run that was missed, because the desk was not running, is made up for once when it runs again."""
    on_gap: bool = False
    """Whether a gap that ingest notices starts it at once."""
    parameters: Callable[[], Mapping[str, Any]] = field(default=dict)
    """What the form is filled with besides the flow's own defaults; asked when the flows are served."""


def table() -> list[Entry]:
    """All flows, in the order of their names."""
    return [Entry(watch, ("*/10 * * * *",), alone=True)]


async def deployment(entry: Entry, tags: tuple[str, ...] = ()) -> "RunnerDeployment":
    """What Prefect is told of a flow."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.events import DeploymentEventTrigger, Posture
    from prefect.types.entrypoint import EntrypointType

    bell = DeploymentEventTrigger(expect={GAP_EVENT}, posture=Posture.Reactive)
    return await entry.flow.ato_deployment(
        name=NAME,
        schedules=[CronSchedule(cron=cron, timezone="UTC") for cron in entry.crons],
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)
        if entry.alone
        else None,
        parameters=dict(entry.parameters()),
        triggers=[bell] if entry.on_gap else [],
        tags=["pocketquant", *tags],
        # By its module, wherever the project is installed; a path would be read against the working folder.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
