"""MinIO, a real S3 server: found, or built once with Go into a cache folder outside the project.

`python tests/servers/minio.py` builds it; any Python 3.11 does, nothing need be installed. The folder is
`$XDG_CACHE_HOME/pocketquant`, else `~/.cache/pocketquant`.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
BUILD_TIMEOUT_S = 900


class MissingError(Exception):
    """What the server needs and the machine lacks, in words."""


def find_minio() -> Path:
    """The program.

    Raises:
        MissingError: It is neither on the path nor in the cache.
    """
    found = shutil.which("minio")
    if found:
        return Path(found)
    cached = cache() / "minio"
    if cached.is_file():
        return cached
    msg = f"minio is neither on the path nor at {cached}; `python tests/servers/minio.py` builds it once (needs Go)"
    raise MissingError(msg)


def cache() -> Path:
    """The folder of what tests fetch."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pocketquant"


def build() -> Path:
    """Build the program into the cache, unless it is there; one process at a time."""
    with suppress(MissingError):
        return find_minio()
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "minio.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "minio").is_file():
            aside = folder / "minio.building"
            environ = {**os.environ, "GOBIN": str(aside)}
            subprocess.run(["go", "install", MODULE], env=environ, check=True, timeout=BUILD_TIMEOUT_S)
            (aside / "minio").rename(folder / "minio")
            shutil.rmtree(aside)
    return folder / "minio"


if __name__ == "__main__":
    print(build(), file=sys.stderr)
