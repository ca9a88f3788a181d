"""Price alerts: whether a price that a user asked about was reached."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from market.forming import Forming
from market.intervals import Interval
from market.symbols import Symbol
from sinks.ledger import PriceAlert


class Extremes(NamedTuple):
    """How far a price went, as far as can be told without reading each tick."""

    low: float
    high: float


def extremes(forming: Forming | None, last: float | None, since: int) -> Extremes | None:
    """The range of prices since a moment, from the minutes that are not over yet and the last price.

    A minute that began before the moment counts with its close alone, since its high may be older than the alert.

    Args:
        forming: Bars in the cache, which hold every tick of the open minutes, so that no spike is missed between
            two looks.
        last: The latest price, where there is no bar (a quiet minute, a symbol that makes none).
        since: ns.
    """
    prices = [] if last is None else [last]
    if forming is not None:
        for row in forming.rows[forming.rows["interval"] == Interval.M1]:
            whole = int(row["start"]) >= since
            prices += [float(row["low"]), float(row["high"])] if whole else [float(row["close"])]
    return Extremes(min(prices), max(prices)) if prices else None


def reached(
    alerts: Iterable[PriceAlert], forming: Mapping[Symbol, Forming], last: Mapping[Symbol, float | None]
) -> list[tuple[PriceAlert, float]]:
    """The alerts whose price was reached, each with the price that did."""
    found = []
    for alert in alerts:
        seen = extremes(forming.get(alert.symbol), last.get(alert.symbol), alert.made_at)
        if seen is None:
            continue
        above = alert.side == "above"
        price = seen.high if above else seen.low
        if price >= alert.price if above else price <= alert.price:
            found.append((alert, price))
    return found
