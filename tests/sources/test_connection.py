"""The connection loop against a scripted server on loopback: what it does with each trouble."""

# ruff: noqa: D102  # The doubles here implement protocols that say what each method is for.

import asyncio
import functools
import itertools
import ssl
import time
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from market.streams import FeedKind
from market.symbols import Symbol
from sources.feed import Limits
from sources.lane import LaneState, Timing
from sources.live_feed import LiveFeed
from sources.web_socket import ConnectError, open_web_socket

BTC, ETH, SOL = (Symbol("TEST", name) for name in ("BTC", "ETH", "SOL"))
LIMITS = Limits(
    symbols_per_connection=100,
    symbols_per_subscribe=2,
    messages_per_second=1000.0,
    connect_interval_s=0.0,
    silence_s=30.0,
    symbol_silence_s=60.0,
    heartbeat_s=None,
    lifetime_s=None,
    max_frame_bytes=10_000,
)
QUICK = Timing(
    backoff_first_s=0.02,
    backoff_longest_s=0.05,
    stable_s=60.0,
    settle_s=0.05,
    overlap_s=0.1,
    open_timeout_s=2.0,
    look_s=0.02,
)
PATIENCE_S = 10.0


class TinyParser:
    """Reads `TICKER id ...`, `ping`, `leaving` and `last TICKER id`; anything else is refused."""

    def __init__(self, streams):
        self.streams = streams

    def parse(self, frame, received_time, out):
        words = frame.split() if isinstance(frame, str) else []
        match words:
            case ["ping"]:
                out.replies.append("pong")
            case ["leaving"]:
                out.reconnect = True
            case ["break"]:
                raise RuntimeError
            case ["last", name, trade_id]:
                out.last_ids.append((self.streams[Symbol("TEST", name)], int(trade_id)))
            case [name, *ids] if ids and Symbol("TEST", name) in self.streams:
                stream = self.streams[Symbol("TEST", name)]
                out.ticks += [(received_time, received_time, 1.0, 1.0, int(n), 1, stream, 0, 0) for n in ids]
            case _:
                out.rejects.append(("json", "not understood"))


class TinyFeed:
    """A venue of the simplest kind."""

    name = "tiny"
    exchange = "TEST"
    kind = FeedKind.TRADES

    def __init__(self, *urls, contiguous_ids=True, **limits):
        self._urls = urls
        self.contiguous_ids = contiguous_ids
        self.limits = replace(LIMITS, **limits)

    def urls(self):
        return self._urls

    def headers(self):
        return {"X-Desk": "yes"}

    def hello(self):
        return ["hello"]

    def subscribe(self, symbols):
        return self._frames("+", symbols)

    def unsubscribe(self, symbols):
        return self._frames("-", symbols)

    def _frames(self, sign, symbols):
        most = self.limits.symbols_per_subscribe
        chunks = [symbols[start : start + most] for start in range(0, len(symbols), most)]
        return [sign + " ".join(symbol.ticker for symbol in chunk) for chunk in chunks]

    def heartbeat(self):
        return "beat"

    def parser(self, streams):
        return TinyParser(streams)


class Log:
    """Writes down what a receiver is told, in order."""

    def __init__(self):
        self.events = []
        self.changed = asyncio.Event()
        self.bursts = 0

    def _add(self, *event):
        self.events.append(event)
        self.changed.set()

    def received_ns(self):
        return time.time_ns()

    def burst(self, ticks, quotes):
        self.bursts += 1
        for row in ticks:
            self._add("tick", row[6], row[4])

    def down(self, streams, since, reason):
        self._add("down", tuple(streams), since, reason)

    def up(self, streams):
        self._add("up", tuple(sorted(streams)))

    def reject(self, reason, detail, frame):
        self._add("reject", reason, frame)

    def note(self, event, detail):
        self._add(event, detail)

    def exists(self, stream, trade_id):
        self._add("exists", stream, trade_id)

    def of(self, *kinds):
        return [event for event in self.events if event[0] in kinds]

    async def until(self, found):
        """Wait until `found(self)` is true."""

        async def wait():
            while not found(self):
                self.changed.clear()
                await self.changed.wait()

        await asyncio.wait_for(wait(), PATIENCE_S)


