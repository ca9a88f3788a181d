"""The heal flow: every open gap filled from trades or from history, by a schedule and at once when one is noticed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from flows import artifacts
from flows.forms import SymbolText, symbols_of, whose
from flows.running import desk, desk_flow, voice
from sinks.ledger import GapState
from sinks.lock_file import BusyError

if TYPE_CHECKING:
    from history.heal import Healed

BUDGET_S: Final = 1800.0
"""No further portion of a gap is begun after this; the next run goes on there."""
WAIT_S: Final = 75
"""What a run that a gap started waits for the gap's last minute to end, and for its venue to close it."""
SHOWN: Final = 200


@desk_flow("heal", lambda given: f"heal {whose(given)}")
def heal(
    symbols: Sequence[SymbolText] = (), again: bool = False, wait_s: Annotated[int, Field(ge=0, le=600)] = 0
) -> str:
    """Every open gap filled from the venue's trades, or from its minute bars; longer bars above it are made again.

    Live bars across a gap become `healed`. What no provider has becomes `unfillable`, with the reason. A second run
    changes nothing.

    Args:
        symbols: Gaps of these only. None at all: of every symbol.
        again: Also try gaps that were unfillable.
        wait_s: Wait so many seconds for gaps whose last minute is not over yet, before they are left to the next run.
    """
    from history.heal import heal as run

    with desk() as found:
        wanted = symbols_of(symbols) if symbols else None
        try:
            done = run(found, wanted, again=again, wait_s=wait_s, budget_s=BUDGET_S, say=voice())
        except BusyError:
            # The one at work does what this one would have done.
            return "another healer is at work"
    if done.gaps:
        _show(done)
    return sentence(done)


def sentence(done: "Healed") -> str:
    """What a run did, in one."""
    if not done.gaps and not done.above:
        return "nothing to heal"
    counts = [(state, done.count(state)) for state in (GapState.HEALED, GapState.UNFILLABLE, GapState.OPEN)]
    gaps = ", ".join(f"{count} {state}" for state, count in counts if count) or "none"
    waiting = f", {done.waiting} wait" if done.waiting else ""
    return f"gaps: {gaps}; {done.minutes} minutes changed; {done.above} longer bars made again{waiting}"


def _show(done: "Healed") -> None:
    rows: list[tuple[Any, ...]] = [
        (
            one.gap.symbol,
            artifacts.moment(one.gap.start),
            artifacts.moment(one.gap.end),
            one.gap.reason,
            one.gap.state,
            one.gap.healed_by,
            one.bars,
            one.why,
        )
        for one in done.gaps[:SHOWN]
    ]
    head = ("symbol", "from", "to", "reason", "state", "healed by", "bars", "why not")
    more = f"\n\nand {len(done.gaps) - SHOWN} more: `pq gaps`" if len(done.gaps) > SHOWN else ""
    artifacts.publish("heal", artifacts.table(head, rows) + more, sentence(done))
