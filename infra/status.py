"""What a running process says of itself: one small JSON file each, which `pq status` reads and merges.

Keys by process, all optional for a reader:

- every one: `process`, `pid`, `written_ns` (by `StatusFile`).
- `ingest`: `feeds`, a list of {`name`, `state` (`connecting` `up` `stale` `backoff` `refused` `stopped`), `kind`
  (`trades` or `conflated`), `url`, `symbols` (count), `ticks` (count), `rate` (ticks/s), `latency_ms` (median of
  received minus event time), `skew_ms`, `last_message_ns`, `reconnects`, `last_error`}; `journal` {`seq`, `bytes`,
  `free_bytes`, `last_error`}; `redis` {`state` (`up` or `down`), `last_error`}; `queue`.
- `bars`: `journal` {`seq`, `lag_rows`, `lag_ms`}; `store` {`state`, `url` without its password, `retries`,
  `last_error`}; `redis`; `closed`, `revisions`, `rejects`.
- `paper`: `journal` and `store` as those of `bars`; `runs`, how many by state; `preparing`.
- `supervisor`: `processes`, a list of {`name`, `pid`, `state` (`starting` `running` `backoff` `stopping` `stopped`),
  `started_ns`, `restarts`}; `feed`; `simulated`.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_BLOCK_BYTES: Final = 4096
"""What a disk gives a file at a time, at least."""


class StatusFile:
    """Writes one process's status, at most once in `every_s`, so that a hot loop may call `write` as it likes."""

    def __init__(
        self,
        path: Path,
        process: str,
        *,
        every_s: float = 1.0,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._aside = path.with_name(path.name + f".{os.getpid()}")
        self._process = process
        self._every_s = every_s
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._next = float("-inf")

    def due(self) -> bool:
        """Whether the next `write` would write; lets a caller skip gathering what it would say."""
        return self._monotonic() >= self._next

    def write(self, fields: Mapping[str, Any], *, force: bool = False) -> bool:
        """Write `fields` if one is due or `force`, and say whether it was written.

        The file is replaced whole, so a reader sees the old or the new one. On a disk without room it is overwritten
        where it is, for that is when a user wants to know. A disk that takes nothing at all is no reason for a process
        to die: the status is then simply old, which a reader sees by `written_ns`.
        """
        if not force and not self.due():
            return False
        self._next = self._monotonic() + self._every_s
        document = {"process": self._process, "pid": os.getpid(), "written_ns": self._now_ns(), **fields}
        content = json.dumps(document, default=str).encode()
        try:
            self._aside.write_bytes(content)
            self._aside.replace(self._path)
        except OSError:
            with suppress(OSError):
                self._aside.unlink()
            return self._overwrite(content)
        return True

    def _overwrite(self, content: bytes) -> bool:
        """Write into the room that the file has already; a reader in that moment may find no status."""
        try:
            file = os.open(self._path, os.O_WRONLY)
        except OSError:
            return False
        try:
            if len(content) > -(-os.fstat(file).st_size // _BLOCK_BYTES) * _BLOCK_BYTES:
                return False
            written = os.pwrite(file, content, 0)
            os.ftruncate(file, written)
        except OSError:
            return False
        finally:
            os.close(file)
        return written == len(content)

    def remove(self) -> None:
        """Take the file away: the process has ended by its own will."""
        for path in (self._path, self._aside):
            path.unlink(missing_ok=True)


def read_status(path: Path) -> dict[str, Any] | None:
    """The status written last, or None where there is none to be read."""
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def alive(pid: int) -> bool:
    """Whether a process of that pid exists (a zombie, which only waits to be reaped, does not count)."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True
