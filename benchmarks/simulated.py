"""What the simulated exchange costs: CPU of its process per trade, with one consumer that only reads.

Run: python benchmarks/simulated.py [--seconds 10] [--output FILE.json]
"""

import argparse
import json
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

CASES = (
    # Name, trades a second, trades in a message.
    ("10,000/s, 1 a frame", 10_000, 1),
    ("100,000/s, 20 a frame", 100_000, 20),
)
WARM_UP_S = 1.5


def main() -> None:
    """Measure each case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--symbols", type=int, default=1000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    results = [measure(*case, arguments.symbols, arguments.seconds) for case in CASES]
    for result in results:
        print(
            f"{result['case']:24} {result['trades_per_s']:>9,.0f} trades/s  "
            f"{result['core_percent']:5.1f} % of a core  {result['us_per_trade']:6.2f} us a trade  "
            f"{result['rss_mb']:5.0f} MB",
        )
    report = {"benchmark": "simulated", "machine": platform.platform(), "python": platform.python_version()}
    if arguments.output:
        arguments.output.write_text(json.dumps(report | {"results": results}, indent=2) + "\n")


def measure(case: str, rate: int, per_frame: int, symbols: int, seconds: float) -> dict[str, object]:
    """Run the exchange at a rate, read all that it sends, and take its CPU time over the trades it handed out."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "sources.simulated", "--rate", str(rate), "--symbols", str(symbols),
            "--per-frame", str(per_frame), "--data-dir", folder,
        ]  # fmt: skip
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            reader = subscribe(port, symbols)
            busy = psutil.Process(process.pid)
            drain(reader, WARM_UP_S)
            before, started = busy.cpu_times(), time.monotonic()
            trades = drain(reader, seconds)
            after, took = busy.cpu_times(), time.monotonic() - started
            rss_mb = busy.memory_info().rss / 2**20
            reader.close()
        finally:
            process.terminate()
            process.wait(10)
    cpu_s = after.user + after.system - before.user - before.system
    return {
        "case": case,
        "symbols": symbols,
        "trades_per_s": trades / took,
        "core_percent": 100 * cpu_s / took,
        "us_per_trade": 1e6 * cpu_s / max(1, trades),
        "rss_mb": rss_mb,
    }


def subscribe(port: int, symbols: int) -> socket.socket:
    """A bare socket with all trades subscribed: a WebSocket library would be most of what is measured."""
    from market.spelling import to_venue
    from sources.simulated.listing import read_symbols

    reader = socket.create_connection(("127.0.0.1", port))
    reader.sendall(
        b"GET /kraken HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )
    pairs = [to_venue(symbol, "sim") for symbol in read_symbols(str(symbols))]
    for place in range(0, len(pairs), 1000):
        params = {"channel": "trade", "symbol": pairs[place : place + 1000], "snapshot": False}
        payload = json.dumps({"method": "subscribe", "params": params}).encode()
        # Masked by a key of zeros, which leaves the text as it is.
        reader.sendall(b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload)
    return reader


def drain(reader: socket.socket, seconds: float) -> int:
    """Read for a while; returns the trades seen."""
    end = time.monotonic() + seconds
    trades = 0
    tail = b""
    while time.monotonic() < end:
        data = tail + reader.recv(1 << 20)
        trades += data.count(b'"trade_id"')
        tail = data[-9:]
    return trades


if __name__ == "__main__":
    main()
