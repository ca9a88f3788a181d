"""What ingest costs, and how soon a trade is in the journal. Prints JSON.

Run: `python benchmarks/ingest.py [--seconds N] [--symbols N]`. The simulated exchange, ingest and this script share the
machine. `latency_ms` is from the exchange's stamp to the moment at which a reader woken by the doorbell has the row;
`cpu_percent` is of one core. `plain_cpu_percent` is the least that anybody pays who takes the same frames with
websockets' `recv` and `json.loads` and keeps nothing.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from infra.folders import Folders
from infra.redis_server import binary
from infra.status import read_status
from market.journal_rows import RowKind
from sinks.ledger import Ledger
from sources.doorbell import DoorbellListener
from sources.journal import JournalReader
from sources.simulated.listing import read_symbols

CASES = {"10000_ticks_1_a_frame": (10_000, 1), "100000_ticks_20_a_frame": (100_000, 20)}
WARM_S = 3.0
PATIENCE_S = 60.0

PLAIN = """
import asyncio, json, sys
from websockets.asyncio.client import connect

async def main(url, names):
    async with connect(url, compression=None, max_size=None) as socket:
        params = {"channel": "trade", "symbol": names, "snapshot": False}
        await socket.send(json.dumps({"method": "subscribe", "params": params}))
        while True:
            json.loads(await socket.recv())

asyncio.run(main(sys.argv[1], sys.argv[2].split(",")))
"""


@contextmanager
def running(*command: str, **options: Any) -> Iterator[psutil.Process]:
    """A process, ended with the block."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def until(found: Callable[[], Any]) -> Any:
    """Look until something is there."""
    deadline = time.monotonic() + PATIENCE_S
    while not (result := found()):
        if time.monotonic() > deadline:
            sys.exit("ingest benchmark: a process did not come up")
        time.sleep(0.02)
    return result


def exchange(stack: ExitStack, folder: Path, rate: int, per_frame: int, symbols: int) -> str:
    """Start an exchange; its address."""
    port = folder / "port"
    given = ["--rate", str(rate), "--symbols", str(symbols), "--per-frame", str(per_frame), "--port-file", str(port)]
    stack.enter_context(running(sys.executable, "-m", "sources.simulated", *given))
    until(lambda: port.is_file() and port.read_text().strip())
    return str(json.loads(port.read_text())["url"])


def cpu_percent(process: psutil.Process, seconds: float, meanwhile: Callable[[float], object] = time.sleep) -> float:
    """CPU of a process while something else goes on, in percent of a core."""
    before, began = process.cpu_times(), time.monotonic()
    meanwhile(seconds)
    after, took = process.cpu_times(), time.monotonic() - began
    return float(round(100 * (after.user + after.system - before.user - before.system) / took, 1))


def measure(rate: int, per_frame: int, symbols: int, seconds: float) -> dict[str, Any]:
    """One case."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pq")))
        folders = Folders(folder / "d").create()
        names = read_symbols(str(symbols))
        url = exchange(stack, folder, rate, per_frame, symbols)
        with Ledger(folders.desk) as ledger, ledger.transaction() as connection:
            connection.executemany(
                "INSERT INTO subscriptions VALUES(?, ?, 'sim', 0, 1, 1)", [tuple(symbol) for symbol in names]
            )
        redis = folder / "r.sock"
        stack.enter_context(running(binary(), "--port", "0", "--unixsocket", str(redis), "--save", ""))
        environ = {**os.environ, "REDIS_URL": f"unix://{redis}", "POCKETQUANT_METRICS_PORT": "0"}
        command = [sys.executable, "-m", "dataflows.ingest", "--data-dir", str(folders.data_dir)]
        listener = stack.enter_context(DoorbellListener(folders.doorbell))
        reader = stack.enter_context(JournalReader(folders.journal))
        process = stack.enter_context(running(*command, "--feed", "sim", "--sim-url", f"{url}/kraken", env=environ))
        until(lambda: (read_status(folders.status_file("ingest")) or {}).get("feeds", [{}])[0].get("ticks", 0) > rate)
        time.sleep(WARM_S)
        latencies: list[int] = []
        counts: list[int] = []
        at = reader.last_seq()

        def follow(span: float) -> None:
            nonlocal at
            end = time.monotonic() + span
            while time.monotonic() < end:
                listener.wait(50)
                listener.answer()
                for row in reader.read(at):
                    at = row.seq
                    if row.kind == RowKind.TICKS:
                        latencies.append(time.time_ns() - int(row.records["event_time"][-1]))
                        counts.append(row.count)

        cpu = cpu_percent(process, seconds, follow)
        status = read_status(folders.status_file("ingest"))
        memory = process.memory_info().rss
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pq")))
        url = exchange(stack, folder, rate, per_frame, symbols)
        venue_names = ",".join(f"{symbol.ticker.removesuffix('USD')}/USD" for symbol in names)
        plain = stack.enter_context(running(sys.executable, "-c", PLAIN, f"{url}/kraken", venue_names))
        time.sleep(WARM_S)
        plain_cpu = cpu_percent(plain, seconds / 2)
    latency_ms = np.array(latencies) / 1e6
    return {
        "ticks_per_s": round(sum(counts) / seconds),
        "ticks_a_row": round(sum(counts) / max(len(counts), 1), 1),
        "cpu_percent": cpu,
        "plain_cpu_percent": plain_cpu,
        "times_plain": round(cpu / max(plain_cpu, 0.1), 2),
        "latency_ms": {
            "p50": round(float(np.percentile(latency_ms, 50)), 3),
            "p99": round(float(np.percentile(latency_ms, 99)), 3),
            "max": round(float(latency_ms.max()), 1),
        },
        "rejects": sum(status["feeds"][0]["rejects"].values()),
        "reconnects": status["feeds"][0]["reconnects"],
        "memory_mb": round(memory / 2**20),
    }


def main() -> None:
    """Measure the cases."""
    parser = argparse.ArgumentParser(description="Measures ingest.")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--symbols", type=int, default=1000)
    options = parser.parse_args()
    cases = {
        name: measure(rate, per_frame, options.symbols, options.seconds) for name, (rate, per_frame) in CASES.items()
    }
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}
    print(json.dumps({"machine": machine, "symbols": options.symbols, "cases": cases}, indent=2))


if __name__ == "__main__":
    main()
