"""A desk on disk, filled through the real journal, store and ledger; and `pq` as a user types it."""

import json
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from infra.folders import Folders
from market.bars import BAR, BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.journal_rows import RowKind
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from market.ticks import TICK
from pocketquant import cli
from sinks.bar_store import open_store
from sinks.journal import JournalWriter
from sinks.ledger import Ledger

BTC = Symbol("SIM", "BTCUSD")
NOON = 1_767_355_200 * 10**9
"""2026-01-02T12:00:00Z."""


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str

    def json(self):
        """Its standard output, decoded."""
        return json.loads(self.out)


@pytest.fixture
def pq(capsys, monkeypatch):
    """Run one command in this process, as `main` would."""
    for name in [name for name in os.environ if name.startswith("POCKETQUANT_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    for name in ("MONGODB_URI", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments):
        capsys.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return run


class Fill:
    """Fills a data folder through the real stores."""

    def __init__(self, folders: Folders):
        self.folders = folders

    @staticmethod
    def bar(start, *, close=2.0, state=BarState.CLOSED, revision=1, known_at=None, interval=Interval.M1, minutes=1):
        """One bar whose prices are round numbers but for the close."""
        end = start + minutes * MINUTE_NS
        updated_at = end + 2 * 10**9 if known_at is None else known_at
        numbers = (1.0, max(3.0, close), 0.5, close, 4.0, 8.0, 7)
        return (start, end, *numbers, updated_at, 5, revision, 0, interval, state)

    def bars(self, bars, symbol=BTC, feed="sim"):
        """Write bars as the bars dataflow does."""
        with closing(open_store(self.folders.bars)) as store:
            batch = BarBatch(np.array(bars, BAR), (Stream(0, feed, symbol, FeedKind.TRADES, 0),))
            store.upsert(batch, writer="bars", own_revisions=True)

    def ticks(self, ticks, symbol=BTC, feed="sim"):
        """Write (event_time, price, size, trade_id, aggressor) in one row of the journal."""
        with JournalWriter(self.folders.journal, now_ns=lambda: NOON) as journal:
            stream = journal.stream(feed, symbol, FeedKind.TRADES, 0)
            rows = [
                (event, event + 10**6, price, size, number, 1, stream.id, side, 0)
                for event, price, size, number, side in ticks
            ]
            return journal.append(RowKind.TICKS, 0, np.array(rows, TICK))


@pytest.fixture
def folders(tmp_path) -> Folders:
    """An empty data folder."""
    return Folders(tmp_path / "desk").create()


@pytest.fixture
def fill(folders) -> Fill:
    """Writes into the data folder."""
    return Fill(folders)


@pytest.fixture
def desk(folders, fill) -> Path:
    """A data folder with three closed minutes of SIM:BTCUSD from noon on, the last of them partial, and two ticks."""
    fill.bars(
        [
            fill.bar(NOON, close=0.1 + 0.2),
            fill.bar(NOON + MINUTE_NS),
            fill.bar(NOON + 2 * MINUTE_NS, close=2.5, state=BarState.PARTIAL),
        ]
    )
    fill.ticks([(NOON + 1, 1.5, 2.0, 7, 1), (NOON + 2 * MINUTE_NS + 123_456_789, 0.1 + 0.2, 0.5, -1, -1)])
    with Ledger(folders.desk) as ledger:
        ledger.subscribe(BTC, "sim", NOON)
    return folders.data_dir
