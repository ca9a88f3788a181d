"""The clients: who is connected, who gets which trades, and what is still on its way to whom."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sources.simulated.faults import Fault, FaultKind, FaultSchedule
from sources.simulated.kraken_protocol import KrakenSession
from sources.simulated.outbound import text_messages
from sources.simulated.tradingview_protocol import TradingViewSession
from sources.simulated.truth import LAST_BIT, TruthLog

BACKLOG_BYTES: Final = 32 << 20
"""A client with more than this waiting to be read is disconnected, as venues do."""
PAST_CONNECTIONS: Final = 1_000
NORMAL: Final = 1000
"""WebSocket's code of a normal closure."""

Mask = NDArray[np.bool_]
"""One entry a symbol."""
Positions = NDArray[np.int64]
"""Positions of trades in the truth."""
Session = KrakenSession | TradingViewSession


class Link(Protocol):
    """The network's side of a connection."""

    def send(self, data: bytes) -> None:
        """Write bytes that are WebSocket frames already."""

    def close(self, code: int, reason: str) -> None:
        """Close with a close frame."""

    def reset(self) -> None:
        """End TCP by RST."""

    def hang_up(self) -> None:
        """End TCP by FIN, without a close frame."""

    def freeze(self) -> None:
        """Read no more."""

    @property
    def backlog(self) -> int:
        """Bytes that the client has not taken yet, beyond the socket's own buffer."""


@dataclass(slots=True, eq=False)
class Connection:
    """One client."""

    number: int
    endpoint: str
    link: Link
    opened_ns: int
    session: Session
    closed_ns: int | None = None
    reason: str = ""
    trades: int = 0
    """Trades handed to its socket."""
    messages: int = 0
    frozen: bool = False
    """Half open."""
    silent: bool = False
    """Without heartbeats."""
    delay_ns: int = 0
    waiting: deque[tuple[int, bytes, Positions | None]] = field(default_factory=deque)
    """(time to send, bytes, positions of the trades in them): what a slow connection has yet to get."""

    @property
    def bit(self) -> int:
        """Its bit in the truth's `sent`."""
        return min(self.number, LAST_BIT)

    @property
    def slow(self) -> bool:
        """Whether what is sent to it now waits."""
        return bool(self.delay_ns or self.waiting)


class Route(NamedTuple):
    """Connections that get the same symbols, so that what they get is written once."""

    mask: Mask
    everything: bool
    connections: list[Connection]


