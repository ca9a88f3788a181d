"""Trades of providers become ticks: every number read once, in order, no trade twice in a request."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from market.ticks import TICK
from sources.history.provider import NOBODY_KNOWS, BadRow, TradePage
from sources.history.rows import READ_ERRORS, shown

_ID_MAX: Final = 2**63
_COUNT_MAX: Final = 2**32
_KEPT_PAGES: Final = 4


@dataclass(frozen=True, slots=True)
class TradeRow:
    """One trade as a provider gave it. Its numbers are as they came: texts, ints or floats."""

    event_time: int
    """ns."""
    price: Any
    size: Any
    """Base units."""
    trade_id: int
    """-1 where the provider gives none."""
    aggressor: int
    """`market.ticks.Aggressor`."""
    count: int = 1
    """Trades in it."""


class TradePages:
    """Makes the pages of one request for trades, oldest first.

    Remembers the ids of the last pages only: pages that overlap, overlap with their neighbours.
    """

    def __init__(self, start: int, end: int) -> None:
        """Begin a request for trades with `start <= event_time < end`, ns."""
        self._start, self._end = start, end
        self._given: list[NDArray[np.int64]] = []

    def page(self, rows: Sequence[TradeRow], bad: Iterable[BadRow] = ()) -> TradePage:
        """The trades of one answer.

        Args:
            rows: As read, in any order.
            bad: Rows of the answer that could not be read.
        """
        told = list(bad)
        lost = [NOBODY_KNOWS] * len(told)
        records = []
        for row in rows:
            if not self._start <= row.event_time < self._end:
                continue
            try:
                reason, price, size = _checked(row)
            except READ_ERRORS:
                reason = "not a number"
            if reason:
                told.append(BadRow(reason, shown([row.event_time, row.price, row.size, row.trade_id])))
                lost.append(row.event_time)
            else:
                records.append(
                    (row.event_time, row.event_time, price, size, row.trade_id, row.count, 0, row.aggressor, 0)
                )
        ticks = np.array(records, TICK)
        # Stable, so that trades without ids keep the order in which they came.
        ticks = ticks[np.lexsort((ticks["trade_id"], ticks["event_time"]))]
        ticks = self._once(ticks)
        return TradePage(ticks, told, lost)

    def _once(self, ticks: NDArray[np.void]) -> NDArray[np.void]:
        known = ticks["trade_id"] >= 0
        fresh = np.ones(len(ticks), bool)
        _, first = np.unique(ticks["trade_id"], return_index=True)
        fresh[known] = np.isin(np.flatnonzero(known), first)
        for given in self._given:
            fresh &= ~known | ~np.isin(ticks["trade_id"], given)
        ticks = ticks[fresh]
        self._given = [*self._given[1 - _KEPT_PAGES :], ticks["trade_id"].copy()]
        return ticks


def _checked(row: TradeRow) -> tuple[str, float, float]:
    """What is wrong with a trade, if anything; its price and size."""
    if isinstance(row.price, bool) or isinstance(row.size, bool):
        return "not a number", 0.0, 0.0
    price, size = float(row.price), float(row.size)
    if not (np.isfinite(price) and np.isfinite(size)):
        return "not a number", price, size
    if price == 0.0:
        return "no price", price, size
    if size < 0.0:
        return "negative size", price, size
    if not (-1 <= row.trade_id < _ID_MAX and 0 <= row.count < _COUNT_MAX):
        return "out of range", price, size
    return "", price, size
