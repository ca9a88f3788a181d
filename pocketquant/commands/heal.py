"""`pq heal`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records, note

if TYPE_CHECKING:
    from history.heal import Healed

COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "start": "time",
    "end": "time",
    "reason": "text",
    "state": "text",
    "healed_by": "text",
    "bars": "int",
    "why": "text",
}


@click.command(
    epilog=options.example("pq heal", "pq heal KRAKEN:BTCUSD --wait 90", "pq heal --again", "pq heal --json")
)
@click.argument("symbols", type=options.SYMBOL, nargs=-1)
@click.option("--again", is_flag=True, help="Also try gaps that were unfillable: a key was set, a provider mended.")
@click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for gaps whose last minute is not over.",
)
@options.output_options
@options.desk_options
def heal(
    symbols: tuple[Symbol, ...],
    *,
    again: bool,
    wait: float,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> int:
    """Fill the gaps of the ledger from history, and make the bars above them again.

    A gap is filled from the trades that the journal came to hold after all, else from the venue's trades or minute
    bars. What nobody has is unfillable, and says why. A second run changes nothing. Exit 1 if something could not be
    healed.
    """
    options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)

    from history.heal import heal as heal_gaps
    from pocketquant import fetching

    fetching.open_log(settings, "heal")
    with fetching.fetching_desk(settings) as (history, stop):
        done = heal_gaps(history, symbols or None, again=again, wait_s=wait, stop=stop)
    rows = [
        (
            *one.gap.symbol, one.gap.start, one.gap.end, one.gap.reason, str(one.gap.state), one.gap.healed_by,
            one.bars, one.why or None,
        )
        for one in done.gaps
    ]  # fmt: skip
    options.deliver(Records(COLUMNS, rows, empty="no gap to heal"), form, as_json, output)
    fetching.report_failures(list(done.errors.items()), 1)
    note(_summary(done))
    return 1 if done.errors or any(one.why for one in done.gaps) else 0


def _summary(done: "Healed") -> str:
    """What was done, in a line."""
    from sinks.ledger import GapState

    states = ", ".join(
        f"{done.count(state)} {state}" for state in (GapState.HEALED, GapState.UNFILLABLE, GapState.OPEN)
    )
    waiting = f"; {done.waiting} longer bars wait for their end" if done.waiting else ""
    lost = f"; {len(done.given_up)} longer bars nobody has whole" if done.given_up else ""
    return f"gaps: {states}; {done.minutes} minute bars and {done.above} longer ones changed{waiting}{lost}"
