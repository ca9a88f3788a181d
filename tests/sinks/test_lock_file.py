"""One process at a time does a piece of work, and its death frees it."""

import subprocess
import sys
import time

import pytest

from market.errors import DeskError
from sinks.lock_file import BusyError, LockFile

HOLD = "import sys, time; from pathlib import Path; from sinks.lock_file import LockFile\n"
HOLD += "lock = LockFile(Path(sys.argv[1]), 'healing'); print('held', flush=True); time.sleep(600)"


def test_the_second_is_told_who_is_first(tmp_path):
    path = tmp_path / "run" / "heal.lock"
    first = LockFile(path, "healing")
    with pytest.raises(BusyError, match=r"process \d+ is healing on this desk already"):
        LockFile(path, "healing")
    first.close()
    LockFile(path, "healing").close()


def test_a_killed_holder_holds_nothing(tmp_path):
    path = tmp_path / "heal.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=f"process {holder.pid} is healing"):
            LockFile(path, "healing")
        holder.kill()
    deadline = time.monotonic() + 30
    while True:
        try:
            LockFile(path, "healing").close()
        except BusyError:
            assert time.monotonic() < deadline
        else:
            break


def test_a_folder_that_cannot_be_made_gets_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeskError, match="cannot be made"):
        LockFile(tmp_path / "file" / "heal.lock", "healing")
