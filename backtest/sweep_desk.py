"""A sweep on a desk: of its bars and strategies, into its book of runs and a place for the files."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, NamedTuple

from backtest import output as files
from backtest.evaluator import Tell
from backtest.on_desk import Desk, Folders, known_actions, reader
from backtest.plan import Plan
from backtest.reading import Check
from backtest.space import as_text
from backtest.sweep import Hunt, Sweep, sweep
from backtest.sweep_output import KIND, sweep_output
from backtest.sweep_report import SweepReport, report_of
from market.errors import DeskError
from sinks.places import Place
from sinks.run_book import Noted, RunBook
from strategies.loader.files import Strategy, find


class Swept(NamedTuple):
    """What came of a sweep on a desk."""

    sweep: Sweep
    report: SweepReport
    made: files.Output
    place: Place
    """Where its files are."""


def sweep_planned(
    strategy: str, folder: Path, space: Mapping[str, Any], hunt: Mapping[str, Any], **rest: Any
) -> tuple[Plan, Hunt, Strategy]:
    """A plan of a sweep for a strategy by name.

    Args:
        strategy: Ours, or a file in `folder`.
        folder: Of the user's own strategies.
        space: By parameter what to try: texts as `backtest.space` understands them, values, or lists of values.
        hunt: The other fields of `Hunt`.
        rest: The other fields of the plan.

    Raises:
        DeskError: There is no such strategy, or a field is wrong.
    """
    found = find(strategy, folder)
    try:
        wanted = Hunt(space={name: as_text(value) for name, value in space.items()}, **hunt)
        plan = Plan(strategy=found.name, source_hash=found.source_hash, **rest)
    except ValueError as error:
        lines = str(error).splitlines()
        msg = f"sweep of {strategy}: {' '.join(line.strip() for line in lines[1:3])}"
        raise DeskError(msg) from error
    return plan, wanted, found


def sweep_on(
    desk: Desk,
    folders: Folders,
    plan: Plan,
    hunt: Hunt,
    strategy: Strategy,
    check: Check,
    now_ns: int,
    *,
    address: str | None = None,
    zone: tzinfo = UTC,
    jobs: int | None = None,
    page: bool = True,
    tell: Tell = lambda _step, _share: None,
) -> Swept:
    """Sweep, write the files, and note it in the book of runs.

    Args:
        desk: Whose store, archive and places.
        folders: Of the desk.
        plan: What to run; its parameters are not looked at.
        hunt: What to try, and what to look for.
        strategy: As found.
        check: Of the rows of a file.
        now_ns: When this is.
        address: Of the files: a folder, or `s3://bucket/prefix`; None is a folder of its own among the desk's runs.
        zone: Of the file's stamps where they name none.
        jobs: Cores to use; None for all there are.
        page: Whether pages are among the files, 5 MB each.
        tell: Told a step (`read`, `try`, `run`, `check`, `report`) and how much of it is done, 0 to 1.

    Raises:
        DeskError: Something is wrong; says what. Nothing was written.
    """
    done = sweep(
        plan,
        hunt,
        strategy,
        reader(desk, plan, check, zone),
        folders.loops,
        actions=known_actions(folders),
        jobs=jobs,
        tell=tell,
    )
    report = report_of(done)
    made = sweep_output(done, report, page=page)
    place = desk.place(address, folders.runs / f"{plan.strategy}-{KIND}-{made.run}")
    files.write(place, made)
    noted = Noted(
        run=made.run,
        kind=KIND,
        made_at=now_ns,
        strategy=plan.strategy,
        source_hash=plan.source_hash,
        parameters=done.plan.parameters,
        symbols=plan.symbols,
        interval=plan.interval,
        begin=done.run.metrics.begin,
        end=done.run.metrics.end,
        folder=place.where,
        metrics=done.run.metrics.plain(),
        manifest=made.manifest,
    )
    with RunBook(folders.history) as book:
        book.note(noted, files.trade_rows(done.run))
    tell("report", 1.0)
    return Swept(done, report, made, place)
