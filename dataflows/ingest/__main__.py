"""The ingest process: `python -m dataflows.ingest --data-dir DIR [--feed NAME] [--symbol S] [--sim-url URL]`."""

import argparse
import asyncio
import gc
import random
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from dataflows.ingest import build
from dataflows.ingest.alarms import Alarms
from dataflows.ingest.cache_flow import CacheFlow
from dataflows.ingest.clerk import Clerk
from dataflows.ingest.feeds import first_subscriptions, make_feeds
from dataflows.ingest.housekeeping import Housekeeping
from dataflows.ingest.mailbox import Mailbox, MailboxSource
from dataflows.ingest.memory import recall
from dataflows.ingest.meters import Meters
from dataflows.ingest.received_clock import ReceivedClock
from dataflows.ingest.recorder import LIVE
from dataflows.ingest.report import Reporter
from dataflows.ingest.service import Ingest, Rulebook
from infra import lifeline, logs, metrics
from infra.notify import Notifier
from infra.settings import Settings, load_settings
from infra.status import StatusFile
from market.errors import DeskError
from market.journal_rows import CorruptRow
from market.sessions import calendar_for
from market.symbols import SymbolError, parse_symbol
from sinks.doorbell import Doorbell
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sinks.redis_pipe import RedisPipe
from sinks.redis_quotes import QuoteCache, RedisQuoteSink
from sources.feed import Feed
from sources.journal import JournalReader

PORT_AFTER: Final = 1
"""Ingest serves its metrics on the port after the supervisor's."""
REPORT_S: Final = 1.0
DISK_EVERY: Final = 10
"""The disk is looked at with every tenth report."""
SWITCH_S: Final = 0.00005
"""How long another thread may hold the network's up, each time that one makes a system call; Python's own 5 ms would be
seen in the latency, and half a millisecond still is."""


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dataflows.ingest", description="Writes venues' ticks down.")
    parser.add_argument("--data-dir", type=Path, help="the desk's data folder")
    parser.add_argument("--config", type=Path, help="pocketquant.toml")
    parser.add_argument("--feed", action="append", help="auto, sim, kraken, coinbase, binance, okx, tradingview")
    parser.add_argument("--symbol", action="append", help="subscribed at start, such as KRAKEN:BTCUSD")
    parser.add_argument("--sim-url", help="address of the simulated exchange, such as ws://127.0.0.1:8765/kraken")
    options = parser.parse_args(arguments)
    lifeline.hold()
    try:
        settings = load_settings(options.data_dir, options.config, feeds=options.feed, symbols=options.symbol)
        folders = settings.folders.create()
        logs.configure("ingest", folders.log_file("ingest"), level=settings.log_level, secrets=settings.secrets())
        feeds = make_feeds(
            settings.feeds,
            simulated_url=options.sim_url or settings.simulated.url,
            tradingview_enabled=settings.tradingview.enabled,
            tradingview_token=token.get_secret_value() if (token := settings.tradingview.token) else None,
            config=folders.config,
            say=_say,
            contracts=settings.okx_contracts,
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(settings, feeds))
    except (DeskError, SymbolError) as error:
        logs.logger().error("ingest stopped", reason=str(error))
        print(f"ingest: {error}", file=sys.stderr)  # noqa: T201 - a user's terminal, or the supervisor's file.
        return 1
    except Exception:
        logs.logger().exception("ingest failed")
        raise
    return 0


def _say(text: str) -> None:
    logs.logger().info("notice", text=text)
    print(f"ingest: {text}", file=sys.stderr)  # noqa: T201 - as above.


