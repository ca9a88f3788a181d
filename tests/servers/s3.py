"""A real S3 server for tests: the one at `S3_ENDPOINT`, or MinIO as a process on loopback, or a skip.

MinIO is taken from the path or from a cache folder outside the project (`$XDG_CACHE_HOME/pocketquant`, else
`~/.cache/pocketquant`), into which `python tests/servers/s3.py` builds it once, with Go, in a minute or two.
`POCKETQUANT_REQUIRE_S3=1` turns the skip into a failure, for machines where it must not go unnoticed.
"""

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
USER, PASSWORD = "pocketquant", "pocketquant-tests"
START_TIMEOUT_S = 60.0
BUILD_TIMEOUT_S = 900


class MissingError(Exception):
    """What the server needs and the machine lacks, in words."""


class S3Server(NamedTuple):
    """How to reach a server."""

    endpoint: str
    access_key: str
    secret_key: str


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server, for the whole run."""
    if endpoint := os.environ.get("S3_ENDPOINT"):
        yield S3Server(endpoint, os.environ.get("S3_ACCESS_KEY", USER), os.environ.get("S3_SECRET_KEY", PASSWORD))
        return
    try:
        binary = find_minio()
    except MissingError as error:
        if os.environ.get("POCKETQUANT_REQUIRE_S3"):
            pytest.fail(f"POCKETQUANT_REQUIRE_S3 is set, and there is no S3 server: {error}")
        pytest.skip(f"no S3 server: {error}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    environ = {**os.environ, "MINIO_ROOT_USER": USER, "MINIO_ROOT_PASSWORD": PASSWORD, "MINIO_BROWSER": "off"}
    folder = tmp_path_factory.mktemp("minio")
    with (folder / "log").open("wb") as log:
        command = [str(binary), "server", str(folder / "data"), "--address", address, "--quiet"]
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
    try:
        _wait(f"http://{address}/minio/health/live", process, folder / "log")
        yield S3Server(f"http://{address}", USER, PASSWORD)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:  # What makes the name is there.
    """An address under which nothing lies yet."""
    return f"s3://test-{uuid.uuid4().hex[:12]}/desk"


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
    msg = f"minio is neither on the path nor at {cached}; `python tests/servers/s3.py` builds it once (needs Go)"
    raise MissingError(msg)


def cache() -> Path:
    """The folder of what tests fetch."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pocketquant"


def build() -> Path:
    """Build the program into the cache, unless it is there; one process at a time."""
    with contextlib.suppress(MissingError):
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


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.05)
    msg = f"MinIO did not answer at {url} within {START_TIMEOUT_S:.0f} s: {log.read_text()[-500:]}"
    raise RuntimeError(msg)


if __name__ == "__main__":
    print(build(), file=sys.stderr)
