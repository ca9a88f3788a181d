"""Backups: the whole desk each night, what changed each hour, and the journal's end every five minutes.

Each backup is whole in itself: it lists every file with the pieces that make it up, and shares the pieces that did not
change with those before it. So there is no chain to be broken, and an old one is removed without a thought.
"""

import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from history.backup_sources import in_mongo, of_store, sources
from market.errors import DeskError
from sinks.backup_book import BackupBook, Made
from sinks.backup_repository import Damaged, Listed, Piece, Repository
from sinks.lock_file import LockFile
from sinks.places import ASIDE, Place, S3Access, open_place

if TYPE_CHECKING:
    from history.desk import HistoryDesk

Kind = Literal["full", "hourly", "tail"]
KINDS: Final[tuple[Kind, ...]] = ("full", "hourly", "tail")
FORMAT: Final = 1
TAIL_KEEP_S: Final = 86_400
_MONTHS: Final = 12

Tell = Callable[[str, int], None]
"""Told the file in hand and the bytes of it that were just done."""


class Backup(NamedTuple):
    """One backup as it lies at its place."""

    listed: Listed
    manifest: dict[str, Any]

    @property
    def files(self) -> list[dict[str, Any]]:
        """Entries of the files: name, size, pieces, tables, stamp."""
        found: list[dict[str, Any]] = self.manifest["files"]
        return found

    @property
    def pieces(self) -> Iterator[Piece]:
        """Every piece of every file."""
        return (Piece(*piece) for entry in self.files for piece in entry["pieces"])

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(entry["size"] for entry in self.files)


class Report(NamedTuple):
    """What a backup did."""

    id: str
    kind: Kind
    files: int
    bytes: int
    """Of all files."""
    written: int
    """Bytes that were new at the place."""
    seconds: float
    removed: tuple[str, ...]
    """Backups that had become too old."""
    mended: tuple[str, ...]
    """Pieces of earlier backups that were found damaged or missing, by name."""


def place_of(desk: "HistoryDesk", address: str | None = None) -> Place:
    """Where the desk's backups lie, or another place."""
    backup = desk.settings.backup
    access = S3Access(
        backup.s3_endpoint,
        backup.s3_region,
        backup.s3_access_key.get_secret_value() if backup.s3_access_key else None,
        backup.s3_secret_key.get_secret_value() if backup.s3_secret_key else None,
    )
    return open_place(address or backup.to or desk.folders.backups, access)


def repository(desk: "HistoryDesk", address: str | None = None) -> Repository:
    """The desk's backups, to be read or added to.

    Raises:
        DeskError: The place cannot be read, or the key does not open it.
    """
    key = desk.settings.backup.key
    return Repository(place_of(desk, address), key.get_secret_value() if key else None)


def back_up(desk: "HistoryDesk", kind: Kind = "full", tell: Tell = lambda _name, _bytes: None) -> Report:
    """Make a backup, verify it, and remove those that are too old.

    Args:
        desk: Whose. It may be running.
        kind: `full` reads back every piece it counts on and sweeps up; `hourly` trusts the pieces that are there;
            `tail` takes bars and archive from the backup before and copies only journal, ledgers and paper book. Where
            there is none before it, any of them is a full one.
        tell: Told of progress.

    Raises:
        DeskError: A backup is being made already, the place cannot be written, or something cannot be read. Nothing
            of this backup counts then; those before it are untouched.
    """
    began, clock = desk.now_ns(), monotonic()
    with LockFile(desk.folders.run / "backup.lock", "backing up"):
        number = ""
        try:
            store = repository(desk)
            store.create()
            previous = _previous(store)
            if previous is None:
                kind = "full"
            number = _number(store, began, kind)
            mended = _count_on(store, previous, kind)
            with _scratch(desk.folders.run) as scratch:
                files, written = _write(desk, store, kind, previous, scratch, tell)
            manifest = {
                "format": FORMAT,
                "id": number,
                "kind": kind,
                "made_at": began,
                "versions": {"python": platform.python_version()},
                "files": files,
            }
            made = Backup(store.add_manifest(number, manifest), manifest)
            removed = _retain(desk, store, began, sweep=kind == "full")
        except DeskError as error:
            _note(desk, Made(number, place_of(desk).where, began, monotonic() - clock, 0, 0, 0, str(error)))
            raise
        report = Report(number, kind, len(files), made.bytes, written, monotonic() - clock, removed, mended)
        _note(desk, Made(number, store.place.where, began, report.seconds, report.files, report.bytes, written, ""))
    return report


def find(store: Repository, number: str) -> Backup:
    """The backup of that id, the one whose id begins so, or the newest for `latest`.

    Raises:
        DeskError: There is none, more than one begins so, or its manifest is damaged.
    """
    listed = store.backups()
    if not listed:
        msg = f"there is no backup at {store.place.where}: `pq backup` makes one"
        raise DeskError(msg)
    found = listed[-1:] if number == "latest" else [one for one in listed if one.id.startswith(number)]
    if len(found) != 1:
        what = "no backup is" if not found else f"{len(found)} backups are"
        msg = f"{what} named {number!r} at {store.place.where}: `pq backups` lists them; the newest is {listed[-1].id}"
        raise DeskError(msg)
    return Backup(found[0], store.manifest(found[0]))


