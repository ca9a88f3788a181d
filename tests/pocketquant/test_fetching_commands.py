"""`pq sync`, `pq backfill` and `pq coverage` as a user types them, on the simulated exchange's history over HTTP."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from crash.desk import until

from sources.simulated.client import control, get

HOUSE = Path(__file__).resolve().parents[2]
JANUARY = ("--start", "2026-01-01", "--end", "2026-01-08")


@contextlib.contextmanager
def simulated_exchange(folder, *options):
    """`python -m sources.simulated` on a clock of its own; its HTTP address."""
    port = folder / "port.json"
    command = [sys.executable, "-m", "sources.simulated", "--port-file", str(port), "--symbols", "4", *options]
    with subprocess.Popen(command, cwd=HOUSE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            text = until("the exchange listens", lambda: port.is_file() and port.read_text())
            yield json.loads(text)["url"]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """One for all tests here."""
    with simulated_exchange(tmp_path_factory.mktemp("exchange")) as url:
        yield url


@pytest.fixture
def run(pq, exchange, tmp_path, monkeypatch):
    """`pq ...` in a data folder of the test's own, beside the exchange."""

    def run(*arguments):
        monkeypatch.setenv("POCKETQUANT_PROVIDERS__SIMULATED__URL", exchange)
        return pq(*arguments, "--data-dir", tmp_path / "desk")

    return run


def pages(url):
    """How many pages of history the exchange gave out."""
    return get(url.replace("ws", "http", 1), "/truth/summary")["history"]["pages"]


def test_a_sync_of_one_symbol_stores_its_newest_bars(run):
    answer = run("sync", "SIM:BTCUSD", "1h", "--count", 100, "--json")

    (row,) = answer.json()
    assert answer.code == 0
    assert (row["state"], row["provider"], row["bars"], row["inserted"]) == ("completed", "simulated", 100, 100)
    bars = run("bars", "SIM:BTCUSD", "1h", "--limit", 200, "--json").json()
    assert len(bars) == 100
    assert {bar["source"] for bar in bars} == {"simulated"}
    assert [bar["state"] for bar in bars[:2]] == ["forming", "official"]


def test_an_interval_that_the_provider_lacks_is_built_and_says_so(run):
    assert run("sync", "SIM:BTCUSD", "45m", "--count", 20).code == 0

    assert {bar["source"] for bar in run("bars", "SIM:BTCUSD", "45m", "--json").json()} == {"simulated(5m)"}


@pytest.mark.parametrize(("interval", "command"), [("1m", "backfill"), ("15m", "backfill"), ("15m", "sync")])
def test_damaged_rows_are_trouble_that_is_named_and_leave_nothing_false(run, exchange, interval, command):
    """15m bars are built of 5m ones: one that lacks a damaged row would pass for official, and be wrong."""
    words = [command, "SIM:ETHUSD", *([interval] if command == "sync" else ["--interval", interval])]
    http = exchange.replace("ws", "http", 1)
    control(http, {"kind": "history_nan", "pages": 1, "symbol": "ETHUSD", "duration_s": 3600})
    try:
        answer = run(*words, *JANUARY, "--json")
    finally:
        control(http, {"kind": "clear"})
    (row,) = answer.json()
    assert (answer.code, row["state"], row["refused"] > 0) == (1, "completed", True)
    (missing,) = re.findall(r"SIM:ETHUSD \w+: (\d+) bars are missing", answer.err)
    damaged = run("bars", "SIM:ETHUSD", interval, "--all", "--format", "csv").out.splitlines()
    (held,) = run("coverage", "SIM:ETHUSD", "--interval", interval, *JANUARY, "--json").json()
    assert held["missing"] >= int(missing)

    assert run(*words, *JANUARY).code == 0

    mended = run("bars", "SIM:ETHUSD", interval, "--all", "--format", "csv").out.splitlines()
    assert len(mended) == len(damaged) + int(missing)
    values = [{line.rsplit(",", 3)[0] for line in lines} for lines in (damaged, mended)]
    assert values[0] <= values[1]
    (held,) = run("coverage", "SIM:ETHUSD", "--interval", interval, *JANUARY, "--json").json()
    assert held["missing"] == 0


