"""Loops on disk: machine code is kept between processes, and never that of another source."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from closed_bars import views

from market.intervals import Interval
from strategies.loader import loops as loops_module
from strategies.loader.decider import Decider
from strategies.loader.files import find, from_source
from strategies.loader.loops import KEPT

SCRIPT = """
import sys
from pathlib import Path
from market.intervals import Interval
from strategies.loader.decider import Decider
from strategies.loader.files import find
strategy = find("buy-and-hold")
decider = Decider(strategy, strategy.read_parameters(), ["SIM:A"], Interval.M1, Path(sys.argv[1]))
stats = getattr(decider._loop, "stats", None)
print(decider.mode, decider.why, *([len(stats.cache_hits), len(stats.cache_misses)] if stats else []))
"""


def started(folder, **environ):
    """What another process says of its loop."""
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        cwd=Path(__file__).resolve().parents[2],
        env={key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"} | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return found.stdout.strip()


def test_the_next_process_finds_the_machine_code(tmp_path):
    assert started(tmp_path / "loops") == "compiled  0 1"
    assert started(tmp_path / "loops") == "compiled  1 0"


def test_without_numba_all_is_plain(tmp_path):
    assert started(tmp_path / "loops", NUMBA_DISABLE_JIT="1") == "plain Numba is switched off"
    assert list(tmp_path.iterdir()) == []


def test_a_run_pinned_to_the_source_of_one_of_ours_does_not_take_its_loop_away(tmp_path):
    """Paper reads the text it began with; Numba keeps the name of the module, which other processes do not have."""
    strategy = find("buy-and-hold")
    pinned = from_source(strategy.name, strategy.path, strategy.source)
    assert Decider(pinned, pinned.read_parameters({}), ["SIM:A"], Interval.M1, tmp_path / "loops").mode == "compiled"
    assert started(tmp_path / "loops") == "compiled  0 1"


def a_strategy(number):
    """A strategy whose source is another for each number."""
    source = find("buy-and-hold").source + f"\nNUMBER = {number}\n"
    return from_source("numbered", Path("numbered.py"), source)


def test_another_source_is_another_loop_and_old_ones_go(tmp_path):
    """Only the newest versions of a strategy keep their machine code."""
    for number in range(KEPT + 3):
        path = Path(loops_module.compiled_loop(a_strategy(number), 1, tmp_path).py_func.__code__.co_filename)
        os.utime(path, ns=(number, number))
    assert len(list(tmp_path.glob("*.py"))) == KEPT
    assert path.is_file()


def test_a_loop_is_read_from_disk_once_a_process(tmp_path):
    """A sweep begins one strategy a hundred times."""
    strategy = find("buy-and-hold")
    first = loops_module.compiled_loop(strategy, 1, tmp_path)

    assert loops_module.compiled_loop(strategy, 1, tmp_path) is first
    assert loops_module.compiled_loop(strategy, 1, tmp_path / "another") is not first
    assert loops_module.compiled_loop(a_strategy(1), 1, tmp_path) is not first


def test_a_folder_that_cannot_be_written_costs_only_the_next_start(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    strategy = find("buy-and-hold")
    decider = Decider(strategy, strategy.read_parameters(), ["SIM:A"], Interval.M1, blocked)
    assert decider.mode == "compiled"
    assert decider.exposures(views([1.0])).tolist() == [1.0]


@pytest.mark.parametrize("orders", [False, True])
def test_an_empty_portion_is_decided(make, orders):
    decider = make("pair" if orders else "sma-cross")
    found = decider.requests(views([])) if orders else decider.exposures(views([]))
    assert len(found.orders if orders else found) == 0
