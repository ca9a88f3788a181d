"""A whole desk to measure: the simulated exchange and `pq up`, each in processes of their own, as a user runs them."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from infra.folders import Folders
from infra.status import read_status
from market.symbols import Symbol
from sinks.ledger import Ledger

ROOT = Path(__file__).parents[1]
PATIENCE_S = 90.0


def until(found: Callable[[], Any], what: str) -> Any:
    """Look until something is there."""
    deadline = time.monotonic() + PATIENCE_S
    while not (result := found()):
        if time.monotonic() > deadline:
            sys.exit(f"{Path(sys.argv[0]).name}: {what} within {PATIENCE_S:.0f} s")
        time.sleep(0.02)
    return result


@contextmanager
def process(command: Sequence[str], stop_s: float, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that gets SIGTERM at the end of the block, and SIGKILL if that does not end it."""
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **environ}
    ) as child:
        try:
            yield child
        finally:
            end(child, stop_s)


def end(child: subprocess.Popen[bytes], stop_s: float) -> None:
    """End a process by SIGTERM, or by SIGKILL where that does not do."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(stop_s)
        except subprocess.TimeoutExpired:
            child.kill()


class Exchange:
    """The simulated exchange, whose truth stays readable after it has ended."""

    def __init__(self, stack: ExitStack, folder: Path, **options: float) -> None:
        """Start it.

        Args:
            stack: Ends it.
            folder: For its truth.
            options: Of its command line: `rate=10_000` for `--rate 10000`.
        """
        port = folder / "port"
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        words += ["--port-file", str(port), "--data-dir", str(folder)]
        self.truth = folder / "simulated"
        self.child = stack.enter_context(process([sys.executable, "-m", "sources.simulated", *words], 20))
        until(lambda: port.is_file() and port.read_text().strip(), "the exchange does not listen")
        self.url = str(json.loads(port.read_text())["url"])

    def stop(self) -> None:
        """End it; what it has sent arrives all the same."""
        end(self.child, 20)


class Desk:
    """`pq up` on a data folder of its own."""

    def __init__(
        self,
        stack: ExitStack,
        data_dir: Path,
        symbols: Sequence[Symbol],
        url: str | None,
        *,
        flows: bool = False,
        **env: str,
    ) -> None:
        """Start it and wait until ticks flow.

        Args:
            stack: Ends it.
            data_dir: A new folder.
            symbols: Subscribed from the start; none leaves that to the desk.
            url: Of the exchange; None lets the desk start its own.
            flows: Whether Prefect's server and the flows run, too.
            env: Further environment variables.
        """
        self.folders = Folders(data_dir).create()
        if symbols:
            with Ledger(self.folders.desk) as ledger, ledger.transaction() as connection:
                connection.executemany(
                    "INSERT INTO subscriptions VALUES(?, ?, 'sim', 0, 1, 1)", [tuple(symbol) for symbol in symbols]
                )
        environ = {"POCKETQUANT_METRICS_PORT": "0", **env}
        if url is not None:
            environ["POCKETQUANT_SIMULATED__URL"] = f"{url}/kraken"
        command = [sys.executable, "-m", "pocketquant", "up", "--feed", "sim", "--plain", "--data-dir", str(data_dir)]
        command += [] if flows else ["--without", "flows"]
        self.child = stack.enter_context(process(command, 60, **environ))
        until(lambda: self.status("ingest").get("feeds", [{}])[0].get("ticks"), "no tick comes")
        until(lambda: self.status("bars").get("ticks"), "no bar is made")
        if flows:
            until(lambda: self.status("flows"), "the flows are not served")

    def status(self, name: str) -> dict[str, Any]:
        """What a process says of itself."""
        return read_status(self.folders.status_file(name)) or {}

    def processes(self) -> dict[str, psutil.Process]:
        """All of its processes by name, the supervisor among them."""
        children = {child["name"]: child["pid"] for child in self.status("supervisor")["processes"]}
        return {name: psutil.Process(pid) for name, pid in {"supervisor": self.child.pid, **children}.items()}

    def stop(self) -> None:
        """End it as Ctrl-C would."""
        end(self.child, 60)


class CpuMeter:
    """CPU of processes between two moments, in percent of a core, and how long they waited for one."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        """Begin to count."""
        self._processes = processes
        self._began = time.monotonic()
        self._before = {name: (_cpu_s(one), _queued_s(one)) for name, one in processes.items()}

    def percent(self) -> dict[str, dict[str, float]]:
        """`cpu_percent` by process and for `all`; `queued_percent`: their threads were ready to run and had no core."""
        took = time.monotonic() - self._began
        now = {name: (_cpu_s(one), _queued_s(one)) for name, one in self._processes.items()}
        found = {}
        for place, title in enumerate(("cpu_percent", "queued_percent")):
            used = {name: 100 * (now[name][place] - before[place]) / took for name, before in self._before.items()}
            found[title] = {name: round(value, 1) for name, value in {**used, "all": sum(used.values())}.items()}
        return found


def _cpu_s(one: psutil.Process) -> float:
    times = one.cpu_times()
    return float(times.user + times.system)


def _queued_s(one: psutil.Process) -> float:
    # Threads that have ended meanwhile are not counted: none of the busy ones does.
    threads = Path(f"/proc/{one.pid}/task").glob("*/schedstat")
    return sum(int((_text(thread).split() or ["0", "0"])[1]) for thread in threads) / 1e9


def memory_mb(processes: dict[str, psutil.Process]) -> dict[str, float]:
    """Resident memory by process, and `all`; pages that two share count twice."""
    held = {name: one.memory_info().rss / 2**20 for name, one in processes.items()}
    return {name: round(value, 1) for name, value in {**held, "all": sum(held.values())}.items()}


def machine() -> dict[str, Any]:
    """Where and on what the figures were taken, and how busy the machine was with other things."""
    cpu = next((line for line in _text("/proc/cpuinfo").splitlines() if line.startswith("model name")), ":unknown")
    describe = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False)
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
        "load_before": os.getloadavg()[0],
    }


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
