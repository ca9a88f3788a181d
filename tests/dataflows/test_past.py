"""What the journal has let go is read from the archive, as if it had never gone."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from dataflows.past import Past
from dataflows.rebuild import rebuild
from market.bars import BarState
from market.chunks import Position
from market.symbols import Symbol
from sinks.parquet_archive import ParquetArchive
from sinks.places import FolderPlace
from sources.journal import JournalReader

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
SYMBOL = Symbol("SIM", "S1")
OVER = [state for state in BarState if state != BarState.FORMING]


@pytest.fixture(scope="module")
def original(tmp_path_factory, desk_at):
    """A desk with some minutes of two symbols, late ticks among them, all stored; left as it is."""
    desk = desk_at(tmp_path_factory.mktemp("past") / "desk")
    rng = np.random.default_rng(5)
    for ticker in ("S0", "S1"):
        desk.stream(ticker)
    for second in range(1, 20 * 60, 5):
        received = desk.begin + second * SECOND
        rows = desk.rows(0, np.full(3, received) - rng.choice([0, SECOND, 70 * SECOND], 3, p=[0.7, 0.2, 0.1]), 100.0)
        rows["price"] += np.round(rng.normal(0, 1, 3), 2)
        rows["received_time"] = received
        rows["stream"] = rng.integers(0, 2, 3)
        desk.ticks(rows)
    desk.clock(desk.begin + 21 * MINUTE)
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


@pytest.fixture
def archive(tmp_path):
    """An archive, empty."""
    return ParquetArchive(FolderPlace(tmp_path / "archive"))


def put(archive, desk, upto, *, parts=3, without=()):
    """Archive the journal's rows up to one, in some parts; those left out are noted as damaged."""
    with JournalReader(desk.journal) as reader:
        rows = [row for row in reader.read_all() if row.seq <= upto]
        streams = reader.streams()
    known = None
    for some in np.array_split(np.arange(len(rows)), parts):
        kept = [rows[place] for place in some if rows[place].seq not in without]
        lost = [(rows[place].seq, rows[place].seq, "torn") for place in some if rows[place].seq in without]
        part = archive.write_part("2023-11-14", kept, streams)
        known = archive.save_day("2023-11-14", known, part, streams, kept[-1].checksum, [], lost)


def cut(desk, below):
    """Take the journal's oldest rows away, as retention does by whole days."""
    desk.writer.close()
    with closing(sqlite3.connect(desk.writer.file)) as journal, journal:
        journal.execute("DELETE FROM rows WHERE seq < ?", (below,))
        journal.execute("DELETE FROM starts")


def closed(desk):
    """Every closed bar of the symbol, with all that is not a matter of when it was written."""
    held = [
        desk.store.read(SYMBOL, series.interval, states=OVER).drop("revision", "updated_at")
        for series in desk.store.series()
        if series.symbol == SYMBOL
    ]
    return [frame for frame in held if frame.height]


def lose(desk):
    """Empty the store."""
    desk.store.forget(SYMBOL)
    assert not closed(desk)


@pytest.mark.parametrize("below", [2, 100, 10**6])
def test_bars_are_made_anew_from_what_was_archived_and_what_is_left(made, archive, below):
    """Wherever the journal was cut, and even where nothing of it is left."""
    before = closed(made)
    put(archive, made, made.writer.last_seq)
    if below > made.writer.last_seq:
        made.writer.close()
        shutil.rmtree(made.journal)
    else:
        cut(made, below)
    lose(made)

    done = rebuild(made.journal, made.store, SYMBOL, archive=archive)

    assert (done.damage, done.left, done.written) == ([], 0, done.bars)
    assert len(before) > 3
    assert all(a.equals(b) for a, b in zip(closed(made), before, strict=True))


def test_an_archive_that_ends_before_the_journal_begins_leaves_doubt(made, archive):
    """Rows in between were archived by nobody: bars across them are partial."""
    put(archive, made, 80)
    cut(made, 120)
    lose(made)

    done = rebuild(made.journal, made.store, SYMBOL, archive=archive)

    assert [(lost.first_seq, lost.last_seq) for lost in done.damage] == [(81, 119)]
    states = {state for frame in closed(made) for state in frame["state"].to_list()}
    assert states == {"closed", "partial"}


def test_what_the_journal_holds_damaged_is_taken_from_the_archive(made, archive):
    """It was archived before it was damaged."""
    before = closed(made)
    put(archive, made, made.writer.last_seq)
    made.writer.close()
    with closing(sqlite3.connect(made.writer.file)) as journal, journal:
        journal.execute("UPDATE rows SET payload = zeroblob(48) WHERE seq BETWEEN 60 AND 65")
    lose(made)

    assert rebuild(made.journal, made.store, SYMBOL, archive=archive).damage == []
    assert all(a.equals(b) for a, b in zip(closed(made), before, strict=True))


def test_bars_across_rows_that_could_not_be_archived_are_partial(made, archive):
    """And the rows are named, as those of a journal are."""
    put(archive, made, made.writer.last_seq, without=range(100, 103))
    made.writer.close()
    shutil.rmtree(made.journal)
    lose(made)

    done = rebuild(made.journal, made.store, SYMBOL, archive=archive)

    assert [(lost.first_seq, lost.why) for lost in done.damage] == [(100, "torn"), (101, "torn"), (102, "torn")]
    assert 0 < sum((frame["state"] == "partial").sum() for frame in closed(made)) < sum(map(len, closed(made)))


@pytest.mark.parametrize("max_ticks", [1, 50, 10**6])
def test_chunks_are_those_of_the_whole_journal(made, archive, max_ticks):
    """The same ticks and marks in the same order, however large the chunks."""

    def folded(source):
        position, found = Position(), []
        while True:
            chunks, after = source.read_chunks(position, max_ticks)
            if after.seq == position.seq:
                return found
            position = after
            for chunk in chunks:
                found += list(zip(chunk.row_seq.tolist(), chunk.row_clock.tolist(), strict=True))
                found += [chunk.ticks.tobytes(), chunk.marks.tobytes()] if max_ticks == 1 else []

    with JournalReader(made.journal) as reader:
        expected = folded(reader)
    put(archive, made, made.writer.last_seq - 50)
    cut(made, 90)
    with JournalReader(made.journal) as reader:
        past = Past(reader, archive, [])
        assert folded(past) == expected
        assert (past.first_seq(), past.last_seq()) == (1, made.writer.last_seq)
        assert [row.seq for row in past.read(0)][:2] == [1, 2]
        assert past.streams() == reader.streams()
