"""`python -m infra.health NAME`: exit 0 if the process of that name wrote its status in the last 15 seconds.

What a container's health check asks: a process that hangs still has a pid, but no longer a fresh status.
"""

import sys
import time
from pathlib import Path
from typing import Final

from infra.settings import load_settings
from infra.status import read_status
from market.errors import DeskError

FRESH_S: Final = 15.0


def unhealthy(path: Path, *, now_ns: int) -> str | None:
    """Why the process that writes `path` is not healthy, `None` if it is."""
    status = read_status(path)
    if status is None:
        return f"{path.name} is not there to be read: the process has not started, or was stopped"
    age_s = (now_ns - int(status.get("written_ns", 0))) / 1e9
    if age_s > FRESH_S:
        return f"{path.name} is {age_s:.0f} s old, more than {FRESH_S:.0f}: the process hangs or has died"
    return None


def main(arguments: list[str]) -> int:
    """Check one process; the reason goes to standard error."""
    if len(arguments) != 1:
        print("usage: python -m infra.health ingest|bars|paper", file=sys.stderr)  # noqa: T201
        return 2
    try:
        reason = unhealthy(load_settings().folders.status_file(arguments[0]), now_ns=time.time_ns())
    except DeskError as error:
        reason = str(error)
    if reason:
        print(reason, file=sys.stderr)  # noqa: T201
    return 1 if reason else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
