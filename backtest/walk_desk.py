"""A walk-forward on a desk: of its bars and strategies, into its book of runs and a place for the files."""

from datetime import UTC, tzinfo
from typing import NamedTuple

from backtest import output as files
from backtest.evaluator import Evaluator, Tell
from backtest.on_desk import Desk, Folders, known_actions, note, reader
from backtest.plan import Plan
from backtest.reading import Check
from backtest.report import Report
from backtest.sweep import Hunt
from backtest.walk_forward import Walk, WalkForward, walk_forward
from backtest.walk_output import KIND, walk_output
from backtest.walk_report import report_of
from sinks.places import Place
from strategies.loader.files import Strategy


class Walked(NamedTuple):
    """What came of a walk-forward on a desk."""

    found: WalkForward
    report: Report
    """Of the account, with its windows."""
    made: files.Output
    place: Place
    """Where its files are."""


def walk_on(
    desk: Desk,
    folders: Folders,
    plan: Plan,
    hunt: Hunt,
    walk: Walk,
    strategy: Strategy,
    check: Check,
    now_ns: int,
    *,
    address: str | None = None,
    zone: tzinfo = UTC,
    jobs: int | None = None,
    page: bool = True,
    tell: Tell = lambda _step, _share: None,
) -> Walked:
    """Walk forward, write the files, and note it in the book of runs.

    Args:
        desk: Whose store, archive and places.
        folders: Of the desk.
        plan: What to run; its parameters are not looked at.
        hunt: What to try in each window, and what to look for.
        walk: How the windows lie.
        strategy: As found.
        check: Of the rows of a file.
        now_ns: When this is.
        address: Of the files: a folder, or `s3://bucket/prefix`; None is a folder of its own among the desk's runs.
        zone: Of the file's stamps where they name none.
        jobs: Cores to use; None for all there are.
        page: Whether a page is among the files, which is 5 MB.
        tell: Told a step (`read`, `try`, `run`, `check`, `report`) and how much of it is done, 0 to 1.

    Raises:
        DeskError: Something is wrong; says what. Nothing was written.
    """
    read = reader(desk, plan, check, zone)
    with Evaluator(plan, strategy, read, folders.loops, actions=known_actions(folders), jobs=jobs) as bench:
        found = walk_forward(bench, hunt, walk, folders.loops, tell=tell)
    made = walk_output(found, page=page)
    place = desk.place(address, folders.runs / f"{plan.strategy}-{KIND}-{made.run}")
    files.write(place, made)
    note(folders, found.run, made, place, now_ns, KIND)
    tell("report", 1.0)
    return Walked(found, report_of(found), made, place)
