"""Numba, typed as what it is to a caller: the same function, only faster. And two things that it leaves out."""

import ctypes
from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic, overload, register_jitable
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])

carray: Final[Callable[..., NDArray[Any]]] = numba.carray  # type: ignore[attr-defined]


def njit(function: _Function) -> _Function:
    """Compile together with the loop that calls it; nothing happens before."""
    compiled: Any = numba.njit(function)
    made: _Function = compiled
    return made


def inlined(function: _Function) -> _Function:
    """The same, into the very place of the call: for what every bar goes through."""
    compiled: Any = numba.njit(forceinline=True)(function)
    made: _Function = compiled
    return made


def compiles(function: _Function) -> _Function:
    """Leave it plain Python where Python calls it, and compile it where compiled code does.

    So the same step runs in both ways in one process, and what is short needs not wait for a compiler.
    """
    # Numba hands an option down to all that is called, unless it is said again.
    made: _Function = register_jitable(forceinline=False)(function)
    return made


def compiles_inlined(function: _Function) -> _Function:
    """The same, into the very place of the call."""
    made: _Function = register_jitable(forceinline=True)(function)
    return made


def apart() -> None:
    """Keep the function that begins with this out of those that call it.

    LLVM would put all of the step into one function, some parts many times, and take half a minute to compile it.
    """


def _not_inlined(_context: Any) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


_apart: Final[Any] = intrinsic(_not_inlined)


@overload(apart, inline="always")
def _apart_compiled() -> Any:
    def mark() -> None:
        _apart()

    return mark


def _borrowed(_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        struct = context.make_array(signature.return_type)(context, builder, arguments[0])
        null: Any = cgutils.get_null_value
        struct.meminfo = null(struct.meminfo.type)
        return struct._getvalue()  # noqa: SLF001

    return array(array), generate


borrowed: Final[Any] = intrinsic(_borrowed)
"""`borrowed(array)`: the same array without its owner, so that passing it on counts nothing; it must not outlive it.

Only for loops that are compiled: plain Python has no such thing.
"""


def _pointer(_context: Any, address: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


_at: Final[Any] = intrinsic(_pointer)


def record_of(field: str, dtype: Any) -> Callable[[Any, int], Any]:
    """Make a function of (owner, place): the record at a place of an array whose address is in a field of its owner.

    So a compiled function is passed one pointer for all that an owner has, which is quicker to call and to compile than
    a bundle of arrays. The owner keeps the arrays alive, and places are not checked.
    """
    several = records_of(field, dtype)

    def record(owner: Any, place: int) -> Any:
        return several(owner, place, 1)[0]

    @overload(record, inline="never", jit_options={"forceinline": True})
    def _compiled(owner: Any, place: Any) -> Any:  # noqa: ARG001 - Numba binds arguments by their names.
        def get(owner: Any, place: Any) -> Any:
            return several(owner, place, 1)[0]

        return get

    return record


def records_of(field: str, dtype: Any) -> Callable[[Any, int, int], NDArray[Any]]:
    """Make a function of (owner, place, count): the same for `count` records from a place on, as an array."""
    size = dtype.itemsize

    def records(owner: Any, place: int, count: int) -> NDArray[Any]:
        start = int(owner[field]) + int(place) * size
        memory: Any = (ctypes.c_char * (int(count) * size)).from_address(start)
        return np.frombuffer(memory, dtype)

    @overload(records, inline="never", jit_options={"forceinline": True})
    def _compiled(owner: Any, place: Any, count: Any) -> Any:  # noqa: ARG001 - As above.
        def get(owner: Any, place: Any, count: Any) -> Any:
            return carray(_at(owner[field] + place * size), (count,), dtype)

        return get

    return records


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
