"""Places for files that outlive the desk: a folder, or a bucket of any S3. A file appears there whole or not at all."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from market.errors import DeskError

ASIDE: Final = "aside"
"""Folder of files that are being written; no other file of a place is ever half written."""

CONNECT_S: Final = 5.0
REQUEST_S: Final = 60.0
TRIES: Final = 4
"""Of each request to an S3, with its library's own pauses in between."""

_PIECE: Final = 8 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class PlaceTrouble(DeskError):  # noqa: N818  (named for what it is: the world's trouble, not a defect)
    """A place that cannot be read or written now."""


@dataclass(frozen=True, slots=True)
class S3Access:
    """How to reach an S3; what is None is found by its library (environment variables, the machine's role)."""

    endpoint: str | None = None
    """With its scheme, of an S3 that is not Amazon's: `http://127.0.0.1:9000`."""
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None


class Place(Protocol):
    """Named files. A name is a relative path with `/`; every method may raise `PlaceTrouble`."""

    @property
    def where(self) -> str:
        """The place as a user knows it."""
        ...

    def local(self, name: str) -> Path | None:
        """The file's path, if the place is a folder of this machine."""
        ...

    def writing(self, name: str) -> Any:
        """A context manager with a path to write to; what is there when the block ends well becomes the file `name`.

        It replaces an older one. When the block ends with an error nothing has changed.
        """
        ...

    def put(self, name: str, content: bytes) -> None:
        """Make or replace a small file."""
        ...

    def read(self, name: str) -> bytes:
        """The whole file.

        Raises:
            FileNotFoundError: It is not there.
        """
        ...

    def sha256(self, name: str) -> str:
        """Hash of the file as it can be read back, in hex.

        Raises:
            FileNotFoundError: It is not there.
        """
        ...

    def names(self, folder: str) -> list[str]:
        """Files in a folder and below it, sorted; none where there is no such folder."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; none is no error."""
        ...


def open_place(address: str | Path, access: S3Access | None = None) -> Place:
    """The place at an address; nothing is made or asked yet.

    Args:
        address: `s3://bucket/prefix`, or a folder.
        access: To an S3.

    Raises:
        DeskError: The address is no S3 address though it begins like one.
    """
    text = str(address)
    if text.startswith("s3://"):
        return S3Place(text, access or S3Access())
    if "://" in text:
        msg = f"{text!r} is neither a folder nor an s3://bucket/prefix; name one of these"
        raise DeskError(msg)
    return FolderPlace(Path(text).expanduser().absolute())


