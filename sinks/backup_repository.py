"""Where backups lie: pieces by their content, and one manifest a backup that lists them.

    repository.json             what this is, and the key that a passphrase locks
    pieces/ab/abcd...           1 MiB of a file, sealed; named by the SHA-256 of the bytes that lie there
    backups/ID.<hash>.manifest  sealed JSON; named by the first 16 digits of the SHA-256 of the bytes that lie there

A piece that a backup before has is not written again, so an hourly backup costs what changed. Every name says what its
file must hold: one flipped byte is found, by name, without the key. A manifest is written last, so a backup is there
whole or not at all; what was written for one that never came to its end is swept up by a later one.
"""

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from market.errors import DeskError
from sinks.places import Place, PlaceTrouble
from sinks.sealing import Seal, SealBroken, is_secret_key, lock_key, unlock_key

PIECE_BYTES: Final = 1 << 20
FORMAT: Final = 1
_HEAD: Final = "repository.json"
_MANIFEST: Final = re.compile(r"backups/(?P<id>\d{8}T\d{6}Z-(?:full|hourly|tail))\.(?P<hash>[0-9a-f]{16})\.manifest")


class Damaged(DeskError):  # noqa: N818  # Named for what it is.
    """A file of the repository that is not what its name says, or is not there."""

    def __init__(self, name: str, text: str) -> None:
        """Name the file."""
        super().__init__(text)
        self.name = name


class Piece(NamedTuple):
    """A part of a file."""

    name: str
    """SHA-256 of the stored bytes, hex: the file's name."""
    content: str
    """SHA-256 of what it holds, hex."""
    size: int
    """Bytes of what it holds."""


class Listed(NamedTuple):
    """A manifest by its name alone."""

    id: str
    """`20261120T020000Z-full`: when it was begun, UTC, and its kind."""
    file: str

    @property
    def kind(self) -> str:
        """`full`, `hourly` or `tail`."""
        return self.id.rpartition("-")[2]


