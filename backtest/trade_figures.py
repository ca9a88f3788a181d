"""What a run's trades amount to: how often, how much, how evenly they won."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.curve import DAY_NS, Numbers
from trading.records import Records

NAN = float("nan")


class TradeFigures(NamedTuple):
    """Figures over closed trades and those marked open at the end; NaN where there is nothing to divide by."""

    trades: int
    win_rate: float
    """Share with P&L above 0."""
    profit_factor: float
    """Gains over losses, as amounts; NaN without a loss."""
    expectancy: float
    """Mean P&L, account currency."""
    expectancy_return: float
    """Mean return of a trade."""
    average_win: float
    """Mean P&L of those above 0, account currency."""
    average_loss: float
    """Mean P&L of those below 0, account currency, negative."""
    payoff: float
    """Average win over average loss, as amounts."""
    sqn: float
    """sqrt(trades) x mean / standard deviation of P&L."""
    kelly: float
    """win_rate - (1 - win_rate) / payoff."""
    best_trade: float
    """Highest return."""
    worst_trade: float
    """Lowest return."""
    wins_in_a_row: int
    """Most, by exit."""
    losses_in_a_row: int
    """Most, by exit; a P&L of 0 ends both rows."""
    holding_days_mean: float
    """Mean time from entry to exit, days of 24 hours."""
    holding_days_max: float


def figures(trades: Records) -> TradeFigures:
    """Figures over trades in the order of their exits.

    Args:
        trades: `TRADE` records.
    """
    count = len(trades)
    pnl: Numbers = np.ascontiguousarray(trades["pnl"])
    gain: Numbers = np.ascontiguousarray(trades["gain"])
    won, lost = pnl > 0, pnl < 0
    wins, losses = int(np.count_nonzero(won)), int(np.count_nonzero(lost))
    won_sum, lost_sum = float(pnl[won].sum()), float(pnl[lost].sum())
    win_rate = _ratio(wins, count)
    average_win, average_loss = _ratio(won_sum, wins), _ratio(lost_sum, losses)
    payoff = _ratio(average_win, -average_loss)
    held = (trades["exit_time"] - trades["entry_time"]) / DAY_NS
    mean = _ratio(float(pnl.sum()), count)
    spread = float(pnl.std(ddof=1)) if count > 1 else NAN
    return TradeFigures(
        trades=count,
        win_rate=win_rate,
        profit_factor=_ratio(won_sum, -lost_sum),
        expectancy=mean,
        expectancy_return=_ratio(float(gain.sum()), count),
        average_win=average_win,
        average_loss=average_loss,
        payoff=payoff,
        sqn=_ratio(float(np.sqrt(count)) * mean, spread),
        kelly=win_rate - _ratio(1 - win_rate, payoff),
        best_trade=float(gain.max()) if count else NAN,
        worst_trade=float(gain.min()) if count else NAN,
        wins_in_a_row=_longest(won),
        losses_in_a_row=_longest(lost),
        holding_days_mean=float(held.mean()) if count else NAN,
        holding_days_max=float(held.max()) if count else NAN,
    )


def _ratio(above: float, below: float) -> float:
    """The quotient; NaN where nothing is divided by."""
    return above / below if below else NAN


def _longest(flags: NDArray[np.bool_]) -> int:
    """Length of the longest row of true ones.

    >>> _longest(np.array([True, True, False, True]))
    2
    """
    breaks = np.flatnonzero(~np.concatenate([[False], flags, [False]]))
    return int(np.diff(breaks).max() - 1)
