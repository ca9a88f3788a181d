"""A sync of 5,000 daily bars by `pq sync`, and bars upserted as syncs and backfills write them. Prints JSON.

Run: `python benchmarks/sync.py [--runs N] [--mongodb URI]`. The provider is the simulated exchange in a process of its
own, asked over HTTP on loopback, five pages of 1,000 bars.

`command_s` is the whole process `pq sync`, `start_s` one that only starts and reads (`pq sync --status`). Then, in
a process of its own: `sync_s` from the first import of history to the last bar stored, and of it `provider_s`, in
which the exchange made its pages and they were carried (the same five asked for once more, with nothing done to
them); `ours_s` is the rest. Medians over the runs, each into an empty store.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from running_desk import Exchange, machine

from infra.settings import load_settings
from market.bars import BAR, BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.bar_store import open_store

ROOT = Path(__file__).parents[1]
BARS = 5_000
PAGE = 1_000
BTC = Symbol("SIM", "BTCUSD")
START_MINUTE = 28_927_680


def inner(data_dir: Path, url: str) -> dict[str, float]:
    """One sync in this process, and where its time went."""
    settings = load_settings(data_dir)
    began = time.perf_counter()
    from history.desk import HistoryDesk
    from history.sync import sync

    with HistoryDesk(settings) as desk:
        done = sync(desk, BTC, Interval.D1, count=BARS)
        took = time.perf_counter() - began
    assert done.total.inserted == BARS
    provider = carried(url, done.total.last or 0)
    return {"sync_s": took, "provider_s": provider, "ours_s": took - provider}


def carried(url: str, last: int) -> float:
    """Seconds that the exchange takes for the same pages."""
    import httpx

    end: int | None = last // 1_000_000 + 1
    with httpx.Client(base_url=f"http://{urlsplit(url).netloc}") as client:
        client.get("/history/symbols")
        began = time.perf_counter()
        for _ in range(BARS // PAGE):
            query: dict[str, Any] = {"symbol": str(BTC), "interval": "1d", "limit": PAGE, "order": "desc", "end": end}
            end = client.get("/history/klines", params=query).json()["next"]
        return time.perf_counter() - began


def command(url: str, data_dir: Path, mongodb: str | None, *words: str) -> tuple[float, str]:
    """Seconds that a command takes as a process, and what it prints."""
    environ = {**os.environ, "POCKETQUANT_PROVIDERS__SIMULATED__URL": url, "POCKETQUANT_DATA_DIR": str(data_dir)}
    if mongodb:
        environ["MONGODB_URI"] = mongodb
    began = time.perf_counter()
    ran = subprocess.run([sys.executable, *words], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, ran.stdout


def syncs(url: str, folder: Path, runs: int, mongodb: str | None) -> dict[str, float]:
    """Medians of the times of a sync."""
    found: dict[str, list[float]] = {}
    for run in range(runs):
        # A database of its own, as the folder is.
        database = f"{mongodb.rstrip('/')}/pocketquant_bench_{run}" if mongodb else None
        data_dir = folder / f"command{run}"
        words = ("-m", "pocketquant", "sync", str(BTC), "1d", "--count", str(BARS), "--json")
        took, out = command(url, data_dir, database, *words)
        assert json.loads(out)[0]["inserted"] == BARS
        start, _ = command(url, data_dir, database, "-m", "pocketquant", "sync", "--status")
        database = f"{mongodb.rstrip('/')}/pocketquant_bench_inner_{run}" if mongodb else None
        _, out = command(url, folder / f"inner{run}", database, __file__, "--inner", url)
        for name, value in {"command_s": took, "start_s": start, **json.loads(out)}.items():
            found.setdefault(name, []).append(value)
    return {name: round(statistics.median(values), 3) for name, values in found.items()}


def upserts(where: str, bars: int, page: int) -> dict[str, float]:
    """Minute bars of one symbol, a page at a time, by a writer whose revisions the store counts."""
    rng = np.random.default_rng(7)
    rows = np.zeros(bars, BAR)
    rows["start"] = (START_MINUTE + np.arange(bars)) * MINUTE_NS
    rows["end"] = rows["start"] + MINUTE_NS
    for name in ("open", "high", "low", "close"):
        rows[name] = rng.normal(100, 1, bars).round(2)
    rows["volume"], rows["notional"] = rng.random(bars) * 100, rng.random(bars) * 10_000
    rows["updated_at"], rows["seq"], rows["state"] = rows["end"][-1], -1, BarState.OFFICIAL
    streams = (Stream(0, "simulated", BTC, FeedKind.TRADES, 0),)
    store = open_store(where)
    began, began_cpu = time.perf_counter(), time.process_time()
    for first in range(0, bars, page):
        store.upsert(BarBatch(rows[first : first + page], streams), writer="backfill", own_revisions=False)
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    store.close()
    return {"bars": bars, "page": page, "bars_a_second": round(bars / wall), "cpu_us_a_bar": round(cpu / bars * 1e6, 2)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mongodb", help="address of a server, without a database, to measure as well")
    parser.add_argument("--inner", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        print(json.dumps(inner(Path(os.environ["POCKETQUANT_DATA_DIR"]), options.inner)))
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pocketquant-bench-")))
        exchange = Exchange(stack, folder, rate=1)
        found: dict[str, Any] = {"sync_sqlite": syncs(exchange.url, folder / "sqlite", options.runs, None)}
        for page in (PAGE, BARS):
            found[f"upserts_sqlite_{page}"] = upserts(str(folder / f"{page}.sqlite"), 500_000, page)
        if options.mongodb:
            server = options.mongodb.rstrip("/")
            found["sync_mongodb"] = syncs(exchange.url, folder / "mongodb", options.runs, server)
            found["upserts_mongodb"] = upserts(f"{server}/pocketquant_bench_upserts", 50_000, PAGE)
        print(json.dumps({"benchmark": "sync", **found, "machine": machine()}))


if __name__ == "__main__":
    main()
