"""The simulated exchange as a process of its own, for tests that ask it for history."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


@contextmanager
def simulated_exchange(folder, *options):
    """`python -m sources.simulated`; its address, `ws://127.0.0.1:...`."""
    port = folder / "port.json"
    command = [sys.executable, "-m", "sources.simulated", "--port-file", str(port), *options]
    with subprocess.Popen(command, cwd=HOUSE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not (port.is_file() and port.read_text()):
                assert time.monotonic() < deadline, "the exchange never listened"
                time.sleep(0.01)
            yield json.loads(port.read_text())["url"]
        finally:
            process.terminate()
