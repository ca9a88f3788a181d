"""A venue in memory: the exchange on a manual clock, and clients that read its bytes by hand."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sources.simulated.clock import ManualClock
from sources.simulated.exchange import Exchange, Rules
from sources.simulated.faults import Fault
from sources.simulated.listing import list_instruments, read_symbols
from sources.simulated.tape import Tape
from sources.simulated.truth import TruthLog

if TYPE_CHECKING:
    from sources.simulated.clients import Connection

START_NS = 1_767_623_340_000_000_000
"""2026-01-05T14:29:00Z."""


def decode(data: bytes) -> list[str]:
    """The text messages in unmasked WebSocket frames."""
    messages = []
    place = 0
    while place < len(data):
        assert data[place] == 0x81, "a whole text message"
        length, place = data[place + 1], place + 2
        if length == 126:
            length, place = int.from_bytes(data[place : place + 2], "big"), place + 2
        elif length == 127:
            length, place = int.from_bytes(data[place : place + 8], "big"), place + 8
        messages.append(data[place : place + length].decode())
        place += length
    assert place == len(data), "no frame is cut off"
    return messages


class Client:
    """A link that keeps what it was sent."""

    def __init__(self, exchange: Exchange, endpoint: str) -> None:
        self.exchange = exchange
        self.data = bytearray()
        self.ended: str | None = None
        self.frozen = False
        self.backlog = 0
        self.connection: Connection = exchange.connect(endpoint, self)

    def send(self, data: bytes) -> None:
        """Keep what comes."""
        assert self.ended is None, "nothing comes after the end"
        self.data += data

    def close(self, code: int, reason: str) -> None:
        """The exchange closes."""
        self.ended = f"close {code}"

    def reset(self) -> None:
        """The exchange resets."""
        self.ended = "reset"

    def hang_up(self) -> None:
        """The exchange ends TCP."""
        self.ended = "hung up"

    def freeze(self) -> None:
        """The exchange reads no more."""
        self.frozen = True

    def messages(self) -> list[str]:
        """What came since the last call."""
        found = decode(bytes(self.data))
        self.data.clear()
        return found

    def say(self, value: Any) -> list[Any]:
        """Send a JSON message; returns what comes back at once, decoded."""
        self.exchange.receive(self.connection, json.dumps(value))
        return [json.loads(message) for message in self.messages()]

    def subscribe(self, channel: str = "trade", symbols: Sequence[str] = (), **params: Any) -> list[Any]:
        """Subscribe to some symbols, or to all; returns the answers."""
        pairs = symbols or [instrument.pair for instrument in self.exchange.instruments]
        return self.say({"method": "subscribe", "params": {"channel": channel, "symbol": list(pairs), **params}})

    def trades(self) -> list[dict[str, Any]]:
        """Readable trades that came since the last call."""
        pairs = {instrument.pair for instrument in self.exchange.instruments}
        return [trade for message in self.messages() for trade in _readable(message, pairs)]


def _readable(text: str, pairs: set[str]) -> list[dict[str, Any]]:
    """The good trades of a message, which may be garbage."""
    try:
        message = json.loads(text)
        return [
            trade
            for trade in message["data"]
            if message["channel"] == "trade"
            and trade["symbol"] in pairs
            and trade["price"] > 0
            and trade["qty"] > 0
            and trade["trade_id"] > 0
            and trade["timestamp"].startswith("20")
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []


class Venue:
    """An exchange that stands still until it is told to move."""

    def __init__(
        self,
        *,
        rate: float = 200,
        symbols: str = "5",
        seed: int = 1,
        folder: Path | None = None,
        faults: Sequence[Fault] = (),
        per_frame: int = 1,
        start_ns: int = START_NS,
        **listing: Any,
    ) -> None:
        names = read_symbols(symbols)
        instruments = list_instruments(names, seed=seed, rate=rate, **listing)
        self.truth = TruthLog(folder, names)
        self.clock = ManualClock(start_ns)
        tape = Tape(instruments, seed=[seed], start_ns=start_ns)
        tape.resume(*self.truth.last_trades())
        self.events: list[str] = []
        self.exchange = Exchange(
            instruments,
            tape,
            self.truth,
            self.clock,
            seed=seed,
            rules=Rules(per_frame=per_frame),
            faults=faults,
            log=lambda event, **_: self.events.append(event),
        )

    def connect(self, endpoint: str = "kraken") -> Client:
        """A new client."""
        return Client(self.exchange, endpoint)

    def trader(self, **params: Any) -> Client:
        """A client that has subscribed to all trades."""
        client = self.connect()
        client.subscribe(**params)
        client.messages()
        return client

    def command(self, **command: Any) -> dict[str, Any]:
        """What /control does."""
        return self.exchange.command(command)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.exchange.command({"kind": "advance", "seconds": seconds})

    def made(self) -> np.ndarray[Any, Any]:
        """The truth so far."""
        return self.truth.newest(10**9)[1]


@pytest.fixture
def venue() -> Callable[..., Venue]:
    return Venue
