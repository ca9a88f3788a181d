"""The bars process: `python -m dataflows.bars --data-dir DIR`."""

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from dataflows.bars.progress import Progress
from dataflows.bars.running import Bench, make_bars, open_patiently, settle_in
from dataflows.recovery import Recovery
from infra import lifeline, logs, metrics
from infra.notify import Notifier
from infra.settings import Settings, load_settings
from infra.status import StatusFile
from market.errors import DeskError
from market.intervals import NAMES
from sinks.bar_store import BarStore, StoreAway, open_store
from sinks.doorbell import Doorbell
from sinks.ledger import Event, Ledger
from sinks.query_cache import announced
from sinks.redis_cache import ClosedStream, FormingCache
from sources.journal import JournalReader

PORT_AFTER: Final = 2
"""Bars serve their metrics two ports after the supervisor's."""

STATUS_S: Final = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dataflows.bars", description="Makes bars from the journal.")
    parser.add_argument("--data-dir", type=Path, help="the desk's data folder")
    parser.add_argument("--config", type=Path, help="pocketquant.toml")
    options = parser.parse_args(arguments)
    lifeline.hold()
    stop = threading.Event()
    settling = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        if settling.is_set():
            # Nothing has been begun that would have to be ended well, and the compiler may need a minute more. Its
            # callbacks swallow exceptions raised in them, SystemExit too, so none is raised.
            os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        settings = load_settings(options.data_dir, options.config)
        folders = settings.folders.create()
        logs.configure("bars", folders.log_file("bars"), level=settings.log_level, secrets=settings.secrets())
        with Recovery(folders.recovery_bars) as recovery, Ledger(folders.desk) as ledger:
            _work(settings, recovery, ledger, stop, settling)
    except StoreAway as error:
        logs.logger().warning("stopped while the store was away", reason=str(error), advice="start it and the desk")
        return 0 if stop.is_set() else 1
    except DeskError as error:
        logs.logger().error("bars stopped", reason=str(error))
        print(f"bars: {error}", file=sys.stderr)  # noqa: T201 - a user's terminal, or the supervisor's file.
        return 1
    except Exception:
        logs.logger().exception("bars failed")
        raise
    return 0


def _work(
    settings: Settings, recovery: Recovery, ledger: Ledger, stop: threading.Event, settling: threading.Event
) -> None:
    folders = settings.folders
    progress = Progress()
    notifier = Notifier([secret.get_secret_value() for secret in settings.notify])
    served = metrics.Metrics("bars")

    def report(level: Any, name: str, text: str) -> None:
        getattr(logs.logger(), level)(name, text=text)
        ledger.note_event(Event(time.time_ns(), level, name, "bars", text))
        if level != "info":
            served.alerts.labels(name).inc()
            notifier.send(name, text)

    status = StatusFile(folders.status_file("bars"), "bars", every_s=STATUS_S)
    page = metrics.serve(served, settings.metrics_port + PORT_AFTER if settings.metrics_port else 0)
    cache, closed = FormingCache(settings.redis), ClosedStream(settings.redis)
    teller = Teller(folders.journal, progress, cache, closed, status, served, settings.store)
    store = open_patiently(lambda: open_store(settings.store), stop, progress, report)
    if store is not None:
        store = announced(store, settings.redis, settings.store)
    try:
        if store is not None:
            settling.set()
            if stop.is_set():
                return
            settle_in(lambda text: setattr(progress, "preparing", text))
            settling.clear()
            progress.preparing = ""
            teller.store = store
            bench = Bench(
                folders.journal, recovery, store, ledger, progress, report, round(settings.grace_s * 1_000_000_000)
            )
            with Doorbell(folders.doorbell_paper) as bell:
                make_bars(bench, stop, doorbell=folders.doorbell, cache=cache, closed=closed, ring=bell.ring)
    finally:
        teller.close()
        cache.close()
        closed.close()
        if store is not None:
            store.close()
        if page is not None:
            page.close()


