"""Where a run's trades hit and its fills slipped: hit rate and slippage by bucket, and whether trades kept promises.

Buckets of time are UTC's. A dimension with one bucket says nothing and is left out, save the symbol's.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.curve import DAY_NS
from market.symbols import Symbol
from trading.records import Liquidity, Reason, Records, Side

_HOUR_NS: Final = DAY_NS // 24
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HELD: Final = (
    (_HOUR_NS, "under 1 hour"),
    (DAY_NS, "under 1 day"),
    (7 * DAY_NS, "under 1 week"),
    (28 * DAY_NS, "under 4 weeks"),
)

FORECAST_LEAST: Final = 10
"""Trades of the same symbol and side that must have ended before one whose return is forecast from them."""
FORECAST_BUCKETS: Final = 5


class HitBucket(NamedTuple):
    """Trades that have something in common."""

    dimension: str
    bucket: str
    trades: int
    hit_rate: float
    """Share with P&L above 0."""
    mean_return: float
    pnl: float
    """Sum, account currency."""


class SlippageBucket(NamedTuple):
    """Fills that have something in common."""

    dimension: str
    bucket: str
    fills: int
    notional: float
    """Account currency, by the prices paid and got."""
    cost: float
    """Slippage, account currency."""
    bps: float
    """Cost over notional x 10,000."""


class CalibrationBucket(NamedTuple):
    """Trades of which about the same was to be expected."""

    trades: int
    expected: float
    """Mean forecast: for each trade the mean return of those of its symbol and side that had ended when it began."""
    realised: float
    """Mean return that they made."""
    error: float
    """Standard error of that mean; NaN of one trade."""


class Calibration(NamedTuple):
    """Whether trades returned what those before them promised."""

    buckets: tuple[CalibrationBucket, ...]
    """By rising forecast, of equal numbers of trades; empty if too few had enough before them."""
    slope: float
    """Of the least-squares line of return on forecast: 1 is calibrated, 0 is no foresight. NaN if it has none."""
    bias: float
    """Mean of return less forecast over all forecast trades; NaN without any."""


def hit_rates(trades: Records, symbols: Sequence[Symbol], *, intraday: bool = True) -> list[HitBucket]:
    """Hit rate by symbol, side, reason of the exit, weekday and hour of the entry, and time held.

    Args:
        trades: `TRADE` records.
        symbols: By which the trades' `symbol` is an index.
        intraday: Whether the hour says anything.
    """
    held = np.searchsorted([bound for bound, _ in _HELD], trades["exit_time"] - trades["entry_time"], side="right")
    lengths = (*(name for _, name in _HELD), "4 weeks or more")
    dimensions = (
        ("symbol", trades["symbol"], lambda value: str(symbols[value])),
        ("side", -trades["side"].astype(np.int64), lambda value: "long" if value == -Side.BUY else "short"),
        ("exit reason", trades["exit_reason"], lambda value: str(Reason(value))),
        ("weekday of entry", _weekday(trades["entry_time"]), lambda value: _WEEKDAYS[value]),
        ("hour of entry", _hour(trades["entry_time"]), lambda value: f"{value:02d}:00"),
        ("time held", held, lambda value: lengths[value]),
    )
    pnl, gain = trades["pnl"], trades["gain"]
    return [
        HitBucket(
            dimension, name, int(chosen.sum()), float((pnl[chosen] > 0).mean()), float(gain[chosen].mean()),
            float(pnl[chosen].sum()),
        )
        for dimension, name, chosen in _buckets(dimensions, intraday)
    ]  # fmt: skip


def slippages(fills: Records, symbols: Sequence[Symbol], *, intraday: bool = True) -> list[SlippageBucket]:
    """Slippage by symbol, side, reason, liquidity, and weekday and hour of the fill.

    Args:
        fills: `FILL` records.
        symbols: By which the fills' `symbol` is an index.
        intraday: Whether the hour says anything.
    """
    dimensions = (
        ("symbol", fills["symbol"], lambda value: str(symbols[value])),
        ("side", -fills["side"].astype(np.int64), lambda value: str(Side(-value))),
        ("reason", fills["reason"], lambda value: str(Reason(value))),
        ("liquidity", fills["liquidity"], lambda value: str(Liquidity(value))),
        ("weekday", _weekday(fills["time"]), lambda value: _WEEKDAYS[value]),
        ("hour", _hour(fills["time"]), lambda value: f"{value:02d}:00"),
    )
    rated = fills["units"] * fills["rate"]
    notionals, costs = rated * fills["price"], rated * fills["slippage"]
    found = []
    for dimension, name, chosen in _buckets(dimensions, intraday):
        notional, cost = float(notionals[chosen].sum()), float(costs[chosen].sum())
        bps = cost / notional * 1e4 if notional > 0 else float("nan")
        found.append(SlippageBucket(dimension, name, int(chosen.sum()), notional, cost, bps))
    return found


def calibration(trades: Records) -> Calibration:
    """Hold each trade's return against what the trades before it gave reason to expect.

    The forecast looks at nothing but trades that had ended when this one began, so it could have been made then.

    Args:
        trades: `TRADE` records by exit.
    """
    forecast = np.full(len(trades), np.nan)
    kinds = trades["symbol"].astype(np.int64) * 4 + trades["side"]
    for kind in np.unique(kinds):
        chosen = kinds == kind
        ended = trades["exit_time"][chosen]
        sums = np.concatenate([[0.0], np.cumsum(trades["gain"][chosen])])
        before = np.searchsorted(ended, trades["entry_time"][chosen], side="right")
        # A trade that opens and closes in one bar has not ended before it began.
        before = np.minimum(before, np.arange(len(ended)))
        known = before >= FORECAST_LEAST
        forecast[chosen] = np.where(known, sums[before] / np.maximum(before, 1), np.nan)
    known = np.isfinite(forecast)
    expected, realised = forecast[known], trades["gain"][known]
    if len(expected) < 2 * FORECAST_BUCKETS:
        return Calibration((), float("nan"), float((realised - expected).mean()) if len(expected) else float("nan"))
    order = np.argsort(expected, kind="stable")
    buckets = tuple(
        CalibrationBucket(
            len(part),
            float(expected[part].mean()),
            float(realised[part].mean()),
            float(realised[part].std(ddof=1) / np.sqrt(len(part))) if len(part) > 1 else float("nan"),
        )
        for part in np.array_split(order, FORECAST_BUCKETS)
    )
    around = expected - expected.mean()
    spread = float((around**2).sum())
    slope = float((around * realised).sum()) / spread if spread > 0 else float("nan")
    return Calibration(buckets, slope, float((realised - expected).mean()))


Dimension = tuple[str, NDArray[Any], Callable[[int], str]]


def _buckets(dimensions: Sequence[Dimension], intraday: bool) -> list[tuple[str, str, NDArray[np.bool_]]]:
    """Of each dimension its buckets by value: its name, the bucket's, and which records are in it."""
    found = []
    for dimension, values, name in dimensions:
        if not intraday and dimension.startswith("hour"):
            continue
        present = np.unique(values)
        if len(present) > 1 or dimension == "symbol":
            found += [(dimension, name(int(value)), values == value) for value in present]
    return found


def _weekday(times: NDArray[np.int64]) -> NDArray[np.int64]:
    # 1970-01-01 was a Thursday.
    return (times // DAY_NS + 3) % 7


def _hour(times: NDArray[np.int64]) -> NDArray[np.int64]:
    return times % DAY_NS // _HOUR_NS
