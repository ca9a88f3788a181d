"""When session reports run: after each close, by the calendars; no cron line knows of holidays and half days.

The next closes are planned as runs of their own, visible in the UI as what comes, each once: its key in Prefect's
database is the close itself. A run that is planned while the desk is off is late when it is on again, and runs then.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID

import numpy as np

from history.session_report import SETTLE_NS
from market.intervals import MINUTE_NS
from market.sessions import Calendar, calendar_for
from market.symbols import Symbol

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

AHEAD_NS: Final = 4 * 86_400 * 10**9
"""Over a long weekend something is planned, too."""
LOOK_S: Final = 60.0
"""How often it is looked whether a symbol of another exchange was registered."""
EVERY_S: Final = 6 * 3600.0
"""How often the plan is made anyway."""
AFTER_NS: Final = 10**9
"""A run that came in the very moment in which its report is due would find that it is not."""


class Close(NamedTuple):
    """The end of one exchange's session."""

    exchange: str
    end: int
    """ns; last close of the day."""

    @property
    def run_at(self) -> int:
        """When its report runs, ns."""
        return self.end + SETTLE_NS + AFTER_NS


def calendars(symbols: Iterable[Symbol]) -> dict[str, Calendar]:
    """The calendar of each exchange, by its first symbol.

    Raises:
        DeskError: An exchange has none.
    """
    found: dict[str, Calendar] = {}
    for symbol in sorted(symbols):
        if symbol.exchange not in found:
            found[symbol.exchange] = calendar_for(symbol)
    return found


def upcoming(by_exchange: Mapping[str, Calendar], now_ns: int, ahead_ns: int = AHEAD_NS) -> list[Close]:
    """Closes from now on, soonest first.

    Args:
        by_exchange: From `calendars`.
        now_ns: The present moment.
        ahead_ns: How far to look.

    >>> from market.sessions import calendar
    >>> day = 86_400 * 10**9
    >>> [close.end // day for close in upcoming({"SIM": calendar("24/7")}, 20_000 * day, 2 * day)]
    [20000, 20001, 20002]
    """
    found = []
    for exchange, calendar in by_exchange.items():
        first = np.searchsorted(calendar.day_end, -(-now_ns // MINUTE_NS), side="left")
        after = np.searchsorted(calendar.day_end, (now_ns + ahead_ns) // MINUTE_NS, side="right")
        # Both sessions of a day with a lunch break end their day together.
        ends = np.unique(calendar.day_end[first:after])
        found += [Close(exchange, int(end) * MINUTE_NS) for end in ends.tolist()]
    return sorted(found, key=lambda close: (close.end, close.exchange))


def closes_of(symbols: Sequence[Symbol], now_ns: int) -> list[Close]:
    """Closes of the exchanges of some symbols; run in a process of its own, for calendars bring 100 MB with them.

    Raises:
        DeskError: An exchange has no calendar.
    """
    return upcoming(calendars(symbols), now_ns)


async def plan(client: "PrefectClient", deployment: UUID, closes: Iterable[Close]) -> None:
    """Plan a run for each close; one that is planned already is left as it is.

    Args:
        client: Of the server.
        deployment: Of the flow.
        closes: What to plan.
    """
    from prefect.states import Scheduled

    for close in closes:
        # A day that ends at midnight is not the day that begins then.
        day = datetime.fromtimestamp((close.end - 1) // 10**9, UTC)
        await client.create_flow_run_from_deployment(
            deployment,
            parameters={"exchange": close.exchange},
            state=Scheduled(scheduled_time=datetime.fromtimestamp(close.run_at / 1e9, UTC)),
            name=f"session report {close.exchange} {day:%Y-%m-%d}",
            idempotency_key=f"session-report {close.exchange} {close.end}",
            tags=["pocketquant", "by-calendar"],
        )
