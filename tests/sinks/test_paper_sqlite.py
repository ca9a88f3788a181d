"""What is particular to the paper book in an SQLite file: kills, locks, files of earlier versions."""

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from market.errors import DeskError
from sinks import ledger_file
from sinks.bar_store import StoreAway
from sinks.paper_book import KINDS, Position, Written
from sinks.paper_sqlite import SqlitePaper

WRITER = """
import sys
from pathlib import Path
from sinks.paper_book import Position, Written
from sinks.paper_sqlite import SqlitePaper
with SqlitePaper(Path(sys.argv[1])) as book:
    first = book.position().seq + 1
    for number in range(first, 10**6):
        rows = [{"run": "ab", "number": number, "price": float(number)}]
        book.write(Written({"fills": rows, "trades": rows[:0]}, {"ab": b"%d" % number}, Position(number)))
        if number == first:
            print("writing", flush=True)
"""


@pytest.fixture
def path(tmp_path):
    """Where the book is to be."""
    return tmp_path / "paper.sqlite"


@pytest.mark.crash
def test_a_kill_at_any_moment_leaves_rows_states_and_position_together(path):
    """One transaction a batch: who comes after the kill finds all of it or nothing."""
    rng = random.Random(11)
    last = 0
    for _ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"writing\n"
        time.sleep(rng.uniform(0, 0.05))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()

        with SqlitePaper(path, read_only=True) as book:
            seq = book.position().seq
            assert seq > last
            assert [row["number"] for row in book.rows("fills", "ab", after=last)] == list(range(last + 1, seq + 1))
            assert book.state("ab") == (seq, b"%d" % seq)
        last = seq


def test_a_book_that_another_program_holds_is_away_and_not_lost(path, monkeypatch):
    """The dataflow waits and writes the same batch again."""
    monkeypatch.setattr(ledger_file, "BUSY_S", 0.1)
    batch = Written({"fills": [{"run": "ab", "number": 1}]}, {}, Position(1))
    with SqlitePaper(path) as book, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreAway, match=r"paper book .*locked by another process"):
            book.write(batch)
        other.execute("ROLLBACK")

        assert book.write(batch)
        assert len(book.rows("fills")) == 1


def test_a_file_of_an_earlier_version_gets_the_columns_and_tables_that_it_lacks(path):
    """A book is for good: what was traded before an update must be read after it."""
    with SqlitePaper(path) as book:
        book.write(Written({"fills": [{"run": "ab", "number": 1, "price": 2.5}]}))
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("ALTER TABLE fills DROP COLUMN rate")
        raw.execute("DROP TABLE revisions")

    for read_only in (True, False):
        with SqlitePaper(path, read_only=read_only) as book:
            (row,) = book.rows("fills")
            assert (row["price"], row["rate"]) == (2.5, None)
            assert book.rows("revisions") == []
    with SqlitePaper(path) as book:
        book.write(Written({"fills": [{"run": "ab", "number": 1, "rate": 1.5}]}))
        assert book.rows("fills")[0]["rate"] == 1.5


def test_what_is_wrong_with_the_file_is_a_sentence_about_the_paper_book(path):
    path.write_bytes(b"no database at all" * 100)

    with pytest.raises(DeskError, match=r"paper book .*paper\.sqlite: it is damaged.*restore it from a backup"):
        SqlitePaper(path)


def test_controls_from_many_at_once_are_numbered_without_a_hole_while_the_dataflow_writes(path):
    """Each is on the disk when its asker is told its number."""
    with SqlitePaper(path) as book:
        numbers = []

        def ask(place):
            with SqlitePaper(path) as own:
                numbers.extend(own.ask(f"run{place}", "stop", {"n": n}, n) for n in range(10))

        askers = [threading.Thread(target=ask, args=(place,)) for place in range(4)]
        for asker in askers:
            asker.start()
        for number in range(1, 200):
            book.write(Written({"fills": [{"run": "ab", "number": number}]}, {}, Position(number)))
        for asker in askers:
            asker.join()

        assert sorted(numbers) == list(range(1, 41))
        found = book.controls()
    assert [control.number for control in found] == list(range(1, 41))
    for place in range(4):
        assert [control.body["n"] for control in found if control.run == f"run{place}"] == list(range(10))


def test_the_write_ahead_log_stays_bounded_beside_the_writes(path):
    """Checkpoints run on a thread of their own: in a commit one would hold up a fill."""
    with SqlitePaper(path) as book:
        for number in range(1, 1000):
            book.write(Written({}, {"ab": bytes(200_000)}, Position(number)))
        # 200 MB were written over one and the same row.
        assert book.size_bytes() < 150 << 20
    assert path.stat().st_size < 2 << 20


def test_the_tables_are_named_as_the_kinds(path):
    """The page on what is on the disk names them."""
    SqlitePaper(path).close()
    with closing(sqlite3.connect(path)) as raw:
        tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables - {"sqlite_sequence"} == {*KINDS, "controls", "position", "states", "warm_ups"}