async def _work(settings: Settings, feeds: list[Feed]) -> None:
    """Open everything, run, and close it in the opposite order."""
    folders, log = settings.folders, logs.logger()
    with ExitStack() as open_things:
        ledger = open_things.enter_context(Ledger(folders.desk))
        clerks_ledger = open_things.enter_context(Ledger(folders.desk))
        first_subscriptions(ledger, feeds, settings.symbols, time.time_ns())
        journal = open_things.enter_context(
            JournalWriter(
                folders.journal, time.time_ns, first_seq=ledger.seen_seq() + 1, durable=settings.journal_durable
            )
        )
        clock = ReceivedClock(time.time_ns, journal.last_clock(LIVE) or 0)
        contiguous = frozenset(
            stream.id
            for stream in journal.streams
            for feed in feeds
            if stream.feed == feed.name and feed.contiguous_ids
        )
        memory_path = folders.recovery / "ingest.memory"
        with JournalReader(folders.journal, _warn_of_corruption) as reader:
            memory = recall(memory_path, reader, journal.streams, journal.last_seq, contiguous)

        served = metrics.Metrics("ingest")
        clerk = Clerk(clerks_ledger, log)
        open_things.callback(clerk.close)
        notifier = Notifier([secret.get_secret_value() for secret in settings.notify])
        open_things.callback(notifier.close)
        alarms = Alarms(
            clerk, log, time.time_ns, count=lambda name: served.alerts.labels(name).inc(), notify=notifier.send
        )
        bell = open_things.enter_context(Doorbell(folders.doorbell, folders.doorbell_paper))
        mailbox = Mailbox()
        ingest = Ingest(
            feeds,
            journal=journal,
            memory=memory,
            memory_path=memory_path,
            ledger=ledger,
            clerk=clerk,
            alarms=alarms,
            clock=clock,
            mailbox=mailbox,
            ring=bell.ring,
            log=log,
            rulebook=_rulebook(settings),
            random=random.Random().random,  # noqa: S311 - jitter, not a secret.
            now_s=time.monotonic,
        )
        pipe = RedisPipe(settings.redis)
        open_things.callback(pipe.close)
        cache = QuoteCache(pipe, time.time_ns)
        flow = CacheFlow(
            lambda: build(
                MailboxSource(mailbox),
                RedisQuoteSink(cache, mailbox.written),
                ingest.shown_stream,
                lambda stream: calendar_for(stream.symbol, extended=stream.extended),
            ),
            mailbox,
            log,
        )
        open_things.callback(flow.close)
        report = _reports(settings, ingest, pipe, served, open_things)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ingest.stop)
        _settle_in()
        log.info("ingest starts", feeds=[feed.name for feed in feeds], seq=journal.last_seq)
        await ingest.run(report, report_s=REPORT_S)
        log.info("ingest stopped", seq=journal.last_seq)


def _reports(
    settings: Settings, ingest: Ingest, pipe: RedisPipe, served: metrics.Metrics, open_things: ExitStack
) -> Callable[[], Awaitable[None] | None]:
    """What is done with each report: the status file, the metrics, and at times the disk."""
    folders = settings.folders
    page = metrics.serve(served, settings.metrics_port + PORT_AFTER if settings.metrics_port else 0)
    if page is not None:
        open_things.callback(page.close)
    housekeeping = Housekeeping(
        folders.journal,
        ingest.journal,
        open_things.enter_context(Ledger(folders.desk)),
        ingest.alarms,
        logs.logger(),
        keep_days=settings.journal_keep_days,
        min_free_bytes=settings.min_free_mb << 20,
        now_s=time.monotonic,
    )
    housekeeping.measure()
    reporter = Reporter(ingest, housekeeping, pipe, now_ns=time.time_ns, now_s=time.monotonic)
    meters = Meters(served, ingest, housekeeping, pipe)
    status = StatusFile(folders.status_file("ingest"), "ingest", every_s=REPORT_S / 2)
    open_things.callback(status.remove)
    count = 0

    def report() -> Awaitable[None] | None:
        nonlocal count
        status.write(reporter.status(), force=True)
        meters.update()
        count += 1
        return housekeeping.look() if count % DISK_EVERY == 1 else None

    return report


def _rulebook(settings: Settings) -> Rulebook:
    return Rulebook(
        quotes_per_second=settings.quotes_per_second,
        clock_skew_s=settings.clock_skew_s,
        feed_stale_s=settings.feed_stale_s,
        negative=frozenset(parse_symbol(text) for text in settings.negative_prices),
        extended=frozenset(parse_symbol(text) for text in settings.extended_hours),
        designated={parse_symbol(text): feed for text, feed in settings.designated.items()},
    )


def _warn_of_corruption(trouble: CorruptRow) -> None:
    logs.logger().error("journal row damaged", reason=str(trouble))


def _settle_in() -> None:
    """Keep what is there out of the collector's way: ticks are tuples in no cycle, and a collection is a pause."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    sys.setswitchinterval(SWITCH_S)


if __name__ == "__main__":
    sys.exit(main())
