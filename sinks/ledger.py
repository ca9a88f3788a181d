"""The desk's ledger: all that its processes and its user tell each other, beside ticks and bars, in one SQLite file."""

from typing import TYPE_CHECKING

from market.symbols import Symbol
from sinks.ledger_alerts import Alerts, Event, PriceAlert
from sinks.ledger_gaps import Gap, Gaps, GapState, NewGap
from sinks.ledger_progress import ConsumerPosition, FeedState, Progress, Replay
from sinks.ledger_rejects import Reject, RejectCount, Rejects
from sinks.ledger_subscriptions import Subscription, Subscriptions

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "ConsumerPosition",
    "Event",
    "FeedState",
    "Gap",
    "GapState",
    "Ledger",
    "NewGap",
    "PriceAlert",
    "Reject",
    "RejectCount",
    "Replay",
    "Subscription",
]


class Ledger(Gaps, Rejects, Subscriptions, Alerts, Progress):
    """Gaps, rejects, subscriptions, events, price alerts, positions, replays and feeds.

    Any number of processes may have it open; each call is one short transaction that waits for others' and is never
    dropped. All times are ns UTC and come from the caller.
    """

    def gaps_frame(self, symbol: Symbol | None = None) -> "pl.DataFrame":
        """Gaps by start: exchange, symbol, start, end, reason, state, healed_by, noticed_at."""
        from sinks.ledger_frames import gaps_frame

        return gaps_frame(self.gaps(symbol))

    def rejects_frame(self, limit: int | None = None) -> "pl.DataFrame":
        """Rejects, newest first: received_time, source, reason, exchange, symbol, seq, place, detail."""
        from sinks.ledger_frames import rejects_frame

        return rejects_frame(self.rejects(limit))
