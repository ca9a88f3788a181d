"""What the paper dataflow says of itself: plain counters that its threads write and a status file or a metric reads."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Progress:
    """Counts since the process started. Each field has one writer, so reading needs no lock."""

    preparing: str = ""
    """Why nothing happens yet, if it takes long."""
    seq: int = 0
    """Row of the journal up to which all is done."""
    clock: int = 0
    """The journal's, ns."""
    waits_for_bars: bool = False
    """Whether a minute has closed whose bars have not come."""
    runs: dict[str, int] = field(default_factory=dict)
    """How many there are by state."""
    decisions: int = 0
    """Bars that a strategy has decided on."""
    orders: int = 0
    fills: int = 0
    strategies: dict[str, str] = field(default_factory=dict)
    """Of each run."""
    tally: dict[str, Counter[str]] = field(
        default_factory=lambda: {"decisions": Counter(), "orders": Counter(), "fills": Counter()}
    )
    """Rows written, by kind and strategy."""
    equities: dict[str, float] = field(default_factory=dict)
    """Of each run, as it was marked last."""
    writes: int = 0
    store_state: str = "up"
    """`up`, or `away` while it is waited for."""
    store_retries: int = 0
    store_error: str = ""
    """Why the store was away last."""
