"""`pocketquant.open`: what `pq` prints, as frames."""

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import redis
from servers.redis_server import RedisServer, redis_server

import pocketquant
from market.bars import BAR, BarState
from market.errors import DeskError
from market.forming import encode, key
from market.intervals import MINUTE_NS
from market.symbols import Symbol
from sinks.ledger import GapState, Ledger

__all__ = ["redis_server"]

BTC = Symbol("SIM", "BTCUSD")
NOON = 1_767_355_200 * 10**9
NOON_TEXT = "2026-01-02T12:00:00Z"
NOON_TIME = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    """The machine's own settings are not the test's."""
    for name in [name for name in os.environ if name.startswith("POCKETQUANT_") and "TEST" not in name]:
        monkeypatch.delenv(name)
    for name in ("MONGODB_URI", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def opened(desk):
    with pocketquant.open(desk) as found:
        yield found


def plain(frame):
    """A frame as the command's JSON has it."""
    times = [name for name, kind in frame.schema.items() if kind == pl.Datetime]
    text = frame.with_columns(pl.col(times).dt.epoch("ns"))
    from pocketquant.times import format_time

    return [
        {name: format_time(value) if name in times and value is not None else value for name, value in row.items()}
        for row in text.iter_rows(named=True)
    ]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, []),
        ({"limit": 2}, ["--limit", "2"]),
        ({"limit": None}, ["--all"]),
        ({"start": "2026-01-02T12:01:00Z"}, ["--start", "2026-01-02T12:01:00Z"]),
        ({"end": "2026-01-02T12:01"}, ["--end", "2026-01-02T12:01"]),
        ({"state": "closed"}, ["--state", "closed"]),
        ({"state": ["closed", "partial"]}, ["--state", "closed", "--state", "partial"]),
        ({"as_of": "2026-01-02T12:02:02Z"}, ["--as-of", "2026-01-02T12:02:02Z"]),
    ],
)
def test_bars_are_those_of_the_command(opened, desk, pq, arguments, options):
    frame = opened.bars("sim:btcusd", "1m", **arguments)

    assert plain(frame) == pq("bars", "SIM:BTCUSD", "1m", "--json", "--data-dir", desk, *options).json()
    assert frame.schema["start"] == pl.Datetime("ns", "UTC")


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (NOON_TIME + timedelta(minutes=1), 2),
        (NOON + MINUTE_NS, 2),
        (NOON + MINUTE_NS + 1, 1),
        (date(2026, 1, 2), 3),
        (date(2026, 1, 3), 0),
        (datetime.fromisoformat("2026-01-02T14:01:00+02:00"), 2),
    ],
)
def test_a_time_may_be_what_python_has_for_it(opened, start, expected):
    assert opened.bars(BTC, "1m", start=start).height == expected


@pytest.mark.parametrize("archived", [False, True])
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, []),
        ({"limit": 1}, ["--limit", "1"]),
        ({"start": NOON + 2}, ["--start", "2026-01-02T12:00:00.000000002Z"]),
        ({"end": "2026-01-02T12:01:00Z"}, ["--end", "2026-01-02T12:01:00Z"]),
    ],
)
def test_ticks_are_those_of_the_command(opened, desk, pq, arguments, options, archived):
    """Journaled, or archived and gone from the journal."""
    if archived:
        pq("archive", "--data-dir", desk)
        for path in (desk / "journal").glob("*.sqlite*"):
            path.unlink()

    frame = opened.ticks("SIM:BTCUSD", **arguments)

    assert plain(frame) == pq("ticks", "SIM:BTCUSD", "--json", "--data-dir", desk, *options).json()
    assert frame.schema == opened.ticks("SIM:NONE").schema