def damage(store: Repository, backup: Backup, tell: Callable[[], None] = lambda: None) -> list[Damaged]:
    """Pieces of a backup that are missing or altered, by name."""
    return list(store.check(sorted({piece.name for piece in backup.pieces}), tell))


def expired(listed: list[Listed], now_ns: int, keep_days: int, keep_months: int) -> list[Listed]:
    """Backups that are too old.

    Those younger than `keep_days` stay, but tails only a day; of older ones the first full one of each month, for
    `keep_months` months. The newest full one and the newest of all stay in any case.
    """
    now = datetime.fromtimestamp(now_ns / 1e9, UTC)
    firsts: dict[tuple[int, int], str] = {}
    fulls = [one for one in listed if one.kind == "full"]
    for one in fulls:
        made = _made_at(one)
        firsts.setdefault((made.year, made.month), one.id)
    always = {listed[-1].id, *(one.id for one in fulls[-1:])} if listed else set()
    found = []
    for one in listed:
        made = _made_at(one)
        age = (now - made).total_seconds()
        months = (now.year - made.year) * _MONTHS + now.month - made.month
        young = age <= (TAIL_KEEP_S if one.kind == "tail" else keep_days * 86_400)
        monthly = firsts.get((made.year, made.month)) == one.id and months <= keep_months
        if not (young or monthly or one.id in always):
            found.append(one)
    return found


def _number(store: Repository, began: int, kind: Kind) -> str:
    found = f"{datetime.fromtimestamp(began / 1e9, UTC):%Y%m%dT%H%M%SZ}-{kind}"
    if any(listed.id == found for listed in store.backups()):
        msg = f"backup {found} is there already: two were begun in one second; try again"
        raise DeskError(msg)
    return found


def _made_at(listed: Listed) -> datetime:
    return datetime.strptime(listed.id.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _previous(store: Repository) -> Backup | None:
    """The newest backup whose manifest is whole."""
    for listed in reversed(store.backups()):
        try:
            return Backup(listed, store.manifest(listed))
        except Damaged:
            continue
    return None


def _count_on(store: Repository, previous: Backup | None, kind: Kind) -> tuple[str, ...]:
    """Take the pieces of the backup before for being there; a full one looks at each, and writes damaged ones anew."""
    if previous is None:
        return ()
    bad: set[str] = set()
    if kind == "full":
        found = damage(store, previous)
        bad = {one.name.rpartition("/")[2] for one in found}
        for one in found:
            # So that a piece of the same content can take its place under the same name.
            store.place.remove(one.name)
    store.know(piece for piece in previous.pieces if piece.name not in bad)
    return tuple(sorted(bad))


def _write(
    desk: "HistoryDesk", store: Repository, kind: Kind, previous: Backup | None, scratch: Path, tell: Tell
) -> tuple[list[dict[str, Any]], int]:
    before = {entry["name"]: entry for entry in previous.files} if previous else {}
    trusted = {name: tuple(entry["stamp"]) for name, entry in before.items() if entry["stamp"] and store.has(entry)}
    files: list[dict[str, Any]] = []
    written = 0
    for source in sources(desk, kind, scratch, trusted):
        if source.stamp is not None and trusted.get(source.name) == source.stamp:
            files.append(before[source.name])
            tell(source.name, before[source.name]["size"])
            continue
        pieces, size = [], 0
        for block in source.blocks:
            piece, new = store.add(block)
            pieces.append(list(piece))
            size += len(block)
            written += new
            tell(source.name, len(block))
        files.append(
            {
                "name": source.name,
                "size": size,
                "stamp": source.stamp,
                "tables": [list(held) for held in source.tables],
                "pieces": pieces,
            }
        )
    if kind == "tail":
        # The paper book of a server that is away is that of the backup before, too: all of it, so that it fits.
        fresh = {entry["name"] for entry in files}
        again = [entry for name, entry in before.items() if name not in fresh and (_heavy(name) or in_mongo(name))]
        files = [*again, *files]
    return files, written


def _heavy(name: str) -> bool:
    """Whether a tail takes the file from the backup before."""
    return of_store(name) or name.startswith("archive/")


def _retain(desk: "HistoryDesk", store: Repository, now_ns: int, *, sweep: bool) -> tuple[str, ...]:
    settings = desk.settings.backup
    gone = expired(store.backups(), now_ns, settings.keep_days, settings.keep_months)
    for listed in gone:
        store.remove(listed)
    if sweep:
        wanted: set[str] = set()
        whole = True
        for listed in store.backups():
            try:
                wanted |= {piece.name for piece in Backup(listed, store.manifest(listed)).pieces}
            except Damaged:
                # What it counts on is not known, so nothing is known not to be wanted.
                whole = False
        if whole:
            store.sweep(wanted)
        aside = store.place.local(ASIDE)
        if aside is not None and aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
    return tuple(listed.id for listed in gone)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for copies, emptied of what a killed backup left."""
    scratch = folder / "backup"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _note(desk: "HistoryDesk", made: Made) -> None:
    with BackupBook(desk.folders.history) as book:
        book.note_backup(made)
