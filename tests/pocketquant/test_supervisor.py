"""The supervisor, with real little processes: backoff, order, forced ends, and no orphan after SIGKILL."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.folders import Folders
from infra.status import alive, read_status
from market.errors import DeskError
from pocketquant.children import LOOP_AFTER, Backoff, ChildSpec
from pocketquant.hold import Hold, running_pid, stop
from pocketquant.supervisor import Supervisor

QUICK = Backoff(base_s=0.02, cap_s=0.1, stable_s=60)

SLEEPER = "import infra.lifeline as l; l.hold(); import time; time.sleep(600)"
STUBBORN = (
    "import infra.lifeline as l, signal, sys, time; l.PATIENCE_S = 0.5; signal.signal(15, lambda *_: None); l.hold();"
    "open(sys.argv[1], 'w').close()\nwhile 1: time.sleep(1)"
)
NOTES_ITS_END = (
    "import sys, signal, time\n"
    "def end(*_):\n"
    "    open(sys.argv[1], 'a').write(sys.argv[2] + ' stopped\\n'); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, end)\n"
    "open(sys.argv[1], 'a').write(sys.argv[2] + ' started\\n')\n"
    "time.sleep(600)\n"
)


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "desk").create()


def python(name, code, *arguments, **options):
    return ChildSpec(name, lambda: [sys.executable, "-c", code, *map(str, arguments)], **options)


def until(condition, what, seconds=15.0):
    """Wait for a condition of another process, which has no event of ours to wait on."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)
    return found


def step_until(supervisor, condition, what):
    def turn():
        supervisor.step(time.monotonic())
        return condition()

    until(turn, what)


@pytest.fixture
def supervise(folders):
    """Make supervisors whose children surely end with the test."""
    made = []

    def make(specs, **options):
        supervisor = Supervisor(specs, folders, backoff=QUICK, rng=random.Random(1), **options)
        made.append(supervisor)
        return supervisor

    yield make
    for supervisor in made:
        for child in supervisor.children:
            child.kill()


def test_the_delay_grows_with_each_end_up_to_a_cap():
    """0.5 s doubled each time, of which the jitter takes at most half."""
    rng = random.Random(3)
    delays = [Backoff().delay_s(n, rng) for n in range(1, 2000)]

    assert all(0.5 * full <= got <= full for got, full in zip(delays, (0.5, 1, 2, 4, 8, 16, 30, 30), strict=False))
    assert max(delays) <= 30


def test_a_child_that_had_been_running_is_started_again_and_counted(supervise, folders):
    """A crash long after the start backs off too, and the restart is in the status."""
    supervisor = supervise([python("bars", SLEEPER)])
    (bars,) = supervisor.children
    step_until(supervisor, lambda: bars.state == "running", "bars runs")
    first = bars.pid
    os.kill(first, signal.SIGKILL)
    step_until(supervisor, lambda: bars.state == "backoff", "the crash is seen")
    assert bars.last_end == "signal SIGKILL"
    step_until(supervisor, lambda: bars.state == "running", "bars runs again")

    (entry,) = read_status(folders.status_file("supervisor"))["processes"]
    assert (entry["name"], entry["restarts"], entry["state"]) == ("bars", 1, "running")
    assert entry["pid"] == bars.pid != first


def test_a_restart_loop_is_one_named_event_and_never_given_up(supervise, folders):
    """Giving up would leave a desk dead for good after a store's short outage."""
    events = []
    supervisor = supervise(
        [python("ingest", "import sys; sys.exit('no disk password=hunter22')")],
        on_event=lambda *event: events.append(event),
    )
    (ingest,) = supervisor.children
    step_until(supervisor, lambda: ingest.restarts >= LOOP_AFTER + 2, "the loop goes on")

    ((name, subject, text),) = events
    assert (name, subject) == ("restart_loop", "ingest")
    assert "exit 1: no disk password=***" in text
    assert "hunter22" not in (folders.logs / "ingest.err.log").read_text()


