"""The session report: after an exchange's close its day is synced, and what was received, lost and healed is written.

When a session ends is the calendar's to say: half days end early, holidays have none, and venues that never close end
their day at midnight UTC.
"""

from collections.abc import Callable
from contextlib import closing
from threading import Event
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.live_log import live_bars
from history.registry import registered
from history.spans import Spans
from history.sync import sync_many
from market.bars import BAR, BarState
from market.intervals import MINUTE_NS, Interval
from market.sessions import Calendar, calendar_for
from market.slots import slots
from market.symbols import Symbol
from sinks.ledger import GapState
from sinks.session_book import SessionBook, SessionReport, SymbolSession
from sinks.truth_book import TruthBook

if TYPE_CHECKING:
    from history.desk import HistoryDesk

SETTLE_NS: Final = 15 * MINUTE_NS
"""How long after the close a report is made: the closing auction is printed by then, and free plans lag by as much."""
LATE_NS: Final = 4 * 86_400 * 10**9
"""How long after its close a session is still reported, where the desk did not run."""
_NO_BARS: Final = np.empty(0, BAR)
_OVER: Final = tuple(state for state in BarState if state is not BarState.FORMING)


class Session(NamedTuple):
    """One day of one exchange, and the symbols that the desk keeps of it."""

    exchange: str
    start: int
    """ns; first open."""
    end: int
    """ns; last close."""
    symbols: tuple[Symbol, ...]


def last_session(calendar: Calendar, before: int) -> tuple[int, int] | None:
    """The last day of a calendar that ended by a moment, `[start, end)` in ns; None before the first.

    >>> from market.sessions import calendar
    >>> day = 86_400 * 10**9
    >>> last_session(calendar("24/7"), 20_000 * day + 5) == (19_999 * day, 20_000 * day)
    True
    """
    place = int(np.searchsorted(calendar.day_end, before // MINUTE_NS, side="right")) - 1
    if place < 0:
        return None
    return int(calendar.day_start[place]) * MINUTE_NS, int(calendar.day_end[place]) * MINUTE_NS


def due_sessions(desk: "HistoryDesk") -> list[Session]:
    """The last session of each exchange that the desk keeps symbols of, where it is over and not reported yet."""
    now = desk.now_ns()
    by_exchange: dict[str, list[Symbol]] = {}
    for symbol in registered(desk):
        by_exchange.setdefault(symbol.exchange, []).append(symbol)
    found = []
    with closing(SessionBook(desk.folders.history)) as book:
        for exchange, symbols in sorted(by_exchange.items()):
            bounds = last_session(calendar_for(symbols[0]), now - SETTLE_NS)
            if bounds is not None and bounds[1] > now - LATE_NS and not book.has(exchange, bounds[0]):
                found.append(Session(exchange, *bounds, tuple(symbols)))
    return found


def session_report(
    desk: "HistoryDesk",
    session: Session,
    *,
    say: Callable[[str], None] | None = None,
    stop: Event | None = None,
) -> SessionReport:
    """Sync a session's day, and write down how it went.

    Args:
        desk: The desk.
        session: From `due_sessions`.
        say: Told, as a sentence, of each change of provider.
        stop: Ends the syncs early; they are then errors in the report.

    Raises:
        DeskError: The store or the ledger cannot be read. What a provider does not give is in the report.
    """
    errors: dict[Symbol, str] = {}
    synced = dict.fromkeys(session.symbols, 0)
    for interval in (Interval.M1, Interval.D1):
        done = sync_many(desk, session.symbols, interval, start=session.start, end=session.end, say=say, stop=stop)
        for one in done:
            synced[one.symbol] += one.total.bars
            if one.error is not None:
                errors.setdefault(one.symbol, " ".join(str(one.error).split()))
    with closing(TruthBook(desk.folders.history)) as book:
        after = book.log_place(session.start)
    live = live_bars(desk.store, session.start, session.end, after=after, symbols=frozenset(session.symbols))
    rows = [
        _row(desk, session, symbol, live.get((symbol, Interval.M1), _NO_BARS), synced[symbol], errors.get(symbol, ""))
        for symbol in session.symbols
    ]
    report = SessionReport(session.exchange, session.start, session.end, desk.now_ns(), tuple(rows))
    with closing(SessionBook(desk.folders.history)) as book:
        book.note(report)
    return report


def session_reports(
    desk: "HistoryDesk", *, say: Callable[[str], None] | None = None, stop: Event | None = None
) -> list[SessionReport]:
    """The reports of all sessions that are due; arguments and errors as for `session_report`."""
    return [session_report(desk, session, say=say, stop=stop) for session in due_sessions(desk)]


def _row(
    desk: "HistoryDesk", session: Session, symbol: Symbol, live: NDArray[np.void], synced: int, error: str
) -> SymbolSession:
    """What became of one symbol, whose minutes were made live as given."""
    start, end = session.start, session.end
    room = slots(calendar_for(symbol), Interval.M1, start, end)
    touching = [gap for gap in desk.ledger.gaps(symbol) if gap.start < end and (gap.end is None or gap.end > start)]

    def seconds(*wanted: GapState) -> float:
        spans = Spans()
        for gap in touching:
            if gap.state in wanted:
                spans.add(gap.start, end if gap.end is None else gap.end)
        # A lunch break is no loss.
        return _overlap(spans, room) / 1e9

    return SymbolSession(
        symbol,
        len(room),
        int((live["state"] != BarState.FORMING).sum()),
        int((live["state"] == BarState.PARTIAL).sum()),
        int(live["trades"].sum()),
        len(desk.store.read(symbol, Interval.M1, start, end, states=_OVER)),
        len(touching),
        seconds(*GapState),
        seconds(GapState.HEALED),
        seconds(GapState.UNFILLABLE),
        synced,
        error,
    )


def _overlap(spans: Spans, room: NDArray[np.int64]) -> int:
    """How much of some minutes lies in the spans, ns."""
    total = 0
    for start, end in _sessions(room):
        total += end - start - sum(last - first for first, last in spans.gaps(start, end))
    return total


def _sessions(room: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Minutes as spans of minutes that follow on each other."""
    if not len(room):
        return []
    breaks = np.flatnonzero(room[1:, 0] != room[:-1, 1]) + 1
    firsts, lasts = np.concatenate(([0], breaks)), np.concatenate((breaks - 1, [len(room) - 1]))
    return list(zip(room[firsts, 0].tolist(), room[lasts, 1].tolist(), strict=True))
