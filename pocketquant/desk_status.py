"""How a desk is now: what `pq status` and the live screen show, gathered from the status files, the ledger and disk."""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from infra.folders import Folders
from infra.logs import Redaction
from infra.settings import Settings
from infra.status import alive, read_status
from market.errors import DeskError
from pocketquant.hold import holder
from pocketquant.output import printable

PROCESSES: Final = ("redis", "simulated", "ingest", "bars", "paper", "prefect", "flows")
OPTIONAL: Final = frozenset({"simulated", "paper", "prefect", "flows"})
"""Listed only where they run: not every desk has them."""

_REPORTING: Final = ("ingest", "bars", "paper", "prefect", "flows")

STALE_S: Final = 10.0
"""A running process whose status is older than this hangs."""

Document = dict[str, Any]


def gather(settings: Settings, *, now_ns: int | None = None, alerts: int = 20) -> Document:
    """The whole status, as `pq status --json` prints it.

    Args:
        settings: Of the desk; it need not run.
        now_ns: The present moment; the machine's unless given.
        alerts: How many of the newest alerts.
    """
    now = time.time_ns() if now_ns is None else now_ns
    folders = settings.folders
    supervisor = _supervisor(folders, now)
    reports = {name: read_status(folders.status_file(name)) or {} for name in _REPORTING}
    ingest, bars = reports["ingest"], reports["bars"]
    processes = _processes(folders, supervisor, reports, now)
    running = {entry["name"] for entry in processes if entry["state"] in {"running", "starting"}}
    return {
        "data_dir": str(folders.data_dir),
        "supervisor": supervisor
        and {key: supervisor.get(key) for key in ("pid", "what", "uptime_s", "feeds", "simulated", "last_ends")},
        "processes": processes,
        "feeds": _feeds(ingest, now, up="ingest" in running),
        "journal": _journal(folders, ingest if "ingest" in running else {}),
        "store": _store(settings, bars, up="bars" in running),
        "redis": redis_state(settings),
        "paper": _paper(reports["paper"]) if "paper" in running else None,
        "flows": _flows(reports["prefect"], reports["flows"]) if "prefect" in running else None,
        "alerts": _alerts(folders, alerts),
    }


def _supervisor(folders: Folders, now: int) -> Document | None:
    """The supervisor's own status while it runs; of a replay, which holds the folder as well, that it does."""
    found = holder(folders)
    if found is None:
        return None
    pid, what = found
    if what == "replay":
        return {"pid": pid, "what": what, "uptime_s": None, "last_ends": {}}
    status = read_status(folders.status_file("supervisor")) or {}
    if status.get("pid") != pid:
        status = {}
    started = status.get("supervisor_started_ns")
    ends = {child["name"]: child["last_end"] for child in status.get("processes", []) if child.get("last_end")}
    return {**status, "pid": pid, "what": what, "uptime_s": _since(started, now), "last_ends": ends}


def _processes(folders: Folders, supervisor: Document | None, reports: dict[str, Document], now: int) -> list[Document]:
    """One entry a process: as the supervisor says, or where there is none (containers) by its own fresh status."""
    entries = []
    if supervisor is not None and supervisor["what"] == "desk":
        for child in supervisor.get("processes", []):
            pid, state = child.get("pid"), child.get("state")
            if pid is not None and not alive(pid):
                pid, state = None, "stopped"
            report = reports.get(child["name"], {})
            age = _since(report.get("written_ns"), now)
            if state == "running" and report and (age or 0) > STALE_S:
                state = "hanging"
            elif state == "running" and report.get("preparing"):
                state = "starting"
            entries.append(
                {
                    "name": child["name"],
                    "pid": pid,
                    "state": state,
                    "uptime_s": _since(child.get("started_ns"), now) if pid is not None else None,
                    "restarts": child.get("restarts", 0),
                }
            )
        return entries
    for name in PROCESSES:
        status = read_status(folders.status_file(name)) or {}
        age = _since(status.get("written_ns"), now)
        # In a container it has the pid of another world, which then exists in this one too, as 1 always does.
        fresh = age is not None and age <= STALE_S and alive(status.get("pid") or 0)
        if name in OPTIONAL and not fresh:
            continue
        state = "running" if fresh else "stopped"
        pid = status.get("pid") if fresh else None
        entries.append({"name": name, "pid": pid, "state": state, "uptime_s": None, "restarts": 0})
    return entries


