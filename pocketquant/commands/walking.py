"""What `pq sweep --walk-forward` does: parameters chosen window by window, and tested on what came next."""

import json
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from market.errors import DeskError
from pocketquant import options
from pocketquant.output import note
from pocketquant.progress import progress

if TYPE_CHECKING:
    from backtest.plan import Plan
    from backtest.sweep import Hunt
    from backtest.walk_desk import Walked
    from backtest.walk_forward import Walk
    from infra.settings import Settings
    from strategies.loader.files import Strategy

STEPS: Final = {
    "read": "reading bars",
    "try": "trying combinations, window by window",
    "run": "running through all windows",
    "check": "checking for look-ahead",
    "report": "reporting",
}

_OPTIONS: Final = (
    click.option(
        "--walk-forward", "walk_forward", type=click.Choice(["rolling", "anchored"]),
        help="Choose anew in each window, from the time just before it or all since the first bar, and test on it.",
    ),
    click.option("--train", metavar="LENGTH", help="It learns from 2y, 6m, 8w, 90d or 500 bars  [default: 2y]"),
    click.option("--test", metavar="LENGTH", help="It is tested on so long, then comes the next  [default: 6m]"),
)  # fmt: skip


def walk_options(command: options.Command) -> options.Command:
    """Add how a walk-forward's windows lie."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def wanted_walk(how: str | None, train: str | None, test: str | None) -> "Walk | None":
    """The windows that were asked for; None without a walk-forward.

    Raises:
        click.UsageError: A length is none, or there is no walk-forward that it is of.
    """
    lengths = {name: text for name, text in (("train", train), ("test", test)) if text is not None}
    if how is None:
        if lengths:
            msg = f"--{next(iter(lengths))} is of a walk-forward: add --walk-forward rolling or anchored"
            raise click.UsageError(msg)
        return None
    from backtest.walk_forward import Walk
    from backtest.windows import parse_length

    try:
        for text in lengths.values():
            parse_length(text)
    except DeskError as error:
        raise click.UsageError(str(error)) from error
    return Walk.model_validate({"how": how, **lengths})


def walk(
    settings: "Settings",
    plan: "Plan",
    hunt: "Hunt",
    how: "Walk",
    strategy: "Strategy",
    output: str | None,
    zone: tzinfo,
    jobs: int | None,
    as_json: bool,
) -> "Walked":
    """Walk forward on the desk, and say what came of it.

    Raises:
        DeskError: Something is wrong; nothing was written.
    """
    from backtest.walk_desk import walk_on
    from history.desk import HistoryDesk
    from infra.kept_schedules import keep_in
    from pocketquant.backtests import check

    keep_in(settings.folders.cache)
    settings.folders.create()
    with progress(STEPS) as tell, HistoryDesk(settings) as desk:
        done = walk_on(
            desk, settings.folders, plan, hunt, how, strategy, check, desk.now_ns(), address=output, zone=zone,
            jobs=jobs, tell=tell,
        )  # fmt: skip
    _say(done, as_json)
    return done


def walk_again(settings: "Settings", path: Path, output: str | None, jobs: int | None, as_json: bool) -> int:
    """Make a walk-forward again, and hold it against its manifest."""
    from zoneinfo import ZoneInfo

    from backtest.output import changes, plan_of, read_manifest
    from backtest.walk_output import walk_of
    from strategies.loader.files import find

    before = read_manifest(path)
    plan, (hunt, how) = plan_of(before), walk_of(before)
    strategy = find(plan.strategy, settings.strategies)
    plan = plan.model_copy(update={"source_hash": strategy.source_hash})
    place = output or str(path.parent / "again")
    done = walk(settings, plan, hunt, how, strategy, place, ZoneInfo(plan.zone), jobs, as_json)
    changed = changes(before, done.made.manifest)
    for sentence in changed:
        note(f"changed: {sentence}")
    if not changed:
        note(f"the same to the byte as {path}")
    return 1 if changed else 0


def _say(done: "Walked", as_json: bool) -> None:
    """The windows and the account's figures on standard output, the rest beside it."""
    from backtest.report import SECTIONS, luck_lines, worded
    from backtest.walk_output import walk_document

    report = done.report
    if as_json:
        document = {"run": done.made.run, "folder": done.place.where, **walk_document(done.found)}
        click.echo(json.dumps(document, allow_nan=False))
    else:
        click.echo(f"{report.title}\n{report.subtitle}\n")
        windows = report.sections[0]
        lines = [windows.columns, *windows.rows]
        widths = [max(len(line[place]) for line in lines) for place in range(len(windows.columns))]
        for line in lines:
            click.echo("  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True)))
        click.echo()
        width = max(len(label) for _, rows in SECTIONS for _, label, _ in rows)
        for _, rows in SECTIONS:
            for name, label, form in rows:
                click.echo(f"{label:<{width}}  {worded(getattr(report.metrics, name), form, report.currency):>18}")
    for sentence in (*report.notes, report.sections[0].lines[0], *luck_lines(report)):
        note(sentence)
    note(f"run {done.made.run}: report.html, windows.csv and the other files are in {done.place.where}")
