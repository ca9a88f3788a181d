"""What the bars dataflow says of itself: plain counters that its threads write and a status file or a metric reads."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from market.intervals import INTERVALS


def _per_interval() -> NDArray[np.int64]:
    return np.zeros(len(INTERVALS), np.int64)


@dataclass(slots=True)
class Progress:
    """Counts since the process started. Each field has one writer, so reading needs no lock."""

    preparing: str = ""
    """Why no bars are made yet, if it takes long."""
    seq: int = 0
    """Last row of the journal whose bars have been made."""
    clock: int = 0
    """The live clock that bars have reached, ns; 0 before the first live row."""
    chunks: int = 0
    ticks: int = 0
    """Ticks that entered bars."""
    out_of_session: int = 0
    """Ticks outside their symbol's sessions, which enter no bar."""
    stored_seq: int = 0
    """Last row of the journal of what the keeper has written; rows that close nothing do not move it."""
    position: int = 0
    """The store's own position: the last row of the journal that came with bars."""
    closes: NDArray[np.int64] = field(default_factory=_per_interval)
    """Bars stored at their first revision, by interval."""
    revisions: NDArray[np.int64] = field(default_factory=_per_interval)
    """Bars stored again with a higher revision, by interval."""
    rejects: dict[str, int] = field(default_factory=dict)
    """Ticks that entered no bar, by reason."""
    store_state: str = "up"
    """`up`, or `away` while it is waited for."""
    store_retries: int = 0
    store_error: str = ""
    """Why the store was away last."""
    store_seconds: float = 0.0
    """Spent in writing."""
    store_batches: int = 0
    waiting_bars: int = 0
    """Closed bars on their way to the store."""
