"""One function over many symbols, some of them at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

from market.symbols import Symbol

Result = TypeVar("Result")


def side_by_side(
    symbols: Sequence[Symbol], work: Callable[[Symbol], Result], at_once: int, stop: Event
) -> list[Result]:
    """Results by symbol, in their order.

    Args:
        symbols: One or more.
        work: Done for each, in a thread.
        at_once: How many at a time.
        stop: Set where an exception (Ctrl-C) ends the wait; it is raised when those in hand have ended.
    """
    with ThreadPoolExecutor(min(at_once, len(symbols)), thread_name_prefix="history") as pool:
        futures = [pool.submit(work, symbol) for symbol in symbols]
        left = set(futures)
        try:
            while left:
                # In short waits: in a long one Python hears of a signal too late on some systems.
                _, left = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
        except BaseException:
            stop.set()
            raise
    return [future.result() for future in futures]
