"""Fetched bars into the store: whatever fetches hands them over here, and a store that is away is waited for."""

from typing import TYPE_CHECKING, Final

from sinks.bar_store import StoreAway, Written
from sinks.ledger_rejects import Reject

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from history.fetching import Fetched
    from market.bars import BarBatch
    from market.symbols import Symbol

PATIENCE_NS: Final = 120 * 10**9
"""How long a store may be away, a restart of it included, before what waits for it fails."""
_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 10.0


def store_fetched(desk: "HistoryDesk", symbol: "Symbol", fetched: "Fetched", writer: str) -> Written:
    """Write what a provider gave; the rows that it was refused go to the rejects.

    Args:
        desk: Whose store and ledger.
        symbol: Whose bars they are.
        fetched: The bars.
        writer: Whose log in the store they are appended to.

    Raises:
        StoreAway: The store stayed away; nothing of these bars counts as written.
        DeskError: The store refuses them.
    """
    if fetched.bad:
        now = desk.now_ns()
        desk.ledger.reject_many(Reject(fetched.provider, row.reason, row.detail, now, symbol) for row in fetched.bad)
    if not len(fetched.batch.rows):
        return Written(0, 0, 0, 0)
    return store_patiently(desk, fetched.batch, writer)


def store_patiently(desk: "HistoryDesk", batch: "BarBatch", writer: str) -> Written:
    """Write bars whose revisions the store counts; while it is away, wait and write the same again.

    Raises:
        StoreAway: It stayed away for two minutes; nothing of the batch counts as written.
        DeskError: It refuses them.
    """
    deadline = desk.now_ns() + PATIENCE_NS
    wait_s = _FIRST_WAIT_S
    while True:
        try:
            return desk.store.upsert(batch, writer=writer, own_revisions=False)
        except StoreAway:
            if desk.now_ns() >= deadline:
                raise
        desk.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
