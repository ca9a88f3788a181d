"""A desk with some daily bars and no process that runs, as flows and commands find it by the environment."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from ran.running import loops
from stored_bars import bar, batch

from infra.folders import Folders
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol
from sinks.bar_store import open_store
from sinks.registry_book import Instrument, RegistryBook
from sinks.run_book import Noted, RunBook

DAY = 1440
COINS = ["KRAKEN:BTCUSD", "KRAKEN:ETHUSD"]


def daily_desk(folder: Path, monkeypatch: Any, *counts: int) -> Folders:
    """A desk whose coins, all registered, have so many daily bars each."""
    folders = Folders(folder).create()
    monkeypatch.setenv("POCKETQUANT_DATA_DIR", str(folders.data_dir))
    folders.cache.mkdir()
    folders.loops.symlink_to(loops(), target_is_directory=True)
    made = [row for stream, count in enumerate(counts) for row in _days(count, stream)]
    with closing(open_store(str(folders.bars))) as store:
        store.upsert(batch(*made), writer="import", own_revisions=True)
    with RegistryBook(folders.history) as book:
        book.put(Instrument(Symbol(*coin.split(":"))) for coin in COINS)
    return folders


def noted(folders: Folders) -> dict[str, Noted]:
    """The runs in the desk's book, by id."""
    with RunBook(folders.history) as book:
        return {one.run: one for one in book.runs()}


def _days(count: int, stream: int) -> list[np.ndarray]:
    """Closed daily bars, whose price goes up and down in waves of 40 days."""
    closes = 100 + 20 * np.sin(np.arange(count) / 40 * 2 * np.pi + stream)
    before = np.append(closes[0], closes[:-1])
    made = []
    for day, (close, opened) in enumerate(zip(closes, before, strict=True)):
        row = bar(day * DAY, float(close), stream=stream, interval=Interval.D1, open=float(opened))
        row["high"], row["low"] = max(close, opened) + 1, min(close, opened) - 1
        row["end"] = row["start"] + DAY * MINUTE_NS
        made.append(row)
    return made
