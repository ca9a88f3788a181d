"""Verification: bars worked out anew from the journal by a slow, independent rule, held against what was stored.

Two things are compared with each expected bar: the last row of it in the dataflow's own log, field by field, and what
the store shows, unless a better bar (healed, official) stands there. And the log itself is checked for rows that were
altered, removed or moved.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from dataflows.bars.keeper import WRITER
from dataflows.bars.prelude import prelude
from market.bars import RANK, BarState
from market.errors import DeskError
from market.intervals import Interval
from market.journal_rows import CorruptRow, Row, RowKind
from market.sessions import bounds
from market.symbols import Symbol
from operators.bars import GRACE_NS
from operators.oracle import Oracle, OracleBar
from sinks.bar_store import BarStore, Finding, Logged, StoreAway
from sources.journal import JournalReader

LOGGED: Final = (
    "end", "open", "high", "low", "close", "volume", "notional", "trades", "state", "revision", "updated_at", "seq",
)  # fmt: skip
"""Fields that the log's last row of a bar must have as expected."""
SHOWN: Final = ("end", "open", "high", "low", "close", "volume", "notional", "trades", "state")
"""Fields that the store's bar must have as expected: a rebuild may have given it another revision."""

Tell = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, 0 to 1; now and then."""


class Difference(NamedTuple):
    """One field of one bar that is not as expected."""

    symbol: Symbol
    interval: Interval
    start: int
    """ns."""
    feed: str
    where: str
    """`log` or `store`."""
    field: str
    """Name of the field; `bar` where the whole bar is missing or should not be."""
    stored: Any
    """None where it is missing."""
    expected: Any
    """None where there should be none."""


class Verified(NamedTuple):
    """What a verification found."""

    bars: int
    """Bars compared, each interval counted."""
    differences: list[Difference]
    findings: list[Finding]
    """What is wrong with the log itself."""
    damage: list[CorruptRow]
    """Rows of the journal that could not be read: bars that were made of them must differ."""
    rows: int
    """Rows of the journal read."""

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not (self.differences or self.findings or self.damage)


Key = tuple[str, Symbol, Interval, int]
"""Feed, symbol, interval and start of a bar."""


def verify(
    journal: Path,
    store: BarStore,
    symbols: Collection[Symbol] | None = None,
    *,
    consumed: int = 0,
    grace_ns: int = GRACE_NS,
    tell: Tell | None = None,
) -> Verified:
    """Compare the stored bars with those that the journal gives. A desk may be running meanwhile.

    Args:
        journal: Folder of the journal.
        store: Of the bars.
        symbols: Of these only; all if None.
        consumed: Row of the journal up to which the store must have everything, whatever it says itself: one that was
            lost or replaced knows of nothing that it lacks.
        grace_ns: That the bars were made with.
        tell: Told how far it is.

    Raises:
        StoreAway: The store does not answer.
        DeskError: The journal or the store cannot be read.
    """
    tell = tell or (lambda *_: None)
    position = store.position(WRITER)
    upto = max(position, consumed)
    damage: list[CorruptRow] = []
    with JournalReader(journal, damage.append, doubts=True) as reader:
        expected, since, rows = _expected(reader, upto, symbols, grace_ns, tell)
    findings = store.check_log()
    stored = _logged(store, upto, symbols, since, broken=bool(findings))
    differences = _compare(expected, stored, broken=bool(findings))
    differences += _shown(expected, store, moved=lambda: store.position(WRITER) != position)
    tell("compare", 1.0)
    return Verified(len(expected), differences, findings, damage, rows)


def _expected(
    reader: JournalReader, upto: int, symbols: Collection[Symbol] | None, grace_ns: int, tell: Tell
) -> tuple[dict[Key, OracleBar], int, int]:
    """The last form of each bar by the rows up to `upto`; the first moment that they cover; how many rows."""
    streams = reader.streams()
    oracle = Oracle(streams, bounds, grace_ns, symbols)
    expected: dict[Key, OracleBar] = {}

    def take(row: Row) -> None:
        for bar in oracle.read(row):
            stream = streams[bar.stream]
            expected[stream.feed, stream.symbol, bar.interval, bar.start] = bar

    since = 0
    for chunk in prelude(reader):
        clock = int(chunk.row_clock[0])
        since = max(since, clock)
        take(Row(chunk.last_seq, RowKind.MARKS, chunk.domain, clock, len(chunk.marks), chunk.marks.tobytes()))
    count = 0
    first = reader.first_seq()
    for row in reader.read_all():
        if row.seq > upto:
            break
        count += 1
        if not count % 1000:
            tell("recompute", (row.seq - first) / max(1, upto - first))
        if row.kind != RowKind.QUOTES:
            take(row)
    # Of a bar that had begun before the oldest row left, the journal knows a part only.
    return {key: bar for key, bar in expected.items() if bar.start >= since}, since, count


def _logged(
    store: BarStore, upto: int, symbols: Collection[Symbol] | None, since: int, *, broken: bool
) -> dict[Key, dict[str, Any]]:
    """The last row of each bar in the dataflow's log; up to what cannot be read, where it is broken."""
    found: dict[Key, dict[str, Any]] = {}
    for part in _readable(store, broken=broken):
        names = part.rows.dtype.names
        assert names is not None, "bars are records"
        for record in part.rows.tolist():
            bar = dict(zip(names, record, strict=True))
            feed, symbol = part.names[bar["stream"]]
            if bar["seq"] <= upto and bar["start"] >= since and (symbols is None or symbol in symbols):
                found[feed, symbol, Interval(bar["interval"]), bar["start"]] = bar
    return found