class Clients:
    """All connections. Faults that are about connections are looked up in the schedule."""

    def __init__(
        self,
        names: dict[str, int],
        truth: TruthLog,
        schedule: FaultSchedule,
        now_ns: Callable[[], int],
        log: Callable[..., None],
    ) -> None:
        """Begin without any.

        Args:
            names: Place of each symbol by its name.
            truth: Told what did not arrive after all.
            schedule: The faults.
            now_ns: Exchange time.
            log: Called with an event's name and its details by keyword.
        """
        self.connected: dict[int, Connection] = {}
        self.past: deque[Connection] = deque(maxlen=PAST_CONNECTIONS)
        self.trade_routes: list[Route] = []
        self.ticker_routes: list[Route] = []
        self._names = names
        self._opened = 0
        self._truth = truth
        self._schedule = schedule
        self._now_ns = now_ns
        self._log = log

    def add(self, endpoint: str, link: Link, new_session: Callable[[int], Session]) -> Connection:
        """Take in a client; its session is made from its number."""
        number = self._opened
        self._opened += 1
        connection = Connection(number, endpoint, link, self._now_ns(), new_session(number))
        self.connected[number] = connection
        self._log("connected", connection=number, endpoint=endpoint)
        self.follow_faults()
        return connection

    def remove(self, connection: Connection, reason: str) -> None:
        """A client is gone, from either side; once is enough."""
        if connection.closed_ns is not None:
            return
        connection.closed_ns = self._now_ns()
        connection.reason = reason
        lost = [positions for _, _, positions in connection.waiting if positions is not None]
        if lost:
            self._truth.mark_lost(np.concatenate(lost), connection.bit)
        connection.waiting.clear()
        self.connected.pop(connection.number, None)
        self.past.append(connection)
        self.route()
        self._log("disconnected", connection=connection.number, reason=reason, trades=connection.trades)

    def cut(self, connection: Connection, reason: str, code: int | None = None) -> None:
        """End a connection from our side, by a close frame with `code` or by RST. It gets nothing more."""
        if code is None:
            connection.link.reset()
        else:
            connection.link.close(code, reason if code != NORMAL else "")
        self.remove(connection, reason)

    def live(self, endpoint: str | None = None) -> list[Connection]:
        """Connections that are not half open, of one endpoint or of all."""
        return [c for c in self.connected.values() if not c.frozen and endpoint in {None, c.endpoint}]

    def concerned(self, fault: Fault) -> list[Connection]:
        """Connections that a fault is about."""
        return [connection for connection in self.connected.values() if _concerns(fault, connection)]

    def mask_of(self, fault: Fault) -> Mask:
        """Which symbols a fault is about."""
        mask = np.full(len(self._names), not fault.symbols)
        mask[[self._names[name] for name in fault.symbols]] = True
        return mask

    def muted(self, connection: Connection) -> Mask:
        """Which symbols are mute on a connection."""
        muted = np.zeros(len(self._names), np.bool_)
        for fault in self._schedule.active:
            if fault.kind is FaultKind.MUTE and _concerns(fault, connection):
                muted |= self.mask_of(fault)
        return muted

    def follow_faults(self) -> None:
        """Set what depends on which faults are on."""
        for connection in self.connected.values():
            mine = [fault for fault in self._schedule.active if _concerns(fault, connection)]
            connection.delay_ns = int(sum(f.seconds for f in mine if f.kind is FaultKind.SLOW) * 1e9)
            connection.silent = any(f.kind is FaultKind.MUTE and not f.heartbeats for f in mine)
        self.route()

    def route(self) -> None:
        """Group the connections by what they get."""
        trades: dict[bytes, Route] = {}
        tickers: dict[bytes, Route] = {}
        for connection in self.live("kraken"):
            assert isinstance(connection.session, KrakenSession)
            heard = ~self.muted(connection)
            for routes, channel in ((trades, "trade"), (tickers, "ticker")):
                mask = connection.session.subscribed[channel] & heard
                if mask.any():
                    route = routes.setdefault(mask.tobytes(), Route(mask, bool(mask.all()), []))
                    route.connections.append(connection)
        self.trade_routes = list(trades.values())
        self.ticker_routes = list(tickers.values())

    def send(self, connection: Connection, payloads: Sequence[bytes], now_ns: int) -> None:
        """Send messages that hold no trades."""
        if payloads and not connection.frozen and connection.closed_ns is None:
            self.write(connection, text_messages(payloads), len(payloads), now_ns)

    def write(
        self,
        connection: Connection,
        wire: bytes,
        messages: int,
        now_ns: int,
        positions: Positions | None = None,
    ) -> None:
        """Hand bytes to the link, or keep them if the connection is slow.

        Args:
            connection: The client.
            wire: WebSocket frames.
            messages: How many.
            now_ns: Exchange time.
            positions: Of the trades in them that are marked as sent; needed only where `connection.slow`.
        """
        if connection.closed_ns is not None:
            return
        connection.messages += messages
        if isinstance(connection.session, KrakenSession):
            connection.session.sent_ns = now_ns
        if connection.slow:
            # What waits stays in order even when the delay shrinks or ends.
            due_ns = now_ns + connection.delay_ns
            if connection.waiting:
                due_ns = max(due_ns, connection.waiting[-1][0])
            connection.waiting.append((due_ns, wire, positions))
            return
        connection.link.send(wire)
        if connection.link.backlog > BACKLOG_BYTES:
            self.cut(connection, "too slow a reader")

    def send_waiting(self, now_ns: int) -> None:
        """Send what slow connections have waited for."""
        for connection in self.live():
            while connection.waiting and connection.waiting[0][0] <= now_ns:
                connection.link.send(connection.waiting.popleft()[1])

    @property
    def next_ns(self) -> int | None:
        """When the next of what waits is due."""
        return min((c.waiting[0][0] for c in self.connected.values() if c.waiting and not c.frozen), default=None)


def _concerns(fault: Fault, connection: Connection) -> bool:
    return fault.endpoint in {None, connection.endpoint} and fault.connection in {None, connection.number}
