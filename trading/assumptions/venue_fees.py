"""What the venues charge for spot trades: maker and taker fees by what an account traded in 30 days.

They change, and `--fees 10/25bps` takes any other. Discounts for holding a venue's own coin are left out.

Source: kraken.com/features/fee-schedule; help.coinbase.com, Exchange fees; okx.com/fees (regular tier by its lowest
level, then by volume); binance.com, VIP program: whose higher tiers ask for a holding of its own coin besides the
volume, so that an account without one stays in the first.
"""

from typing import Final, NamedTuple


class Tier(NamedTuple):
    """One row of a venue's table."""

    volume: float
    """Traded in 30 days, US dollars, from which it applies."""
    maker_bps: float
    """Of the notional, 1/10,000; below 0 is a rebate."""
    taker_bps: float


VENUES: Final = {
    "kraken": (
        Tier(0, 25, 40), Tier(10e3, 20, 35), Tier(50e3, 14, 24), Tier(100e3, 12, 22), Tier(250e3, 10, 20),
        Tier(500e3, 8, 18), Tier(1e6, 6, 16), Tier(2.5e6, 4, 14), Tier(5e6, 2, 12), Tier(10e6, 0, 10),
    ),
    "coinbase": (
        Tier(0, 40, 60), Tier(10e3, 25, 40), Tier(50e3, 15, 25), Tier(100e3, 10, 20), Tier(1e6, 8, 18),
        Tier(15e6, 6, 16), Tier(75e6, 3, 12), Tier(250e6, 0, 8), Tier(400e6, 0, 5),
    ),
    "binance": (Tier(0, 10, 10),),
    "okx": (
        Tier(0, 8, 10), Tier(10e6, 6, 8), Tier(20e6, 5, 7), Tier(50e6, 3, 6), Tier(100e6, 2, 5), Tier(200e6, 0, 4),
        Tier(500e6, -0.2, 3), Tier(1e9, -0.5, 2.5), Tier(10e9, -0.5, 2),
    ),
}  # fmt: skip
"""Tiers by venue, rising."""
