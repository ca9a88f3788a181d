"""The paper process: `python -m dataflows.paper --data-dir DIR`. Without a run it waits, with little loaded."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dataflows.paper.progress import Progress
from infra import lifeline, logs, metrics
from infra.notify import Notifier
from infra.settings import Settings, load_settings
from infra.status import StatusFile
from market.errors import DeskError
from sinks.bar_store import StoreAway
from sinks.ledger import Event, Ledger
from sinks.paper_book import PaperBook, open_paper_book
from sources.doorbell import DoorbellListener
from sources.journal import JournalReader

if TYPE_CHECKING:
    from dataflows.patience import Report

PORT_AFTER: Final = 3
"""Paper serves its metrics three ports after the supervisor's."""
STATUS_S: Final = 1.0
IDLE_S: Final = 0.5
"""How often an idle desk looks whether a run was asked for, besides when the bell rings."""
RINGS_S: Final = 0.1
"""An idle desk listens to the bell so often."""
AWAY_S: Final = 1.0
CONSUMER: Final = "paper"
DAY_NS: Final = 86_400_000_000_000


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dataflows.paper", description="Trades on paper.")
    parser.add_argument("--data-dir", type=Path, help="the desk's data folder")
    parser.add_argument("--config", type=Path, help="pocketquant.toml")
    options = parser.parse_args(arguments)
    lifeline.hold()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = load_settings(options.data_dir, options.config)
        folders = settings.folders.create()
        logs.configure("paper", folders.log_file("paper"), level=settings.log_level, secrets=settings.secrets())
        with Ledger(folders.desk) as ledger:
            _work(settings, ledger, stop)
    except StoreAway as error:
        logs.logger().warning("stopped while the store was away", reason=str(error), advice="start it and the desk")
        return 0 if stop.is_set() else 1
    except DeskError as error:
        logs.logger().error("paper stopped", reason=str(error))
        print(f"paper: {error}", file=sys.stderr)  # noqa: T201 - a user's terminal, or the supervisor's file.
        return 1
    except Exception:
        logs.logger().exception("paper failed")
        raise
    return 0


def _work(settings: Settings, ledger: Ledger, stop: threading.Event) -> None:
    folders = settings.folders
    progress = Progress()
    notifier = Notifier([secret.get_secret_value() for secret in settings.notify])
    served = metrics.Metrics("paper")
    log = logs.logger()

    def report(level: Any, name: str, text: str) -> None:
        getattr(log, level)(name, text=text)
        ledger.note_event(Event(time.time_ns(), level, name, "paper", text))
        if level != "info":
            served.alerts.labels(name).inc()
            notifier.send(name, text)

    def told(name: str, text: str) -> None:
        """What a user may want to hear of, if the settings say so; each is news, and none a repeat of another."""
        log.info(name, text=text)
        if settings.paper.notify_trades if name == "paper_trade" else settings.paper.notify_events:
            notifier.send(f"{name}: {text}", text)

    status = StatusFile(folders.status_file("paper"), "paper", every_s=STATUS_S)
    page = metrics.serve(served, settings.metrics_port + PORT_AFTER if settings.metrics_port else 0)
    teller = Teller(settings, progress, status, served)
    try:
        book = _open_book(settings, stop, progress, report)
        if book is None:
            return
        with book:
            if _idle(settings, book, ledger, stop):
                _trade(settings, book, ledger, stop, progress, report, told)
    finally:
        teller.close()
        notifier.close(1.0)
        if page is not None:
            page.close()


def _open_book(settings: Settings, stop: threading.Event, progress: Progress, report: "Report") -> PaperBook | None:
    """The paper book, once it is there; None if the process is to end before."""
    while True:
        try:
            book = open_paper_book(settings.store, settings.folders.paper)
        except StoreAway as error:
            if progress.store_state != "away":
                report("error", "store_away", str(error))
            progress.store_state, progress.store_error = "away", str(error)
            progress.store_retries += 1
            if stop.wait(AWAY_S):
                return None
        else:
            progress.store_state = "up"
            return book


def _idle(settings: Settings, book: PaperBook, ledger: Ledger, stop: threading.Event) -> bool:
    """Wait until there is a run, or one is asked for; False if the process is to end before."""
    with DoorbellListener(settings.folders.doorbell_paper) as bell:
        while not stop.is_set():
            try:
                if book.runs() or any(one.action == "start" and not one.refused for one in book.controls(waiting=True)):
                    return True
                if any(one.consumer == CONSUMER for one in ledger.positions()):
                    # Nobody will ask for what the journal has had so far.
                    ledger.forget(CONSUMER)
            except StoreAway:
                stop.wait(AWAY_S)
            deadline = time.monotonic() + IDLE_S
            while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
                # Rows ring with their numbers, whoever asks for something with 0.
                if bell.wait(min(round(left * 1000) + 1, 100)):
                    if bell.answer() == 0:
                        break
                    # A lively journal has thousands of rows a second, none of which matters here.
                    stop.wait(RINGS_S)
    return False


