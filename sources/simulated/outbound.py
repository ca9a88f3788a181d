"""What happens to trades on their way out: which go at once, later, cut off or twice; WebSocket frames; garbage."""

import json
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sources.simulated.faults import TRADE_FAULTS, Fault, FaultKind
from sources.simulated.listing import Instrument
from sources.simulated.tape import Fate

HELD_STEPS: Final = 16
"""Into how many moments an out-of-order fault spreads the trades of one batch."""


class Sorted(NamedTuple):
    """Places in a batch, by what becomes of them."""

    live: NDArray[np.intp]
    """Sent at once."""
    spoiled: NDArray[np.intp]
    """Sent in a message that is cut off."""
    doubled: NDArray[np.intp]
    """Of the live ones: sent once more."""
    held: list[tuple[int, NDArray[np.intp]]]
    """(ns to wait, places)."""


class Sorter:
    """Rolls the dice for each trade while faults are on that change trades."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._faults: list[tuple[Fault, NDArray[np.bool_]]] = []
        self.garbage_share = 0.0
        """Garbage messages by trade."""

    def set_faults(self, active: Sequence[Fault], mask_of: Callable[[Fault], NDArray[np.bool_]]) -> None:
        """Say which faults are on, and how to tell the symbols that one is about."""
        self._faults = [(fault, mask_of(fault)) for fault in active if fault.kind in TRADE_FAULTS]
        shares = [fault.share for fault, _ in self._faults if fault.kind is FaultKind.GARBAGE]
        self.garbage_share = min(1.0, sum(shares))

    @property
    def active(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._faults)

    def sort(self, records: NDArray[np.void]) -> Sorted:
        """Decide on each trade of a batch; sets `stamp` and `flags` in place. No trade has two fates."""
        count = len(records)
        free = np.ones(count, np.bool_)
        symbols = records["symbol"]
        spoiled = np.empty(0, np.intp)
        doubled = np.empty(0, np.intp)
        held: list[tuple[int, NDArray[np.intp]]] = []
        for fault, mask in self._faults:
            concerned = mask[symbols]
            if fault.kind is FaultKind.CLOCK_JUMP:
                records["stamp"][concerned] += int(fault.seconds * 1e6) * 1000
                continue
            if fault.kind in {FaultKind.GARBAGE, FaultKind.QUIET}:
                continue
            places = np.flatnonzero(concerned & free & (self._rng.random(count) < fault.share))
            if not len(places):
                continue
            free[places] = False
            wait_ns = int(fault.seconds * 1e9)
            if fault.kind is FaultKind.LATE:
                records["flags"][places] = Fate.HELD
                held.append((wait_ns, places))
            elif fault.kind is FaultKind.OUT_OF_ORDER:
                records["flags"][places] = Fate.HELD
                steps = self._rng.integers(1, HELD_STEPS + 1, len(places))
                held += [(wait_ns * int(s) // HELD_STEPS, places[steps == s]) for s in np.unique(steps)]
            elif fault.kind is FaultKind.TRUNCATED:
                records["flags"][places] = Fate.SPOILED
                spoiled = np.concatenate([spoiled, places])
            else:
                records["flags"][places] = Fate.DUPLICATED
                doubled = np.concatenate([doubled, places])
        live = np.flatnonzero(records["flags"] & (Fate.HELD | Fate.SPOILED) == 0)
        return Sorted(live, spoiled, doubled, held)


def text_message(payload: bytes) -> bytes:
    """One unmasked WebSocket text message in a single frame (RFC 6455, section 5.2)."""
    length = len(payload)
    if length < len(_HEADS):
        return _HEADS[length] + payload
    return _head(length) + payload


def text_messages(payloads: Sequence[bytes]) -> bytes:
    """Messages one after the other, for one write."""
    heads = _HEADS
    short = len(heads)
    parts = []
    for payload in payloads:
        length = len(payload)
        parts.append(heads[length] if length < short else _head(length))
        parts.append(payload)
    return b"".join(parts)


def _head(length: int) -> bytes:
    if length < 126:
        return bytes((0x81, length))
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


_HEADS: Final = tuple(_head(length) for length in range(1024))
"""Headers of short messages, ready made."""


def garbage_frame(rng: np.random.Generator, instruments: Sequence[Instrument]) -> bytes:
    """A message that a client must refuse: never one that holds a good trade."""
    pair = instruments[int(rng.integers(len(instruments)))].pair
    good = {
        "symbol": pair,
        "side": "buy",
        "price": 100.0,
        "qty": 1.0,
        "ord_type": "market",
        "trade_id": 1,
        "timestamp": "2026-01-05T14:30:00.000000Z",
    }
    bad_values: list[dict[str, object]] = [
        {"price": None},
        {"price": "NaN"},
        {"price": -5.0},
        {"price": 0},
        {"qty": -1.0},
        {"qty": "a lot"},
        {"timestamp": "yesterday"},
        {"timestamp": 17},
        {"timestamp": "1969-12-31T23:59:59.000000Z"},
        {"symbol": 5},
        {"symbol": "NOSUCH/USD"},
        {"trade_id": "x"},
    ]
    choice = int(rng.integers(6))
    if choice == 0:
        # Noise, kept to ASCII: text that is not UTF-8 ends a WebSocket connection before any parser sees it.
        return rng.integers(32, 127, int(rng.integers(1, 200)), dtype=np.uint8).tobytes()
    if choice == 1:
        return b'{"channel":"trade","type":"update","data":' + b"[" * int(rng.integers(1, 2_000))
    if choice == 2:
        return json.dumps([None, 1, "x", [], {"channel": "trade", "data": 5}][int(rng.integers(5))]).encode()
    if choice == 3:
        return b'{"channel":"trade","type":"update","data":[{"symbol":"%s"}]}' % pair.encode()
    if choice == 4:
        return b'{"channel":"trade","type":"update","data":[' + b"9" * 400 + b"]}"
    bad = good | bad_values[int(rng.integers(len(bad_values)))]
    return json.dumps({"channel": "trade", "type": "update", "data": [bad]}, separators=(",", ":")).encode()
