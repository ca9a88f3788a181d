"""Ticks as bars of one price, and the loop that takes an account over them: between two decisions, one call.

A tick fills, triggers and marks as a bar would whose four prices are its own; no rule of the step is written twice. Its
time is when we received it, since no order could have met it before; the session that it belongs to is that of its
event. What is decided between ticks is the caller's business: `advance` is all that happens here.
"""

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

from market.bars import BarState
from market.ticks import Batch
from trading.jit import compiles
from trading.records import VIEW, Records
from trading.step import advance

_FOLDER: Final = Path(__file__).parent


def tick_views(ticks: Batch, symbols: NDArray[Any]) -> Records:
    """Ticks as the step takes them.

    Args:
        ticks: n `TICK` records.
        symbols: n indices among the account's symbols.

    Returns:
        n `VIEW` records: start and end are the received time, all prices the tick's, volume its size.
    """
    views = np.zeros(len(ticks), VIEW)
    views["start"] = views["end"] = ticks["received_time"]
    for name in ("open", "high", "low", "close"):
        views[name] = ticks["price"]
    views["volume"] = ticks["size"]
    views["notional"] = ticks["price"] * ticks["size"]
    views["trades"] = ticks["count"]
    views["symbol"] = symbols
    views["state"] = BarState.CLOSED
    return views


@compiles
def over_ticks(
    accounts: Records, views: Records, sessions: NDArray[np.int64], rows: NDArray[np.int64], first: int, last: int
) -> int:
    """Take an account over ticks; plain Python, of which `compiled_over_ticks` is the same.

    It stops before `last` where the account's logs have to be emptied or a fault was found: go on from what it returns
    once that is done.

    Args:
        accounts: The account, one record.
        views: `VIEW` by `tick_views`, in the order of the journal; all of the account's symbols.
        sessions: End of the session that each one's event is in, ns.
        rows: What fills and trades note of each: the sequence of its journal row.
        first: Place of the first tick to take.
        last: Place after the last.

    Returns:
        Place of the next tick: `last` when all are done.
    """
    account = accounts[0]
    place = first
    while place < last:
        advance(account, views[place], rows[place], sessions[place])
        place += 1
        if account.full != 0 or account.fault != 0:
            break
    return place


@cache
def compiled_over_ticks() -> Callable[..., int]:
    """`over_ticks` by Numba, which compiles it at its first call, in a second or two, or reads it from disk."""
    made: Callable[..., int] = _entry(_digest())
    return made


def _entry(digest: int) -> Any:
    @numba.njit(cache=True)
    def over(accounts: Any, views: Any, sessions: Any, rows: Any, first: Any, last: Any) -> Any:
        # What Numba kept is found by this number too, so that an upgrade never runs yesterday's rules.
        _ = digest
        return over_ticks(accounts, views, sessions, rows, first, last)

    return over


def _digest() -> int:
    """Of the sources that may be compiled into the loop, as a number that Numba can hold."""
    total = blake2b(digest_size=7)
    for path in [*sorted(_FOLDER.glob("*.py")), *sorted((_FOLDER / "assumptions").glob("*.py"))]:
        total.update(path.read_bytes())
    return int.from_bytes(total.digest())
