"""`pq reconcile`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records, note

if TYPE_CHECKING:
    from history.reconcile import Reconciled

COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "source": "text",
    "bars": "int",
    "equal": "int",
    "differing": "int",
    "missing": "int",
    "extra": "int",
    "explained": "int",
    "score": "float",
}
DIFFERENCES: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "start": "time",
    "field": "text",
    "live": "float",
    "official": "float",
    "percent": "float",
    "explained": "bool",
}


@click.command(
    epilog=options.example(
        "pq reconcile",
        "pq reconcile KRAKEN:BTCUSD --start 2026-01-02 --differences",
        "pq reconcile --json",
    )
)
@click.argument("symbols", type=options.SYMBOL, nargs=-1)
@click.option("--start", type=options.TIME, help="Bars that ended after this time  [default: yesterday, UTC]")
@click.option("--end", type=options.TIME, help="Bars that ended by this time  [default: a day after the start]")
@click.option("--provider", help="Ask this one only  [default: those of the symbol, in order]")
@click.option("--differences", is_flag=True, help="List the largest differences instead of the scores.")
@options.output_options
@options.desk_options
def reconcile(
    symbols: tuple[Symbol, ...],
    *,
    start: int | None,
    end: int | None,
    provider: str | None,
    differences: bool,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> int:
    """Hold yesterday's live bars against the venue's own, and store those as official.

    The score of a symbol and interval is the part of its bars that are equal in every figure. Explained are those that
    are not, but that the desk had marked itself: a gap, a partial bar. Exit 1 if any is not, or a symbol failed.
    """
    options.chosen(form, as_json, output)
    options.check_span(start, end)
    settings = options.existing_desk(**desk)

    from history.reconcile import reconcile as hold_against
    from pocketquant import fetching

    fetching.open_log(settings, "reconcile")
    with fetching.fetching_desk(settings) as (history, stop):
        done = hold_against(
            history, symbols or None, start=start, end=end, provider=provider, say=fetching.say, stop=stop
        )
    rows = list(_differences(done) if differences else _scores(done))
    empty = "no difference" if differences else "no live bars to reconcile"
    options.deliver(Records(DIFFERENCES if differences else COLUMNS, rows, empty=empty), form, as_json, output)
    fetching.report_failures([(one.symbol, one.error) for one in done if one.error], len(done))
    note(_summary(done))
    return 1 if _unexplained(done) or any(one.error for one in done) else 0


def _scores(done: "Sequence[Reconciled]") -> list[Sequence[Any]]:
    return [
        (
            *one.symbol, str(one.interval), one.source, one.bars, one.equal, one.differing, one.missing, one.extra,
            one.explained, one.share,
        )
        for found in done
        for one in found.truths
    ]  # fmt: skip


def _differences(done: "Sequence[Reconciled]") -> list[Sequence[Any]]:
    return [
        (*truth.symbol, str(truth.interval), start, field, live, official, 100 * share, explained)
        for found in done
        for truth in found.truths
        for start, field, live, official, share, explained in truth.differences
    ]


def _unexplained(done: "Sequence[Reconciled]") -> int:
    return sum(one.bars - one.equal - one.explained for found in done for one in found.truths)


def _summary(done: "Sequence[Reconciled]") -> str:
    """What was found, in a line."""
    truths = [one for found in done for one in found.truths]
    bars, equal = sum(one.bars for one in truths), sum(one.equal for one in truths)
    explained = sum(one.explained for one in truths)
    stored = sum(one.stored for one in done)
    return (
        f"{bars} bars compared: {equal} equal, {explained} explained by known gaps, {bars - equal - explained} not; "
        f"{stored} official bars stored"
    )
