"""Ingest's metrics, brought up to date from its own counts: nothing is counted twice in the path of a tick."""

from collections.abc import Sequence
from typing import Any, Final

from dataflows.ingest.housekeeping import Housekeeping
from dataflows.ingest.service import Ingest
from sources.lane import LaneState

OBSERVED_MAX: Final = 200
"""Latencies put into the histogram at each report, evenly taken from the samples: each costs a microsecond."""


class Meters:
    """Moves counts into metrics. State: what was moved so far."""

    def __init__(self, metrics: Any, ingest: Ingest, housekeeping: Housekeeping, pipe: Any) -> None:
        """Begin.

        Args:
            metrics: `infra.metrics.Metrics`, handed in since this package does not know that one.
            ingest: Counts.
            housekeeping: Knows the disk.
            pipe: The connection to Redis.
        """
        self._metrics = metrics
        self._ingest = ingest
        self._housekeeping = housekeeping
        self._pipe = pipe
        self._moved: dict[tuple[Any, ...], int] = {}

    def update(self) -> None:
        """Move what was counted since the last time, and take the samples."""
        metrics, ingest = self._metrics, self._ingest
        for name, live in ingest.live.items():
            intake = ingest.intakes[name]
            self._add(metrics.ticks, intake.ticks, feed=name)
            self._add(metrics.quotes, intake.quotes, feed=name)
            self._add(metrics.duplicates, intake.duplicates, feed=name)
            self._add(metrics.frames, live.frames, feed=name)
            self._add(metrics.reconnects, live.reconnects, feed=name)
            for reason, count in intake.rejects.items():
                self._add(metrics.rejects, count, source=name, reason=reason)
            metrics.feed_up.labels(feed=name).set(live.state is LaneState.UP)
            median_ns = intake.skew.median_ns
            if median_ns is not None:
                metrics.clock_skew.labels(feed=name).set(median_ns / 1e9)
            samples, intake.latencies_ns = intake.latencies_ns, []
            _observe(metrics.latency.labels(feed=name), samples)
        for reason, count in ingest.gap_notes.counts.items():
            self._add(metrics.gaps, count, reason=reason)
        samples, ingest.recorder.commits_ns = ingest.recorder.commits_ns, []
        _observe(metrics.journal_commit, samples)
        metrics.journal_seq.set(ingest.journal.last_seq)
        metrics.disk_free.set(self._housekeeping.free_bytes)
        metrics.queue.labels(queue="mailbox").set(len(ingest.mailbox))
        metrics.queue.labels(queue="ledger").set(len(ingest.clerk))
        metrics.redis_up.set(self._pipe.socket_open)
        self._add(metrics.redis_skips, self._pipe.skipped)

    def _add(self, metric: Any, count: int, **labels: str) -> None:
        """Bring a counter to `count`, by what was added since the last time; a count that began anew adds all of it."""
        key = (id(metric), *sorted(labels.items()))
        before = self._moved.get(key, 0)
        self._moved[key] = count
        (metric.labels(**labels) if labels else metric).inc(count - before if count >= before else count)


def _observe(histogram: Any, samples_ns: Sequence[int]) -> None:
    step = max(1, len(samples_ns) // OBSERVED_MAX)
    for sample in samples_ns[::step]:
        histogram.observe(sample / 1e9)
