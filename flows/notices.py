"""Who is told that a run failed: the desk's alerts (`pq status`, the live screen), and the addresses of `notify`."""

import time
from typing import TYPE_CHECKING, Any

from infra.logs import Redaction, logger
from infra.notify import Notifier
from infra.settings import load_settings
from market.errors import DeskError
from sinks.ledger import Event, Ledger

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas.objects import FlowRun, State

SEND_S = 10.0


def tell(flow: "Flow[..., Any]", flow_run: "FlowRun", state: "State[Any]") -> None:
    """Tell of a run that failed or crashed; a hook of each flow. Never raises."""
    text = f"{flow_run.name}: {state.message or state.name}"
    try:
        settings = load_settings()
        text = Redaction(settings.secrets()).text(text)
        notifier = Notifier([address.get_secret_value() for address in settings.notify])
        notifier.send(f"flow failed: {flow.name}", text)
        with Ledger(settings.folders.desk) as ledger:
            ledger.note_event(Event(time.time_ns(), "error", "flow_failed", "flows", text))
        notifier.close(SEND_S)
    except DeskError as error:
        logger().error("a failed run could not be told of", run=text, reason=str(error))
