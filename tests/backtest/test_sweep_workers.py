"""Workers that hang, end or are interrupted are named, and leave nothing; mapped bars are the bars that were read."""

import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ran.running import loops
from ran.sweeping import BTC, evaluator, planned, swept, waves, written

from backtest import evaluator as evaluating
from backtest.preparing import prepare
from backtest.simulating import CHUNK
from backtest.stream import CHANGE, RATE, SPLIT, stream
from backtest.trying import WHOLE, Trier
from backtest.worker_processes import keep_stream, kept_stream
from market.actions import Action, ActionKind
from market.adjustment import Cut
from market.errors import DeskError
from market.intervals import Interval
from market.sessions import calendar_for
from strategies.interface import Needs
from strategies.loader.files import find

HANGS = """import time


def decide(state, bar, p):
    # A thread cannot be stopped: this one ends by itself, after the test.
    end = time.monotonic() + 12
    while p.length == 3 and time.monotonic() < end:
        time.sleep(0.01)
    return 1.0
"""
KILLED = """import os


def decide(state, bar, p):
    if p.length == 3:
        os.kill(os.getpid(), 9)
    return 1.0
"""
PLAIN = """import decimal


def decide(state, bar, p):
    return float(decimal.Decimal(p.length % 2))
"""
SLOW = """import decimal


def decide(state, bar, p):
    return float(decimal.Decimal(sum(range(500)) % p.length % 2))
"""


def split_stream():
    """A stream of bars whose strategy sees other prices than they traded at."""
    series = waves(60)
    action = Action(BTC, int(series.bars["start"][20]) // (86_400 * 10**9), ActionKind.SPLIT, 2.0, "", "test")
    cut = Cut(int(series.bars["start"][20]), 0.5, 2.0, action)
    return stream(
        {(BTC, Interval.D1): series.bars}, [BTC], Interval.D1, {BTC: calendar_for(BTC)}, {BTC: [cut]}, {BTC: [cut]}
    )


def test_each_chunk_of_bars_is_a_sign_of_life():
    """Many bars take longer than anybody waits for a strategy that hangs on one."""
    series, strategy, seen = waves(40_000), find("buy-and-hold"), []
    prepared = prepare(planned(strategy), Needs(), lambda *_: series)
    shown = prepared.shown()
    trier = Trier(strategy, prepared, lambda _intervals: shown, loops(), None)
    trier.figures({}, WHOLE, lambda: seen.append(len(seen)))

    assert len(seen) == math.ceil(40_000 / CHUNK) == 3


@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["processes", "threads"])
def test_a_strategy_that_hangs_is_named_with_its_parameters(worth, monkeypatch):
    monkeypatch.setattr(evaluating, "WORTH_S", worth)
    began = time.monotonic()
    with pytest.raises(DeskError, match=r"strategy written with length=3 has not come back for 2 s: look for a loop"):
        swept({"length": "1:6"}, written(HANGS), jobs=2, patience_s=2.0)

    assert time.monotonic() - began < 60


@pytest.mark.parametrize("worth", [0.0, 1e9], ids=["processes", "threads"])
def test_who_does_not_want_to_wait_any_more_raises_and_all_ends(worth, monkeypatch, tmp_path):
    """Also while the strategy is in hand and nothing comes of it."""
    monkeypatch.setattr(evaluating, "WORTH_S", worth)
    monkeypatch.setattr(evaluating.tempfile, "tempdir", str(tmp_path))
    strategy, told = written(HANGS), []

    def tell(step, share):
        told.append((step, share))
        if len(told) > 3 and told[-1] == told[-2]:
            raise InterruptedError

    chosen = [strategy.read_parameters({"length": length}) for length in (1, 3, 3)]
    with pytest.raises(InterruptedError), evaluator(strategy, waves(), jobs=2) as bench:
        bench.try_all(chosen, tell=tell)

    assert list(tmp_path.iterdir()) == []
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_said(monkeypatch):
    """As the kernel does where memory is short."""
    monkeypatch.setattr(evaluating, "WORTH_S", 0.0)
    with pytest.raises(DeskError, match="a process of the sweep has ended by signal 9"):
        swept({"length": "2:5"}, written(KILLED), jobs=2)


