"""What a run's trades would have come to in another order, or in another mix: what a drawdown may be, not what it was.

Each trade changes the account by a fraction of what the account had come to by the trades that ended before it. Drawn
anew with replacement these fractions make other accounts, which end elsewhere; shuffled they end where the run ended,
after other drawdowns. Trades are taken for independent of each other and of the time, and of equal weight.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Numbers
from trading.records import Records

SIMULATIONS: Final = 1_000
LEAST: Final = 10
"""Trades of which something can be drawn."""
PERCENTILES: Final = (5, 25, 50, 75, 95)
STEPS_MAX: Final = 200
"""Points of the fan that is drawn."""

_CELLS_MAX: Final = 10_000_000
"""Trades drawn in all; beyond it there are fewer simulations, since many trades need fewer."""
_CELLS: Final = 1_000_000
"""Of a matrix in hand at a time: 8 MB."""
_FEWEST: Final = 100


class Spread(NamedTuple):
    """A figure over all simulations."""

    percentiles: tuple[float, ...]
    """At `PERCENTILES`."""
    actual: float
    """Of the run's own trades in their order."""


class MonteCarlo(NamedTuple):
    """What came of all simulations. Fractions; drawdowns are at the ends of trades, so no deeper than at each bar."""

    trades: int
    simulations: int
    total_return: Spread
    """Drawn with replacement."""
    drawdown: Spread
    """Drawn with replacement."""
    shuffled: Spread
    """Drawdown of the same trades in another order."""
    losses: float
    """Share of those drawn that ended below the cash at the start."""
    ruins: float
    """Share of those drawn that lost everything."""
    deeper: float
    """Share of the shuffled whose drawdown is at least as deep as the run's own."""
    steps: NDArray[np.int64]
    """Numbers of trades at which the fan is, from 0 on."""
    fan: Numbers
    """Equity after so many trades drawn, account currency: float64[percentiles, steps]."""
    path: Numbers
    """The same of the run's own trades: float64[steps]."""


def monte_carlo(trades: Records, cash: float, simulations: int = SIMULATIONS, seed: int = 1) -> MonteCarlo | None:
    """Draw a run's trades anew.

    Args:
        trades: `TRADE` records by exit.
        cash: At the start, > 0.
        simulations: How many; of very many trades fewer are made.
        seed: Of the draws.

    Returns:
        None if there are too few trades, or no simulations are asked for.
    """
    count = len(trades)
    if count < LEAST or simulations < 1:
        return None
    grown = growths(trades["pnl"], cash)
    made = min(simulations, max(_CELLS_MAX // count, _FEWEST))
    steps = np.unique(np.linspace(0, count, min(count, STEPS_MAX) + 1).round().astype(np.int64))
    rng = np.random.default_rng(seed)
    ends, falls, shuffled = np.empty(made), np.empty(made), np.empty(made)
    paths = np.empty((made, len(steps)))
    at_once = max(_CELLS // count, 1)
    for first in range(0, made, at_once):
        rows = slice(first, min(first + at_once, made))
        size = rows.stop - first
        drawn = _paths(grown[rng.integers(0, count, (size, count))])
        ends[rows], falls[rows], paths[rows] = drawn[:, -1], _deepest(drawn), drawn[:, steps]
        shuffled[rows] = _deepest(_paths(rng.permuted(np.broadcast_to(grown, (size, count)), axis=1)))
    own = _paths(grown[None])
    fall = float(_deepest(own)[0])
    return MonteCarlo(
        trades=count,
        simulations=made,
        total_return=Spread(_percentiles(ends - 1), float(own[0, -1]) - 1),
        drawdown=Spread(_percentiles(falls), fall),
        shuffled=Spread(_percentiles(shuffled), fall),
        losses=float((ends < 1).mean()),
        ruins=float((ends <= 0).mean()),
        # Products in another order differ in their last bits.
        deeper=float((shuffled >= fall * (1 - 1e-9)).mean()),
        steps=steps,
        fan=cash * np.percentile(paths, PERCENTILES, axis=0),
        path=cash * own[0, steps],
    )


def growths(pnl: Numbers, cash: float) -> Numbers:
    """What each trade multiplied the account by, of what it had come to by those that ended before; 0 after its ruin.

    >>> growths(np.array([10.0, -55.0, -55.0, 20.0]), 100.0).tolist()
    [1.1, 0.5, 0.0, 0.0]
    """
    after = cash + np.cumsum(pnl)
    before = np.concatenate([[cash], after[:-1]])
    alive = np.minimum.accumulate(before) > 0
    found: Numbers = np.zeros(len(pnl))
    np.divide(after, before, out=found, where=alive)
    return np.maximum(found, 0.0)


def said(found: MonteCarlo) -> str:
    """The answer for people, in a sentence."""
    low, high = found.total_return.percentiles[0], found.total_return.percentiles[-1]
    ruined = f", {_percent(found.ruins)} would have lost everything" if found.ruins > 0 else ""
    return (
        f"Had other trades like these {found.trades:,} come instead (drawn from them {found.simulations:,} times), "
        f"nine of ten runs would have returned {_percent(low)} to {_percent(high)}, {_percent(found.losses)} would "
        f"have lost money{ruined}, and one of twenty would have fallen by {_percent(found.drawdown.percentiles[-1])} "
        "or more; the same trades in another order would have fallen at least as deep as they did in "
        f"{_percent(found.deeper)} of all orders."
    )


def document(found: MonteCarlo) -> dict[str, Any]:
    """The same as JSON has it, without the paths."""

    def spread(one: Spread) -> dict[str, float]:
        named = {f"percentile_{place}": value for place, value in zip(PERCENTILES, one.percentiles, strict=True)}
        return {"actual": one.actual, **named}

    return {
        "simulations": found.simulations,
        "trades": found.trades,
        "total_return": spread(found.total_return),
        "drawdown_max": spread(found.drawdown),
        "drawdown_max_in_another_order": spread(found.shuffled),
        "losses": found.losses,
        "ruins": found.ruins,
        "deeper": found.deeper,
    }


def _paths(factors: Numbers) -> Numbers:
    """Accounts of 1 over their trades: float64[accounts, trades + 1]."""
    paths = np.ones((factors.shape[0], factors.shape[1] + 1))
    np.cumprod(factors, axis=1, out=paths[:, 1:])
    return paths


def _deepest(paths: Numbers) -> Numbers:
    """The deepest drawdown of each account, a fraction of the peak before it."""
    found: Numbers = (1 - paths / np.maximum.accumulate(paths, axis=1)).max(axis=1)
    return found


def _percentiles(values: Numbers) -> tuple[float, ...]:
    return tuple(np.percentile(values, PERCENTILES).tolist())


def _percent(share: float) -> str:
    return f"{share * 100:,.1f} %"
