"""How often Redis had kept the answer to a question about bars, on the supervisor's page of metrics."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from infra.metrics import Metrics
from infra.settings import Settings

if TYPE_CHECKING:
    from sinks.query_cache import Hits

_EVERY_S: Final = 1.0
"""The page shows several figures at a time, of one look at Redis."""


class QueryGauges:
    """Figures that are looked up when the page is asked for, by the thread that serves it."""

    def __init__(self, settings: Settings, metrics: Metrics, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Have the page ask; nothing is opened yet.

        Args:
            settings: Of the desk.
            metrics: Where the figures go.
            monotonic: Seconds of a clock that never falls.
        """
        from sinks.query_cache import Hits, QueryCache

        self._cache = QueryCache(settings.redis, settings.store)
        self._monotonic = monotonic
        self._hits = Hits(0, 0)
        self._looked = float("-inf")
        metrics.bar_queries.labels(result="hit").set_function(lambda: self._now().hits)
        metrics.bar_queries.labels(result="miss").set_function(lambda: self._now().misses)
        metrics.bar_query_hit_ratio.set_function(self._ratio)

    def close(self) -> None:
        """Let go of the connection."""
        self._cache.close()

    def _ratio(self) -> float:
        hits, misses = self._now()
        return hits / (hits + misses) if hits + misses else float("nan")

    def _now(self) -> "Hits":
        """The counts; the last ones known while Redis is away."""
        now = self._monotonic()
        if now - self._looked >= _EVERY_S:
            self._looked = now
            self._hits = self._cache.hits() or self._hits
        return self._hits
