"""`pq providers` and `pq quota` say who can be asked, what is missing, how each has been and what is left."""

import subprocess
import sys
import time

import pytest
from scripted.provider import Script, Seat, quick, truth_of_minutes

import history.roster
from history.desk import HistoryDesk
from history.roster import breakers, quota
from infra.settings import load_settings
from market.intervals import MINUTE_NS, Interval
from sources.history.provider import ProviderAway, Terms, Window

NOON = 1_767_355_200 * 10**9


@pytest.fixture
def known(folders):
    """The folder, and a desk in it whose clock is the wall's, as the command's is."""
    with HistoryDesk(load_settings(folders.data_dir, environ={})) as desk:
        yield desk


def by_name(answer, name):
    return next(row for row in answer.json() if row["provider"] == name)


def test_every_provider_is_listed_with_what_it_lacks(pq, tmp_path):
    """In a folder that is none: nothing is made there."""
    answer = pq("providers", "--json", "--data-dir", tmp_path / "none")

    assert answer.code == 0
    assert [row["provider"] for row in answer.json()] == [
        "simulated", "binance", "coinbase", "kraken", "okx", "alpaca", "massive", "tradier", "alpha_vantage",
        "tradingview", "yfinance",
    ]  # fmt: skip
    assert by_name(answer, "kraken") == {
        "provider": "kraken",
        "available": True,
        "missing": "",
        "intervals": "1m 5m 15m 30m 1h 4h 1d",
        "trades": True,
        "reach": "720 bars",
        "limits": "1 a second",
        "health": "closed",
        "until": None,
        "answered_at": None,
        "failed_at": None,
        "last_error": "",
    }
    massive = by_name(answer, "massive")
    assert (massive["available"], massive["missing"]) == (False, "no POCKETQUANT_PROVIDERS__MASSIVE__KEY")
    assert not (tmp_path / "none").exists()


def test_a_key_in_the_settings_makes_a_provider_available(pq, folders, monkeypatch):
    monkeypatch.setenv("POCKETQUANT_PROVIDERS__MASSIVE__KEY", "secret-key")
    monkeypatch.setenv("POCKETQUANT_PROVIDERS__MASSIVE__PER_MINUTE", "300")
    answer = pq("providers", "--json", "--data-dir", folders.data_dir)
    massive = by_name(answer, "massive")

    assert (massive["available"], massive["missing"]) == (True, "")
    assert massive["limits"].startswith("300 a minute")
    assert "secret-key" not in answer.out + answer.err


def test_health_and_the_last_error_are_shown(pq, known, folders):
    for _ in range(5):
        breakers(known).failed("okx", ProviderAway("okx does not answer: timed out"))
    answer = pq("providers", "--json", "--data-dir", folders.data_dir)
    okx = by_name(answer, "okx")

    assert (okx["health"], okx["last_error"]) == ("open", "okx does not answer: timed out")
    assert okx["until"] > okx["failed_at"] is not None
    assert "okx does not answer" in pq("providers", "--data-dir", folders.data_dir).out


def test_what_was_spent_is_shown_by_limit(pq, known, folders):
    """Alpha Vantage's five a minute and 25 a day, three calls of both; a ban of Binance in its own words."""
    ask = quota(known).door("alpha_vantage", Terms(frozenset(), 1, windows=(Window(60, 5), Window(86_400, 25))), print)
    for _ in range(3):
        ask()
    quota(known).book.block("binance", time.time_ns() + 3600 * 10**9, "binance banned this address")
    answer = pq("quota", "--json", "--data-dir", folders.data_dir)
    rows = [row for row in answer.json() if row["provider"] == "alpha_vantage"]

    assert [(row["limit"], row["used"], row["left"], row["calls_today"]) for row in rows] == [
        ("5 a minute", 3, 2, 3),
        ("25 a day", 3, 22, 3),
    ]
    assert all(row["free_at"] for row in rows)
    assert rows[1]["free_at"].endswith("T00:00:00Z")
    binance = by_name(answer, "binance")
    assert (binance["limit"], binance["used"], binance["text"]) == ("6,000 a minute", 0, "binance banned this address")
    assert binance["until"] is not None
    assert by_name(answer, "okx")["limit"] == ""
    # Providers that cannot be asked and were not are left out.
    assert not [row for row in answer.json() if row["provider"] == "massive"]


