"""What `pq up` shows, drawn from status files as the processes write them."""

import io
import os
import time

from rich.console import Console

from infra.settings import load_settings
from infra.status import StatusFile
from pocketquant.commands.status import describe
from pocketquant.desk_status import gather
from pocketquant.screen import LiveView, PlainView
from sinks.ledger import Event, Ledger

SECOND = 10**9
FEED = {
    "name": "sim",
    "state": "up",
    "kind": "trades",
    "rate": 49.5,
    "latency_ms": 0.8,
    "reconnects": 2,
    "last_error": None,
}


def running(folders, *, feed_state="up", written_ns=None):
    """Status files of a desk whose processes are this one, held by nobody."""
    now = time.time_ns()
    ingest = {"feeds": [{**FEED, "state": feed_state, "last_message_ns": now - 3 * SECOND}], "journal": {"seq": 77}}
    bars = {"journal": {"seq": 76, "lag_rows": 1, "lag_ms": 12.0}, "store": {"state": "up", "retries": 0}}
    for name, fields in (("ingest", ingest), ("bars", bars)):
        StatusFile(folders.status_file(name), name, now_ns=lambda: written_ns or now).write(fields)


def drawn(view):
    console = Console(file=io.StringIO(), width=150, force_terminal=False)
    console.print(view.draw())
    return console.file.getvalue()


def test_status_merges_what_the_processes_say(folders):
    """Without a supervisor (in containers) a fresh status is what tells that a process runs."""
    running(folders)
    settings = load_settings(folders.data_dir, environ={})
    status = gather(settings)

    assert [(entry["name"], entry["pid"], entry["state"]) for entry in status["processes"]] == [
        ("redis", None, "stopped"),
        ("ingest", os.getpid(), "running"),
        ("bars", os.getpid(), "running"),
    ]
    (feed,) = status["feeds"]
    assert 3 <= feed.pop("last_message_age_s") < 5
    assert feed == FEED
    assert status["journal"]["seq"] == 77
    assert (status["store"]["state"], status["store"]["lag_rows"]) == ("up", 1)
    text = describe(status)
    assert "sim  up  49.5 ticks/s" in text
    assert "1 rows (12 ms) behind" in text


def test_what_a_dead_process_said_last_is_not_passed_off_as_now(folders):
    """Its feed is down, however well it was when it died."""
    running(folders, written_ns=time.time_ns() - 60 * SECOND)
    status = gather(load_settings(folders.data_dir, environ={}))

    assert {entry["state"] for entry in status["processes"]} == {"stopped"}
    assert (status["feeds"][0]["state"], status["feeds"][0]["rate"]) == ("down", 0.0)
    assert status["store"]["lag_rows"] is None


def test_the_screen_says_when_all_is_made_up(folders):
    """Simulated prices must not be taken for real ones."""
    running(folders)
    settings = load_settings(folders.data_dir, environ={})
    simulated = drawn(LiveView(settings, ["sim"], Console(file=io.StringIO())))
    real = drawn(LiveView(settings, ["kraken"], Console(file=io.StringIO())))

    assert "SIMULATED" in simulated
    assert "SIMULATED" not in real
    for word in ("ingest", "49.5", "journal row 77", "Redis is away"):
        assert word in simulated


def test_plain_lines_tell_of_each_change_once(folders):
    lines = []
    settings = load_settings(folders.data_dir, environ={})
    view = PlainView(settings, lambda line: lines.append(line.partition(" ")[2]))
    running(folders)
    view.show()
    view.show()
    running(folders, feed_state="down")
    view.show()

    assert lines == [
        "redis stopped",
        f"ingest running (pid {os.getpid()})",
        f"bars running (pid {os.getpid()})",
        "sim feed up",
        "feeds: sim up 49.5/s; journal row 77, bars 12 ms behind; Redis down",
        "sim feed down",
    ]


def test_plain_lines_tell_of_each_event_once(folders):
    """A price alert or a feed gone stale is news where there is no screen to see it on, too; last week's is not."""
    with Ledger(folders.desk) as ledger:
        ledger.note_event(Event(time.time_ns() - SECOND, "warning", "feed_stale", "ingest", "of an earlier desk"))
    lines = []
    view = PlainView(load_settings(folders.data_dir, environ={}), lambda line: lines.append(line.partition(" ")[2]))
    with Ledger(folders.desk) as ledger:
        for text in ("SIM:BTCUSD traded at 2", "SIM:ETHUSD traded at 3"):
            ledger.note_event(Event(time.time_ns(), "warning", "price_alert", "ingest", text))
    view.show()
    view.show()

    told = [line for line in lines if "stopped" not in line]
    assert told == ["price_alert SIM:BTCUSD traded at 2", "price_alert SIM:ETHUSD traded at 3"]


def test_what_runs_on_paper_is_said_where_it_runs(folders):
    """On the screen, in the plain lines and in `pq status`; a desk without it says nothing of it."""
    running(folders)
    settings = load_settings(folders.data_dir, environ={})
    assert gather(settings)["paper"] is None
    assert "paper" not in describe(gather(settings)).replace(str(folders.data_dir), "")

    fields = {
        "runs": {"running": 2, "stopped": 0, "failed": 1}, "preparing": "",
        "journal": {"seq": 76, "lag_rows": 3, "lag_ms": 8.0},
        "store": {"state": "away", "retries": 4, "last_error": "paper book is locked"},
    }  # fmt: skip
    StatusFile(folders.status_file("paper"), "paper").write(fields)

    document = gather(settings)
    assert document["paper"]["state"] == "trading"
    assert document["paper"]["runs"] == {"running": 2, "stopped": 0, "failed": 1}
    assert ("paper", os.getpid(), "running") in [
        (one["name"], one["pid"], one["state"]) for one in document["processes"]
    ]
    line = next(line for line in describe(document).splitlines() if line.startswith("paper "))
    assert line.split("  ")[-4:] == ["2 running, 1 failed", "3 rows (8 ms) behind", "4 retries", "paper book is locked"]
    screen = drawn(LiveView(settings, ["kraken"], Console(file=io.StringIO())))
    assert "paper 2 running, 1 failed" in screen
    assert "paper book is locked" in screen
    lines = []
    PlainView(settings, lines.append).show()
    assert any(line.endswith("Redis down; paper 2 running, 1 failed") for line in lines)

    StatusFile(folders.status_file("paper"), "paper").write({"runs": {}})
    assert "no runs" in describe(gather(settings))
    assert gather(settings)["paper"]["state"] == "idle"


def test_where_the_flows_are_watched_is_said_once_they_are(folders):
    """On the screen, in the plain lines and in `pq status`; with the reason if it is not the port that was set."""
    running(folders)
    settings = load_settings(folders.data_dir, environ={})
    assert gather(settings)["flows"] is None

    prefect = {"url": "http://127.0.0.1:4201", "port": 4201, "wanted_port": 4200}
    StatusFile(folders.status_file("prefect"), "prefect").write(prefect)
    StatusFile(folders.status_file("flows"), "flows").write({"running": ["heal", "sync-all"]})
    where = "started and watched at http://127.0.0.1:4201 (port 4200 is in use; flows.port sets another)"
    assert where in drawn(LiveView(settings, ["kraken"], Console(file=io.StringIO()))).replace("\n", " ")
    lines = []
    view = PlainView(settings, lines.append)
    view.show()
    view.show()
    assert [line.partition(" ")[2] for line in lines].count(f"flows {where}") == 1
    assert "2 running: heal, sync-all" in describe(gather(settings))
