"""A set of moments as spans: what of a request is covered."""

from bisect import bisect_left, bisect_right


class Spans:
    """Half-open spans, kept joined and in order."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add `[start, end)`; an empty span adds nothing.

        >>> spans = Spans()
        >>> spans.add(0, 10), spans.add(20, 30), spans.add(10, 20), spans.gaps(-5, 35)
        (None, None, None, [(-5, 0), (30, 35)])
        """
        if start >= end:
            return
        # Those that touch it are joined with it.
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def first(self) -> int | None:
        """The first moment in any span."""
        return self._starts[0] if self._starts else None

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """What of `[start, end)` is in no span, in order."""
        found = []
        for low, high in zip(self._starts, self._ends, strict=True):
            if start < min(low, end):
                found.append((start, min(low, end)))
            start = max(start, high)
        if start < end:
            found.append((start, end))
        return found