def test_a_program_that_cannot_be_started_backs_off_like_any_other(supervise):
    supervisor = supervise([ChildSpec("redis", lambda: ["/nonexistent/redis-server"])])
    (redis,) = supervisor.children
    step_until(supervisor, lambda: redis.restarts >= 2, "it is tried again")
    assert "not started" in redis.last_end


def test_children_start_in_order_and_stop_in_theirs(supervise, tmp_path):
    """Redis is there before ingest; bars outlives ingest so that it flushes what ingest wrote last."""
    notes = tmp_path / "notes"
    notes.touch()

    def wrote(line):
        return lambda: line in notes.read_text()

    supervisor = supervise(
        [
            python(name, NOTES_ITS_END, notes, name, ready=wrote(f"{name} started"))
            for name in ("redis", "ingest", "bars")
        ],
        stop_order=("ingest", "bars", "redis"),
    )
    step_until(supervisor, lambda: all(child.state == "running" for child in supervisor.children), "all run")
    assert supervisor.run(exit_after_s=0) == 0
    assert notes.read_text().splitlines() == [
        *("redis started", "ingest started", "bars started"),
        *("ingest stopped", "bars stopped", "redis stopped"),
    ]


def test_a_child_that_never_gets_ready_holds_up_the_others_for_a_while_only(supervise):
    """Redis away must not keep ticks from being journaled."""
    supervisor = supervise([python("redis", SLEEPER, ready=lambda: False, ready_s=0.2), python("ingest", SLEEPER)])
    redis, ingest = supervisor.children
    supervisor.step(time.monotonic())
    assert ingest.state == "stopped"
    step_until(supervisor, lambda: ingest.state == "running", "ingest runs")
    assert redis.state == "starting"


def test_a_child_deaf_to_sigterm_is_killed_and_that_is_exit_1(supervise, tmp_path):
    ready = tmp_path / "ready"
    events = []
    supervisor = supervise(
        [python("bars", STUBBORN, ready, ready=ready.exists, stop_s=0.2)],
        on_event=lambda *event: events.append(event[:2]),
    )
    step_until(supervisor, lambda: supervisor.children[0].state == "running", "bars runs")
    pid = supervisor.children[0].pid
    assert supervisor.run(exit_after_s=0) == 1
    assert events == [("killed", "bars")]
    assert not alive(pid)


def test_a_child_starts_anew_when_the_one_it_stands_on_did(supervise):
    """A runner of flows that outlives its server loses touch with it; neither restart is a failure of the runner."""
    supervisor = supervise([python("prefect", SLEEPER), python("flows", SLEEPER, stands_on="prefect", stop_s=5)])
    prefect, flows = supervisor.children
    step_until(supervisor, lambda: flows.state == "running", "both run")
    first = flows.pid
    os.kill(prefect.pid, signal.SIGKILL)
    step_until(supervisor, lambda: flows.pid not in {first, None} and flows.state == "running", "flows runs anew")

    assert prefect.state == "running"
    assert flows.stood_on == prefect.pid
    assert (flows.restarts, flows.failures, flows.forced) == (1, 0, False)
    assert not alive(first)


def test_a_child_that_will_not_end_is_killed_before_it_starts_anew(supervise, tmp_path):
    """And that does not make the desk's own end a failure."""
    deaf = python("flows", STUBBORN, tmp_path / "ready", stands_on="prefect", stop_s=0.2)
    supervisor = supervise([python("prefect", SLEEPER), deaf])
    prefect, flows = supervisor.children
    step_until(supervisor, (tmp_path / "ready").exists, "flows ignores SIGTERM")
    first = flows.pid
    os.kill(prefect.pid, signal.SIGKILL)
    step_until(supervisor, lambda: flows.pid not in {first, None}, "flows runs anew")

    assert not alive(first)
    assert not flows.forced


