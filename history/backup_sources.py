"""What a desk's backup is made of, file by file, each as of one moment."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, SecretStr

from sinks.backup_repository import PIECE_BYTES
from sinks.sqlite_copy import Held, check_sqlite, copy_sqlite, tables

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from infra.settings import Settings

SETTINGS: Final = "pocketquant.toml"
MONGO: Final = "mongo/"


@dataclass
class Source:
    """One file of a backup."""

    name: str
    """Its path in the data folder; `mongo/bars` for a collection."""
    blocks: Iterator[bytes]
    """Its content, read while it is asked for."""
    stamp: tuple[int, int] | None = None
    """Size and time of change (ns) of a file that is written no more: with the same stamp it holds the same."""
    tables: list[Held] = field(default_factory=list)
    """What it holds, known once the blocks were read."""


def sources(desk: "HistoryDesk", kind: str, scratch: Path, stamps: dict[str, Any]) -> Iterator[Source]:
    """The files, in an order in which each is at least as new as those before it that point to it.

    The paper book comes before the bar store and that before the journal, so that nothing that is restored is ahead of
    what it was made from.

    Args:
        desk: Whose.
        kind: `full`, `hourly`; `tail` has neither bars nor archive.
        scratch: A folder for copies; each is removed when the next source is asked for.
        stamps: Of the backup before, by name: a file with the same is given without its blocks.
    """
    folders = desk.folders
    if folders.paper.is_file():
        yield from _database(folders.paper, folders.paper.name, scratch)
    if desk.settings.mongodb_uri is not None:
        yield from _collections(desk, kind)
    if kind != "tail":
        if desk.settings.mongodb_uri is None and folders.bars.is_file():
            yield from _database(folders.bars, "bars.sqlite", scratch)
        if desk.settings.archive_to is None and folders.archive.is_dir():
            yield from _files(folders.archive, "archive", stamps)
    text = settings_text(desk.settings).encode()
    yield Source(SETTINGS, iter([text]))
    if desk.settings.strategies.is_dir():
        yield from _files(desk.settings.strategies, "strategies", {})
    for path in (folders.history, folders.desk):
        if path.is_file():
            yield from _database(path, path.name, scratch)
    yield from _journal(folders.journal, scratch, stamps)


def settings_text(settings: "Settings") -> str:
    """The settings that are not the defaults, as TOML, without secrets: those are named in a comment."""
    import tomlkit

    document = tomlkit.document()
    secrets: list[str] = []
    _fill(document, settings, type(settings)(data_dir=settings.data_dir), "", secrets)
    document.pop("data_dir", None)
    head = "# As they were when this backup was made.\n"
    if secrets:
        head += f"# Secrets are not in backups; set again: {', '.join(secrets)}\n"
    return head + tomlkit.dumps(document)


def _fill(into: Any, model: BaseModel, default: BaseModel, prefix: str, secrets: list[str]) -> None:
    """Write what differs from the defaults into a table; collect the names of secrets."""
    import tomlkit

    for name in type(model).model_fields:
        value, usual = getattr(model, name), getattr(default, name)
        held = value if isinstance(value, list) else [value]
        if any(isinstance(one, SecretStr) for one in held):
            secrets.append(f"{prefix}{name}")
        elif isinstance(value, BaseModel):
            table = tomlkit.table()
            _fill(table, value, usual, f"{prefix}{name}.", secrets)
            if len(table):
                into[name] = table
        elif value != usual and value is not None:
            into[name] = str(value) if isinstance(value, Path) else value


def of_store(name: str) -> bool:
    """Whether a file holds bars, which a tail takes from the backup before."""
    return name == "bars.sqlite" or (in_mongo(name) and not name.startswith(f"{MONGO}paper_"))


def in_mongo(name: str) -> bool:
    """Whether a file is a collection."""
    return name.startswith(MONGO)


def _collections(desk: "HistoryDesk", kind: str) -> Iterator[Source]:
    from sinks.mongo_copy import COLLECTIONS, PAPER, Counting, answers, mongo_copy

    if kind == "tail" and not answers(desk.settings.store):
        # The journal's end is worth a backup while the server is away.
        return
    with mongo_copy(desk.settings.store) as copy:
        for name in PAPER if kind == "tail" else COLLECTIONS:
            counting = Counting(name)
            source = Source(f"{MONGO}{name}", iter(()))

            def blocks(counting: Counting = counting, source: Source = source, name: str = name) -> Iterator[bytes]:
                yield from counting.through(copy.blocks(name))
                source.tables = [counting.held]

            source.blocks = blocks()
            yield source


def _database(path: Path, name: str, scratch: Path, stamp: tuple[int, int] | None = None) -> Iterator[Source]:
    copy = scratch / "copy.sqlite"
    copy_sqlite(path, copy)
    try:
        # A damaged file must not take the place of a whole one, and be found out when it is needed.
        check_sqlite(copy, path)
        source = Source(name, iter(()), stamp)

        def blocks() -> Iterator[bytes]:
            yield from _blocks(copy)
            source.tables = tables(copy)

        source.blocks = blocks()
        yield source
    finally:
        for leftover in scratch.glob("copy.sqlite*"):
            leftover.unlink()


def _files(folder: Path, into: str, stamps: dict[str, Any]) -> Iterator[Source]:
    """Files of a folder and below it: the archive's are written once and renamed into place."""
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or relative.parts[0] == "aside" or "__pycache__" in relative.parts:
            continue
        # It may be replaced by one that holds more, while we look.
        with contextlib.suppress(FileNotFoundError):
            stamp = _stamp(path)
            name = f"{into}/{relative.as_posix()}"
            yield Source(name, iter(()) if stamps.get(name) == stamp else _blocks(path), stamp)


def _journal(folder: Path, scratch: Path, stamps: dict[str, Any]) -> Iterator[Source]:
    days = sorted(folder.glob("????-??-??.sqlite"))
    for path in days:
        name = f"journal/{path.name}"
        # Retention may remove a day between our looking and our reading.
        with contextlib.suppress(FileNotFoundError):
            log = path.with_name(f"{path.name}-wal")
            settled = path != days[-1] and not (log.exists() and log.stat().st_size)
            stamp = _stamp(path) if settled else None
            if stamp is not None and stamps.get(name) == stamp:
                yield Source(name, iter(()), stamp)
            else:
                yield from _database(path, name, scratch, stamp)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(PIECE_BYTES):
            yield block
