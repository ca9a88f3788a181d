"""Numba, typed as what it is to a caller: the same function, only faster. And things that it leaves out."""

from collections.abc import Callable
from functools import cache
from platform import machine
from typing import Any, Final, TypeVar

import numba
from llvmlite.binding import get_host_cpu_features  # type: ignore[import-untyped]
from numba.core import cgutils, config, types
from numba.extending import intrinsic, overload, register_jitable

_Function = TypeVar("_Function", bound=Callable[..., Any])

INLINED: Final[Any] = {"forceinline": True, "no_cfunc_wrapper": True}
"""Options of what is compiled into the very place of its call."""


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
    made: _Function = register_jitable(forceinline=False, no_cfunc_wrapper=True)(function)
    return made


def compiles_inlined(function: _Function) -> _Function:
    """The same, into the very place of the call."""
    made: _Function = register_jitable(**INLINED)(function)
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


@cache
def fuses() -> bool:
    """Whether the processor that is compiled for multiplies and adds with one rounding: whether `fused_sum` can be."""
    if config.CPU_NAME is not None or config.CPU_FEATURES is not None:  # type: ignore[attr-defined]
        return False
    return machine().lower() in {"arm64", "aarch64"} or bool(get_host_cpu_features().get("fma", False))


def _fused(_context: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(a, b, c), generate


fused_sum: Final[Any] = intrinsic(_fused)
"""`fused_sum(a, b, c)`: a * b + c, rounded once; only in compiled code."""
