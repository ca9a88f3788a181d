"""The compiled step as Python calls it: for what decides live, where no loop is compiled around it.

In plain Python a decision and its order take a tenth of a millisecond, which a hundred runs that decide on the same
bar cannot wait for.
"""

from typing import Any

from trading.entries import entry
from trading.records import Records
from trading.step import CHANGE, PLACE


class Step:
    """What a decision asks of an account. To be made once a process: it compiles, or reads from disk."""

    def __init__(self) -> None:
        self._call = entry().ctypes

    def want(
        self, accounts: Records, positions: Records, views: Records, place: int, row: int, exposure: float
    ) -> bool:
        """As `trading.step.want`.

        Args:
            accounts: The account, one record.
            positions: Its positions.
            views: The closed bars.
            place: Of the bar that it was decided on.
            row: The caller's number of it.
            exposure: Fraction of the equity; NaN leaves everything as it is.

        Returns:
            Whether the strategy has changed its mind.
        """
        # NaN is unequal to all, itself included.
        if exposure == positions["want"][views["symbol"][place]] or exposure != exposure:  # noqa: PLR0124
            return False
        self._call(CHANGE, _at(accounts), _at(views, place), row, 0, exposure)
        return True

    def submit(self, accounts: Records, views: Records, place: int, row: int, requests: Records, n: int) -> None:
        """As `trading.step.submit`: `n` requests, of which there may be room for fewer."""
        if n > 0:
            account: Any = accounts[0]
            account.asked = n
            account.askable = len(requests)
            self._call(PLACE, _at(accounts), _at(views, place), row, _at(requests), 0.0)


def _at(records: Records, place: int = 0) -> int:
    return int(records.ctypes.data) + place * records.itemsize
