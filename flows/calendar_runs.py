"""Runs that are planned by calendars: each at a moment of its own, visible in the UI as what comes, and made once.

A run that is planned while the desk is off is late when it is on again, and runs then.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

TAG: Final = "by-calendar"


class Planned(NamedTuple):
    """One run that is to come."""

    name: str
    key: str
    """Whatever is planned again under the same one is left as it is."""
    run_at: int
    """ns."""
    parameters: Mapping[str, Any]


async def plan(client: "PrefectClient", deployment: UUID, runs: Iterable[Planned]) -> None:
    """Plan runs; one that is planned already is left as it is.

    Args:
        client: Of the server.
        deployment: Of the flow.
        runs: What to plan.
    """
    from prefect.states import Scheduled

    for run in runs:
        await client.create_flow_run_from_deployment(
            deployment,
            parameters=dict(run.parameters),
            state=Scheduled(scheduled_time=datetime.fromtimestamp(run.run_at / 1e9, UTC)),
            name=run.name,
            idempotency_key=run.key,
            tags=["pocketquant", TAG],
        )
