"""The archive flow: journal days and closed bars to Parquet."""

from typing import TYPE_CHECKING, Any

from flows import artifacts
from flows.running import desk, desk_flow, means, only, part, say
from market.errors import DeskError

if TYPE_CHECKING:
    from history.archive import Archived


@part("archive")
def archive_all() -> "Archived":
    """Bring the archive up to date."""
    from history.archive import archive as run

    return run(means().desk)


@part("compare every file")
def check_all() -> list[str]:
    """Compare every file of the archive with its manifest."""
    from history.archive import check

    return check(means().desk)


@desk_flow("archive", lambda given: "archive and check" if given["check"] else "archive")
def archive(check: bool = False) -> str:
    """Ticks, quotes and closed bars to Parquet files, which Polars and DuckDB read; the journal's old days may then go.

    Args:
        check: Also compare every file with its manifest, which reads the whole archive.
    """
    with desk():
        done = only(archive_all.submit())
        findings = only(check_all.submit()) if check else []
    for text in done.damaged:
        say(f"not archived: {text}")
    rows: list[tuple[Any, ...]] = [
        ("days of the journal", " ".join(done.days)),
        ("up to row", done.upto_seq),
        ("ticks", done.ticks),
        ("bytes a tick", f"{done.bytes_per_tick:.1f}" if done.bytes_per_tick is not None else ""),
        ("quotes", done.quotes),
        ("bytes of the journal's files", done.journal_bytes),
        ("bars", done.bars),
        ("bytes of the bars' files", done.bar_bytes),
        ("where", done.where),
    ]
    artifacts.publish("archive", artifacts.table(("what", "value"), rows), f"Archived to {done.where}")
    troubles = [*done.damaged, *findings]
    if troubles:
        raise DeskError("; ".join(troubles[:3]) + ("; ..." if len(troubles) > 3 else ""))
    checked = "; every file is as its manifest says" if check else ""
    return f"{done.ticks} ticks and {done.bars} bars archived, up to row {done.upto_seq} of the journal{checked}"
