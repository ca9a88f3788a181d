"""Records reached by their addresses, in compiled and in plain code alike.

So a compiled function is passed one pointer for all that an account has, which is quicker to call and to compile than a
bundle of arrays. Whoever owns the arrays keeps them alive, and places are not checked.
"""

import ctypes
from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from trading.jit import INLINED, compiles_inlined

_carray: Final[Callable[..., NDArray[Any]]] = numba.carray  # type: ignore[attr-defined]


def _pointer(_context: Any, address: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


_at: Final[Any] = intrinsic(_pointer)


def records_at(address: int, count: int, dtype: Any) -> NDArray[Any]:
    """So many records from an address on, as an array that does not own them."""
    memory: Any = (ctypes.c_char * (int(count) * dtype.itemsize)).from_address(int(address))
    return np.frombuffer(memory, dtype)


@overload(records_at, jit_options=INLINED)
def _records_compiled(address: Any, count: Any, dtype: Any) -> Any:  # noqa: ARG001 - Numba binds arguments by name.
    def get(address: Any, count: Any, dtype: Any) -> Any:
        return _carray(_at(address), (count,), dtype)

    return get


def _record(_context: Any, address: Any, dtype: Any) -> Any:
    made = dtype.dtype

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(made))

    return made(address, dtype), generate


_record_here: Final[Any] = intrinsic(_record)


def record_at(address: int, dtype: Any) -> Any:
    """The record at an address."""
    return records_at(address, 1, dtype)[0]


@overload(record_at, jit_options=INLINED)
def _record_compiled(address: Any, dtype: Any) -> Any:  # noqa: ARG001 - As above.
    def get(address: Any, dtype: Any) -> Any:
        return _record_here(address, dtype)

    return get


def record_of(field: str, dtype: Any) -> Callable[[Any, int], Any]:
    """Make a function of (owner, place): a record of the array whose address is in a field of its owner."""
    size = dtype.itemsize

    def record(owner: Any, place: int) -> Any:
        return record_at(owner[field] + place * size, dtype)

    @overload(record, jit_options=INLINED)
    def _compiled(owner: Any, place: Any) -> Any:  # noqa: ARG001 - As above.
        # Not by way of `record_at`: each way is a function to be compiled, and there are nine such records.
        def get(owner: Any, place: Any) -> Any:
            return _record_here(owner[field] + place * size, dtype)

        return get

    return record


def records_of(field: str, dtype: Any) -> Callable[[Any, int, int], NDArray[Any]]:
    """Make a function of (owner, place, count): the same for so many records from a place on, as an array."""
    size = dtype.itemsize

    @compiles_inlined
    def records(owner: Any, place: int, count: int) -> NDArray[Any]:
        return records_at(owner[field] + place * size, count, dtype)

    made: Callable[[Any, int, int], NDArray[Any]] = records
    return made


def copy_record(to: Any, source: Any) -> None:
    """Write all of a record over another of the same type."""
    for name in to.dtype.names:
        to[name] = source[name]


def _memory_copied(_context: Any, to: Any, source: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        # Field by field it would be a hundred times the code.
        copy: Any = cgutils.raw_memcpy
        copy(builder, arguments[0], arguments[1], context.get_constant(types.intp, to.size), 1)
        return context.get_dummy_value()

    return types.void(to, source), generate


_copied: Final[Any] = intrinsic(_memory_copied)


@overload(copy_record)
def _copy_compiled(to: Any, source: Any) -> Any:  # noqa: ARG001 - As above.
    def copy(to: Any, source: Any) -> None:
        _copied(to, source)

    return copy


def _address(_context: Any, record: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ptrtoint(arguments[0], ir.IntType(64))

    return types.int64(record), generate


address_of: Final[Any] = intrinsic(_address)
"""`address_of(record)`: where a record is; only in compiled code."""


def _called(_context: Any, address: Any, step: Any, account: Any, bar: Any, row: Any, number: Any, size: Any) -> Any:
    _ = (address, step, account, bar, row, number, size)
    whole = types.int64

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        at, *passed = arguments
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in passed])
        builder.call(builder.inttoptr(at, kind.as_pointer()), passed)
        return context.get_dummy_value()

    return types.void(whole, whole, whole, whole, whole, whole, types.float64), generate


call_at: Final[Any] = intrinsic(_called)
"""`call_at(address, step, account, bar, row, number, size)`: call the entry of `trading.entries`, by its address."""
