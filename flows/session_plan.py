"""When session reports run: after each close, by the calendars; no cron line knows of holidays and half days."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import numpy as np

from flows.calendar_runs import Planned
from history.session_report import SETTLE_NS
from market.intervals import MINUTE_NS
from market.sessions import Calendar, calendar_for
from market.symbols import Symbol

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

    @property
    def planned(self) -> Planned:
        """The run of its report; its key in Prefect's database is the close itself."""
        # A day that ends at midnight is not the day that begins then.
        day = datetime.fromtimestamp((self.end - 1) // 10**9, UTC)
        return Planned(
            f"session report {self.exchange} {day:%Y-%m-%d}",
            f"session-report {self.exchange} {self.end}",
            self.run_at,
            {"exchange": self.exchange},
        )


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


def reports_of(symbols: Sequence[Symbol], now_ns: int) -> list[Planned]:
    """Reports on the closes of some symbols' exchanges; run in a process of its own, for calendars bring 100 MB.

    Raises:
        DeskError: An exchange has no calendar.
    """
    return [close.planned for close in upcoming(calendars(symbols), now_ns)]
