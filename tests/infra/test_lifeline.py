"""A child ends with its supervisor, by the kernel's signal and by its own watch."""

import os
import signal
import subprocess
import sys
import time

import pytest

from infra.lifeline import SUPERVISOR_PID
from infra.status import alive

PARENT = """
import os, subprocess, sys, time
os.environ["POCKETQUANT_SUPERVISOR_PID"] = str(os.getpid())
child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
HOLDING = "import infra.lifeline as l; {before}; l.hold(); print('held', flush=True); import time; time.sleep(600)"


def gone(pid, seconds=10.0):
    deadline = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() >= deadline:
            os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.01)
    return True


def orphan(*arguments):
    """Pid of a child whose supervisor was killed."""
    with subprocess.Popen([sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    return pid


@pytest.mark.parametrize(
    "before",
    [
        "pass",
        # Where the kernel sends nothing, the watch on the supervisor's pid does.
        "l._ask_kernel = lambda: None",
        # Where there are no handles of processes either, the parent's pid is polled.
        "l._ask_kernel = lambda: None; del l.os.pidfd_open; l._POLL_S = 0.05",
    ],
)
def test_an_orphan_ends(before):
    assert gone(orphan("-c", HOLDING.format(before=before)))


def test_a_program_that_is_not_ours_ends_too():
    """As Redis, which knows nothing of this."""
    code = "print('up', flush=True); import time; time.sleep(600)"
    assert gone(orphan("-m", "infra.lifeline", sys.executable, "-c", code))


def test_a_child_whose_supervisor_is_gone_already_does_not_start():
    """It died between the fork and the first line of the child."""
    environ = {**os.environ, SUPERVISOR_PID: "999999999"}
    code = "import infra.lifeline as l; l.hold(); print('runs')"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True)
    assert done.stdout == b""


def test_a_process_without_a_supervisor_is_left_alone():
    code = "import infra.lifeline as l; l.hold(); print('runs')"
    environ = {name: value for name, value in os.environ.items() if name != SUPERVISOR_PID}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True)
    assert done.stdout == b"runs\n"
