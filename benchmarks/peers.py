"""The dataflow beside other people's aggregators, in one run: ticks a CPU-second, and the ratios. Prints JSON.

Run: `python benchmarks/peers.py [--ticks N] [--peer-ticks N]`, from `.venv-bench`, which has NautilusTrader; without
it, its rows say so. Ticks are those of `flow.py`, for the peers without late ones, which neither of them takes.

NautilusTrader: `TimeBarAggregator`s fed with `TradeTick`s made beforehand and driven by the ticks' times (its batch
mode), so without clock, timers and message bus; nothing is stored or recovered. Twice: one aggregator an interval, each
fed with every tick, as thirteen subscriptions to its internal bars are; and composite, a minute bar of the ticks handed
on to the twelve others, the cheapest way that it has.
polars: as in `flow.py`, one frame
sorted and grouped up. Ours: the Bytewax flow with recovery on, and the replay of a journal on disk into SQLite.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import flow
import replay

INTERVALS = (
    "3-MINUTE", "5-MINUTE", "15-MINUTE", "30-MINUTE", "45-MINUTE", "1-HOUR", "2-HOUR", "3-HOUR", "4-HOUR", "1-DAY",
    "1-WEEK", "1-MONTH",
)  # fmt: skip
PER_MINUTE = {"dense": 69, "sparse": 1.7}


def nautilus(per_minute: float, count: int, *, composite: bool) -> dict[str, Any]:
    """NautilusTrader's bars of `count` ticks: the higher intervals of minute bars, or each of all ticks."""
    try:
        import nautilus_trader
        from nautilus_trader.common.component import TestClock
        from nautilus_trader.data.aggregation import TimeBarAggregator
        from nautilus_trader.model.currencies import BTC, USD
        from nautilus_trader.model.data import BarType, TradeTick
        from nautilus_trader.model.enums import AggressorSide
        from nautilus_trader.model.identifiers import InstrumentId, TradeId
        from nautilus_trader.model.identifiers import Symbol as VenueSymbol
        from nautilus_trader.model.instruments import CurrencyPair
        from nautilus_trader.model.objects import Price, Quantity
    except ImportError as error:
        return {"missing": f"{error}; run `sh infra/setup.sh bench` and use .venv-bench"}

    found = flow.ticks(per_minute, count, late=0.0)
    clock = TestClock()
    clock.set_time(flow.START)
    bars, refused, names, handlers = 0, set(), [], []

    def higher(interval: str, instrument: Any) -> Any:
        try:
            kind = BarType.from_str(f"{instrument.id}-{interval}-LAST-INTERNAL")
            return TimeBarAggregator(instrument, kind, stored, clock, interval_type="right-open")
        except ValueError:
            refused.add(interval)
            return None

    def stored(_bar: Any) -> None:
        nonlocal bars
        bars += 1

    def minutes(above: list[Any]) -> Any:
        def handle(bar: Any) -> None:
            nonlocal bars
            bars += 1
            for one in above:
                one.handle_bar(bar)

        return handle

    for place in range(flow.SYMBOLS):
        name = InstrumentId.from_str(f"S{place:04d}USD.SIM")
        instrument = CurrencyPair(
            name, VenueSymbol(f"S{place:04d}USD"), BTC, USD, 2, 6, Price(0.01, 2), Quantity(1e-6, 6), 0, 0
        )
        above = [one for interval in INTERVALS if (one := higher(interval, instrument)) is not None]
        kind = BarType.from_str(f"{name}-1-MINUTE-LAST-INTERNAL")
        base = TimeBarAggregator(
            instrument, kind, minutes(above if composite else []), clock, interval_type="right-open"
        )
        for one in (base, *above):
            one._start_batch_time(flow.START)  # noqa: SLF001 - what the engine itself calls for past ticks.
        names.append(name)
        handlers.append([base.handle_trade_tick] if composite else [one.handle_trade_tick for one in (base, *above)])
    trade = TradeId("1")
    made = [
        TradeTick(
            names[stream], Price(price, 2), Quantity(size, 6), AggressorSide.BUYER, trade, at, at,
        )
        for stream, price, size, at in zip(
            *(found[name].tolist() for name in ("stream", "price", "size", "event_time")), strict=True
        )
    ]  # fmt: skip
    fed = [(handlers[stream], tick) for stream, tick in zip(found["stream"].tolist(), made, strict=True)]
    cpu = time.process_time()
    for handles, tick in fed:
        for handle in handles:
            handle(tick)
    cpu = time.process_time() - cpu
    return {
        "version": nautilus_trader.__version__,
        "intervals": 1 + len(INTERVALS) - len(refused),
        "not_possible": sorted(refused),
        "ticks": count,
        "bars": bars,
        "cpu_seconds": round(cpu, 3),
        "mticks_per_cpu_second": round(count / cpu / 1e6, 4),
    }


def ratio(ours: float, theirs: dict[str, Any]) -> float | None:
    """How many times theirs ours is."""
    return round(ours / theirs["mticks_per_cpu_second"], 1) if "mticks_per_cpu_second" in theirs else None


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--ticks", type=int, default=60_000_000)
    options.add_argument("--peer-ticks", type=int, default=500_000)
    options.add_argument("--repeat", type=int, default=5)
    given = options.parse_args()
    flow.settle_in()
    found: dict[str, Any] = {"benchmark": "peers", "machine": flow.machine()}
    for name, per_minute in PER_MINUTE.items():
        few = given.ticks if name == "dense" else given.ticks // 6
        ours = flow.measure(per_minute, few, flow.CHUNK, given.repeat)
        frame = flow.polars_rate(per_minute, few // 6)
        trader = nautilus(per_minute, given.peer_ticks, composite=False)
        composite = nautilus(per_minute, given.peer_ticks, composite=True)
        stored = replay.measure(per_minute, few // 3 if name == "dense" else few // 10, 4096)
        rate = ours["mticks_per_cpu_second"]
        found[name] = {
            "flow": ours,
            "replay": stored,
            "polars": frame,
            "nautilus": trader,
            "nautilus_composite": composite,
            "flow_times_polars": ratio(rate, frame),
            "flow_times_nautilus": ratio(rate, trader),
            "flow_times_nautilus_composite": ratio(rate, composite),
            "replay_times_nautilus": ratio(stored["mticks_per_second"], trader),
            "replay_times_nautilus_composite": ratio(stored["mticks_per_second"], composite),
        }
    found["load_after"] = os.getloadavg()[0]
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
