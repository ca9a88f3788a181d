"""A running desk: the feeds chosen, the symbols subscribed, the processes supervised, the alerts raised."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from infra.logs import logger
from infra.metrics import Metrics, serve
from infra.notify import Notifier
from infra.settings import Settings
from market.errors import DeskError
from market.symbols import Symbol, parse_symbol
from pocketquant import processes
from pocketquant.alarms import Alarms
from pocketquant.feed_choice import feed_for
from pocketquant.hold import Hold
from pocketquant.provider_gauges import ProviderGauges
from pocketquant.query_gauges import QueryGauges
from pocketquant.supervisor import Supervisor
from sinks.ledger import Ledger

if TYPE_CHECKING:
    from pocketquant.screen import View

Say = Callable[[str], None]

SIMULATED: Final = "SIMULATED: the prices are made up; they are kept under exchange SIM, apart from real data"


class Desk:
    """One data folder, as `pq up` runs it."""

    def __init__(self, settings: Settings, config: Path | None) -> None:
        self._settings = settings
        self._config = config

    def held(self) -> Hold:
        """The right to run this folder, for a `with` block."""
        return Hold(self._settings.folders)

    def choose_feeds(self, say: Say) -> list[str]:
        """The feeds to run, `auto` resolved to what can be reached.

        Raises:
            DeskError: A feed is asked for that has not been opted in.
        """
        feeds = self._settings.feeds
        if feeds == ["auto"]:
            from dataflows.ingest.probe import choose_feed

            feeds = [choose_feed()]
            unheard = "no venue that needs no key can be reached from here, so the desk runs on "
            say(f"feed auto: {unheard if feeds == ['sim'] else ''}{feeds[0]}")
        if "tradingview" in feeds:
            from sources.tradingview import TERMS

            if not self._settings.tradingview.enabled:
                msg = (
                    "feed tradingview is off: its terms forbid redistribution, so it runs only where the settings say "
                    f"so; put `[tradingview]` and `enabled = true` into {self._settings.folders.config}"
                )
                raise DeskError(msg)
            say(TERMS)
        if "sim" in feeds:
            say(SIMULATED)
        return feeds

    def subscribe(self, feeds: Sequence[str], symbols: Sequence[Symbol], say: Say) -> None:
        """Note the symbols that the command line asks for, and those of the settings that these feeds carry.

        A feed for which nobody ever asked for any begins with some of its own, which is ingest's to say.

        Raises:
            DeskError: None of the feeds carries a symbol of the command line; nothing is noted then.
        """
        now = time.time_ns()
        wanted = {symbol: feed_for(symbol, feeds) for symbol in symbols}
        for text in self._settings.symbols:
            symbol = parse_symbol(text)
            try:
                wanted[symbol] = feed_for(symbol, feeds)
            except DeskError as error:
                # The settings may name symbols of a venue that is out of reach today.
                say(str(error))
        with Ledger(self._settings.folders.desk) as ledger:
            ledger.subscribe_all(wanted, now)

    def run(self, feeds: list[str], view: "View", exit_after_s: float | None) -> int:
        """Supervise until a signal comes or the time is over; the exit code."""
        settings = self._settings
        metrics = Metrics("supervisor")
        served = serve(metrics, settings.metrics_port)
        notifier = Notifier([address.get_secret_value() for address in settings.notify])
        alarms = Alarms(settings.folders.desk, notifier, metrics)
        if served is None and settings.metrics_port:
            text = (
                f"metrics port {settings.metrics_port} is in use, so the supervisor serves no page of metrics: set "
                "metrics_port to another, or to 0 for none"
            )
            alarms.sound("port_in_use", "supervisor", text)
        gauges = ProviderGauges(settings, metrics)
        queries = QueryGauges(settings, metrics)

        def step() -> None:
            _count(metrics, supervisor)
            gauges.update()

        supervisor = Supervisor(
            processes.specs(settings, feeds, self._config),
            settings.folders,
            stop_order=processes.STOP_ORDER,
            secrets=settings.secrets(),
            facts={"feeds": feeds, "simulated": "sim" in feeds},
            on_event=alarms.sound,
            on_step=step,
        )
        logger().info("desk starts", feeds=feeds, data_dir=str(settings.folders.data_dir), pid=os.getpid())
        view.start()
        try:
            return supervisor.run(exit_after_s)
        finally:
            # The screen goes first: what is said after it must be readable. The terminal may be gone.
            with suppress(OSError):
                view.close()
            notifier.close()
            gauges.close()
            if served is not None:
                served.close()
            queries.close()
            _clear_run(settings)
            logger().info("desk stopped")


def _count(metrics: Metrics, supervisor: Supervisor) -> None:
    for child in supervisor.children:
        metrics.child_up.labels(child=child.name).set(child.pid is not None)
        counter = metrics.restarts.labels(child=child.name)
        counter.inc(child.restarts - counter._value.get())  # noqa: SLF001  # The client has no other way to read one.


def _clear_run(settings: Settings) -> None:
    """Take away what only means something while the desk runs."""
    with suppress(OSError):
        settings.folders.redis_socket.unlink(missing_ok=True)
        settings.folders.simulated_url.unlink(missing_ok=True)
