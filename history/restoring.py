"""Backups into a desk again: written aside, held against what the backup says, and only then put in their place."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from history.backup import Backup, Tell, find, repository
from history.backup_sources import MONGO
from infra.folders import Folders
from market.errors import DeskError
from sinks.backup_book import BackupBook, Drilled
from sinks.backup_repository import Piece, Repository
from sinks.sqlite_copy import Held, check_sqlite, tables

if TYPE_CHECKING:
    from history.desk import HistoryDesk

_MARGIN_BYTES: Final = 64 << 20


class Restored(NamedTuple):
    """What a restore brought."""

    id: str
    into: Path
    files: int
    bytes: int
    collections: list[Held]
    """Every table and collection, as it was found to be after it was written."""
    seconds: float


def restore(
    desk: "HistoryDesk",
    number: str,
    into: Path | None = None,
    *,
    mongodb_uri: str | None = None,
    database: str | None = None,
    tell: Tell = lambda _name, _bytes: None,
) -> Restored:
    """Put a backup into a folder that holds no desk, and its bars into a MongoDB that holds none.

    Args:
        desk: Whose settings say where the backups are.
        number: The backup's id, the begin of it, or `latest`.
        into: The data folder to be; None is the desk's own.
        mongodb_uri: Where the bars of a desk with MongoDB go; None is the desk's own.
        database: Another database there than the address names.
        tell: Told of progress.

    Raises:
        DeskError: There is no such backup, a piece of it is damaged (named), the folder or the database is in use, or
            there is no room. Nothing is changed then.
    """
    clock = monotonic()
    store = repository(desk)
    backup = find(store, number)
    target = Folders(into if into is not None else desk.folders.data_dir)
    entries = [entry for entry in backup.files if not entry["name"].startswith(MONGO)]
    collections = [entry for entry in backup.files if entry["name"].startswith(MONGO)]
    _refuse_used(target, entries)
    uri = _mongo_address(desk, mongodb_uri, collections, backup)
    _refuse_small(target.data_dir, sum(entry["size"] for entry in entries))
    made_folder = not target.data_dir.exists()
    aside = target.data_dir / f"restoring-{os.getpid()}"
    found: list[Held] = []
    try:
        aside.mkdir(parents=True)
        for entry in entries:
            path = aside / entry["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(store, entry, path, tell)
            if path.suffix == ".sqlite":
                check_sqlite(path)
                found += _compared(entry, tables(path), backup)
        if uri is not None:
            found += _restore_mongo(store, collections, uri, database, aside, backup, tell)
        for entry in entries:
            path = target.data_dir / entry["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            (aside / entry["name"]).rename(path)
    except OSError as error:
        msg = f"{target.data_dir} cannot be written: {error.strerror or error}; nothing was restored"
        raise DeskError(msg) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if made_folder and target.data_dir.exists() and not any(target.data_dir.iterdir()):
            target.data_dir.rmdir()
    return Restored(backup.listed.id, target.data_dir, len(backup.files), backup.bytes, found, monotonic() - clock)


def drill(desk: "HistoryDesk", number: str = "latest", tell: Tell = lambda _name, _bytes: None) -> Restored:
    """Prove that a backup can be restored: into a scratch folder, every table and collection compared, then removed.

    Raises:
        DeskError: It cannot: says what is damaged or differs. The drill is noted in the book either way.
    """
    began, clock = desk.now_ns(), monotonic()
    scratch = desk.folders.run / "drill"
    shutil.rmtree(scratch, ignore_errors=True)
    database = None
    name = number
    try:
        name = find(repository(desk), number).listed.id
        if desk.settings.mongodb_uri is not None:
            database = _scratch_database(desk)
        done = restore(desk, name, scratch, database=database, tell=tell)
    except DeskError as error:
        _note(desk, Drilled(name, began, monotonic() - clock, 0, 0, str(error)))
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if database is not None:
            _drop(desk, database)
    _note(desk, Drilled(name, began, done.seconds, len(done.collections), done.bytes, ""))
    return done


def _refuse_used(target: Folders, entries: list[dict[str, Any]]) -> None:
    if target.data_dir.exists() and not target.data_dir.is_dir():
        msg = f"{target.data_dir} is a file: name a folder with --into"
        raise DeskError(msg)
    held = next((entry["name"] for entry in entries if (target.data_dir / entry["name"]).exists()), None)
    if held is None and (target.journal.exists() and any(target.journal.iterdir())):
        held = "journal"
    if held is not None:
        msg = (
            f"{target.data_dir} is in use: it holds {held}; a restore overwrites nothing, so name an empty folder with "
            "--into, or move this one away"
        )
        raise DeskError(msg)


def _refuse_small(folder: Path, size: int) -> None:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < size + _MARGIN_BYTES:
        msg = (
            f"the backup needs {(size + _MARGIN_BYTES) >> 20} MiB and the disk of {folder} has {free >> 20}: "
            "make room, or name a folder on another disk with --into"
        )
        raise DeskError(msg)


def _mongo_address(
    desk: "HistoryDesk", given: str | None, collections: list[dict[str, Any]], backup: Backup
) -> str | None:
    if not collections:
        return None
    own = desk.settings.mongodb_uri
    uri = given or (own.get_secret_value() if own is not None else None)
    if uri is None:
        msg = (
            f"backup {backup.listed.id} holds bars of a MongoDB: name the server and database that they are to go into "
            "with --mongodb-uri, or set MONGODB_URI"
        )
        raise DeskError(msg)
    return uri


def _write(store: Repository, entry: dict[str, Any], path: Path, tell: Callable[[str, int], None]) -> None:
    with path.open("xb") as file:
        for piece in entry["pieces"]:
            content = store.get(Piece(*piece))
            file.write(content)
            tell(entry["name"], len(content))
        file.flush()
        os.fsync(file.fileno())
    if path.stat().st_size != entry["size"]:
        msg = f"{entry['name']} comes to {path.stat().st_size} bytes, and its backup says {entry['size']}"
        raise DeskError(msg)


def _compared(entry: dict[str, Any], found: list[Held], backup: Backup) -> list[Held]:
    """What was found, which is what the backup says."""
    expected = [Held(*held) for held in entry["tables"]]
    for held, now in zip(expected, found, strict=False):
        if held != now:
            msg = (
                f"{entry['name']} of {backup.listed.id}: {held.name} has {now.rows} rows after the restore, with hash "
                f"{now.sha256[:12]}, and was backed up with {held.rows}, hash {held.sha256[:12]}"
            )
            raise DeskError(msg)
    if len(expected) != len(found):
        msg = f"{entry['name']} of {backup.listed.id} has {len(found)} tables, and was backed up with {len(expected)}"
        raise DeskError(msg)
    return [Held(f"{entry['name']}:{now.name}", now.rows, now.sha256) for now in found]


def _restore_mongo(
    store: Repository,
    entries: list[dict[str, Any]],
    uri: str,
    database: str | None,
    aside: Path,
    backup: Backup,
    tell: Tell,
) -> list[Held]:
    from sinks.mongo_copy import mongo_copy

    found: list[Held] = []
    with mongo_copy(uri, database) as copy:
        if not copy.empty():
            msg = (
                f"the database {copy.database} holds bars already: a restore overwrites nothing, so name an empty one "
                "with --mongodb-uri"
            )
            raise DeskError(msg)
        try:
            for entry in entries:
                name = entry["name"].removeprefix(MONGO)
                path = aside / f"{name}.bson"
                _write(store, entry, path, tell)
                with path.open("rb") as file:
                    copy.write(name, file)
                path.unlink()
                found += _compared(entry, [copy.held(name)], backup)
        except BaseException:
            copy.clear()
            raise
    return found


def _scratch_database(desk: "HistoryDesk") -> str:
    from sinks.mongo_copy import mongo_copy

    with mongo_copy(desk.settings.store) as copy:
        name = f"{copy.database}_drill"
    # What a drill that was killed has left.
    _drop(desk, name)
    return name


def _drop(desk: "HistoryDesk", database: str) -> None:
    from sinks.mongo_copy import mongo_copy

    with mongo_copy(desk.settings.store, database) as copy:
        copy.drop()


def _note(desk: "HistoryDesk", drilled: Drilled) -> None:
    with BackupBook(desk.folders.history) as book:
        book.note_drill(drilled)
