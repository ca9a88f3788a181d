"""`pq gaps` and `pq rejects`."""

from pathlib import Path
from typing import Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records, note

GAP_COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "start": "time",
    "end": "time",
    "reason": "text",
    "state": "text",
    "healed_by": "text",
    "noticed_at": "time",
}

WHY_COLUMNS: Final[dict[str, Kind]] = {"tried_at": "time", "bars": "int", "why": "text"}
_NOTHING: Final = (None, None, None)

REJECT_COLUMNS: Final[dict[str, Kind]] = {
    "received_time": "time",
    "source": "text",
    "reason": "text",
    "exchange": "text",
    "symbol": "text",
    "seq": "int",
    "place": "int",
    "detail": "text",
}

COUNT_COLUMNS: Final[dict[str, Kind]] = {"source": "text", "reason": "text", "count": "int"}


@click.command(
    epilog=options.example("pq gaps", "pq gaps KRAKEN:BTCUSD --state open --json", "pq gaps --state unfillable --why")
)
@click.argument("symbol", type=options.SYMBOL, required=False)
@click.option("--state", type=click.Choice(["open", "healed", "unfillable"]), help="In this state only.")
@click.option("--start", type=options.TIME, help="Gaps that reach past this time.")
@click.option("--end", type=options.TIME, help="Gaps that begin before this time.")
@click.option("--why", is_flag=True, help="Add what healing came to: bars from history, and why it stopped.")
@options.output_options
@options.desk_options
def gaps(
    symbol: Symbol | None,
    *,
    state: str | None,
    start: int | None,
    end: int | None,
    why: bool,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> None:
    """The gap ledger: spans in which ticks are missing or may be, oldest first; one without an end lasts."""
    from sinks.ledger import GapState, Ledger

    options.chosen(form, as_json, output)
    options.check_span(start, end)
    settings = options.existing_desk(**desk)
    rows: list[tuple[Any, ...]] = []
    if settings.folders.desk.is_file():
        with Ledger(settings.folders.desk) as ledger:
            notes = _heal_notes(settings.folders.history) if why else {}
            rows = [
                (
                    *gap.symbol, gap.start, gap.end, gap.reason, str(gap.state), gap.healed_by, gap.noticed_at,
                    *(notes.get(gap.id, _NOTHING) if why else ()),
                )
                for gap in ledger.gaps(symbol, state=GapState(state) if state else None)
                if (start is None or gap.end is None or gap.end > start) and (end is None or gap.start < end)
            ]  # fmt: skip
    columns = GAP_COLUMNS | WHY_COLUMNS if why else GAP_COLUMNS
    empty = f"no gaps{f' of {symbol}' if symbol else ''}"
    options.deliver(Records(columns, rows, empty=empty), form, as_json, output)


def _heal_notes(history: Path) -> dict[int, tuple[Any, ...]]:
    """By gap: when it was worked on last, the minute bars it has from history, and why it is not healed."""
    if not history.is_file():
        return {}
    from sinks.heal_book import HealBook

    with HealBook(history) as book:
        return {gap: (note.tried_at, note.bars, note.why or None) for gap, note in book.gap_notes().items()}


@click.command(
    epilog=options.example("pq rejects", "pq rejects --counts", "pq rejects --reason late --limit 20 --json")
)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="The newest N.")
@click.option("--source", help="Refused by this feed, file or process only.")
@click.option("--reason", help="For this reason only.")
@click.option("--counts", is_flag=True, help="How many were ever refused, by source and reason.")
@options.output_options
@options.desk_options
def rejects(
    *,
    limit: int,
    source: str | None,
    reason: str | None,
    counts: bool,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> None:
    """What was refused, with the reason, newest first; the newest 100,000 are kept, all are counted."""
    from sinks.ledger import Ledger

    picked = options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    shown: list[tuple[Any, ...]] = []
    counted: list[tuple[Any, ...]] = []
    if settings.folders.desk.is_file():
        with Ledger(settings.folders.desk) as ledger:
            counted = [
                tuple(count)
                for count in ledger.reject_counts()
                if (source is None or count.source == source) and (reason is None or count.reason == reason)
            ]
            if not counts:
                shown = [
                    (r.received_time or None, r.source, r.reason, *(r.symbol or (None, None)), r.seq, r.place, r.detail)
                    for r in ledger.rejects(limit, source=source, reason=reason)
                ]
    if counts:
        options.deliver(Records(COUNT_COLUMNS, counted, empty="nothing was refused"), form, as_json, output)
        return
    options.deliver(Records(REJECT_COLUMNS, shown, empty="nothing was refused"), form, as_json, output)
    if picked == "table" and counted and output is None:
        total = ", ".join(f"{who} {why} {count}" for who, why, count in counted)
        note(f"refused in all: {total}")