def _readable(store: BarStore, *, broken: bool) -> Iterator[Logged]:
    try:
        yield from store.revisions(WRITER)
    except StoreAway:
        raise
    except DeskError:
        if not broken:
            raise


def _compare(expected: dict[Key, OracleBar], stored: dict[Key, dict[str, Any]], *, broken: bool) -> list[Difference]:
    """Field by field, exactly: the numbers are the same operations in the same order.

    Of a broken log, whose fault is named already, only what can be read and is the last of its bar says anything.
    """
    differences = []
    for key, bar in expected.items():
        row = stored.get(key)
        if broken and (row is None or row["revision"] != bar.revision):
            continue
        if row is None:
            differences.append(_difference(key, "log", "bar", None, f"revision {bar.revision}"))
            continue
        wanted = bar._asdict()
        differences += [
            _difference(key, "log", field, row[field], wanted[field]) for field in LOGGED if row[field] != wanted[field]
        ]
    differences += [
        _difference(key, "log", "bar", f"revision {row['revision']}", None)
        for key, row in stored.items()
        if key not in expected
    ]
    return differences


def _shown(expected: dict[Key, OracleBar], store: BarStore, moved: Callable[[], bool]) -> list[Difference]:
    """What the store shows against the last of the expected bars of each symbol, interval and start."""
    wanted: dict[tuple[Symbol, Interval], dict[int, tuple[Key, OracleBar]]] = {}
    for key, bar in expected.items():
        series = wanted.setdefault((key[1], key[2]), {})
        held = series.get(bar.start)
        if held is None or (held[1].revision, held[1].updated_at) < (bar.revision, bar.updated_at):
            series[bar.start] = key, bar
    differences: list[Difference] = []
    for (symbol, interval), bars in wanted.items():
        frame = store.read(symbol, interval, min(bars), max(bars) + 1)
        shown = {row["start"]: row for row in _in_ns(frame)}
        for start, (key, bar) in bars.items():
            row = shown.get(start)
            if row is None:
                differences.append(_difference(key, "store", "bar", None, f"revision {bar.revision}"))
                continue
            state = BarState[row["state"].upper()]
            later = row["revision"] > bar.revision and (row["source"] != key[0] or moved())
            if RANK[state] > RANK[bar.state] or later:
                continue
            row["state"] = state
            content = bar._asdict()
            differences += [
                _difference(key, "store", field, row[field], content[field])
                for field in SHOWN
                if row[field] != content[field]
            ]
    return differences


def _in_ns(frame: Any) -> list[dict[str, Any]]:
    times = [frame[name].dt.epoch("ns").alias(name) for name in ("start", "end")]
    rows: list[dict[str, Any]] = frame.with_columns(times).to_dicts()
    return rows


def _difference(key: Key, where: str, field: str, stored: Any, expected: Any) -> Difference:
    feed, symbol, interval, start = key
    if field == "state":
        stored, expected = (None if state is None else str(BarState(state)) for state in (stored, expected))
    return Difference(symbol, interval, start, feed, where, field, stored, expected)
