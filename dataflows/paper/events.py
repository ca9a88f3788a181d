"""What flows between the steps of the paper dataflow: everything that runs see, in the one order that it has."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.ticks import Batch
from sinks.bar_store import Name
from sinks.paper_book import Control, Position
from trading.records import Records

if TYPE_CHECKING:
    from dataflows.paper.starting import Chosen


class Ticks(NamedTuple):
    """Ticks that count, of rows after the event before."""

    position: Position
    ticks: Batch
    """n `TICK` records in the order of the journal."""
    rows: NDArray[np.int64]
    """n: the journal row of each."""
    slots: NDArray[np.int32]
    """n: index of each one's symbol in `symbols`."""
    sessions: NDArray[np.int64]
    """n: end of the session that each one's event is in, ns."""
    symbols: Sequence[str]


class Closed(NamedTuple):
    """A minute has closed: what the bars dataflow logged of it."""

    position: Position
    rows: NDArray[np.void]
    """`BAR` records in the order of the log, first revisions and later ones; `stream` indexes `names`."""
    log_seqs: NDArray[np.int64]
    """Place of each in the log."""
    names: tuple[Name, ...]


class Begin(NamedTuple):
    """What a run begins with besides its plan."""

    streams: Mapping[str, int]
    """By symbol the stream that makes its bars."""
    warm_up: Records
    """`VIEW` of bars before the first, in the order in which they are shown."""
    run: "Chosen"
    """As its start says."""


class Told(NamedTuple):
    """A control takes effect."""

    position: Position
    control: Control
    begin: Begin | None
    """Of a start."""


class Rest(NamedTuple):
    """Nothing more has come: time to write down how all is."""

    position: Position
    tail: bytes
    """Where the input stands; empty where only figures are wanted."""


Event = Ticks | Closed | Told | Rest


class Out(NamedTuple):
    """What an event came to, for the book."""

    position: Position
    rows: dict[str, list[dict[str, Any]]]
    figures: list[dict[str, Any]]
    """Rows of runs that say how these stand: true at `position`, and no news."""
    states: dict[str, bytes]
    warm_ups: dict[str, bytes]
    forgotten: list[str]
    """Runs of which nothing is kept."""
    notes: list[tuple[str, str]]
    """To be told to the user: the kind, and a sentence."""
