"""The look-ahead check: what was decided on a bar is decided again where every later bar is hidden."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from backtest.simulating import Decisions
from backtest.stream import Stream
from market.errors import DeskError
from market.intervals import Interval
from strategies.interface import REQUESTS_MAX, StrategyError
from trading.records import ORDER, Records

LEAST: Final = 5
MOST: Final = 25
"""Moments after which all is hidden, one after the other."""
ROWS: Final = 2_000_000
"""Bars that are decided on anew: they allow so many moments, within these bounds."""


class LookAhead(DeskError):  # noqa: N818 - named for what it is.
    """A decision changed when later bars were hidden: it used them, or the strategy decides by chance."""


def check(
    full: Stream,
    begin: Callable[[], Decisions],
    cut: Callable[[int], Stream],
    seed: int,
    tell: Callable[[float], None] = lambda _share: None,
) -> int:
    """Decide again on data that ends early, and compare.

    Args:
        full: The run's bars.
        begin: The strategy before its first bar, its file run anew.
        cut: The run's bars again, made anew of series that end at a moment (ns): so that what was worked out
            beforehand, as adjusted prices, is checked too.
        seed: Of the moments.
        tell: Told how much is done, 0 to 1.

    Returns:
        How many moments were tried.

    Raises:
        LookAhead: A decision changed; names the bar.
        StrategyError: The strategy went wrong on the whole data.
    """
    rows = len(full.views)
    if rows < 2:
        return 0
    rng = np.random.default_rng(seed)
    places = np.unique(rng.integers(0, rows - 1, min(max(ROWS // rows, LEAST), MOST)))
    whole = _decided(begin(), full)
    for place, row in enumerate(places.tolist()):
        tell(place / len(places))
        until = int(full.views["end"][row])
        hidden = cut(until)
        try:
            changed = _first_changed(whole, _decided(begin(), hidden))
        except StrategyError as error:
            msg = f"look-ahead: with the bars after {_moment(until)} hidden, {error}"
            raise LookAhead(msg) from error
        if changed is not None:
            bar = hidden.views[changed]
            symbol, interval = hidden.symbols[int(bar["symbol"])], Interval(int(bar["interval"]))
            msg = (
                f"look-ahead: the decision on the {interval} bar of {symbol} that ended {_moment(int(bar['end']))} "
                f"changes when the bars after {_moment(until)} are hidden; decide() may use its state, the bar and its "
                "parameters, nothing else"
            )
            raise LookAhead(msg)
    return len(places)


class _Decided(NamedTuple):
    """All decisions on a stream."""

    seen: Records
    wanted: np.ndarray[tuple[int], np.dtype[np.float64]]
    """By row: the exposure, or the number of orders."""
    orders: Records


def _decided(decisions: Decisions, shown: Stream) -> _Decided:
    if not decisions.places_orders:
        return _Decided(shown.seen, decisions.exposures(shown.seen), np.zeros(0, ORDER))
    counts, orders = decisions.requests(shown.seen)
    return _Decided(shown.seen, counts.astype(np.float64), orders)


def _first_changed(whole: _Decided, other: _Decided) -> int | None:
    """The first row, of those that the other has, on which they differ; None if there is none."""
    rows = len(other.wanted)
    before = whole.wanted[:rows]
    same = (before == other.wanted) | (np.isnan(before) & np.isnan(other.wanted))
    same &= whole.seen["end"][:rows] == other.seen["end"]
    if not same.all():
        return int(np.flatnonzero(~same)[0])
    count = len(other.orders)
    if count == 0:
        return None
    ours, theirs = (
        np.frombuffer(orders[:count].tobytes(), np.uint8).reshape(count, -1) for orders in (whole.orders, other.orders)
    )
    changed = np.flatnonzero((ours != theirs).any(axis=1))
    if len(changed) == 0:
        return None
    written = np.minimum(other.wanted, REQUESTS_MAX)
    return int(np.searchsorted(np.cumsum(written), changed[0], side="right"))


def _moment(time: int) -> str:
    return f"{np.datetime64(time // 10**9, 's')}Z"
