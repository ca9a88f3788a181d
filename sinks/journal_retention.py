"""Which files of the journal may go: the old and the unaffordable, and never what has not been consumed."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sinks.journal_file import beside, day_files


def prune(
    folder: Path,
    current: Path,
    now_ns: int,
    *,
    keep_days: int,
    min_free_bytes: int,
    consumed_seq: int,
    archived_seq: int | None = None,
    free_bytes: Callable[[], int] | None = None,
) -> list[Path]:
    """Remove files of earlier days, oldest first, and stop at the first that must stay.

    Args:
        folder: The journal's.
        current: The file being written, which always stays.
        now_ns: ns UTC.
        keep_days: Files of the last so many whole days stay unless room is needed.
        min_free_bytes: Where less than this is free on the disk, younger files go too.
        consumed_seq: Rows after this one have not been consumed by everyone; a file with such a row stays.
        archived_seq: Likewise for the archive; None where nothing is archived.
        free_bytes: Free room on the disk; asked of the disk unless given.

    Returns:
        The files removed. Where too little is free even so, there was no more that might go.
    """
    free = free_bytes or (lambda: shutil.disk_usage(folder).free)
    today = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).date()
    safe_seq = consumed_seq if archived_seq is None else min(consumed_seq, archived_seq)
    removed = []
    for path in day_files(folder):
        if path >= current:
            break
        too_old = today - date.fromisoformat(path.stem) > timedelta(days=keep_days)
        if not too_old and free() >= min_free_bytes:
            break
        last_seq = _last_seq(path)
        if last_seq is None or last_seq > safe_seq:
            break
        # The log goes last: without its file it means nothing, but a file without its log would have lost rows.
        for part in (path, beside(path, "-shm"), beside(path, "-wal")):
            part.unlink(missing_ok=True)
        removed.append(path)
    return removed


def _last_seq(path: Path) -> int | None:
    """Last row of a file, 0 if it has none; None if that cannot be read, which is a reason to leave it alone."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT coalesce(max(seq), 0) FROM rows").fetchone()[0])
    except sqlite3.Error:
        return None