def _trade(
    settings: Settings,
    book: PaperBook,
    ledger: Ledger,
    stop: threading.Event,
    progress: Progress,
    report: "Report",
    told: Callable[[str, str], object],
) -> None:
    """Load what trades, and let it."""
    progress.preparing = "reading the kernels; compiling them, once after an installation or an update, takes longer"
    from dataflows.paper.running import Bench, Limits, settle_in, trade
    from dataflows.patience import Patience
    from dataflows.recovery import Recovery
    from sinks.bar_store import open_store

    folders, paper = settings.folders, settings.paper
    with Recovery(
        folders.recovery_paper, "paper trading of one data folder is done", "it then goes on from the paper book"
    ) as recovery:
        store = Patience(stop=stop, progress=progress, report=report)(lambda: open_store(settings.store))
        settle_in()
        progress.preparing = ""
        try:
            bench = Bench(
                folders.journal,
                recovery,
                store,
                book,
                ledger,
                progress,
                report,
                told,
                folders.loops,
                round(settings.grace_s * 1_000_000_000),
                Limits(paper.max_exposure, paper.max_daily_loss, paper.max_orders_per_minute, paper.flatten),
                paper.warm_up,
                paper.keep_days * DAY_NS,
                history=folders.history,
            )
            trade(bench, stop, time.time_ns, doorbell=folders.doorbell_paper)
        finally:
            store.close()


class Teller:
    """A thread that says once a second how the dataflow is: status file and metrics."""

    def __init__(self, settings: Settings, progress: Progress, status: StatusFile, served: metrics.Metrics) -> None:
        self._where = logs.Redaction().text(settings.store)
        self._journal = JournalReader(settings.folders.journal, lambda _: None)
        self._progress = progress
        self._status = status
        self._metrics = served
        self._retries = 0
        self._tallied: dict[tuple[str, str], int] = {}
        self._equities: set[str] = set()
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
        progress = self._progress
        newest = progress.seq
        if progress.seq:
            try:
                newest = self._journal.last_seq()
            except DeskError:
                # The flow meets the same trouble and says so.
                newest = progress.seq
        lag_rows = max(0, newest - progress.seq)
        lag_ms = (time.time_ns() - progress.clock) / 1e6 if lag_rows and progress.clock else 0.0
        self._status.write(
            {
                "journal": {"seq": progress.seq, "newest": newest, "lag_rows": lag_rows, "lag_ms": round(lag_ms, 3)},
                "store": {
                    "state": progress.store_state,
                    "url": self._where,
                    "retries": progress.store_retries,
                    "last_error": progress.store_error,
                },
                "runs": dict(progress.runs),
                "decisions": progress.decisions,
                "orders": progress.orders,
                "fills": progress.fills,
                "waits_for_bars": progress.waits_for_bars,
                "preparing": progress.preparing,
                "last_error": progress.store_error,
            },
            force=True,
        )
        served = self._metrics
        served.journal_seq.set(progress.seq)
        served.lag_rows.set(lag_rows)
        served.lag.set(lag_ms / 1000)
        served.store_retries.inc(progress.store_retries - self._retries)
        self._retries = progress.store_retries
        for state in ("running", "stopped", "flattening", "killed", "failed"):
            served.paper_runs.labels(state).set(progress.runs.get(state, 0))
        counters = {"decisions": served.paper_decisions, "orders": served.paper_orders, "fills": served.paper_fills}
        for kind, counter in counters.items():
            for strategy, count in list(progress.tally[kind].items()):
                counter.labels(strategy).inc(count - self._tallied.get((kind, strategy), 0))
                self._tallied[kind, strategy] = count
        for run in self._equities - progress.strategies.keys():
            # It was forgotten.
            served.paper_equity.remove(run)
        equities = {run: value for run, value in progress.equities.items() if run in progress.strategies}
        for run, value in equities.items():
            served.paper_equity.labels(run).set(value)
        self._equities = set(equities)


if __name__ == "__main__":
    code = main()
    if threading.active_count() > 1:
        # A strategy that never came back would keep the interpreter from ending.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)
