"""Paper trading in a process of its own that can be killed, forked from one that has loaded all it needs."""

import multiprocessing
import threading
from datetime import timedelta
from pathlib import Path

from dataflows.paper import running, tail
from dataflows.paper.progress import Progress
from dataflows.recovery import Recovery
from sinks.bar_store import open_store
from sinks.ledger import Ledger
from sinks.paper_book import open_paper_book

GRACE = 2_000_000_000


def server():
    """What starts processes: each begins in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "traded.settled"])
    return context


def trade(folder: Path, loops: Path, where: str, epoch_s: float, clock: int) -> None:
    """Trade over all that is in the journal of a folder.

    Args:
        folder: Of the desk.
        loops: Folder of compiled loops.
        where: The bar store's address.
        epoch_s: Between two snapshots.
        clock: What time it is, ns.
    """
    # Small steps, so that there is more to be killed in.
    tail.EVENTS_MAX = 2
    tail.KEEP_S = tail.REST_LONGEST_S = 0.01
    store = open_store(where)
    with (
        Recovery(folder / "recovery-paper") as recovery,
        Ledger(folder / "desk.sqlite") as ledger,
        open_paper_book(where, folder / "paper.sqlite") as book,
    ):
        bench = running.Bench(
            folder / "journal",
            recovery,
            store,
            book,
            ledger,
            Progress(),
            lambda *_: None,
            lambda *_: None,
            loops,
            GRACE,
        )
        running.trade(bench, threading.Event(), lambda: clock, until_end=True, epoch=timedelta(seconds=epoch_s))
    store.close()