def test_gaps_are_those_of_the_command(opened, desk, pq, folders):
    with Ledger(folders.desk) as ledger:
        ledger.note_gap(BTC, NOON, NOON + MINUTE_NS, "disconnected", NOON)
        ledger.open_gap(Symbol("SIM", "ETHUSD"), NOON, "disconnected", NOON)

    assert plain(opened.gaps()) == pq("gaps", "--json", "--data-dir", desk).json()
    assert opened.gaps(BTC).height == 1
    assert opened.gaps(state=GapState.OPEN).height == 2
    assert opened.gaps(state="healed").height == 0
    assert opened.gaps(start=NOON + MINUTE_NS)["symbol"].to_list() == ["ETHUSD"]
    assert opened.gaps(end=NOON).height == 0


def test_revisions_are_the_log_of_a_series(opened, fill):
    """Each version from the close on, by whom, in the order in which they came to be."""
    fill.bars([fill.bar(NOON, close=2.75, revision=2, known_at=NOON + 9 * MINUTE_NS)])

    found = opened.revisions("SIM:BTCUSD", "1m")

    assert found.select("writer", "log_seq", "close", "revision", "state").rows() == [
        ("bars", 1, 0.1 + 0.2, 1, "closed"),
        ("bars", 4, 2.75, 2, "closed"),
        ("bars", 2, 2.0, 1, "closed"),
        ("bars", 3, 2.5, 1, "partial"),
    ]
    assert opened.revisions("SIM:BTCUSD", "1m", start=NOON + MINUTE_NS, end=NOON + 2 * MINUTE_NS).height == 1
    assert opened.revisions("SIM:BTCUSD", "1h").schema == found.schema


def test_quotes_are_read_now_and_as_journaled(opened, folders, desk, pq, redis_server: RedisServer, monkeypatch):
    from archived_rows import quotes

    from market.journal_rows import RowKind
    from sinks.journal import JournalWriter

    with JournalWriter(folders.journal, now_ns=lambda: NOON) as journal:
        journal.append(RowKind.QUOTES, 0, quotes(1.5, 1.25, at=NOON))
    journaled = opened.quote_history("SIM:BTCUSD")
    assert journaled.select("seq", "bid", "ask", "session", "feed").rows() == [
        (2, 1.5, None, "open", "sim"),
        (2, 1.25, None, "open", "sim"),
    ]
    assert opened.quote_history("SIM:BTCUSD", start=NOON + 1)["bid"].to_list() == [1.25]
    assert opened.quote_history("SIM:BTCUSD", end=NOON + 1)["bid"].to_list() == [1.5]
    assert opened.quote_history("SIM:NONE").schema == journaled.schema

    with pytest.raises(DeskError, match="start the desk with `pq up`"):
        opened.quotes()
    client = redis_server.start()
    client.hset("quote:SIM:BTCUSD", mapping={"last": "1.5", "event_time": NOON, "received_time": NOON, "feed": "sim"})
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    with pocketquant.open(desk) as live:
        assert live.quotes("SIM:BTCUSD").select("symbol", "last", "bid").rows() == [("BTCUSD", 1.5, None)]
        assert live.quotes("SIM:ETHUSD").height == 0

    pq("archive", "--data-dir", desk)
    for path in (desk / "journal").glob("*.sqlite*"):
        path.unlink()
    assert opened.quote_history("SIM:BTCUSD").equals(journaled)


