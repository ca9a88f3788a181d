"""Verification and rebuilding: a wrong bar is found and named, and made right from the journal."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from dataflows.rebuild import rebuild
from dataflows.verify import verify
from market.bars import BAR, BarBatch, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from sources.journal_tail import InFlight, JournalTail

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


@pytest.fixture(scope="module")
def original(tmp_path_factory, desk_at):
    """A desk with some minutes of three symbols, late ticks among them, all stored; left as it is."""
    desk = desk_at(tmp_path_factory.mktemp("verify") / "desk")
    rng = np.random.default_rng(11)
    for ticker in ("S0", "S1", "S2"):
        desk.stream(ticker)
    for second in range(1, 40 * 60, 7):
        received = desk.begin + second * SECOND
        rows = desk.rows(0, np.full(3, received) - rng.choice([0, SECOND, 70 * SECOND], 3, p=[0.7, 0.2, 0.1]), 100.0)
        rows["price"] += np.round(rng.normal(0, 1, 3), 2)
        rows["received_time"] = received
        rows["stream"] = rng.integers(0, 3, 3)
        desk.ticks(rows)
    desk.clock(desk.begin + 41 * MINUTE)
    desk.run()
    desk.close()
    return desk.folder


@pytest.fixture
def made(original, tmp_path, desk_at):
    """A copy of it."""
    shutil.copytree(original, tmp_path / "desk")
    desk = desk_at(tmp_path / "desk")
    yield desk
    desk.close()


def change(desk, sql: str, *values) -> None:
    with closing(sqlite3.connect(desk.bars)) as bars, bars:
        assert bars.execute(sql, values).rowcount > 0


def test_what_the_flow_stored_is_what_the_slow_rule_gives(made):
    """The rule shares no code with the kernel."""
    found = verify(made.journal, made.store)

    assert found.good
    assert found.bars == sum(series[2] for series in made.store.series()) - forming(made)
    assert found.rows == made.writer.last_seq


def test_one_symbol_alone_can_be_verified(made):
    found = verify(made.journal, made.store, [Symbol("SIM", "S1")])

    assert found.good
    assert 40 < found.bars < 100


def test_a_bar_that_was_altered_in_the_store_is_named_with_both_values(made):
    row = made.store.read(Symbol("SIM", "S0"), Interval.M1).row(3, named=True)
    start = int(row["start"].timestamp()) * SECOND
    change(made, "UPDATE bar_rows SET close = 1.5 WHERE minutes = 1 AND volume = ? AND high = ? AND notional = ?",
           row["volume"], row["high"], row["notional"])  # fmt: skip

    found = verify(made.journal, made.store)

    assert [tuple(difference) for difference in found.differences] == [
        (Symbol("SIM", "S0"), Interval.M1, start, "sim", "store", "close", 1.5, row["close"])
    ]
    assert found.findings == []


def test_a_bar_that_was_removed_from_the_store_is_named_and_rebuilt(made):
    change(made, "DELETE FROM bar_rows WHERE key = (SELECT min(key) FROM bar_rows WHERE state = 1)")

    missing = verify(made.journal, made.store).differences
    assert [(difference.where, difference.field, difference.stored) for difference in missing] == [
        ("store", "bar", None)
    ]

    rebuilt = rebuild(made.journal, made.store, missing[0].symbol)
    again = rebuild(made.journal, made.store, missing[0].symbol)

    assert (rebuilt.written, again.written) == (1, 0)
    assert verify(made.journal, made.store).good
    assert len(made.logged("rebuild")) == 1


def test_an_altered_row_of_the_log_is_named(made):
    """The chain of hashes says that, the rows' checks say which."""
    change(made, "UPDATE bar_revisions SET body = zeroblob(length(body)) WHERE id = 1")

    found = verify(made.journal, made.store)

    assert not found.good
    assert found.findings


def test_a_row_of_the_journal_that_is_damaged_is_named(made):
    with closing(sqlite3.connect(made.writer.file)) as journal, journal:
        journal.execute("UPDATE rows SET payload = zeroblob(length(payload)) WHERE seq = 20")

    found = verify(made.journal, made.store)

    assert [(damage.first_seq, damage.last_seq) for damage in found.damage] == [(20, 20)]
    assert not found.good


