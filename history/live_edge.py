"""How far the live bars have come into the store: what is made above them must not run ahead of them."""

from typing import TYPE_CHECKING, Final

from market.journal_rows import RowKind
from market.symbols import Symbol
from sources.journal import JournalReader

if TYPE_CHECKING:
    from history.desk import HistoryDesk

LIVE_WRITER: Final = "bars"
"""The bars dataflow, in the store's log and among the journal's consumers."""
_LIVE: Final = 0
"""Clock domain of all live feeds."""
_ROWS: Final = 512


def live_edge(desk: "HistoryDesk") -> int:
    """The moment up to which all that was journaled live has become bars in the store, ns.

    It is the clock of the first row that is not read, or else of the last one: bars that close by it are all there, and
    of a desk that has stopped nothing is known live of the time since. Where nothing was ever journaled live it is now.

    Raises:
        DeskError: The journal or the store cannot be read.
    """
    now = desk.now_ns()
    noted = [position.seq for position in desk.ledger.positions() if position.consumer == LIVE_WRITER]
    consumed = max([desk.store.position(LIVE_WRITER), *noted])
    # A damaged row is passed over: its bars are marked as partial by whoever makes them.
    with JournalReader(desk.folders.journal, lambda _: None) as reader:
        while rows := reader.read(consumed, max_rows=_ROWS):
            for row in rows:
                if row.domain == _LIVE and row.kind != RowKind.QUOTES:
                    return min(now, row.clock)
            consumed = rows[-1].seq
    return min(now, journal_end(desk) or now)


def journal_end(desk: "HistoryDesk") -> int:
    """Clock of the newest live row, ns; 0 without any.

    Raises:
        DeskError: The journal cannot be read.
    """
    with JournalReader(desk.folders.journal, lambda _: None) as reader:
        first, after = reader.first_seq(), reader.last_seq() - _ROWS
        while first:
            rows = reader.read(max(after, first - 1), max_rows=_ROWS)
            clocks = [row.clock for row in rows if row.domain == _LIVE and row.kind != RowKind.QUOTES]
            if clocks:
                return max(clocks)
            if after < first:
                break
            after -= _ROWS
    return 0


def followed_since(desk: "HistoryDesk") -> dict[Symbol, int]:
    """Since when each symbol that is followed has been so without a break, ns."""
    since: dict[Symbol, int] = {}
    active: set[Symbol] = set()
    for one in desk.ledger.subscriptions(active=None):
        since[one.symbol] = max(since.get(one.symbol, 0), one.since)
        if one.active:
            active.add(one.symbol)
    return {symbol: moment for symbol, moment in since.items() if symbol in active}
