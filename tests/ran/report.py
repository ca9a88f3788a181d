"""A report of a small run, for tests of what it is written as."""

import numpy as np
from ran.records import START, curve, fills, trades

from backtest.buckets import calibration, hit_rates, slippages
from backtest.curve import DAY_NS, walk
from backtest.luck import odds
from backtest.metrics import Terms, measure, month_returns, period_returns
from backtest.monte_carlo import monte_carlo
from backtest.report import Chart, Report
from market.bars import BAR
from market.symbols import Symbol

GOOG = Symbol("NASDAQ", "GOOG")


def bars(count, step=DAY_NS, *, weekends=False):
    """Rising and falling bars, on weekdays alone unless told."""
    starts = START + step * np.arange(count * 2)
    if not weekends:
        starts = starts[(starts // DAY_NS + 3) % 7 < 5]
    made = np.zeros(count, BAR)
    made["start"], made["end"] = starts[:count], starts[:count] + step
    made["close"] = 100 + 10 * np.sin(np.arange(count) / 5)
    made["open"] = made["close"] - 0.5
    made["high"], made["low"], made["volume"] = made["close"] + 1, made["open"] - 1, 1000.0
    return made


def report(*, days=80, rows=None, notes=(), title="sma-cross fast=10 slow=30", luck=False):
    """A run of some days with forty trades, unless others are given; asked whether it is luck if told."""
    made = trades(*(((1, 0.01), (-1, -0.01)) * 20 if rows is None else rows))
    ours = curve(100 + np.arange(days) % 7)
    theirs = curve(100 + np.arange(days) / 10)
    filled = fills((10, 100.0, 0.1, 0.5), (10, 101.0, 0.1, 0.5, -1))
    terms = Terms(START, 100.0, 252)

    def months(marks):
        return month_returns(walk(marks, START, 100.0), 100.0)

    return Report(
        title=title,
        subtitle="NASDAQ:GOOG 1d, 2024-01-01 to 2024-03-21",
        currency="USD",
        dated=True,
        facts=(("strategy", "sma-cross"), ("seed", "1")),
        assumptions=(("fees", "none"), ("fills", "at the next bar's open")),
        notes=tuple(notes),
        metrics=measure(ours, made, filled, terms),
        curve=ours,
        months=months(ours),
        benchmark=measure(theirs, made[:0], filled[:0], terms),
        benchmark_equity=theirs.equity,
        benchmark_months=months(theirs),
        charts=(Chart(GOOG, "1d", bars(days)),),
        trades=made,
        symbols=(GOOG,),
        hits=tuple(hit_rates(made, (GOOG,))),
        slips=tuple(slippages(filled, (GOOG,))),
        calibrated=calibration(made),
        odds=odds(period_returns(walk(ours, START, 100.0), 100.0), 252) if luck else None,
        drawn=monte_carlo(made, 100.0, 200) if luck else None,
    )
