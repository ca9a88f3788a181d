"""A backtest beside other people's, in one run: bars a CPU-second, and the ratios. Prints JSON.

Run: `python benchmarks/backtest.py [--bars N] [--peer-bars N] [--repeat N]`, from `.venv-bench`, which has the peers;
without them, their rows say so. SMA 10/30 on minutes of a random walk in cents, always long or short with all of the
equity, decided on closes and filled at the next open.

Ours: from bars in memory to orders, fills, trades, curve and all figures; warm is the median of some runs, the first
not counted. `plain` is the same with the strategy in plain Python, as what Numba refuses runs.
vectorbt: its moving averages and crosses, `Portfolio.from_signals` on the opens, order and trade records; with and
without its `stats`. backtesting.py: its `Backtest.run`, statistics included.
`start`: `pq backtest` on ten years of daily bars of a file as a process, to the report's files: without any compiled
code, and again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

# Before this script's own folder, in which this very file has the name of a package.
sys.path.insert(0, str(Path(__file__).parents[1]))

from crosses import CASH, MISSING, SYMBOL, bars, imported
from flow import machine

from backtest.account_kernels import compiled_loops
from backtest.metrics import Terms, measure
from backtest.simulating import Decisions, simulate
from backtest.stream import Stream, stream
from market.intervals import Interval
from market.sessions import calendar_for
from strategies.loader.files import find
from trading.opening import Conditions


def shown(made: np.ndarray) -> Stream:
    """As a run is shown them."""
    return stream({(SYMBOL, Interval.M1): made}, [SYMBOL], Interval.M1, {SYMBOL: calendar_for(SYMBOL)})


def ours(made: np.ndarray, repeat: int, folder: Path, *, compiled: bool = True) -> dict[str, Any]:
    """Whole runs, by their parts."""
    seen, strategy = shown(made), find("sma-cross")
    chosen = strategy.read_parameters({"fast": 10, "slow": 30})
    terms = Terms(int(made["start"][0]), CASH, 365)
    took: list[list[float]] = []
    for _ in range(repeat + 1):
        clock = [time.process_time()]
        decisions = Decisions(strategy, chosen, [str(SYMBOL)], Interval.M1, folder, compiled=compiled)
        clock.append(time.process_time())
        outcome = simulate(seen, decisions, Conditions(), CASH, "USD", loops=compiled_loops())
        clock.append(time.process_time())
        figures = measure(outcome.curve, outcome.trades, outcome.fills, terms)
        clock.append(time.process_time())
        took.append([later - before for before, later in pairwise(clock)])
    warm = took[1:]
    whole = sorted(sum(parts) for parts in warm)
    begin_s, simulate_s, measure_s = (statistics.median(part) for part in zip(*warm, strict=True))
    return {
        "bars": len(made),
        "trades": figures.trades,
        "equity_end": round(figures.equity_end, 2),
        "ms": round(statistics.median(whole) * 1e3, 2),
        "ms_least": round(whole[0] * 1e3, 2),
        "ms_begin": round(begin_s * 1e3, 2),
        "ms_simulate": round(simulate_s * 1e3, 2),
        "ms_measure": round(measure_s * 1e3, 2),
        "mbars_per_cpu_second": round(len(made) / statistics.median(whole) / 1e6, 2),
    }


def vectorbt(made: np.ndarray, repeat: int) -> dict[str, Any]:
    """The same by vectorbt: records alone, and with its `stats`."""
    try:
        import pandas as pd

        vbt = imported()
    except ImportError as error:
        return {"missing": f"{error}; {MISSING}"}
    index = pd.to_datetime(made["end"])
    opens, closes = pd.Series(made["open"], index), pd.Series(made["close"], index)

    def portfolio() -> Any:
        fast, slow = vbt.MA.run(closes, 10), vbt.MA.run(closes, 30)
        above, below = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
        return vbt.Portfolio.from_signals(
            closes,
            entries=above.vbt.signals.fshift(1),
            short_entries=below.vbt.signals.fshift(1),
            price=opens,
            init_cash=CASH,
            freq="1min",
        )

    def records() -> Any:
        made = portfolio()
        return made.orders.records_arr, made.trades.records_arr

    def stats() -> Any:
        made = portfolio()
        return made.orders.records_arr, made.trades.records_arr, made.stats()

    found = {"version": vbt.__version__, "bars": len(made), "trades": len(records()[1])}
    for name, run in (("records", records), ("stats", stats)):
        run()
        found[f"ms_{name}"] = round(timed(run, repeat) * 1e3, 2)
        found[f"mbars_per_cpu_second_{name}"] = round(len(made) / found[f"ms_{name}"] / 1e3, 3)
    return found


def backtesting(made: np.ndarray) -> dict[str, Any]:
    """The same by backtesting.py."""
    try:
        import pandas as pd
        from backtesting import Backtest, Strategy
        from backtesting.lib import crossover
    except ImportError as error:
        return {"missing": f"{error}; {MISSING}"}

    def average(values: Any, length: int) -> Any:
        return pd.Series(values).rolling(length).mean()

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(average, self.data.Close, 10)
            self.slow = self.I(average, self.data.Close, 30)

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.position.close()
                self.buy()
            elif crossover(self.slow, self.fast):
                self.position.close()
                self.sell()

    frame = pd.DataFrame(
        {name.capitalize(): made[name] for name in ("open", "high", "low", "close", "volume")},
        index=pd.to_datetime(made["start"]),
    )
    test = Backtest(frame, Cross, cash=CASH, finalize_trades=True)
    began = time.process_time()
    stats = test.run()
    took = time.process_time() - began
    return {
        "bars": len(made),
        "trades": int(stats["# Trades"]),
        "s": round(took, 2),
        "mbars_per_cpu_second": round(len(made) / took / 1e6, 4),
    }


def timed(run: Callable[[], Any], repeat: int) -> float:
    """Median CPU seconds."""
    took = []
    for _ in range(repeat):
        began = time.process_time()
        run()
        took.append(time.process_time() - began)
    return statistics.median(took)


def started(folder: Path, repeat: int) -> dict[str, Any]:
    """`pq backtest` as a process, seconds: the first finds no compiled code of ours, the others all of it."""
    made = bars(2_520)
    rows = ["Date,Open,High,Low,Close,Volume"]
    days = np.datetime64("2016-01-01") + np.arange(2_520)
    rows += [
        f"{day},{row['open']:.2f},{row['high']:.2f},{row['low']:.2f},{row['close']:.2f},1000000"
        for day, row in zip(days, made, strict=True)
    ]
    file = folder / "daily.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    environ = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(folder / "compiled"),
        "POCKETQUANT_DATA_DIR": str(folder / "data"),
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    found: list[tuple[float, float]] = []
    for number in range(repeat + 1):
        before, began = os.times(), time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "from pocketquant.cli import main; main()", "backtest", "sma-cross", "--symbol",
             "SIM:WALK", "--interval", "1d", "--file", str(file), "--output", str(folder / f"report-{number}")],
            env=environ, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        found.append((time.perf_counter() - began, cpu))
    warm = sorted(found[1:])[len(found[1:]) // 2]
    return {
        "cold_s": round(found[0][0], 2),
        "cold_cpu_s": round(found[0][1], 2),
        "warm_s": round(warm[0], 2),
        "warm_cpu_s": round(warm[1], 2),
    }


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--bars", type=int, default=1_000_000)
    options.add_argument("--peer-bars", type=int, default=1_000_000, help="for backtesting.py")
    options.add_argument("--repeat", type=int, default=9)
    given = options.parse_args()
    made = bars(given.bars)
    with tempfile.TemporaryDirectory(prefix="pocketquant-benchmark-") as made_here:
        folder = Path(made_here)
        found: dict[str, Any] = {
            "machine": machine(),
            "ours": ours(made, given.repeat, folder / "loops"),
            "plain": ours(made[: given.bars // 5], 2, folder / "loops", compiled=False),
            "vectorbt": vectorbt(made, max(given.repeat // 3, 1)),
            "backtesting": backtesting(made[: given.peer_bars]),
            "start": started(folder, 3),
        }
    rate = found["ours"]["mbars_per_cpu_second"]
    ratios = {
        "vectorbt_stats": found["vectorbt"].get("mbars_per_cpu_second_stats"),
        "vectorbt_records": found["vectorbt"].get("mbars_per_cpu_second_records"),
        "backtesting": found["backtesting"].get("mbars_per_cpu_second"),
    }
    found["times"] = {name: round(rate / peer, 1) for name, peer in ratios.items() if peer}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
