"""A run on a desk: its bars, its splits and dividends, its strategies, its book of runs, and a place for the files."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from backtest import output as files
from backtest.plan import Plan
from backtest.reading import Check, Series, from_file, from_store
from backtest.running import Run, Tell, run
from backtest.tick_running import Journaled, run_over_ticks
from market.actions import Action
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from sinks.bar_store import BarStore
from sinks.places import Place
from sinks.run_book import Noted, RunBook
from strategies.loader.files import Strategy, find
from strategies.loader.parameters import as_text

NIGHTLY: Final = "nightly"
"""The kind of run that the desk makes by itself, and forgets again."""


class Folders(Protocol):
    """Paths of a desk's data folder."""

    @property
    def history(self) -> Path:
        """The file of the books."""
        ...

    @property
    def loops(self) -> Path:
        """Folder of compiled loops."""
        ...

    @property
    def runs(self) -> Path:
        """Folder of runs, one each."""
        ...


class Desk(Protocol):
    """What a run needs of a desk; `history.desk.HistoryDesk` is one."""

    @property
    def store(self) -> BarStore:
        """The bar store."""
        ...

    @property
    def archive_place(self) -> Place:
        """Where the archive is."""
        ...

    def place(self, address: str | None, folder: Path) -> Place:
        """A place at an address, which may be an S3's, or else the folder."""
        ...


class Done(NamedTuple):
    """What came of a run on a desk."""

    run: Run
    made: files.Output
    place: Place
    """Where its files are."""


def planned(strategy: str, folder: Path, given: Mapping[str, Any], **rest: Any) -> tuple[Plan, Strategy]:
    """A plan for a strategy by name, with all its parameters.

    Args:
        strategy: Ours, or a file in `folder`.
        folder: Of the user's own strategies.
        given: Parameters by name.
        rest: The other fields of the plan.

    Raises:
        DeskError: There is no such strategy, or its parameters or another field are wrong.
    """
    found = find(strategy, folder)
    parameters = as_text(found.read_parameters(given))
    try:
        plan = Plan(strategy=found.name, source_hash=found.source_hash, parameters=parameters, **rest)
    except ValueError as error:
        lines = str(error).splitlines()
        msg = f"backtest of {strategy}: {' '.join(line.strip() for line in lines[1:3])}"
        raise DeskError(msg) from error
    return plan, found


def rerun(plan: Plan, folder: Path) -> tuple[Plan, Strategy]:
    """A plan that was run before, with its strategy as it is now.

    Raises:
        DeskError: There is no such strategy any more, or it does not take the parameters.
    """
    found = find(plan.strategy, folder)
    parameters = as_text(found.read_parameters(plan.parameters))
    return plan.model_copy(update={"source_hash": found.source_hash, "parameters": parameters}), found


def run_on(
    desk: Desk,
    folders: Folders,
    plan: Plan,
    strategy: Strategy,
    check: Check,
    now_ns: int,
    *,
    address: str | None = None,
    zone: tzinfo = UTC,
    journaled: Journaled | None = None,
    kind: str = "backtest",
    page: bool = True,
    tell: Tell = lambda _step, _share: None,
) -> Done:
    """Run a plan, write its files, and note it in the book of runs.

    Args:
        desk: Whose store, archive and places.
        folders: Of the desk.
        plan: What to run.
        strategy: As found.
        check: Of the rows of a file.
        now_ns: When this is.
        address: Of the files: a folder, or `s3://bucket/prefix`; None is a folder of its own among the desk's runs.
        zone: Of the file's stamps where they name none.
        journaled: The ticks, for a plan that is filled by them.
        kind: In the book.
        page: Whether a page is among the files, which is 5 MB.
        tell: Told how far it is.

    Raises:
        DeskError: Something is wrong; says what. Nothing was written.
    """
    actions = known_actions(folders)
    if plan.filled_by == "ticks":
        assert journaled is not None, "who asks for ticks brings them"
        done = run_over_ticks(plan, strategy, desk.store, journaled, folders.loops, actions=actions, tell=tell)
    else:
        done = run(plan, strategy, reader(desk, plan, check, zone), folders.loops, actions=actions, tell=tell)
    made = files.output(done, page=page)
    place = desk.place(address, folders.runs / f"{plan.strategy}-{made.run}")
    files.write(place, made)
    note(folders, done, made, place, now_ns, kind)
    tell("report", 1.0)
    return Done(done, made, place)


def reader(
    desk: Desk, plan: Plan, check: Check, zone: tzinfo
) -> Callable[[Symbol, Interval, int | None, int | None], Series]:
    """What reads a plan's bars."""

    def read(symbol: Symbol, interval: Interval, start: int | None, end: int | None) -> Series:
        if plan.where == "file":
            if interval != _interval(plan):
                msg = (
                    f"strategy {plan.strategy} also sees {interval} bars, which a file of {plan.interval} bars lacks: "
                    "`pq import` both, and run it without --file"
                )
                raise DeskError(msg)
            return from_file(Path(str(plan.file)), symbol, interval, start, end, check, zone)
        if plan.where == "archive":
            from sinks.archive_bars import BarArchive

            return from_store(BarArchive(desk.archive_place), symbol, interval, start, end, "archive")
        return from_store(desk.store, symbol, interval, start, end)

    return read


def note(folders: Folders, run: Run, made: files.Output, place: Place, now_ns: int, kind: str = "backtest") -> None:
    """Write a run into the book of runs; one of each night never takes the place of one that somebody asked for."""
    noted = Noted(
        run=made.run,
        kind=kind,
        made_at=now_ns,
        strategy=run.plan.strategy,
        source_hash=run.plan.source_hash,
        parameters=run.plan.parameters,
        symbols=run.plan.symbols,
        interval=run.plan.interval,
        begin=run.metrics.begin,
        end=run.metrics.end,
        folder=place.where,
        metrics=run.metrics.plain(),
        manifest=made.manifest,
    )
    with RunBook(folders.history) as book:
        if kind == NIGHTLY and any(one.kind != NIGHTLY for one in book.find(made.run)):
            return
        book.note(noted, files.trade_rows(run))


def known_actions(folders: Folders) -> Callable[[Symbol], Sequence[Action] | None]:
    """The splits and dividends of the desk's book."""

    def ask(symbol: Symbol) -> Sequence[Action] | None:
        if not folders.history.is_file():
            return None
        from sinks.actions_book import ActionsBook

        with ActionsBook(folders.history) as book:
            found = book.actions(symbol)
            return found if found or symbol in book.asked() else None

    return ask


def _interval(plan: Plan) -> Interval:
    from market.intervals import parse_interval

    return parse_interval(plan.interval)
