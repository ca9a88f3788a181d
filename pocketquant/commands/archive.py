"""`pq archive`."""

import json
from typing import TYPE_CHECKING, Any

import click

from pocketquant import options
from pocketquant.output import note
from pocketquant.progress import progress
from pocketquant.times import format_bytes

if TYPE_CHECKING:
    from history.archive import Archived


@click.command(
    epilog=options.example(
        "pq archive",
        "pq archive --check",
        "pq archive --json --data-dir hour",
    )
)
@click.option("--check", "checks", is_flag=True, help="Archive nothing: compare every file with its manifest.")
@click.option("--release", "releases", is_flag=True, help="Archive nothing: let the journal go without it from now on.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@options.desk_options
def archive(*, checks: bool, releases: bool, as_json: bool, **desk: Any) -> int:
    """Ticks, quotes and closed bars to Parquet files, which Polars and DuckDB read; the journal's old days may then go.

    Each run adds what came since the last one. The files are in `archive` in the data folder, or where `archive_to`
    says: another folder, or s3://bucket/prefix.
    """
    from history.archive import archive as run
    from history.archive import check, release
    from history.desk import HistoryDesk

    if checks and releases:
        msg = "--check and --release are two things: ask for one of them"
        raise click.UsageError(msg)
    settings = options.existing_desk(**desk)
    with HistoryDesk(settings) as opened:
        if checks:
            findings = check(opened)
            where = opened.archive_place.where
            if as_json:
                click.echo(json.dumps({"archive": where, "findings": findings}, indent=1))
            else:
                click.echo("\n".join(findings) or f"every file in {where} is as its manifest says")
            return 1 if findings else 0
        if releases:
            release(opened)
            click.echo("the journal's old days go without waiting for the archive, until `pq archive` runs again")
            return 0
        with progress({"journal": "ticks and quotes", "bars": "bars"}) as tell:
            done = run(opened, tell=tell)
    if as_json:
        click.echo(json.dumps({**done._asdict(), "bytes_per_tick": done.bytes_per_tick}, indent=1))
    else:
        click.echo(_sentences(done))
    for text in done.damaged:
        note(f"not archived: {text}")
    return 1 if done.damaged else 0


def _sentences(done: "Archived") -> str:
    """What a run did, for people."""
    lines = []
    if done.journal_rows:
        days = done.days[0] if len(done.days) == 1 else f"{done.days[0]} to {done.days[-1]}"
        each = f", {done.bytes_per_tick:.1f} bytes a tick" if done.bytes_per_tick is not None else ""
        # Of a few ticks the time is that of starting.
        rate = f" ({done.ticks / done.journal_seconds:,.0f} ticks a second)" if done.ticks > 100_000 else ""
        lines.append(
            f"journal of {days}, up to row {done.upto_seq}: {done.ticks} ticks, {done.quotes} quotes, "
            f"{done.marks} marks in {format_bytes(done.journal_bytes)}{each}{rate}"
        )
    if done.bar_files:
        files = "1 file" if done.bar_files == 1 else f"{done.bar_files} files"
        lines.append(f"bars: {done.bars} in {files}, {format_bytes(done.bar_bytes)}")
    return "\n".join([*(lines or ["nothing new to archive"]), f"in {done.where}"])
