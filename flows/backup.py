"""The flows of backups: a full one each night, what changed each hour, the journal's tail between, and the drill."""

from typing import TYPE_CHECKING, Any, Final, Literal

from flows import artifacts, pictures
from flows.running import desk, desk_flow, means, only, part, say

if TYPE_CHECKING:
    from history.backup import Report
    from history.desk import HistoryDesk
    from history.restoring import Restored

BackupKind = Literal["full", "hourly", "tail"]
DRILLS_SHOWN: Final = 26


@part("back up: {kind}")
def make_one(kind: BackupKind) -> "Report":
    """Write a backup, and read back what it counts on."""
    from history.backup import back_up

    return back_up(means().desk, kind)


@desk_flow("backup", lambda given: f"backup {given['kind']}")
def backup(kind: BackupKind = "full") -> str:
    """The desk's bars, journal, ledgers and settings (without secrets) to `backup.to`, verified after writing.

    Args:
        kind: full reads back all that it counts on; hourly writes what changed; tail has only journal and ledgers anew.
    """
    from history.backup import place_of

    with desk() as found:
        done = only(make_one.submit(kind))
        where = place_of(found).where
    for name in done.mended:
        say(f"piece {name} of earlier backups was damaged or missing, and was written anew")
    if kind != "tail":
        rows: list[tuple[Any, ...]] = [
            ("id", done.id),
            ("where", where),
            ("files", done.files),
            ("bytes of all files", done.bytes),
            ("bytes written", done.written),
            ("seconds", f"{done.seconds:.1f}"),
            ("mended pieces", " ".join(done.mended)),
            ("backups removed by age", " ".join(done.removed)),
        ]
        artifacts.publish(f"backup-{kind}", artifacts.table(("what", "value"), rows), f"Backup {done.id}")
    return f"{done.id}: {done.files} files, {done.written} bytes written, in {done.seconds:.1f} s"


@part("restore the newest backup")
def drill_one() -> "Restored":
    """Restore into a scratch folder and compare."""
    from history.restoring import drill

    return drill(means().desk)


@desk_flow("restore-drill", "restore drill")
def restore_drill() -> str:
    """The newest backup restored into a scratch folder, every collection compared by count and content hash."""
    with desk() as found:
        try:
            done = only(drill_one.submit())
        finally:
            _show_drills(found)
    return (
        f"{done.id} can be restored: {len(done.collections)} collections equal theirs, {done.bytes} bytes, "
        f"in {done.seconds / 60:.2f} minutes"
    )


def _show_drills(found: "HistoryDesk") -> None:
    """The last drills, this one included: how long each took, and what was wrong."""
    from sinks.backup_book import BackupBook

    with BackupBook(found.folders.history) as book:
        drills = sorted(book.drills(DRILLS_SHOWN), key=lambda one: one.began_at)
    if not drills:
        return
    minutes = [(one.began_at, one.seconds / 60) for one in drills]
    picture = artifacts.picture(pictures.columns(minutes, "minutes", [bool(one.trouble) for one in drills]), "minutes")
    head = ("when", "backup", "seconds", "collections", "bytes", "trouble")
    rows = [
        (artifacts.moment(one.began_at), one.backup, f"{one.seconds:.1f}", one.collections, one.bytes, one.trouble)
        for one in reversed(drills)
    ]
    markdown = f"{picture}\n\n{artifacts.table(head, rows)}"
    artifacts.publish("restore-drill", markdown, "How long restores take, and whether they are true")
