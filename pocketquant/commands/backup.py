"""`pq backup`, `pq backups`, `pq restore` and `pq drill`."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pocketquant import options
from pocketquant.output import Format, Kind, Records
from pocketquant.times import format_bytes, format_span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from history.backup import Tell

KINDS: Final = ("full", "hourly", "tail")

MADE: Final[dict[str, Kind]] = {
    "id": "text",
    "kind": "text",
    "files": "int",
    "bytes": "int",
    "written": "int",
    "seconds": "float",
    "mended": "int",
    "removed": "int",
    "where": "text",
}
LISTED: Final[dict[str, Kind]] = {
    "id": "text",
    "kind": "text",
    "made_at": "time",
    "files": "int",
    "bytes": "int",
    "state": "text",
    "trouble": "text",
}
RESTORED: Final[dict[str, Kind]] = {"collection": "text", "rows": "int", "sha256": "text"}


@click.command(
    epilog=options.example("pq backup", "pq backup --kind hourly", "POCKETQUANT_BACKUP__TO=s3://bucket/desk pq backup")
)
@click.option("--kind", type=click.Choice(KINDS), default="full", show_default=True, help="How much is looked at.")
@options.output_options
@options.desk_options
def backup(*, kind: Any, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """Back up the desk, running or not, to `backup.to`: bars, journal, ledgers, settings without secrets.

    A full backup reads back all that it counts on; an hourly one trusts what is there and writes what changed; a tail
    has only journal and ledgers anew. Any of them can be restored by itself.
    """
    options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    from history.backup import back_up, place_of
    from history.desk import HistoryDesk

    with HistoryDesk(settings) as opened, _progress("backing up") as tell:
        done = back_up(opened, kind, tell)
        where = place_of(opened).where
    row = (
        done.id, done.kind, done.files, done.bytes, done.written, round(done.seconds, 3), len(done.mended),
        len(done.removed), where,
    )  # fmt: skip
    for name in done.mended:
        click.echo(f"piece {name} of earlier backups was damaged or missing, and was written anew", err=True)
    options.deliver(Records(MADE, [row]), form, as_json, output)
    return 0


@click.command(epilog=options.example("pq backups", "pq backups --check --json"))
@click.option("--check", is_flag=True, help="Read every byte back and hold it against its name; exit 1 if any differs.")
@options.output_options
@options.desk_options
def backups(*, check: bool, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """The backups that are there, oldest first: when each was made, its size, and whether it is whole."""
    options.chosen(form, as_json, output)
    settings = options.settings(**desk)
    from history.backup import Backup, damage, repository
    from history.desk import HistoryDesk
    from sinks.backup_repository import Damaged

    rows: list[tuple[Any, ...]] = []
    names: list[str] = []
    with HistoryDesk(settings) as opened, _progress("checking") as tell:
        store = repository(opened)
        for listed in store.backups() if store.exists else []:
            try:
                one = Backup(listed, store.manifest(listed))
                found = damage(store, one, lambda: tell("pieces", 1)) if check else []
            except Damaged as error:
                rows.append((listed.id, listed.kind, None, None, None, "damaged", str(error)))
                names.append(error.name)
                continue
            state = "damaged" if found else "whole" if check else "listed"
            trouble = str(found[0]) if found else ""
            rows.append((listed.id, listed.kind, one.manifest["made_at"], len(one.files), one.bytes, state, trouble))
            names += [each.name for each in found]
        where = store.place.where
    for name in sorted(set(names)):
        click.echo(f"damaged or missing: {where}/{name}", err=True)
    options.deliver(Records(LISTED, rows, empty=f"no backups at {where}: `pq backup` makes one"), form, as_json, output)
    return 1 if names else 0


@click.command(
    epilog=options.example(
        "pq restore latest --into ./restored", "pq restore 20261120T020000Z-full", "pq restore 20261120T0"
    )
)
@click.argument("backup_id", metavar="ID")
@click.option(
    "--into", type=options.FILE, help="The data folder to be; nothing in it is overwritten  [default: --data-dir]"
)
@click.option("--mongodb-uri", help="Empty database that the bars of a desk with MongoDB go into.")
@options.output_options
@options.desk_options
def restore(
    backup_id: str,
    *,
    into: Path | None,
    mongodb_uri: str | None,
    form: Format | None,
    as_json: bool,
    output: Path | None,
    **desk: Any,
) -> int:
    """Put a backup (its ID, the begin of it, or `latest`) into a folder that holds no desk, and compare all of it."""
    options.chosen(form, as_json, output)
    settings = options.settings(**desk)
    from history.desk import HistoryDesk
    from history.restoring import restore as bring_back

    with HistoryDesk(settings) as opened, _progress("restoring") as tell:
        done = bring_back(opened, backup_id, into, mongodb_uri=mongodb_uri, tell=tell)
    click.echo(
        f"{done.id} is restored into {done.into}: {done.files} files, {format_bytes(done.bytes)}, "
        f"{format_span(done.seconds)}; {len(done.collections)} tables and collections equal those that were backed up",
        err=True,
    )
    options.deliver(Records(RESTORED, [tuple(held) for held in done.collections]), form, as_json, output)
    return 0


@click.command(epilog=options.example("pq drill", "pq drill 20261120T020000Z-full --json"))
@click.argument("backup_id", metavar="[ID]", default="latest")
@options.output_options
@options.desk_options
def drill(backup_id: str, *, form: Format | None, as_json: bool, output: Path | None, **desk: Any) -> int:
    """Prove that a backup (the newest unless told) can be restored: into a scratch folder, compared, then removed."""
    options.chosen(form, as_json, output)
    settings = options.existing_desk(**desk)
    from history.desk import HistoryDesk
    from history.restoring import drill as prove

    with HistoryDesk(settings) as opened, _progress("drilling") as tell:
        done = prove(opened, backup_id, tell)
    click.echo(
        f"{done.id} can be restored: {done.files} files, {format_bytes(done.bytes)}, in {format_span(done.seconds)}; "
        f"{len(done.collections)} tables and collections compared, 0 differ",
        err=True,
    )
    options.deliver(Records(RESTORED, [tuple(held) for held in done.collections]), form, as_json, output)
    return 0


@contextmanager
def _progress(verb: str) -> "Iterator[Tell]":
    """A bar on a terminal, nothing elsewhere: what is done is told in bytes."""
    if not sys.stderr.isatty():
        yield lambda _name, _bytes: None
        return
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=None)

        def tell(name: str, count: int) -> None:
            bar.update(task, description=f"{verb} {name}", advance=count)

        yield tell
