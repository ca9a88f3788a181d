"""Tells Prefect of gaps that ingest has noticed, so that they are healed at once and not with the next scan.

Ingest knows nothing of Prefect: it notes a gap in the ledger, and this watches the ledger. An event that is lost (the
server restarts, this process is killed) costs minutes: the scheduled scan finds the gap all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from history.partial_bars import REASON as PARTIAL
from sinks.ledger import Gap, GapState, Ledger

GAP_EVENT: Final = "pocketquant.gap.noticed"
LOOK_S: Final = 1.0
"""How often the ledger is asked whether anything was written; that costs microseconds."""
REST_S: Final = 20.0
"""Gaps that come faster than this ring together: each ring is a process of its own for seconds."""
SYMBOLS_TOLD: Final = 50

Document = dict[str, Any]
Post = Callable[[Document], Awaitable[None]]


class GapBell:
    """Rings once for each gap that is over, together with those that are over in the same moment."""

    def __init__(self, ledger: Ledger, post: Post, monotonic: Callable[[], float], now_ns: Callable[[], int]) -> None:
        """Begin with the gaps that are there now: the next scan has those.

        Args:
            ledger: A connection of its own.
            post: Sends an event to Prefect.
            monotonic: Seconds.
            now_ns: For the event's time.
        """
        self._ledger = ledger
        self._post = post
        self._monotonic = monotonic
        self._now_ns = now_ns
        self._known = {_ending(gap) for gap in self._over()}
        self._waiting: list[Gap] = []
        self._rested = float("-inf")

    async def run(self) -> None:
        """Watch for good.

        Raises:
            DeskError: The ledger cannot be read.
            Exception: As `post` does; what it was to tell is told when this is called again.
        """
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ring if there is a reason, and the last ring is a while ago."""
        if await asyncio.to_thread(self._ledger.changed):
            over = await asyncio.to_thread(self._over)
            self._waiting += [gap for gap in over if _ending(gap) not in self._known]
            self._known = {_ending(gap) for gap in over}
        if self._waiting and self._monotonic() >= self._rested:
            await self._post(event(self._waiting, self._now_ns()))
            self._waiting = []
            self._rested = self._monotonic() + REST_S

    def _over(self) -> list[Gap]:
        gaps = self._ledger.gaps(state=GapState.OPEN)
        # Those about partial bars are noted by the healer itself, which is at work on them.
        return [gap for gap in gaps if gap.end is not None and gap.reason != PARTIAL]


def _ending(gap: Gap) -> tuple[int, int | None]:
    """What makes a gap another one: it may come to a later end when more of it is noticed."""
    return gap.id, gap.end


def event(gaps: Collection[Gap], now_ns: int) -> Document:
    """The event that tells of gaps, in the form of Prefect's API."""
    symbols = sorted({str(gap.symbol) for gap in gaps})
    return {
        "id": str(uuid4()),
        "occurred": datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat(),
        "event": GAP_EVENT,
        "resource": {"prefect.resource.id": "pocketquant.desk", "prefect.resource.name": "gap ledger"},
        "payload": {
            "gaps": len(gaps),
            "symbols": symbols[:SYMBOLS_TOLD],
            "reasons": sorted({gap.reason for gap in gaps}),
        },
    }
