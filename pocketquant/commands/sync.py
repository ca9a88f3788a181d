"""`pq sync`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.intervals import Interval, IntervalError, parse_interval
from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records

if TYPE_CHECKING:
    from history.sync import Synced

COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "state": "text",
    "provider": "text",
    "bars": "int",
    "inserted": "int",
    "updated": "int",
    "refused": "int",
    "first": "time",
    "last": "time",
    "seconds": "float",
    "message": "text",
}


@click.command(
    epilog=options.example(
        "pq sync KRAKEN:BTCUSD 1h",
        "pq sync NASDAQ:AAPL NYSE:IBM 1d --count 5000 --provider alpaca",
        "pq sync BINANCE:BTCUSDT 1m --start 2026-01-02 --end 2026-01-03",
        "pq sync --all",
        "pq sync --status",
    )
)
@click.argument("words", nargs=-1, metavar="[SYMBOLS]... [INTERVAL]")
@click.option("--all", "everything", is_flag=True, help="Every symbol that is registered or followed.")
@click.option("--universe", help="Every symbol of this list.")
@click.option("--count", type=int, help="The newest N bars  [default: 500]")
@click.option("--start", type=options.TIME, help="In place of a count: bars that start at this time or later.")
@click.option("--end", type=options.TIME, help="Bars that start before this time  [default: now]")
@click.option("--provider", help="Ask this one only  [default: those of the symbol, in order]")
@click.option("--status", "only_status", is_flag=True, help="Fetch nothing: show how syncs and backfills stand.")
@options.output_options
@options.desk_options
def sync(
    words: tuple[str, ...],
    *,
    everything: bool,
    universe: str | None,
    only_status: bool,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    data_dir: Path | None,
    config: Path | None,
    **request: Any,
) -> int:
    """Fetch the newest bars of symbols, or those of a span, into the store.

    INTERVAL is the last word, 1d unless given. Four symbols are fetched at a time; one symbol's failure never stops the
    rest, and is exit 1.
    """
    from pocketquant import fetching

    symbols, named = _read(words)
    picked = options.chosen(form, as_json, output)
    if only_status:
        settings = options.existing_desk(data_dir, config)
        options.deliver(fetching.statuses(settings, None, symbols, named), form, as_json, output)
        return 0
    settings = options.settings(data_dir, config)
    interval = Interval.D1 if named is None else named

    from history.asking import check_request
    from history.sync import sync_many
    from pocketquant.fetch_progress import fetch_progress

    with fetching.fetching_desk(settings) as (desk, stop):
        wanted = fetching.chosen_symbols(desk, symbols, everything, universe)
        wanted = check_request(desk, wanted, interval, **request)
        fetching.open_log(settings, "sync")
        with fetch_progress("sync", len(wanted)) as tell:
            count = request["count"]

            def told(state: "Synced") -> None:
                bars = state.total.bars
                tell(str(state.symbol), min(bars / count, 0.99) if count else 0.0, f"{bars:,} bars")

            def ended(state: "Synced") -> None:
                tell(str(state.symbol), 1.0)

            done = sync_many(desk, wanted, interval, say=fetching.say, told=told, ended=ended, stop=stop, **request)
    rows, failed, lost = [], [], False
    for one in done:
        why = None if one.error is None else fetching.in_one_line(one.error)
        if why is not None:
            failed.append((one.symbol, why))
        total = one.total
        rows.append(
            (
                *one.symbol, str(one.interval), "completed" if why is None else "error", total.provider or None,
                total.bars, total.inserted, total.updated, total.bad, total.first, total.last,
                round(one.seconds, 3), why,
            )
        )  # fmt: skip
    records = Records(COLUMNS, rows)
    options.deliver(fetching.without_message(records) if picked == "table" else records, form, as_json, output)
    fetching.report_failures(failed, len(done))
    for one in done:
        lost |= fetching.report_lost(one.symbol, one.interval, one.total)
    return 1 if failed or lost else 0


def _read(words: tuple[str, ...]) -> tuple[list[Symbol], Interval | None]:
    """Symbols, and the interval if the last word is one."""
    interval = None
    if words and ":" not in words[-1]:
        try:
            interval = parse_interval(words[-1])
        except IntervalError as error:
            raise click.UsageError(str(error)) from error
        words = words[:-1]
    return [options.SYMBOL.convert(word, None, click.get_current_context()) for word in words], interval
