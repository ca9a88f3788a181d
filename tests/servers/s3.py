"""A real S3 server for tests: the one at `S3_ENDPOINT`, or MinIO as a process on loopback, or a skip.

See `servers.minio` for where that is from; to build it takes a minute or two, once. `POCKETQUANT_REQUIRE_S3=1` turns
the skip into a failure, for machines where it must not go unnoticed.
"""

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from servers.minio import MissingError, find_minio

USER, PASSWORD = "pocketquant", "pocketquant-tests"
START_TIMEOUT_S = 60.0


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
        # Alive it is before it takes requests.
        for health in ("live", "cluster"):
            _wait(f"http://{address}/minio/health/{health}", process, folder / "log")
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


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.05)
    msg = f"MinIO did not answer at {url} within {START_TIMEOUT_S:.0f} s: {log.read_text()[-500:]}"
    raise RuntimeError(msg)
