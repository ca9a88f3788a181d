"""Commands that read, on a desk that does not run."""

import csv
import datetime as dt
import io
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import polars as pl
import pytest
import redis

from infra import redis_server
from market.actions import split
from market.bars import BAR, COLUMNS, BarState
from market.forming import encode, key
from market.intervals import MINUTE_NS, NAMES
from market.symbols import Symbol
from sinks.actions_book import ActionsBook
from sinks.ledger import Ledger, Reject
from sinks.registry_book import Instrument, RegistryBook

BTC = Symbol("SIM", "BTCUSD")
NOON = 1_767_355_200 * 10**9
TICK_COLUMNS = [
    "seq", "exchange", "symbol", "event_time", "received_time", "price", "size", "count", "aggressor", "trade_id",
    "feed",
]  # fmt: skip
GAP_COLUMNS = ["exchange", "symbol", "start", "end", "reason", "state", "healed_by", "noticed_at"]


@contextmanager
def embedded_redis(folders):
    """The desk's own Redis, as the supervisor starts it."""
    server = subprocess.Popen(redis_server.command(folders, 16), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not redis_server.answers(folders.redis_socket):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield redis.Redis(unix_socket_path=str(folders.redis_socket))
    finally:
        server.terminate()
        server.wait()


def test_bars_are_newest_first_with_the_contracts_columns(pq, desk):
    """The whole output, by hand: vwap 8 / 4 = 2, times with Z, floats with all their digits."""
    answer = pq("bars", "sim:btcusd", "1m", "--json", "--data-dir", desk)

    assert (answer.code, answer.err) == (0, "")
    rows = answer.json()
    assert [row["start"] for row in rows] == ["2026-01-02T12:02:00Z", "2026-01-02T12:01:00Z", "2026-01-02T12:00:00Z"]
    assert [row["state"] for row in rows] == ["partial", "closed", "closed"]
    assert tuple(rows[0]) == COLUMNS
    assert rows[2] == {
        "exchange": "SIM", "symbol": "BTCUSD", "interval": "1m",
        "start": "2026-01-02T12:00:00Z", "end": "2026-01-02T12:01:00Z",
        "open": 1.0, "high": 3.0, "low": 0.5, "close": 0.1 + 0.2,
        "volume": 4.0, "notional": 8.0, "trades": 7, "vwap": 2.0,
        "state": "closed", "source": "sim", "revision": 1, "updated_at": "2026-01-02T12:01:02Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "minutes"),
    [
        (["--limit", "2"], [2, 1]),
        (["--start", "2026-01-02T12:01:00Z"], [2, 1]),
        (["--end", "2026-01-02T12:01:00Z"], [0]),
        (["--start", "2026-01-02", "--end", "2026-01-03"], [2, 1, 0]),
        (["--state", "closed"], [1, 0]),
        (["--state", "closed", "--state", "partial"], [2, 1, 0]),
        (["--as-of", "2026-01-02T12:02:02Z"], [1, 0]),
        (["--as-of", "2026-01-02T12:02:01.999999999Z"], [0]),
        (["--all", "--adjust", "none"], [2, 1, 0]),
    ],
)
def test_options_of_bars_choose_among_them(pq, desk, options, minutes):
    rows = pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk, *options).json()
    assert [int(row["start"][14:16]) for row in rows] == minutes


def test_limit_is_twenty_unless_told(pq, desk, fill):
    fill.bars([fill.bar(NOON + (10 + n) * MINUTE_NS) for n in range(30)])
    assert len(pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk).json()) == 20
    assert len(pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk, "--limit", 25).json()) == 25


def test_each_form_holds_the_same(pq, desk, tmp_path):
    """CSV, JSON and Parquet of one question."""
    rows = pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk).json()
    text = pq("bars", "SIM:BTCUSD", "1m", "--format", "csv", "--data-dir", desk).out
    assert [{**row, "trades": int(row["trades"])} for row in csv.DictReader(io.StringIO(text))] == [
        {name: value if isinstance(value, int) and name == "trades" else str(value) for name, value in row.items()}
        for row in rows
    ]
    path = tmp_path / "bars.parquet"
    assert pq("bars", "SIM:BTCUSD", "1m", "--output", path, "--data-dir", desk).out == ""
    frame = pl.read_parquet(path)
    assert tuple(frame.columns) == COLUMNS
    assert frame["close"].to_list() == [row["close"] for row in rows]
    assert frame["start"].dt.epoch("ns").to_list() == [NOON + n * MINUTE_NS for n in (2, 1, 0)]


