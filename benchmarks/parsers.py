"""How fast venues' frames and files of ticks become records, against the obvious way. Prints JSON.

Run: `python benchmarks/parsers.py [--repeat N] [--rows N]`. CPU time, the best of the repeats. The obvious way for
Kraken is `json.loads` and `datetime.fromisoformat`; for files, `csv.DictReader` and the same conversions.
"""

import argparse
import csv
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))

from market.symbols import Symbol
from sources.feed import Parsed
from sources.tick_files.opening import open_ticks
from sources.tradingview_frames import encode_frame
from sources.venues import make_feed

FRAMES = 2_000
NOW = 1_784_850_000_000_000_000


def kraken_trade(number: int) -> str:
    """One trade of a frame."""
    second = f"{number // 50 % 60:02d}.{number % 1000:03d}099"
    return (
        f'{{"symbol":"BTC/USD","side":"buy","price":{65140.3 + number % 9},"qty":0.01500000,"ord_type":"market",'
        f'"trade_id":{104182603 + number},"timestamp":"2026-07-23T22:56:{second}Z"}}'
    )


def kraken(trades: int) -> list[str]:
    """Frames of so many trades each."""
    bodies = (",".join(kraken_trade(n * trades + k) for k in range(trades)) for n in range(FRAMES))
    return [f'{{"channel":"trade","type":"update","data":[{body}]}}' for body in bodies]


def frames() -> dict[str, tuple[str, list[str]]]:
    """Feed and frames by case."""
    return {
        "kraken_1_trade": ("kraken", kraken(1)),
        "kraken_20_trades": ("kraken", kraken(20)),
        "coinbase_match": (
            "coinbase",
            [
                f'{{"type":"match","trade_id":{n},"maker_order_id":"ac928c66-ca53-498f-9c13-a110027a60e8",'
                f'"taker_order_id":"132fb6ae-456b-4654-b4e0-d681ac05cea1","side":"sell","size":"0.00542000",'
                f'"price":"117701.29","product_id":"BTC-USD","sequence":{n},"time":"2026-07-22T14:03:11.{n:06d}Z"}}'
                for n in range(FRAMES)
            ],
        ),
        "binance_trade": (
            "binance",
            [
                f'{{"stream":"btcusd@trade","data":{{"e":"trade","E":1,"s":"BTCUSD","t":{n},"p":"117701.29000000",'
                f'"q":"0.00542000","T":{1784849123233000 + n},"m":true,"M":true}}}}'
                for n in range(FRAMES)
            ],
        ),
        "okx_trade": (
            "okx",
            [
                f'{{"arg":{{"channel":"trades","instId":"BTC-USD"}},"data":[{{"instId":"BTC-USD","tradeId":"{n}",'
                f'"px":"65176.3","sz":"0.00524071","side":"sell","ts":"{1784849123233 + n}","count":"1"}}]}}'
                for n in range(FRAMES)
            ],
        ),
        "tradingview_quote": (
            "tradingview",
            [
                encode_frame(
                    f'{{"m":"qsd","p":["qs_x",{{"n":"NASDAQ:BTCUSD","s":"ok","v":{{"volume":{6817.5 + n},'
                    f'"lp_time":{1784849123 + n // 3},"lp":{99957.9 + n % 7},"chp":-0.05,"ch":-46.39}}}}]}}'
                )
                for n in range(FRAMES)
            ],
        ),
    }


def best(repeat: int, run: Callable[[], object]) -> float:
    """CPU seconds of the fastest of the repeats."""
    found = []
    for _ in range(repeat):
        start = time.process_time()
        run()
        found.append(time.process_time() - start)
    return min(found)


def obvious(texts: list[str]) -> list[tuple[object, ...]]:
    """What a first version would do with Kraken's frames."""
    ticks: list[tuple[object, ...]] = []
    for text in texts:
        message = json.loads(text)
        if message["channel"] == "trade":
            for trade in message["data"]:
                moment = datetime.fromisoformat(trade["timestamp"])
                side = 1 if trade["side"] == "buy" else -1
                ticks.append(
                    (int(moment.timestamp() * 1e9), NOW, trade["price"], trade["qty"], trade["trade_id"], 1, 0, side, 0)
                )
    return ticks


def parse(feed: str, texts: list[str]) -> list[tuple[object, ...]]:
    """All ticks of the frames, by the feed's parser."""
    made = make_feed(feed)
    parser = made.parser({Symbol(made.exchange or "NASDAQ", "BTCUSD"): 0})
    out = Parsed()
    for text in texts:
        parser.parse(text, NOW, out)
    assert not out.rejects, out.rejects[0]
    return list(out.ticks)


def venues(repeat: int) -> dict[str, object]:
    """Microseconds by case, and for Kraken against the obvious way."""
    results: dict[str, object] = {}
    for case, (feed, texts) in frames().items():
        ticks = len(parse(feed, texts))
        seconds = best(repeat, lambda feed=feed, texts=texts: parse(feed, texts))
        results[case] = {"us_per_frame": 1e6 * seconds / len(texts), "us_per_tick": 1e6 * seconds / ticks}
        if feed == "kraken":
            assert len(obvious(texts)) == ticks
            slow = best(repeat, lambda texts=texts: obvious(texts))
            results[case] |= {"obvious_us_per_tick": 1e6 * slow / ticks, "ratio": slow / seconds}
    return results


def files(repeat: int, rows: int) -> dict[str, object]:
    """Rows a second by form, against the obvious way."""
    rng = np.random.default_rng(7)
    frame = pl.DataFrame({
        "event_time": 1_561_939_203_172 + np.cumsum(rng.integers(0, 50, rows)),
        "price": np.round(10_000 + np.cumsum(rng.normal(0, 0.1, rows)), 1),
        "size": np.round(rng.random(rows), 8),
        "aggressor": np.where(rng.random(rows) < 0.5, "buy", "sell"),
    })  # fmt: skip
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        text, binary = Path(folder) / "a.csv", Path(folder) / "a.parquet"
        frame.write_csv(text)
        frame.write_parquet(binary)

        def read(path: Path) -> int:
            return sum(len(batch.ticks) for batch in open_ticks(path, symbol=Symbol("KRAKEN", "BTCUSD")).batches())

        def slowly() -> int:
            with text.open(newline="") as file:
                rows = [
                    (int(row["event_time"]) * 10**6, float(row["price"]), float(row["size"]), row["aggressor"] == "buy")
                    for row in csv.DictReader(file)
                ]
            return len(rows)

        slow = best(1, slowly)
        for name, path in (("csv", text), ("parquet", binary)):
            assert read(path) == rows
            start = time.perf_counter()
            seconds = best(repeat, lambda path=path: read(path))
            wall = (time.perf_counter() - start) / repeat
            results[name] = {
                "m_rows_per_s_cpu": rows / seconds / 1e6,
                "m_rows_per_s_wall": rows / wall / 1e6,
                "ratio": slow / seconds,
            }
    return results


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="Parsers of frames and files, as JSON.")
    options.add_argument("--repeat", type=int, default=10)
    options.add_argument("--rows", type=int, default=1_000_000)
    chosen = options.parse_args()
    result = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "frames": venues(chosen.repeat),
        "files": files(min(chosen.repeat, 3), chosen.rows),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