def test_an_empty_folder_has_spent_nothing(pq, tmp_path):
    answer = pq("quota", "--json", "--data-dir", tmp_path / "none")

    assert answer.code == 0
    assert by_name(answer, "binance")["left"] == 6000
    assert not (tmp_path / "none").exists()


def test_a_plan_says_what_a_sync_would_reach_and_calls_nobody(pq, folders, pair):
    """Two symbols are registered; the scripted providers allow one page a day, so the second is for tomorrow."""
    pair[0].terms = pair[1].terms = quick(Interval.M1, windows=(Window(86_400, 1),))
    for ticker in ("BTCUSD", "ETHUSD", "SOLUSD"):
        assert pq("subscribe", f"SIM:{ticker}", "--data-dir", folders.data_dir).code == 0
    answer = pq("quota", "--plan", "1m", "--count", "50", "--json", "--data-dir", folders.data_dir)
    rows = answer.json()

    assert answer.code == 1
    assert [(row["symbol"], row["reached"], row["providers"], row["calls"]) for row in rows] == [
        ("BTCUSD", True, "alpaca", 1),
        ("ETHUSD", True, "massive", 1),
        ("SOLUSD", False, "", None),
    ]
    assert rows[2]["done_at"] > rows[0]["done_at"]
    assert answer.err.startswith("2 of 3 symbols by ")
    assert pair[0].calls == pair[1].calls == []


def test_a_plan_of_no_symbols_says_how_to_register_one(pq, folders):
    answer = pq("quota", "--plan", "1d", "--data-dir", folders.data_dir)

    assert (answer.code, answer.out) == (0, "")
    assert "pq symbols add" in answer.err


@pytest.fixture
def pair(monkeypatch):
    """Two scripted providers of SIM, instead of the real ones."""
    now = time.time_ns() // MINUTE_NS * MINUTE_NS
    scripts = [Script(truth_of_minutes(now - 700 * MINUTE_NS, 800), terms=quick(Interval.M1)) for _ in range(2)]
    seats = {name: Seat(name, script) for name, script in zip(("alpaca", "massive"), scripts, strict=True)}
    monkeypatch.setattr(history.roster, "listed", lambda _: seats)
    monkeypatch.setenv("POCKETQUANT_PROVIDER_ORDER", '{"SIM": ["alpaca", "massive"]}')
    return scripts


def compare(pq, folders, *more):
    return pq("providers", "--compare", "SIM:BTCUSD", "--interval", "1m", "--data-dir", folders.data_dir, *more)


def test_providers_that_agree_are_no_trouble(pq, folders, pair):
    answer = compare(pq, folders)

    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "SIM:BTCUSD 1m: 50 bars of alpaca and massive compared, 0 differ by more than 0.1 %\n"


def test_providers_that_differ_are_exit_1_with_both_values(pq, folders, pair):
    pair[1].bars["high"] = 1000.0
    answer = compare(pq, folders, "--json")

    assert answer.code == 1
    assert {(row["field"], row["first"], row["second"], row["second_value"]) for row in answer.json()} == {
        ("high", "alpaca", "massive", 1000.0)
    }
    assert "50 differ by more than 0.1 %" in answer.err


@pytest.mark.parametrize("more", [("--provider", "alpaca"), ("--provider", "a") * 3])
def test_two_are_compared_and_no_other_number(pq, folders, more):
    answer = compare(pq, folders, *more)

    assert answer.code == 2
    assert "give it twice" in answer.err


def test_listing_providers_imports_nothing_large():
    """They are read often; HTTP, frames and Prefect are for those who fetch."""
    code = (
        "import sys\n"
        "from pocketquant import cli\n"
        "cli.run(['providers', '--json', '--data-dir', '/nowhere/at/all'])\n"
        "cli.run(['quota', '--json', '--data-dir', '/nowhere/at/all'])\n"
        "large = {'httpx', 'polars', 'numba', 'pandas', 'prefect', 'exchange_calendars', 'pyrate_limiter'}\n"
        "print(sorted(large & set(sys.modules)), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)

    assert ran.stderr.strip().endswith("[]")
