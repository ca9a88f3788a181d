"""A note of work in hand outlives nobody: the process that has it in hand is known beyond doubt."""

import doctest
import os
import subprocess
import sys

import sinks.process_token
from sinks.process_token import is_alive, pid_of, this_process


def test_a_process_is_alive_until_it_ends():
    """And a killed one that nobody has waited for yet is not: it will never finish what it had in hand."""
    script = "from sinks.process_token import this_process; print(this_process(), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    token = child.stdout.readline().strip()

    assert pid_of(token) == child.pid
    assert is_alive(token)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(token), "a zombie works no more"
    child.communicate()
    assert not is_alive(token)


def test_a_pid_that_was_given_again_is_another_process():
    boot, pid, start = this_process().rsplit(":", 2)

    assert not is_alive(f"{boot}:{pid}:{int(start) - 1}")
    assert not is_alive(f"0{boot}:{pid}:{start}")


def test_what_is_no_token_is_nobody():
    assert not any(map(is_alive, ("", "::", "a:b:c", "1:99999999:1")))


def test_its_examples_are_true():
    assert doctest.testmod(sinks.process_token).failed == 0
