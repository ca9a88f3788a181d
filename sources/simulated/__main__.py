"""Runs the simulated exchange: `python -m sources.simulated --port 0 --seed 1 --rate 50 --symbols 5`."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from market.errors import DeskError
from sources.simulated.clock import Clock, ManualClock, VirtualClock, WallClock
from sources.simulated.exchange import Exchange, Rules
from sources.simulated.faults import Fault, read_schedule
from sources.simulated.history import History
from sources.simulated.listing import EXCHANGE, Instrument, Session, list_instruments, read_symbols
from sources.simulated.server import SimulatedServer
from sources.simulated.tape import Tape
from sources.simulated.truth import TruthLog

START = "2026-01-05T14:29:00Z"


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on; there is neither a password nor TLS.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option("--port-file", type=click.Path(path_type=Path), help="Write the JSON line that goes to stdout here too.")
@click.option("--seed", default=1, type=click.IntRange(0), help="Same seed, same tape.")
@click.option("--rate", default=50.0, type=click.FloatRange(1, 200_000), help="Trades a second of its clock, in all.")
@click.option("--symbols", default="5", help="A count up to 10000, or SIM:BTCUSD,SIM:ETHUSD,...")
@click.option("--quiet", default=0, type=click.IntRange(0), help="The last N symbols trade every few minutes.")
@click.option("--session-symbols", default=0, type=click.IntRange(0), help="N symbols trade in --session only.")
@click.option("--session", default="14:30-21:00", help="UTC hours, Monday to Friday.")
@click.option("--skew", default=0.5, type=click.FloatRange(0, 2), help="How unequally active symbols are; 0: alike.")
@click.option(
    "--burst", default=0.6, type=click.FloatRange(0, 0.9), help="Share of trades that echo others; 0: Poisson."
)
@click.option("--per-frame", default=1, type=click.IntRange(1, 200), help="Trades in one message, at most.")
@click.option("--tickers", default=4.0, type=click.FloatRange(0, 100), help="Kraken tickers a second and symbol.")
@click.option("--pace-ms", default=1.0, type=click.FloatRange(0.1, 1000), help="Least time between batches.")
@click.option(
    "--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Keep the truth here; else in memory."
)
@click.option("--keep-ticks", type=click.IntRange(1), help="Newest ticks to keep; 20 million on disk, 1 million else.")
@click.option("--clock", type=click.Choice(["wall", "virtual", "manual"]), default="wall", help="Whose time it is.")
@click.option("--start", default=START, help="First time of a virtual or manual clock.")
@click.option("--speed", default=60.0, type=click.FloatRange(0.001, 100_000), help="Of a virtual clock.")
@click.option(
    "--history-per-minute", default=0, type=click.IntRange(0), help="Pages of history in a minute; 0: no bound."
)
@click.option("--faults", default="", help="JSON list of faults, or a file of one.")
def main(**options: Any) -> None:
    """A real WebSocket and HTTP server on loopback that trades by a seeded process and fails on command.

    Example: python -m sources.simulated --rate 1000 --symbols 100 --faults '[{"kind": "drop", "at_s": 30}]'
    """
    try:
        _run(**options)
    except DeskError as error:
        click.echo(f"simulated: {error}", err=True)
        sys.exit(1)


def _run(
    *,
    host: str,
    port: int,
    port_file: Path | None,
    seed: int,
    rate: float,
    symbols: str,
    quiet: int,
    session_symbols: int,
    session: str,
    skew: float,
    burst: float,
    per_frame: int,
    tickers: float,
    pace_ms: float,
    data_dir: Path | None,
    keep_ticks: int | None,
    clock: str,
    start: str,
    speed: float,
    history_per_minute: int,
    faults: str,
) -> None:
    """Build everything and serve until SIGTERM or SIGINT."""
    names = read_symbols(symbols)
    instruments = list_instruments(
        names,
        seed=seed,
        rate=rate,
        quiet=quiet,
        session_symbols=session_symbols,
        session=_session(session),
        skew=skew,
    )
    truth = TruthLog(data_dir / "simulated" if data_dir else None, names, keep_ticks)
    time_of = _clock(clock, start, speed)
    history = History(instruments, truth, seed, truth.began(time_of.now_ns()))
    exchange = build(
        instruments,
        truth,
        time_of,
        history,
        seed=seed,
        burst=burst,
        rules=Rules(per_frame, tickers, clock_speed=speed if clock == "virtual" else 1.0),
        faults=_faults(faults),
        log=log,
    )
    server = SimulatedServer(
        exchange, history, host=host, port=port, pace_s=pace_ms / 1000, history_per_minute=history_per_minute
    )
    try:
        import uvloop

        run: Callable[[Any], None] = uvloop.run
    except ImportError:
        run = asyncio.run
    run(_serve(server, port_file))


def build(
    instruments: tuple[Instrument, ...],
    truth: TruthLog,
    clock: Clock,
    history: History,
    *,
    seed: int,
    burst: float,
    rules: Rules,
    faults: list[Fault],
    log: Callable[..., None],
) -> Exchange:
    """An exchange that begins now, or goes on where its truth ends."""
    # A tape that goes on draws other numbers than the one before it did.
    tape = Tape(instruments, seed=[seed, len(truth)] if len(truth) else [seed], start_ns=clock.now_ns(), burst=burst)
    # It begins at the prices that its past ends with, or goes on at those of its last trades.
    tape.resume(np.zeros(len(instruments), np.int64), np.array(history.opening_prices()))
    tape.resume(*truth.last_trades())
    return Exchange(instruments, tape, truth, clock, seed=seed, rules=rules, faults=faults, log=log)


def log(event: str, **details: Any) -> None:
    """Write one JSON line to standard error."""
    stamp = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    line = {"timestamp": stamp, "level": "info", "process": "simulated", "event": event, **details}
    # A log that nobody reads any more is no reason to stop trading.
    with contextlib.suppress(OSError):
        print(json.dumps(line, default=str), file=sys.stderr, flush=True)  # noqa: T201  (this is the log)


async def _serve(server: SimulatedServer, port_file: Path | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server:
        line = json.dumps(
            {
                "port": server.port,
                "url": server.url,
                "pid": os.getpid(),
                "exchange": EXCHANGE,
                "clock": type(server.exchange.clock).__name__,
            },
        )
        if port_file is not None:
            aside = port_file.with_name(port_file.name + ".new")
            aside.write_text(line + "\n")
            aside.replace(port_file)
        click.echo(line)
        log("listening", port=server.port, symbols=len(server.exchange.instruments))
        # What was made so far stays: no collection has to look at it again.
        gc.collect()
        gc.freeze()
        await server.wait(stop)
    log("stopped", made=server.exchange.counts["made"])


def _clock(kind: str, start: str, speed: float) -> Clock:
    if kind == "wall":
        return WallClock(time.time_ns)
    try:
        moment = datetime.fromisoformat(start)
    except ValueError as error:
        msg = f"--start takes an ISO 8601 time such as {START}; got {start!r}"
        raise DeskError(msg) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    start_ns = int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    return ManualClock(start_ns) if kind == "manual" else VirtualClock(start_ns, speed, time.monotonic_ns)


def _session(text: str) -> Session:
    def seconds(part: str) -> int:
        hours, minutes = part.split(":")
        return int(hours) * 3600 + int(minutes) * 60

    try:
        begin, end = map(seconds, text.split("-"))
    except ValueError as error:
        msg = f"--session takes UTC hours such as 14:30-21:00; got {text!r}"
        raise DeskError(msg) from error
    if not 0 <= begin < end <= 86_400:
        msg = f"--session ends after it begins, on the same UTC day; got {text!r}"
        raise DeskError(msg)
    return Session(begin, end)


def _faults(given: str) -> list[Fault]:
    if not given:
        return []
    if given.lstrip()[:1] in {"[", "{"}:
        return read_schedule(given)
    try:
        return read_schedule(Path(given).read_text())
    except OSError as error:
        msg = f"--faults: {given} cannot be read ({error.strerror}); give JSON, or a file that holds it"
        raise DeskError(msg) from error


if __name__ == "__main__":
    main()