def test_daily_bars_unless_an_interval_is_named_and_1m_is_one(run):
    assert run("sync", "SIM:BTCUSD", "--count", 3, "--json").json()[0]["interval"] == "1d"
    assert run("sync", "SIM:BTCUSD", "1m", "--count", 3, "--json").json()[0]["interval"] == "1m"


def test_all_that_is_registered_is_synced_and_the_status_can_be_asked_for(run):
    refused = run("sync", "--all")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    for name in ("BTC", "ETH"):
        assert run("symbols", "add", f"SIM:{name}USD").code == 0

    answer = run("sync", "--all", "1h", "--count", 5, "--json")

    assert [(row["symbol"], row["bars"]) for row in answer.json()] == [("BTCUSD", 5), ("ETHUSD", 5)]
    rows = run("sync", "--status", "--json").json()
    assert [(row["task"], row["symbol"], row["interval"], row["state"]) for row in rows] == [
        ("sync", "BTCUSD", "1h", "completed"),
        ("sync", "ETHUSD", "1h", "completed"),
    ]
    assert [row["symbol"] for row in run("sync", "SIM:ETHUSD", "--status", "--json").json()] == ["ETHUSD"]
    assert run("backfill", "--status", "--json").json() == []


def test_one_that_fails_is_named_with_the_reason_and_the_rest_is_done(run):
    answer = run("sync", "SIM:BTCUSD", "SIM:NOPE", "SIM:ETHUSD", "1d", "--count", 5)

    assert answer.code == 1
    assert re.search(r"^[^\n]*SIM:NOPE[^\n]*not listed", answer.err)
    assert "1 of 3 symbols failed; the rest is done" in answer.err
    assert [line.split()[3] for line in answer.out.splitlines()[1:]] == ["completed", "error", "completed"]


def test_a_backfill_is_whole_and_the_same_again_asks_nobody(run, exchange):
    first = run("backfill", "SIM:BTCUSD", "SIM:ETHUSD", "--interval", "1m", *JANUARY, "--json").json()
    before = pages(exchange)

    second = run("backfill", "SIM:BTCUSD", "SIM:ETHUSD", "--interval", "1m", *JANUARY, "--json").json()

    assert [(row["state"], row["chunks"], row["chunks_done"]) for row in first] == [("completed", 3, 3)] * 2
    assert [(row["state"], row["chunks"], row["held_before"], row["bars"]) for row in second] == [
        ("completed", 0, 1.0, 0)
    ] * 2
    assert pages(exchange) == before
    assert sum(row["bars"] for row in first) == sum(
        row["held"] for row in run("coverage", "--interval", "1m", "--json").json()
    )


def test_coverage_is_a_table_a_calendar_a_list_of_holes_and_one_of_days(run):
    run("backfill", "SIM:BTCUSD", "--interval", "1m", "--start", "2026-01-01", "--end", "2026-01-03")
    run("backfill", "SIM:BTCUSD", "--interval", "1m", "--start", "2026-01-04T12:00:00Z", "--end", "2026-01-06")

    (row,) = run("coverage", "SIM:BTCUSD", "--json").json()
    assert row["expected"] == row["held"] + row["quiet"] + row["missing"]
    assert (row["missing"], row["holes"]) == (36 * 60, 1)
    shown = run("coverage", "SIM:BTCUSD")
    assert "2026-01  ██·░██" not in shown.out
    assert "2026-01  ██·░█" in shown.out
    assert "all held or quiet" in shown.err
    assert run("coverage", "SIM:BTCUSD", "--holes", "--json").json() == [
        {
            "exchange": "SIM",
            "symbol": "BTCUSD",
            "interval": "1m",
            "start": "2026-01-03T00:00:00Z",
            "end": "2026-01-04T12:00:00Z",
            "missing": 2160,
        }
    ]
    days = run("coverage", "SIM:BTCUSD", "--days", "--start", "2026-01-03", "--end", "2026-01-05", "--json").json()
    assert [(day["day"], day["missing"]) for day in days] == [("2026-01-03", 1440), ("2026-01-04", 720)]
    assert run("coverage", "SIM:ETHUSD").err.startswith("no bars of SIM:ETHUSD are held")


