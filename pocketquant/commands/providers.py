"""`pq providers` and `pq quota`."""

import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import click

from market.intervals import Interval
from market.symbols import Symbol
from pocketquant import options
from pocketquant.output import Format, Kind, Records, note

if TYPE_CHECKING:
    from history.desk import HistoryDesk

PROVIDER_COLUMNS: Final[dict[str, Kind]] = {
    "provider": "text",
    "available": "bool",
    "missing": "text",
    "intervals": "text",
    "trades": "bool",
    "reach": "text",
    "limits": "text",
    "health": "text",
    "until": "time",
    "answered_at": "time",
    "failed_at": "time",
    "last_error": "text",
}
QUOTA_COLUMNS: Final[dict[str, Kind]] = {
    "provider": "text",
    "limit": "text",
    "used": "int",
    "left": "int",
    "free_at": "time",
    "calls_today": "int",
    "until": "time",
    "text": "text",
}
FINDING_COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "start": "time",
    "field": "text",
    "first": "text",
    "first_value": "float",
    "second": "text",
    "second_value": "float",
    "percent": "float",
    "noticed_at": "time",
}
PLAN_COLUMNS: Final[dict[str, Kind]] = {
    "exchange": "text",
    "symbol": "text",
    "interval": "text",
    "reached": "bool",
    "providers": "text",
    "calls": "int",
    "newest": "time",
    "done_at": "time",
    "why": "text",
}


@click.command(
    epilog=options.example("pq providers", "pq providers --json", "pq providers --compare NASDAQ:AAPL --interval 1d")
)
@click.option("--compare", type=options.SYMBOL, help="Hold a sample of this symbol's bars of two providers together.")
@click.option("--interval", type=options.INTERVAL, default="1d", show_default=True, help="Of the bars compared.")
@click.option("--provider", "names", multiple=True, help="One of the two to compare  [default: the first in order]")
@options.output_options
@options.desk_options
def providers(
    *,
    compare: Symbol | None,
    interval: Interval,
    names: tuple[str, ...],
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> int:
    """Who has history: what each needs and has, its limits, and how it has been answering.

    One that lacks its key is never called; `missing` names the variable that sets it. `health` is `open` while a
    provider is left alone because it failed five times within a minute, until the time given.

    With --compare a sample of bars is fetched from two providers, and each price that differs by more than
    cross_check_percent is listed, with both values, and kept; exit 1 if there is any.
    """
    from history.desk import HistoryDesk
    from history.standing import opened, standings

    options.chosen(form, as_json, output)
    if len(names) not in {0, 2} or (names and compare is None):
        msg = "--provider names the two to compare: give it twice, with --compare SYMBOL"
        raise click.UsageError(msg)
    if compare is not None:
        options.check_exchange(compare)
    with HistoryDesk(options.settings(**desk)) as found:
        if compare is None:
            with opened(found) as books:
                rows = standings(found, books)
            options.deliver(Records(PROVIDER_COLUMNS, rows), form, as_json, output)
            return 0
        return _compare(found, compare, interval, names, form, as_json, output)


def _compare(
    desk: "HistoryDesk",
    symbol: Symbol,
    interval: Interval,
    names: tuple[str, ...],
    form: Format | None,
    as_json: bool,
    output: Path | None,
) -> int:
    """Compare, deliver the findings and say what they are out of; the exit code."""
    from history.cross_check import cross_check

    chance = Random(time.time_ns())  # noqa: S311  # A sample is no secret.
    checked = cross_check(desk, symbol, interval, chance=chance, providers=names or None, say=note)
    rows = [(*one.symbol, one.interval, *one[2:]) for one in checked.findings]
    options.deliver(Records(FINDING_COLUMNS, rows), form, as_json, output)
    differ, most = len({one.start for one in checked.findings}), desk.settings.cross_check_percent
    alone = f", {checked.alone} bars only one of them has" if checked.alone else ""
    note(
        f"{symbol} {interval}: {checked.compared} bars of {checked.first} and {checked.second} compared, "
        f"{differ} differ by more than {most:g} %{alone}"
    )
    return 1 if checked.findings else 0


@click.command(epilog=options.example("pq quota", "pq quota --json", "pq quota --plan 1d --count 500"))
@click.option("--plan", type=options.INTERVAL, help="What a sync of every registered symbol at this interval reaches.")
@click.option("--count", type=click.IntRange(1), default=500, show_default=True, help="Bars of each symbol planned.")
@click.option("--until", type=options.TIME, help="When it has to be done  [default: by the end of the UTC day]")
@options.output_options
@options.desk_options
def quota(
    *,
    plan: Interval | None,
    count: int,
    until: int | None,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> int:
    """Calls used and left, by provider and limit; `until` where a provider itself takes no calls for now.

    A limit of a minute rolls: `free_at` is when the last call leaves it. One of a day ends at midnight UTC.

    With --plan nothing is called: it says which symbols a sync begun now reaches within what is left, new ones and the
    stalest first, and when the others are reached; exit 1 if there are any.
    """
    from history.desk import HistoryDesk
    from history.standing import opened, spendings

    options.chosen(form, as_json, output)
    if plan is not None:
        with HistoryDesk(options.existing_desk(**desk)) as found:
            return _plan(found, plan, count, until, form, as_json, output)
    with HistoryDesk(options.settings(**desk)) as found, opened(found) as books:
        rows = spendings(found, books)
    options.deliver(Records(QUOTA_COLUMNS, rows, empty="no provider can be asked"), form, as_json, output)
    return 0


def _plan(
    desk: "HistoryDesk",
    interval: Interval,
    count: int,
    until: int | None,
    form: Format | None,
    as_json: bool,
    output: Path | None,
) -> int:
    """Plan a sync of all registered symbols, deliver it and say it in a sentence; the exit code."""
    from history.planner import plan_sync
    from history.registry import registered

    made = plan_sync(desk, registered(desk), interval, count, until_ns=until)
    rows: list[tuple[Any, ...]] = [
        (*job.want.symbol, interval, True, " ".join(job.providers), job.calls, job.want.newest, job.done_at, "")
        for job in made.jobs
    ]
    rows += [(*one.want.symbol, interval, False, "", None, one.want.newest, one.done_at, one.why) for one in made.left]
    empty = "no symbol is registered: `pq symbols add NASDAQ:AAPL` registers one"
    options.deliver(Records(PLAN_COLUMNS, rows, empty=empty), form, as_json, output)
    if rows:
        note(str(made))
    return 1 if made.left else 0
