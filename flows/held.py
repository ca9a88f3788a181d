"""What is held of some series, as a picture: the end of a backfill is seen, not believed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from flows import artifacts, pictures
from flows.pictures import DayShare
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from history.desk import HistoryDesk

SERIES_SHOWN: Final = 6


def calendars(
    desk: "HistoryDesk", symbols: Sequence[Symbol], interval: Interval, start: int | None, end: int | None
) -> str:
    """Calendars of the first few series, as Markdown with a picture in it; empty where nothing is held.

    Args:
        desk: The desk.
        symbols: Whose bars.
        interval: Their length.
        start: ns; the span that is looked at; None from the oldest that is held.
        end: ns; None to the newest.

    Raises:
        DeskError: The store cannot be read.
    """
    from history.books import chunk_book
    from history.coverage import coverage, known_spans

    store = desk.store
    newest = {one.symbol: one.last + MINUTE_NS for one in store.series() if one.interval is Interval.M1}
    found, rows = [], []
    for symbol in symbols[:SERIES_SHOWN]:
        known = known_spans(
            symbol,
            interval,
            store=store,
            chunks=chunk_book(desk),
            ledger=desk.ledger,
            live_until=newest.get(symbol),
        )
        one = coverage(store, symbol, interval, known, desk.now_ns(), start, end)
        rows.append((f"{symbol} {interval}", one.expected, one.held, one.quiet, one.missing, len(one.holes)))
        if one.days:
            found.append((f"{symbol} {interval}", [DayShare(day.day, day.share) for day in one.days]))
    if not found:
        return ""
    head = ("series", "expected", "held", "quiet", "missing", "holes")
    picture = artifacts.picture(pictures.calendar(found), "what is held, by day")
    more = f"\n\n{len(symbols) - SERIES_SHOWN} more: `pq coverage`" if len(symbols) > SERIES_SHOWN else ""
    return f"{picture}\n\n{artifacts.table(head, rows)}{more}"
