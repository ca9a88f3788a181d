"""The bar store against a slow, obvious account of the same words: a dict of bars, and lists for logs."""

import tempfile
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_bars import BEGIN_NS, STREAMS, SYMBOLS, bar, batch

from market.bars import BarState
from market.intervals import Interval
from sinks.bar_store import BarStore, open_store

FORMING = BarState.FORMING
RANKS = {"forming": 0, "closed": 1, "partial": 1, "healed": 2, "official": 3}
CONTENT = ("end", "open", "high", "low", "close", "volume", "notional", "trades", "state")
MINUTES = 3
"""So few starts, of two symbols, that writers meet."""


class Oracle:
    """The rule of the bar store's port, read aloud."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, int], dict[str, Any]] = {}
        self.logs: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.position = 0

    def flow(self, rows: list[np.ndarray], upto: int) -> None:
        """The bars dataflow writes."""
        for row in map(spelled, rows):
            self._show(row)
            if row["seq"] > self.position and row["state"] != "forming":
                self.logs["bars"].append(row)
        self.position = max(self.position, upto)

    def uncounted(self, rows: list[np.ndarray], writer: str) -> None:
        """A writer whose revisions the store counts writes."""
        for row in map(spelled, rows):
            held = self.shown.get(row["key"])
            forming = row["state"] == "forming"
            row["revision"] = 0 if forming else 1 if held is None else held["revision"] + 1
            if held is not None:
                ours, theirs = RANKS[row["state"]], RANKS[held["state"]]
                same = all(row[name] == held[name] for name in CONTENT)
                if ours < theirs or (ours == theirs and same):
                    continue
                if forming and row["updated_at"] <= held["updated_at"]:
                    continue
            self.shown[row["key"]] = row
            if not forming:
                self.logs[writer].append(row)

    def known_at(self, row: np.ndarray) -> int | None:
        """When what is shown under the row's key came to be known."""
        held = self.shown.get(spelled(row)["key"])
        return None if held is None else held["updated_at"]

    def _show(self, row: dict[str, Any]) -> None:
        held = self.shown.get(row["key"])
        if held is None or order(row) > order(held):
            self.shown[row["key"]] = row


def order(row: dict[str, Any]) -> tuple[int, int, int]:
    return RANKS[row["state"]], row["revision"], row["updated_at"]


def spelled(row: np.ndarray) -> dict[str, Any]:
    """A record as a dict, by names."""
    fields = dict(zip(row.dtype.names, row[0].item(), strict=True))
    stream = STREAMS[fields["stream"]]
    found = {name: fields[name] for name in (*CONTENT, "start", "updated_at", "seq", "revision")}
    return found | {
        "state": str(BarState(fields["state"])),
        "source": stream.feed,
        "key": (stream.symbol.ticker, fields["start"]),
    }


class Flow(NamedTuple):
    """The dataflow writes what the next journal rows closed, a number of them in one batch."""

    journal_rows: int


class Crash(NamedTuple):
    """It is killed, and goes on from so many journal rows before."""

    journal_rows: int


class Shutdown(NamedTuple):
    """It stops and flushes forming bars."""

    closes: list[float]


class Import(NamedTuple):
    """Another writer comes."""

    writer: str
    bars: list[tuple[int, int, float, BarState]]


PRICES = st.sampled_from([10.0, 11.0, 12.5])
KEYS = st.tuples(st.integers(0, 1), st.integers(0, MINUTES - 1))
JOURNAL = st.lists(
    st.lists(st.tuples(KEYS, PRICES, st.sampled_from([BarState.CLOSED, BarState.PARTIAL])), max_size=4),
    min_size=1,
    max_size=12,
)
STORY = st.lists(
    st.one_of(
        st.builds(Flow, st.integers(1, 5)),
        st.builds(Crash, st.integers(1, 8)),
        st.builds(Shutdown, st.lists(PRICES, min_size=1, max_size=MINUTES)),
        st.builds(
            Import,
            st.sampled_from(["import", "heal"]),
            st.lists(
                st.tuples(st.integers(0, 1), st.integers(0, MINUTES - 1), PRICES, st.sampled_from(BarState)),
                min_size=1,
                max_size=5,
            ),
        ),
    ),
    max_size=12,
)


def journaled(journal: list[list[Any]]) -> list[list[np.ndarray]]:
    """Bars that each journal row closes or amends: a revision of its own for each, known at moments that rise."""
    revisions: dict[Any, int] = defaultdict(int)
    found = []
    for place, closes in enumerate(journal):
        rows = []
        for number, ((stream, minute), close, state) in enumerate(closes):
            revisions[stream, minute] += 1
            rows.append(
                bar(
                    minute,
                    close,
                    stream=stream,
                    state=state,
                    revision=revisions[stream, minute],
                    seq=place + 1,
                    # Even, so that no other writer knows anything at the same moment.
                    updated_at=BEGIN_NS + 2 * (place * 100 + number),
                )
            )
        found.append(rows)
    return found


