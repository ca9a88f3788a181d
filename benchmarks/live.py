"""How soon a trade is in the forming bars that anybody can read in Redis, and whether any is lost. Prints JSON.

Run: `python benchmarks/live.py [--seconds N] [--case NAME]`. Everything is real and on one machine: the simulated
exchange, and `pq up` with its supervisor, ingest, journal, bars with recovery, closed bars in SQLite, and Redis.

**What is measured**: from the exchange's stamp, which is in the frame and taken before the frame is written, to the
moment at which this script hears that Redis has done the write. It is subscribed to Redis' own notices of writes
(keyspace events) for one symbol in twenty, drawn evenly, and reads the value after each on the same connection: Redis
answers in order, so the notice heard last before an answer is of the write that the answer shows. The value says which
journal row it includes, and the journal says which ticks that row has; a tick's latency ends with the first notice of a
value that includes it. No tick of those symbols is left out, and the script's own waking up is in the figure.
`never_seen` counts ticks of those symbols that no notice included, which must be 0.

**Lost**: after the exchange and then the desk were stopped, every trade that the exchange sent (its own record) must be
in the journal once and unchanged, and the trades of all minute bars in the store must add up to them.
"""

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from running_desk import CpuMeter, Desk, Exchange, machine, memory_mb, until

from market.bars import BAR
from market.forming import key
from market.intervals import Interval
from market.journal_rows import RowKind
from sinks.bar_store import open_store
from sinks.redis_pipe import command
from sources.journal import JournalReader
from sources.simulated.listing import read_symbols
from sources.simulated.truth import TruthLog

CASES = {"10000_ticks_1_a_frame": (10_000, 1), "100000_ticks_20_a_frame": (100_000, 20)}
WATCHED_OF = 20
WARM_S = 5.0
KEEP_TICKS = 40_000_000
_END = b"\r\n"


class Probe:
    """A reader of Redis that is told of each write to some keys and looks at what was written."""

    def __init__(self, path: Path, keys: list[bytes]) -> None:
        """Connect and subscribe."""
        self.seen: dict[bytes, list[tuple[int, int]]] = {name: [] for name in keys}
        """By key: (ns when the notice came, newest journal row in the value), in order."""
        self._heard: dict[bytes, int] = {}
        self._asked: list[bytes] = []
        self._buffer = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))
        self._socket.settimeout(0.2)
        channels = [b"__keyspace@0__:" + name for name in keys]
        self._socket.sendall(
            command(b"HELLO", b"3")
            + command(b"CONFIG", b"SET", b"notify-keyspace-events", b"K$")
            + command(b"SUBSCRIBE", *channels)
        )

    def run(self, seconds: float) -> None:
        """Watch for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                data = self._socket.recv(1 << 18)
            except TimeoutError:
                continue
            self._take(data, time.time_ns())

    def _take(self, data: bytes, now: int) -> None:
        buffer = self._buffer + data
        place = 0
        ask = []
        while True:
            item, after = _item(buffer, place)
            if after < 0:
                break
            place = after
            if isinstance(item, list):
                if item[0] == b"message" and item[2] == b"set":
                    name = item[1].partition(b":")[2]
                    self._heard[name] = now
                    ask.append(name)
            elif isinstance(item, bytes) and item[:1] == b"\x01" and self._asked:
                name = self._asked.pop(0)
                rows = np.frombuffer(item, BAR, offset=2 + item[1])
                self.seen[name].append((self._heard[name], int(rows["seq"].max())))
        self._buffer = buffer[place:]
        if ask:
            self._asked += ask
            self._socket.sendall(b"".join(command(b"GET", name) for name in ask))


def _item(buffer: bytes, place: int) -> tuple[Any, int]:
    """One item of Redis' protocol 3 and the place after it; -1 if it is not all there."""
    line_end = buffer.find(_END, place)
    if line_end < 0:
        return None, -1
    kind, text = buffer[place : place + 1], buffer[place + 1 : line_end]
    place = line_end + 2
    if kind == b"$":
        after = place + int(text) + 2
        return (buffer[place : after - 2], after) if after <= len(buffer) else (None, -1)
    if kind in {b">", b"*", b"%"}:
        items = []
        for _ in range(int(text) * (2 if kind == b"%" else 1)):
            item, place = _item(buffer, place)
            if place < 0:
                return None, -1
            items.append(item)
        return (items if kind == b">" else None), place
    if kind == b"-":
        sys.exit(f"live.py: Redis says {text.decode()}")
    return (int(text) if kind == b":" else None), place


