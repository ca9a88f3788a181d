"""Schedules of exchanges, kept as arrays beside a desk's data: built once for each version of their library."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

from market.sessions import FIRST_DAY, LAST_DAY, Schedule, keep_schedules

_FORM: Final = 1
"""Of the files; a change of what is in them is another number."""
_NAMES: Final = ("open", "close", "day")


def keep_in(folder: Path) -> None:
    """Have this process read schedules that were built before from a folder, and write those that it builds."""
    keep_schedules(KeptSchedules(folder))


class KeptSchedules:
    """A `keep` for `market.sessions.keep_schedules`. A file that is damaged, or cannot be written, costs time only."""

    def __init__(self, folder: Path) -> None:
        """Nothing is created before a schedule is built.

        Args:
            folder: Where the files are; made if its parent is there.
        """
        self._folder = folder

    def __call__(self, code: str, build: Callable[[], Schedule]) -> Schedule:
        """The schedule of one exchange, from its file or built."""
        import numpy as np

        name = f"{code}-{version('exchange_calendars')}-{FIRST_DAY:%Y}-{LAST_DAY:%Y}-{_FORM}.npz"
        path = self._folder / name
        # The file's own checksums tell whether it is whole.
        with suppress(OSError, EOFError, ValueError, KeyError, BadZipFile), np.load(path, allow_pickle=False) as arrays:
            opens, closes, days = (arrays[key] for key in _NAMES)
            return opens, closes, days
        schedule = build()
        self._write(path, schedule)
        return schedule

    def _write(self, path: Path, schedule: Schedule) -> None:
        import numpy as np

        if not self._folder.parent.is_dir():
            return
        aside = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.new")
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            try:
                with aside.open("wb") as file:
                    opens, closes, days = schedule
                    np.savez(file, open=opens, close=closes, day=days)
                aside.replace(path)
            finally:
                aside.unlink(missing_ok=True)
