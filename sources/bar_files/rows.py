"""What a file of bars is read into: columns of numbers, with the line of each, and what could not be read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from market.bars import BarState

PRICES: Final = ("open", "high", "low", "close")
NEEDED: Final = (*PRICES, "volume")
NUMBERS: Final = (*NEEDED, "notional", "trades")
"""Columns of numbers; the last two only where a file has them."""
STARTS: Final = ("start", "timestamp", "datetime", "date", "time", "")
"""Names of the column of starts, the first that there is; without a name only where it is the first column."""
NO_DAY: Final = np.iinfo(np.int64).min
"""In a column of days: the stamp is a moment."""
NO_STATE: Final = 255

ROW: Final = np.dtype(
    [
        ("line", "<i8"),
        ("time", "<i8"),
        ("day", "<i8"),
        *((name, "<f8") for name in NUMBERS),
        ("state", "u1"),
    ]
)
"""One row: its line in the file (from 1; of Parquet its row), time ns, day in days since 1970 or `NO_DAY`, the numbers
(NaN where there is none), and its `BarState` in a file of `pq export`, else `NO_STATE`."""


class BadLine(NamedTuple):
    """A row that makes no bar."""

    line: int
    reason: str
    """A word or two: `not a number`, `high below low`."""
    detail: str
    """What is wrong with it, as half a sentence."""


class Named(NamedTuple):
    """What a file of `pq export` says it holds."""

    exchange: str
    symbol: str
    interval: str


@dataclass(slots=True)
class Rows:
    """A part of a file."""

    rows: NDArray[np.void]
    """`ROW` records, in the order of the file."""
    bad: list[BadLine] = field(default_factory=list)
    """Lines that are no row."""
    named: frozenset[Named] = frozenset()
    """Of which series the rows are, where the file says it."""
    progress: float = 0.0
    """How much of the file was read, 0 to 1."""


class BarFile(Protocol):
    """A file of bars that was opened."""

    @property
    def left_out(self) -> Sequence[str]:
        """Columns that say something of prices and are not used: adjusted ones."""
        ...

    @property
    def note(self) -> str:
        """What a user should know of the file, once it is read; empty if nothing."""
        ...

    def read(self) -> Iterator[Rows]:
        """Its rows, part by part.

        Raises:
            DeskError: It cannot be read any further.
        """
        ...


STATES: Final = {str(state): int(state) for state in BarState}


def counted(bad: Sequence[BadLine]) -> str:
    """Bad lines for people: by reason, with the first of each.

    >>> counted([BadLine(7, "high below low", "high 1.0, low 2.0"), BadLine(9, "high below low", "high 1.0, low 3.0")])
    '2 high below low (line 7: high 1.0, low 2.0)'
    """
    counts = Counter(one.reason for one in bad)
    first: dict[str, BadLine] = {}
    for one in sorted(bad):
        first.setdefault(one.reason, one)
    return ", ".join(
        f"{count} {reason} (line {first[reason].line}: {first[reason].detail})"
        for reason, count in counts.most_common()
    )
