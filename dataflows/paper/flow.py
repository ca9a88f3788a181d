"""The graph of paper trading: one input, one key for all runs, one output, so that all is in one order.

Limits over all runs are exact because one logic holds them all, and one snapshot has them all as of one moment.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from dataflows.paper.desk import PaperDesk
from dataflows.paper.events import Event, Out, Rest
from dataflows.paper.tail import Tail
from sources.journal_tail import InFlight

KEY: Final = "desk"
"""Of the one logic; recovery data."""
VERSION: Final = 1

_PAST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Write(StatefulSinkPartition[Out, Any]):
    """What `dataflows.paper.writing.Writer` is to the engine."""

    def __init__(self, write: Callable[[list[Out]], None], snapshot: Callable[[], Any], in_flight: InFlight) -> None:
        self._write = write
        self._snapshot = snapshot
        self._in_flight = in_flight

    def write_batch(self, values: list[Out]) -> None:
        """Write what events came to, as one act."""
        self._write(values)
        self._in_flight.done(len(values))

    def snapshot(self) -> Any:
        """Where the book stands."""
        return self._snapshot()


class PaperInput(FixedPartitionedSource[tuple[str, Event], bytes]):
    """One partition: the order of everything."""

    def __init__(
        self,
        tail: Callable[[bytes | None], Tail],
        wait: Callable[[Tail], None],
        note: Callable[[Tail], None],
        stopped: Callable[[], bool],
        in_flight: InFlight,
    ) -> None:
        """Describe the input.

        Args:
            tail: Opens the order at a snapshot, or where there is none at what the book has.
            wait: Waits until something may have come.
            note: Told how far the order is.
            stopped: Whether to end.
            in_flight: Counts what the flow has not finished.
        """
        self._tail = tail
        self._wait = wait
        self._note = note
        self._stopped = stopped
        self._in_flight = in_flight

    def list_parts(self) -> list[str]:
        """The one partition."""
        return ["order"]

    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> "PaperInputPartition":
        """Open the order.

        Raises:
            DeskError: What it is made of has trouble.
        """
        del step_id, for_part
        return PaperInputPartition(self._tail(resume_state), self._wait, self._note, self._stopped, self._in_flight)


class PaperInputPartition(StatefulSourcePartition[tuple[str, Event], bytes]):
    """Events, each when all before it are written."""

    def __init__(
        self,
        tail: Tail,
        wait: Callable[[Tail], None],
        note: Callable[[Tail], None],
        stopped: Callable[[], bool],
        in_flight: InFlight,
    ) -> None:
        self._tail = tail
        self._wait = wait
        self._note = note
        self._stopped = stopped
        self._in_flight = in_flight
        self._begun = False

    def next_batch(self) -> Iterable[tuple[str, Event]]:
        """The next events.

        Raises:
            StopIteration: The process is to end, or the journal has and that is the end.
        """
        if self._stopped():
            raise StopIteration
        if self._in_flight.count:
            return ()
        if not self._begun:
            # The engine makes the runs, or has them back, when a first event comes; what follows depends on them.
            self._begun = True
            self._in_flight.add()
            return [(KEY, Rest(self._tail.position, b""))]
        events = self._tail.next()
        if not events:
            self._note(self._tail)
            self._wait(self._tail)
            if self._stopped():
                raise StopIteration
            events = self._tail.next()
        self._note(self._tail)
        self._in_flight.add(len(events))
        return [(KEY, event) for event in events]

    def next_awake(self) -> datetime:
        """Always due: `next_batch` itself does the waiting, to the microsecond."""
        return _PAST

    def snapshot(self) -> bytes:
        """Where the order stands."""
        return self._tail.snapshot()


class PaperLogic(StatefulBatchLogic[Event, Out, bytes]):
    """All runs. Never discarded."""

    def __init__(self, desk: PaperDesk, last: Callable[[], Event]) -> None:
        """Hold the desk.

        Args:
            desk: The runs.
            last: What is written down at the end.
        """
        self.desk = desk
        self._last = last

    def on_batch(self, values: list[Event]) -> tuple[Iterable[Out], bool]:
        """What each event comes to."""
        return [self.desk.take(event) for event in values], StatefulBatchLogic.RETAIN

    def on_eof(self) -> tuple[Iterable[Out], bool]:
        """How all is, for the book."""
        return [self.desk.take(self._last())], StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """All runs."""
        return self.desk.snapshot()


class PaperOutput(FixedPartitionedSink[Out, Any]):
    """One partition: the book."""

    def __init__(self, writer: Callable[[Any | None], Write]) -> None:
        """Describe the output; `writer` begins anew, or goes on from a snapshot."""
        self._writer = writer

    def list_parts(self) -> list[str]:
        """The one partition."""
        return ["book"]

    def part_fn(self, item_key: str) -> int:
        """All goes to the one partition."""
        del item_key
        return 0

    def build_part(self, step_id: str, for_part: str, resume_state: Any | None) -> Write:
        """Begin.

        Raises:
            DeskError: The book lacks what the recovery store takes it to have.
        """
        del step_id, for_part
        return self._writer(resume_state)


def build(
    source: FixedPartitionedSource[tuple[str, Event], bytes],
    logic: Callable[[bytes | None], PaperLogic],
    sink: FixedPartitionedSink[Out, Any],
) -> Dataflow:
    """Wire the graph."""
    flow = Dataflow("paper")
    events = op.input("order", flow, source)
    made = op.stateful_batch("desk", events, logic)
    op.output("book", made, sink)
    return flow
