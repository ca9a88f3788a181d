"""A sweep of 100 combinations on a million bars beside vectorbt's, in one run. Prints JSON.

Run: `python benchmarks/sweep.py [--bars N] [--columns N]`, from `.venv-bench`, which has vectorbt; without it, its row
says so. Ten fast and ten slow averages on the bars of `backtest.py`, traded as there.

Ours: `backtest.evaluator`, which `pq sweep` is made of, from bars in memory to all figures and daily returns of each
combination, on all cores; the second sweep counts, whose code is compiled. vectorbt: its moving averages of all
lengths, crosses, portfolios and, of each, return, Sharpe ratio, drawdown and win rate, so many columns at once as fit;
a column beforehand compiles. Wall time is what counts here; CPU time beside it says how many cores worked.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Before this script's own folder, in which a file has the name of a package.
sys.path.insert(0, str(Path(__file__).parents[1]))

from crosses import CASH, MISSING, SYMBOL, bars, imported
from flow import machine

from backtest.evaluator import Evaluator
from backtest.plan import Plan
from backtest.reading import Series
from market.intervals import Interval
from strategies.loader.files import find

LENGTHS = [(fast, slow) for fast in range(5, 25, 2) for slow in range(30, 130, 10)]
"""A hundred combinations."""


def ours(made: np.ndarray, folder: Path) -> dict[str, Any]:
    """The sweep, twice."""
    strategy = find("sma-cross")
    chosen = [strategy.read_parameters({"fast": fast, "slow": slow}) for fast, slow in LENGTHS]
    plan = Plan(strategy=strategy.name, source_hash=strategy.source_hash, symbols=(str(SYMBOL),), interval="1m",
                cash=CASH, lot=1.0)  # fmt: skip
    series = Series(SYMBOL, Interval.M1, made, "memory")
    found = {}
    for name in ("first", "warm"):
        with Evaluator(plan, strategy, lambda *_: series, folder) as bench:
            if name == "warm":
                # As the peer's columns: bars in the form that is swept are there.
                bench.shown(strategy.needs(chosen[0]))
            wall, cpu, (candidates, failed) = timed(lambda bench=bench: bench.candidates(chosen))  # type: ignore[misc]
        assert not failed
        found |= {f"wall_s_{name}": round(wall, 2), f"cpu_s_{name}": round(cpu, 2)}
    return {
        "combinations": len(candidates.parameters),
        "bars": len(made),
        "best_return": round(float(candidates.figures["total_return"].max()), 4),
        **found,
        "cores_busy": round(cpu / wall, 2),
        "mbars_per_second": round(len(made) * len(chosen) / wall / 1e6, 1),
    }


def vectorbt(made: np.ndarray, columns: int) -> dict[str, Any]:
    """The same by vectorbt."""
    try:
        import pandas as pd

        vbt = imported()
    except ImportError as error:
        return {"missing": f"{error}; {MISSING}"}
    index = pd.to_datetime(made["end"])
    opens, closes = pd.Series(made["open"], index), pd.Series(made["close"], index)

    def swept(lengths: list[tuple[int, int]]) -> list[float]:
        fast = vbt.MA.run(closes, [one for one, _ in lengths], short_name="fast")
        slow = vbt.MA.run(closes, [other for _, other in lengths], short_name="slow")
        made = vbt.Portfolio.from_signals(
            closes,
            entries=fast.ma_crossed_above(slow).vbt.signals.fshift(1),
            short_entries=fast.ma_crossed_below(slow).vbt.signals.fshift(1),
            price=opens,
            init_cash=CASH,
            freq="1min",
        )
        made.sharpe_ratio(), made.max_drawdown(), made.trades.win_rate()
        return np.atleast_1d(made.total_return()).tolist()

    swept(LENGTHS[:1])
    wall, cpu, best = 0.0, 0.0, -1.0
    for place in range(0, len(LENGTHS), columns):
        took, worked, returns = timed(lambda place=place: swept(LENGTHS[place : place + columns]))  # type: ignore[misc]
        wall, cpu, best = wall + took, cpu + worked, max([best, *returns])
    return {
        "version": vbt.__version__,
        "combinations": len(LENGTHS),
        "columns_at_once": columns,
        "bars": len(made),
        "best_return": round(float(best), 4),
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "mbars_per_second": round(len(made) * len(LENGTHS) / wall / 1e6, 1),
    }


def timed(run: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall and CPU seconds, those of child processes included, and what came of it."""
    wall, before = time.perf_counter(), os.times()
    found = run()
    after = os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    return time.perf_counter() - wall, cpu, found


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bars", type=int, default=1_000_000)
    options.add_argument("--columns", type=int, default=10, help="of vectorbt at once")
    given = options.parse_args()
    made = bars(given.bars)
    with tempfile.TemporaryDirectory(prefix="pocketquant-benchmark-") as folder:
        found: dict[str, Any] = {
            "machine": machine(),
            "ours": ours(made, Path(folder)),
            "vectorbt": vectorbt(made, given.columns),
        }
    if "wall_s" in found["vectorbt"]:
        found["times"] = {
            "vectorbt_wall": round(found["vectorbt"]["wall_s"] / found["ours"]["wall_s_warm"], 1),
            "vectorbt_cpu": round(found["vectorbt"]["cpu_s"] / found["ours"]["cpu_s_warm"], 1),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
