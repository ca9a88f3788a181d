"""Which column of a file is what."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from market.errors import DeskError
from sources.bar_files.rows import NEEDED, NUMBERS, STARTS

_ADJUSTED = ("adj close", "adj_close", "adjclose", "adjusted close", "adjusted_close")
_NAMELESS = ("", "unnamed: 0", "__index_level_0__")
"""What the first column is called where it has no name: nothing, or what pandas makes of nothing."""


class Layout(NamedTuple):
    """Places of columns, from 0."""

    starts: tuple[int, ...]
    """One, or that of the date and that of the time."""
    numbers: dict[str, int]
    """By name in `NUMBERS`."""
    state: int | None
    series: tuple[int, int, int] | None
    """Of exchange, symbol and interval, in a file of `pq export`."""
    left_out: tuple[str, ...]
    """Names of columns of adjusted prices."""


def find_columns(path: Path, header: Sequence[str]) -> Layout:
    """Read a header.

    Args:
        path: Of the file, for the sentence.
        header: Names of the columns, as they stand there.

    Raises:
        DeskError: A column is missing, or there are two of a name that is needed.
    """
    names = [name.strip().strip('"').strip().lower() for name in header]
    if names and names[0] in _NAMELESS:
        names[0] = ""
    used = {*NUMBERS, *STARTS[:-1], "state"}
    doubled = next((name for name in names if name in used and names.count(name) > 1), None)
    start = next((name for name in STARTS if name in names and (name or names[0] == "")), None)
    missing = [name for name in NEEDED if name not in names]
    if doubled is not None:
        msg = f"file {path}: its header has two columns {doubled!r}; leave one of them"
        raise DeskError(msg)
    if start is None or missing:
        lacks = " and ".join([*(["start (or time, date, timestamp)"] if start is None else []), *missing])
        shown = ",".join(header)[:160]
        msg = f"file {path}: its header has no column {lacks}; it is {shown!r}, and start,{','.join(NEEDED)} are needed"
        raise DeskError(msg)
    starts: tuple[int, ...] = (names.index(start),)
    if start == "date" and "time" in names:
        starts = (names.index("date"), names.index("time"))
    series = ("exchange", "symbol", "interval")
    return Layout(
        starts,
        {name: names.index(name) for name in NUMBERS if name in names},
        names.index("state") if "state" in names else None,
        (names.index("exchange"), names.index("symbol"), names.index("interval"))
        if all(name in names for name in series)
        else None,
        tuple(header[place].strip() for place, name in enumerate(names) if name in _ADJUSTED),
    )
