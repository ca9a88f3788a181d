"""Numba, typed as what it is to a caller: the same function, only faster."""

from collections.abc import Callable
from typing import Any, TypeVar

import numba

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