def test_bars_across_a_damaged_row_are_partial_and_the_others_are_not(tmp_path, desk_at):
    """The flow meets the damage first: it cannot know which ticks are lost, so it says that some may be."""
    desk = desk_at(tmp_path / "desk")
    desk.stream("S0")
    for minute in range(4):
        desk.ticks(desk.rows(0, [desk.begin + minute * MINUTE + 30 * SECOND], [100.0 + minute]))
        desk.ticks(desk.rows(0, [desk.begin + minute * MINUTE + 40 * SECOND], [200.0 + minute]))
    desk.clock(desk.begin + 5 * MINUTE)
    with closing(sqlite3.connect(desk.writer.file)) as journal, journal:
        (lost,) = journal.execute("SELECT seq FROM rows WHERE kind = 1 ORDER BY seq LIMIT 1 OFFSET 3").fetchone()
        journal.execute("UPDATE rows SET payload = zeroblob(length(payload)) WHERE seq = ?", (lost,))
    told = []
    in_flight = InFlight()
    tail = JournalTail(
        desk.journal, desk.stop, in_flight=in_flight, until_end=True, max_ticks=1000, on_corrupt=told.append
    )
    desk.run(tail, in_flight=in_flight)

    bars = desk.store.read(Symbol("SIM", "S0"), Interval.M1, newest_first=False)
    states = [state for state in bars["state"].to_list() if state != "forming"]
    found = verify(desk.journal, desk.store)
    desk.close()

    assert bars["close"].to_list()[:2] == [200.0, 101.0], "what the lost row held is in no bar"
    assert states == ["closed", "partial", "partial", "closed"], "the row after the lost one came in the third minute"
    assert not found.differences
    assert [str(trouble) for trouble in told] == [str(trouble) for trouble in found.damage]
    assert [(damage.first_seq, damage.last_seq) for damage in found.damage] == [(lost, lost)]


def test_rows_that_the_flow_has_not_read_yet_are_no_difference(made):
    """A desk may be running meanwhile."""
    made.ticks(made.rows(0, [made.begin + 42 * MINUTE], [5.0]))
    made.clock(made.begin + 50 * MINUTE)

    assert verify(made.journal, made.store).good


def test_what_was_pruned_is_neither_missed_nor_rebuilt(made):
    """Of a bar that had begun before the oldest row left, the journal knows a part only; the store has it whole."""
    before = [made.store.read(series.symbol, series.interval).rows() for series in made.store.series()]
    made.writer.close()
    with closing(sqlite3.connect(made.writer.file)) as journal, journal:
        journal.execute("DELETE FROM rows WHERE seq < 150")
        journal.execute("DELETE FROM starts")
        journal.execute("INSERT INTO starts VALUES(150, 'pruned')")

    found = verify(made.journal, made.store)
    rebuilt = rebuild(made.journal, made.store, Symbol("SIM", "S1"))

    assert found.good, found.differences
    assert 20 < found.bars < 150
    assert rebuilt.bars > 10
    assert rebuilt.written == 0
    assert [made.store.read(series.symbol, series.interval).rows() for series in made.store.series()] == before


def test_a_rebuild_leaves_better_bars_and_other_times_alone(made):
    """Official beats what the journal gives; and the range is the user's."""
    symbol = Symbol("SIM", "S2")
    stream = next(stream for stream in made.writer.streams if stream.symbol == symbol)
    bar = np.zeros(1, BAR)
    bar["start"], bar["end"] = made.begin, made.begin + MINUTE
    for field in ("open", "high", "low", "close"):
        bar[field] = 77.0
    bar["state"] = BarState.OFFICIAL
    bar["stream"] = stream.id
    made.store.upsert(BarBatch(bar, made.writer.streams), writer="import", own_revisions=False)
    change(made, "DELETE FROM bar_rows WHERE state <> 4")

    rebuilt = rebuild(made.journal, made.store, symbol, made.begin, made.begin + 5 * MINUTE)

    minutes = made.store.read(symbol, Interval.M1, newest_first=False)
    assert minutes["open"][0] == 77.0
    assert minutes["state"][0] == "official"
    assert minutes["start"].dt.epoch("ns").max() < made.begin + 5 * MINUTE
    assert rebuilt.last == made.begin + 5 * MINUTE
    assert rebuilt.bars == rebuilt.written + 1
    assert verify(made.journal, made.store, [Symbol("SIM", "S0")]).differences


def test_a_symbol_that_the_journal_has_not_is_an_error(made):
    with pytest.raises(DeskError, match="no ticks of SIM:NONE"):
        rebuild(made.journal, made.store, Symbol("SIM", "NONE"))


def forming(desk) -> int:
    return sum(
        len(desk.store.read(series.symbol, series.interval, states=[BarState.FORMING]))
        for series in desk.store.series()
    )
