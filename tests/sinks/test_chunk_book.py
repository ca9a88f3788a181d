"""What was fetched is known for as long as the store holds it, and no longer."""

import pytest
from stored_bars import SYMBOLS, bar, batch

from market.intervals import Interval
from sinks.bar_store import open_store
from sinks.chunk_book import Chunk, ChunkBook
from sinks.sync_book import SyncBook

BTC, ETH = SYMBOLS[:2]
M1, H1 = Interval.M1, Interval.H1


@pytest.fixture
def book(tmp_path):
    with ChunkBook(tmp_path / "history.sqlite") as book:
        yield book


def chunk(start, end, provider="okx", bars=5, at=1, writer="backfill", seq=0):
    return Chunk(start, end, provider, bars, at, writer, seq)


def write(store, minute):
    """One more row in the log of the backfill; where the log ends then."""
    store.upsert(batch(bar(minute)), writer="backfill", own_revisions=False)
    return store.head("backfill")[0]


def test_chunks_are_kept_by_series_and_shown_by_start(book, bar_store):
    for series, one in (((BTC, M1), chunk(20, 30)), ((BTC, M1), chunk(0, 10)), ((BTC, H1), chunk(0, 9))):
        book.record(bar_store, *series, one)

    assert book.chunks(bar_store, BTC, M1) == [chunk(0, 10), chunk(20, 30)]
    assert book.chunks(bar_store, BTC, H1) == [chunk(0, 9)]
    assert book.chunks(bar_store, ETH, M1) == []


def test_a_chunk_noted_again_is_one_chunk_and_an_empty_one_none(book, bar_store):
    for one in (chunk(0, 10, at=1), chunk(0, 10, at=2), chunk(7, 7), chunk(8, 7)):
        book.record(bar_store, BTC, M1, one)

    assert book.chunks(bar_store, BTC, M1) == [chunk(0, 10, at=2)]


def test_who_names_a_provider_is_shown_what_came_from_it(book, bar_store):
    book.record(bar_store, BTC, M1, chunk(0, 10, "okx"))
    book.record(bar_store, BTC, M1, chunk(10, 20, "kraken"))
    book.record(bar_store, BTC, M1, chunk(20, 30, "kraken+okx"))

    assert book.chunks(bar_store, BTC, M1, "kraken") == [chunk(10, 20, "kraken")]


def test_a_store_whose_log_ends_earlier_lacks_what_was_fetched_later(book, tmp_path):
    """A file that was moved away, or put back from an older backup, makes old notes void, and only those."""
    for name in ("both", "older", "empty"):
        (tmp_path / name).mkdir()
    both, older, empty = (open_store(tmp_path / name / "bars.sqlite") for name in ("both", "older", "empty"))
    write(older, 0)
    book.record(both, BTC, M1, chunk(0, 10, seq=write(both, 0)))
    book.record(both, BTC, M1, chunk(10, 20, seq=write(both, 1)))

    assert [one.start for one in book.chunks(both, BTC, M1)] == [0, 10]
    assert [one.start for one in book.chunks(older, BTC, M1)] == [0]
    assert book.chunks(empty, BTC, M1) == []
    for store in (both, older, empty):
        store.close()


def test_what_a_store_lost_stays_forgotten_when_its_log_has_grown_again(book, bar_store):
    """Else the same place in another log would vouch for bars that are gone."""
    book.record(bar_store, BTC, M1, chunk(0, 10, seq=write(bar_store, 0)))
    book.record(bar_store, BTC, M1, chunk(10, 20, seq=2))
    book.record(bar_store, ETH, M1, chunk(0, 20, seq=1, writer="sync"))
    assert book.prune(bar_store) == 2
    write(bar_store, 1)
    write(bar_store, 2)

    assert [one.start for one in book.chunks(bar_store, BTC, M1)] == [0]
    assert book.chunks(bar_store, ETH, M1) == []
    assert book.prune(bar_store) == 0


@pytest.mark.mongo
def test_what_is_in_one_store_is_not_in_another(book, tmp_path, mongo_uri):
    file, server = open_store(tmp_path / "bars.sqlite"), open_store(mongo_uri)
    book.record(file, BTC, M1, chunk(0, 10))

    assert book.chunks(file, BTC, M1) == [chunk(0, 10)]
    assert book.chunks(server, BTC, M1) == []
    file.close()
    server.close()


def test_a_data_folder_may_be_moved(book, tmp_path):
    old = open_store(tmp_path / "bars.sqlite")
    book.record(old, BTC, M1, chunk(0, 10))
    old.close()
    (tmp_path / "moved").mkdir()
    new = open_store(tmp_path / "moved" / "bars.sqlite")

    assert book.chunks(new, BTC, M1) == [chunk(0, 10)]
    new.close()


def test_joined_spans_are_one_row(book, bar_store):
    """A sync every hour must not leave a row every hour for good."""
    for one in (chunk(0, 10, at=1, bars=4), chunk(30, 40, at=2, bars=3), chunk(10, 20, at=3, bars=2)):
        book.record(bar_store, BTC, M1, one, join=True)
    assert book.chunks(bar_store, BTC, M1) == [chunk(0, 20, at=3, bars=6), chunk(30, 40, at=2, bars=3)]

    book.record(bar_store, BTC, M1, chunk(15, 35, at=4, bars=5), join=True)
    book.record(bar_store, BTC, M1, chunk(0, 40, "kraken", at=5, bars=1), join=True)
    book.record(bar_store, BTC, M1, chunk(0, 40, at=6, bars=1, writer="sync"), join=True)

    assert set(book.chunks(bar_store, BTC, M1)) == {
        chunk(0, 40, at=4, bars=6),
        chunk(0, 40, "kraken", at=5, bars=1),
        chunk(0, 40, at=6, bars=1, writer="sync"),
    }


def test_a_span_that_is_forgotten_will_be_fetched_again_and_no_more_than_that(book, bar_store):
    for one in (chunk(0, 10), chunk(10, 20), chunk(20, 30)):
        book.record(bar_store, BTC, M1, one)
    book.record(bar_store, ETH, M1, chunk(0, 30))
    book.record(bar_store, BTC, H1, chunk(0, 30))

    book.forget(BTC, M1, 5, 20)

    assert [(one.start, one.end) for one in book.chunks(bar_store, BTC, M1)] == [(0, 5), (20, 30)]
    book.forget(BTC, M1, 22, 24)
    assert [(one.start, one.end) for one in book.chunks(bar_store, BTC, M1)] == [(0, 5), (20, 22), (24, 30)]
    assert len(book.chunks(bar_store, BTC, H1)) == len(book.chunks(bar_store, ETH, M1)) == 1
    book.forget(BTC)
    assert book.chunks(bar_store, BTC, M1) == book.chunks(bar_store, BTC, H1) == []


def test_the_file_is_that_of_all_books(tmp_path):
    """Two books in one file, whichever is opened first."""
    path = tmp_path / "history.sqlite"
    with SyncBook(path) as first, ChunkBook(path) as second:
        assert first.statuses(0) == []
        assert second.read("SELECT count(*) FROM chunks") == [(0,)]