def test_a_store_that_was_moved_away_is_filled_again(run, tmp_path):
    """The notes of what was fetched are not believed over the store."""
    run("backfill", "SIM:BTCUSD", "--interval", "1h", *JANUARY)
    for file in (tmp_path / "desk").glob("bars.sqlite*"):
        file.unlink()

    (row,) = run("backfill", "SIM:BTCUSD", "--interval", "1h", *JANUARY, "--json").json()

    assert row["inserted"] == row["bars"] > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sync",), "name symbols, such as KRAKEN:BTCUSD"),
        (("sync", "SIM:BTCUSD", "7m"), "interval '7m' is none of 1m 3m"),
        (("sync", "SIM:BTCUSD", "--count", "0"), "the count is 0, and must be 1 to 1,000,000"),
        (("sync", "SIM:BTCUSD", "--count", "5", "--start", "2026-01-01"), "give one of them"),
        (("sync", "MOON:CHEESE", "1d"), "exchange MOON of MOON:CHEESE has no session calendar"),
        (("sync", "SIM:BTCUSD", "--provider", "nobody"), "no provider 'nobody'"),
        (("sync", "SIM:BTCUSD", "--start", "2026-01-02", "--end", "2026-01-01"), "is not after the start"),
        (("backfill", "SIM:BTCUSD"), "name the bars by --interval"),
        (("backfill", "SIM:BTCUSD", "--interval", "1m", "--start", "1999-01-01"), "give 2005-01-01 or later"),
        (("backfill", "SIM:BTCUSD", "--interval", "1m", "--start", "2199-01-01"), "there is no history of it yet"),
        (("coverage", "SIM:BTCUSD", "--holes", "--days"), "two lists"),
        (("coverage", "MOON:CHEESE"), "exchange MOON of MOON:CHEESE has no session calendar"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line_and_leaves_no_trace(run, tmp_path, arguments, sentence):
    answer = run(*arguments)

    assert (answer.code, answer.out) == (2, "")
    assert sentence in answer.err
    assert answer.err.count("\n") == 1
    assert not (tmp_path / "desk").exists()


def test_ctrl_c_ends_a_backfill_after_the_page_in_hand_and_it_goes_on(exchange, run, tmp_path):
    """Two years of minutes are some seconds at least, so it is interrupted on its way."""
    command = [sys.executable, "-m", "pocketquant", "backfill", "SIM:SOLUSD", "--interval", "1m"]
    command += ["--start", "2024-01-01", "--end", "2026-01-01", "--json", "--data-dir", str(tmp_path / "desk")]
    environ = {**os.environ, "POCKETQUANT_PROVIDERS__SIMULATED__URL": exchange}
    with subprocess.Popen(
        command, cwd=HOUSE, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        until("a chunk is done", lambda: _done(run) > 0)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    (row,) = json.loads(out)
    assert (process.returncode, row["state"]) == (1, "error")
    assert 0 < row["chunks_done"] < row["chunks"]
    assert "the same command goes on where it was" in err
    (status,) = run("backfill", "--status", "--json").json()
    assert (status["state"], status["chunks_done"]) == ("error", row["chunks_done"])
    first = ("--start", "2025-12-25", "--end", "2026-01-01")
    assert run("backfill", "SIM:SOLUSD", "--interval", "1m", *first, "--json").json()[0]["held_before"] > 0


def _done(run):
    answer = run("backfill", "--status", "--json")
    return sum(row["chunks_done"] or 0 for row in answer.json()) if answer.code == 0 else 0


def test_what_was_removed_with_its_data_is_fetched_again(run):
    """It is not in the store any more, so the note that it was fetched must be gone too."""
    run("symbols", "add", "SIM:BTCUSD")
    run("backfill", "SIM:BTCUSD", "--interval", "1h", *JANUARY)

    assert run("symbols", "remove", "SIM:BTCUSD", "--with-data", "--yes").code == 0

    assert run("backfill", "--status", "--json").json() == []
    (row,) = run("backfill", "SIM:BTCUSD", "--interval", "1h", *JANUARY, "--json").json()
    assert row["inserted"] == row["bars"] > 0