def live_out(
    reopen: Callable[[], BarStore], journal: list[list[Any]], story: list[Any]
) -> tuple[Oracle, BarStore, list[int]]:
    """Tell the story to a store and to the oracle."""
    oracle, store, rows, place = Oracle(), reopen(), journaled(journal), 0
    moments = [BEGIN_NS - 1]
    for turn, event in enumerate(story):
        match event:
            case Flow(count):
                part = [row for closes in rows[place : place + count] for row in closes]
                place = min(place + count, len(rows))
                store.upsert(batch(*part), writer="bars", upto=place, own_revisions=True)
                oracle.flow(part, place)
            case Crash(count):
                place = max(place - count, 0)
                store.close()
                store = reopen()
            case Shutdown(closes):
                part = [
                    bar(
                        minute,
                        close,
                        state=FORMING,
                        revision=0,
                        seq=place,
                        updated_at=BEGIN_NS + 2 * (place * 100 + 50),
                    )
                    for minute, close in enumerate(closes)
                ]
                # Stopped twice at one place of the journal it flushes the same bars: it has no two that differ.
                part = [row for row in part if oracle.known_at(row) != row[0]["updated_at"]]
                store.upsert(batch(*part), writer="bars", upto=place, own_revisions=True)
                oracle.flow(part, place)
            case Import(writer, bars):
                part = [
                    bar(
                        minute, close, stream=stream + 3, state=state, seq=-1, updated_at=BEGIN_NS + 1 + 2 * (turn * 37)
                    )
                    for stream, minute, close, state in bars
                ]
                store.upsert(batch(*part), writer=writer, own_revisions=False)
                oracle.uncounted(part, writer)
        moments += [int(row[0]["updated_at"]) for row in part] if not isinstance(event, Crash) else []
    return oracle, store, sorted(set(moments))


def frame_rows(store: BarStore, ticker: int, as_of: int | None = None) -> list[dict[str, Any]]:
    frame = store.read(SYMBOLS[ticker], Interval.M1, as_of=as_of, newest_first=False)
    times = {name: frame[name].to_physical() for name in ("start", "end", "updated_at")}
    names = ("start", *CONTENT, "source", "revision", "updated_at")
    return [
        {name: row[name] for name in names} for row in frame.with_columns(**times).select(names).iter_rows(named=True)
    ]


def expected_rows(shown: dict[tuple[str, int], dict[str, Any]], ticker: int) -> list[dict[str, Any]]:
    names = ("start", *CONTENT, "source", "revision", "updated_at")
    keys = sorted(key for key in shown if key[0] == SYMBOLS[ticker].ticker)
    return [{name: shown[key][name] for name in names} for key in keys]


def agrees(reopen: Callable[[], BarStore], journal: list[list[Any]], story: list[Any]) -> None:
    """Every read of the store says what the oracle says."""
    oracle, store, moments = live_out(reopen, journal, story)
    try:
        for ticker in (0, 1):
            assert frame_rows(store, ticker) == expected_rows(oracle.shown, ticker)
        logs = {writer: rows for writer, rows in oracle.logs.items() if rows}
        found: dict[str, list[Any]] = defaultdict(list)
        for part in store.revisions():
            for seq, row in zip(part.seqs.tolist(), part.rows, strict=True):
                name = part.names[row["stream"]]
                found[part.writer].append((seq, name.feed, name.symbol.ticker, int(row["start"]), float(row["close"])))
                assert (int(row["revision"]), int(row["seq"])) == (
                    logs[part.writer][seq - 1]["revision"],
                    logs[part.writer][seq - 1]["seq"],
                )
        assert found == {
            writer: [(seq, row["source"], *row["key"], row["close"]) for seq, row in enumerate(rows, 1)]
            for writer, rows in logs.items()
        }
        for moment in moments:
            known: dict[tuple[str, int], dict[str, Any]] = {}
            for row in (row for rows in logs.values() for row in rows):
                held = known.get(row["key"])
                if row["updated_at"] <= moment and (held is None or order(row) > order(held)):
                    known[row["key"]] = row
            for ticker in (0, 1):
                assert frame_rows(store, ticker, moment) == expected_rows(known, ticker)
        assert store.position("bars") == oracle.position
        assert store.check_log() == []
    finally:
        store.close()


@given(JOURNAL, STORY)
def test_sqlite_agrees_with_the_oracle_whatever_happens(journal: list[list[Any]], story: list[Any]):
    """Writers in any order, batches cut anywhere, crashes that replay what was written: shown, logged and known."""
    with tempfile.TemporaryDirectory() as folder:
        agrees(lambda: open_store(Path(folder) / "bars.sqlite"), journal, story)


@pytest.mark.mongo
@settings(max_examples=max(settings().max_examples // 4, 1), suppress_health_check=list(HealthCheck))
@given(JOURNAL, STORY)
def test_mongodb_agrees_with_the_oracle_whatever_happens(
    mongo_uri_of: Callable[[str], str], journal: list[list[Any]], story: list[Any]
):
    """The same stories over the wire."""
    uri = mongo_uri_of(f"pocketquant_test_{uuid.uuid4().hex[:12]}")
    agrees(lambda: open_store(uri), journal, story)


@pytest.fixture
def mongo_uri_of(mongo_uri: str) -> Iterator[Callable[[str], str]]:
    """Addresses of databases that are dropped after the test."""
    import pymongo

    names: list[str] = []
    own = pymongo.uri_parser.parse_uri(mongo_uri)["database"]

    def uri_of(name: str) -> str:
        names.append(name)
        return mongo_uri.replace(f"/{own}", f"/{name}")

    yield uri_of
    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(mongo_uri)
    for name in names:
        client.drop_database(name)
    client.close()
