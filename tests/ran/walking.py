"""Walk-forwards as the core makes them, without a desk, over a random walk of prices."""

import numpy as np
from ran.running import loops
from ran.sweeping import evaluator, planned, waves

from backtest.sweep import Hunt
from backtest.walk_forward import Walk, walk_forward
from strategies.loader.files import find

GRID = {"fast": "2:8:3", "slow": "5,20"}
DAYS = Walk(train="120d", test="60d")
OF_HUNT = ("metric", "least_trades", "search", "trials", "seed")


def noisy(count=400, seed=5):
    """Days of a random walk, on which now these parameters are the best and now those."""
    series = waves(count)
    prices = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.02, count + 1)))
    series.bars["open"], series.bars["close"] = prices[:-1], prices[1:]
    series.bars["low"] = np.minimum(prices[:-1], prices[1:]) - 0.5
    series.bars["high"] = np.maximum(prices[:-1], prices[1:]) + 0.5
    return series


def walked(
    series, space=GRID, walk=DAYS, strategy=None, patience_s=30.0, tell=lambda _step, _share: None, jobs=1, **options
):
    """A walk-forward of sma-cross, or of another; options are the plan's or the hunt's."""
    options.setdefault("look_ahead_check", False)
    strategy = strategy or find("sma-cross")
    hunt = Hunt(space=space, **{name: options.pop(name) for name in OF_HUNT if name in options})
    with evaluator(strategy, series, plan=planned(strategy, **options), jobs=jobs, patience_s=patience_s) as bench:
        return walk_forward(bench, hunt, walk, loops(), patience_s=patience_s, tell=tell)
