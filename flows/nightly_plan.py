"""When the nightly backtests run: at 17:00 in New York on each day that its exchanges trade, half days included.

No cron line knows of holidays, and none in UTC of the change of the clocks.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from flows.calendar_runs import Planned
from market.sessions import calendar

CALENDAR: Final = "XNYS"
ZONE: Final = ZoneInfo("America/New_York")
AT: Final = time(17)
AHEAD_NS: Final = 5 * 86_400 * 10**9
"""Over the longest weekend something is planned, too."""

_DAY_1970: Final = date(1970, 1, 1)


def upcoming(now_ns: int, ahead_ns: int = AHEAD_NS) -> list[Planned]:
    """Runs from now on, soonest first; made in a process of its own, for a calendar brings 100 MB with it.

    Args:
        now_ns: The present moment.
        ahead_ns: How far to look.
    """
    days = np.unique(calendar(CALENDAR).day)
    first = night_of(now_ns)
    last = night_of(now_ns + ahead_ns)
    found = []
    for day in days[(days >= (first - _DAY_1970).days) & (days <= (last - _DAY_1970).days)].tolist():
        night = _DAY_1970 + timedelta(days=day)
        run_at = int(datetime.combine(night, AT, ZONE).timestamp()) * 10**9
        if now_ns <= run_at <= now_ns + ahead_ns:
            found.append(Planned(f"nightly backtests {night}", f"nightly-backtests {night}", run_at, {}))
    return found


def night_of(now_ns: int) -> date:
    """The date in New York.

    >>> night_of(1_767_315_600 * 10**9)  # 2026-01-02 01:00 UTC
    datetime.date(2026, 1, 1)
    """
    return datetime.fromtimestamp(now_ns // 10**9, UTC).astimezone(ZONE).date()
