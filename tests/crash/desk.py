"""A whole desk as a user starts it, on a simulated exchange of the test's own, and the means to kill any part of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from sources.simulated.client import get, truth_ticks

HOUSE = Path(__file__).resolve().parents[2]
PQ = (sys.executable, "-m", "pocketquant")


def until(what: str, holds: Callable[[], Any], deadline_s: float = 60.0) -> Any:
    """Poll until `holds()` is true and return it; fail with `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            msg = f"not within {deadline_s:.0f} s: {what}"
            raise AssertionError(msg)
        time.sleep(0.05)  # A poll with a deadline, not a guess at how long something takes.


class SimulatedExchange:
    """`python -m sources.simulated` as a process that outlives every desk of the test."""

    def __init__(self, folder: Path, *, rate: int, symbols: int, seed: int) -> None:
        port_file = folder / "port.json"
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "sources.simulated", "--port", "0", "--port-file", str(port_file),
                "--rate", str(rate), "--symbols", str(symbols), "--seed", str(seed), "--data-dir", str(folder),
            ],
            cwd=HOUSE,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "simulated.log").open("wb"),
        )  # fmt: skip
        self.port = int(json.loads(until("the simulated exchange listens", lambda: _text(port_file)))["port"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    @property
    def url(self) -> str:
        """WebSocket address of the trade feed."""
        return f"ws://127.0.0.1:{self.port}/kraken"

    @property
    def symbols(self) -> list[str]:
        """What it trades."""
        return sorted(get(self.url.removesuffix("/kraken"), "/truth/summary")["symbols"])

    def sent_ids(self, symbol: str) -> set[int]:
        """Ids of all trades of a symbol that were handed to anyone's socket."""
        made = truth_ticks(self.url.removesuffix("/kraken"), symbol)
        return set(made["trade_id"][made["sent"] != 0].tolist())


class Desk:
    """`pq up` on one data folder."""

    def __init__(self, folder: Path, exchange: SimulatedExchange, symbols: list[str], **environ: str) -> None:
        self.folder = folder
        self._environ = {
            **os.environ,
            "POCKETQUANT_SIMULATED__URL": exchange.url,
            "POCKETQUANT_SYMBOLS": ",".join(symbols),
            "POCKETQUANT_METRICS_PORT": "0",
            **environ,
        }
        self._up: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """`pq up`, until ingest and bars run."""
        self._up = subprocess.Popen(
            [*PQ, "up", "--feed", "sim", "--without", "flows", "--data-dir", str(self.folder)],
            cwd=HOUSE,
            env=self._environ,
            stdout=(self.folder.parent / "up.out").open("ab"),
            stderr=subprocess.STDOUT,
        )
        until("ingest, bars and redis run", lambda: {"ingest", "bars", "redis"} <= set(self.pids()))

    def run(self, *arguments: str) -> str:
        """What `pq ...` prints; its failure fails the test."""
        ran = subprocess.run(
            [*PQ, *arguments, "--data-dir", str(self.folder)],
            cwd=HOUSE,
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"pq {' '.join(arguments)}: exit {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout

    def json(self, *arguments: str) -> Any:
        """`pq ... --json`."""
        return json.loads(self.run(*arguments, "--json"))

    def pids(self) -> dict[str, int]:
        """Pid by name of the processes that are running, as the supervisor's own file says (cheaper than `pq`)."""
        with suppress(OSError, ValueError):
            status = json.loads((self.folder / "run" / "supervisor.json").read_text())
            return {p["name"]: p["pid"] for p in status["processes"] if p["state"] == "running" and _alive(p["pid"])}
        return {}

    def kill(self, victim: str) -> None:
        """`kill -9` one process, or `all` with the supervisor first, and wait until it is there again."""
        before = self.pids()
        if victim != "all":
            os.kill(before[victim], signal.SIGKILL)
            until(f"{victim} is restarted", lambda: self.pids().get(victim, before[victim]) != before[victim])
            return
        assert self._up is not None
        self._up.kill()
        self._up.wait()
        for pid in before.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until("nothing outlives the supervisor", lambda: not any(_alive(pid) for pid in before.values()))
        self.start()

    def stop(self) -> None:
        """`pq down`: SIGTERM, in order."""
        assert self._up is not None
        self.run("down")
        assert self._up.wait(60) == 0


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text()
    return ""
