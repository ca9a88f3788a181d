"""Where the order of paper trading stands, and what it is made of."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from dataflows.paper import total_order
from dataflows.paper.events import Begin
from market.errors import DeskError
from sinks.bar_store import BarStore
from sinks.paper_book import Control, PaperBook
from sources.journal import JournalReader
from sources.journal_standing import clock_at, designated_at

BARS: Final = "bars"
"""Whose log holds the bars that strategies are shown."""
VERSION: Final = 1


class Desk(Protocol):
    """What the order needs to know of the runs."""

    @property
    def symbols(self) -> frozenset[str]:
        """Those that runs hold."""
        ...

    def refusal(self, control: Control) -> str:
        """Why a control cannot take effect, as a sentence; empty if it can."""
        ...


class Ways(NamedTuple):
    """What the order is made of and by; opened by the caller, and closed by it."""

    reader: JournalReader
    store: BarStore
    book: PaperBook
    patience: Callable[[Callable[[], Any]], Any]
    """Calls the store or the book until it answers."""
    prepare: Callable[[Mapping[str, int], int], Callable[[Control], Begin]]
    """Given the streams that make bars and the end of the newest closed minute (ns): makes what a start begins with."""
    until_end: bool = False
    """Whether the journal's end is the end."""
    max_ticks: int = 65_536
    clock_s: Callable[[], float] = time.monotonic


class Standing(msgspec.Struct, array_like=True):
    """Where the order stands: all that what comes next depends on. Recovery data."""

    version: int
    seq: int
    """Every row up to this one is done."""
    clock: int
    """Of the last live row, ns; 0 before the first."""
    closed: int
    """End of the newest minute that has closed, ns."""
    awaiting: bool
    """Whether row `seq` is a boundary whose bars have not come yet."""
    log_seq: int
    """Place in the bars' log up to which all is done."""
    shown_after: int
    """Bars that were logged with this row or before are of a time before all runs."""
    control: int
    """The last control that took effect."""
    control_seq: int
    """The row that it took effect behind."""
    controls: int
    """How many took effect so far."""
    grace_ns: int
    designated: dict[str, int]
    """By symbol the stream that makes its bars."""


def beginning(ways: Ways, grace_ns: int) -> Standing:
    """Where to begin when there is nothing to go on from: at what the bars dataflow has done.

    Raises:
        DeskError: The journal or the store has trouble.
    """
    # In this order: what is logged meanwhile is of rows behind the position, or is passed over for its row.
    log_seq = ways.patience(lambda: ways.store.head(BARS))[0]
    seq = ways.patience(lambda: ways.store.position(BARS))
    clock = clock_at(ways.reader, seq) if seq else None
    closed = total_order.closed_until(clock or 0, grace_ns)
    return Standing(
        VERSION, seq, clock or 0, closed, False, log_seq, seq, 0, 0, 0, grace_ns, designated_at(ways.reader, seq)
    )


def opened(kept: bytes) -> Standing:
    """Where the order stood, from `Tail.snapshot`.

    Raises:
        DeskError: It is of another version.
    """
    try:
        standing = msgspec.msgpack.decode(kept, type=Standing)
    except msgspec.DecodeError as error:
        msg = f"the place of paper trading cannot be read ({error}): it was saved by another version of PocketQuant"
        raise DeskError(msg) from error
    if standing.version != VERSION:
        msg = (
            f"the place of paper trading has layout {standing.version}, and this PocketQuant knows {VERSION}: go on "
            "with the version that saved it"
        )
        raise DeskError(msg)
    return standing
