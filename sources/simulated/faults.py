"""What can go wrong on command or by schedule: the faults, their text form, and which of them are on at a time."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

from market.errors import DeskError
from market.symbols import parse_symbol

SECOND_NS: Final = 1_000_000_000


class FaultKind(StrEnum):
    """The ways to fail."""

    DROP = "drop"
    """Closes the connections, with a close frame."""
    RST = "rst"
    """Resets the connections (TCP RST), without a word."""
    HALF_OPEN = "half_open"
    """The connections of this moment neither read nor write any more, but TCP keeps them; reset when it is over."""
    MUTE = "mute"
    """No trades and no quotes; the connections live, with heartbeats unless `heartbeats` is false."""
    QUIET = "quiet"
    """Nothing is traded: trades that would be made are not, and ids go on afterwards where they stopped."""
    SLOW = "slow"
    """Everything arrives `seconds` late."""
    REFUSE = "refuse"
    """A connect is answered by HTTP `status`, 429 as a rule."""
    GARBAGE = "garbage"
    """Frames that are no frame of the protocol come between the others, one for each trade with probability `share`."""
    TRUNCATED = "truncated"
    """Trades (each with probability `share`) come in a frame that is cut off."""
    DUPLICATES = "duplicates"
    """Trades (each with probability `share`) come twice."""
    OUT_OF_ORDER = "out_of_order"
    """Trades (each with probability `share`) come up to `seconds` after later ones."""
    LATE = "late"
    """Trades (each with probability `share`) come `seconds` late, with the stamp of when they were made."""
    CLOCK_JUMP = "clock_jump"
    """Stamps are off by `seconds`, which may be negative."""
    MAINTENANCE = "maintenance"
    """The venue says so, closes the connections after `seconds`, and answers a connect by HTTP 503 until it is over."""
    HISTORY_REFUSE = "history_refuse"
    """Pages of history are answered by HTTP `status`, with `seconds` as Retry-After."""
    HISTORY_SLOW = "history_slow"
    """Pages come `seconds` late, by the wall."""
    HISTORY_RESET = "history_reset"
    """The connection is reset in the middle of a page."""
    HISTORY_TRUNCATED = "history_truncated"
    """Pages end in the middle of their JSON."""
    HISTORY_TYPES = "history_types"
    """Pages hold values of other types than they should, or are no object at all."""
    HISTORY_EMPTY = "history_empty"
    """Pages hold nothing, but say that there is more."""
    HISTORY_DUPLICATES = "history_duplicates"
    """Rows of a page come twice."""
    HISTORY_OVERLAP = "history_overlap"
    """Pages also hold rows of the one before."""
    HISTORY_OUT_OF_ORDER = "history_out_of_order"
    """Rows of a page are shuffled."""
    HISTORY_NAN = "history_nan"
    """Rows of a page are spoiled: no number, high below low, a negative volume."""


TRADE_FAULTS: Final = frozenset(
    {
        FaultKind.QUIET,
        FaultKind.GARBAGE,
        FaultKind.TRUNCATED,
        FaultKind.DUPLICATES,
        FaultKind.OUT_OF_ORDER,
        FaultKind.LATE,
        FaultKind.CLOCK_JUMP,
    },
)
"""Those that change trades on their way out, or leave none to be made."""

HISTORY_FAULTS: Final = frozenset(kind for kind in FaultKind if kind.startswith("history_"))
"""Those that are about pages of history, each page with probability `share`."""

_SECONDS: Final = {
    FaultKind.SLOW: 1.0,
    FaultKind.OUT_OF_ORDER: 0.5,
    FaultKind.LATE: 30.0,
    FaultKind.CLOCK_JUMP: 60.0,
    FaultKind.MAINTENANCE: 1.0,
    FaultKind.HISTORY_REFUSE: 1.0,
    FaultKind.HISTORY_SLOW: 1.0,
}
_SHARES: Final = {FaultKind.LATE: 1.0, **dict.fromkeys(HISTORY_FAULTS, 1.0)}
_MOMENTARY: Final = frozenset({FaultKind.DROP, FaultKind.RST})
ENDPOINTS: Final = ("kraken", "tradingview")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: FaultKind
    at_s: float | None = None
    """When it begins, s after the exchange's start by its clock; None: now."""
    duration_s: float = 10.0
    """How long it lasts, s; 0 for what happens in a moment."""
    symbols: tuple[str, ...] = ()
    """Symbols that it is about; empty: all. (mute and what is done to trades)"""
    endpoint: str | None = None
    """`kraken` or `tradingview`; None: both. (what is done to connections)"""
    connection: int | None = None
    """Number of the one connection that it is about; None: all."""
    seconds: float = 0.0
    """What the kind says it is."""
    share: float = 0.1
    """Probability by trade, 0 to 1."""
    heartbeats: bool = True
    """Whether a muted connection still gets heartbeats."""
    status: int = 429
    """HTTP status of a refusal."""
    mid_frame: bool = False
    """Whether a drop comes in the middle of a frame and without a close frame."""
    pages: int | None = None
    """Pages of history that it is about at most; None: all that come while it lasts."""


