"""The recorder: everything goes into the journal here, and only then anywhere else."""

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Final, Protocol

import numpy as np

from dataflows.ingest.mailbox import Mailbox
from dataflows.ingest.outages import MarkRow, clock_mark
from dataflows.ingest.received_clock import ReceivedClock
from market.journal_rows import RowKind
from market.ticks import MARK, QUOTE, Batch
from operators.validate import QuoteRow, TickRow, tick_array

LIVE: Final = 0
"""Clock domain of all live feeds."""
CLOCK_NS: Final = 100_000_000
"""After this long without a row of ticks or marks, a clock mark is written."""
COMMITS_KEPT: Final = 4096
"""Commit times kept for the next report."""


class Journal(Protocol):
    """What the recorder needs of `sinks.journal.JournalWriter`."""

    def append(self, kind: RowKind, domain: int, records: Batch) -> int:
        """Journal one row; returns its sequence number."""


class Recorder:
    """Journals the live domain: rows of ticks, quotes and marks, in the order in which it is told of them."""

    def __init__(
        self,
        journal: Journal,
        ring: Callable[[int], object],
        clock: ReceivedClock,
        mailbox: Mailbox,
    ) -> None:
        """Begin.

        Args:
            journal: Open for writing. What it raises goes through: the desk must not go on without it.
            ring: Wakes the journal's readers; told the sequence number.
            clock: Of `received_time` and of marks.
            mailbox: Gets what has been journaled.
        """
        self._journal = journal
        self._ring = ring
        self._clock = clock
        self._mailbox = mailbox
        self._told = clock.last
        """Clock of the last row of ticks or marks, ns; no later row has an earlier one."""
        self.last_seq = 0
        """Newest row written by this process."""
        self.commits_ns: list[int] = []
        """How long commits took since the last report, at most `COMMITS_KEPT`."""

    def ticks(self, rows: list[TickRow]) -> int:
        """Journal ticks of one feed that have passed all checks, in arrival order; returns the row's number."""
        floor = self._told
        if rows[0][1] < floor:
            # Connections that were read in the same turn hand on one after the other, and a mark may have come between.
            rows = [row if row[1] >= floor else (row[0], floor, *row[2:]) for row in rows]
        seq = self._append(RowKind.TICKS, tick_array(rows))
        self._told = rows[-1][1]
        self._ring(seq)
        self._mailbox.put_ticks(rows)
        return seq

    def quotes(self, rows: Sequence[QuoteRow]) -> None:
        """Journal quotes of one feed that have passed all checks and are thinned out."""
        self._append(RowKind.QUOTES, np.array(rows, QUOTE))
        self._mailbox.put_quotes(rows)

    def marks(self, rows: Sequence[MarkRow]) -> None:
        """Journal marks; none is no row."""
        if rows:
            seq = self._append(RowKind.MARKS, np.array(rows, MARK))
            self._told = max(self._told, rows[-1][0])
            self._ring(seq)

    def tell_time(self) -> None:
        """Write a clock mark if nothing has told the time for a while."""
        now = self._clock()
        if now - self._told >= CLOCK_NS:
            self.marks([clock_mark(now)])

    def _append(self, kind: RowKind, records: Batch) -> int:
        began = perf_counter_ns()
        seq = self._journal.append(kind, LIVE, records)
        if len(self.commits_ns) < COMMITS_KEPT:
            self.commits_ns.append(perf_counter_ns() - began)
        self.last_seq = seq
        return seq
