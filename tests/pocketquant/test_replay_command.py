"""`pq replay`: a file through the journal, the dataflow and the store, as a user calls it."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from dataflows.bars import running
from dataflows.bars.running import COMPILING
from pocketquant.hold import Hold

CSV = """event_time,price,size,aggressor,trade_id
2026-01-02T12:00:01Z,100.5,2,buy,1
2026-01-02T12:00:30.123456789Z,101.5,1,sell,2
2026-01-02T12:01:59Z,99.5,4,buy,3
"""
BARS = [
    # By hand: 100.5 x 2 + 101.5 = 302.5, and 99.5 x 4 = 398.
    ("2026-01-02T12:01:00Z", 99.5, 99.5, 99.5, 99.5, 4.0, 398.0, 1),
    ("2026-01-02T12:00:00Z", 100.5, 101.5, 100.5, 101.5, 3.0, 302.5, 2),
]
NUMBERS = ("start", "open", "high", "low", "close", "volume", "notional", "trades")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "ticks.csv"
    path.write_text(CSV)
    return path


def minutes(pq, data_dir):
    rows = pq("bars", "OKX:BTCUSDT", "1m", "--json", "--data-dir", data_dir).json()
    return [tuple(row[name] for name in NUMBERS) for row in rows]


def test_a_file_becomes_bars_and_twice_gives_the_same(pq, tmp_path, file):
    """Its ticks are known by the file's hash and the row."""
    data_dir = tmp_path / "desk"
    first = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--json", "--data-dir", data_dir)
    # On a machine that has never compiled them, the kernels are what a user waits for.
    assert (first.code, first.err.removesuffix(f"{COMPILING}\n")) == (0, "")
    assert (first.json()["known"], first.json()["journaled"]) == (False, 3)
    assert minutes(pq, data_dir) == BARS
    ticks = pq("ticks", "OKX:BTCUSDT", "--json", "--data-dir", data_dir).json()
    assert [tick["event_time"] for tick in ticks][1] == "2026-01-02T12:00:30.123456789Z"

    again = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", data_dir)
    assert again.code == 0
    assert "nothing new, all of its 3 ticks were journaled before" in again.out
    assert "1m 2" in again.out
    assert minutes(pq, data_dir) == BARS


def test_bars_of_another_feed_in_that_time_are_not_mixed_unless_forced(pq, tmp_path, file):
    data_dir = tmp_path / "desk"
    pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", data_dir)
    other = tmp_path / "other.csv"
    other.write_text(CSV.replace("99.5", "98.5"))

    refused = pq("replay", other, "--symbol", "OKX:BTCUSDT", "--data-dir", data_dir)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "--force" in refused.err
    assert "--data-dir" in refused.err
    assert minutes(pq, data_dir) == BARS

    assert pq("replay", other, "--symbol", "OKX:BTCUSDT", "--data-dir", data_dir, "--force").code == 0


def test_a_folder_in_use_is_refused(pq, desk, folders, file):
    with Hold(folders):
        answer = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", desk)
    assert answer.code == 1
    assert "a desk already runs" in answer.err