def read_fault(given: Any) -> Fault:
    """Read a fault's text form, a JSON object with the fields of `Fault` (`symbol` for a single one).

    Raises:
        DeskError: No such kind, a field unknown, of the wrong type or out of its range.

    >>> read_fault({"kind": "late", "seconds": 90, "symbol": "sim:btcusd"}).symbols
    ('SIM:BTCUSD',)
    """
    if not isinstance(given, dict):
        msg = f'a fault is a JSON object such as {{"kind": "drop"}}, not {json.dumps(given)[:80]}'
        raise DeskError(msg)
    values = dict(given)
    kind = values.pop("kind", None)
    if kind not in {str(known) for known in FaultKind}:
        msg = f"fault kind {kind!r} is none of {' '.join(FaultKind)}"
        raise DeskError(msg)
    kind = FaultKind(kind)
    unknown = values.keys() - {field.name for field in fields(Fault)} - {"symbol"}
    if unknown:
        msg = f"fault {kind}: unknown field {min(unknown)!r}; known are {', '.join(f.name for f in fields(Fault))}"
        raise DeskError(msg)
    names = values.pop("symbols", None) or []
    if "symbol" in values:
        single = values.pop("symbol")
        names = [*names, single] if single is not None else names
    fault = Fault(
        kind=kind,
        at_s=_number(kind, values, "at_s", None, 0.0, 1e9),
        duration_s=_number(kind, values, "duration_s", 0.0 if kind in _MOMENTARY else 10.0, 0.0, 1e9) or 0.0,
        symbols=_symbols(kind, names),
        endpoint=values.get("endpoint"),
        connection=values.get("connection"),
        seconds=_number(
            kind,
            values,
            "seconds",
            _SECONDS.get(kind, 0.0),
            -1e9 if kind is FaultKind.CLOCK_JUMP else 0.0,
            1e9,
        )
        or 0.0,
        share=_number(kind, values, "share", _SHARES.get(kind, 0.1), 0.0, 1.0) or 0.0,
        heartbeats=_flag(kind, values, "heartbeats", default=True),
        mid_frame=_flag(kind, values, "mid_frame", default=False),
        status=int(_number(kind, values, "status", 429, 400, 599) or 429),
        pages=values.get("pages"),
    )
    if fault.pages is not None and (type(fault.pages) is not int or fault.pages < 1 or kind not in HISTORY_FAULTS):
        msg = f"fault {kind}: pages is a count of pages of history, got {fault.pages!r}"
        raise DeskError(msg)
    if kind in HISTORY_FAULTS and (fault.connection is not None or fault.endpoint is not None):
        msg = f"fault {kind}: it is about pages of history, whoever asks; leave connection and endpoint out"
        raise DeskError(msg)
    if fault.symbols and kind not in TRADE_FAULTS | HISTORY_FAULTS | {FaultKind.MUTE}:
        msg = f"fault {kind}: it is about connections, not about symbols; leave {fault.symbols[0]} out"
        raise DeskError(msg)
    if kind in TRADE_FAULTS and (fault.connection is not None or fault.endpoint is not None):
        msg = f"fault {kind}: it is about trades, the same for all connections; leave connection and endpoint out"
        raise DeskError(msg)
    if fault.endpoint not in {None, *ENDPOINTS}:
        msg = f"fault {kind}: endpoint {fault.endpoint!r} is none of {' '.join(ENDPOINTS)}"
        raise DeskError(msg)
    if fault.connection is not None and type(fault.connection) is not int:
        msg = f"fault {kind}: connection is the number of one, got {fault.connection!r}"
        raise DeskError(msg)
    return fault


