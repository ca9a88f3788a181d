"""Room on the disk: watched, and made by removing days of the journal that everyone has read."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dataflows.ingest.alarms import Alarms
from dataflows.ingest.clerk import Log
from market.errors import DeskError
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sinks.ledger_progress import ARCHIVE, PAPER

PRUNE_S: Final = 3600.0
PRUNE_LOW_S: Final = 60.0
"""How often old days are removed: always, and while room is short."""


class Housekeeping:
    """Looks after the disk that the data folder is on."""

    def __init__(
        self,
        folder: Path,
        journal: JournalWriter,
        ledger: Ledger,
        alarms: Alarms,
        log: Log,
        *,
        keep_days: float,
        min_free_bytes: int,
        now_s: Callable[[], float],
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        """Begin; the first removal is due at once.

        Args:
            folder: The journal's.
            journal: Removes its own old files.
            ledger: Knows how far everyone has read.
            alarms: Told when room gets short, and when it is not any more.
            log: Told what was removed.
            keep_days: Younger days stay unless room is short.
            min_free_bytes: Less is short.
            now_s: Seconds, monotone.
            free_bytes: Room left; asked of the disk unless given.
        """
        self.bytes = 0
        """Size of the journal."""
        self.free_bytes = 0
        """Room left."""
        self._folder = folder
        self._journal = journal
        self._ledger = ledger
        self._alarms = alarms
        self._log = log
        self._keep_days = max(1, round(keep_days))
        self._min_free_bytes = min_free_bytes
        self._now_s = now_s
        self._free = free_bytes or (lambda: shutil.disk_usage(folder).free)
        self._low = False
        self._pruned_s = float("-inf")

    async def look(self) -> None:
        """Measure, raise or end the alarm, and remove what is due in a thread of its own."""
        self.measure()
        low = self.free_bytes < self._min_free_bytes
        if low != self._low:
            self._low = low
            room = f"{self.free_bytes >> 20} MB are free where the journal is"
            if low:
                text = f"{room}, less than the {self._min_free_bytes >> 20} that should be: make room{self._waiting()}"
                self._alarms.sound("disk_low", text)
            else:
                self._alarms.sound("disk_low_over", f"{room} again", level="info")
        if self._now_s() - self._pruned_s >= (PRUNE_LOW_S if low else PRUNE_S):
            self._pruned_s = self._now_s()
            try:
                removed = await asyncio.to_thread(self._prune)
            except (DeskError, OSError) as error:
                self._log.warning("old days of the journal cannot be removed", reason=str(error))
                return
            if removed:
                self._log.info("old days of the journal removed", files=[path.name for path in removed])

    def measure(self) -> None:
        """Take the sizes."""
        try:
            self.free_bytes = self._free()
            self.bytes = sum(path.stat().st_size for path in self._folder.iterdir())
        except OSError as error:
            # A file may go while it is looked at.
            self._log.debug("journal not measured", reason=str(error))

    def _waiting(self) -> str:
        """That the archive or paper trading holds days back which all others have read; empty if neither does."""
        read = {one.consumer: one.previous for one in self._ledger.positions() if one.consumer != ARCHIVE}
        paper = read.get(PAPER)
        if paper is not None and any(paper < seq for seq in read.values()):
            return (
                f"; paper trading has come to row {paper} only, and days that its runs lack stay: start it with "
                "`pq up`, and end runs that are not wanted with `pq paper stop`"
            )
        archived = self._ledger.archived_seq()
        if archived is None or archived >= self._ledger.consumed_seq():
            return ""
        return f"; the archive has come to row {archived} only, and days that it lacks stay: run `pq archive`"

    def _prune(self) -> list[Path]:
        return self._journal.prune(
            self._keep_days,
            self._min_free_bytes,
            self._ledger.consumed_seq(),
            self._ledger.archived_seq(),
            free_bytes=self._free,
        )
