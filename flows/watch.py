"""The watch flow: reports how fresh the live pipeline is. `pq up` keeps its processes running, not Prefect."""

from flows import artifacts
from flows.freshness import look
from flows.running import desk, desk_flow, say
from infra.status import read_status
from market.errors import DeskError
from sinks.ledger import GapState


@desk_flow("watch", "watch")
def watch() -> str:
    """How fresh ticks and bars are: when each process and feed was last heard of, and how far bars are behind.

    It fails if anything is late, so that the failure is told of. What it watches is kept running by `pq up`.
    """
    with desk() as found:
        folders, now = found.folders, found.now_ns()
        statuses = {name: read_status(folders.status_file(name)) for name in ("ingest", "bars")}
        signs = look(statuses, now_ns=now, stale_s=found.settings.feed_stale_s)
        gaps = len(found.ledger.gaps(state=GapState.OPEN))
    for sign in signs:
        say(f"{sign.what}: {sign.value}")
    rows = [(sign.what, sign.value, sign.trouble or "fine") for sign in signs]
    rows.append(("open gaps", str(gaps), "heal fills them" if gaps else "fine"))
    artifacts.publish("freshness", artifacts.table(("what", "last", "verdict"), rows), "How fresh ticks and bars are")
    troubles = [sign.trouble for sign in signs if sign.trouble]
    if troubles:
        raise DeskError("; ".join(troubles))
    return f"all fresh; {gaps} open gaps"
