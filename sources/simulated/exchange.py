"""The exchange itself, without sockets: its time, its clients' requests, its quotes, and what goes wrong when."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from market.errors import DeskError
from sources.simulated.clients import NORMAL, Clients, Connection, Link, Session
from sources.simulated.clock import Clock
from sources.simulated.faults import Fault, FaultKind, FaultSchedule, read_fault
from sources.simulated.kraken_protocol import HEARTBEAT, HEARTBEAT_S, KrakenSession, KrakenWriter
from sources.simulated.listing import Instrument
from sources.simulated.outbound import text_message
from sources.simulated.quote_board import QuoteBoard, Sweep
from sources.simulated.tape import Tape
from sources.simulated.trade_floor import TradeFloor
from sources.simulated.tradingview_protocol import ProtocolError, TradingViewSession, frame, protocol_error
from sources.simulated.truth import TruthLog

STEP_NS: Final = 250_000_000
"""Longest stretch of exchange time that is handled at once, so that a clock that leaps skips no heartbeat."""
TICKS_PER_STEP: Final = 5_000
"""Trades handled at once: an exchange that is behind catches up in such portions and answers in between."""
HALF_A_FRAME: Final = text_message(b'{"channel":"trade","type":"update","data":[{"symbol":"' + b" " * 200)[:60]
"""The beginning of a message of which the rest never comes."""
GOING_AWAY: Final = 1001
"""WebSocket's code of a server that goes away."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the exchange behaves when nothing is wrong."""

    per_frame: int = 1
    """Trades in one message, at most."""
    tickers_per_s: float = 4.0
    """Kraken tickers a second and symbol, at most."""
    quotes_per_s: float = 2.0
    """TradingView updates a second and symbol, at most."""
    clock_speed: float = 1.0
    """Exchange seconds in a second of the wall; heartbeats go by the wall."""