def measure(rate: int, per_frame: int, symbols: int, seconds: float, pace_ms: float) -> dict[str, Any]:
    """One case."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pq")))
        names = read_symbols(str(symbols))
        exchange = Exchange(
            stack, folder, rate=rate, symbols=symbols, per_frame=per_frame, pace_ms=pace_ms, keep_ticks=KEEP_TICKS
        )
        desk = Desk(stack, folder / "d", names, exchange.url)
        until(lambda: desk.status("ingest")["feeds"][0]["ticks"] > 2 * rate, "the ticks do not come")
        time.sleep(WARM_S)
        processes = {"exchange": psutil.Process(exchange.child.pid), "probe": psutil.Process(), **desk.processes()}
        probe = Probe(desk.folders.redis_socket, [key(name).encode() for name in names[::WATCHED_OF]])
        meter, began = CpuMeter(processes), time.time_ns()
        probe.run(seconds)
        cpu, ended = meter.percent(), time.time_ns()
        memory = memory_mb(processes)
        # What was on its way at the end is seen too.
        probe.run(1.0)
        exchange.stop()
        until(lambda: _caught_up(desk), "the bars do not catch up")
        feed = desk.status("ingest")["feeds"][0]
        desk.stop()
        sent = _sent(exchange.truth, names)
        journal, places = _journal(desk.folders.journal)
        return {
            "ticks_per_s": round(float(((journal["time"] >= began) & (journal["time"] < ended)).sum()) / seconds),
            **_latency(probe, journal, places, began, ended),
            **cpu,
            "memory_mb": memory,
            "rejects": sum(feed["rejects"].values()),
            "reconnects": feed["reconnects"],
            **_lost(sent, _by_stream(journal, places)),
            "trades_in_minute_bars": _in_bars(desk.folders.bars),
        }


def _caught_up(desk: Desk) -> bool:
    journal = desk.status("bars")["journal"]
    ended = desk.status("ingest")["feeds"][0]["rate"] == 0
    return bool(ended and journal["lag_rows"] < 5)


JOURNALED = np.dtype(
    [
        ("time", "<i8"),
        ("received", "<i8"),
        ("seq", "<i8"),
        ("id", "<i8"),
        ("price", "<f8"),
        ("size", "<f8"),
        ("row", "<i4"),
        ("stream", "<u2"),
    ]
)

Places = dict[str, int]
"""Stream by symbol."""


def _journal(folder: Path) -> tuple[NDArray[np.void], Places]:
    """Every tick of the journal; `row` counts the ticks of its row."""
    parts = []
    with JournalReader(folder) as reader:
        places = {str(stream.symbol): stream.id for stream in reader.streams()}
        for row in reader.read_all():
            if row.kind != RowKind.TICKS:
                continue
            ticks = row.records
            part = np.empty(len(ticks), JOURNALED)
            for name, source in (("time", "event_time"), ("received", "received_time"), ("id", "trade_id")):
                part[name] = ticks[source]
            part["price"], part["size"] = ticks["price"], ticks["size"]
            part["seq"], part["row"], part["stream"] = row.seq, len(ticks), ticks["stream"]
            parts.append(part)
    return np.concatenate(parts), places


def _by_stream(ticks: NDArray[np.void], places: Places) -> dict[str, NDArray[np.void]]:
    """The ticks of each symbol, in the order of the journal."""
    ticks = ticks[np.argsort(ticks["stream"], kind="stable")]
    cuts = np.searchsorted(ticks["stream"], np.arange(len(places) + 1))
    return {name: ticks[cuts[place] : cuts[place + 1]] for name, place in places.items()}


def _sent(folder: Path, names: Any) -> dict[str, NDArray[np.void]]:
    """Every trade that a client was sent, by symbol, in order of id."""
    truth = TruthLog(folder, names, KEEP_TICKS)
    records = np.concatenate([part for _, part in truth.segments()])
    records = records[(records["trade_id"] > 0) & (records["sent"] > 0)]
    order = np.lexsort((records["trade_id"], records["symbol"]))
    records = records[order]
    cuts = np.searchsorted(records["symbol"], np.arange(len(truth.symbols) + 1))
    found = {name: records[cuts[i] : cuts[i + 1]] for i, name in enumerate(truth.symbols)}
    truth.close()
    return found


def _lost(sent: dict[str, NDArray[np.void]], held: dict[str, NDArray[np.void]]) -> dict[str, int]:
    """The journal against what was sent."""
    lost = twice = altered = 0
    for name, trades in sent.items():
        ticks = held[name]
        ids, places = np.unique(ticks["id"], return_index=True)
        twice += len(ticks) - len(ids)
        lost += len(np.setdiff1d(trades["trade_id"], ids))
        _, left, right = np.intersect1d(trades["trade_id"], ids, return_indices=True)
        one, other = trades[left], ticks[places][right]
        altered += int(((one["price"] != other["price"]) | (one["stamp"] != other["time"])).sum())
    return {
        "sent": sum(map(len, sent.values())),
        "journaled": sum(map(len, held.values())),
        "lost": lost,
        "twice": twice,
        "altered": altered,
    }


def _in_bars(path: Path) -> int:
    """Trades in all minute bars of the store, those included that were still forming when the desk stopped."""
    store = open_store(str(path))
    try:
        series = [symbol for symbol, interval, *_ in store.series() if interval == Interval.M1]
        return sum(int(store.read(symbol, Interval.M1)["trades"].sum()) for symbol in series)
    finally:
        store.close()


def _latency(probe: Probe, journal: NDArray[np.void], places: Places, began: int, ended: int) -> dict[str, Any]:
    """Latency of the watched symbols' ticks whose stamp lies in the measured time."""
    times, latencies, receipts, unseen = [], [], [], 0
    measured = journal[(journal["time"] >= began) & (journal["time"] < ended)]
    held = _by_stream(measured, places)
    for name, notices in probe.seen.items():
        ticks = held[name.decode().removeprefix("forming:")]
        seen = np.array(notices, np.int64).reshape(-1, 2)
        at = np.searchsorted(seen[:, 1], ticks["seq"])
        known = at < len(seen)
        unseen += int((~known).sum())
        times.append(ticks["time"][known])
        latencies.append(seen[at[known], 0] - ticks["time"][known])
        receipts.append(ticks["received"][known] - ticks["time"][known])
    time_s = (np.concatenate(times) - began) / 1e9
    latency = np.concatenate(latencies) / 1e6
    thirds = [latency[(time_s * 3 // ((ended - began) / 1e9)).astype(int) == third] for third in range(3)]
    return {
        "latency_ms": _spread(latency),
        "to_ingest_ms": _spread(np.concatenate(receipts) / 1e6),
        "over_50_ms": int((latency > 50).sum()),
        "p99_ms_by_third": [round(float(np.percentile(part, 99)), 3) for part in thirds],
        "p50_ms_by_third": [round(float(np.percentile(part, 50)), 3) for part in thirds],
        "samples": len(latency),
        "never_seen": unseen,
        "ticks_a_row": round(float(1 / np.mean(1 / measured["row"])), 1),
    }


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    named = {f"p{q:g}": np.percentile(values, q) for q in (50, 90, 99, 99.9)}
    return {name: round(float(value), 3) for name, value in {**named, "max": values.max()}.items()}


def main() -> None:
    """Measure the cases."""
    parser = argparse.ArgumentParser(description="Measures the live path from the exchange's stamp to Redis.")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--symbols", type=int, default=1000)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--pace-ms", type=float, default=1.0, help="least time between two writes of the exchange")
    options = parser.parse_args()
    report = {"benchmark": "live", "machine": machine(), "symbols": options.symbols, "seconds": options.seconds}
    cases = {
        name: measure(*CASES[name], options.symbols, options.seconds, options.pace_ms) for name in options.case or CASES
    }
    print(json.dumps({**report, "load_after": os.getloadavg()[0], "cases": cases}, indent=2))


if __name__ == "__main__":
    main()
