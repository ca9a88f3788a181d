"""What a desk costs that has little to do, and what it holds in memory, at first and after an hour. Prints JSON.

Run: `python benchmarks/idle.py [--seconds N] [--no-hour] [--only CASE]`.

- `default` and `one_tick_a_second`: `pq up --feed sim` as a user starts it, with the simulated exchange of 50 ticks a
  second (which is part of it) or of one; CPU of all its processes, in percent of a core.
- `flows`: the same with Prefect's server and the flows, which the two before are without; their memory, their CPU while
  nothing is due, and that of one run, from its submission to its end.
- `hour`: the bars dataflow, with Redis, reads an hour of 1,000 symbols at 1,000 ticks a second which is journaled while
  it reads, sixty times as fast as it would come; resident memory every simulated two minutes, and the slope of a line
  through the second half. What ingest holds in the same number of ticks is in `live.py`'s second case, where as many
  come in 36 seconds; its memory there is that of all processes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from running_desk import CpuMeter, Desk, machine, memory_mb, process, until

from infra.folders import Folders
from infra.redis_server import answers, binary
from infra.status import read_status
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.ticks import ALWAYS, MARK, TICK, Batch, MarkKind
from pocketquant.processes import free_port
from sinks.doorbell import Doorbell
from sinks.journal import JournalWriter
from sources.simulated.listing import read_symbols

SYMBOLS = 1000
TICKS_PER_S = 1000
ROWS_PER_S = 100
SPEED = 60
HOUR_S = 3600
SETTLE_S = 8.0


def idle(seconds: float, **env: str) -> dict[str, Any]:
    """One desk with little to do."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pq")))
        desk = Desk(stack, folder / "d", [], None, **env)
        time.sleep(SETTLE_S)
        processes = desk.processes()
        meter = CpuMeter(processes)
        time.sleep(seconds)
        return {**meter.percent(), "memory_mb": memory_mb(processes)}


