"""The trade floor: trades from the tape, through the faults, into the truth, and only then to the clients."""

import heapq
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sources.simulated.clients import Clients, Connection, Positions, Route
from sources.simulated.faults import Fault, FaultKind
from sources.simulated.kraken_protocol import SNAPSHOT_TRADES, KrakenWriter
from sources.simulated.listing import Instrument
from sources.simulated.outbound import Sorted, Sorter, garbage_frame, text_messages
from sources.simulated.quote_board import QuoteBoard
from sources.simulated.tape import Fate, Tape, Ticks
from sources.simulated.truth import TruthLog

SNAPSHOT_REACH: Final = 200_000
"""How far back a snapshot looks for a symbol's last trades."""
HELD_MAX: Final = 2_000_000
"""Trades that a fault may hold back at once; those beyond it are never sent."""

Records = NDArray[np.void]


class TradeFloor:
    """Makes trades, keeps those that a fault holds back, and hands the rest out."""

    def __init__(
        self,
        instruments: Sequence[Instrument],
        tape: Tape,
        truth: TruthLog,
        clients: Clients,
        board: QuoteBoard,
        writer: KrakenWriter,
        rng: np.random.Generator,
        *,
        per_frame: int,
        stamp_when_sent: bool,
    ) -> None:
        """Open the floor.

        Args:
            instruments: What is traded.
            tape: When and at what price.
            truth: Where it is noted.
            clients: Who gets it.
            board: Kept up to date.
            writer: Of messages.
            rng: The faults' dice.
            per_frame: Trades in one message, at most.
            stamp_when_sent: Whether a trade is stamped when it is sent, not when it was made.
        """
        self.counts = {"made": 0, "spoiled": 0, "held": 0, "released": 0, "duplicated": 0, "garbage": 0}
        """What has happened so far; doubled and spoiled trades and garbage count once a client."""
        self._instruments = instruments
        self._tape = tape
        self._truth = truth
        self._clients = clients
        self._board = board
        self._writer = writer
        self._rng = rng
        self._sorter = Sorter(rng)
        self._per_frame = per_frame
        self._stamp_when_sent = stamp_when_sent
        self._same_codes = bool(np.array_equal(truth.codes, np.arange(len(instruments))))
        self._quiet: NDArray[np.bool_] | None = None
        self._unmade = np.zeros(len(instruments), np.int64)
        """By symbol: trades of the tape that were not made, since it was quiet."""
        self._held: list[tuple[int, int, Positions, Records]] = []
        self._held_count = 0
        self._held_number = 0

    @property
    def next_trade_ns(self) -> int:
        """Time before which no further trade is made."""
        return self._tape.next_ns

    @property
    def next_release_ns(self) -> int | None:
        """When the next trades are due that were held back."""
        return self._held[0][0] if self._held else None

    def follow_faults(self, active: Sequence[Fault]) -> None:
        """Set what depends on which faults are on."""
        self._sorter.set_faults(active, self._clients.mask_of)
        quiet = [self._clients.mask_of(fault) for fault in active if fault.kind is FaultKind.QUIET]
        self._quiet = np.logical_or.reduce(quiet) if quiet else None

    def trade(self, until_ns: int, limit: int, now_ns: int) -> int:
        """Make trades up to `until_ns`, note them and send them.

        Args:
            until_ns: Exchange time of the last.
            limit: How many at most.
            now_ns: What the clock shows: their stamp, if they are stamped when they are sent.

        Returns:
            How many were made; there may be more up to `until_ns` (see `next_trade_ns`).
        """
        ticks = self._tape.take(until_ns, limit)
        if self._quiet is not None or self._unmade.any():
            ticks = self._hush(ticks)
        records = ticks.records
        count = len(records)
        if not count:
            return 0
        if self._stamp_when_sent:
            records["event_time"] = records["stamp"] = now_ns // 1000 * 1000
        self.counts["made"] += count
        fates = self._sorter.sort(records) if self._sorter.active else None
        live = records if fates is None else records[fates.live]
        routes = self._clients.trade_routes
        choices = [self._choose(route, live) for route in routes]
        if fates is not None:
            records["sent"][fates.live] = live["sent"]
        # The truth comes first: no client may know a trade that a killed exchange would make again.
        position = self._truth.append(self._coded(records))
        for route, chosen in zip(routes, choices, strict=True):
            batch = live[chosen]
            payloads = self._writer.trade_frames(batch, self._per_frame) if len(batch) else []
            if fates is not None:
                payloads = self._spoil(payloads, records, fates, route)
            if not payloads:
                continue
            wire = text_messages(payloads)
            for connection in route.connections:
                positions = None
                if connection.slow:
                    places = np.arange(count) if fates is None else fates.live
                    positions = position + places[chosen]
                connection.trades += len(batch)
                self._clients.write(connection, wire, len(payloads), until_ns, positions)
        if fates is not None:
            self._hold(fates, records, position, until_ns)
        # Last, since no trade waits for the quotes.
        self._board.update(ticks)
        return count

    def _hush(self, ticks: Ticks) -> Ticks:
        """Leave out what is not made while it is quiet, and number the rest without a hole."""
        if self._quiet is not None:
            unmade = self._quiet[ticks.records["symbol"]]
            self._unmade += np.bincount(ticks.records["symbol"][unmade], minlength=len(self._unmade))
            ticks = Ticks(ticks.records[~unmade], ticks.bid[~unmade], ticks.ask[~unmade])
        ticks.records["trade_id"] -= self._unmade[ticks.records["symbol"]]
        return ticks

    def release(self, now_ns: int) -> None:
        """Send held trades whose time has come."""
        while self._held and self._held[0][0] <= now_ns:
            _, _, positions, records = heapq.heappop(self._held)
            self._held_count -= len(records)
            self.counts["released"] += len(records)
            for route in self._clients.trade_routes:
                chosen = np.flatnonzero(route.mask[records["symbol"]])
                if not len(chosen):
                    continue
                payloads = self._writer.trade_frames(records[chosen], self._per_frame)
                wire = text_messages(payloads)
                for connection in route.connections:
                    self._truth.mark_sent(positions[chosen], connection.bit)
                    connection.trades += len(chosen)
                    self._clients.write(connection, wire, len(payloads), now_ns, positions[chosen])

    def send_snapshots(self, connection: Connection, symbols: Sequence[int], now_ns: int) -> None:
        """Send the last trades of `symbols`, one message each, as after a subscription."""
        place_of = np.full(len(self._truth.symbols), -1)
        place_of[self._truth.codes[list(symbols)]] = symbols
        first, records = self._truth.newest(SNAPSHOT_REACH)
        places = place_of[records["symbol"]]
        # A trade that is held back has not happened yet as far as any client can know.
        rows = np.flatnonzero((places >= 0) & (records["flags"] & Fate.HELD == 0))
        rows = rows[np.argsort(places[rows], kind="stable")]
        for part in np.split(rows, np.flatnonzero(np.diff(places[rows])) + 1):
            last = part[-SNAPSHOT_TRADES:]
            if not len(last):
                continue
            trades = records[last]
            trades["symbol"] = places[last]
            self._truth.mark_sent(first + last, connection.bit)
            connection.trades += len(trades)
            payloads = self._writer.trade_frames(trades, SNAPSHOT_TRADES, "snapshot")
            self._clients.write(connection, text_messages(payloads), len(payloads), now_ns, first + last)

    @staticmethod
    def _choose(route: Route, live: Records) -> slice | NDArray[np.intp]:
        """Which of the trades a route gets; notes that it does."""
        chosen = slice(None) if route.everything else np.flatnonzero(route.mask[live["symbol"]])
        bits = 0
        for connection in route.connections:
            bits |= 1 << connection.bit
        live["sent"][chosen] |= np.uint64(bits)
        return chosen

    def _spoil(self, payloads: list[bytes], records: Records, fates: Sorted, route: Route) -> list[bytes]:
        """Add what the faults want among good messages: cut ones, trades once more, garbage."""
        heard = route.mask[records["symbol"]]
        messages = list(payloads)
        cut = records[fates.spoiled[heard[fates.spoiled]]]
        if len(cut):
            whole = self._writer.trade_frames(cut, 1)
            messages += [one[: int(self._rng.integers(1, len(one)))] for one in whole]
            self.counts["spoiled"] += len(cut)
        again = records[fates.doubled[heard[fates.doubled]]]
        if len(again):
            messages += self._writer.trade_frames(again, self._per_frame)
            self.counts["duplicated"] += len(again)
        for _ in range(int(self._rng.binomial(len(records), self._sorter.garbage_share))):
            place = int(self._rng.integers(0, len(messages) + 1))
            messages.insert(place, garbage_frame(self._rng, self._instruments))
            self.counts["garbage"] += 1
        return messages

    def _hold(self, fates: Sorted, records: Records, position: int, now_ns: int) -> None:
        """Keep back what is to come later."""
        for wait_ns, places in fates.held:
            self.counts["held"] += len(places)
            if self._held_count + len(places) > HELD_MAX:
                continue
            self._held_count += len(places)
            self._held_number += 1
            entry = (now_ns + wait_ns, self._held_number, position + places, records[places])
            heapq.heappush(self._held, entry)

    def _coded(self, records: Records) -> Records:
        """The records with the truth's numbers of the symbols."""
        if self._same_codes:
            return records
        coded = records.copy()
        coded["symbol"] = self._truth.codes[records["symbol"]]
        return coded