class Exchange:
    """Everything but the network. It moves only in `pump`, to the time that its clock shows."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        tape: Tape,
        truth: TruthLog,
        clock: Clock,
        *,
        seed: int,
        rules: Rules,
        faults: Sequence[Fault] = (),
        log: Callable[..., None],
    ) -> None:
        """Open the exchange.

        Args:
            instruments: What it lists.
            tape: Its trades; the exchange begins when the tape does.
            truth: Where they are noted.
            clock: What time it is.
            seed: Of the faults' dice, and of the past.
            rules: How it behaves.
            faults: The schedule.
            log: Called with an event's name and its details by keyword.

        Raises:
            DeskError: A fault names a symbol that is not listed.
        """
        self.instruments = tuple(instruments)
        self.clock = clock
        self.truth = truth
        self.start_ns = tape.start_ns
        self.seed = seed
        self.schedule = FaultSchedule(self.start_ns)
        self._names = {str(instrument.symbol): place for place, instrument in enumerate(instruments)}
        self.clients = Clients(self._names, truth, self.schedule, clock.now_ns, log)
        self._rules = rules
        self._log = log
        self._board = QuoteBoard(instruments, self.start_ns)
        self._writer = KrakenWriter(instruments)
        self._floor = TradeFloor(
            self.instruments,
            tape,
            truth,
            self.clients,
            self._board,
            self._writer,
            np.random.default_rng([seed, 0xFA17]),
            per_frame=rules.per_frame,
            stamp_when_sent=clock.stamps_when_sent,
        )
        self._refused = 0
        self._cursor_ns = self.start_ns
        self._closings: list[tuple[int, int, Fault]] = []
        self._closing_number = 0
        self._ticker_sweep = Sweep(len(instruments), rules.tickers_per_s, self.start_ns)
        self._quote_sweep = Sweep(len(instruments), rules.quotes_per_s, self.start_ns)
        self._ticker_shown = np.zeros(len(instruments), np.int64)
        self._heartbeat_ns = int(HEARTBEAT_S * rules.clock_speed * 1e9)
        self._check_ns = self.start_ns
        for fault in faults:
            self._check_symbols(fault)
            self.schedule.add(fault, self.start_ns)

    @property
    def counts(self) -> dict[str, int]:
        """What has happened so far, by name."""
        return self._floor.counts | {"refused": self._refused}

    # Clients

    def refusal(self, endpoint: str) -> int | None:
        """The HTTP status with which a connect is refused now, or None."""
        for fault in self.schedule.active:
            if fault.kind in {FaultKind.REFUSE, FaultKind.MAINTENANCE} and fault.endpoint in {None, endpoint}:
                self._refused += 1
                return fault.status if fault.kind is FaultKind.REFUSE else 503
        return None

    def connect(self, endpoint: str, link: Link) -> Connection:
        """Take in a client and greet it."""
        now_ns = self.clock.now_ns()

        def session_of(number: int) -> Session:
            if endpoint == "kraken":
                return KrakenSession(self.instruments, number)
            return TradingViewSession(self.instruments, self._board, number, now_ns, self._rules.clock_speed)

        connection = self.clients.add(endpoint, link, session_of)
        session = connection.session
        hello = session.status() if isinstance(session, KrakenSession) else frame(session.hello(now_ns)).encode()
        self.clients.send(connection, [hello], now_ns)
        return connection

    def receive(self, connection: Connection, text: str) -> None:
        """Take one message of a client and answer it."""
        if connection.frozen or connection.closed_ns is not None:
            return
        now_ns = self.clock.now_ns()
        session = connection.session
        if isinstance(session, KrakenSession):
            self.clients.send(connection, session.receive(text, now_ns), now_ns)
            self.clients.route()
            self._send_snapshots(connection, session, now_ns)
            return
        try:
            payloads = session.receive(text, now_ns)
        except ProtocolError as error:
            self.clients.send(connection, [frame(protocol_error(str(error))).encode()], now_ns)
            self.clients.cut(connection, str(error), NORMAL)
            return
        self._send_frames(connection, payloads, now_ns)

    def disconnected(self, connection: Connection, reason: str) -> None:
        """A client is gone."""
        self.clients.remove(connection, reason)

    def command(self, given: Any) -> dict[str, Any]:
        """Carry out a fault or a list of them, `{"kind": "clear"}`, or on a manual clock `{"kind": "advance", ...}`.

        Raises:
            DeskError: It is none of these.
        """
        kind = given.get("kind") if isinstance(given, dict) else None
        if kind == "clear":
            self._end(self.schedule.clear())
            self._follow_faults()
        elif kind == "advance":
            self._advance(given.get("seconds", 0))
        else:
            faults = [read_fault(fault) for fault in (given if isinstance(given, list) else [given])]
            for fault in faults:
                self._check_symbols(fault)
            now_ns = self.clock.now_ns()
            for fault in faults:
                self.schedule.add(fault, now_ns)
            self._turn_faults(now_ns)
        return {
            "ok": True,
            "now": self.clock.now_ns(),
            "active": [str(fault.kind) for fault in self.schedule.active],
            "waiting": [str(fault.kind) for fault in self.schedule.waiting],
        }

    # Time

    @property
    def next_ns(self) -> int:
        """Exchange time before which there is nothing to do, but for quotes and heartbeats."""
        times = [
            self._floor.next_trade_ns,
            self._floor.next_release_ns,
            self.clients.next_ns,
            self.schedule.next_ns,
            self._closings[0][0] if self._closings else None,
        ]
        return min(time for time in times if time is not None)

    @property
    def behind_ns(self) -> int:
        """How far the exchange is behind its clock."""
        return max(0, self.clock.now_ns() - self._cursor_ns)

    @property
    def done_ns(self) -> int:
        """Exchange time up to which every trade has been made."""
        return self._cursor_ns

    def pump(self) -> bool:
        """Do all that is due by the clock, or a portion of it; returns whether there is more."""
        now_ns = self.clock.now_ns()
        done = 0
        while self._cursor_ns < now_ns and done < TICKS_PER_STEP:
            until_ns = min(now_ns, self._cursor_ns + STEP_NS)
            fault_ns = self.schedule.next_ns
            if fault_ns is not None and self._cursor_ns < fault_ns < until_ns:
                until_ns = fault_ns
            done += self._floor.trade(until_ns, TICKS_PER_STEP, now_ns)
            # A block or a portion may end before the step does: go no further than what was taken.
            until_ns = min(until_ns, max(self._cursor_ns, self._floor.next_trade_ns - 1))
            self._floor.release(until_ns)
            self._show_quotes(until_ns)
            self.clients.send_waiting(until_ns)
            self._turn_faults(until_ns)
            if until_ns >= self._check_ns:
                self._beat(until_ns)
                self._check_ns = until_ns + self._heartbeat_ns // 10
            self._cursor_ns = until_ns
        return self._cursor_ns < now_ns

    def _advance(self, seconds: Any) -> None:
        advance = getattr(self.clock, "advance", None)
        if advance is None:
            msg = "only a manual clock is advanced by command; start the exchange with --clock manual"
            raise DeskError(msg)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 1e7:
            msg = f"advance: seconds is a number from 0 to 1e7, got {seconds!r}"
            raise DeskError(msg)
        advance(seconds)
        while self.pump():
            pass

    # Quotes and heartbeats

    def _show_quotes(self, now_ns: int) -> None:
        """Send the tickers and quotes whose turn has come, if they changed."""
        due = self._ticker_sweep.due(now_ns)
        if self.clients.ticker_routes and len(due):
            board = self._board
            changed = due[board.revision[due] != self._ticker_shown[due]]
            self._ticker_shown[changed] = board.revision[changed]
            for route in self.clients.ticker_routes:
                symbols = changed[route.mask[changed]].tolist()
                if symbols:
                    wire = text_message(self._writer.ticker_frame(board, symbols, now_ns))
                    for connection in route.connections:
                        self.clients.write(connection, wire, 1, now_ns)
        due = self._quote_sweep.due(now_ns)
        if not len(due):
            return
        for connection in self.clients.live("tradingview"):
            session = connection.session
            assert isinstance(session, TradingViewSession)
            if session.watching:
                heard = due[~self.clients.muted(connection)[due]]
                self._send_frames(connection, session.updates(heard.tolist(), now_ns), now_ns)

    def _send_snapshots(self, connection: Connection, session: KrakenSession, now_ns: int) -> None:
        """Send what new subscriptions asked for: the last trades, the ticker of now."""
        wanted, session.snapshots = session.snapshots, []
        if not wanted:
            return
        muted = self.clients.muted(connection)
        trades = []
        for channel, symbol in wanted:
            if muted[symbol]:
                continue
            if channel == "trade":
                trades.append(symbol)
            elif not np.isnan(self._board.last[symbol]):
                ticker = self._writer.ticker_frame(self._board, [symbol], now_ns, "snapshot")
                self.clients.send(connection, [ticker], now_ns)
        if trades:
            self._floor.send_snapshots(connection, trades, now_ns)

    def _beat(self, now_ns: int) -> None:
        """Send the heartbeats that are due."""
        for connection in self.clients.live():
            session = connection.session
            if connection.silent:
                continue
            if isinstance(session, KrakenSession):
                if session.listening and now_ns - session.sent_ns >= self._heartbeat_ns:
                    self.clients.send(connection, [HEARTBEAT], now_ns)
                continue
            try:
                beat = session.heartbeat(now_ns)
            except ProtocolError as error:
                self.clients.cut(connection, str(error), NORMAL)
                continue
            self._send_frames(connection, [] if beat is None else [beat], now_ns)

    def _send_frames(self, connection: Connection, payloads: Sequence[str], now_ns: int) -> None:
        """Send TradingView payloads as one message."""
        if payloads:
            self.clients.send(connection, ["".join(map(frame, payloads)).encode()], now_ns)

    # Faults

    def _turn_faults(self, now_ns: int) -> None:
        """Begin and end the faults whose time has come."""
        began, ended = self.schedule.advance(now_ns)
        for fault in began:
            self._log("fault began", kind=str(fault.kind), duration_s=fault.duration_s, symbols=fault.symbols)
            self._begin(fault, now_ns)
        while self._closings and self._closings[0][0] <= now_ns:
            _, _, fault = heapq.heappop(self._closings)
            for connection in self.clients.concerned(fault):
                self.clients.cut(connection, "maintenance", GOING_AWAY)
        self._end(ended)
        if began or ended:
            self._follow_faults()

    def _begin(self, fault: Fault, now_ns: int) -> None:
        """Do what a fault does in the moment it begins."""
        if fault.kind is FaultKind.MAINTENANCE:
            self._closing_number += 1
            heapq.heappush(self._closings, (now_ns + int(fault.seconds * 1e9), self._closing_number, fault))
        for connection in self.clients.concerned(fault):
            if fault.kind is FaultKind.MAINTENANCE and isinstance(connection.session, KrakenSession):
                self.clients.send(connection, [connection.session.status("maintenance")], now_ns)
            elif fault.kind is FaultKind.DROP:
                if fault.mid_frame:
                    connection.link.send(HALF_A_FRAME)
                    connection.link.hang_up()
                    self.clients.remove(connection, "dropped")
                else:
                    self.clients.cut(connection, "dropped", GOING_AWAY)
            elif fault.kind is FaultKind.RST:
                self.clients.cut(connection, "reset")
            elif fault.kind is FaultKind.HALF_OPEN:
                connection.frozen = True
                connection.link.freeze()

    def _end(self, faults: Sequence[Fault]) -> None:
        """Do what a fault does in the moment it ends."""
        for fault in faults:
            self._log("fault ended", kind=str(fault.kind))
            if fault.kind is FaultKind.HALF_OPEN:
                for connection in self.clients.concerned(fault):
                    if connection.frozen:
                        self.clients.cut(connection, "half open")

    def _follow_faults(self) -> None:
        self._floor.follow_faults(self.schedule.active)
        self.clients.follow_faults()

    def _check_symbols(self, fault: Fault) -> None:
        unknown = [name for name in fault.symbols if name not in self._names]
        if unknown:
            msg = f"fault {fault.kind}: {unknown[0]} is not listed here; {len(self._names):,} symbols are, see /health"
            raise DeskError(msg)
