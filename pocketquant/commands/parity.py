"""`pq parity`."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pocketquant import backtests, options
from pocketquant.output import Format, Kind, Records, note
from pocketquant.progress import progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest.certificates import Certificate
    from infra.settings import Settings
    from sinks.paper_book import PaperBook, Row

PARITY: Final[dict[str, Kind]] = {
    "run": "text",
    "strategy": "text",
    "result": "text",
    "decisions": "int",
    "orders": "int",
    "fills": "int",
    "trades": "int",
    "equity": "int",
    "revised": "int",
    "day": "text",
    "from_seq": "int",
    "to_seq": "int",
    "made_at": "time",
    "first": "text",
}
_COUNTED: Final = ("decisions", "orders", "fills", "trades", "equity")
UNPROVEN: Final = "not proven"


@click.command(
    epilog=options.example("pq parity", "pq parity sma-cross", "pq parity 1a2b3c --whole", "pq parity --list --json")
)
@click.argument("run", required=False)
@click.option("--whole", is_flag=True, help="From the start of each run, not from its last certificate.")
@click.option("--list", "listed", is_flag=True, help="Show the certificates that there are, and make none.")
@options.output_options
@options.desk_options
def parity(
    run: str | None,
    *,
    whole: bool,
    listed: bool,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    data_dir: Path | None,
    config: Path | None,
) -> int:
    """Make paper runs once more from the journal, and compare what came of them line by line.

    Decisions, orders, fills, trades and equity: equal, or the first difference by name (exit 1). RUN is a run's id, the
    begin of it, or a strategy; all runs unless given. What is found becomes a certificate in the paper book, and the
    next begins where it ended.
    """
    from infra.kept_schedules import keep_in
    from pocketquant.paper import runs

    if listed and whole:
        msg = "--list shows what was proven, and --whole proves it anew: give one of them"
        raise click.UsageError(msg)
    picked = options.chosen(form, as_json, output)
    settings = options.existing_desk(data_dir, config)
    keep_in(settings.folders.cache)
    with runs.open_book(settings, read_only=listed) as book:
        chosen = runs.named(runs.begun(runs.all_runs(book, time.time_ns())), run)
        made = _earlier(book, chosen) if listed else _proven(settings, book, chosen, whole=whole)
    values = [_values(*one) for one in made]
    empty = "there are no certificates yet: `pq parity` makes them" if listed else "no paper run has begun yet"
    options.deliver(Records(PARITY, values, empty=empty), form, as_json, output)
    wrong = 0 if listed else sum(one is None or one.result != "equal" for _, one, _ in made)
    if picked == "table" and made and not listed:
        note(f"{len(made) - wrong} of {len(made)} runs are equal, line by line")
        for row, one, _ in made:
            if one is not None and one.revised:
                bars = "bar that it saw was" if len(one.revised) == 1 else "bars that it saw were"
                note(f"{row['run']}: {len(one.revised)} {bars} corrected since, which changes nothing that was decided")
    return 1 if wrong else 0


def _proven(
    settings: "Settings", book: "PaperBook", chosen: "Sequence[Row]", *, whole: bool
) -> "list[tuple[Row, Certificate | None, str]]":
    """Runs with their new certificates, or why they have none."""
    from backtest.parity import certify
    from sinks.bar_store import open_store

    with ExitStack() as closing:
        journaled = closing.enter_context(backtests.journaled_on(settings))
        store = open_store(settings.store, read_only=True)
        closing.callback(store.close)
        tell = closing.enter_context(progress({"parity": "comparing"}))
        outcomes = certify(
            book, chosen, journaled.rows, store, settings.folders.loops, time.time_ns(), whole=whole, tell=tell
        )
        found = list(zip(chosen, outcomes, strict=True))
        for damage in journaled.damage:
            note(f"skipped: {damage}")
    return [(row, one.certificate, one.trouble) for row, one in found]


def _earlier(book: "PaperBook", chosen: "Sequence[Row]") -> "list[tuple[Row, Certificate | None, str]]":
    """Runs with the certificates that they have."""
    from backtest.certificates import certificates

    return [(row, one, "") for row in chosen for one in certificates(book, row["run"])]


def _values(row: "Row", one: "Certificate | None", trouble: str) -> tuple[Any, ...]:
    """In the order of `PARITY`."""
    if one is None:
        nothing = (None,) * (len(PARITY) - 4)
        return (row["run"], row["strategy"], UNPROVEN, *nothing, trouble)
    counts = [one.counts.get(name, 0) for name in _COUNTED]
    first = "" if one.first is None else str(one.first)
    return (
        one.run, row["strategy"], one.result, *counts, len(one.revised), one.day, one.from_seq, one.to_seq, one.made_at,
        first,
    )  # fmt: skip
