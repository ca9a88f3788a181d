"""Where each stream stands: never subscribed, flowing, or lacking ticks since some moment; and the marks that say so.

A pure function of marks: what `down`, `up` and `drop` return is journaled, and `apply` comes to the same state from the
journal. So a process that was killed knows what it had said.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from market.ticks import ALL_STREAMS, ALWAYS, NEVER, Batch, MarkKind

MarkRow = tuple[int, int, int, int, int, int, int]
"""One mark in the order of `market.ticks.MARK`: time, start, end, kind, 0, stream, 0."""

_BEGINNING: Final = frozenset({MarkKind.DOWN, MarkKind.DROPPED})
_ENDING: Final = frozenset({MarkKind.UP, MarkKind.SUBSCRIBED})


class Change(NamedTuple):
    """What a step leads to."""

    marks: list[MarkRow]
    """To be journaled, in order."""
    began: list[tuple[int, int]]
    """(stream, start): outages that began."""
    ended: list[tuple[int, int]]
    """(stream, end): streams whose outage is over."""


class Outages:
    """The standing of every stream of the live feeds, and which stream makes the bars of each symbol.

    State: one number per stream ever subscribed.
    """

    def __init__(self) -> None:
        self._since: dict[int, int | None] = {}
        """By stream: when it began to lack ticks; None while it flows."""
        self._dropped: set[int] = set()
        self.designated: set[int] = set()
        """Streams that make bars."""

    def flowing(self) -> list[int]:
        """Streams that flow."""
        return [stream for stream, since in self._since.items() if since is None]

    def lacking(self) -> list[tuple[int, int]]:
        """Streams that are subscribed and lack ticks, and since when, ns."""
        return [
            (stream, since)
            for stream, since in self._since.items()
            if since is not None and stream not in self._dropped
        ]

    def subscribed(self) -> list[int]:
        """Streams that were subscribed, flowed at some time, and were not dropped."""
        return [stream for stream in self._since if stream not in self._dropped]

    def down(self, streams: Iterable[int], since: int, now: int) -> Change:
        """Streams lack ticks from `since` on. Those that never flowed, or lack them already, stay as they are."""
        change = Change([], [], [])
        for stream in streams:
            if self._since.get(stream, 0) is None:
                self._since[stream] = since
                change.marks.append(_mark(MarkKind.DOWN, stream, now, since, NEVER))
                change.began.append((stream, since))
        return change

    def up(self, streams: Iterable[int], now: int) -> Change:
        """Streams flow from `now` on. For one that never did, nothing is known of the time before."""
        change = Change([], [], [])
        for stream in streams:
            if stream not in self._since:
                change.marks.append(_mark(MarkKind.SUBSCRIBED, stream, now, ALWAYS, now))
            else:
                since = self._since[stream]
                if since is None:
                    continue
                change.marks.append(_mark(MarkKind.UP, stream, now, since, now))
                if stream not in self._dropped:
                    change.ended.append((stream, now))
            self._since[stream] = None
            self._dropped.discard(stream)
        return change

    def drop(self, streams: Iterable[int], since: int, now: int) -> Change:
        """Streams are not subscribed any more; nothing is known of them from `since` on."""
        change = Change([], [], [])
        for stream in streams:
            if stream not in self._since or stream in self._dropped:
                continue
            lacking = self._since[stream]
            change.marks.append(_mark(MarkKind.DROPPED, stream, now, since, NEVER))
            if lacking is not None:
                change.ended.append((stream, now))
            self._since[stream] = since if lacking is None else min(lacking, since)
            self._dropped.add(stream)
        return change

    def designate(self, stream: int, others: Iterable[int], now: int) -> Change:
        """Let a stream make the bars of its symbol, in place of the others of that symbol."""
        change = Change([], [], [])
        if stream not in self.designated:
            self.designated.difference_update(others)
            self.designated.add(stream)
            change.marks.append(_mark(MarkKind.DESIGNATED, stream, now, now, NEVER))
        return change

    def apply(self, marks: Batch, same_symbol: dict[int, tuple[int, ...]]) -> None:
        """Take marks from the journal.

        Args:
            marks: `MARK` records of the live domain, in order.
            same_symbol: By stream, the streams of the same symbol, itself included.
        """
        for row in marks.tolist():
            _, start, _, kind, _, stream, _ = row
            if stream == ALL_STREAMS:
                continue
            if kind in _BEGINNING:
                known = self._since.get(stream)
                self._since[stream] = start if known is None else min(known, start)
                if kind == MarkKind.DROPPED:
                    self._dropped.add(stream)
            elif kind in _ENDING:
                self._since[stream] = None
                self._dropped.discard(stream)
            elif kind == MarkKind.DESIGNATED:
                self.designated.difference_update(same_symbol.get(stream, ()))
                self.designated.add(stream)

    def snapshot(self) -> dict[str, Any]:
        """The state, of plain values."""
        return {
            "since": sorted(self._since.items()),
            "dropped": sorted(self._dropped),
            "designated": sorted(self.designated),
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "Outages":
        """Continue from a snapshot."""
        made = cls()
        made._since = {int(stream): since for stream, since in state["since"]}
        made._dropped = set(state["dropped"])
        made.designated = set(state["designated"])
        return made


def _mark(kind: MarkKind, stream: int, time: int, start: int, end: int) -> MarkRow:
    return (time, start, end, int(kind), 0, stream, 0)


def clock_mark(time: int) -> MarkRow:
    """The mark that says that time has passed to `time`, ns."""
    return _mark(MarkKind.CLOCK, ALL_STREAMS, time, time, time)


def gap_mark(stream: int, time: int, start: int, end: int) -> MarkRow:
    """The mark that says that trades of `[start, end)` were lost."""
    return _mark(MarkKind.GAP, stream, time, start, end)
