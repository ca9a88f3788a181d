"""Bars in the archive are those of the store, and nothing that was archived is lost to a store that knows less."""

from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from duckdb_rows import duckdb_rows
from stored_bars import BEGIN_NS, FORMING, HEALED, OFFICIAL, PARTIAL, SYMBOLS, bar, imported

from market.bars import COLUMNS, BarBatch
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.archive_bars import OVER, BarArchive, BarsWritten, bounds, spans_between, spans_of
from sinks.bar_store import BarStore, open_store
from sinks.parquet_archive import ParquetArchive
from sinks.places import FolderPlace

BTC = SYMBOLS[0]
DAY_NS = 86_400 * 10**9


@pytest.fixture
def store(tmp_path: Path):
    """A store in a file, empty."""
    found = open_store(tmp_path / "bars.sqlite")
    yield found
    found.close()


@pytest.fixture
def archive(tmp_path: Path) -> BarArchive:
    """An archive of bars in a folder, empty."""
    return BarArchive(FolderPlace(tmp_path / "archive"))


def archived(archive: BarArchive, store: BarStore, *spans: str, symbol=BTC, interval=Interval.M1) -> BarsWritten:
    """Archive what the store has of some spans."""
    frames = {}
    for span in spans:
        start, end = bounds(span)
        frames[interval, span] = store.read(symbol, interval, start, end, states=OVER, newest_first=False)
    return archive.write(symbol, frames)


@pytest.mark.parametrize(
    ("interval", "starts", "expected"),
    [
        (Interval.M1, [0, 30 * DAY_NS, 31 * DAY_NS, 32 * DAY_NS], ["1970-01", "1970-02"]),
        (Interval.M45, [-1], ["1969-12"]),
        (Interval.H1, [0, 364 * DAY_NS, 365 * DAY_NS], ["1970", "1971"]),
        (Interval.D1, [0, 3650 * DAY_NS], ["all"]),
        (Interval.MO1, [], []),
    ],
)
def test_a_span_is_a_month_a_year_or_all(interval: Interval, starts: list[int], expected: list[str]):
    """Months below an hour, years below a day: files of some 40,000 and 9,000 bars at most."""
    assert spans_of(interval, np.array(starts, np.int64)) == expected
    if starts:
        assert spans_between(interval, min(starts), max(starts)) == expected
    for start in starts:
        (span,) = spans_of(interval, np.array([start]))
        first, after = bounds(span)
        assert (first, after) == (None, None) or first <= start < after


def test_what_is_read_is_what_the_store_reads(archive: BarArchive, store: BarStore):
    """Every column, by every argument that both have; the forming bar alone is not archived."""
    month = 31 * DAY_NS // MINUTE_NS
    bars = [bar(minute, 10.0 + minute % 7, notional=np.nan if minute % 3 else 5.5) for minute in (0, 1, 5, month)]
    imported(store, *bars, bar(6, state=PARTIAL, volume=0.0, stream=3), bar(month + 1, state=FORMING))
    done = archived(archive, store, "2024-01", "2024-02")

    assert (done.files, done.bars) == (2, 5)
    for query in (
        {},
        {"newest_first": False},
        {"limit": 2},
        {"start": BEGIN_NS + MINUTE_NS},
        {"end": BEGIN_NS + 5 * MINUTE_NS},
        {"start": BEGIN_NS + 1, "end": BEGIN_NS + 6 * MINUTE_NS, "limit": 1, "newest_first": False},
        {"states": [PARTIAL]},
        {"start": BEGIN_NS + 100 * DAY_NS},
        {"symbol": SYMBOLS[1]},
        {"interval": Interval.H1},
    ):
        arguments = {"symbol": BTC, "interval": Interval.M1, "states": OVER} | query
        expected = store.read(**arguments)
        found = archive.read(**arguments)
        assert found.equals(expected), query
        assert found.schema == expected.schema


