"""The simulated exchange as a process: its port, its signals, real clients, real sockets."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from market.errors import DeskError
from market.intervals import Interval
from sources.simulated.client import control, get, truth_ticks
from sources.simulated.official_bars import official_bars
from sources.simulated.tape import MADE
from sources.simulated.truth import SEGMENT

DEADLINE_S = 20


@contextlib.contextmanager
def exchange(*options):
    """A running exchange; yields its process and address, and sees that it ends."""
    command = [sys.executable, "-m", "sources.simulated", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)["url"]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def url():
    """An exchange on a clock that only commands move, for tests that leave no fault behind."""
    with exchange("--clock", "manual", "--rate", "200") as (_, address):
        yield address


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE_S))


async def subscribed(url, **params):
    """A client with all trades of BTC/USD subscribed."""
    client = await websockets.connect(f"{url}/kraken", proxy=None)
    await client.recv()
    params = {"channel": "trade", "symbol": ["BTC/USD"], **params}
    await client.send(json.dumps({"method": "subscribe", "params": params}))
    assert json.loads(await client.recv())["success"]
    return client


async def command(url, **fault):
    return await asyncio.to_thread(control, url, fault)


async def trades(client, until_id):
    """Ids of trades up to one."""
    ids = []
    while not ids or ids[-1] < until_id:
        message = json.loads(await client.recv())
        if message["channel"] == "trade":
            ids += [trade["trade_id"] for trade in message["data"]]
    return ids


def test_a_real_client_gets_what_the_truth_says(url):
    async def story():
        client = await subscribed(url)
        await command(url, kind="advance", seconds=30)
        ticks = await asyncio.to_thread(truth_ticks, url, "SIM:BTCUSD")
        ids = await trades(client, int(ticks["trade_id"][-1]))
        await client.close()
        return ids, ticks

    ids, ticks = run(story())
    page = get(url, "/truth/ticks", symbol="BTCUSD", after_id=ids[0] - 1, limit=5)

    assert ids == ticks["trade_id"][ticks["sent"] != 0].tolist()
    assert [row[0] for row in page["rows"]] == ids[:5]
    assert dict(zip(page["columns"], page["rows"][0], strict=True))["sent"] is True


def test_official_bars_are_those_of_all_ticks_made(url):
    """Also of those that nobody was there to get."""
    control(url, {"kind": "advance", "seconds": 200})
    bars = get(url, "/truth/bars", symbol="SIM:SOLUSD", interval="1m")["bars"]
    ticks = truth_ticks(url, "SOLUSD")
    start = bars[1]["start"]
    minute = ticks[(ticks["event_time"] >= start) & (ticks["event_time"] < start + 60 * 10**9)]

    assert len(bars) >= 4
    assert bars == official_bars(ticks, Interval.M1)
    assert (bars[1]["open"], bars[1]["high"], bars[1]["low"], bars[1]["close"], bars[1]["trades"]) == (
        minute["price"][0], minute["price"].max(), minute["price"].min(), minute["price"][-1], len(minute),
    )  # fmt: skip
    assert bars[1]["volume"] == pytest.approx(minute["size"].sum())
    assert get(url, "/truth/bars", symbol="SOLUSD", start=start, end=start + 60 * 10**9)["bars"] == bars[1:2]


def test_the_summary_adds_up(url):
    control(url, {"kind": "advance", "seconds": 1})
    summary = get(url, "/truth/summary")

    assert summary["made"] == summary["sent"] + summary["never_sent"] == get(url, "/health")["made"]
    assert summary["made"] == sum(one["made"] for one in summary["symbols"].values())
    for one in summary["symbols"].values():
        assert one["made"] == one["sent"] + one["never_sent"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/truth/ticks?symbol=NOUSD", "not listed"),
        ("/truth/bars?symbol=BTCUSD&interval=7m", "7m"),
        ("/truth/bars?symbol=BTCUSD&start=x", "start is a whole number"),
        ("/truth/ticks", "not EXCHANGE:TICKER"),
        ("/nowhere", "no such path"),
    ],
)
def test_a_bad_request_gets_a_sentence(url, path, says):
    with pytest.raises(DeskError, match=says):
        get(url, path) if "?" not in path else urllib_get(url, path)


def urllib_get(url, path):
    name, _, query = path.partition("?")
    return get(url, name, **dict(part.split("=") for part in query.split("&")))


def test_a_bad_command_gets_a_sentence(url):
    with pytest.raises(DeskError, match="fault kind 'explode' is none of drop"):
        control(url, {"kind": "explode"})


@pytest.mark.parametrize(
    "bytes_sent", [b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"x" * 20_000]
)
def test_nonsense_on_the_port_is_refused(url, bytes_sent):
    host, port = url.removeprefix("ws://").split(":")
    with socket.create_connection((host, int(port)), timeout=DEADLINE_S) as raw:
        raw.sendall(bytes_sent)
        assert raw.recv(100).startswith(b"HTTP/1.1 400")


def test_a_path_that_is_no_endpoint_is_not_found(url):
    async def story():
        async with websockets.connect(f"{url}/nowhere", proxy=None):
            pass

    with pytest.raises(InvalidStatus) as refused:
        run(story())
    assert refused.value.response.status_code == 404


@pytest.mark.parametrize(("fault", "status"), [({"kind": "refuse"}, 429), ({"kind": "maintenance", "seconds": 0}, 503)])
def test_a_connect_is_refused_and_later_accepted(url, fault, status):
    async def story():
        await command(url, **fault, duration_s=60)
        with pytest.raises(InvalidStatus) as refused:
            await subscribed(url)
        await command(url, kind="advance", seconds=61)
        await (await subscribed(url)).close()
        return refused.value.response

    response = run(story())
    assert response.status_code == status
    assert response.headers["Retry-After"] == "1"


def test_a_drop_is_a_close_frame(url):
    async def story():
        client = await subscribed(url)
        await command(url, kind="drop")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        return closed.value.rcvd.code

    assert run(story()) == 1001


def test_a_reset_is_a_reset(url):
    """No close frame, no FIN: the socket itself reports it."""

    async def story():
        client = await subscribed(url)
        await command(url, kind="rst")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        return closed.value

    error = run(story())
    assert error.rcvd is None
    assert isinstance(error.__cause__, ConnectionResetError)


def test_a_drop_can_come_in_the_middle_of_a_frame(url):
    async def story():
        client = await subscribed(url)
        await command(url, kind="drop", mid_frame=True)
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        return closed.value.rcvd

    assert run(story()) is None


def test_a_half_open_connection_answers_no_ping(url):
    async def story():
        client = await subscribed(url)
        await (await client.ping())
        await command(url, kind="half_open", duration_s=60)
        pong = await client.ping()
        await command(url, kind="advance", seconds=30)
        assert (await command(url, kind="mute", duration_s=0))["ok"], "the server is alive"
        answered = pong.done()
        await command(url, kind="advance", seconds=60)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        return answered

    assert run(story()) is False


def test_tradingview_is_served_on_the_same_port(url):
    async def story():
        async with websockets.connect(f"{url}/tradingview", proxy=None) as client:
            return await client.recv()

    hello = run(story())
    assert hello.startswith("~m~")
    assert '"protocol":"json"' in hello


def test_minutes_pass_in_a_second_on_a_virtual_clock():
    """A day a second: after the first answer that shows ten minutes, the trades of ten minutes were made."""
    options = ("--clock", "virtual", "--start", "2026-01-05T14:29:00Z", "--speed", "3600", "--rate", "20")
    with exchange(*options) as (_, address):
        while (health := get(address, "/health"))["now"] - health["start"] < 600 * 10**9:
            pass
        bars = get(address, "/truth/bars", symbol="BTCUSD", interval="5m")["bars"]

    assert bars[0]["start"] == 1_767_623_100 * 10**9
    assert bars[0]["trades"] == pytest.approx(60 * 20 * 0.28, rel=0.5)
    assert len(bars) >= 2


def test_a_killed_exchange_goes_on_with_the_next_id(tmp_path):
    """Ids and prices go on, so that a consumer sees an outage and not a second history."""
    options = ("--clock", "manual", "--rate", "500", "--data-dir", str(tmp_path))
    with exchange(*options) as (process, address):
        control(address, {"kind": "advance", "seconds": 10})
        before = truth_ticks(address, "BTCUSD")
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE_S)
    with exchange(*options, "--symbols", "ETHUSD,BTCUSD") as (_, address):
        control(address, {"kind": "advance", "seconds": 10})
        after = truth_ticks(address, "BTCUSD")

    assert len(before) > 1000
    assert after[: len(before)].tobytes() == before.tobytes()
    assert (np.diff(after["trade_id"]) == 1).all()
    assert len(after) > len(before) + 500
    assert after["price"][len(before)] == pytest.approx(before["price"][-1], rel=0.01)


def test_sigterm_stops_it_cleanly(tmp_path):
    """The port's line is also in the file; the client gets a close frame."""
    with exchange("--port-file", str(tmp_path / "port"), "--rate", "100") as (process, address):
        assert json.loads((tmp_path / "port").read_text())["url"] == address

        async def story():
            client = await subscribed(address)
            process.send_signal(signal.SIGTERM)
            async for _ in client:
                pass
            return client.close_code

        assert run(story()) == 1001
        assert process.wait(DEADLINE_S) == 0
        events = [json.loads(line)["event"] for line in process.stderr.read().splitlines()]
    assert (events[0], events[-1]) == ("listening", "stopped")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--symbols", "0"), "count of 1 to 10,000"),
        (("--quiet", "9"), "do not fit into 5 symbols"),
        (("--session", "late"), "UTC hours such as"),
        (("--start", "soon", "--clock", "manual"), "ISO 8601"),
        (("--faults", "[{]"), "JSON list"),
        (("--faults", "nowhere.json"), "cannot be read"),
    ],
)
def test_a_bad_option_gets_one_line(options, says):
    command = [sys.executable, "-m", "sources.simulated", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    assert done.returncode == 1
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_disk_that_fills_up_ends_it_with_one_line(tmp_path):
    """RLIMIT_FSIZE makes the disk full for this process alone; not even the first segment fits."""
    code = (
        "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({SEGMENT * MADE.itemsize - 1},) * 2);"
        "sys.argv[0] = 'simulated'; runpy.run_module('sources.simulated', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "--data-dir", str(tmp_path), "--rate", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    assert done.returncode == 1
    assert "simulated: cannot write the truth to" in done.stderr.splitlines()[-1]


def test_a_port_in_use_gets_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "sources.simulated", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    assert done.returncode == 1
    assert (
        done.stderr == f"simulated: port {port} on 127.0.0.1 is in use; choose another, or --port 0 for any free one\n"
    )