class Server:
    """A venue that follows a script: one coroutine per connection, in the order in which they come."""

    def __init__(self, *scripts):
        self.scripts = list(scripts)
        self.heard = []
        self.sockets = []
        self.connected_s = []
        self.arrived = asyncio.Event()
        self.refusals = []

    async def handle(self, socket):
        place = len(self.sockets)
        self.sockets.append(socket)
        self.connected_s.append(time.monotonic())
        heard = []
        self.heard.append(heard)
        script = self.scripts[min(place, len(self.scripts) - 1)]
        running = asyncio.ensure_future(script(self, socket))
        with suppress(Exception):
            async for message in socket:
                heard.append(message)
                self.arrived.set()
        running.cancel()

    def process_request(self, connection, request):
        if self.refusals:
            return self.refusals.pop(0)
        assert request.headers["X-Desk"] == "yes"
        return None

    async def until_heard(self, place, *messages):
        await self._until(lambda: len(self.heard) > place and set(messages) <= set(self.heard[place]))

    async def until_subscribed(self, place):
        await self._until(lambda: any(message.startswith("+") for message in self.heard[place]))

    async def _until(self, found):
        async def wait():
            while not found():
                self.arrived.clear()
                await self.arrived.wait()

        await asyncio.wait_for(wait(), PATIENCE_S)

    @asynccontextmanager
    async def running(self):
        async with serve(self.handle, "127.0.0.1", 0, process_request=self.process_request, compression=None) as server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def connected(server, symbols=(BTC, ETH), timing=QUICK, random=lambda: 0.5, **options):
    """A live feed of these symbols on the server, and the log of what it brings."""
    async with server.running() as url:
        log = Log()
        feed = TinyFeed(url, **options)
        live = LiveFeed(feed, log, random=random, now_s=time.monotonic, timing=timing)
        live.subscribe({symbol: stream for stream, symbol in enumerate(symbols)})
        try:
            yield live, log
        finally:
            await live.stop()


def asynchronous(test):
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        asyncio.run(test(*args, **kwargs))

    return run


def sends(*messages, then="stay"):
    """A script: wait for the first subscription, send, and stay, close, or reset."""

    async def script(server, socket):
        place = server.sockets.index(socket)
        await server.until_subscribed(place)
        for message in messages:
            await socket.send(message)
        if then == "close":
            await socket.close(1012, "restart")
        elif then == "reset":
            socket.transport.abort()

    return script


@asynchronous
async def test_it_greets_subscribes_in_chunks_and_hands_on_ticks_in_order():
    server = Server(sends("BTC 1", "ETH 1 2", "BTC 2"))
    async with connected(server, symbols=(BTC, ETH, SOL)) as (live, log):
        await log.until(lambda log: len(log.of("tick")) == 4)

        assert server.heard[0] == ["hello", "+BTC ETH", "+SOL"]
        assert log.of("tick") == [("tick", 0, 1), ("tick", 1, 1), ("tick", 1, 2), ("tick", 0, 2)]
        assert live.state is LaneState.UP
        assert live.ticks == 4
        assert live.host.startswith("127.0.0.1:")
        assert live.last_frame_ns > 0
    assert live.state is LaneState.STOPPED


@asynchronous
async def test_frames_that_are_there_together_are_handed_on_as_one_burst():
    """So that a busy moment costs one commit and not a hundred."""

    async def script(server, socket):
        await server.until_heard(0, "+BTC ETH")
        for n in range(100):
            socket.protocol.send_text(b"BTC %d" % n)
        socket.send_data()

    async with connected(Server(script)) as (_, log):
        await log.until(lambda log: len(log.of("tick")) == 100)

        assert log.bursts < 10


