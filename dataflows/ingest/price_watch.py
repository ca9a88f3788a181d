"""Users' price alerts, held against every tick that has been journaled."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from market.symbols import Symbol
from operators.validate import TickRow
from sinks.ledger import PriceAlert


class PriceWatch:
    """Fires each alert at the first tick at or beyond its price. State: the armed alerts."""

    def __init__(self, fire: Callable[[PriceAlert, float, int], object]) -> None:
        """Begin without alerts.

        Args:
            fire: Told of an alert whose price has come, with the price and the tick's received time, ns.
        """
        self._fire = fire
        self._by_stream: dict[int, list[PriceAlert]] = {}

    @property
    def watching(self) -> bool:
        """Whether there is any alert."""
        return bool(self._by_stream)

    def set(self, alerts: Iterable[PriceAlert], streams: Mapping[Symbol, Sequence[int]]) -> None:
        """Replace the alerts.

        Args:
            alerts: Armed ones.
            streams: Ids of each symbol's streams.
        """
        found: dict[int, list[PriceAlert]] = {}
        for alert in alerts:
            for stream in streams.get(alert.symbol, ()):
                found.setdefault(stream, []).append(alert)
        self._by_stream = found

    def look(self, rows: Iterable[TickRow]) -> None:
        """Hold ticks against the alerts, in order. What was stamped before an alert was set does not fire it."""
        for row in rows:
            for alert in tuple(self._by_stream.get(row[6], ())):
                reached = row[2] >= alert.price if alert.side == "above" else row[2] <= alert.price
                if reached and row[0] >= alert.made_at:
                    self._disarm(alert)
                    self._fire(alert, row[2], row[1])

    def _disarm(self, alert: PriceAlert) -> None:
        for stream, alerts in list(self._by_stream.items()):
            left = [other for other in alerts if other.id != alert.id]
            if left:
                self._by_stream[stream] = left
            else:
                del self._by_stream[stream]
