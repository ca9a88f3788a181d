"""A desk as the core of history sees it: its settings, and its files and servers, opened when they are first wanted."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from infra.folders import Folders
from infra.settings import Settings
from sinks.bar_store import BarStore, open_store
from sinks.ledger import Ledger
from sinks.places import Place, S3Access, open_place

if TYPE_CHECKING:
    from sinks.parquet_archive import ParquetArchive


class _Closed(Protocol):
    def close(self) -> None: ...


Kept = TypeVar("Kept", bound=_Closed)


class HistoryDesk:
    """What the functions of `history` are given. May be used by several threads; closed once, at the end."""

    def __init__(
        self,
        settings: Settings,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is opened yet.

        Args:
            settings: Of the desk.
            now_ns: The clock; nothing below reads another.
            sleep: Waits, between retries and for the pace.
        """
        self.settings = settings
        self.now_ns = now_ns
        self.sleep = sleep
        self._guard = threading.RLock()
        self._open = ExitStack()
        self._store: BarStore | None = None
        self._ledger: Ledger | None = None
        self._kept: dict[type[Any], Any] = {}

    @property
    def folders(self) -> Folders:
        """Paths of the data folder."""
        return self.settings.folders

    @property
    def store(self) -> BarStore:
        """The bar store.

        Raises:
            DeskError: It cannot be opened.
            StoreAway: It does not answer.
        """
        with self._guard:
            if self._store is None:
                from sinks.query_cache import announced

                self.folders.create()
                where = self.settings.store
                self._store = announced(open_store(where), self.settings.redis, where)
                self._open.callback(self._store.close)
            return self._store

    @property
    def ledger(self) -> Ledger:
        """Gaps, rejects, subscriptions, alerts."""
        with self._guard:
            if self._ledger is None:
                self.folders.create()
                self._ledger = self._open.enter_context(Ledger(self.folders.desk))
            return self._ledger

    def keep(self, kind: type[Kept], make: Callable[[], Kept]) -> Kept:
        """The desk's one object of a kind: made when first wanted, shared by all threads, closed with the desk."""
        with self._guard:
            if kind not in self._kept:
                made = make()
                self._kept[kind] = made
                self._open.callback(made.close)
            found: Kept = self._kept[kind]
            return found

    @property
    def archive_place(self) -> Place:
        """Where the archive is; nothing is made or asked yet."""
        return self.place(self.settings.archive_to, self.folders.archive)

    @property
    def archive(self) -> "ParquetArchive | None":
        """The archive; None where none was ever made."""
        if self.settings.archive_to is None and not self.folders.archive.is_dir():
            return None
        # Takes a third of a second, which is for those who read the archive alone.
        from sinks.parquet_archive import ParquetArchive

        return ParquetArchive(self.archive_place)

    def place(self, address: str | None, folder: Path) -> Place:
        """A place of the settings: at `address`, which may be an S3's, or else the folder.

        Raises:
            DeskError: The address is none.
        """
        backup = self.settings.backup
        access_key, secret_key = (
            None if secret is None else secret.get_secret_value()
            for secret in (backup.s3_access_key, backup.s3_secret_key)
        )
        return open_place(address or folder, S3Access(backup.s3_endpoint, backup.s3_region, access_key, secret_key))

    def close(self) -> None:
        """Close what was opened. Can be called twice."""
        with self._guard:
            self._open.close()
            self._kept.clear()
            self._store = self._ledger = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