def _feeds(ingest: Document, now: int, *, up: bool) -> list[Document]:
    feeds = []
    for feed in ingest.get("feeds", []):
        entry = {key: value for key, value in feed.items() if key != "last_message_ns"}
        if entry.get("last_error"):
            entry["last_error"] = printable(entry["last_error"])
        entry["last_message_age_s"] = _since(feed.get("last_message_ns"), now)
        if not up:
            entry |= {"state": "down", "rate": 0.0}
        feeds.append(entry)
    return feeds


def _journal(folders: Folders, ingest: Document) -> Document:
    reported = ingest.get("journal") or {}
    document: Document = {
        "seq": reported.get("seq"),
        "bytes": _bytes(folders.journal),
        "free_bytes": None,
        "last_error": reported.get("last_error"),
    }
    with suppress(OSError):
        document["free_bytes"] = shutil.disk_usage(folders.data_dir).free
    if document["seq"] is None and folders.journal.is_dir():
        from sources.journal import JournalReader

        try:
            document["seq"] = JournalReader(folders.journal).last_seq()
        except DeskError as error:
            document["last_error"] = str(error)
    return document


def _store(settings: Settings, bars: Document, *, up: bool) -> Document:
    reported = (bars.get("store") or {}) if up else {}
    read = (bars.get("journal") or {}) if up else {}
    mongo = settings.mongodb_uri is not None
    return {
        "engine": "mongodb" if mongo else "sqlite",
        "where": Redaction().text(settings.store),
        "bytes": None if mongo else _bytes(settings.folders.bars),
        "state": reported.get("state", "unknown" if up else "idle"),
        "lag_rows": read.get("lag_rows"),
        "lag_ms": read.get("lag_ms"),
        "preparing": bars.get("preparing", "") if up else "",
        "retries": reported.get("retries", 0),
        "last_error": reported.get("last_error"),
    }


def _paper(paper: Document) -> Document:
    """How many runs there are by state, and how far paper trading is behind the journal."""
    store, read, runs = paper.get("store") or {}, paper.get("journal") or {}, paper.get("runs") or {}
    return {
        "state": "trading" if any(runs.get(state) for state in ("running", "flattening")) else "idle",
        "runs": runs,
        "lag_rows": read.get("lag_rows"),
        "lag_ms": read.get("lag_ms"),
        "store": store.get("state", "unknown"),
        "retries": store.get("retries", 0),
        "preparing": paper.get("preparing", ""),
        "last_error": printable(store["last_error"]) if store.get("last_error") else None,
    }


def runs_in_words(paper: Document) -> str:
    """`2 running, 1 failed`."""
    return ", ".join(f"{count} {state}" for state, count in paper["runs"].items() if count) or "no runs"


def _flows(prefect: Document, flows: Document) -> Document:
    """Where the UI of the flows is, and what they do."""
    port, wanted = prefect.get("port"), prefect.get("wanted_port")
    return {
        "ui": prefect.get("url"),
        "note": f"port {wanted} is in use; flows.port sets another" if port != wanted else None,
        "running": flows.get("running", []),
    }


def redis_state(settings: Settings) -> Document:
    """Whether Redis answers, and where."""
    from pocketquant.cache import Cache, CacheAway

    document: Document = {"where": Redaction().text(settings.redis), "state": "up", "bytes": None, "last_error": None}
    try:
        cache = Cache(settings.redis)
        document["bytes"] = cache.ping()
        cache.close()
    except CacheAway as error:
        document |= {"state": "down", "last_error": str(error)}
    return document


def _alerts(folders: Folders, count: int) -> list[Document]:
    if not folders.desk.is_file():
        return []
    from sinks.ledger import Event, Ledger

    try:
        with Ledger(folders.desk) as ledger:
            return [event._replace(text=printable(event.text))._asdict() for event in ledger.events(count)]
    except DeskError as error:
        # On a full disk, say: all else of the status is wanted then more than ever.
        return [Event(time.time_ns(), "error", "ledger_away", "pq", str(error))._asdict()]


def _bytes(path: Path) -> int:
    """Size of a file with what SQLite keeps beside it, or of all files in a folder."""
    found = path.iterdir() if path.is_dir() else path.parent.glob(path.name + "*") if path.parent.is_dir() else ()
    total = 0
    for file in found:
        with suppress(OSError):
            total += file.stat().st_size
    return total


def _since(then_ns: Any, now_ns: int) -> float | None:
    return round(max(0, now_ns - then_ns) / 1e9, 3) if isinstance(then_ns, int) else None
