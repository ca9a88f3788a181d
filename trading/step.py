"""The one step: what a bar or a tick does to an account, and what a decision on its close asks of it.

```python
account = book.account
advance(account, bar, row, session_end)  # fills, expiry, session end, mark
exposure = decide(state, bar, parameters)
want(account, bar, row, exposure)  # or: submit(account, bar, row, requests, n)
```

Backtest, sweep and paper call these three and nothing else, so that the same bars and ticks in the same order come to
the same orders, fills and equity. In plain Python they are plain Python. In a loop that is compiled, what happens on
every bar is compiled into the loop, and the rest is one call of the account's entry (`trading.entries`), which is
compiled once for all loops and kept on disk.

After each step the caller looks at `account.fault` (stop: the numbers cannot be trusted) and `account.full` (empty the
logs with `trading.snapshot.drained` before the next step).
"""

from typing import Any, Final

from numba.extending import overload

from trading import stepping
from trading.book import position_at
from trading.jit import INLINED, compiles_inlined
from trading.ledger import Fault, mark
from trading.memory import address_of, call_at
from trading.records import Records
from trading.risk import look

WAKE: Final = 0
CHANGE: Final = 1
PLACE: Final = 2
LOOK: Final = 3
NOT_ATTACHED: Final = int(Fault.NOT_ATTACHED)


def _wake(account: Any, bar: Any, row: int, session_end: int) -> None:
    stepping.wake(account, bar, row, session_end)


def _look(account: Any, bar: Any, row: int) -> None:
    look(account, bar.end, row)


def _change(account: Any, bar: Any, row: int, exposure: float) -> None:
    stepping.change(account, bar, row, exposure)


def _place(account: Any, bar: Any, row: int, requests: Records, n: int) -> None:
    stepping.place(account, bar, row, requests, n)


@compiles_inlined
def entered(account: Any, step: int, bar: Any, row: int, number: int, size: float) -> None:
    """Call the account's entry from compiled code."""
    if account.entry == 0:
        account.fault = NOT_ATTACHED
    else:
        call_at(account.entry, step, address_of(account), address_of(bar), row, number, size)


@overload(_wake, jit_options=INLINED)
def _wake_entry(account: Any, bar: Any, row: Any, session_end: Any) -> Any:  # noqa: ARG001 - Numba binds by name.
    def call(account: Any, bar: Any, row: Any, session_end: Any) -> None:
        entered(account, WAKE, bar, row, session_end, 0.0)

    return call


@overload(_look, jit_options=INLINED)
def _look_entry(account: Any, bar: Any, row: Any) -> Any:  # noqa: ARG001 - As above.
    def call(account: Any, bar: Any, row: Any) -> None:
        entered(account, LOOK, bar, row, 0, 0.0)

    return call


@overload(_change, jit_options=INLINED)
def _change_entry(account: Any, bar: Any, row: Any, exposure: Any) -> Any:  # noqa: ARG001 - As above.
    def call(account: Any, bar: Any, row: Any, exposure: Any) -> None:
        entered(account, CHANGE, bar, row, 0, exposure)

    return call


@overload(_place, jit_options=INLINED)
def _place_entry(account: Any, bar: Any, row: Any, requests: Any, n: Any) -> Any:  # noqa: ARG001 - As above.
    def call(account: Any, bar: Any, row: Any, requests: Any, n: Any) -> None:
        account.asked = n
        account.askable = requests.size
        entered(account, PLACE, bar, row, address_of(requests[0]), 0.0)

    return call


@compiles_inlined
def passed(account: Any, symbol: int, end: int, close: float) -> bool:
    """Whether a bar is no more than a mark, which then is done; if not, it is for `advance` to take.

    For loops over columns: of most bars nothing but the end (ns) and the close is ever read.
    """
    position = position_at(account, symbol)
    if end >= position.wake:
        return False
    if position.lots == 0:
        position.price = close
        return True
    mark(account, position, close)
    return bool(account.floor < account.equity <= account.ceiling)


@compiles_inlined
def advance(account: Any, bar: Any, row: int, session_end: int) -> None:
    """Take an account over one bar or tick of one symbol: fills, expiry, session end, mark.

    Args:
        account: `Book.account`.
        bar: `VIEW`, prices as traded; bars of one symbol come in order and do not overlap.
        row: The caller's number of the bar, which fills and trades repeat.
        session_end: End of the session that the bar is in, ns; the largest number if sessions do not matter.
    """
    if not passed(account, bar.symbol, bar.end, bar.close):
        if bar.end >= position_at(account, bar.symbol).wake:
            _wake(account, bar, row, session_end)
        else:
            _look(account, bar, row)


@compiles_inlined
def want(account: Any, bar: Any, row: int, exposure: float) -> None:
    """Hold an exposure from the next price on, if the strategy has changed its mind.

    Args:
        account: The account.
        bar: The closed bar that it was decided on.
        row: The caller's number of it.
        exposure: Fraction of the equity, below 0 for short; NaN leaves everything as it is.
    """
    # NaN is unequal to all, itself included.
    if exposure != position_at(account, bar.symbol).want and exposure == exposure:  # noqa: PLR0124
        _change(account, bar, row, exposure)


@compiles_inlined
def submit(account: Any, bar: Any, row: int, requests: Records, n: int) -> None:
    """Place the orders that a strategy asked for on a bar's close.

    Args:
        account: The account.
        bar: The closed bar that they were decided on.
        row: The caller's number of it.
        requests: `ORDER` records by `trading.requests`, overwritten; no more room than `Book.orders` has.
        n: How many it asked for; more than there is room for refuses them all.
    """
    if n > 0:
        _place(account, bar, row, requests, n)
