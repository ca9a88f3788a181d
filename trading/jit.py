"""Numba, typed as what it is to a caller: the same function, only faster. And one thing that it leaves out."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba
from numba.core import cgutils
from numba.extending import intrinsic

_Function = TypeVar("_Function", bound=Callable[..., Any])


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
