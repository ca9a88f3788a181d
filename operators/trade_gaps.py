"""Trade ids that are missing: the sign that ticks were lost, seen as soon as the next one comes."""

from typing import Final, NamedTuple

import numpy as np

from operators.validate import TickRow

PATIENCE_NS: Final = 750_000_000
"""How long an id may be missing before it is a gap: two overlapping connections, and venues, deliver out of order."""
RESTART_NS: Final = 1_000_000_000
"""An old id with a stamp this much newer than the newest id's: the venue numbers anew."""
PENDING: Final = 1024
"""Holes that may wait out their patience at once; with more, the oldest are reported early."""
_VERSION: Final = b"tradegaps1\n"
_STATE = np.dtype(
    [("stream", "<i8"), ("start", "<i8"), ("end", "<i8"), ("first_id", "<i8"), ("last_id", "<i8"), ("noticed", "<i8")]
)
_NEWEST: Final = -2
"""Stands in the place of `noticed` where a record is a stream's newest id and no hole."""


class Gap(NamedTuple):
    """Trades that a stream lacks."""

    stream: int
    start: int
    """Event time of the trade before them, ns."""
    end: int
    """One past the event time of the trade after them, ns: a missing trade may carry the same stamp as either."""
    first_id: int
    """First missing id; -1 where the venue began to number anew, so that what is missing is not known."""
    last_id: int
    """Last missing id; -1 as above."""

    @property
    def missing(self) -> int:
        """How many trades; 0 where it is not known."""
        return self.last_id - self.first_id + 1 if self.first_id >= 0 else 0


class TradeGaps:
    """Finds holes in the trade ids of feeds that number without holes: by one, or by `count` for an aggregate.

    Takes what is left after `Dedupe`. State: the newest id and its stamp per stream, and at most `PENDING` holes
    younger than the patience, which late trades may still fill.
    """

    def __init__(self, patience_ns: int = PATIENCE_NS) -> None:
        """Begin with no stream known.

        Args:
            patience_ns: A hole is reported once it is older, by received time.
        """
        self._patience_ns = patience_ns
        self._newest: dict[int, tuple[int, int]] = {}
        """(id, event time) by stream."""
        self._holes: list[tuple[Gap, int]] = []
        """Each with the received time at which it was noticed, oldest first."""
        self._ready: list[Gap] = []

    @property
    def waiting(self) -> bool:
        """Whether `due` has, or may come to have, something to report."""
        return bool(self._holes or self._ready)

    def update(self, rows: list[TickRow], *, by_count: bool = False) -> None:
        """Take ticks of one feed in arrival order; those without an id are passed over.

        Args:
            rows: Not changed.
            by_count: Whether a tick covers the `count` ids that end with its own, or its own only.

        >>> day = 1_700_000_000_000_000_000
        >>> gaps = TradeGaps(patience_ns=0)
        >>> gaps.update([(day + n, day + n, 10.0, 1.0, n, 1, 0, 1, 0) for n in (4, 5, 9)])
        >>> [(gap.first_id, gap.last_id) for gap in gaps.due(day + 9)]
        [(6, 8)]
        """
        newest = self._newest
        for event_time, received_time, _, _, trade_id, count, stream, _, _ in rows:
            if trade_id < 0:
                continue
            before = newest.get(stream)
            if before is None:
                newest[stream] = (trade_id, event_time)
                continue
            known = before[0]
            if trade_id == known + 1:
                newest[stream] = (trade_id, event_time)
            elif trade_id > known:
                newest[stream] = (trade_id, event_time)
                first = trade_id - count + 1 if by_count and count > 1 else trade_id
                if first > known + 1:
                    self._open(stream, before[1], event_time, known + 1, first - 1, received_time)
            elif not self._fill(stream, trade_id, count if by_count else 1) and event_time > before[1] + RESTART_NS:
                newest[stream] = (trade_id, event_time)
                self._ready.append(Gap(stream, before[1], event_time + 1, -1, -1))

    def exists(self, stream: int, trade_id: int, now: int) -> None:
        """The venue says that this trade has happened; the stream may not have brought it.

        Args:
            stream: Which.
            trade_id: The newest trade by the venue's word.
            now: ns, when that word was received.
        """
        before = self._newest.get(stream)
        if before is not None and trade_id > before[0]:
            self._open(stream, before[1], now, before[0] + 1, trade_id, now)
            self._newest[stream] = (trade_id, now)

    def due(self, now: int) -> list[Gap]:
        """The gaps that nothing has filled within the patience, each reported once.

        Args:
            now: ns, received time that has been reached.
        """
        if not self.waiting:
            return []
        ready, self._ready = self._ready, []
        ready += [gap for gap, noticed in self._holes if now - noticed >= self._patience_ns]
        self._holes = [hole for hole in self._holes if now - hole[1] < self._patience_ns]
        return ready

    def _open(self, stream: int, before: int, after: int, first_id: int, last_id: int, now: int) -> None:
        self._holes.append((Gap(stream, min(before, after), max(before, after) + 1, first_id, last_id), now))
        if len(self._holes) > PENDING:
            self._ready.append(self._holes.pop(0)[0])

    def _fill(self, stream: int, trade_id: int, count: int) -> bool:
        """Take a late trade out of the hole that it belongs to; whether there was one."""
        for place, (gap, noticed) in enumerate(self._holes):
            if gap.stream == stream and gap.first_id <= trade_id <= gap.last_id:
                below = (gap.first_id, max(trade_id - max(count, 1), gap.first_id - 1))
                above = (trade_id + 1, gap.last_id)
                self._holes[place : place + 1] = [
                    (gap._replace(first_id=first, last_id=last), noticed)
                    for first, last in (below, above)
                    if first <= last
                ]
                return True
        return False

    def snapshot(self) -> bytes:
        """The state as bytes; `restore` makes an equal one of it."""
        records: list[tuple[int, ...]] = [
            (stream, event_time, 0, trade_id, 0, _NEWEST) for stream, (trade_id, event_time) in self._newest.items()
        ]
        records += [(*gap, noticed) for gap, noticed in self._holes]
        # A gap that is ready has waited long enough whenever it is asked for.
        records += [(*gap, 0) for gap in self._ready]
        return _VERSION + np.array(records, _STATE).tobytes()

    @classmethod
    def restore(cls, state: bytes, patience_ns: int = PATIENCE_NS) -> "TradeGaps":
        """Continue from a snapshot.

        Raises:
            ValueError: The bytes are no snapshot of this version.
        """
        if not state.startswith(_VERSION) or (len(state) - len(_VERSION)) % _STATE.itemsize:
            msg = f"snapshot of trade gaps begins with {state[: len(_VERSION)]!r}; this program reads {_VERSION!r}"
            raise ValueError(msg)
        made = cls(patience_ns)
        for stream, start, end, first_id, last_id, noticed in np.frombuffer(
            state, _STATE, offset=len(_VERSION)
        ).tolist():
            if noticed == _NEWEST:
                made._newest[stream] = (first_id, start)
            elif noticed == 0:
                made._ready.append(Gap(stream, start, end, first_id, last_id))
            else:
                made._holes.append((Gap(stream, start, end, first_id, last_id), noticed))
        return made
