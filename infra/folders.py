"""Where everything of one desk lives: the layout of its data folder."""

import os
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import Final

from market.errors import DeskError

SOCKET_PATH_MAX: Final = 100
"""Bytes. The kernel takes 108 on Linux and 104 on macOS, its closing NUL included."""

_LONGEST_SOCKET = "doorbell-ingest.sock"


class Folders:
    """The paths of one data folder. Nothing is created or touched until `create`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = Path(os.path.abspath(Path(data_dir).expanduser()))  # noqa: PTH100  # resolve() follows symlinks, and a moved link must not move the desk.
        self.journal = self.data_dir / "journal"
        self.bars = self.data_dir / "bars.sqlite"
        self.desk = self.data_dir / "desk.sqlite"
        self.history = self.data_dir / "history.sqlite"
        self.paper = self.data_dir / "paper.sqlite"
        self.archive = self.data_dir / "archive"
        self.backups = self.data_dir / "backups"
        self.prefect = self.data_dir / "prefect"
        self.cache = self.data_dir / "cache"
        self.recovery = self.data_dir / "recovery"
        self.recovery_bars = self.recovery / "bars"
        self.recovery_paper = self.recovery / "paper"
        self.run = self.data_dir / "run"
        self.logs = self.data_dir / "logs"
        self.strategies = self.data_dir / "strategies"
        self.loops = self.cache / "loops"
        self.runs = self.data_dir / "runs"
        self.config = self.data_dir / "pocketquant.toml"
        self.pid_file = self.run / "supervisor.pid"
        self.simulated_url = self.run / "simulated.url"

    @property
    def sockets(self) -> Path:
        """Folder of the Unix sockets: `run`, or a short one of this user's where that path would be too long.

        A function of the data folder's path alone, so that every process of a desk finds the same one.
        """
        if len(os.fsencode(self.run / _LONGEST_SOCKET)) <= SOCKET_PATH_MAX:
            return self.run
        name = blake2b(os.fsencode(self.data_dir), digest_size=6).hexdigest()
        return Path(tempfile.gettempdir()) / f"pocketquant-{os.getuid()}-{name}"

    @property
    def redis_socket(self) -> Path:
        """Socket of the Redis that `pq up` starts."""
        return self.sockets / "redis.sock"

    @property
    def doorbell(self) -> Path:
        """Datagram socket that the bars dataflow binds, and ingest rings after each journal row."""
        return self.sockets / "doorbell.sock"

    @property
    def doorbell_paper(self) -> Path:
        """Datagram socket that the paper dataflow binds; ingest rings it likewise, and bars after each write."""
        return self.sockets / "doorbell-paper.sock"

    def status_file(self, process: str) -> Path:
        """JSON in which a process says how it is; see `infra.status`."""
        return self.run / f"{process}.json"

    def log_file(self, process: str) -> Path:
        """JSON lines of a process; what it prints goes to `<process>.err.log` beside it."""
        return self.logs / f"{process}.log"

    def exists(self) -> bool:
        """Whether this is the data folder of a desk: one in which a journal, a store or a ledger was ever made."""
        return any(path.exists() for path in (self.journal, self.bars, self.desk, self.run))

    def require(self) -> "Folders":
        """Return self.

        Raises:
            DeskError: No desk ever ran in this folder; nothing is created.
        """
        if not self.data_dir.exists():
            msg = f"data folder {self.data_dir} does not exist: name another with --data-dir, or start one with `pq up`"
            raise DeskError(msg)
        if not self.data_dir.is_dir():
            msg = f"data folder {self.data_dir} is a file: name a folder with --data-dir"
            raise DeskError(msg)
        if not self.exists():
            msg = (
                f"data folder {self.data_dir} holds no desk (no journal, bars.sqlite or desk.sqlite): "
                "name another with --data-dir, or start one with `pq up`"
            )
            raise DeskError(msg)
        return self

    def create(self) -> "Folders":
        """Make the folders that are missing, for this user only where they hold sockets, and return self.

        Raises:
            DeskError: One cannot be made, or the folder of the sockets belongs to someone else.
        """
        try:
            for folder in (self.data_dir, self.journal, self.recovery_bars, self.run, self.logs):
                folder.mkdir(parents=True, exist_ok=True)
            self.sockets.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            msg = (
                f"data folder {self.data_dir} cannot be written: {error.strerror or error} ({error.filename}); "
                "free space, mend its permissions, or name another with --data-dir"
            )
            raise DeskError(msg) from error
        if not os.access(self.data_dir, os.W_OK | os.X_OK):
            msg = (
                f"data folder {self.data_dir} is read-only for this user: "
                "mend its permissions, or name another with --data-dir"
            )
            raise DeskError(msg)
        self._check_sockets()
        return self

    def _check_sockets(self) -> None:
        """Refuse a folder of sockets in the shared temporary folder that another user laid there first."""
        sockets = self.sockets
        if sockets == self.run:
            return
        found = sockets.lstat()
        if sockets.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
            msg = f"folder {sockets} for sockets is not this user's alone: remove it, or use a shorter data folder"
            raise DeskError(msg)
