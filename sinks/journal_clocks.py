"""Where each clock domain stands in the file being written."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Self

from sinks.journal_file import Span


class DomainClocks:
    """Clock and place of the last ticks or marks row of each domain. One entry a domain ever journaled."""

    def __init__(self, spans: dict[int, Span]) -> None:
        self._first = {domain: (span.first_seq, span.first_clock) for domain, span in spans.items()}
        self._last = {domain: (span.last_seq, span.last_clock) for domain, span in spans.items()}
        self._changed = set(spans)

    def get(self, domain: int) -> int | None:
        """Clock of the domain's last row, ns; None if no row of it is known here."""
        found = self._last.get(domain)
        return None if found is None else found[1]

    def learn(self, domain: int, clock: int) -> None:
        """Take the clock of a domain whose last row is in an earlier file."""
        self._last[domain] = (0, clock)

    def note(self, domain: int, seq: int, clock: int) -> None:
        """Take a row of the current file."""
        if domain not in self._first:
            self._first[domain] = (seq, clock)
        self._last[domain] = (seq, clock)
        self._changed.add(domain)

    def changed(self) -> Iterator[tuple[int, Span]]:
        """Yield the span of each domain that got rows since the last call."""
        for domain in self._changed:
            yield domain, Span(*self._first[domain], *self._last[domain])
        self._changed = set()

    def next_file(self) -> None:
        """Begin a new file: clocks go on, spans begin anew."""
        self._first = {}
        self._changed = set()

    def copy(self) -> Self:
        """The same, to go back to."""
        return deepcopy(self)
