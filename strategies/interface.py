"""What a strategy file holds, and the words that it uses.

```python
\"\"\"One sentence on when it buys and sells; the first line is shown in lists, all of it in the report.\"\"\"


class Parameters(BaseModel):  # whole numbers, numbers, switches and enumerations, with ranges and descriptions
    length: int = Field(20, ge=1, le=10_000, description="bars")


def needs(p: Parameters) -> Needs: ...  # warm-up, and what it wants to see besides its own bars
def begin(p: Parameters) -> tuple[NDArray[Any], ...]: ...  # the state: all that it remembers
def decide(state, bar, p) -> float: ...  # the exposure to hold: 1 long, -1 short, 0 flat, or KEEP
```

`decide(state, bar, p, orders) -> int` writes orders instead, by `trading.requests`, and returns how many. Either is a
pure function of the state, which it changes in place, and of one closed bar (`trading.records.VIEW`): it is shown a bar
of each of its symbols and intervals as these close, never a later one. It runs compiled where Numba can, and as plain
Python where not, with the same result.
"""

from typing import Any, Final, NamedTuple

from numpy.typing import NDArray

from market.errors import DeskError
from market.intervals import Interval

State = tuple[NDArray[Any], ...]
"""What a strategy remembers: arrays that it changes in place, and whose bytes are its snapshot."""

KEEP: Final = 2.0**1000
"""Returned by a strategy that leaves its position as it is. NaN does not say so: it is a number that went wrong."""

EXPOSURE_MAX: Final = 1e6
"""Largest exposure that can be meant, as a multiple of equity."""

REQUESTS_MAX: Final = 32
"""Orders that a strategy may ask for on one bar."""


class StrategyError(DeskError):
    """A strategy that cannot be used or went wrong: which one, what, and on which bar."""


class Needs(NamedTuple):
    """What a strategy has to be shown."""

    warm_up: int = 0
    """Bars of each of its symbols and intervals before its first decision; until then it may return NaN."""

    intervals: tuple[Interval, ...] | None = None
    """Intervals that it sees besides the one it is run on; None for that one alone."""

    symbols: tuple[str, ...] | None = None
    """Symbols that it decides on, `EXCHANGE:TICKER`; None for those that the run names."""

    together: int = 1
    """Symbols that one state decides on, the first of the run being `bar.symbol` 0; 1 is a state for each symbol."""