@asynchronous
async def test_streams_are_up_once_they_tick_and_the_quiet_ones_once_the_subscription_has_stood():
    async with connected(Server(sends("BTC 1"))) as (_, log):
        await log.until(lambda log: len(log.of("up")) == 2)

        assert log.of("up", "tick") == [("up", (0,)), ("tick", 0, 1), ("up", (1,))]


@pytest.mark.parametrize("ending", ["close", "reset"])
@asynchronous
async def test_a_lost_connection_is_down_from_its_last_frame_and_made_anew_with_all_symbols(ending):
    server = Server(sends("BTC 1", then=ending), sends("BTC 2"))
    async with connected(server) as (live, log):
        await log.until(lambda log: ("tick", 0, 2) in log.events)

        (down,) = log.of("down")
        assert down[1] == (0, 1)
        assert down[2] <= time.time_ns()
        assert {"close": "1012", "reset": "no close frame"}[ending] in down[3]
        assert server.heard[1][:2] == ["hello", "+BTC ETH"]
        assert log.events.index(("tick", 0, 1)) < log.events.index(down) < log.events.index(("tick", 0, 2))
        assert ("up", (0,)) in log.events[log.events.index(down) :]
        assert live.reconnects == 1


@asynchronous
async def test_a_half_open_connection_is_found_by_its_silence():
    """TCP says nothing when the other side is gone; the frames that stop are the only sign."""
    server = Server(sends("BTC 1"), sends("BTC 2"))
    before_ns = time.time_ns()
    async with connected(server, silence_s=0.3) as (live, log):
        await log.until(lambda log: ("tick", 0, 2) in log.events)

        stale = log.of("feed_stale")
        assert len(stale) == 1
        assert stale[0][1].startswith("no frame for 0.")
        since = log.of("down")[0][2]
        assert before_ns < since < time.time_ns() - 300_000_000
        assert live.state is LaneState.UP


@asynchronous
async def test_heartbeats_of_the_venue_keep_a_quiet_connection():
    async def script(server, socket):
        await server.until_heard(0, "hello")
        for _ in range(25):
            await socket.send("ping")
            await asyncio.sleep(0.02)
        await socket.send("BTC 1")

    server = Server(script)
    async with connected(server, silence_s=0.3) as (live, log):
        await log.until(lambda log: ("tick", 0, 1) in log.events)

        assert log.of("down") == []
        assert server.heard[0].count("pong") == 25
        assert live.reconnects == 0


@asynchronous
async def test_frames_without_ticks_do_not_hide_a_mute_feed():
    """The subscription is lost at the venue while heartbeats go on: down since the last tick, and made anew."""

    async def script(server, socket):
        await server.until_heard(0, "+BTC ETH")
        for n in range(200):
            await socket.send(f"BTC {n}")
        while True:
            await socket.send("ping")
            await asyncio.sleep(0.01)

    server = Server(script, sends("BTC 900"))
    async with connected(server, silence_s=0.1) as (_, log):
        await log.until(lambda log: ("tick", 0, 900) in log.events)

        assert log.of("feed_asked")[0][1].startswith("no tick of any symbol for 0.3")
        assert log.of("feed_stale")[0][1].startswith("no tick of any symbol for 0.4")
        assert log.of("down")[0][2] < time.time_ns() - 350_000_000


