"""The bars process as the supervisor starts it: killed, stopped, shut out, and started on bad folders."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from dataflows.bars.keeper import WRITER
from dataflows.verify import verify
from infra.folders import Folders
from infra.status import read_status
from market.intervals import Interval
from market.journal_rows import RowKind
from market.streams import FeedKind
from market.symbols import Symbol
from market.ticks import MARK, TICK, MarkKind
from sinks.doorbell import Doorbell
from sinks.journal import JournalWriter
from sinks.sqlite_bars import SqliteBars

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
BEGIN = 1_699_999_200 * SECOND


class Ingest(threading.Thread):
    """Journals twenty symbols' ticks, a second or so of the journal's clock in a millisecond of ours."""

    def __init__(self, folders: Folders, minutes: int, seed: int) -> None:
        super().__init__()
        self.folders = folders
        self.minutes = minutes
        self.rng = np.random.default_rng(seed)
        self.enough = threading.Event()
        self.enough.set()

    def run(self) -> None:
        """Write until there are enough minutes, and nobody wants more."""
        rng, count = self.rng, 20
        with JournalWriter(self.folders.journal, lambda: BEGIN) as writer, Doorbell(self.folders.doorbell) as bell:
            marks = np.zeros(count, MARK)
            marks["kind"], marks["time"] = MarkKind.DESIGNATED, BEGIN
            for place in range(count):
                marks["stream"][place] = writer.stream("sim", Symbol("SIM", f"S{place}"), FeedKind.TRADES, 0).id
            bell.ring(writer.append(RowKind.MARKS, 0, marks))
            now = BEGIN
            while now < BEGIN + self.minutes * MINUTE or not self.enough.is_set():
                rows = np.zeros(int(rng.integers(1, 60)), TICK)
                now += int(rng.integers(1, 2 * SECOND))
                rows["received_time"] = now
                rows["event_time"] = now - rng.choice([0, SECOND, 65 * SECOND, 300 * SECOND], len(rows),
                                                      p=[0.9, 0.08, 0.015, 0.005])  # fmt: skip
                rows["price"] = np.round(100 + rng.normal(0, 1, len(rows)), 2)
                rows["size"] = np.round(rng.exponential(1, len(rows)), 4)
                rows["stream"] = rng.integers(0, count, len(rows))
                rows["count"], rows["trade_id"] = 1, -1
                bell.ring(writer.append(RowKind.TICKS, 0, rows))
                time.sleep(0.002)
            end = np.zeros(1, MARK)
            end["kind"], end["time"], end["stream"] = MarkKind.CLOCK, now + 5 * MINUTE, 0xFFFF
            bell.ring(writer.append(RowKind.MARKS, 0, end))
            self.last_seq = writer.last_seq


@pytest.fixture
def start():
    """Starts processes, and ends what is left of them."""
    started = []

    def begin(folder: Path, **environ: str) -> subprocess.Popen:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "dataflows.bars", "--data-dir", str(folder)],
                stderr=subprocess.PIPE, text=True, env={**os.environ, "POCKETQUANT_METRICS_PORT": "0", **environ},
                cwd=Path(__file__).parents[2],
            )
        )  # fmt: skip
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def status(folders: Folders) -> dict:
    return read_status(folders.status_file("bars")) or {"journal": {"seq": -1}, "pid": 0, "store": {}}


def until(holds, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come to be in time"
        time.sleep(0.01)


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "desk").create()


def test_kill_9_and_resume_leave_every_bar_as_the_journal_says(folders, start):
    """State is exact after a crash, what was written twice is written once, and the log has each revision once."""
    rng = np.random.default_rng(5)
    ingest = Ingest(folders, minutes=15, seed=5)
    ingest.enough.clear()
    process = start(folders.data_dir)
    ingest.start()
    for _ in range(3):
        seen = status(folders)["journal"]["seq"]
        until(reached(folders, process.pid, seen + 1))
        time.sleep(float(rng.random()) / 5)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process = start(folders.data_dir)
    ingest.enough.set()
    ingest.join()
    until(reached(folders, process.pid, ingest.last_seq))

    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0

    with closing(SqliteBars(folders.bars)) as store:
        found = verify(folders.journal, store)
        assert found.good, found.differences[:5]
        assert found.bars > 300
        logged = [
            (part.names[row["stream"]], row["interval"], row["start"], row["revision"])
            for part in store.revisions(WRITER)
            for row in part.rows
        ]
        assert len(set(logged)) == len(logged)
        assert store.read(Symbol("SIM", "S3"), Interval.D1)["state"].to_list() == ["forming"]
    log = [json.loads(line) for line in folders.log_file("bars").read_text().splitlines()]
    assert [line for line in log if line["level"] in ("error", "critical")] == []


def test_who_stops_a_desk_that_still_compiles_does_not_wait_for_the_compiler(folders, start, tmp_path):
    """Nothing was begun yet, and the supervisor would lose its patience and kill."""
    process = start(folders.data_dir, NUMBA_CACHE_DIR=str(tmp_path / "cold"))
    until(lambda: "compiling" in status(folders).get("preparing", ""))
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0
    assert process.stderr.read() == ""


def test_a_second_process_on_one_folder_is_shut_out_with_a_sentence(folders, start):
    first = start(folders.data_dir)
    until(lambda: status(folders)["pid"] == first.pid)

    second = start(folders.data_dir)

    _, said = second.communicate(timeout=30)
    assert second.returncode == 1
    assert said.count("\n") == 1
    assert f"is in use by process {first.pid}" in said
    first.send_signal(signal.SIGTERM)
    assert first.wait(20) == 0


def test_a_corrupt_recovery_store_gets_a_sentence_and_bars_are_remade_without_it(folders, start):
    """What was stored before is still readable, and moving the folder away is all there is to do."""
    Ingest(folders, minutes=2, seed=1).run()
    run_to_the_end(folders, start)
    part = folders.recovery_bars / "part-1.sqlite3"
    part.write_bytes(b"garbage" * 1000)

    process = start(folders.data_dir)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 1
    assert said.count("\n") == 1
    assert "is damaged in part-1.sqlite3" in said
    assert "move the folder away" in said
    folders.recovery_bars.rename(folders.recovery_bars.with_name("damaged"))
    run_to_the_end(folders, start)
    with closing(SqliteBars(folders.bars)) as store:
        assert verify(folders.journal, store).good


def reached(folders: Folders, pid: int, seq: int):
    """Whether this process has come to that row."""
    return lambda: status(folders)["pid"] == pid and status(folders)["journal"]["seq"] >= seq


def run_to_the_end(folders: Folders, start) -> None:
    with JournalWriter(folders.journal, lambda: BEGIN) as writer:
        last = writer.last_seq
    process = start(folders.data_dir)
    until(reached(folders, process.pid, last))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
