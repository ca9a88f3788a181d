"""A user's morning: start the desk, look at it, stop it, start it again, and find the bars continued."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PQ = [sys.executable, "-m", "pocketquant"]
ROOT = Path(__file__).resolve().parents[1]
BTC = "SIM:BTCUSD"


@pytest.fixture
def told():
    """What the user is notified of, and the address that he is notified at."""
    heard = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Nothing on the test's terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield heard, f"json://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def environ(tmp_path, told):
    """No setting of the machine's, a quick close, and no page of metrics on a port that someone may use."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POCKETQUANT_")}
    for name in ("MONGODB_URI", "REDIS_URL"):
        kept.pop(name, None)
    return kept | {
        "POCKETQUANT_DATA_DIR": str(tmp_path / "desk"),
        "POCKETQUANT_METRICS_PORT": "0",
        "POCKETQUANT_GRACE_S": "1",
        "POCKETQUANT_NOTIFY": told[1],
    }


@pytest.fixture
def pq(environ):
    """Run a command as a process of its own, which must succeed, and decode what it prints."""

    def run(*arguments):
        done = subprocess.run(
            [*PQ, *arguments, "--json"], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return json.loads(done.stdout)

    return run


@pytest.fixture
def up(environ, tmp_path):
    """Start the desk as a user does; whatever is left of it ends with the test."""
    started = []

    def start():
        # The flows have a test of their own (tests/flows); this one shows that a desk is whole without them.
        command = [*PQ, "up", "--feed", "sim", "--without", "flows"]
        with (tmp_path / "up.txt").open("a") as lines:
            process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=lines, stderr=lines)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def until(look, what, seconds):
    """Ask again and again, as a user would, until there is an answer."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.25)
    return found


def test_a_desk_is_started_read_stopped_and_continued(pq, up, environ, told, tmp_path):
    """Quotes, forming and closed bars come from the CLI; SIGTERM is exit 0; the bars go on where they stopped.

    And a price alert set meanwhile reaches the user's own address, and a strategy trades on paper.
    """
    desk = up()
    until((tmp_path / "desk" / "run").exists, "the data folder", 20)

    def running():
        status = pq("status")
        states = {entry["name"]: entry["state"] for entry in status["processes"]}
        feeds = [(feed["name"], feed["state"]) for feed in status["feeds"]]
        wanted = dict.fromkeys(("redis", "simulated", "ingest", "bars", "paper"), "running")
        return status if states == wanted and feeds == [("sim", "up")] else None

    first = until(running, "all runs", 60)
    assert first["supervisor"]["pid"] == desk.pid
    assert first["redis"]["state"] == "up"

    (quote,) = until(lambda: pq("quotes", BTC), "a quote", 30)
    assert quote["bid"] is None or quote["bid"] <= quote["ask"]
    assert quote["age_s"] < 60

    def forming(interval):
        bars = pq("bars", BTC, interval, "--state", "forming")
        return bars[0] if bars else None

    subprocess.run([*PQ, "alert", "add", BTC, "above", "1"], env=environ, cwd=ROOT, check=True, timeout=60)
    notice = until(lambda: [one for one in told[0] if BTC in one["message"]], "a notification", 30)[0]
    assert notice["title"] == "PocketQuant: price_alert 1"

    # The first minute is partial, since nothing is known of it before the subscription.
    command = [
        "paper",
        "start",
        "buy-and-hold",
        "--symbol",
        BTC,
        "--interval",
        "1m",
        "--partial-bars",
        "--lot",
        "0.001",
    ]
    started = subprocess.run(
        [*PQ, *command], env=environ, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60
    )
    run = started.stdout.strip()

    minute = until(lambda: forming("1m"), "a forming minute", 30)
    assert minute["low"] <= minute["close"] <= minute["high"]

    def over():
        return [bar for bar in pq("bars", BTC, "1m") if bar["start"] == minute["start"] and bar["state"] != "forming"]

    (closed,) = until(over, "the minute is over", 90)
    # Nothing is known of the first minute before the subscription, so its bar is over, but not whole; nor is the second
    # if the subscription took from the one to the other.
    *_, second, first_minute = [None, *pq("bars", BTC, "1m")]
    assert (first_minute["state"], first_minute["revision"]) == ("partial", 1)
    assert closed["revision"] == 1
    assert closed["state"] == "closed" or closed in (first_minute, second)
    assert closed["trades"] >= minute["trades"]
    assert closed["open"] == minute["open"]

    (fill,) = until(lambda: pq("paper", "fills", run), "the strategy buys", 30)
    (signalled,) = pq("paper", "signals", run)[:1]
    (order,) = pq("paper", "orders", run)
    assert (fill["side"], fill["client_id"], order["state"]) == ("buy", order["client_id"], "filled")
    assert order["placed_at"] == signalled["time"] < fill["time"]
    assert order["row"] == signalled["row"] < fill["row"]
    assert (fill["row"], fill["price"]) in [(tick["seq"], tick["price"]) for tick in pq("ticks", BTC)]
    subprocess.run([*PQ, "paper", "stop", run, "--flatten"], env=environ, cwd=ROOT, check=True, timeout=60)

    def killed():
        (found,) = pq("paper", "status", run)
        return found if found["state"] == "killed" else None

    paper = until(killed, "everything is sold", 30)
    (trade,) = pq("paper", "trades", run)
    assert (paper["positions"], trade["size"], trade["entry_price"]) == ([], fill["units"], fill["price"])
    assert paper["equity"] == pytest.approx(10_000 + trade["pnl"], abs=1e-6)

    desk.send_signal(signal.SIGTERM)
    assert desk.wait(timeout=60) == 0
    stopped = pq("status")
    assert {entry["state"] for entry in stopped["processes"]} == {"stopped"}

    flushed = forming("1M")
    assert flushed is not None, "the shutdown writes what is forming into the store"
    ticks = sum(1 for _ in pq("ticks", BTC))
    assert flushed["trades"] == ticks

    again = up()
    until(running, "all runs again", 60)

    def continued():
        month = forming("1M")
        return month if month is not None and month["trades"] > flushed["trades"] else None

    month = until(continued, "the month goes on", 60)
    assert (month["start"], month["open"]) == (flushed["start"], flushed["open"])
    assert month["high"] >= flushed["high"]
    assert month["low"] <= flushed["low"]
    assert month["volume"] > flushed["volume"]

    # The kill switch survives the restart.
    assert killed()["equity"] == paper["equity"]
    assert len(pq("paper", "orders", run)) == 2

    again.send_signal(signal.SIGINT)
    assert again.wait(timeout=60) == 0
    assert forming("1M")["trades"] == sum(1 for _ in pq("ticks", BTC))
