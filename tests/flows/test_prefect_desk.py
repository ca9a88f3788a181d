"""The desk with its flows, as a newcomer has it: `pq up`, Prefect's own server, forms submitted to its API.

One desk serves all tests here, in their order: its start alone is twenty seconds.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from flows.deployments import table
from infra.folders import Folders
from infra.status import read_status
from pocketquant.processes import free_port

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
PQ = [sys.executable, "-m", "pocketquant"]
PATIENCE_S = 180
"""Of each wait: a busy machine starts a run in half a minute."""
SYMBOLS = ["SIM:BTCUSD", "SIM:ETHUSD", "SIM:SOLUSD"]
DAYS = 60
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def until(look, what):
    """Ask again and again, as a user would, until there is an answer."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.2)
    return found


class Desk:
    """A desk that runs, its CLI, and its Prefect server's API."""

    def __init__(self, folder):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("POCKETQUANT_", "PREFECT_"))}
        for name in ("MONGODB_URI", "REDIS_URL"):
            kept.pop(name, None)
        self.environ = kept | {
            "POCKETQUANT_DATA_DIR": str(folder / "desk"),
            "POCKETQUANT_METRICS_PORT": "0",
            "POCKETQUANT_FLOWS__PORT": str(free_port()),
            # Whoever uses Prefect elsewhere has this in his shell.
            "PREFECT_API_URL": "http://127.0.0.1:9/api",
        }
        self.folders = Folders(folder / "desk")
        self.lines = (folder / "up.txt").open("a")
        self.process = subprocess.Popen(
            [*PQ, "up", "--feed", "sim"], env=self.environ, cwd=ROOT, stdout=self.lines, stderr=self.lines
        )
        self.http = httpx.Client(base_url=f"{self.ui()}/api", timeout=60)

    def pq(self, *arguments):
        """What a command says, decoded."""
        done = subprocess.run(
            [*PQ, *arguments, "--json"], env=self.environ, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    def pid(self, name):
        """Of one of its processes, once it runs."""

        def running():
            # As `pq status` reads it, without half a second for each look.
            status = read_status(self.folders.status_file("supervisor")) or {"processes": []}
            entries = [entry for entry in status["processes"] if entry["name"] == name]
            return entries and entries[0]["state"] == "running" and entries[0]["pid"]

        return until(running, f"{name} runs")

    def ui(self):
        """Where the flows are watched, once they are served."""
        self.pid("flows")
        return self.pq("status")["flows"]["ui"]

    def find(self, what, **query):
        """Rows of a table of Prefect's."""
        answer = self.http.post(f"/{what}/filter", json=query)
        answer.raise_for_status()
        return answer.json()

    def submit(self, flow, **changes):
        """Submit the form of a flow, as it is filled but for some fields; the API's answer."""
        deployment = self.http.get(f"/deployments/name/{flow}/{flow}").json()
        parameters = deployment["parameters"] | changes
        return self.http.post(f"/deployments/{deployment['id']}/create_flow_run", json={"parameters": parameters})

    def run(self, number):
        """A run as it stands."""
        return self.http.get(f"/flow_runs/{number}").json()

    def finish(self, number):
        """A run that has ended."""
        return until(lambda: (run := self.run(number))["state_type"] in ENDED and run, "the run ends")

    def runs_process(self, number):
        """The process of a run."""
        return next(
            child
            for child in psutil.Process(self.pid("flows")).children()
            if child.environ().get("PREFECT__FLOW_RUN_ID") == number
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """The desk; whatever is left of it ends with the tests."""
    made = Desk(tmp_path_factory.mktemp("prefect"))
    yield made
    if made.process.poll() is None:
        made.process.send_signal(signal.SIGTERM)
        made.process.wait(timeout=PATIENCE_S)
    made.http.close()
    made.lines.close()


def test_what_is_to_run_by_itself_is_planned(desk):
    """Health and UI look fine while the scheduler is dead, which is how Prefect fails with a library too new for it."""
    names = {one["id"]: one["name"] for one in desk.find("deployments")}
    entries = table([], datetime.now(UTC).date())
    assert set(names.values()) == {entry.flow.name for entry in entries}

    wanted = {entry.flow.name for entry in entries if entry.crons} | {"session-report", "nightly-backtests"}

    def planned():
        runs = desk.find("flow_runs", flow_runs={"state": {"type": {"any_": ["SCHEDULED"]}}})
        return Counter(names.get(run["deployment_id"]) for run in runs)

    until(lambda: wanted <= set(planned()), "a scheduled run of each flow with a schedule")
    until(lambda: planned()["heal"] >= 3, "the next runs of heal")


def test_a_page_from_elsewhere_cannot_start_flows(desk):
    """The server has no password: the browser says where a call comes from."""
    foreign = desk.http.post("/flow_runs/filter", json={}, headers={"Origin": "http://evil.example"})
    rebound = desk.http.get("/health", headers={"Host": "evil.example"})
    own = desk.http.get("/health", headers={"Origin": str(desk.http.base_url).removesuffix("/api/")})
    assert (foreign.status_code, rebound.status_code, own.status_code) == (403, 403, 200)
    page = httpx.get(desk.pq("status")["flows"]["ui"], follow_redirects=True)
    assert "connect-src 'self'" in page.headers["content-security-policy"]
    assert "<html" in page.text


def test_a_bad_value_is_refused_at_submit(desk):
    """Before there is a run of it."""
    answer = desk.submit("backfill", interval="7m")
    assert answer.status_code == 409
    assert "'7m' is not one of" in answer.json()["detail"]


def test_what_two_fields_say_together_fails_at_the_start_with_a_sentence(desk):
    """No schema can say that an end is after its start. The desk's own alerts tell of the run, too."""
    run = desk.finish(desk.submit("backfill", start="2026-02-01", end="2026-01-01").json()["id"])
    assert run["state_name"] == "Failed"
    assert "the end 2026-01-01T00:00:00Z is not after the start 2026-02-01T00:00:00Z" in run["state"]["message"]
    assert run["name"] == "backfill SIM:BTCUSD 1m 2026-02-01..2026-01-01"
    logs = until(lambda: desk.find("logs", logs={"flow_run_id": {"any_": [run["id"]]}}), "the log")
    assert not any("Traceback" in line["message"] for line in logs)
    assert any(one["name"] == "flow_failed" and run["name"] in one["text"] for one in desk.pq("status")["alerts"])


def test_a_backfill_killed_half_way_goes_on_where_it_was(desk):
    """One task a symbol; every bar once, and nothing fetched again that was noted."""
    start = (datetime.now(UTC) - timedelta(days=DAYS)).date().isoformat()
    first = desk.submit("backfill", symbols=SYMBOLS, start=start).json()["id"]

    def done():
        # None of a symbol whose chunks are not planned yet.
        return sum(one["chunks_done"] or 0 for one in desk.pq("backfill", "--status"))

    until(lambda: done() >= 4, "some chunks")
    desk.runs_process(first).kill()
    crashed = desk.finish(first)
    assert crashed["state_name"] == "Crashed"
    kept = done()
    assert 4 <= kept < len(SYMBOLS) * DAYS * 1440 // 5000, "killed half-way"

    again = desk.finish(desk.submit("backfill", symbols=SYMBOLS, start=start).json()["id"])
    assert again["state_name"] == "Completed", again["state"]["message"]
    tasks = until(
        lambda: len(found := desk.find("task_runs", flow_runs={"id": {"any_": [again["id"]]}})) >= 3 and found, "tasks"
    )
    assert sorted(task["name"] for task in tasks) == [f"backfill {symbol}" for symbol in SYMBOLS]

    # Of what is absent in the last days nothing is noted: a provider may still be about to have it.
    settled = (datetime.now(UTC) - timedelta(days=5)).date().isoformat()
    looked = desk.pq("coverage", "--interval", "1m", "--end", settled)
    held = {f"{one['exchange']}:{one['symbol']}": one for one in looked}
    for symbol in SYMBOLS:
        one = held[symbol]
        assert one["first"][:10] == start
        assert one["missing"] == 0, one
    artifacts = desk.find("artifacts", artifacts={"flow_run_id": {"any_": [again["id"]]}})
    assert {one["key"] for one in artifacts} == {"backfill", "backfill-progress"}
    (shown,) = (one["data"] for one in artifacts if one["key"] == "backfill")
    assert "![what is held, by day](data:image/png;base64," in shown


def test_a_backtest_starts_from_its_form_and_its_report_opens_beside_it(desk):
    """The form is filled but for the length of the bars; those of three days were fetched above."""
    start = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    run = desk.finish(desk.submit("backtest", interval="1m", start=start, parameters={"fast": 5}).json()["id"])
    assert run["state_name"] == "Completed", run["state"]["message"]
    assert run["name"] == "sma-cross SIM:BTCUSD 1m"
    (noted,) = desk.pq("report")
    assert run["state"]["message"].endswith(f"run {noted['run']}")

    (shown,) = desk.find("artifacts", artifacts={"flow_run_id": {"any_": [run["id"]]}})
    (link,) = re.findall(r"\[the whole report\]\((.*?)\)", shown["data"])
    page = httpx.get(f"{desk.pq('status')['flows']['ui']}{link}")
    assert page.status_code == 200
    assert "sandbox allow-scripts" in page.headers["content-security-policy"]
    assert "<h1>sma-cross fast=5 slow=30" in page.text


def test_a_strategy_that_is_none_is_refused_at_submit(desk):
    """The drop-down is made of the files that there are."""
    answer = desk.submit("backtest", strategy="sma-crss")
    assert answer.status_code == 409
    assert "'sma-crss' is not one of" in answer.json()["detail"]


def test_a_gap_is_healed_at_once(desk):
    """Ingest notes it in the ledger and knows nothing of Prefect; an event starts the run, not the schedule."""
    psutil.Process(desk.pid("ingest")).kill()

    def rung():
        runs = desk.find("flow_runs", flows={"name": {"any_": ["heal"]}}, limit=50)
        return [run for run in runs if (run["created_by"] or {}).get("type") == "AUTOMATION"]

    (run, *_) = until(rung, "a run of heal by a gap")
    assert run["parameters"] == {"wait_s": 75}


def test_a_server_that_is_killed_comes_back_and_the_flows_with_it(desk):
    """What ran is marked as cut off, for nobody runs it any more; ticks and bars never noticed."""
    flows, server, bars = desk.pid("flows"), desk.pid("prefect"), desk.pid("bars")
    cut = desk.submit("backfill", start="2015-01-01").json()["id"]
    until(lambda: desk.run(cut)["state_type"] == "RUNNING", "a run")
    psutil.Process(server).kill()

    def anew():
        return desk.pid("prefect") != server and desk.pid("flows") != flows

    until(anew, "both run anew")
    assert desk.pid("bars") == bars
    assert not psutil.pid_exists(flows)
    until(lambda: desk.http.get("/health").status_code == 200, "the server answers")
    assert desk.finish(cut)["state_type"] in {"CRASHED", "CANCELLED"}
    watched = desk.finish(desk.submit("watch").json()["id"])
    assert watched["state_name"] == "Completed", watched["state"]["message"]


def test_the_desk_ends_in_order_with_its_flows(desk):
    """The flows before their server, for without it they would wait for it."""
    processes = [psutil.Process(entry["pid"]) for entry in desk.pq("status")["processes"]]
    began = time.monotonic()
    desk.process.send_signal(signal.SIGTERM)
    assert desk.process.wait(timeout=PATIENCE_S) == 0
    print(f"the desk ended in {time.monotonic() - began:.1f} s")
    assert [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE] == []
