"""What a tick file yields: batches in the file's order, with what could not be read beside them."""

from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from market.symbols import Symbol
from market.ticks import TICK, Batch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EARLIEST_NS: Final = 631_152_000_000_000_000
"""1990: the calendars begin here; no file of ticks is older."""

TEXT_MOST: Final = 200
"""Characters of a refused line that are kept."""


class Refused(NamedTuple):
    """One line or row that made no tick."""

    line: int
    """From 1, the header included; of Parquet, which has no lines, the row from 1."""

    reason: str
    """`columns number stamp mixed_units aggressor trade_id count encoding json shape symbol duplicate cut_off line`,
    or the reason of a venue's parser."""

    text: str
    """What was found wrong and the beginning of the line."""


class FileBatch(NamedTuple):
    """A run of ticks of one symbol, in the file's order."""

    symbol: Symbol | None
    """Whose ticks these are; None where a capture's batch has rejects only."""

    ticks: Batch
    """`TICK` records with stream 0; received_time never falls from batch to batch of one file."""

    first_row: int
    """Row of the first tick: data rows count from 1, refused ones included; in captures, ticks do."""

    rejects: list[Refused]
    """What was refused among and before these ticks."""

    progress: float
    """How much of the file has been read, 0 to 1."""


class Reader(Protocol):
    """One form of file."""

    def batches(self) -> Iterator[FileBatch]:
        """Read from the beginning, in bounded memory."""


class Clock:
    """The file's clock: received times as far as the file has them, event times where not, and never falling."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = 0

    def advance(self, times: Ints) -> Ints:
        """The running maximum over all times so far."""
        if not len(times):
            return times
        running = np.maximum(np.maximum.accumulate(times), self.latest)
        self.latest = int(running[-1])
        return running


def make_ticks(
    clock: Clock,
    *,
    rows: Ints,
    event_time: Ints,
    received_time: Ints | None,
    price: Floats,
    size: Floats,
    trade_id: Ints | None,
    count: Ints | int,
    aggressor: NDArray[np.int8] | int,
) -> Batch:
    """Records from columns of equal length, with stream 0.

    Args:
        clock: The file's; advanced.
        rows: Row numbers, the trade ids where the file gives none: by them and the file's hash a tick is known.
        event_time: ns.
        received_time: ns, negative where a row has none; None where the file has none.
        price: Quote currency per unit.
        size: Base units.
        trade_id: The venue's, negative where a row has none; None where the file has none.
        count: Trades in each.
        aggressor: `market.ticks.Aggressor` of each.
    """
    ticks = np.zeros(len(rows), TICK)
    ticks["event_time"] = event_time
    heard = event_time if received_time is None else np.where(received_time < 0, event_time, received_time)
    ticks["received_time"] = clock.advance(heard)
    ticks["price"] = price
    ticks["size"] = size
    ticks["trade_id"] = rows if trade_id is None else np.where(trade_id < 0, rows, trade_id)
    ticks["count"] = count
    ticks["aggressor"] = aggressor
    return ticks


def shorten(text: str | bytes) -> str:
    """The beginning of a line, printable."""
    shown = text[:TEXT_MOST].decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text[:TEXT_MOST]
    return shown if shown.isprintable() else ascii(shown)[1:-1]