def flows(seconds: float) -> dict[str, Any]:
    """A desk with its flows, of which none is due, and then one is run."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pq")))
        desk = Desk(stack, folder / "d", [], None, flows=True, POCKETQUANT_FLOWS__PORT=str(free_port()))
        # What was just put into the tables is looked at by the scheduler first.
        time.sleep(3 * SETTLE_S)
        all_of_it = desk.processes()
        processes = {name: all_of_it[name] for name in ("prefect", "flows")}
        meter = CpuMeter(processes)
        time.sleep(seconds)
        report = {**meter.percent(), "memory_mb": memory_mb(processes), "memory_of_all_mb": memory_mb(all_of_it)["all"]}
        http = stack.enter_context(httpx.Client(base_url=f"{desk.status('prefect')['url']}/api", timeout=30))
        watch = http.get("/deployments/name/watch/watch").json()["id"]
        began = time.monotonic()
        run = http.post(f"/deployments/{watch}/create_flow_run", json={}).json()["id"]
        until(lambda: http.get(f"/flow_runs/{run}").json()["state_type"] == "COMPLETED", "the run does not end")
        return {**report, "one_run_s": round(time.monotonic() - began, 1)}


def second(number: int, began: int, rng: np.random.Generator, prices: Any) -> Iterator[tuple[RowKind, int, Batch]]:
    """The rows of one simulated second."""
    step = 1_000_000_000 // TICKS_PER_S
    per_row = TICKS_PER_S // ROWS_PER_S
    ticks = np.zeros(TICKS_PER_S, TICK)
    place = np.arange(TICKS_PER_S)
    ticks["event_time"] = began + number * 1_000_000_000 + place * step
    ticks["stream"] = rng.integers(0, SYMBOLS, TICKS_PER_S)
    ticks["price"] = np.round(prices[ticks["stream"]] * (1 + rng.normal(0, 1e-4, TICKS_PER_S)), 2)
    ticks["size"], ticks["count"] = 1.0, 1
    ticks["trade_id"] = number * TICKS_PER_S + place
    ticks["received_time"] = ticks["event_time"] + 200_000
    for row in np.split(ticks, TICKS_PER_S // per_row):
        yield RowKind.TICKS, 0, row


def hour() -> dict[str, Any]:
    """An hour of ticks through the bars dataflow."""
    rng = np.random.default_rng(1)
    prices = rng.uniform(10, 1000, SYMBOLS)
    began = (time.time_ns() // (HOUR_S * 10**9) - 2) * HOUR_S * 10**9
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pq")))
        folders = Folders(folder / "d").create()
        redis = folder / "r.sock"
        command = [binary(), "--port", "0", "--unixsocket", str(redis), "--save", "", "--dir", str(folder)]
        server = stack.enter_context(process(command, 5))
        until(lambda: answers(redis), "Redis does not answer")
        writer = stack.enter_context(JournalWriter(folders.journal, time.time_ns))
        places = [writer.stream("sim", name, FeedKind.TRADES, 0).id for name in read_symbols(str(SYMBOLS))]
        marks = np.zeros(2 * SYMBOLS, MARK)
        marks["time"] = marks["end"] = began
        marks["start"] = ALWAYS
        marks["kind"] = np.repeat([MarkKind.SUBSCRIBED, MarkKind.DESIGNATED], SYMBOLS)
        marks["stream"] = np.tile(places, 2)
        writer.append(RowKind.MARKS, 0, marks)
        child = stack.enter_context(
            process(
                [sys.executable, "-m", "dataflows.bars", "--data-dir", str(folders.data_dir)],
                30,
                REDIS_URL=f"unix://{redis}",
                POCKETQUANT_METRICS_PORT="0",
            )
        )
        status = folders.status_file("bars")
        until(lambda: (read_status(status) or {}).get("journal", {}).get("seq"), "the bars do not start")
        processes = {"bars": psutil.Process(child.pid), "redis": psutil.Process(server.pid)}
        bell = stack.enter_context(Doorbell(folders.doorbell))
        samples = []
        start = time.monotonic()
        for number in range(HOUR_S):
            bell.ring(writer.append_many(second(number, began, rng, prices)))
            if number % 120 == 0:
                samples.append((number / 60, memory_mb(processes)["all"]))
            time.sleep(max(0.0, start + (number + 1) / SPEED - time.monotonic()))
        until(lambda: (read_status(status) or {})["journal"]["lag_rows"] == 0, "the bars do not catch up")
        last = memory_mb(processes)
        samples.append((60.0, last["all"]))
        made = read_status(status) or {}
    half = np.array([sample for sample in samples if sample[0] >= 30])
    slope = float(np.polyfit(half[:, 0], half[:, 1], 1)[0]) * 60
    return {
        "took_s": round(time.monotonic() - start),
        "ticks": HOUR_S * TICKS_PER_S,
        "minute_bars": made["closed"]["1m"],
        "memory_mb_by_minute": {f"{minute:g}": held for minute, held in samples[::3] + samples[-1:]},
        "memory_mb": last,
        "slope_mb_per_hour": round(slope, 1),
    }


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(description="Measures a desk's CPU when idle, and its memory.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--no-hour", action="store_true")
    parser.add_argument("--only", choices=("default", "one_tick_a_second", "flows", "hour"))
    options = parser.parse_args()
    report: dict[str, Any] = {"benchmark": "idle", "machine": machine(), "seconds": options.seconds}
    cases: dict[str, Callable[[], dict[str, Any]]] = {
        "default": lambda: idle(options.seconds),
        "one_tick_a_second": lambda: idle(options.seconds, POCKETQUANT_SIMULATED__RATE="1"),
        "flows": lambda: flows(options.seconds),
        "hour": hour,
    }
    for name, measure in cases.items():
        if options.only in {None, name} and not (options.no_hour and name == "hour"):
            report[name] = measure()
    print(json.dumps({**report, "load_after": os.getloadavg()[0]}, indent=2))


if __name__ == "__main__":
    main()
