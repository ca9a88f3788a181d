"""`pq quotes`."""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records, note, write
from pocketquant.watching import keep_showing

if TYPE_CHECKING:
    from pocketquant.cache import Cache, Quote

COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "last": "float",
    "bid": "float",
    "ask": "float",
    "bid_size": "float",
    "ask_size": "float",
    "event_time": "time",
    "received_time": "time",
    "age_s": "float",
    "feed": "text",
    "kind": "text",
    "session": "text",
}


@click.command(
    epilog=options.example("pq quotes", "pq quotes SIM:BTCUSD SIM:ETHUSD --json", "pq quotes SIM:BTCUSD --watch")
)
@click.argument("symbols", type=options.SYMBOL, nargs=-1)
@click.option("--watch", is_flag=True, help="Keep showing them, until Ctrl-C.")
@options.output_options
@options.desk_options
def quotes(
    symbols: tuple[Symbol, ...], *, watch: bool, form: Format | None, as_json: bool, output: Path | None, **desk: Any
) -> int:
    """The latest quotes and their age; one that is older than a minute is not shown any more."""
    from pocketquant.cache import Cache, CacheAway
    from pocketquant.hold import running_pid

    picked = options.chosen(form, as_json, output)
    if watch and (output is not None or picked == "parquet"):
        msg = "--watch shows quotes as they come and goes with neither --output nor --format parquet"
        raise click.UsageError(msg)
    settings = options.existing_desk(**desk)
    with closing(Cache(settings.redis)) as cache:
        wanted = symbols or None
        if watch:
            keep_showing(lambda: _records(cache, wanted), picked, key=2, ignored={"age_s"})
        try:
            records = _records(cache, wanted)
        except CacheAway as error:
            write(Records(COLUMNS, [], empty=f"no quotes: {error}"), picked, output)
            # Nothing runs: then there is no quote to have. Something does: then this is trouble.
            return 1 if running_pid(settings.folders) is not None else 0
        write(records, picked, output)
    return 0


def _records(cache: "Cache", symbols: Sequence[Symbol] | None) -> Records:
    found = cache.quotes(symbols)
    now = time.time_ns()
    missing = sorted(set(symbols or ()) - {quote.symbol for quote in found})
    if found and missing:
        note(f"no quote in the last minute: {' '.join(map(str, missing))}")
    return Records(
        COLUMNS,
        [quote_row(quote, now) for quote in found],
        empty="no quotes in the last minute: is the desk running, and the symbol subscribed? See `pq status`",
    )


def quote_row(quote: "Quote", now: int) -> tuple[Any, ...]:
    """A quote in the order of `COLUMNS`, at a moment (ns)."""
    age = round(max(0, now - quote.received_time) / 1e9, 3)
    symbol, *rest = quote
    prices, times, labels = rest[:5], rest[5:7], rest[7:]
    return (symbol.exchange, symbol.ticker, *prices, *times, age, *labels)
