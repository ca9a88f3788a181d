"""Replays of files: the same path as live ticks, resumable at any tick, and no different the second time."""

import threading
from pathlib import Path

import numpy as np
import pytest

from dataflows.replay import Desk, Summary, replay
from market.bars import BAR, BarBatch, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.journal_rows import RowKind
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.journal import JournalWriter
from sinks.ledger import Ledger
from sinks.sqlite_bars import SqliteBars
from sources.journal import JournalReader
from sources.tick_files.opening import open_ticks

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
BEGIN = 1_699_999_200 * SECOND
NOW = BEGIN + 10**18
BTC = Symbol("KRAKEN", "BTCUSD")


@pytest.fixture
def place(tmp_path):
    """A data folder's parts, opened anew for each test."""
    ledger, store = Ledger(tmp_path / "desk.sqlite"), SqliteBars(tmp_path / "bars.sqlite")
    events = []
    yield Desk(
        tmp_path / "journal", tmp_path / "recovery", store, ledger, lambda *event: events.append(event), lambda: NOW
    )
    ledger.close()
    store.close()


def ticks_file(path: Path, seed: int, lines: int = 3000) -> Path:
    """A file in our own form: three hours of ticks, some out of order, two lines broken."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(BEGIN, BEGIN + 180 * MINUTE, lines)) - rng.integers(0, 3 * SECOND, lines)
    prices = np.round(100 + np.cumsum(rng.normal(0, 0.05, lines)), 2)
    sizes = np.round(rng.exponential(1, lines), 6)
    text = [f"{time},{price},{size}" for time, price, size in zip(times, prices, sizes, strict=True)]
    text.insert(100, "nonsense,1,1")
    text.insert(200, f"{BEGIN + MINUTE},-5,1")
    path.write_text("event_time,price,size\n" + "\n".join(text) + "\n")
    return path


def logged(desk: Desk) -> bytes:
    return b"".join(part.rows.tobytes() for part in desk.store.revisions("bars"))


def test_the_recorded_kraken_hour_end_to_end(place, recorded):
    """The figures are sums over the file that no program of ours made."""
    file = open_ticks(recorded / "kraken/ticks/kraken-XBTUSD-trades-2019-07-01T00.csv", symbol=BTC)

    summary = replay(file, place, symbol=BTC)

    assert (summary.ticks, summary.journaled, summary.rejects, summary.known) == (2672, 2672, 0, False)
    assert [summary.closed[name] for name in ("1m", "5m", "15m", "30m", "1h", "2h", "1d")] == [60, 12, 4, 2, 1, 0, 0]
    hour = place.store.read(BTC, Interval.H1).row(0, named=True)
    assert [hour[key] for key in ("open", "high", "low", "close")] == [10749.4, 11041.8, 10600.0, 11014.3]
    assert hour["volume"] == pytest.approx(903.70245541, abs=1e-6)
    assert hour["source"] == file.feed


def test_the_same_file_again_changes_nothing_and_says_so(place, tmp_path):
    path = ticks_file(tmp_path / "ticks.csv", 1)
    first = replay(open_ticks(path, symbol=BTC), place, symbol=BTC)
    before = logged(place)

    second = replay(open_ticks(path, symbol=BTC), place, symbol=BTC)

    assert first.rejects == second.rejects == 2
    assert (first.known, second.known) == (False, True)
    assert (first.ticks, second.ticks, second.journaled) == (3000, 3000, 0)
    assert sum(second.closed.values()) == 0
    assert first.held == second.held
    assert logged(place) == before
    assert [(r.rows, r.state) for r in place.ledger.replays(open_ticks(path, symbol=BTC).hash)] == [(3000, "done")]
    assert {reject.place for reject in place.ledger.rejects()} == {102, 200}


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_killed_anywhere_goes_on_at_the_next_tick(place, tmp_path, monkeypatch, seed):
    """The journal itself says how much of the file it has: whatever else a kill -9 lost, no tick is there twice."""
    path = ticks_file(tmp_path / "ticks.csv", seed)
    whole = Desk(tmp_path / "w/journal", tmp_path / "w/recovery", SqliteBars(tmp_path / "whole.sqlite"),
                 Ledger(tmp_path / "w/desk.sqlite"), lambda *_: None, lambda: NOW)  # fmt: skip
    replay(open_ticks(path, symbol=BTC), whole, symbol=BTC)
    monkeypatch.setattr("dataflows.file_intake.TRANSACTION_TICKS", 200)
    rng = np.random.default_rng(seed)
    append_many = JournalWriter.append_many
    for _ in range(4):
        left = int(rng.integers(1, 4))

        def killed(self, batches):
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return append_many(self, batches)

        with monkeypatch.context() as patch:
            patch.setattr(JournalWriter, "append_many", killed)
            with pytest.raises(KeyboardInterrupt):
                replay(small_batches(path), place, symbol=BTC)

    summary = replay(small_batches(path), place, symbol=BTC)

    assert summary.ticks == 3000
    assert 0 < summary.journaled < 3000
    assert rows_of(place) == rows_of(whole)
    assert logged(place) == logged(whole)
    whole.store.close()
    whole.ledger.close()


def test_a_stopped_replay_says_so_and_goes_on(place, tmp_path):
    path = ticks_file(tmp_path / "ticks.csv", 4)
    stop = threading.Event()
    stop.set()

    stopped = replay(open_ticks(path, symbol=BTC), place, symbol=BTC, stop=stop)
    done = replay(open_ticks(path, symbol=BTC), place, symbol=BTC)

    assert (stopped.stopped, done.stopped) == (True, False)
    assert done.ticks == 3000
    assert done.closed["1m"] == 180


def test_progress_goes_from_nothing_to_all(place, tmp_path):
    told = []

    replay(
        open_ticks(ticks_file(tmp_path / "ticks.csv", 5), symbol=BTC), place, symbol=BTC,
        tell=lambda what, done: told.append((what, done)),
    )  # fmt: skip

    assert told[-1] == ("bars", 1.0)
    assert ("journal", 1.0) in told
    assert all(0 <= done <= 1 for _, done in told)


def test_bars_of_another_feed_in_that_time_are_a_reason_to_refuse(place, tmp_path):
    """Two sources in one series without a word would be a chart that nobody can explain."""
    bar = np.zeros(1, BAR)
    bar["start"], bar["end"], bar["interval"] = BEGIN, BEGIN + 60 * MINUTE, Interval.H1
    bar["state"], bar["revision"] = BarState.CLOSED, 1
    for field in ("open", "high", "low", "close"):
        bar[field] = 1.0
    stream = Stream(0, "kraken", BTC, FeedKind.TRADES, 0)
    place.store.upsert(BarBatch(bar, (stream,)), writer="import", own_revisions=False)
    path = ticks_file(tmp_path / "ticks.csv", 6)

    with pytest.raises(DeskError, match=r"KRAKEN:BTCUSD already has 1h bars of kraken.*--data-dir.*--force"):
        replay(open_ticks(path, symbol=BTC), place, symbol=BTC)
    assert JournalReader(place.journal).last_seq() == 0

    forced = replay(open_ticks(path, symbol=BTC), place, symbol=BTC, force=True)
    assert forced.ticks == 3000


def test_a_folder_in_use_is_refused(place, tmp_path):
    path = ticks_file(tmp_path / "ticks.csv", 7)
    with (
        JournalWriter(place.journal, lambda: NOW),
        pytest.raises(DeskError, match=r"journal .*process \d+"),
    ):
        replay(open_ticks(path, symbol=BTC), place, symbol=BTC)


def test_two_files_of_one_symbol_have_clocks_of_their_own(place, tmp_path):
    """An older file after a newer one is no late tick."""
    newer = tmp_path / "newer.csv"
    newer.write_text(f"event_time,price,size\n{BEGIN + 86_400 * SECOND},10,1\n")
    older = tmp_path / "older.csv"
    older.write_text(f"event_time,price,size\n{BEGIN},20,1\n")

    replay(open_ticks(newer, symbol=BTC), place, symbol=BTC)
    replay(open_ticks(older, symbol=BTC), place, symbol=BTC)

    minutes = place.store.read(BTC, Interval.M1)
    assert minutes["open"].to_list() == [10.0, 20.0]
    assert minutes["state"].to_list() == ["closed", "closed"]
    assert place.ledger.rejects() == []


def test_a_capture_brings_its_own_symbols(place, recorded):
    file = open_ticks(recorded / "binance/cryptofeed-BINANCE.ws.1.0")

    summary = replay(file, place)

    assert summary.ticks > 0
    assert len(summary.symbols) > 1
    assert replay(open_ticks(recorded / "binance/cryptofeed-BINANCE.ws.1.0"), place) == Summary(
        **{**summary._asdict(), "known": True, "journaled": 0, "closed": dict.fromkeys(summary.closed, 0)}
    )._replace(seconds=pytest.approx(0, abs=60), out_of_session=0)


def small_batches(path: Path):
    """The file in batches of 37 lines, as a reader with a small buffer would give them."""
    file = open_ticks(path, symbol=BTC)

    def batches():
        for batch in open_ticks(path, symbol=BTC).batches():
            for first in range(0, len(batch.ticks), 37):
                yield batch._replace(
                    ticks=batch.ticks[first : first + 37], first_row=batch.first_row + first,
                    rejects=batch.rejects if not first else [],
                )  # fmt: skip

    class Small:
        feed, hash, kind, path = file.feed, file.hash, file.kind, file.path

    Small.batches = staticmethod(batches)
    return Small


def rows_of(desk: Desk) -> list:
    """The journal's rows but their numbers."""
    rows = JournalReader(desk.journal).read_all()
    return [(row.kind, row.clock, row.payload) for row in rows if row.kind in (RowKind.TICKS, RowKind.MARKS)]


def test_a_store_that_another_journal_fed_is_refused(place, tmp_path):
    """Its rows up to a number count as logged, and the other journal's numbers begin at one again."""
    replay(open_ticks(ticks_file(tmp_path / "one.csv", 1), symbol=BTC), place)
    other = Ledger(tmp_path / "other.sqlite")
    elsewhere = place._replace(journal=tmp_path / "other", recovery=tmp_path / "again", ledger=other)
    before = logged(place)
    with pytest.raises(DeskError, match=r"bars of journal rows up to \d+, but the journal in .*other ends at row \d+"):
        replay(open_ticks(ticks_file(tmp_path / "two.csv", 2, 300), symbol=Symbol("KRAKEN", "ETHUSD")), elsewhere)
    assert logged(place) == before
    other.close()
