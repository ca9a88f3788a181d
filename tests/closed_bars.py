"""Closed bars as strategies see them, made of a list of closes."""

import numpy as np

from market.bars import BarState
from market.intervals import MINUTE_NS, Interval
from trading.records import VIEW

EPOCH = 1_767_225_600 * 10**9
"""2026-01-01T00:00:00Z."""


def views(closes, *, highs=None, lows=None, symbol=0, interval=Interval.M1, minutes=1):
    """`VIEW` records, one after another without a gap; highs and lows are the closes unless given."""
    found = np.zeros(len(closes), VIEW)
    found["start"] = EPOCH + np.arange(len(closes)) * minutes * MINUTE_NS
    found["end"] = found["start"] + minutes * MINUTE_NS
    found["close"] = closes
    found["open"] = closes
    found["high"] = closes if highs is None else highs
    found["low"] = closes if lows is None else lows
    found["volume"] = 1.0
    found["notional"] = closes
    found["symbol"] = symbol
    found["interval"] = interval
    found["state"] = BarState.CLOSED
    return found


def in_order(*parts):
    """Bars of several symbols and intervals in the order in which they close; at the same end, as they are given."""
    joined = np.concatenate(parts)
    return joined[np.argsort(joined["end"], kind="stable")]
