"""An exchange's schedule is built once, and is the same when it is read again."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from infra.kept_schedules import KeptSchedules, keep_in
from market.sessions import calendar, keep_schedules

HOUSE = Path(__file__).resolve().parents[2]
SCHEDULE = (np.array([10, 20]), np.array([15, 25]), np.array([0, 0]))


class Builder:
    """Counts how often a schedule is built."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        """Build it."""
        self.times += 1
        return SCHEDULE


@pytest.fixture
def build():
    return Builder()


def same(schedule):
    return all(np.array_equal(one, other) for one, other in zip(schedule, SCHEDULE, strict=True))


def test_it_is_built_once_for_each_exchange(tmp_path, build):
    keep = KeptSchedules(tmp_path / "cache")

    assert same(keep("XNYS", build))
    assert same(keep("XNYS", build))
    assert same(KeptSchedules(tmp_path / "cache")("XNYS", build))
    assert build.times == 1
    assert same(keep("XLON", build))
    assert build.times == 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no archive", None])
def test_a_damaged_file_is_built_again(tmp_path, build, damage):
    keep = KeptSchedules(tmp_path / "cache")
    keep("XNYS", build)
    (file,) = (tmp_path / "cache").iterdir()
    whole = bytearray(file.read_bytes())
    if damage is None:
        # One bit of a number.
        whole[whole.index(b"\x0a\x00\x00\x00\x00\x00\x00\x00")] ^= 1
    file.write_bytes(whole if damage is None else damage)

    assert same(keep("XNYS", build))
    assert build.times == 2
    assert same(keep("XNYS", build))
    assert build.times == 2, "and is whole again"


def test_a_folder_that_is_not_there_is_not_made(tmp_path, build):
    """Reading a desk that does not exist must not create it."""
    assert same(KeptSchedules(tmp_path / "desk" / "cache")("XNYS", build))
    assert not (tmp_path / "desk").exists()


def test_what_cannot_be_written_is_built_each_time(tmp_path, build):
    (tmp_path / "cache").write_text("a file where the folder would be")
    keep = KeptSchedules(tmp_path / "cache")

    assert same(keep("XNYS", build))
    assert same(keep("XNYS", build))
    assert build.times == 2


def test_a_calendar_that_was_kept_is_the_one_that_was_built(tmp_path):
    """Of a real exchange, with its lunch breaks; and its library is not imported any more."""
    script = (
        "import sys, pathlib; from infra.kept_schedules import keep_in; from market import sessions;"
        f"keep_in(pathlib.Path({str(tmp_path / 'cache')!r}));"
        "found = sessions.calendar('XHKG');"
        "print(len(found.open), int(found.open.sum()), int(found.week_end.sum()), 'pandas' in sys.modules)"
    )
    built, kept = (
        subprocess.run([sys.executable, "-c", script], cwd=HOUSE, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    expected = calendar("XHKG")
    numbers = f"{len(expected.open)} {int(expected.open.sum())} {int(expected.week_end.sum())}"
    assert (built.strip(), kept.strip()) == (f"{numbers} True", f"{numbers} False")


def test_nothing_is_kept_unless_a_process_says_so(tmp_path, build):
    keep_in(tmp_path / "cache")
    keep_schedules(None)

    calendar.__wrapped__("XWBO")

    assert not (tmp_path / "cache").exists()