def test_the_forming_bar_of_the_cache_comes_first(pq, desk, folders, fill):
    """It is shown beside the stored ones; what the last shutdown flushed gives way to it, what is closed does not."""
    fill.bars([fill.bar(NOON + 3 * MINUTE_NS, close=9.0, state=BarState.FORMING, revision=0)])
    fresh = [
        fill.bar(NOON + 3 * MINUTE_NS, close=9.5, state=BarState.FORMING, revision=0),
        fill.bar(NOON + 1 * MINUTE_NS, close=7.0, state=BarState.FORMING, revision=0),
    ]
    with embedded_redis(folders) as server:
        server.set(key(BTC), encode("sim", np.array(fresh, BAR)))
        rows = pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk).json()
        closed = pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk, "--state", "closed").json()
    assert [(row["start"][14:16], row["state"], row["close"]) for row in rows] == [
        ("03", "forming", 9.5),
        ("02", "partial", 2.5),
        ("01", "closed", 2.0),
        ("00", "closed", 0.1 + 0.2),
    ]
    assert [row["state"] for row in closed] == ["closed", "closed"]

    after = pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk, "--state", "forming")
    assert [row["close"] for row in after.json()] == [9.0]


def test_ticks_are_as_journaled(pq, desk):
    """Event times keep all their digits; an id that the venue did not give is null."""
    rows = pq("ticks", "SIM:BTCUSD", "--json", "--data-dir", desk).json()
    assert list(rows[0]) == TICK_COLUMNS
    day = "2026-01-02T12:0"
    assert [list(row.values()) for row in rows] == [
        [1, "SIM", "BTCUSD", f"{day}0:00.000000001Z", f"{day}0:00.001000001Z", 1.5, 2.0, 1, "buy", 7, "sim"],
        [1, "SIM", "BTCUSD", f"{day}2:00.123456789Z", f"{day}2:00.124456789Z", 0.1 + 0.2, 0.5, 1, "sell", None, "sim"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "prices"),
    [
        (["--start", "2026-01-02T12:01:00Z"], [0.1 + 0.2]),
        (["--end", "2026-01-02T12:00:00.000000001Z"], []),
        (["--end", "2026-01-02T12:00:00.000000002Z"], [1.5]),
        (["--limit", "1"], [0.1 + 0.2]),
    ],
)
def test_a_span_of_ticks_is_by_event_time(pq, desk, options, prices):
    rows = pq("ticks", "SIM:BTCUSD", "--json", "--data-dir", desk, *options).json()
    assert [row["price"] for row in rows] == prices


def test_gaps_and_rejects_are_what_the_ledger_holds(pq, desk, folders):
    with Ledger(folders.desk) as ledger:
        ledger.note_gap(BTC, NOON, NOON + MINUTE_NS, "down", NOON + 1, "sim")
        ledger.open_gap(Symbol("SIM", "ETHUSD"), NOON + 5, "mute", NOON + 6, "sim")
        ledger.reject(Reject("sim", "price", "price -1 is not above 0", NOON, BTC, 3, 0))

    gaps = pq("gaps", "--json", "--data-dir", desk).json()
    assert [list(row) for row in gaps] == [GAP_COLUMNS] * 2
    assert list(gaps[0].values()) == [
        *("SIM", "BTCUSD", "2026-01-02T12:00:00Z", "2026-01-02T12:01:00Z", "down", "open", None),
        "2026-01-02T12:00:00.000000001Z",
    ]
    assert gaps[1]["end"] is None
    assert [row["symbol"] for row in pq("gaps", "SIM:ETHUSD", "--json", "--data-dir", desk).json()] == ["ETHUSD"]
    assert pq("gaps", "--state", "healed", "--json", "--data-dir", desk).json() == []

    (reject,) = pq("rejects", "--json", "--data-dir", desk).json()
    assert (reject["source"], reject["reason"], reject["seq"]) == ("sim", "price", 3)
    assert pq("rejects", "--counts", "--json", "--data-dir", desk).json() == [
        {"source": "sim", "reason": "price", "count": 1}
    ]


def test_quotes_show_what_redis_has_and_their_age(pq, desk, folders):
    with embedded_redis(folders) as server:
        now = time.time_ns()
        fields = {"last": "0.30000000000000004", "bid": "0.25", "event_time": now, "received_time": now}
        server.hset("quote:SIM:BTCUSD", mapping={**fields, "feed": "sim", "kind": "trades", "session": "open"})
        (row,) = pq("quotes", "--json", "--data-dir", desk).json()
        server.hset("quote:NYSE:F", mapping={**fields, "feed": "tradingview", "kind": "conflated", "delayed": "1"})
        (late,) = pq("quotes", "NYSE:F", "--json", "--data-dir", desk).json()
        some = pq("quotes", "SIM:BTCUSD", "SIM:NONE", "--json", "--data-dir", desk)
    assert (row["last"], row["bid"], row["ask"], row["feed"]) == (0.1 + 0.2, 0.25, None, "sim")
    assert (row["kind"], late["kind"]) == ("trades", "conflated delayed")
    assert 0 <= row["age_s"] < 10
    assert (len(some.json()), some.err) == (1, "no quote in the last minute: SIM:NONE\n")