@pytest.mark.parametrize(("strategy", "space"), [(None, {"fast": "2:8:3", "slow": "5,20"}), (PLAIN, {"length": "1:6"})])
def test_processes_find_what_threads_find_and_end_with_their_work(strategy, space, monkeypatch, tmp_path):
    """Compiled and plain; neither threads, processes nor files are left."""
    used = None if strategy is None else written(strategy)
    before = set(threading.enumerate())
    alone = swept(space, used)
    monkeypatch.setattr(evaluating, "WORTH_S", 0.0)
    monkeypatch.setattr(evaluating.tempfile, "tempdir", str(tmp_path))
    apart = swept(space, used, jobs=2)

    assert alone.run.outcome.mode == ("compiled" if strategy is None else "plain")
    assert alone.candidates.parameters == apart.candidates.parameters
    assert alone.candidates.figures.equals(apart.candidates.figures, null_equal=True)
    assert np.array_equal(alone.candidates.daily, apart.candidates.daily)
    assert list(tmp_path.iterdir()) == []
    assert multiprocessing.active_children() == []
    deadline = time.monotonic() + 30
    while {thread for thread in threading.enumerate() if thread.name.startswith("sweep-")} - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_ends_all_and_writes_nothing(tmp_path):
    """The terminal sends it to every process of the sweep."""
    lines = ["start,open,high,low,close,volume"]
    lines += [f"{1_577_836_800 + 3_600 * hour},100,101,99,{99.5 + hour % 2},1" for hour in range(40_000)]
    (tmp_path / "bars.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "home" / "strategies").mkdir(parents=True)
    (tmp_path / "home" / "strategies" / "slow.py").write_text(written(SLOW).source)
    command = [
        *(sys.executable, "-m", "pocketquant", "sweep", "slow", "--symbol", str(BTC), "--interval", "1h"),
        *("--file", tmp_path / "bars.csv", "--param", "length=1:100", "--jobs", "2"),
        *("--data-dir", tmp_path / "home"),
        *("--output", tmp_path / "out"),
    ]
    began = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("pocketquant-sweep-*/*")):
        assert began.poll() is None, began.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(began.pid, signal.SIGINT)
    out, err = began.communicate(timeout=60)

    # Python ends by the signal itself where it came amid an exec() of text; a shell calls both 130.
    assert began.returncode in {130, -signal.SIGINT}
    assert "Traceback" not in out + err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("pocketquant-sweep-*"))


def test_a_mapped_stream_is_the_stream_that_was_written(tmp_path):
    """Both footings of what was split, and what happens between bars."""
    shown = split_stream()
    series, strategy = waves(60), find("sma-cross")
    prepared = prepare(planned(strategy), Needs(), lambda *_: series)
    keep_stream(tmp_path, "own", shown)
    found = kept_stream(tmp_path, "own", prepared)

    assert found.symbols == shown.symbols
    for name in ("views", "seen", "own", "factor", "sessions", "changes"):
        assert getattr(found, name).dtype == getattr(shown, name).dtype, name
        assert getattr(found, name).tobytes() == getattr(shown, name).tobytes(), name
    assert found.views.flags.writeable
    assert len(found.changes) == 1
    assert (found.seen["close"] != found.views["close"]).sum() == 40


@given(st.integers(0, 59), st.integers(0, 60))
def test_a_part_of_a_stream_has_the_bars_between_and_the_rates_known_by_then(first, last):
    """Against the slow rule: what would have been set had all before been gone through."""
    shown = split_stream()
    rates = np.zeros(3, CHANGE)
    rates["row"], rates["value"], rates["kind"], rates["place"] = [0, 10, 40], [1.1, 1.2, 1.3], RATE, 1
    changes = np.concatenate([rates, shown.changes])
    shown = shown._replace(changes=changes[np.argsort(changes["row"], kind="stable")])
    times = shown.views["start"]
    end = int(times[last]) if last < len(times) else int(shown.views["end"][-1])
    part = shown.between(int(times[first]), end)

    assert np.array_equal(part.views, shown.views[first:last])
    assert np.array_equal(part.seen, shown.seen[first:last])
    if first >= last:
        return
    known = [value for row, value in zip([0, 10, 40], [1.1, 1.2, 1.3], strict=True) if row <= first]
    later = [(row - first, value) for row, value in zip([10, 40], [1.2, 1.3], strict=True) if first < row < last]
    found = [(int(one["row"]), float(one["value"])) for one in part.changes if one["kind"] == RATE]
    assert found == [(0, known[-1]), *later]
    splits = [int(one["row"]) for one in part.changes if one["kind"] == SPLIT]
    assert splits == ([20 - first] if first < 20 < last else [])
