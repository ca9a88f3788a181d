"""Which ticks filled a run."""

from typing import NamedTuple


class Ticks(NamedTuple):
    """The ticks that filled a run."""

    number: int
    first_row: int
    """Of the journal; 0 if there were none."""
    last_row: int
    hash: str
    """BLAKE2 over their times, prices and sizes."""
