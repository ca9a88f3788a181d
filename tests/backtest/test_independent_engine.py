"""An independent engine, backtesting.py, comes to the same trades and the same equity from the same averages."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import pytest
from ran.running import of_file, sma_cross

from market.intervals import Interval
from trading.indicators.sma import sma_begin, sma_next
from trading.records import Reason

FILES = [
    ("NASDAQ:GOOG", Interval.D1, "daily/GOOG.csv"),
    ("NASDAQ:AAPL", Interval.D1, "daily/AAPL.csv"),
    ("NYSE:IBM", Interval.D1, "daily/IBM.csv"),
    ("NASDAQ:MSFT", Interval.D1, "daily/MSFT.csv"),
    ("FX:EURUSD", Interval.H1, "backtesting/EURUSD.csv"),
]


def averages(closes, length):
    """Our own moving average: the two engines are to differ in nothing but themselves."""
    state = sma_begin(length)
    return np.array([sma_next(state, close) for close in closes])


def theirs(bars, fast, slow, cash):
    """What backtesting.py makes of the same bars: its trades and its equity by bar."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from backtesting import Backtest, Strategy

        class Cross(Strategy):
            """Reverses when the sign of the difference changes; a tie keeps the side."""

            def init(self):
                self.difference = averages(bars["close"], fast) - averages(bars["close"], slow)
                self.side = 0.0

            def next(self):
                now = self.difference[len(self.data) - 1]
                before = self.side
                if now > 0 or now < 0:
                    self.side = float(np.sign(now))
                if before and self.side != before:
                    (self.buy if self.side > 0 else self.sell)()

        frame = pd.DataFrame(
            {name: bars[name.lower()] for name in ("Open", "High", "Low", "Close", "Volume")},
            index=pd.DatetimeIndex(bars["start"]),
        )
        found = Backtest(frame, Cross, cash=cash, commission=0, exclusive_orders=True, finalize_trades=True).run()
        return found["_trades"].sort_values("EntryBar"), found["_equity_curve"]["Equity"].to_numpy()


@pytest.mark.parametrize(("symbol", "interval", "file"), FILES)
@pytest.mark.parametrize(("fast", "slow"), [(10, 30), (5, 20)])
def test_trades_and_equity_are_those_of_an_independent_engine(recorded, symbol, interval, file, fast, slow):
    """But for how the last position is closed: it sells at the last bar, and we mark at its close."""
    shown, outcome = sma_cross(of_file(recorded / file, symbol, interval), fast=fast, slow=slow)
    bars, trades = shown.views, outcome.trades
    expected, equity = theirs(bars, fast, slow, 10_000.0)

    assert len(trades) == len(expected) > 20
    assert trades["entry_row"].tolist() == expected["EntryBar"].tolist()
    assert (trades["side"] * trades["units"]).tolist() == expected["Size"].tolist()
    assert trades["entry_price"].tolist() == expected["EntryPrice"].tolist()
    closed, gone = trades[:-1], expected[:-1]
    assert closed["exit_row"].tolist() == gone["ExitBar"].tolist()
    assert closed["exit_price"].tolist() == gone["ExitPrice"].tolist()
    np.testing.assert_allclose(closed["pnl"], gone["PnL"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(closed["gain"], gone["ReturnPct"], rtol=1e-9, atol=1e-12)
    assert trades["exit_reason"].tolist() == [Reason.SIGNAL] * len(closed) + [Reason.END]
    np.testing.assert_allclose(outcome.curve.equity[:-1], equity[:-1], rtol=1e-9)


def test_times_of_trades_are_starts_of_the_bars_of_their_fills(recorded):
    """A daily bar starts with its session: the first trade of Google's daily bars enters at New York's open."""
    shown, outcome = sma_cross(of_file(recorded / "daily/GOOG.csv", "NASDAQ:GOOG", Interval.D1))

    assert (outcome.trades["entry_time"] == shown.views["start"][outcome.trades["entry_row"]]).all()
    first = dt.datetime.fromtimestamp(int(outcome.trades["entry_time"][0]) / 1e9, dt.UTC)
    assert first.isoformat() == "2004-11-29T14:30:00+00:00"
