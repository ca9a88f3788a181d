"""The loops of an account, compiled on first use and kept on disk between runs.

Numba looks only at the file of the function itself to see whether what it kept is stale. These are entries whose
identity holds a digest of every file that they may be made of.
"""

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

import numba

from backtest import account_loop
from trading.jit import borrowed

_ROOT: Final = Path(__file__).parents[1]
_FOLDERS: Final = ("trading", "trading/assumptions", "market")
_FILES: Final = ("backtest/account_loop.py", "backtest/stream.py", "strategies/interface.py")


class Loops(NamedTuple):
    """The loops of `backtest.account_loop`, of the same arguments."""

    alone: Callable[..., int]
    together: Callable[..., int]


PLAIN: Final = Loops(account_loop.run_alone, account_loop.run_together)
"""The same in plain Python."""


@cache
def compiled_loops() -> Loops:
    """The loops for Numba, which compiles each at its first call, in seconds, or reads it from disk."""
    return _entries(_digest())


def _kept(function: Callable[..., int]) -> Any:
    # The check of each division for a zero would keep it from being done for eight numbers at once.
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)


def _entries(digest: int) -> Loops:
    @_kept
    def alone(
        accounts: Any, views: Any, sessions: Any, exposures: Any, first: Any, row: Any, last: Any, closes: Any,
        ends: Any, begin: Any, times: Any, equity: Any, cash: Any, exposure: Any,
    ) -> int:  # fmt: skip
        _ = digest
        return account_loop.run_alone(
            borrowed(accounts), borrowed(views), borrowed(sessions), borrowed(exposures), first, row, last,
            borrowed(closes), borrowed(ends), begin, borrowed(times), borrowed(equity), borrowed(cash),
            borrowed(exposure),
        )  # fmt: skip

    @_kept
    def together(
        accounts: Any, views: Any, own: Any, sessions: Any, changes: Any, exposures: Any, requests: Any, counts: Any,
        begins: Any, first: Any, row: Any, last: Any, at: Any, equity: Any, cash: Any, exposure: Any,
    ) -> int:  # fmt: skip
        _ = digest
        return account_loop.run_together(
            accounts, views, own, sessions, changes, exposures, requests, counts, begins, first, row, last, at,
            equity, cash, exposure,
        )  # fmt: skip

    return Loops(alone, together)


def _digest() -> int:
    """Of the sources, as a number that Numba can hold."""
    total = blake2b(digest_size=7)
    paths = [path for folder in _FOLDERS for path in sorted((_ROOT / folder).glob("*.py"))]
    for path in [*paths, *(_ROOT / name for name in _FILES)]:
        total.update(path.read_bytes())
    return int.from_bytes(total.digest())