def test_without_redis_there_are_no_quotes_and_it_is_said(pq, desk):
    """Nothing stale is shown."""
    answer = pq("quotes", "--json", "--data-dir", desk)
    assert (answer.code, answer.json()) == (0, [])
    assert "Redis does not answer" in answer.err
    assert "pq up" in answer.err


def test_status_of_a_desk_that_does_not_run(pq, desk):
    answer = pq("status", "--json", "--data-dir", desk)
    status = answer.json()
    assert [(entry["name"], entry["state"]) for entry in status["processes"]] == [
        *(("redis", "stopped"), ("ingest", "stopped"), ("bars", "stopped"))
    ]
    assert all(list(entry) == ["name", "pid", "state", "uptime_s", "restarts"] for entry in status["processes"])
    assert (status["feeds"], status["journal"]["seq"], status["redis"]["state"]) == ([], 1, "down")
    assert status["store"]["bytes"] > 0
    assert "not running" in pq("status", "--data-dir", desk).out


def test_status_is_told_also_where_the_ledger_cannot_be_read(pq, desk, folders):
    """On a full or broken disk, that is when it is asked for."""
    folders.desk.write_bytes(b"no ledger" * 1000)
    answer = pq("status", "--json", "--data-dir", desk)
    assert answer.code == 0
    (alert,) = answer.json()["alerts"]
    assert alert["name"] == "ledger_away"
    assert "desk.sqlite" in alert["text"]


def test_symbols_are_those_followed_or_stored(pq, desk):
    (row,) = pq("symbols", "--json", "--data-dir", desk).json()
    assert {name: row[name] for name in ("exchange", "symbol", "feed", "subscribed", "bars", "last")} == {
        "exchange": "SIM",
        "symbol": "BTCUSD",
        "feed": "sim",
        "subscribed": True,
        "bars": 3,
        "last": "2026-01-02T12:02:00Z",
    }


def test_prices_are_adjusted_by_the_actions_in_the_book_or_not_at_all(pq, desk, folders, fill):
    """A two for one split at the last minute's day changes nothing after it; what was never asked for is said."""
    fill.bars([fill.bar(NOON + 180 * MINUTE_NS)], Symbol("NASDAQ", "AAPL"))
    answer = pq("bars", "NASDAQ:AAPL", "1m", "--adjust", "splits", "--data-dir", desk)
    assert (answer.code, answer.out) == (1, "")
    assert "of NASDAQ:AAPL were never fetched" in answer.err
    assert "`pq actions fetch NASDAQ:AAPL`" in answer.err
    raw = pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk).json()
    with ActionsBook(folders.history) as book:
        book.note([split(Symbol("SIM", "BTCUSD"), dt.date(2026, 1, 2), 2.0, "file")], 1)
    assert pq("bars", "SIM:BTCUSD", "1m", "--adjust", "all", "--json", "--data-dir", desk).json() == raw


def test_export_writes_what_is_closed_oldest_first(pq, desk, tmp_path):
    path = tmp_path / "out.csv"
    answer = pq("export", "SIM:BTCUSD", "1m", "--output", path, "--data-dir", desk)
    assert (answer.code, answer.out) == (0, "")
    assert "3 bars" in answer.err
    rows = list(csv.DictReader(path.open()))
    assert [row["start"][14:16] for row in rows] == ["00", "01", "02"]
    assert float(rows[0]["close"]) == 0.1 + 0.2


def test_a_chart_is_drawn_or_written(pq, desk, tmp_path):
    text = pq("chart", "SIM:BTCUSD", "1m", "--data-dir", desk)
    assert "SIM:BTCUSD 1m, 3 bars, 1 of them partial" in text.out
    assert "█" in text.out
    png, html = tmp_path / "c.png", tmp_path / "c.html"
    assert pq("chart", "SIM:BTCUSD", "1m", "--output", png, "--data-dir", desk).code == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pq("chart", "SIM:BTCUSD", "1m", "--output", html, "--data-dir", desk).code == 0
    page = html.read_text()
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page


def test_an_alert_is_kept_listed_and_removed(pq, desk):
    assert pq("alert", "add", "SIM:BTCUSD", "above", "0.30000000000000004", "--data-dir", desk).code == 0
    (row,) = pq("alert", "list", "--json", "--data-dir", desk).json()
    assert (row["id"], row["side"], row["price"], row["armed"]) == (1, "above", 0.1 + 0.2, True)
    assert pq("alert", "remove", "1", "--data-dir", desk).code == 0
    assert pq("alert", "remove", "1", "--data-dir", desk).code == 1
    assert pq("alert", "list", "--json", "--data-dir", desk).json() == []


