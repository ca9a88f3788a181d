"""A server that speaks MongoDB's protocol, for tests: the one at `MONGODB_URI`, or mongo-java-server, or a skip.

The server of our own is a process on loopback, made of jars that Maven fetches once into a cache folder outside the
project (`$XDG_CACHE_HOME/pocketquant`, else `~/.cache/pocketquant`). `POCKETQUANT_REQUIRE_MONGO=1` turns the skip into
a failure, for machines where it must not go unnoticed.
"""

import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from pymongo import MongoClient

JAVA = Path(__file__).parent / "mongo_java"
START_TIMEOUT_S = 60.0


class MissingError(Exception):
    """What the server needs and the machine lacks, in words."""


class MongoServer:
    """One server process on a port of its own, which keeps its port and, with a file, its data over restarts."""

    def __init__(self, jars: Path, data: Path | None = None) -> None:
        """Prepare a server.

        Args:
            jars: Folder from `fetch_jars`.
            data: File that keeps the data; `None` keeps it in memory.
        """
        self._jars = jars
        self._data = data
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def uri(self) -> str:
        """Its address, without a database."""
        return f"mongodb://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it listens."""
        assert self._process is None, "the server runs already"
        # A small heap and the serial collector: it shares two cores with what is tested.
        command = ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", f"{self._jars}/*"]
        command += [str(JAVA / "Main.java"), str(self.port), "mem" if self._data is None else str(self._data)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT_S)
        line = self._process.stdout.readline() if ready else b""
        if line.strip() != b"ready":
            self.stop()
            msg = (
                f"mongo-java-server did not start on port {self.port} within {START_TIMEOUT_S:.0f} s; it said {line!r}"
            )
            raise RuntimeError(msg)
        return self

    def stop(self) -> None:
        """End it, so that a file keeps all that was written. Data in memory is gone."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process = None

    def pause(self) -> None:
        """Freeze it: it keeps its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def fetch_jars() -> Path:
    """Folder of the server's jars, fetched if they are not there yet.

    Raises:
        MissingError: Java or Maven is missing, or Maven cannot fetch them.
    """
    if shutil.which("java") is None:
        msg = "no java on the path (Java 17 or later)"
        raise MissingError(msg)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pocketquant"
    pom = (JAVA / "pom.xml").read_bytes()
    folder = cache / f"mongo-java-server-{uuid.uuid5(uuid.NAMESPACE_OID, pom.decode()).hex[:8]}"
    if folder.is_dir():
        return folder
    if shutil.which("mvn") is None:
        msg = f"no mvn on the path (Maven), to fetch mongo-java-server into {folder}"
        raise MissingError(msg)
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "mongo-java-server.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        aside = cache / f"{folder.name}.part"
        command = ["mvn", "-q", "-B", "-f", str(JAVA / "pom.xml"), "dependency:copy-dependencies"]
        done = subprocess.run(
            [*command, f"-DoutputDirectory={aside}"], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            said = (done.stdout + done.stderr).strip().splitlines()[:1]
            msg = f"Maven cannot fetch mongo-java-server: {said}"
            raise MissingError(msg)
        aside.rename(folder)
    return folder


def skip_without(reason: str) -> None:
    """Skip the test, or fail it where MongoDB is required."""
    text = f"no MongoDB server for this test: {reason}; MONGODB_URI names one that runs"
    if os.environ.get("POCKETQUANT_REQUIRE_MONGO") == "1":
        pytest.fail(text)
    pytest.skip(text)


@pytest.fixture(scope="session")
def mongo_jars() -> Path:
    """Jars of mongo-java-server, for tests that start, freeze and restart servers of their own."""
    try:
        return fetch_jars()
    except MissingError as missing:
        skip_without(str(missing))
        raise


@pytest.fixture(scope="session")
def mongo_address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a running server, without a database: the user's, or one for this run."""
    given = os.environ.get("MONGODB_URI")
    if given:
        yield given
        return
    with MongoServer(request.getfixturevalue("mongo_jars")) as server:
        yield server.uri


@pytest.fixture
def mongo_uri(mongo_address: str) -> Iterator[str]:
    """Address of a database that is this test's own and is dropped after it."""
    name = f"pocketquant_test_{uuid.uuid4().hex[:12]}"
    base, _, options = mongo_address.partition("?")
    scheme, _, rest = base.partition("://")
    host = rest.partition("/")[0]
    # A user who is known to the database in the address is still looked up there.
    options = options or (f"authSource={rest.partition('/')[2] or 'admin'}" if "@" in host else "")
    uri = f"{scheme}://{host}/{name}{'?' if options else ''}{options}"
    yield uri
    client: MongoClient[dict[str, object]] = MongoClient(uri)
    client.drop_database(name)
    client.close()
