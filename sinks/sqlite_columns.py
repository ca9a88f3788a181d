"""Many rows of SQLite into an array without a Python object for each value: SQLite's C functions, called by Numba.

The sqlite3 module makes a tuple of objects of each row, which is most of the time of a long read. Here a compiled loop
steps through the statement on a connection of its own, four times as fast. Where the library's functions cannot be
found (an interpreter that hides them) `read_bars` returns `None`, and the caller reads the slow way, which also is the
one that knows how to tell errors.
"""

import ctypes
import sqlite3
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from market.bars import BAR
from market.intervals import MINUTE_NS
from sinks.sqlite_file import BLOCK_SHIFT, HOUR_MINUTES, INTERVAL_BITS, OFFSET_BITS

SELECTED: Final = (
    "b.key, b.minutes, b.open, b.high, b.low, b.close, b.volume, ifnull(b.notional, 9e999), b.trades, b.state, "
    "b.source, b.revision, b.updated_at"
)
"""What a statement for `read_bars` selects."""

_READ_ONLY: Final = 0x1
_NO_MUTEX: Final = 0x8000
_ROW: Final = 100
_DONE: Final = 101
_FIRST_ROWS: Final = 1 << 17
_OFFSET: Final = (1 << OFFSET_BITS) - 1
_INTERVAL: Final = (1 << INTERVAL_BITS) - 1


class _Library(NamedTuple):
    """SQLite as this interpreter has it loaded."""

    functions: Any
    step: int
    column_int64: int
    column_double: int


def read_bars(path: Path, sql: str, values: Mapping[str, int], *, timeout_s: float) -> NDArray[np.void] | None:
    """Run a statement and return its bars.

    Args:
        path: The database file.
        sql: A statement that selects `SELECTED`.
        values: Its parameters by name.
        timeout_s: How long to wait for a lock.

    Returns:
        `BAR` records (`stream` is the id of the source, `seq` -1); `None` if it cannot be done this way.
    """
    library = _library()
    if library is None:
        return None
    c = library.functions
    db, statement = ctypes.c_void_p(), ctypes.c_void_p()
    try:
        if c.sqlite3_open_v2(str(path).encode(), ctypes.byref(db), _READ_ONLY | _NO_MUTEX, None):
            return None
        c.sqlite3_busy_timeout(db, round(timeout_s * 1000))
        if c.sqlite3_prepare_v2(db, sql.encode(), -1, ctypes.byref(statement), None):
            return None
        for name, value in values.items():
            place = c.sqlite3_bind_parameter_index(statement, f":{name}".encode())
            if place and c.sqlite3_bind_int64(statement, place, value):
                return None
        fill = _loop()
        rows, filled, status = np.zeros(_FIRST_ROWS, dtype=BAR), 0, _ROW
        while status == _ROW:
            if filled == len(rows):
                rows = np.concatenate((rows, np.zeros(len(rows), dtype=BAR)))
            filled, status = fill(
                library.step, library.column_int64, library.column_double, statement.value, rows, filled
            )
    finally:
        c.sqlite3_finalize(statement)
        c.sqlite3_close_v2(db)
    return rows[:filled] if status == _DONE else None


@cache
def _library() -> _Library | None:
    """The functions of the very library that the sqlite3 module uses, so that both agree on locks and on the file."""
    try:
        import _sqlite3

        c = ctypes.CDLL(_sqlite3.__file__)
        if c.sqlite3_libversion_number() != _number(sqlite3.sqlite_version_info):
            return None
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        c.sqlite3_open_v2.argtypes = [text, ctypes.POINTER(pointer), ctypes.c_int, text]
        c.sqlite3_busy_timeout.argtypes = [pointer, ctypes.c_int]
        c.sqlite3_prepare_v2.argtypes = [pointer, text, ctypes.c_int, ctypes.POINTER(pointer), pointer]
        c.sqlite3_bind_parameter_index.argtypes = [pointer, text]
        c.sqlite3_bind_int64.argtypes = [pointer, ctypes.c_int, ctypes.c_int64]
        c.sqlite3_finalize.argtypes = c.sqlite3_close_v2.argtypes = [pointer]
        names = ("sqlite3_step", "sqlite3_column_int64", "sqlite3_column_double")
        addresses = [ctypes.cast(getattr(c, name), pointer).value or 0 for name in names]
    except (ImportError, OSError, AttributeError):
        return None
    return _Library(c, *addresses) if all(addresses) else None


def _number(version: tuple[int, int, int]) -> int:
    major, minor, patch = version
    return major * 1_000_000 + minor * 1_000 + patch


def _call(result: Any, columns: int) -> Any:
    """Code that calls a C function by its address: (address, statement[, column]) -> result.

    The address is an argument, so that Numba may keep the compiled loop for other processes.
    """

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        kinds = [ir.IntType(64)] + [ir.IntType(32)] * columns
        function = builder.inttoptr(values[0], ir.FunctionType(result, kinds).as_pointer())
        return builder.call(function, values[1:])

    return generate


@intrinsic
def _step(_typing: Any, address: Any, statement: Any) -> Any:  # noqa: ARG001
    return types.int32(types.int64, types.int64), _call(ir.IntType(32), 0)


@intrinsic
def _int64(_typing: Any, address: Any, statement: Any, column: Any) -> Any:  # noqa: ARG001
    return types.int64(types.int64, types.int64, types.int32), _call(ir.IntType(64), 1)


@intrinsic
def _double(_typing: Any, address: Any, statement: Any, column: Any) -> Any:  # noqa: ARG001
    return types.float64(types.int64, types.int64, types.int32), _call(ir.DoubleType(), 1)


@cache
def _loop() -> Any:
    """`_fill` compiled, or read from disk; not at import, which does no work."""
    return njit(cache=True, nogil=True)(_fill)


def _fill(step: int, column_int64: int, column_double: int, statement: int, rows: Any, filled: int) -> tuple[int, int]:
    """Step until the rows are full or the statement ends: (rows filled, last status)."""
    status = _ROW
    while filled < len(rows):
        status = _step(step, statement)  # type: ignore[call-arg]
        if status != _ROW:
            break
        row = rows[filled]
        key = _int64(column_int64, statement, np.int32(0))
        minute = (key >> BLOCK_SHIFT) * HOUR_MINUTES + (key & _OFFSET)
        row.start = minute * MINUTE_NS
        row.end = (minute + _int64(column_int64, statement, np.int32(1))) * MINUTE_NS
        row.open = _double(column_double, statement, np.int32(2))
        row.high = _double(column_double, statement, np.int32(3))
        row.low = _double(column_double, statement, np.int32(4))
        row.close = _double(column_double, statement, np.int32(5))
        row.volume = _double(column_double, statement, np.int32(6))
        notional = _double(column_double, statement, np.int32(7))
        row.notional = notional if notional < np.inf else np.nan
        row.trades = _int64(column_int64, statement, np.int32(8))
        row.state = _int64(column_int64, statement, np.int32(9))
        row.stream = _int64(column_int64, statement, np.int32(10))
        row.revision = _int64(column_int64, statement, np.int32(11))
        row.updated_at = _int64(column_int64, statement, np.int32(12))
        row.interval = (key >> OFFSET_BITS) & _INTERVAL
        row.seq = -1
        filled += 1
    return filled, status