def read_schedule(text: str) -> list[Fault]:
    """Read a JSON list of faults, or one fault.

    Raises:
        DeskError: The text is no JSON, or one of them is no fault.
    """
    try:
        given = json.loads(text)
    except ValueError as error:
        msg = f"faults are a JSON list of objects: {error}; got {text[:80]!r}"
        raise DeskError(msg) from error
    return [read_fault(one) for one in (given if isinstance(given, list) else [given])]


class FaultSchedule:
    """The faults to come and those that are on. A pure function of the times that it is advanced to."""

    def __init__(self, start_ns: int, faults: Iterable[Fault] = ()) -> None:
        self._start_ns = start_ns
        self._waiting: list[tuple[int, Fault]] = []
        self._active: list[tuple[int, Fault]] = []
        for fault in faults:
            self.add(fault, start_ns)

    def add(self, fault: Fault, now_ns: int) -> None:
        """Schedule a fault; one without `at_s`, or whose time has passed, begins at the next `advance`."""
        begin_ns = now_ns if fault.at_s is None else max(now_ns, self._start_ns + int(fault.at_s * SECOND_NS))
        self._waiting.append((begin_ns, fault))
        self._waiting.sort(key=lambda entry: entry[0])

    def clear(self) -> list[Fault]:
        """End all that are on and forget those to come; returns those that were on."""
        ended = [fault for _, fault in self._active]
        self._waiting.clear()
        self._active.clear()
        return ended

    def advance(self, now_ns: int) -> tuple[list[Fault], list[Fault]]:
        """Move on to `now_ns`; returns the faults that began and those that ended."""
        began = [fault for begin_ns, fault in self._waiting if begin_ns <= now_ns]
        self._active += [(begin + int(f.duration_s * SECOND_NS), f) for begin, f in self._waiting if begin <= now_ns]
        self._waiting = [entry for entry in self._waiting if entry[0] > now_ns]
        ended = [fault for end_ns, fault in self._active if end_ns <= now_ns]
        self._active = [entry for entry in self._active if entry[0] > now_ns]
        return began, ended

    @property
    def active(self) -> Sequence[Fault]:
        """The faults that are on."""
        return [fault for _, fault in self._active]

    @property
    def waiting(self) -> Sequence[Fault]:
        """The faults to come."""
        return [fault for _, fault in self._waiting]

    @property
    def next_ns(self) -> int | None:
        """When the next fault begins or ends."""
        return min([*(time for time, _ in self._waiting), *(time for time, _ in self._active)], default=None)


def _number(
    kind: FaultKind,
    values: dict[str, Any],
    name: str,
    default: float | None,
    least: float,
    most: float,
) -> float | None:
    value = values.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        msg = f"fault {kind}: {name} is a number from {least:g} to {most:g}, got {value!r}"
        raise DeskError(msg)
    return float(value)


def _flag(kind: FaultKind, values: dict[str, Any], name: str, *, default: bool) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool):
        msg = f"fault {kind}: {name} is true or false, got {value!r}"
        raise DeskError(msg)
    return value


def _symbols(kind: FaultKind, names: Any) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        msg = f"fault {kind}: symbols is a list of names, got {names!r}"
        raise DeskError(msg)
    try:
        return tuple(str(parse_symbol(name if ":" in name else f"SIM:{name}")) for name in names)
    except ValueError as error:
        msg = f"fault {kind}: {error}"
        raise DeskError(msg) from error