@asynchronous
@pytest.mark.parametrize("contiguous_ids", [True, False])
async def test_a_quiet_market_that_shows_its_last_trades_again_is_not_down(contiguous_ids):
    """Their ids say that nothing was missed. Where trades have no such ids they say nothing."""

    async def script(server, socket):
        await server.until_heard(0, "+BTC ETH")
        for n in range(200):
            await socket.send(f"BTC {n}")
        answered = 0
        while True:
            await socket.send("ping")
            await asyncio.sleep(0.01)
            asked = server.heard[0].count("+BTC ETH") - 1
            if asked > answered:
                answered = asked
                await socket.send("BTC 199")

    server = Server(script, sends("BTC 900"))
    async with connected(server, silence_s=0.1, contiguous_ids=contiguous_ids) as (live, log):
        if contiguous_ids:
            await log.until(lambda log: len(log.of("feed_asked")) == 3)
            assert (log.of("down"), live.reconnects) == ([], 0)
        else:
            await log.until(lambda log: ("tick", 0, 900) in log.events)
            assert log.of("feed_asked") == []
            assert log.of("feed_stale")[0][1].startswith("no tick of any symbol for 0.3")


@asynchronous
async def test_a_mute_symbol_is_reported_and_subscribed_again_without_a_reconnect():
    async def script(server, socket):
        await server.until_heard(0, "+BTC ETH")
        await socket.send("ETH 1")
        for n in itertools.count():
            await socket.send(f"BTC {n}")
            await asyncio.sleep(0.01)
            if server.heard[0][-1] == "+ETH":
                await socket.send("ETH 2")

    server = Server(script)
    async with connected(server, symbol_silence_s=0.3) as (live, log):
        await log.until(lambda log: ("tick", 1, 2) in log.events)

        assert log.of("symbol_mute") == [("symbol_mute", "TEST:ETH has had no tick for 0 s; subscribed again")]
        assert server.heard[0][-2:] == ["-ETH", "+ETH"]
        assert log.of("down") == []
        assert live.reconnects == 0


@asynchronous
async def test_our_heartbeats_are_sent_at_the_venues_pace():
    server = Server(sends())
    async with connected(server, heartbeat_s=0.02):
        await server.until_heard(0, "beat")
        while server.heard[0].count("beat") < 3:
            server.arrived.clear()
            await asyncio.wait_for(server.arrived.wait(), PATIENCE_S)


@asynchronous
async def test_messages_keep_to_the_venues_limit():
    """31 frames at 20 a second, of which the first second's worth go at once: the last one after half a second."""
    symbols = [Symbol("TEST", f"S{n}") for n in range(60)]
    server = Server(sends())
    async with connected(server, symbols=symbols, messages_per_second=20.0) as (_, log):
        began = time.monotonic()
        await server.until_heard(0, "+S58 S59")
        took = time.monotonic() - began

    assert len(server.heard[0]) == 31
    assert 0.4 < took < 3.0
    assert log.of("reject") == []


