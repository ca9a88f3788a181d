"""Numba, typed as what it is to a caller: the same function, only faster. And three things that it leaves out."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])

carray: Final[Callable[..., NDArray[Any]]] = numba.carray  # type: ignore[attr-defined]
"""An array over memory that somebody else owns: `carray(pointer, shape, dtype)`."""


def njit(function: _Function) -> _Function:
    """Compile together with the kernel that calls it; nothing happens before."""
    compiled: Any = numba.njit(function)
    made: _Function = compiled
    return made


def inlined(function: _Function) -> _Function:
    """The same, into the very place of the call: for what a closing minute spends its time in."""
    compiled: Any = numba.njit(forceinline=True)(function)
    made: _Function = compiled
    return made


def entry(function: Callable[..., Any]) -> Any:
    """Compile as a kernel that Python calls, and keep the result on disk."""
    return numba.njit(cache=True)(function)


def _pointer(_context: Any, address: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


def _prefetch(_context: Any, array: Any, place: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        struct = context.make_array(signature.args[0])(context, builder, arguments[0])
        offset = context.cast(builder, arguments[1], signature.args[1], types.uint64)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        insert: Any = cgutils.get_or_insert_function
        function = insert(builder.module, kind, "llvm.prefetch.p0i8")
        address = builder.bitcast(builder.gep(struct.data, [offset]), byte)
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        # An element may lie across two lines. For reading, to be kept in all caches, of data.
        for place_in_it in (0, size - 1):
            start = builder.gep(address, [ir.IntType(64)(place_in_it)])
            builder.call(function, [start, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, place), generate


def _borrowed(_context: Any, array: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        struct = context.make_array(signature.return_type)(context, builder, arguments[0])
        null: Any = cgutils.get_null_value
        struct.meminfo = null(struct.meminfo.type)
        return struct._getvalue()  # noqa: SLF001

    return array(array), generate


borrowed: Final[Any] = intrinsic(_borrowed)
"""`borrowed(array)`: the same array without its owner, so that passing it on counts nothing; it must not outlive it."""

pointer: Final[Any] = intrinsic(_pointer)
"""`pointer(address)`: an address, an integer, as the pointer that `carray` takes."""

prefetch: Final[Any] = intrinsic(_prefetch)
"""`prefetch(array, place)`: ask for an element of a 1-d array before it is needed; `place` must be in range."""