def test_subscriptions_are_kept(pq, desk):
    answer = pq("subscribe", "kraken:btcusd", "--data-dir", desk)
    assert (answer.code, answer.err) == (0, "KRAKEN:BTCUSD is followed on feed kraken, from the next `pq up` on\n")
    assert pq("unsubscribe", "KRAKEN:BTCUSD", "--data-dir", desk).code == 0
    assert pq("unsubscribe", "KRAKEN:BTCUSD", "--data-dir", desk).code == 1
    rows = pq("symbols", "--json", "--data-dir", desk).json()
    assert [(row["exchange"], row["subscribed"]) for row in rows] == [("KRAKEN", False), ("SIM", True)]


def test_two_spellings_are_one_subscription(pq, desk):
    """Or its ticks would come twice, and make the bars of two symbols."""
    for name in ("KRAKEN:XBTUSD", "kraken:btc/usd", "KRAKEN:XXBTZUSD"):
        answer = pq("subscribe", name, "--data-dir", desk)
        assert (answer.code, answer.err) == (0, "KRAKEN:BTCUSD is followed on feed kraken, from the next `pq up` on\n")
    assert pq("subscribe", "KRAKEN:ANY", "--data-dir", desk).code == 2
    rows = pq("symbols", "--json", "--data-dir", desk).json()
    assert [row["symbol"] for row in rows if row["exchange"] == "KRAKEN"] == ["BTCUSD"]
    assert pq("unsubscribe", "KRAKEN:XBTUSD", "--data-dir", desk).code == 0


def test_nothing_found_is_an_empty_list_and_a_sentence(pq, desk):
    """Exit 0: the question was fine."""
    span = pq("bars", "SIM:BTCUSD", "1m", "--end", "2020-01-01", "--json", "--data-dir", desk)
    assert (span.code, span.json(), span.err) == (0, [], "no 1m bars of SIM:BTCUSD in that span\n")
    typo = pq("bars", "SIM:BTCUS", "1m", "--json", "--data-dir", desk)
    assert (typo.code, typo.err) == (0, "nothing is known of SIM:BTCUS: did you mean SIM:BTCUSD?\n")
    other = pq("ticks", "OKX:AAVEUSDT", "--json", "--data-dir", desk)
    assert (other.json(), other.err) == (
        [],
        "nothing is known of OKX:AAVEUSDT: `pq subscribe OKX:AAVEUSDT` starts it\n",
    )


@pytest.mark.parametrize("words", [("bars", "1m"), ("chart", "1m"), ("ticks",)])
def test_an_exchange_without_a_calendar_is_an_error_that_says_how_to_add_it(pq, desk, words):
    answer = pq(words[0], "NOWHERE:X", *words[1:], "--data-dir", desk)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "market/sessions.py" in answer.err


def test_an_export_of_nothing_leaves_no_older_answer_in_its_place(pq, desk, tmp_path):
    file = tmp_path / "bars.csv"
    file.write_text("of yesterday")
    answer = pq("export", "SIM:BTCUSD", "1m", "--end", "2020-01-01", "--output", file, "--data-dir", desk)
    assert answer.code == 0
    assert "no 1m bars of SIM:BTCUSD in that span\n" in answer.err
    assert file.read_text().startswith("exchange,symbol,interval,start")
    assert len(file.read_text().splitlines()) == 1


def test_the_thirteen_intervals_are_all_answered(pq, desk):
    assert [pq("bars", "SIM:BTCUSD", name, "--json", "--data-dir", desk).code for name in NAMES] == [0] * 13


@pytest.mark.parametrize(
    "words",
    [
        "symbols", "symbols list", "symbols show SIM:BTCUSD", "symbols search btc", "symbols universes", "actions list",
        "backup", "backups", "backups --check", "drill", "bars SIM:BTCUSD 1m", "ticks SIM:BTCUSD", "status",
        "coverage", "providers", "quota",
    ],
)  # fmt: skip
def test_a_command_that_found_something_is_done_with_exit_0(pq, desk, folders, words):
    """However many rows it shows: their number is not its exit code."""
    with RegistryBook(folders.history) as book:
        book.set_universe("two", [Instrument(BTC), Instrument(Symbol("SIM", "ETHUSD"))])
    with ActionsBook(folders.history) as actions:
        actions.note([split(Symbol("NASDAQ", "AAPL"), dt.date(2020, 8, 31), 4.0, "file")], 1)
    if words in {"backups", "backups --check", "drill"}:
        assert pq("backup", "--data-dir", desk).code == 0
    answer = pq(*words.split(), "--data-dir", desk)
    assert (answer.code, answer.out != "") == (0, True)