class Teller:
    """A thread that says once a second how the dataflow is: status file and metrics."""

    def __init__(
        self,
        journal: Path,
        progress: Progress,
        cache: FormingCache,
        closed: ClosedStream,
        status: StatusFile,
        served: metrics.Metrics,
        where: str,
    ) -> None:
        self.store: BarStore | None = None
        """Known once it was opened."""
        self._where = logs.Redaction().text(where)
        self._journal = JournalReader(journal, lambda _: None)
        self._progress = progress
        self._cache = cache
        self._closed = closed
        self._status = status
        self._metrics = served
        self._told = Progress()
        self._told_skips = 0
        self._end = threading.Event()
        self._tell()
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Say a last word."""
        self._end.set()
        self._thread.join()
        self._tell()

    def _run(self) -> None:
        while not self._end.wait(STATUS_S):
            self._tell()

    def _tell(self) -> None:
        progress, pipe = self._progress, self._cache.pipe
        try:
            newest = self._journal.last_seq()
        except DeskError:
            # The flow meets the same trouble and says so.
            newest = progress.seq
        lag_rows = max(0, newest - progress.seq)
        lag_ms = (time.time_ns() - progress.clock) / 1e6 if lag_rows and progress.clock else 0.0
        redis_up = pipe.socket_open
        self._status.write(
            {
                "journal": {"seq": progress.seq, "newest": newest, "lag_rows": lag_rows, "lag_ms": round(lag_ms, 3)},
                "store": {
                    "state": progress.store_state,
                    "url": self._where if self.store is None else self.store.where,
                    "retries": progress.store_retries,
                    "last_error": progress.store_error,
                    "seq": progress.stored_seq,
                    "waiting_bars": progress.waiting_bars,
                },
                "redis": {
                    "state": "up" if redis_up else "down",
                    "last_error": "" if redis_up else logs.Redaction().text(pipe.last_error),
                    "skipped": pipe.skipped + self._closed.pipe.skipped,
                    "published": self._closed.published,
                },
                "preparing": progress.preparing,
                "ticks": progress.ticks,
                "out_of_session": progress.out_of_session,
                "closed": {name: int(n) for name, n in zip(NAMES, progress.closes, strict=True)},
                "revisions": {name: int(n) for name, n in zip(NAMES, progress.revisions, strict=True)},
                "rejects": dict(progress.rejects),
            },
            force=True,
        )
        self._measure(lag_rows, lag_ms, up=redis_up)

    def _measure(self, lag_rows: int, lag_ms: float, *, up: bool) -> None:
        """Bring the metrics up to date with the counts since last time."""
        now, told, served = self._progress, self._told, self._metrics
        served.journal_seq.set(now.seq)
        served.lag_rows.set(lag_rows)
        served.lag.set(lag_ms / 1000)
        served.redis_up.set(up)
        served.queue.labels("bars_to_store").set(now.waiting_bars)
        for place, name in enumerate(NAMES):
            for counter, new, old in (
                (served.closes, now.closes[place], told.closes[place]),
                (served.revisions, now.revisions[place], told.revisions[place]),
            ):
                if new > old:
                    counter.labels(name).inc(int(new - old))
        stored = int(now.closes.sum() + now.revisions.sum())
        served.store_rows.inc(stored - int(told.closes.sum() + told.revisions.sum()))
        served.store_retries.inc(now.store_retries - told.store_retries)
        batches = now.store_batches - told.store_batches
        if batches:
            # The mean of what was written since: close enough for a second, and nothing on the path.
            mean = (now.store_seconds - told.store_seconds) / batches
            for _ in range(min(batches, 1000)):
                served.store_write.observe(mean)
        for reason, count in list(now.rejects.items()):
            served.rejects.labels("bars", reason).inc(count - told.rejects.get(reason, 0))
            told.rejects[reason] = count
        skips = self._cache.pipe.skipped + self._closed.pipe.skipped
        served.redis_skips.inc(skips - self._told_skips)
        self._told_skips = skips
        told.closes, told.revisions = now.closes.copy(), now.revisions.copy()
        told.store_retries, told.store_batches = now.store_retries, now.store_batches
        told.store_seconds = now.store_seconds


if __name__ == "__main__":
    sys.exit(main())
