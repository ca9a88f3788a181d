"""What an account is, as bytes: for a recovery store; and its logs, taken out so that it can go on.

The bytes hold everything that a step depends on: balances, positions with their terms, working orders, limits, the kill
switch. The logs are left out: who takes a snapshot has drained them first.
"""

from functools import cache
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np

from market.errors import DeskError
from trading.book import ACCOUNT, CURRENCY, POSITION, SCHEDULE, Book, least_room
from trading.records import FILL, ORDER, TRADE, Records

_VERSION: Final = 1
_HEAD: Final = np.dtype([("version", "<u4"), ("layout", "<u4"), ("counts", "<u4", (4,))])
_PARTS: Final = (("positions", POSITION), ("currencies", CURRENCY), ("schedules", SCHEDULE), ("orders", ORDER))


class Logs(NamedTuple):
    """What happened since the logs were drained last."""

    orders: Records
    """`ORDER`: those that ended, in that order."""
    fills: Records
    """`FILL`, by seq."""
    trades: Records
    """`TRADE`, in the order of their ends."""


class SnapshotError(DeskError):
    """Bytes that are no snapshot of an account, or one of another version's layout."""


def drained(book: Book) -> Logs:
    """Take what is in the logs; they are empty afterwards."""
    account = book.account
    taken = Logs(
        book.done[: account.done].copy(), book.fills[: account.fills].copy(), book.trades[: account.trades].copy()
    )
    account.done = account.fills = account.trades = account.full = 0
    return taken


def to_bytes(book: Book) -> bytes:
    """A snapshot. Two accounts that came to the same state in other processes have the same bytes.

    Raises:
        SnapshotError: The logs are not empty; drain them first.
    """
    account = book.account
    if account.done or account.fills or account.trades:
        msg = f"a snapshot leaves the logs out, and they hold {account.done + account.fills + account.trades} records"
        raise SnapshotError(msg)
    head = np.zeros(1, _HEAD)
    head["version"] = _VERSION
    head["layout"] = _layout()
    head["counts"] = [len(getattr(book, name)) for name, _ in _PARTS]
    settled = book.accounts.copy()
    # Where things are in memory, and what passed through on the way to the step, is no state.
    for name in ACCOUNT.names or ():
        if name.endswith("_at") or name in {"entry", "asked", "askable", "room", "available"}:
            settled[name] = 0
    orders = book.orders.copy()
    orders[account.working :] = np.zeros(1, ORDER)
    arrays = [head, settled, book.positions, book.currencies, book.schedules, orders]
    return b"".join(array.tobytes() for array in arrays)


def from_bytes(data: bytes, room: int = 1024) -> Book:
    """The account of a snapshot, with empty logs of so much room.

    Raises:
        SnapshotError: These bytes are no snapshot, or of another layout.
    """
    if len(data) < _HEAD.itemsize + ACCOUNT.itemsize:
        msg = f"an account's snapshot has at least {_HEAD.itemsize + ACCOUNT.itemsize} bytes, and these are {len(data)}"
        raise SnapshotError(msg)
    head = np.frombuffer(data, _HEAD, 1)[0]
    if head["version"] != _VERSION or head["layout"] != _layout():
        msg = "the account was saved by another version of PocketQuant, whose orders and positions look otherwise"
        raise SnapshotError(msg)
    counts = [int(count) for count in head["counts"]]
    sizes = [count * dtype.itemsize for count, (_, dtype) in zip(counts, _PARTS, strict=True)]
    whole = _HEAD.itemsize + ACCOUNT.itemsize + sum(sizes)
    if len(data) != whole:
        msg = f"an account's snapshot is cut short: {len(data)} of {whole} bytes"
        raise SnapshotError(msg)
    at = _HEAD.itemsize
    accounts = np.frombuffer(data, ACCOUNT, 1, at).copy()
    at += ACCOUNT.itemsize
    parts = []
    for count, size, (_, dtype) in zip(counts, sizes, _PARTS, strict=True):
        parts.append(np.frombuffer(data, dtype, count, at).copy())
        at += size
    positions, currencies, schedules, orders = parts
    room = max(room, least_room(len(orders)) + len(positions))
    logs = (np.zeros(room, ORDER), np.zeros(room, FILL), np.zeros(room, TRADE))
    return Book(accounts, positions, currencies, schedules, orders, *logs)


@cache
def _layout() -> int:
    """A number that differs if any field does."""
    text = repr([[(name, str(dtype[name])) for name in dtype.names or ()] for _, dtype in (("", ACCOUNT), *_PARTS)])
    return int(np.frombuffer(blake2b(text.encode(), digest_size=4).digest(), "<u4")[0])
