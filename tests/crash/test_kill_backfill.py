"""The proof of the backfill: a million minutes, killed with SIGKILL at twenty moments, and each bar is there once.

In the suite a smaller one, a few kills; `POCKETQUANT_TEST_KILLS=20` (`make crash`) is the whole of it. What is killed
is the process that fetches and writes, at a page of the exchange's that a seed chooses. Every time it is looked what
is noted as fetched: no page of that may ever be served again. A server as the store is frozen and restarted besides.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from crash.desk import HOUSE, until
from servers.mongo import MongoServer, mongo_jars

from infra.folders import Folders
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol, parse_symbol
from sinks.bar_store import open_store
from sinks.chunk_book import ChunkBook
from sinks.sync_book import SyncBook

__all__ = ["mongo_jars"]

pytestmark = pytest.mark.crash

KILLS = int(os.environ.get("POCKETQUANT_TEST_KILLS", "3"))
WHOLE = KILLS >= 20
SYMBOLS, MINUTES = (20, 50_000) if WHOLE else (4, 12_000)
START = 1_767_225_600 * 10**9
"""2026-01-01T00:00:00Z."""
PAGE = 1_000

Page = tuple[str, int, int]
"""Symbol, start and end of what an answer covers, ns."""


class Exchange:
    """The simulated exchange's history, and what it says that it has served."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url.replace("ws", "http", 1), timeout=60)
        listed = self._client.get("/history/symbols").json()["symbols"]
        self.symbols = [parse_symbol(one["symbol"]) for one in listed][:SYMBOLS]

    def pages(self) -> dict[Page, int]:
        """How often each page of minutes was served."""
        spans = self._client.get("/truth/summary").json()["history"]["spans"]
        return {(symbol, start, end): times for symbol, what, start, end, times in spans if what == "1m"}

    def served(self) -> int:
        """How many pages were served in all."""
        return int(self._client.get("/truth/summary").json()["history"]["pages"])

    def serve(self, pages: int, process: "subprocess.Popen[str]") -> None:
        """Wait until so many more pages were served, or the process has ended."""
        target = self.served() + pages
        until("pages are served", lambda: self.served() >= target or process.poll() is not None)

    def control(self, order: Any) -> None:
        """Make it fail, by a list of faults, or fail no more."""
        self._client.post("/control", json=order).raise_for_status()

    def truth(self, symbol: Symbol, end: int) -> np.ndarray:
        """Start, open, high, low, close and volume of each minute that traded, shape (minutes, 6)."""
        rows: list[list[Any]] = []
        start: int | None = START // 10**6
        while start is not None:
            query = {"symbol": str(symbol), "interval": "1m", "start": start, "end": end // 10**6, "limit": PAGE}
            page = self._client.get("/history/klines", params=query).json()
            rows += page["bars"]
            start = page["next"]
        return np.array([[float(value) for value in row[:6]] for row in rows])


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """A process that outlives all kills."""
    port = tmp_path / "port.json"
    command = [sys.executable, "-m", "sources.simulated", "--symbols", str(SYMBOLS), "--rate", "1"]
    with subprocess.Popen(
        [*command, "--port-file", str(port)], cwd=HOUSE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield Exchange(
                json.loads(until("the exchange listens", lambda: port.is_file() and port.read_text()))["url"]
            )
        finally:
            process.terminate()


class Backfill:
    """`pq backfill` on a data folder of its own, as often as it takes."""

    def __init__(
        self, folder: Path, exchange: Exchange, symbols: int = SYMBOLS, minutes: int = MINUTES, **environ: str
    ) -> None:
        self.symbols = exchange.symbols[:symbols]
        self.end = START + minutes * MINUTE_NS
        self.folders = Folders(folder)
        self.where = environ.get("MONGODB_URI") or str(self.folders.bars)
        self._exchange = exchange
        self._environ = {**os.environ, "POCKETQUANT_PROVIDERS__SIMULATED__URL": exchange.url, **environ}

    @contextmanager
    def running(self) -> "Iterator[subprocess.Popen[str]]":
        """One run of it."""
        command = [sys.executable, "-m", "pocketquant", "backfill", *map(str, self.symbols)]
        command += ["--interval", "1m", "--start", _iso(START), "--end", _iso(self.end), "--json"]
        with subprocess.Popen(
            [*command, "--data-dir", str(self.folders.data_dir)],
            cwd=HOUSE,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def finish(self) -> list[dict[str, Any]]:
        """Run it to its end."""
        with self.running() as process:
            out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        found: list[dict[str, Any]] = json.loads(out)
        return found

    def noted(self) -> dict[str, list[tuple[int, int]]]:
        """What is noted as fetched, and is in the store."""
        if not self.folders.history.is_file():
            return {}
        store = open_store(self.where)
        try:
            with ChunkBook(self.folders.history) as book:
                return {
                    str(symbol): [(one.start, one.end) for one in book.chunks(store, symbol, Interval.M1)]
                    for symbol in self.symbols
                }
        finally:
            store.close()

    def states(self) -> set[str]:
        """The states that the book has."""
        with SyncBook(self.folders.history) as book:
            return {str(one.state) for one in book.statuses(self.end)}

    def check(self) -> int:
        """Each bar is stored once, and is the exchange's; how many there are."""
        store = open_store(self.where, read_only=True)
        bars = 0
        try:
            for symbol in self.symbols:
                truth = self._exchange.truth(symbol, self.end)
                frame = store.read(symbol, Interval.M1, newest_first=False)
                stored = np.column_stack(
                    [frame["start"].to_physical() // 10**6]
                    + [frame[name] for name in ("open", "high", "low", "close", "volume")]
                )
                np.testing.assert_array_equal(stored, truth, err_msg=str(symbol))
                assert set(frame["state"]) == {"official"}
                assert frame["revision"].max() == 1, "no bar was written a second time"
                bars += len(truth)
            assert sum(one.bars for one in store.series()) == bars
            logged = sum(len(part.rows) for part in store.revisions("backfill"))
            assert logged == bars, "and each is in the log once"
            assert store.check_log() == []
        finally:
            store.close()
        return bars


def _iso(time_ns: int) -> str:
    return str(np.datetime64(time_ns // 10**9, "s")) + "Z"


def overlapping(pages: "Iterator[Page]", noted: dict[str, list[tuple[int, int]]]) -> list[Page]:
    """Pages that cover some of what was noted."""
    return [
        (symbol, start, end)
        for symbol, start, end in pages
        if any(start < last and first < end for first, last in noted.get(symbol, []))
    ]


def served_since(now: dict[Page, int], before: dict[Page, int]) -> "Iterator[Page]":
    """Pages that were served between two looks."""
    return (page for page, times in now.items() if times > before.get(page, 0))


def test_killed_at_any_moment_each_bar_is_there_once_and_no_chunk_is_fetched_twice(exchange, tmp_path):
    rng = random.Random(4)
    backfill = Backfill(tmp_path / "desk", exchange)
    # The share of quiet minutes leaves a little less than a page for each thousand.
    part = max(SYMBOLS * MINUTES // PAGE // KILLS, 1)
    noted: dict[str, list[tuple[int, int]]] = {}
    before: dict[Page, int] = {}
    killed = 0
    for _ in range(KILLS):
        with backfill.running() as process:
            exchange.serve(rng.randint(1, part), process)
            killed += process.poll() is None
            process.kill()
            process.wait()
        pages = exchange.pages()
        assert overlapping(served_since(pages, before), noted) == []
        noted, before = backfill.noted(), pages
        assert "syncing" not in backfill.states(), "what was killed is an error, not for ever in hand"
    rows = backfill.finish()

    pages = exchange.pages()
    assert overlapping(served_since(pages, before), noted) == []
    before = pages
    assert backfill.states() == {"completed"}
    assert [row["state"] for row in rows] == ["completed"] * SYMBOLS
    backfill.finish()
    assert exchange.pages() == before, "the same again asks for nothing"
    bars = backfill.check()
    twice = sum(times - 1 for times in pages.values())
    print(f"\n{SYMBOLS * MINUTES:,} minutes, {bars:,} bars, {killed} kills, {sum(pages.values()):,} pages served, "
          f"{twice} of them again after a kill, 0 of a chunk that was noted")  # fmt: skip
    assert killed >= KILLS - 1


def test_faults_of_the_provider_and_kills_together_leave_each_bar_once(exchange, tmp_path):
    """Refusals, errors, answers cut short, pages that overlap or repeat: none of it is seen in the bars."""
    rng = random.Random(5)
    backfill = Backfill(tmp_path / "desk", exchange)
    kinds = ("truncated", "reset", "types", "empty", "duplicates", "overlap", "out_of_order")
    faults = [{"kind": f"history_{kind}"} for kind in kinds]
    faults += [{"kind": "history_refuse", "status": status, "seconds": 0.2} for status in (429, 500, 503)]
    exchange.control([{**fault, "share": 0.02, "duration_s": 3600} for fault in faults])
    with backfill.running() as process:
        exchange.serve(rng.randint(5, 15), process)
        process.kill()
        process.wait()

    for _ in range(20):
        with backfill.running() as process:
            process.communicate(timeout=600)
        if process.returncode == 0:
            break
    exchange.control({"kind": "clear"})

    assert process.returncode == 0
    assert backfill.check() > 0.9 * SYMBOLS * MINUTES


@pytest.mark.mongo
def test_a_server_that_is_frozen_or_restarted_is_waited_for(exchange, tmp_path, mongo_jars):
    """And the backfill killed while it is frozen."""
    rng = random.Random(6)
    with MongoServer(mongo_jars, tmp_path / "mongo.h2") as server:
        backfill = Backfill(tmp_path / "desk", exchange, 2, 3_000, MONGODB_URI=f"{server.uri}/desk")
        with backfill.running() as process:
            exchange.serve(rng.randint(1, 2), process)
            server.pause()
            process.kill()
            process.wait()
            server.resume()
        with backfill.running() as process:
            exchange.serve(rng.randint(1, 2), process)
            server.stop()
            server.start()
            _, err = process.communicate(timeout=600)
            assert process.returncode == 0, err
        backfill.check()