def test_polars_and_duckdb_read_the_bars_with_the_contracts_columns(
    archive: BarArchive, store: BarStore, tmp_path: Path
):
    """A ticker of digits stays a text, and one with a slash keeps it."""
    names = (Symbol("SSE", "600519"), Symbol("FX", "EUR/USD"), Symbol("NYSE", "BRK.B"))
    streams = tuple(Stream(place, "file", name, FeedKind.TRADES, 0) for place, name in enumerate(names))
    rows = np.concatenate([bar(0, stream=place) for place in range(3)])
    store.upsert(BarBatch(rows, streams), writer="import", own_revisions=False)
    for name in names:
        archived(archive, store, "2024-01", symbol=name)

    glob = f"{tmp_path}/archive/bars/**/*.parquet"
    frame = pl.read_parquet(glob)
    assert tuple(frame.columns) == COLUMNS
    assert sorted(frame["symbol"].to_list()) == ["600519", "BRK.B", "EUR/USD"]
    assert pl.read_parquet(tmp_path / "archive" / "bars").height == 3
    by_symbol = duckdb_rows(f"SELECT symbol, close, epoch_ns(start) FROM '{glob}' ORDER BY symbol")
    assert by_symbol == [(ticker, 10.0, BEGIN_NS) for ticker in ("600519", "BRK.B", "EUR/USD")]
    assert [held.symbol for held in archive.series()] == sorted(names)


def test_the_same_bars_again_write_nothing(archive: BarArchive, store: BarStore, tmp_path: Path):
    imported(store, bar(0), bar(1))
    assert archived(archive, store, "2024-01").files == 1
    (path,) = (tmp_path / "archive" / "bars").rglob("*.parquet")
    before = path.stat().st_mtime_ns

    assert archived(archive, store, "2024-01") == BarsWritten(0, 0, 0)
    assert path.stat().st_mtime_ns == before
    imported(store, bar(1, 12.0, state=HEALED))
    assert archived(archive, store, "2024-01").bars == 2
    assert archive.read(BTC, Interval.M1)["close"].to_list() == [12.0, 10.0]
    assert ParquetArchive(FolderPlace(tmp_path / "archive")).check() == []


def test_a_new_store_that_knows_less_spoils_nothing(archive: BarArchive, store: BarStore, tmp_path: Path):
    """A store that was lost begins anew, with a bar of its own and another one that is worse than the archived."""
    imported(store, bar(0, 1.0), bar(1, 2.0, state=OFFICIAL), bar(2, 3.0))
    archived(archive, store, "2024-01")
    with closing(open_store(tmp_path / "new.sqlite")) as young:
        imported(young, bar(1, 9.0), bar(2, 4.0, state=HEALED), bar(3, 5.0))
        archived(archive, young, "2024-01")

    found = archive.read(BTC, Interval.M1, newest_first=False)
    assert found.select("close", "state").rows() == [
        (1.0, "closed"),
        (2.0, "official"),
        (4.0, "healed"),
        (5.0, "closed"),
    ]


def test_a_crash_between_file_and_manifest_leaves_both_true(
    archive: BarArchive, store: BarStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The manifest names the old and the new while a file is replaced; the next run makes it one again."""
    whole = ParquetArchive(FolderPlace(tmp_path / "archive"))
    imported(store, bar(0))
    archived(archive, store, "2024-01")
    imported(store, bar(1))
    real, saves = BarArchive._save, []

    def save(self: BarArchive, *arguments: object):
        saves.append(arguments)
        if len(saves) == 2:
            raise KeyboardInterrupt
        real(self, *arguments)

    monkeypatch.setattr(BarArchive, "_save", save)
    with pytest.raises(KeyboardInterrupt):
        archived(archive, store, "2024-01")
    monkeypatch.undo()

    assert whole.check() == []
    assert archive.read(BTC, Interval.M1).height == 2
    assert archived(archive, store, "2024-01").files == 1
    assert whole.check() == []
    assert [(held.bars, held.first, held.last) for held in archive.series()] == [(2, BEGIN_NS, BEGIN_NS + MINUTE_NS)]


def test_a_cut_file_of_bars_is_named(archive: BarArchive, store: BarStore, tmp_path: Path):
    imported(store, bar(0))
    archived(archive, store, "2024-01")
    (path,) = (tmp_path / "archive" / "bars").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(DeskError, match=r"archived 1m bars of KRAKEN:BTCUSD .* cannot be read"):
        archive.read(BTC, Interval.M1)
