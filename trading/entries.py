"""The compiled step, made on first use and kept on disk between runs: what a compiled loop calls by its address.

A loop is compiled for each strategy, and would take the whole step with it each time, which takes seconds. So the step
is one function of its own. Numba looks only at the file of a function itself to see whether what it kept is stale; the
digest of all files that it is made of is part of its identity, so that an upgrade never runs yesterday's step.
"""

import ctypes
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, cast

import numba
from numba.core import types

from trading import stepping
from trading.book import ACCOUNT
from trading.ledger import Fault
from trading.memory import record_at, records_at
from trading.records import ORDER, VIEW
from trading.risk import look
from trading.step import CHANGE, LOOK, NOT_ATTACHED, WAKE

_SOURCES: Final = (
    "market/bars.py", "trading/assumptions/borrow.py", "trading/assumptions/fees.py", "trading/assumptions/fills.py",
    "trading/assumptions/lots.py", "trading/assumptions/minimum.py", "trading/assumptions/session_end.py",
    "trading/assumptions/slippage.py", "trading/book.py", "trading/entries.py", "trading/filling.py", "trading/jit.py",
    "trading/ledger.py", "trading/links.py", "trading/memory.py", "trading/placing.py", "trading/records.py",
    "trading/requests.py", "trading/risk.py", "trading/sizing.py", "trading/step.py", "trading/stepping.py",
    "trading/working.py",
)  # fmt: skip
"""All files whose code or constants are compiled into the step."""

_STEP: Final = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_double
)


@cache
def first_call() -> int:
    """Address of what a new account has for its entry: it compiles the step, gives it to the account, and calls it.

    So an account that is only stepped in plain Python never waits for a compiler.
    """
    return cast("int", ctypes.cast(_first_call(), ctypes.c_void_p).value)


@cache
def _first_call() -> Any:
    @_STEP
    def call(kind: int, account_at: int, bar_at: int, row: int, number: int, size: float) -> None:
        account = record_at(account_at, ACCOUNT)
        # Should the compiler be interrupted, the loop that called ends, and nothing was done half.
        account.fault = NOT_ATTACHED
        step = entry()
        account.entry = step.address
        account.fault = Fault.NONE
        step.ctypes(kind, account_at, bar_at, row, number, size)

    return call


@cache
def entry() -> Any:
    """Compile the step, or read it from disk: seconds the first time, a blink after."""
    return _entry(_digest())


def _entry(digest: int) -> Any:
    whole = types.int64
    signature: Any = types.void(whole, whole, whole, whole, whole, types.float64)

    @numba.cfunc(signature, cache=True, error_model="numpy")
    def step(kind: Any, account_at: Any, bar_at: Any, row: Any, number: Any, size: Any) -> None:
        _ = digest
        account = record_at(account_at, ACCOUNT)
        bar = record_at(bar_at, VIEW)
        if kind == WAKE:
            stepping.wake(account, bar, row, number)
        elif kind == CHANGE:
            stepping.change(account, bar, row, size)
        elif kind == LOOK:
            look(account, bar.end, row)
        else:
            stepping.place(account, bar, row, records_at(number, account.askable, ORDER), account.asked)

    return step


def _digest() -> int:
    """Of the sources, as a number that Numba can hold."""
    total = blake2b(digest_size=7)
    root = Path(__file__).parents[1]
    for name in _SOURCES:
        total.update((root / name).read_bytes())
    return int.from_bytes(total.digest())
