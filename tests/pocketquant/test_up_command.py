"""`pq up` where it must not start, and what it is made of."""

import logging
import socket
import sys

import pytest

from infra.settings import load_settings
from pocketquant.desk import _clear_run
from pocketquant.hold import Hold, running_pid
from pocketquant.processes import STOP_ORDER, specs
from sinks.ledger import Ledger


@pytest.fixture(autouse=True)
def logging_as_before():
    """`pq up` sends the logs of its process to the desk's folder; the tests after this one have another."""
    root, hook = logging.getLogger(), sys.excepthook
    before, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    sys.excepthook = hook


def test_a_second_desk_on_the_folder_is_refused_and_names_the_first(pq, desk, folders):
    with Hold(folders):
        pid = running_pid(folders)
        answer = pq("up", "--feed", "sim", "--data-dir", desk)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert f"a desk already runs on {desk} (pid {pid})" in answer.err
    assert "pq down" in answer.err


def test_tradingview_runs_only_where_the_settings_say_so(pq, desk):
    """Its terms forbid what others allow, so a flag is not enough."""
    answer = pq("up", "--feed", "tradingview", "--data-dir", desk)
    assert (answer.code, answer.err.count("\n")) == (1, 1)
    assert "terms" in answer.err
    assert "enabled = true" in answer.err


def test_a_symbol_that_no_feed_carries_is_refused_before_anything_starts(pq, desk, folders):
    answer = pq("up", "--feed", "sim", "--symbol", "KRAKEN:BTCUSD", "--data-dir", desk)
    assert answer.code == 1
    assert "KRAKEN:BTCUSD is not carried by feed sim" in answer.err
    with Ledger(folders.desk) as ledger:
        assert [str(one.symbol) for one in ledger.subscriptions(active=None)] == ["SIM:BTCUSD"]
    assert running_pid(folders) is None


def test_down_without_a_desk_is_said(pq, desk):
    answer = pq("down", "--data-dir", desk)
    assert (answer.code, answer.out, answer.err) == (0, "", f"nothing runs on {desk}\n")


@pytest.mark.parametrize(
    ("options", "feeds", "names"),
    [
        ({}, ["sim"], ["redis", "simulated", "ingest", "bars", "paper", "prefect", "flows"]),
        ({}, ["kraken"], ["redis", "ingest", "bars", "paper", "prefect", "flows"]),
        ({"redis_url": "redis://127.0.0.1:1"}, ["kraken"], ["ingest", "bars", "paper", "prefect", "flows"]),
        (
            {
                "simulated": {"url": "ws://127.0.0.1:1/kraken"},
                "flows": {"enabled": False},
                "paper": {"enabled": False},
            },
            ["sim"],
            ["redis", "ingest", "bars"],
        ),
    ],
    ids=["simulated", "live", "a Redis of one's own", "an exchange that runs already, and neither flows nor paper"],
)
def test_a_desk_is_made_of_what_is_not_there_yet(folders, options, feeds, names):
    settings = load_settings(folders.data_dir, environ={}, **options)
    assert [spec.name for spec in specs(settings, feeds, None)] == names


def test_the_simulated_exchange_is_found_by_commands_while_its_desk_runs(folders):
    """Its port is any free one, and its history is asked for by processes that the desk did not start."""
    folders.create()
    settings = load_settings(folders.data_dir, environ={})
    exchange = next(spec for spec in specs(settings, ["sim"], None) if spec.name == "simulated")
    exchange.before()
    address = folders.simulated_url.read_text().strip()
    assert address == f"ws://127.0.0.1:{exchange.command()[exchange.command().index('--port') + 1]}"
    _clear_run(settings)
    assert not folders.simulated_url.exists()


def test_redis_listens_on_no_port_and_keeps_nothing_on_disk(folders):
    """It is a cache for this user alone."""
    (redis, *_) = specs(load_settings(folders.data_dir, environ={}, redis_memory_mb=32), ["kraken"], None)
    words = " ".join(redis.command())
    for option in ("--port 0", "--appendonly no", "--save  ", "--maxmemory 32mb", "--unixsocketperm 700"):
        assert option in words


def test_a_metrics_port_in_use_is_said_and_stops_nothing(pq, desk, folders):
    """The desk is worth more than a page about it; which port it was is named where a user looks."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        folders.config.write_text(f"metrics_port = {port}\n")
        answer = pq("up", "--feed", "sim", "--without", "flows", "--exit-after", "0", "--data-dir", desk)
    assert answer.code == 0
    (event,) = pq("status", "--json", "--data-dir", desk).json()["alerts"]
    assert event["name"] == "port_in_use"
    assert f"metrics port {port} is in use" in event["text"]


def test_flows_are_told_where_the_server_listens_and_a_port_in_use_is_not_it(folders):
    """Two desks on one machine both want 4200; the second takes another port, and its flows follow it there."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        settings = load_settings(folders.data_dir, environ={}, flows={"port": taken})
        prefect, flows = specs(settings, ["kraken"], None)[-2:]
        server, runner = prefect.command(), flows.command()

    port = server[server.index("--port") + 1]
    assert port != str(taken)
    assert runner[runner.index("--port") + 1] == port
    again = prefect.command()
    assert again[again.index("--port") + 1] == port, "a restart keeps the address that a browser has open"


def test_flows_stop_before_the_server_and_start_anew_with_it(folders):
    """Measured: a runner whose server was away cannot cancel a run any more, and one that is stopped later hangs."""
    settings = load_settings(folders.data_dir, environ={})
    by_name = {spec.name: spec for spec in specs(settings, ["sim"], None)}
    assert by_name["flows"].stands_on == "prefect"
    assert STOP_ORDER.index("flows") < STOP_ORDER.index("prefect") < STOP_ORDER.index("ingest")
    assert by_name["flows"].environ["POCKETQUANT_SIMULATED__URL"].startswith("ws://127.0.0.1:")
