"""What flows between the steps of the bars dataflow."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.chunks import Chunk
from market.streams import Stream


class Piece(NamedTuple):
    """A chunk on its way to one shard."""

    number: int
    """Of the chunk: counted from 0 since the process started, without a hole."""

    parts: int
    """How many shards the chunk went to."""

    shard: int
    """Whose piece it is, 0 to 7."""

    chunk: Chunk | None
    """None for a piece that only asks for what is forming."""

    places: NDArray[np.uint32]
    """Places in `chunk.ticks` of this shard's ticks, rising."""

    moves_all: bool
    """Whether the chunk went to every shard because it moves their clock."""

    after: int
    """Last journal row of the last chunk that went to every shard before this one; 0 before the first."""

    show: bool
    """Whether to say what is forming, of all streams that changed since it was said last."""


class Refused(NamedTuple):
    """A tick that entered no bar."""

    seq: int
    """Its journal row."""

    place: int
    """Which tick of the row, from 0."""

    reason: str
    """`late` or `future`."""

    stream: Stream
    event_time: int
    received_time: int
    price: float
    size: float


class Made(NamedTuple):
    """What one shard made of one piece."""

    number: int
    """The piece's; -1 for what a stop flushes."""

    parts: int
    """The piece's."""

    shard: int

    upto: int
    """Last journal row of the chunk; 0 where there is none."""

    clock: int
    """The live clock after it, ns; 0 where the chunk was of a file, or there is none."""

    beat: int
    """The live clock of its last row that moved all streams, ns: what bars close on; 0 where there is none."""

    rows: NDArray[np.void]
    """`BAR` records that closed, in order; the forming ones where a stop flushes them."""

    refused: list[Refused]

    out_of_session: int
    """Ticks outside their symbol's sessions, which enter no bar."""

    ticks: int
    """Ticks that entered bars."""

    forming: list[tuple[Stream, bytes]]
    """`BAR` records of what is forming now by stream, if that was asked for; no bytes where nothing is."""

    streams: tuple[Stream, ...]
    """All streams by id."""
