"""What the venues charge for spot trades: maker and taker fees by what an account traded in 30 days.

They change, and `--fees 10/25bps` takes any other. Discounts for holding a venue's own coin are left out.
"""

from typing import Final, NamedTuple


class Tier(NamedTuple):
    """One row of a venue's table."""

    volume: float
    """Traded in 30 days, US dollars, from which it applies."""
    maker_bps: float
    """Of the notional, 1/10,000; below 0 is a rebate."""
    taker_bps: float


def _tiers(*rows: tuple[float, float, float]) -> tuple[Tier, ...]:
    return tuple(Tier(*row) for row in rows)


VENUES: Final = {
    "kraken": _tiers(
        (0, 25, 40), (10e3, 20, 35), (50e3, 14, 24), (100e3, 12, 22), (250e3, 10, 20), (500e3, 8, 18), (1e6, 6, 16),
        (2.5e6, 4, 14), (5e6, 2, 12), (10e6, 0, 10),
    ),
    "coinbase": _tiers(
        (0, 40, 60), (10e3, 25, 40), (50e3, 15, 25), (100e3, 10, 20), (1e6, 8, 18), (15e6, 6, 16), (75e6, 3, 12),
        (250e6, 0, 8), (400e6, 0, 5),
    ),
    "binance": _tiers(
        (0, 10, 10), (1e6, 9, 10), (5e6, 8, 10), (20e6, 4.2, 6), (75e6, 4.2, 5.4), (150e6, 3.6, 4.8), (400e6, 3, 4.2),
        (800e6, 2.4, 3.6), (2e9, 1.8, 3), (4e9, 1.2, 2.4),
    ),
    "okx": _tiers(
        (0, 8, 10), (10e6, 6, 8), (20e6, 5, 7), (50e6, 3, 6), (100e6, 2, 5), (200e6, 0, 4), (500e6, -0.2, 3),
        (1e9, -0.5, 2.5), (10e9, -0.5, 2),
    ),
}  # fmt: skip
"""Tiers by venue, rising."""