def test_the_forming_bar_is_merged_and_answers_are_kept(desk, fill, redis_server: RedisServer, monkeypatch):
    """The stored bars of a question come out of Redis the second time; the forming bar is never kept."""
    client = redis_server.start()
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    fill.bars([fill.bar(NOON + 3 * MINUTE_NS, close=9.0, state=BarState.FORMING, revision=0)])

    def forming(close):
        bars = [
            fill.bar(NOON + place * MINUTE_NS, close=close, state=BarState.FORMING, revision=0) for place in (1, 3, 4)
        ]
        client.set(key(BTC), encode("sim", np.array(bars, BAR)))

    with pocketquant.open(desk) as opened:
        seen = []
        for close in (9.5, 9.75):
            forming(close)
            for query in ({}, {"newest_first": False}, {"limit": 2}, {"limit": 2, "newest_first": False}):
                frame = opened.bars("SIM:BTCUSD", "1m", **query)
                seen.append(list(zip(frame["start"].dt.minute(), frame["close"], frame["state"], strict=True)))
            assert seen[-4] == [
                (4, close, "forming"),
                (3, close, "forming"),
                (2, 2.5, "partial"),
                (1, 2.0, "closed"),
                (0, 0.1 + 0.2, "closed"),
            ]
            assert seen[-3] == seen[-4][::-1]
            assert seen[-2] == seen[-4][:2]
            assert seen[-1] == seen[-4][1::-1]
        assert opened.bars("SIM:BTCUSD", "1m", state="closed").height == 2
    (counts,) = client.keys("bars:asked:*:counts")
    assert {name: int(count) for name, count in client.hgetall(counts).items() if name != b"tokens"} == {
        b"hits": 4,
        b"misses": 5,
    }
    fresh = redis.Redis.from_url(redis_server.url)
    assert fresh.ttl(key(BTC)) == -1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda desk: desk.bars("BTCUSD", "1m"), "symbol 'BTCUSD' is not EXCHANGE:TICKER"),
        (lambda desk: desk.bars("KRACKEN:BTCUSD", "1m"), "exchange KRACKEN of KRACKEN:BTCUSD has no session calendar"),
        (lambda desk: desk.bars("SIM:BTCUSD", "7m"), "interval '7m' is none of"),
        (lambda desk: desk.bars("SIM:BTCUSD", "1m", state="odd"), "state 'odd' is none of forming closed"),
        (lambda desk: desk.bars("SIM:BTCUSD", "1m", limit=0), "limit 0 is not at least 1"),
        (lambda desk: desk.bars("SIM:BTCUSD", "1m", adjust="odd"), "adjust 'odd' is none of none splits all"),
        (lambda desk: desk.bars("SIM:BTCUSD", "1m", start="noon"), "start: time 'noon' is not ISO 8601"),
        (lambda desk: desk.bars("SIM:BTCUSD", "1m", start=NOON, end=NOON), "is not after start"),
        (lambda desk: desk.bars("SIM:BTCUSD", "1m", start=NOON_TIME.replace(tzinfo=None)), "has no time zone"),
        (lambda desk: desk.bars("SIM:BTCUSD", "1m", archive=True), "there is no archive in"),
        (lambda desk: desk.bars("SIM:BTCUSD", "1m", archive=True, as_of=NOON), "as they are, not as they were"),
        (lambda desk: desk.gaps(state="odd"), "state 'odd' is none of open healed unfillable"),
    ],
)
def test_a_wrong_argument_is_a_sentence(opened, call, text):
    with pytest.raises(DeskError, match=text):
        call(opened)


def test_a_folder_without_a_desk_is_refused_and_left_alone(tmp_path):
    with pytest.raises(DeskError, match="does not exist"):
        pocketquant.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DeskError, match="holds no desk"):
        pocketquant.open(str(tmp_path / "empty"))


def test_damaged_rows_are_warned_of(opened, folders):
    import sqlite3
    from contextlib import closing

    (path,) = folders.journal.glob("*.sqlite")
    with closing(sqlite3.connect(path)) as journal, journal:
        journal.execute("UPDATE rows SET checksum = 0")

    with pytest.warns(UserWarning, match="left out: journal file 2026-01-02.sqlite, row 1"):
        assert opened.ticks("SIM:BTCUSD").height == 0


def test_what_is_held_is_listed(opened):
    assert plain(opened.series()) == [
        {
            "exchange": "SIM", "symbol": "BTCUSD", "interval": "1m", "bars": 3,
            "first": NOON_TEXT, "last": "2026-01-02T12:02:00Z",
        }
    ]  # fmt: skip


def test_importing_costs_nothing():
    """A script that only passes the module on pays for nothing else."""
    code = (
        "import sys, pocketquant; print([name for name in ('polars', 'numpy', 'redis', 'pydantic', 'pyarrow', 'click') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout == "[]\n"
