"""What is to be run: the plan, under the name by which a backtest has always known it."""

from trading.plan import Plan

__all__ = ["Plan"]
