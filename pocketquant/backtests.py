"""Backtests of the terminal: a plan from the options, and the desk that it is run on."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from infra.settings import Settings
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from backtest.on_desk import Done
    from backtest.plan import Plan
    from backtest.reading import Checked
    from backtest.stream import Bars
    from backtest.tick_running import Journaled
    from strategies.loader.files import Strategy
    from trading.opening import Conditions

DAY_NS: Final = 1440 * MINUTE_NS


def parameters(given: Sequence[str]) -> dict[str, str]:
    """`--param name=value` as names and values, with `-` for `_` in names; raises as `pairs`."""
    return {name.replace("-", "_"): value for name, value in pairs("--param", given).items()}


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """An option's `NAME=VALUE` texts as names and values.

    Raises:
        click.UsageError: One has another form, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in given:
        name, sign, value = (part.strip() for part in text.partition("="))
        if not sign or not name or not value or name in found:
            rule = "is given twice" if name in found else "is not NAME=VALUE, such as fast=10 or EUR=FX:EURUSD"
            msg = f"{option} {text!r} {rule}"
            raise click.UsageError(msg)
        found[name] = value
    return found


def conditions(options: Mapping[str, Any], currency: str) -> "Conditions":
    """What a run takes for granted, by the options of its command.

    Raises:
        click.UsageError: One is out of range, or not understood.
    """
    from trading import as_written

    try:
        return as_written.conditions(options, currency)
    except DeskError as error:
        raise click.UsageError(str(error)) from error


def live_conditions(options: Mapping[str, Any], currency: str) -> "Conditions":
    """The same of a run on live bars, whose orders fill on ticks; raises as `conditions`."""
    made = conditions({**options, "fill": "open", "signals": "all"}, currency)
    limits = made.limits.model_copy(update={"late_ms": options["max_late"] * 1000})
    return made.model_copy(update={"limits": limits})


def today(symbol: Symbol, interval: Interval, warm_up: int, now_ns: int) -> tuple[int, int]:
    """Of the exchange's session now, or its last: from where bars are read for the warm-up, and its open, ns.

    Raises:
        click.UsageError: The bars are as long as a session.
    """
    import numpy as np

    from market.sessions import calendar_for

    if not interval.intraday:
        msg = f"--today is for bars shorter than a day, and {interval} is not: give --start"
        raise click.UsageError(msg)
    calendar = calendar_for(symbol)
    place = int(np.searchsorted(calendar.day_start, now_ns // MINUTE_NS, side="right")) - 1
    opened = int(calendar.day_start[place]) * MINUTE_NS
    # Sessions enough for the warm-up, by their own lengths, and two more for bars that are absent.
    back, minutes = place, 0
    while back > 0 and minutes < warm_up * interval.minutes:
        back -= 1
        minutes += int(calendar.close[back] - calendar.open[back])
    return int(calendar.open[max(back - 2, 0)]) * MINUTE_NS, opened


def run_planned(
    settings: Settings,
    plan: "Plan",
    strategy: "Strategy",
    output: str | None,
    zone: tzinfo,
    tell: Callable[[str, float], None],
) -> "Done":
    """Run a plan on the desk.

    Raises:
        DeskError: Something is wrong; nothing was written.
    """
    from backtest.on_desk import run_on
    from history.desk import HistoryDesk
    from infra.kept_schedules import keep_in

    keep_in(settings.folders.cache)
    settings.folders.create()
    with HistoryDesk(settings) as desk, ExitStack() as open_too:
        journaled = open_too.enter_context(journaled_on(settings)) if plan.filled_by == "ticks" else None
        return run_on(
            desk, settings.folders, plan, strategy, check, desk.now_ns(), address=output, zone=zone,
            journaled=journaled, tell=tell,
        )  # fmt: skip


@contextmanager
def journaled_on(settings: Settings) -> "Iterator[Journaled]":
    """What was journaled on the desk, the archive included.

    Raises:
        DeskError: The archive's manifests cannot be read.
    """
    from backtest.tick_running import Journaled
    from dataflows.past import opened
    from pocketquant.archived import archive_of

    with opened(settings.folders.journal, archive_of(settings)) as (rows, damage):
        yield Journaled(rows, damage, round(settings.grace_s * 1_000_000_000))


def check(rows: "Bars", interval: Interval, symbol: Symbol) -> "Checked":
    """The check of a file's rows, as `pq import` does it."""
    from history.import_checks import check_rows
    from market.sessions import calendar_for

    return cast("Checked", check_rows(rows, interval, calendar_for(symbol), time.time_ns()))


def manifest_path(path: Path) -> Path:
    """A manifest, or that of a run's folder."""
    return path / "manifest.json" if path.is_dir() else path