class Repository:
    """The backups of one desk at one place. For one writer at a time (see `history.backup`), and any readers."""

    def __init__(self, place: Place, key: str | None) -> None:
        """Open the repository, or find that there is none yet; nothing is written.

        Args:
            place: Where.
            key: The setting `backup.key`: a passphrase, an age secret key, or None.

        Raises:
            DeskError: The key does not open it, or one is needed, or the place holds something else.
        """
        self.place = place
        self._key = key
        self._known: dict[str, Piece] = {}
        try:
            head = json.loads(place.read(_HEAD))
            self._format, self.id = int(head["format"]), str(head["id"])
            locked, public = head["locked_key"], str(head["public_key"])
        except FileNotFoundError:
            self.id, self._seal = "", None
            return
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{place.where}/{_HEAD} is damaged ({error}): put back a copy of it; without it nothing there opens"
            raise Damaged(_HEAD, msg) from error
        if self._format != FORMAT:
            msg = f"the backups at {place.where} have format {self._format}, this program knows {FORMAT}: use its own"
            raise DeskError(msg)
        self._seal = _seal(place.where, key, locked, public)

    @property
    def exists(self) -> bool:
        """Whether a backup was ever begun here."""
        return self._seal is not None

    def create(self) -> None:
        """Make it, if it is not there.

        Raises:
            DeskError: The place cannot be written.
        """
        if self.exists:
            return
        self.id, locked = uuid.uuid4().hex, None
        if self._key is None:
            self._seal = Seal()
        elif is_secret_key(self._key):
            self._seal = Seal(self._key)
        else:
            self._seal, secret = Seal.new()
            locked = base64.b64encode(lock_key(secret, self._key)).decode()
        head = {"format": FORMAT, "id": self.id, "public_key": self._seal.public, "locked_key": locked}
        self.place.put(_HEAD, json.dumps(head, indent=1).encode())

    @property
    def seal(self) -> Seal:
        """Seals and opens what lies here."""
        assert self._seal is not None, "create() comes first"
        return self._seal

    def backups(self) -> list[Listed]:
        """Manifests that are there, oldest first."""
        found = [match for name in self.place.names("backups") if (match := _MANIFEST.fullmatch(name))]
        return sorted(Listed(match["id"], match[0]) for match in found)

    def manifest(self, listed: Listed) -> dict[str, Any]:
        """What a backup holds, whole and unaltered.

        Raises:
            Damaged: It is not what its name says.
        """
        match = _MANIFEST.fullmatch(listed.file)
        assert match is not None
        stored = self._read(listed.file)
        if hashlib.sha256(stored).hexdigest()[:16] != match["hash"]:
            msg = f"{self.place.where}/{listed.file} is damaged: its bytes are not those that its name stands for"
            raise Damaged(listed.file, msg)
        try:
            found: dict[str, Any] = json.loads(self.seal.open(stored, f"{self.place.where}/{listed.file}"))
        except (SealBroken, ValueError) as error:
            raise Damaged(listed.file, str(error)) from error
        return found

    def add_manifest(self, number: str, manifest: dict[str, Any]) -> Listed:
        """Make a backup be there."""
        stored = self.seal.close(json.dumps(manifest, separators=(",", ":")).encode())
        digest = hashlib.sha256(stored).hexdigest()
        name = f"backups/{number}.{digest[:16]}.manifest"
        self.place.put(name, stored)
        if self.place.sha256(name) != digest:
            self.place.remove(name)
            msg = f"{self.place.where}/{name} reads back otherwise than it was written, and was removed; try again"
            raise PlaceTrouble(msg)
        return Listed(number, name)

    def know(self, pieces: Iterable[Piece]) -> None:
        """Take pieces for being there: those of a manifest."""
        for piece in pieces:
            self._known.setdefault(piece.content, piece)

    def has(self, entry: dict[str, Any]) -> bool:
        """Whether all pieces of a manifest's entry are known to be there."""
        return all(content in self._known for _, content, _ in entry["pieces"])

    def add(self, content: bytes) -> tuple[Piece, int]:
        """Keep a piece of a file; returns it, and how many bytes were written for it: 0 if it was there."""
        digest = hashlib.sha256(content).hexdigest()
        held = self._known.get(digest)
        if held is not None:
            return held, 0
        stored = self.seal.close(content)
        name = hashlib.sha256(stored).hexdigest()
        file = piece_file(name)
        self.place.put(file, stored)
        if self.place.sha256(file) != name:
            self.place.remove(file)
            msg = f"{self.place.where}/{file} reads back otherwise than it was written, and was removed; try again"
            raise PlaceTrouble(msg)
        piece = Piece(name, digest, len(content))
        self._known[digest] = piece
        return piece, len(stored)

    def get(self, piece: Piece) -> bytes:
        """What a piece holds.

        Raises:
            Damaged: It is not there, or not what its name says.
        """
        file = piece_file(piece.name)
        stored = self._read(file)
        if hashlib.sha256(stored).hexdigest() != piece.name:
            msg = f"{self.place.where}/{file} is damaged: its bytes are not those that its name stands for"
            raise Damaged(file, msg)
        try:
            content = self.seal.open(stored, f"{self.place.where}/{file}")
        except SealBroken as error:
            raise Damaged(file, str(error)) from error
        if len(content) != piece.size or hashlib.sha256(content).hexdigest() != piece.content:
            msg = f"{self.place.where}/{file} holds other bytes than its backup says"
            raise Damaged(file, msg)
        return content

    def check(self, names: Iterable[str], tell: Callable[[], None] = lambda: None) -> Iterator[Damaged]:
        """Pieces, by name, that are missing or are not what their name says; no key is needed."""
        there = set(self.place.names("pieces"))
        for name in names:
            file = piece_file(name)
            if file not in there:
                yield Damaged(file, f"{self.place.where}/{file} is missing")
            else:
                try:
                    whole = self.place.sha256(file) == name
                except FileNotFoundError:
                    whole = False
                if not whole:
                    msg = f"{self.place.where}/{file} is damaged: its bytes are not those that its name stands for"
                    yield Damaged(file, msg)
            tell()

    def remove(self, listed: Listed) -> None:
        """Have a backup be there no longer; its pieces stay until `sweep`."""
        self.place.remove(listed.file)

    def sweep(self, wanted: set[str]) -> int:
        """Remove the pieces that are not among those wanted (by name); returns how many."""
        unwanted = [file for file in self.place.names("pieces") if file.rpartition("/")[2] not in wanted]
        for file in unwanted:
            self.place.remove(file)
        return len(unwanted)

    def _read(self, name: str) -> bytes:
        try:
            return self.place.read(name)
        except FileNotFoundError as error:
            msg = f"{self.place.where}/{name} is missing"
            raise Damaged(name, msg) from error


def piece_file(name: str) -> str:
    """Where a piece lies.

    >>> piece_file("abcd")
    'pieces/ab/abcd'
    """
    return f"pieces/{name[:2]}/{name}"


def _seal(where: str, key: str | None, locked: str | None, public: str) -> Seal:
    if not public:
        if key is not None:
            msg = (
                f"the backups at {where} are not encrypted, and backup.key is set: name another place in backup.to "
                "for encrypted ones, or unset the key"
            )
            raise DeskError(msg)
        return Seal()
    if key is None:
        msg = f"the backups at {where} are encrypted: set POCKETQUANT_BACKUP__KEY to the key that they were made with"
        raise DeskError(msg)
    if locked is not None and not is_secret_key(key):
        seal = Seal(unlock_key(base64.b64decode(locked), key, where))
    elif is_secret_key(key):
        seal = Seal(key)
    else:
        msg = f"the backups at {where} were made with an age secret key, and backup.key is a passphrase: set that key"
        raise DeskError(msg)
    if seal.public != public:
        msg = f"the backups at {where} do not open with this backup.key: they were made with another"
        raise DeskError(msg)
    return seal
