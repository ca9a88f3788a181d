"""The compiled kernels, made on first use and kept on disk between runs.

Numba keeps what it compiled beside the source and looks only at the file of the function itself to see whether it is
stale. These are entries whose identity holds a digest of every file that they are made of, so that an upgrade never
runs yesterday's kernel.
"""

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import numba
import numpy as np

from market.ticks import MARK, TICK
from operators.fold import DONE, FULL, LOST
from operators.fold import fold as _fold
from operators.forming import forming as _forming
from operators.jit import entry
from operators.split import split as _split

__all__ = ["DONE", "FULL", "LOST", "Kernels", "kernels"]

_SOURCES: Final = (
    "market/bars.py", "market/intervals.py", "market/ticks.py", "operators/buckets.py", "operators/closing.py",
    "operators/doubt.py", "operators/fold.py", "operators/forming.py", "operators/jit.py", "operators/lanes.py",
    "operators/layout.py", "operators/marking.py", "operators/memory.py", "operators/split.py", "operators/ticking.py",
)  # fmt: skip
"""All files whose code or constants are compiled into the kernels."""


class Kernels(NamedTuple):
    """Compiled entries; their arguments are those of the functions of the same name."""

    fold: Callable[..., int]
    forming: Callable[..., int]
    split: Callable[..., int]


@cache
def kernels() -> Kernels:
    """Compile the kernels, or read them from disk: seconds the first time, a blink after.

    They are compiled for the read-only arrays that `numpy.frombuffer` gives, and take writable ones too.
    """
    entries: Any = _entries(_digest())
    count = numba.int64
    ids = _read_only(np.uint16)
    flow = (_read_only(np.int64), _read_only(np.int64), _read_only(np.int64), _read_only(np.bool_))
    entries.fold.compile((count, _read_only(TICK), _read_only(np.uint32), *flow, _read_only(MARK), flow[0], count))
    entries.forming.compile((count, ids, count))
    entries.split.compile((_read_only(TICK), _read_only(np.uint8), numba.uint32[:, ::1], numba.int64[::1]))
    for compiled in entries:
        compiled.disable_compile()
    made: Kernels = entries
    return made


def _entries(digest: int) -> Kernels:
    @entry
    def fold(
        address: Any,
        ticks: Any,
        order: Any,
        row_seq: Any,
        row_clock: Any,
        row_first_tick: Any,
        row_beat: Any,
        marks: Any,
        row_first_mark: Any,
        domain: Any,
    ) -> int:
        _ = digest
        return _fold(address, ticks, order, row_seq, row_clock, row_first_tick, row_beat, marks, row_first_mark, domain)

    @entry
    def forming(address: Any, streams: Any, first: Any) -> int:
        _ = digest
        return _forming(address, streams, first)

    @entry
    def split(ticks: Any, shard_of: Any, order: Any, counts: Any) -> int:
        _ = digest
        return _split(ticks, shard_of, order, counts)

    return Kernels(fold, forming, split)


def _read_only(dtype: Any) -> Any:
    typeof: Any = numba.typeof
    return typeof(np.frombuffer(bytes(np.dtype(dtype).itemsize), dtype))


def _digest() -> int:
    """Of the sources, as a number that Numba can hold."""
    total = blake2b(digest_size=7)
    root = Path(__file__).parents[1]
    for name in _SOURCES:
        total.update((root / name).read_bytes())
    return int.from_bytes(total.digest())
