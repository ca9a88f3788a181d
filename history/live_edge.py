"""How far the live bars have come into the store: what is made above them must not run ahead of them."""

from typing import TYPE_CHECKING, Final

from market.journal_rows import RowKind
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

    It is now where the journal is read to its end. Else it is the clock of the first row that is not: bars that close
    by it are all there.

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
    return now
