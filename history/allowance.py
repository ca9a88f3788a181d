"""The rule of quotas: when, after what was spent, so much more may be.

A window of whole days is the UTC day's, since that is what plans are sold by. Any shorter one rolls: no stretch of its
length may hold more. That is never more than an aligned window allows, and is right for venues that count either way.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sources.history.provider import Window

SECOND_NS: Final = 10**9
DAY_S: Final = 86_400
NEVER: Final = 1 << 62
"""The far future."""


class Verdict(NamedTuple):
    """When a weight may be spent."""

    at_ns: int
    """ns; the moment asked about if there is room."""
    window: Window | None
    """The window that makes it wait longest; None if it need not."""


def rolls(window: Window) -> bool:
    """Whether a window rolls, and is not a span of UTC days.

    >>> rolls(Window(60, 5)), rolls(Window(86_400, 25))
    (True, False)
    """
    return window.seconds % DAY_S != 0


def longest_ns(windows: Iterable[Window]) -> int:
    """The longest window that rolls, ns; a minute at least, by which some providers tell what they counted."""
    return max([60, *(window.seconds for window in windows if rolls(window))]) * SECOND_NS


class Allowance:
    """What one provider allows, and what was spent of it. Moments are ns and never fall from one `take` to the next."""

    def __init__(
        self, windows: Sequence[Window], recent: Iterable[tuple[int, int]] = (), days: Iterable[tuple[int, int]] = ()
    ) -> None:
        """Begin with what was spent.

        Args:
            windows: The limits.
            recent: (moment in ns, weight) of calls within the longest window that rolls, oldest first.
            days: (days since 1970, weight) spent by UTC day.
        """
        self.windows = tuple(windows)
        self._longest = longest_ns(windows)
        self._recent = deque(recent)
        self._days = dict(days)

    def earliest(self, now_ns: int, weight: int) -> Verdict:
        """When the weight may be spent, if nothing else is before; the far future for one above a whole limit."""
        verdict = Verdict(now_ns, None)
        for window in self.windows:
            at = self._rolling(window, now_ns, weight) if rolls(window) else self._by_days(window, now_ns, weight)
            if at > verdict.at_ns:
                verdict = Verdict(at, window)
        return verdict

    def copy(self) -> "Allowance":
        """Another with the same past."""
        return Allowance(self.windows, self._recent, self._days.items())

    def take(self, at_ns: int, weight: int) -> None:
        """Spend it."""
        self._recent.append((at_ns, weight))
        while self._recent[0][0] <= at_ns - self._longest:
            self._recent.popleft()
        day = at_ns // (DAY_S * SECOND_NS)
        self._days[day] = self._days.get(day, 0) + weight

    def _rolling(self, window: Window, now_ns: int, weight: int) -> int:
        if weight > window.limit:
            return NEVER
        length = window.seconds * SECOND_NS
        inside = [(at, spent) for at, spent in self._recent if at > now_ns - length]
        over = sum(spent for _, spent in inside) + weight - window.limit
        moment = now_ns
        for at, spent in inside:
            if over <= 0:
                break
            # From this moment on that call is outside the window.
            moment = at + length
            over -= spent
        return moment

    def _by_days(self, window: Window, now_ns: int, weight: int) -> int:
        if weight > window.limit:
            return NEVER
        length = window.seconds // DAY_S
        span = now_ns // (DAY_S * SECOND_NS) // length
        spent = sum(weight for day, weight in self._days.items() if day // length == span)
        return now_ns if spent + weight <= window.limit else (span + 1) * length * DAY_S * SECOND_NS