@asynchronous
async def test_a_planned_renewal_opens_the_next_connection_before_it_closes_the_last():
    """Nothing is down meanwhile, and both tell: what is told twice goes by its id, later."""

    def counting(place):
        async def script(server, socket):
            await server.until_heard(place, "+BTC ETH")
            for n in itertools.count():
                await socket.send(f"BTC {place * 1000 + n}")
                await asyncio.sleep(0.005)

        return script

    server = Server(counting(0), counting(1), counting(2))
    async with connected(server, lifetime_s=0.4) as (live, log):
        await log.until(lambda log: len(log.of("renewed")) == 2)

        assert log.of("down") == []
        assert live.reconnects == 2
        ids = [event[2] for event in log.of("tick")]
        for place in (0, 1):
            last_of_old = len(ids) - 1 - ids[::-1].index(max(n for n in ids if n // 1000 == place))
            first_of_new = ids.index((place + 1) * 1000)
            assert first_of_new < last_of_old


@asynchronous
async def test_where_trades_have_no_ids_only_one_of_two_overlapping_connections_speaks():
    """A sampled price told by both would be counted twice."""

    def counting(place):
        async def script(server, socket):
            await server.until_heard(place, "+BTC ETH")
            for n in itertools.count():
                await socket.send(f"BTC {place * 1000 + n}")
                await asyncio.sleep(0.005)

        return script

    server = Server(counting(0), counting(1))
    async with connected(server, lifetime_s=0.4, contiguous_ids=False) as (_, log):
        await log.until(lambda log: any(event[2] >= 1000 for event in log.of("tick")))
        await log.until(lambda log: log.of("renewed"))

        ids = [event[2] for event in log.of("tick")]
        assert log.of("down") == []
        assert ids == sorted(ids)
        assert 1000 not in ids


@asynchronous
async def test_a_venue_that_announces_its_close_is_left_before():
    server = Server(sends("BTC 1", "leaving"), sends("BTC 2"))
    async with connected(server) as (live, log):
        await log.until(lambda log: log.of("renewed"))

        assert log.of("down") == []
        assert live.reconnects == 1


@asynchronous
async def test_if_the_next_connection_fails_the_last_one_is_kept():
    server = Server(sends("BTC 1", "leaving", "BTC 2"), sends("BTC 3"))
    async with connected(server) as (_, log):
        await log.until(lambda log: ("tick", 0, 1) in log.events)
        server.refusals = [Response(503, "Busy", Headers())]
        await log.until(lambda log: log.of("renewed"))

        assert len(log.of("renewal_failed")) <= 1
        assert log.of("down") == []
        assert ("tick", 0, 3) in log.events


@asynchronous
async def test_symbols_come_and_go_on_the_open_connection():
    server = Server(sends("BTC 1"))
    async with connected(server, symbols=(BTC,)) as (live, log):
        await log.until(lambda log: ("tick", 0, 1) in log.events)
        began = time.monotonic()
        live.subscribe({BTC: 0, SOL: 7})
        await server.until_heard(0, "+SOL")
        await server.sockets[0].send("SOL 5")
        await log.until(lambda log: ("tick", 7, 5) in log.events)
        live.unsubscribe([BTC])
        await server.until_heard(0, "-BTC")

        assert time.monotonic() - began < 1.0
        assert live.symbols == {SOL: 7}
        assert len(server.sockets) == 1
        assert server.heard[0] == ["hello", "+BTC", "+SOL", "-BTC"]
        live.unsubscribe([SOL])
        assert live.symbols == {}
        assert live.state is LaneState.STOPPED


@asynchronous
async def test_symbols_beyond_a_connections_limit_get_another_one_after_the_connect_interval():
    server = Server(sends())
    symbols = [Symbol("TEST", f"S{n}") for n in range(5)]
    async with connected(server, symbols=symbols, symbols_per_connection=2, connect_interval_s=0.15) as (live, _):
        await server.until_heard(0, "+S0 S1")
        await server.until_heard(1, "+S2 S3")
        await server.until_heard(2, "+S4")
        live.subscribe({Symbol("TEST", "S5"): 5})
        await server.until_heard(2, "+S5")

        assert len(live.lanes) == 3
        first, second, third = server.connected_s
        assert second - first > 0.12
        assert third - second > 0.12


@asynchronous
async def test_too_many_requests_are_answered_by_the_wait_that_the_venue_names():
    server = Server(sends("BTC 1"))
    server.refusals = [Response(429, "Too Many Requests", Headers({"Retry-After": "1"}))]
    began = time.monotonic()
    async with connected(server) as (live, log):
        await log.until(lambda log: log.of("connect_failed"))
        assert live.state is LaneState.BACKOFF
        assert "429" in live.last_error
        await log.until(lambda log: ("tick", 0, 1) in log.events)

        assert time.monotonic() - began > 1.0


@asynchronous
async def test_a_venue_that_will_not_have_us_is_tried_at_its_next_address():
    """451 at the first address; the second, a mirror, serves."""
    mirror = Server(sends("BTC 1"))
    refusing = Server(sends())
    refusing.refusals = [Response(451, "Unavailable For Legal Reasons", Headers())] * 9
    async with refusing.running() as bad, mirror.running() as good:
        log = Log()
        live = LiveFeed(TinyFeed(bad, good), log, random=lambda: 0.0, now_s=time.monotonic, timing=QUICK)
        live.subscribe({BTC: 0})
        await log.until(lambda log: ("tick", 0, 1) in log.events)
        assert "451" in log.of("connect_failed")[0][1]
        assert live.host == good.removeprefix("ws://")
        await live.stop()


@asynchronous
async def test_a_refusal_everywhere_is_a_state_of_its_own():
    server = Server(sends())
    server.refusals = [Response(451, "Unavailable For Legal Reasons", Headers())] * 99
    async with connected(server, timing=replace(QUICK, backoff_longest_s=30.0)) as (live, log):
        await log.until(lambda log: log.of("connect_failed"))

        assert live.state is LaneState.REFUSED
        assert "next attempt in 30.0 s" in log.of("connect_failed")[0][1]


@asynchronous
async def test_nobody_there_is_a_backoff_with_growing_pauses():
    log = Log()
    live = LiveFeed(TinyFeed("ws://127.0.0.1:1"), log, random=lambda: 1.0, now_s=time.monotonic, timing=QUICK)
    live.subscribe({BTC: 0})
    await log.until(lambda log: len(log.of("connect_failed")) == 3)

    assert live.state is LaneState.BACKOFF
    waits = [event[1].rpartition("in ")[2] for event in log.of("connect_failed")]
    assert waits == ["0.0 s", "0.0 s", "0.1 s"]
    await live.stop()


@asynchronous
async def test_an_oversized_frame_ends_the_connection_and_not_the_feed():
    server = Server(sends("BTC " + "1 " * 6000), sends("BTC 7"))
    async with connected(server) as (_, log):
        await log.until(lambda log: ("tick", 0, 7) in log.events)

        assert log.of("tick") == [("tick", 0, 7)]
        assert "1009" in log.of("down")[0][3]


@asynchronous
async def test_garbage_is_refused_with_its_frame_and_the_next_frame_is_read():
    """Wrong JSON, bytes that are no UTF-8, a parser that fails: each costs one frame."""

    async def script(server, socket):
        await server.until_heard(0, "+BTC ETH")
        await socket.send("{}" * 3000)
        await socket.send("break")
        await socket.send(b"\xff\xfe")
        socket.protocol.send_text(b"\xff broken")
        socket.send_data()
        await socket.send("BTC 5")

    async with connected(Server(script)) as (live, log):
        await log.until(lambda log: ("tick", 0, 5) in log.events)

        rejects = log.of("reject")
        assert [event[1] for event in rejects] == ["json", "parser", "json", "json"]
        assert len(rejects[0][2]) == 2048
        assert rejects[2][2] == "\\xff\\xfe"
        assert live.reconnects == 0


@asynchronous
async def test_a_message_in_fragments_is_put_together():
    async def script(server, socket):
        await server.until_heard(0, "+BTC ETH")
        await socket.send(["BTC", " 1 2", " 3"])

    async with connected(Server(script)) as (_, log):
        await log.until(lambda log: len(log.of("tick")) == 3)


@asynchronous
async def test_the_venues_word_of_its_newest_trade_is_passed_on():
    async with connected(Server(sends("last ETH 77"))) as (_, log):
        await log.until(lambda log: ("exists", 1, 77) in log.events)


@asynchronous
async def test_a_certificate_that_nobody_signed_is_refused(tmp_path):
    """TLS is verified: a name and a signature, or no connection."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    try:
        made = await asyncio.create_subprocess_exec(
            *request, "-keyout", str(key), "-out", str(certificate), stderr=asyncio.subprocess.DEVNULL
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so there is no certificate to be refused")
    assert await made.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0, ssl=context) as server:
        url = f"wss://localhost:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(ConnectError, match="certificate") as caught:
            await open_web_socket(url, lambda _: None)

    assert caught.value.refused
