"""What a reader puts in the place of rows that it cannot read: marks that ticks may be missing.

So that a bar made across a damaged row is `partial`, as it would be across an outage of its feed.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np

from market.journal_rows import RowKind, RowValues
from market.streams import Stream
from market.ticks import MARK, MarkKind

MARGIN_NS: Final = 2_000_000_000
"""How much older than the row before it a tick in a lost row may well have been."""


def doubt(before: RowValues | None, after: RowValues, streams: Iterable[Stream]) -> RowValues:
    """One row of GAP marks, numbered as the last of the rows that are lost.

    Args:
        before: The last ticks or marks row of the domain that can be read; None if there is none.
        after: The row behind those that are lost; they are taken to be of its domain.
        streams: Those known; the ones of that domain are doubted.
    """
    domain, end = after[2], after[3]
    clock = end if before is None else before[3]
    ids = [stream.id for stream in streams if stream.domain == domain]
    marks = np.zeros(len(ids), MARK)
    marks["time"] = clock
    marks["start"] = clock - MARGIN_NS
    marks["end"] = end + 1
    marks["kind"] = MarkKind.GAP
    marks["stream"] = ids
    return after[0] - 1, RowKind.MARKS, domain, clock, len(ids), marks.tobytes(), 0