@pytest.mark.parametrize(
    ("text", "options", "names"),
    [
        (None, [], ["ticks.csv", "does not exist"]),
        ("", [], ["ticks.csv", "empty"]),
        ("a,b\n1,2\n", [], ["ticks.csv"]),
        (CSV, ["--format", "kraken-trades"], ["ticks.csv", "time_ms"]),
        (CSV, ["--feed", "kraken"], ["--feed", "captures"]),
    ],
    ids=["missing", "empty", "of another form", "not the form named", "feed of no capture"],
)
def test_a_file_that_cannot_be_replayed_is_named(pq, tmp_path, file, text, options, names):
    """And no data folder comes of it."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    answer = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk", *options)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert [name for name in names if name not in answer.err] == []
    assert not (tmp_path / "desk").exists()


def test_a_line_that_is_cut_off_is_a_reject_and_the_rest_is_read(pq, tmp_path, file):
    file.write_text(CSV + "2026-01-02T12:01:59")
    answer = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk")
    assert answer.code == 0
    assert "1 lines or ticks were refused" in answer.err
    assert minutes(pq, tmp_path / "desk") == BARS
    (reject,) = pq("rejects", "--json", "--data-dir", tmp_path / "desk").json()
    assert reject["source"].startswith("file:")


def test_a_tick_that_breaks_a_rule_is_a_reject_in_plain_numbers(pq, tmp_path, file):
    file.write_text(CSV + "2026-01-02T12:01:59Z,-1.5,2,sell,4\n")
    assert pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk").code == 0
    (reject,) = pq("rejects", "--json", "--data-dir", tmp_path / "desk").json()
    assert (reject["reason"], reject["symbol"]) == ("price_not_positive", "BTCUSDT")
    assert reject["detail"].endswith("event_time 1767355319000000000, price -1.5, size 2.0")


def test_a_frame_that_cannot_be_read_is_nobody_elses_and_a_capture_may_have_no_tick(pq, tmp_path):
    """The frame's own symbol is not known; the ticks after it are another's."""
    trade = {"symbol": "BTC/USD", "side": "buy", "price": 1.0, "qty": 1.0, "trade_id": 1, "ord_type": "limit",
             "timestamp": "2026-01-02T12:00:00.000000Z"}  # fmt: skip
    broken = json.dumps({"channel": "trade", "type": "update", "data": [{**trade, "price": "x"}]})
    whole = json.dumps({"channel": "trade", "type": "update", "data": [trade]})
    quiet = json.dumps({"channel": "heartbeat"})
    capture, desk = tmp_path / "frames.log", tmp_path / "desk"
    capture.write_text(f"1767355200.1: {broken}\n1767355200.2: {whole}\n")
    assert pq("replay", capture, "--format", "capture", "--feed", "kraken", "--data-dir", desk).code == 0
    (reject,) = pq("rejects", "--json", "--data-dir", desk).json()
    assert (reject["exchange"], reject["symbol"]) == (None, None)
    capture.write_text(f"1767355200.1: {quiet}\n")
    answer = pq("replay", capture, "--format", "capture", "--feed", "kraken", "--data-dir", desk)
    assert (answer.code, answer.out.partition(": ")[2]) == (0, "there is no tick in it\n")


def test_whose_ticks_they_are_has_to_be_said(pq, tmp_path, file):
    answer = pq("replay", file, "--data-dir", tmp_path / "desk")
    assert answer.code == 2
    assert "--symbol" in answer.err
    unknown = pq("replay", file, "--symbol", "NOWHERE:ABC", "--data-dir", tmp_path / "desk")
    assert unknown.code == 2
    assert "NOWHERE" in unknown.err


def test_who_waits_for_the_compiler_is_told(pq, tmp_path, file, monkeypatch):
    """The first replay on a machine takes half a minute before it does anything that can be seen."""
    told = threading.Event()
    monkeypatch.setattr(running, "COMPILING_S", 0.0)
    monkeypatch.setattr(running, "kernels", lambda: told.wait(5))
    running.settle_in(lambda _: told.set())
    assert told.is_set()

    monkeypatch.setattr(running, "kernels", lambda: time.sleep(0.5))
    answer = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk")
    assert (answer.code, answer.err) == (0, f"{COMPILING}\n")


def test_what_runs_on_the_folder_is_said_to_be_a_replay(pq, desk, folders):
    with Hold(folders, "replay"):
        table = pq("status", "--data-dir", desk)
        document = pq("status", "--json", "--data-dir", desk).json()
        refused = pq("up", "--feed", "sim", "--data-dir", desk)
    assert f"a replay writes into it (pid {os.getpid()})" in table.out
    assert (document["supervisor"]["pid"], document["supervisor"]["what"]) == (os.getpid(), "replay")
    assert {"redis", "ingest", "bars"} <= {entry["name"] for entry in document["processes"]}
    assert f"a replay already runs on {desk} (pid {os.getpid()})" in refused.err


NOISY = """
import os, sys
from pathlib import Path
from pocketquant.engine_noise import engine_noise
with engine_noise(Path(sys.argv[1])):
    os.write(2, b"thread panicked\\n")
    print("one line", file=sys.stderr)
os.write(2, b"after\\n")
print("done", file=sys.stderr)
"""


def test_what_the_engine_prints_by_itself_goes_to_a_file(tmp_path):
    """It prints a backtrace of its own at every error, which is no user's business."""
    log = tmp_path / "engine.log"
    done = subprocess.run([sys.executable, "-c", NOISY, log], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "one line\nafter\ndone\n"
    assert log.read_text() == "thread panicked\n"
