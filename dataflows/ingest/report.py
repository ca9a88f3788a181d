"""What ingest says of itself: its status, and the alarms that only the passing of time can raise."""

from collections.abc import Callable
from statistics import median
from typing import Any

from dataflows.ingest.housekeeping import Housekeeping
from dataflows.ingest.intake import Intake
from dataflows.ingest.service import Ingest
from market.ticks import NEVER
from sinks.ledger import FeedState
from sinks.redis_pipe import RedisPipe
from sources.live_feed import LiveFeed

_SET_BACK_NS = 1_000_000_000


class Reporter:
    """Gathers the status once in a while. State: what was said last, to tell rates and changes."""

    def __init__(
        self,
        ingest: Ingest,
        housekeeping: Housekeeping,
        pipe: RedisPipe,
        *,
        now_ns: Callable[[], int],
        now_s: Callable[[], float],
    ) -> None:
        """Begin.

        Args:
            ingest: What is reported.
            housekeeping: Knows the disk.
            pipe: The connection to Redis.
            now_ns: ns UTC.
            now_s: Seconds, monotone; the clock of rates.
        """
        self._ingest = ingest
        self._housekeeping = housekeeping
        self._pipe = pipe
        self._now_ns = now_ns
        self._now_s = now_s
        self._at_s = now_s()
        self._ticks: dict[str, int] = {}
        self._states: dict[str, str] = {}
        self._stale: set[str] = set()
        self._redis_up: bool | None = None

    def status(self) -> dict[str, Any]:
        """The status document (`infra.status` names its keys), after raising or ending the alarms that are due."""
        ingest = self._ingest
        now_s = self._now_s()
        past_s = max(now_s - self._at_s, 1e-9)
        self._at_s = now_s
        feeds = [self._feed(live, ingest.intakes[name], past_s) for name, live in ingest.live.items()]
        self._check_clock()
        up = self._pipe.socket_open
        if self._redis_up is not None and up != self._redis_up:
            if up:
                ingest.alarms.sound("redis_away_over", "Redis is back; quotes are shown again", level="info")
            else:
                ingest.alarms.sound("redis_away", f"Redis is away ({self._pipe.last_error}); no quotes are shown")
        self._redis_up = up
        return {
            "mode": "simulated" if "sim" in ingest.live else "live",
            "feeds": feeds,
            "unserved": [str(symbol) for symbol in ingest.roster.unserved],
            "journal": {
                "seq": ingest.journal.last_seq,
                "clock_ns": ingest.clock.last,
                "bytes": self._housekeeping.bytes,
                "free_bytes": self._housekeeping.free_bytes,
                "last_error": ingest.journal.checkpoint_error,
            },
            "ledger": {"waiting": len(ingest.clerk), "last_error": ingest.clerk.last_error or None},
            "redis": {"state": "up" if up else "down", "last_error": self._pipe.last_error or None},
            "queue": len(ingest.mailbox),
        }

    def _feed(self, live: LiveFeed, intake: Intake, past_s: float) -> dict[str, Any]:
        name = intake.feed
        ticks = intake.ticks
        rate = (ticks - self._ticks.get(name, ticks)) / past_s
        self._ticks[name] = ticks
        state = str(live.state)
        if self._states.get(name) != state:
            self._states[name] = state
            row = FeedState(name, state, self._now_ns(), live.reconnects, live.last_error)
            self._ingest.clerk.do(lambda ledger: ledger.note_feed(row))
        self._check_stale(live, name)
        skew = intake.skew.verdict()
        if skew.changed and skew.median_ns is not None:
            off = f"the median of received minus event time is {skew.median_ns / 1e9:.3f} s"
            if skew.alarm:
                text = f"{name}: {off}: this machine's clock or the venue's is wrong"
                self._ingest.alarms.sound("clock_skew", text, feed=name)
            else:
                self._ingest.alarms.sound("clock_skew_over", f"{name}: {off} again", feed=name, level="info")
        latencies = intake.latencies_ns
        return {
            "name": name,
            "state": state,
            "kind": intake.kind_name,
            "url": live.host,
            "symbols": len(live.symbols),
            "ticks": ticks,
            "quotes": intake.quotes,
            "rate": round(rate, 1),
            "latency_ms": round(median(latencies) / 1e6, 3) if latencies else None,
            "skew_ms": None if skew.median_ns is None else round(skew.median_ns / 1e6, 3),
            "last_message_ns": live.last_frame_ns or None,
            "reconnects": live.reconnects,
            "duplicates": intake.duplicates,
            "rejects": dict(intake.rejects),
            "last_error": live.last_error or None,
        }

    def _check_stale(self, live: LiveFeed, name: str) -> None:
        limit_s = self._ingest.rulebook.feed_stale_s
        heard = live.last_frame_ns or NEVER
        stale = bool(live.symbols) and self._now_ns() - heard > limit_s * 1e9
        if stale and name not in self._stale:
            self._stale.add(name)
            text = f"{name}: no message for more than {limit_s:g} s; {live.state}: {live.last_error or 'still open'}"
            self._ingest.alarms.sound("feed_stale", text, feed=name)
        elif not stale and name in self._stale:
            self._stale.discard(name)
            self._ingest.alarms.sound("feed_stale_over", f"{name}: messages come again", feed=name, level="info")

    def _check_clock(self) -> None:
        behind = self._ingest.clock.behind_ns
        if behind > _SET_BACK_NS:
            text = (
                f"this machine's clock is {behind / 1e9:.0f} s behind the journal's: it was set back, and ticks are "
                "stamped as received at the journal's last time until it has caught up"
            )
            self._ingest.alarms.sound("clock_set_back", text)
