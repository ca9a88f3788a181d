"""Metrics for Prometheus, by name and help; served on the loopback address only.

`docs/metrics.md` lists them all, and a test holds that page and this file together.
"""

from threading import Thread
from typing import Literal
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.process_collector import ProcessCollector

from infra.logs import logger

Process = Literal["supervisor", "ingest", "bars", "paper"]

_LATENCY_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0)


class Metrics:
    """Every metric of the desk, and a registry of those that one process serves.

    Those of other processes can be touched all the same, but are not served: a page on which a foreign gauge stands at
    0 would say that the disk is full, or that bars are on time.

    `labels()` costs about a microsecond: hot loops bind their labels once and add in batches.
    """

    def __init__(self, process: Process | None = None) -> None:
        """Make them.

        Args:
            process: Whose page it is; None serves all.
        """
        self.registry = CollectorRegistry()

        def on(*pages: Process) -> CollectorRegistry | None:
            return self.registry if process is None or process in pages else None

        self.ticks = Counter("pocketquant_ticks", "Ticks journaled.", ["feed"], registry=on("ingest"))
        self.quotes = Counter("pocketquant_quotes", "Quotes journaled.", ["feed"], registry=on("ingest"))
        self.frames = Counter("pocketquant_frames", "Frames received from venues.", ["feed"], registry=on("ingest"))
        self.rejects = Counter(
            "pocketquant_rejects",
            "Frames and ticks refused, by reason.",
            ["source", "reason"],
            registry=on("ingest", "bars"),
        )
        self.duplicates = Counter(
            "pocketquant_duplicates", "Ticks dropped because their trade id was known.", ["feed"], registry=on("ingest")
        )
        self.reconnects = Counter("pocketquant_reconnects", "Connections made anew.", ["feed"], registry=on("ingest"))
        self.gaps = Counter("pocketquant_gaps", "Gaps noted in the ledger.", ["reason"], registry=on("ingest"))
        self.feed_up = Gauge(
            "pocketquant_feed_up", "1 while the feed delivers, else 0.", ["feed"], registry=on("ingest")
        )
        self.clock_skew = Gauge(
            "pocketquant_clock_skew_seconds", "Median of received minus event time.", ["feed"], registry=on("ingest")
        )
        self.latency = Histogram(
            "pocketquant_latency_seconds",
            "From the venue's stamp to the journal.",
            ["feed"],
            buckets=_LATENCY_S,
            registry=on("ingest"),
        )
        self.journal_seq = Gauge("pocketquant_journal_seq", "Newest row of the journal.", registry=on("ingest"))
        self.journal_commit = Histogram(
            "pocketquant_journal_commit_seconds", "Time of one commit.", buckets=_LATENCY_S, registry=on("ingest")
        )
        self.disk_free = Gauge(
            "pocketquant_disk_free_bytes", "Space left under the data folder.", registry=on("ingest")
        )
        self.queue = Gauge(
            "pocketquant_queue_depth", "What waits in a bounded queue.", ["queue"], registry=on("ingest", "bars")
        )
        self.lag_rows = Gauge(
            "pocketquant_lag_rows", "Journal rows that this process has yet to read.", registry=on("bars", "paper")
        )
        self.lag = Gauge(
            "pocketquant_lag_seconds",
            "Journal's clock minus the clock that this process reached.",
            registry=on("bars", "paper"),
        )
        self.closes = Counter("pocketquant_closes", "Bars closed (revision 1).", ["interval"], registry=on("bars"))
        self.revisions = Counter("pocketquant_revisions", "Bars sent out again.", ["interval"], registry=on("bars"))
        self.store_rows = Counter("pocketquant_store_rows", "Bars written to the store.", registry=on("bars"))
        self.store_write = Histogram(
            "pocketquant_store_write_seconds", "Time of one batch.", buckets=_LATENCY_S, registry=on("bars", "paper")
        )
        self.store_retries = Counter(
            "pocketquant_store_retries", "Writes tried again because the store was away.", registry=on("bars", "paper")
        )
        self.paper_runs = Gauge("pocketquant_paper_runs", "Paper runs, by state.", ["state"], registry=on("paper"))
        self.paper_equity = Gauge(
            "pocketquant_paper_equity", "Equity of a paper run, in its currency.", ["run"], registry=on("paper")
        )
        self.paper_decisions = Counter(
            "pocketquant_paper_decisions", "Decisions on closed bars.", ["strategy"], registry=on("paper")
        )
        self.paper_orders = Counter("pocketquant_paper_orders", "Orders placed.", ["strategy"], registry=on("paper"))
        self.paper_fills = Counter("pocketquant_paper_fills", "Fills.", ["strategy"], registry=on("paper"))
        self.redis_up = Gauge("pocketquant_redis_up", "1 while Redis answers, else 0.", registry=on("ingest", "bars"))
        self.redis_skips = Counter(
            "pocketquant_redis_skips", "Flushes skipped because Redis was away.", registry=on("ingest", "bars")
        )
        self.restarts = Counter("pocketquant_restarts", "Children started again.", ["child"], registry=on("supervisor"))
        self.child_up = Gauge(
            "pocketquant_child_up", "1 while the child runs, else 0.", ["child"], registry=on("supervisor")
        )
        self.alerts = Counter(
            "pocketquant_alerts",
            "Alerts raised, by name.",
            ["alert"],
            registry=on("supervisor", "ingest", "bars", "paper"),
        )
        self.provider_up = Gauge(
            "pocketquant_provider_up",
            "1 while a provider of history is asked, 0 while it is left alone.",
            ["provider"],
            registry=on("supervisor"),
        )
        self.provider_calls_today = Gauge(
            "pocketquant_provider_calls_today",
            "Calls made to a provider of history since 00:00 UTC.",
            ["provider"],
            registry=on("supervisor"),
        )
        self.provider_left = Gauge(
            "pocketquant_provider_left",
            "What is left of a limit of a provider of history.",
            ["provider", "limit"],
            registry=on("supervisor"),
        )
        self.bar_queries = Gauge(
            "pocketquant_bar_queries",
            "Questions about bars since Redis started: hit where it had kept the answer, else miss.",
            ["result"],
            registry=on("supervisor"),
        )
        self.bar_query_hit_ratio = Gauge(
            "pocketquant_bar_query_hit_ratio",
            "Share of questions about bars whose answer Redis had kept.",
            registry=on("supervisor"),
        )


class Served:
    """A metrics page being served; `close` ends it."""

    def __init__(self, server: WSGIServer, thread: Thread) -> None:
        self._server = server
        self._thread = thread

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


def serve(metrics: Metrics, port: int) -> Served | None:
    """Serve the metrics on 127.0.0.1; a port that is taken is a warning in the log, and the process runs on without.

    Args:
        metrics: What to serve, with this process's memory, CPU time and open files.
        port: 1 to 65,535; 0 serves nothing.
    """
    if port == 0:
        return None
    ProcessCollector(registry=metrics.registry)
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=metrics.registry)
    except OSError as error:
        logger().warning("metrics port in use", port=port, reason=str(error), advice="set metrics_port to another")
        return None
    return Served(server, thread)