def test_a_child_waits_for_the_one_it_stands_on(supervise):
    """However long that takes: without its server it could only fail."""
    prefect = python("prefect", SLEEPER, ready=lambda: False, ready_s=0.05)
    supervisor = supervise([prefect, python("flows", SLEEPER, stands_on="prefect")])
    step_until(supervisor, lambda: supervisor.children[0].ready(time.monotonic() + 1), "the wait for prefect is over")
    supervisor.step(time.monotonic())
    assert [child.state for child in supervisor.children] == ["starting", "stopped"]


RUN = """
import sys
from pathlib import Path
from infra.folders import Folders
from pocketquant.children import ChildSpec
from pocketquant.hold import Hold
from pocketquant.supervisor import Supervisor
folders = Folders(Path(sys.argv[1]))
specs = [ChildSpec(f"child{n}", lambda code=code: [sys.executable, "-c", code, sys.argv[2]], stop_s=2)
         for n, code in enumerate(sys.argv[3:])]
with Hold(folders):
    sys.exit(Supervisor(specs, folders).run())
"""


@pytest.fixture
def run_supervisor(folders, tmp_path):
    """A supervisor in a process of its own, as `pq up` is one."""
    started = []

    def run(*codes):
        process = subprocess.Popen([sys.executable, "-c", RUN, str(folders.data_dir), str(tmp_path / "up"), *codes])
        started.append(process)

        def all_run():
            status = read_status(folders.status_file("supervisor")) or {}
            entries = status.get("processes", [])
            return (
                status.get("pid") == process.pid and all(entry["state"] == "running" for entry in entries) and entries
            )

        return process, [entry["pid"] for entry in until(all_run, "the children run")]

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_with_exit_0(run_supervisor, folders, number):
    process, pids = run_supervisor(SLEEPER, SLEEPER)
    process.send_signal(number)
    assert process.wait(timeout=10) == 0
    assert [pid for pid in pids if alive(pid)] == []
    assert running_pid(folders) is None


def test_down_signals_and_waits(run_supervisor, folders):
    process, pids = run_supervisor(SLEEPER)
    assert stop(folders, 10) == (process.pid, "desk")
    assert not any(map(alive, pids))
    assert process.wait(timeout=10) == 0
    assert stop(folders, 10) is None


def test_a_second_supervisor_on_the_folder_is_refused_and_names_the_first(run_supervisor, folders):
    process, _ = run_supervisor(SLEEPER)
    with pytest.raises(DeskError, match=rf"already runs on .*\(pid {process.pid}\)"), Hold(folders):
        pass


def test_a_killed_supervisor_leaves_no_orphan(run_supervisor, folders, tmp_path):
    """Not even a child that ignores SIGTERM; and the folder can be taken again at once."""
    process, pids = run_supervisor(SLEEPER, STUBBORN)
    until((tmp_path / "up").exists, "the stubborn child ignores SIGTERM")
    process.kill()
    process.wait()

    until(lambda: not any(map(alive, pids)), "all children end")
    again, _ = run_supervisor(SLEEPER)
    assert running_pid(folders) == again.pid


def test_what_a_killed_supervisor_left_running_is_ended_before_the_next_starts(folders):
    """A child that has not ended yet holds the journal's lock. Known by its environment: a reused pid is left alone."""
    environ = {**os.environ, "POCKETQUANT_SUPERVISOR_PID": "999999999"}
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environ)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        until(lambda: b"POCKETQUANT" in Path(f"/proc/{orphan.pid}/environ").read_bytes(), "the orphan runs")
        entries = [{"name": name, "pid": child.pid} for name, child in (("a", orphan), ("b", stranger))]
        folders.status_file("supervisor").write_text(json.dumps({"pid": 999999999, "processes": entries}))

        with Hold(folders):
            pass

        assert not alive(orphan.pid)
        assert stranger.poll() is None
    finally:
        for child in (orphan, stranger):
            child.kill()
            child.wait()