class FolderPlace:
    """A folder. A new file is written in `aside` within it, synced to the disk and renamed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def where(self) -> str:
        """The folder's path."""
        return str(self.folder)

    def local(self, name: str) -> Path | None:
        """See `Place.local`."""
        return self.folder / name

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """See `Place.writing`."""
        target = self.folder / name
        path = self.folder / ASIDE / f"{os.getpid()}-{name.replace('/', '-')}"
        with trouble(self.where):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with trouble(self.where):
                yield path
                sync(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
                sync(target.parent)
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def put(self, name: str, content: bytes) -> None:
        """See `Place.put`."""
        with self.writing(name) as path:
            path.write_bytes(content)

    def read(self, name: str) -> bytes:
        """See `Place.read`."""
        with trouble(self.where):
            return (self.folder / name).read_bytes()

    def sha256(self, name: str) -> str:
        """See `Place.sha256`."""
        with trouble(self.where):
            return sha256_of(self.folder / name)

    def names(self, folder: str) -> list[str]:
        """See `Place.names`."""
        with trouble(self.where):
            found = (self.folder / folder).rglob("*")
            return sorted(path.relative_to(self.folder).as_posix() for path in found if path.is_file())

    def remove(self, name: str) -> None:
        """See `Place.remove`; folders that become empty go too."""
        path = self.folder / name
        with trouble(self.where):
            path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.folder:
                break
            # Not empty, as a rule.
            with suppress(OSError):
                folder.rmdir()


class S3Place:
    """A bucket, or what lies under a prefix of one. An object appears when its upload is complete."""

    def __init__(self, address: str, access: S3Access) -> None:
        """Prepare to ask it.

        Args:
            address: `s3://bucket/prefix`.
            access: How to reach it.

        Raises:
            DeskError: The address names no bucket.
        """
        bucket, _, prefix = address.removeprefix("s3://").strip("/").partition("/")
        if not bucket:
            msg = f"{address!r} names no bucket; it is to be s3://bucket or s3://bucket/prefix"
            raise DeskError(msg)
        self._root = f"{bucket}/{prefix}".rstrip("/")
        self._access = access
        self._opened: Any = None
        self._has_bucket = False

    @property
    def where(self) -> str:
        """The address."""
        return f"s3://{self._root}"

    def local(self, name: str) -> Path | None:  # noqa: ARG002  # The port's.
        """See `Place.local`."""
        return None

    @contextmanager
    def writing(self, name: str) -> Iterator[Path]:
        """See `Place.writing`: written on this machine, uploaded, and read back before it counts."""
        with tempfile.TemporaryDirectory(prefix="pocketquant-") as folder:
            path = Path(folder) / quote(name, safe="")
            with trouble(folder):
                yield path
            with trouble(self.where), path.open("rb") as source, self._sink(name) as sink:
                shutil.copyfileobj(source, sink, _PIECE)
            expected = sha256_of(path)
        if self.sha256(name) != expected:
            self.remove(name)
            msg = f"{self.where}/{name} reads back otherwise than it was written, and was removed; try again"
            raise PlaceTrouble(msg)

    def put(self, name: str, content: bytes) -> None:
        """See `Place.put`."""
        with trouble(self.where), self._sink(name) as sink:
            sink.write(content)

    def read(self, name: str) -> bytes:
        """See `Place.read`."""
        with trouble(self.where), self._s3().open_input_stream(self._at(name)) as stream:
            content: bytes = stream.read()
            return content

    def sha256(self, name: str) -> str:
        """See `Place.sha256`."""
        digest = hashlib.sha256()
        with trouble(self.where), self._s3().open_input_stream(self._at(name)) as stream:
            while piece := stream.read(_PIECE):
                digest.update(piece)
        return digest.hexdigest()

    def names(self, folder: str) -> list[str]:
        """See `Place.names`."""
        from pyarrow.fs import FileSelector, FileType

        chosen = FileSelector(self._at(folder), allow_not_found=True, recursive=True)
        with trouble(self.where):
            found = self._s3().get_file_info(chosen)
        return sorted(one.path.removeprefix(f"{self._root}/") for one in found if one.type == FileType.File)

    def remove(self, name: str) -> None:
        """See `Place.remove`."""
        with suppress(FileNotFoundError), trouble(self.where):
            self._s3().delete_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _sink(self, name: str) -> Any:
        """A stream to a new object; the first one makes the bucket, if there is none."""
        client = self._s3()
        if not self._has_bucket:
            from pyarrow.fs import FileType

            bucket = self._root.partition("/")[0]
            if client.get_file_info(bucket).type == FileType.NotFound:
                client.create_dir(bucket)
            self._has_bucket = True
        return client.open_output_stream(self._at(name))

    def _s3(self) -> Any:
        """The client; made at the first call, since importing it takes a while."""
        if self._opened is None:
            from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

            access = self._access
            scheme, _, host = (access.endpoint or "").rpartition("://")
            with trouble(self.where):
                self._opened = S3FileSystem(
                    access_key=access.access_key,
                    secret_key=access.secret_key,
                    region=access.region or ("us-east-1" if host else None),
                    endpoint_override=host or None,
                    scheme=scheme or "https",
                    connect_timeout=CONNECT_S,
                    request_timeout=REQUEST_S,
                    retry_strategy=AwsStandardS3RetryStrategy(max_attempts=TRIES),
                    allow_bucket_creation=True,
                )
        return self._opened


@contextmanager
def trouble(where: str) -> Iterator[None]:
    """Turn the system's and S3's errors into sentences; a file that is not there stays `FileNotFoundError`.

    Raises:
        PlaceTrouble: The disk is full, or the place cannot be used.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            msg = f"{where}: the disk is full; make room and try again, what was there is untouched"
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            msg = f"{where} cannot be used: {error.strerror or error}; mend its permissions or name another place"
        else:
            text = " ".join(str(error).split())
            msg = f"{where} cannot be used now: {text}; see that it can be reached, then try again"
        raise PlaceTrouble(msg) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Have the disk hold all of a file, or a folder's names."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
