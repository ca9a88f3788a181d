"""What a run is written to. One run after the other may use the same arrays, and then waits for no new memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading.book import Book


class Buffers:
    """Arrays by what they are for; what was written to one lasts until the next run asks for it."""

    def __init__(self) -> None:
        """There is none yet."""
        self._arrays: dict[str, NDArray[Any]] = {}
        self._logs: tuple[NDArray[Any], ...] = ()

    def array(self, name: str, count: int, dtype: type = np.float64) -> NDArray[Any]:
        """So many numbers, whatever is in them."""
        kept = self._arrays.get(name)
        if kept is None or len(kept) != count:
            kept = self._arrays[name] = np.empty(count, dtype)
        return kept

    def behind(self, book: Book) -> Book:
        """An account just opened, with the logs of the last one if these have as much room."""
        if not self._logs or len(self._logs[0]) != len(book.done):
            self._logs = (book.done, book.fills, book.trades)
            return book
        return Book(book.accounts, book.positions, book.currencies, book.schedules, book.orders, *self._logs)
