"""What is kept of a run: all that what comes of it next depends on."""

from typing import Any, Final

import msgspec

VERSION: Final = 1

RUNNING: Final = "running"
STOPPED: Final = "stopped"
FLATTENING: Final = "flattening"
KILLED: Final = "killed"
FAILED: Final = "failed"


class Kept(msgspec.Struct, array_like=True):
    """All of a run that what comes next depends on. Recovery data."""

    version: int
    number: int
    """Of the control that started it."""
    asked_at: int
    body: dict[str, Any]
    """Of that control: the plan, the source."""
    streams: dict[str, int]
    """By symbol the stream that made its bars at the start."""
    started_seq: int
    state: str
    broken: str
    """Why its strategy cannot go on; empty if it can."""
    narrowed: bool
    """Whether limits over all runs left their mark on the account's own."""
    counts: dict[str, int]
    """Rows so far: decisions, orders, trades, revisions, events."""
    last_bar: int
    """End of the newest bar that it has seen, ns."""
    peak: int
    """Highest equity so far, quanta."""
    seen: dict[str, list[tuple[int, float, float, float, float, float]]]
    """By symbol and interval the last bars that were shown: start, open, high, low, close, volume."""
    footing: dict[str, tuple[float, float]]
    """By symbol what prices and volumes are multiplied by to be on the footing of the start: 1 before any split."""
    account: bytes
    deciders: list[bytes]
