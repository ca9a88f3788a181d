"""Gaps, as they are noticed: into the journal where bars must know of them, into the ledger for whoever heals them."""

from collections import Counter
from collections.abc import Callable, Sequence

from dataflows.ingest.clerk import Clerk, Log
from dataflows.ingest.outages import Change, gap_mark
from dataflows.ingest.recorder import Recorder
from market.streams import Stream
from operators.trade_gaps import Gap
from sinks.ledger import Ledger


class GapNotes:
    """Notes outages and lost trades. What it returns nothing of is written by the clerk, a moment later."""

    def __init__(self, recorder: Recorder, clerk: Clerk, log: Log, streams: Callable[[], Sequence[Stream]]) -> None:
        """Begin.

        Args:
            recorder: Journals the marks.
            clerk: Writes into the ledger.
            log: Has each of them.
            streams: All streams by id, now.
        """
        self.counts: Counter[str] = Counter()
        """Gaps noted by this process, by reason."""
        self._recorder = recorder
        self._clerk = clerk
        self._log = log
        self._streams = streams

    def lost_trades(self, gaps: Sequence[Gap], now: int) -> None:
        """Note trades that were found missing.

        Raises:
            JournalFull: As the recorder does.
        """
        self._recorder.marks([gap_mark(gap.stream, now, gap.start, gap.end) for gap in gaps])
        self.counts["trade_ids"] += len(gaps)
        found = [(self._streams()[gap.stream], gap) for gap in gaps]
        for stream, gap in found:
            ids = {"first": gap.first_id, "last": gap.last_id}
            self._log.warning("trades missing", feed=stream.feed, symbol=str(stream.symbol), **ids)

        def write(ledger: Ledger) -> None:
            for stream, gap in found:
                ledger.note_gap(stream.symbol, gap.start, gap.end, "trade_ids", now, stream.feed)

        self._clerk.do(write)

    def outages(self, change: Change, reason: str, now: int) -> None:
        """Note outages that began or ended. The end of one ends all that lasts for its symbol and feed.

        Args:
            change: What a step of the outages led to.
            reason: `down` (of a feed), `away` (ingest did not run).
            now: ns.

        Raises:
            JournalFull: As the recorder does.
        """
        self._recorder.marks(change.marks)
        if not change.began and not change.ended:
            return
        self.counts[reason] += len(change.began)
        streams = self._streams()
        began = [(streams[stream], start) for stream, start in change.began]
        ended = {(streams[stream].symbol, streams[stream].feed): end for stream, end in change.ended}

        def write(ledger: Ledger) -> None:
            for stream, start in began:
                ledger.open_gap(stream.symbol, start, reason, now, stream.feed)
            lasting = ledger.gaps(lasting=True) if ended else []
            for gap in lasting:
                end = ended.get((gap.symbol, gap.feed))
                if end is not None:
                    ledger.end_gap(gap.symbol, gap.start, gap.reason, end)

        self._clerk.do(write)

    def lasting(self, lacking: Sequence[tuple[int, int]], now: int) -> None:
        """Note outages that the ledger does not know: it could not be written when they began (a full disk, a kill).

        Args:
            lacking: Streams that lack ticks, and since when, ns.
            now: ns.
        """
        streams = self._streams()
        found = [(streams[stream], since) for stream, since in lacking]

        def write(ledger: Ledger) -> None:
            known = {(gap.symbol, gap.feed) for gap in ledger.gaps(lasting=True)}
            for stream, since in found:
                if (stream.symbol, stream.feed) not in known:
                    ledger.open_gap(stream.symbol, since, "away", now, stream.feed)

        self._clerk.do(write)
