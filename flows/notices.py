"""Who is told that a run failed: the desk's alerts (`pq status`, the live screen), and the addresses of `notify`."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from infra.logs import Redaction, logger
from infra.notify import Notifier
from infra.settings import load_settings
from market.errors import DeskError
from sinks.ledger import Event, Ledger

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

EVENT: Final = "flow_failed"
SEND_S: Final = 10.0
REPEAT_NS: Final = 3600 * 10**9
"""A run of a schedule that fails each time is told of again after this long at the earliest."""
EVENTS_READ: Final = 200


def tell(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """Tell of a run that failed or crashed; a hook of each flow. Never raises."""
    name = _name_now(flow_run) if state.is_crashed() else flow_run.name
    text = f"{name}: {state.message or state.name}"
    now = time.time_ns()
    try:
        settings = load_settings()
        text = Redaction(settings.secrets()).text(text)
        with Ledger(settings.folders.desk) as ledger:
            if flow_run.auto_scheduled and _told_lately(ledger, name, now):
                return
            ledger.note_event(Event(now, "error", EVENT, "flows", text))
        notifier = Notifier([address.get_secret_value() for address in settings.notify])
        notifier.send(f"flow failed: {flow.name}", text)
        notifier.close(SEND_S)
    except DeskError as error:
        logger().error("a failed run could not be told of", run=text, reason=str(error))


def _name_now(flow_run: "FlowRun") -> str:
    """The name of a run; whoever saw it end by a kill knows it as it was before it named itself, such as `red-fox`."""
    with suppress(Exception):
        from prefect.client.orchestration import get_client

        number = flow_run.id
        with get_client(sync_client=True) as client:
            return client.read_flow_run(number).name
    return flow_run.name


def _told_lately(ledger: Ledger, name: str, now: int) -> bool:
    """Whether a failure of a run of this name is among the newest alerts, and not old."""
    return any(
        event.name == EVENT and event.time > now - REPEAT_NS and event.text.startswith(f"{name}: ")
        for event in ledger.events(EVENTS_READ)
    )
