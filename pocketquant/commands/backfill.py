"""`pq backfill`."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from market.intervals import Interval
from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records, note

if TYPE_CHECKING:
    from history.backfill import Backfilled

COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "state": "text",
    "provider": "text",
    "start": "time",
    "end": "time",
    "chunks": "int",
    "chunks_done": "int",
    "held_before": "float",
    "bars": "int",
    "inserted": "int",
    "updated": "int",
    "refused": "int",
    "seconds": "float",
    "message": "text",
}


@click.command(
    epilog=options.example(
        "pq backfill BINANCE:BTCUSDT --interval 1m --start 2024-01-01",
        "pq backfill NASDAQ:AAPL NYSE:IBM --interval 1d --start 1990-01-02 --end 2026-01-01 --provider massive",
        "pq backfill --universe nasdaq100 --interval 1h --start 2020-01-01",
        "pq backfill --status",
    )
)
@click.argument("symbols", type=options.SYMBOL, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every symbol that is registered or followed.")
@click.option("--universe", help="Every symbol of this list.")
@click.option("--interval", type=options.INTERVAL, help="Length of the bars.")
@click.option("--start", type=options.TIME, help="Bars that start at this time or later.")
@click.option("--end", type=options.TIME, help="Bars that start before this time  [default: now]")
@click.option("--provider", help="Fetch from this one only  [default: those of the symbol, in order]")
@click.option("--again", is_flag=True, help="Also what was fetched before.")
@click.option("--status", "only_status", is_flag=True, help="Fetch nothing: show how backfills stand.")
@options.output_options
@options.desk_options
def backfill(
    symbols: tuple[Symbol, ...],
    *,
    everything: bool,
    universe: str | None,
    interval: Interval | None,
    start: int | None,
    end: int | None,
    provider: str | None,
    again: bool,
    only_status: bool,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """Fetch the bars of a span, in chunks that are never fetched twice.

    Whatever ends it, the same command goes on where it was. Four symbols are fetched at a time; one symbol's failure
    never stops the rest, and is exit 1.
    """
    from pocketquant import fetching

    picked = options.chosen(form, as_json, output)
    if only_status:
        from sinks.sync_book import Task

        settings = options.existing_desk(data_dir, config)
        records = fetching.statuses(settings, Task.BACKFILL, symbols, interval)
        options.deliver(records, form, as_json, output)
        return 0
    if interval is None or start is None:
        msg = "name the bars by --interval and their first time by --start: --interval 1m --start 2026-01-01"
        raise click.UsageError(msg)
    settings = options.settings(data_dir, config)

    from history.backfill import Whole, plan_backfill, run_plans
    from pocketquant.fetch_progress import fetch_progress

    with fetching.fetching_desk(settings) as (desk, stop):
        wanted = fetching.chosen_symbols(desk, symbols, everything, universe)
        plans = plan_backfill(desk, wanted, interval, start, end, provider=provider, again=again)
        fetching.open_log(settings, "backfill")
        whole = Whole(plans, desk.now_ns)
        with fetch_progress("backfill", len(plans)) as tell:

            def told(state: "Backfilled") -> None:
                whole.tell(state)
                share = 1.0 if state.ended else min(state.share, 0.999)
                tell(str(state.plan.symbol), share, f"{state.total.bars:,} bars", whole=whole.share)

            done = run_plans(desk, plans, say=fetching.say, told=told, stop=stop)
    rows, failed, lost = [], [], False
    for one in done:
        why = None if one.error is None else fetching.in_one_line(one.error)
        plan, total = one.plan, one.total
        if why is not None:
            failed.append((plan.symbol, why))
        rows.append(
            (
                *plan.symbol, str(interval), "completed" if why is None else "error", total.provider or None,
                plan.start, plan.end, len(plan.chunks), one.done, round(1 - plan.left / plan.slots, 4), total.bars,
                total.inserted, total.updated, total.bad, round(one.seconds, 3), why,
            )
        )  # fmt: skip
    records = Records(COLUMNS, rows)
    options.deliver(fetching.without_message(records) if picked == "table" else records, form, as_json, output)
    fetching.report_failures(failed, len(done))
    for one in done:
        lost |= fetching.report_lost(one.plan.symbol, interval, one.total)
    if failed and stop.is_set():
        note("stopped before the end: the same command goes on where it was")
    return 1 if failed or lost else 0
