"""The quota ledger: asked before each call to a provider, over all processes and restarts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from history.allowance import DAY_S, NEVER, SECOND_NS, Allowance, longest_ns
from history.moments import iso
from history.pace import Pace
from sinks.quota_book import QuotaBook
from sources.history.provider import NotOffered, QuotaSpent, Terms, Window

if TYPE_CHECKING:
    from history.desk import HistoryDesk

PATIENCE_NS: Final = 61 * SECOND_NS
"""What is waited for here: a minute's limit asks for no more. A longer wait is the caller's to plan."""
_MINUTE_S: Final = 60


class OverQuota(QuotaSpent):
    """Our own ledger says no: nothing was called."""


def windows_of(name: str, terms: Terms, desk: "HistoryDesk") -> tuple[Window, ...]:
    """A provider's limits: its terms', and over them those of the user's plan in the settings."""
    own = getattr(desk.settings.providers, name, None)
    planned = {} if own is None else {_MINUTE_S: own.per_minute, DAY_S: own.per_day}
    limits = {window.seconds: window.limit for window in terms.windows}
    limits |= {seconds: limit for seconds, limit in planned.items() if limit is not None}
    return tuple(Window(seconds, limit) for seconds, limit in sorted(limits.items()))


class Quota:
    """What is left at each provider. May be used by several threads."""

    def __init__(self, desk: "HistoryDesk", book: QuotaBook) -> None:
        """Keep a book.

        Args:
            desk: Whose clock, patience and settings hold.
            book: Closed with this.
        """
        self.book = book
        self._desk = desk
        self._paces: dict[str, Pace] = {}
        book.forget(desk.now_ns())

    def door(self, name: str, terms: Terms, say: Callable[[str], None]) -> "Door":
        """What a provider's worker asks before each call.

        Args:
            name: Of the provider.
            terms: Its limits and pace.
            say: Told of waits that a user notices.
        """
        pace = self._paces.setdefault(name, Pace(terms.per_second, self._desk.now_ns, self._desk.sleep))
        return Door(self._desk, self.book, name, windows_of(name, terms, self._desk), pace, say)

    def close(self) -> None:
        """Let go of the book."""
        self.book.close()


class Door:
    """Asked before each call: `sources.history.provider.Ask`. One worker's."""

    def __init__(
        self,
        desk: "HistoryDesk",
        book: QuotaBook,
        name: str,
        windows: tuple[Window, ...],
        pace: Pace,
        say: Callable[[str], None],
    ) -> None:
        self.say = say
        self._desk = desk
        self._book = book
        self._name = name
        self._windows = windows
        self._pace = pace
        self._recent_ns = longest_ns(windows)
        self._days = max((window.seconds // DAY_S for window in windows), default=0)
        self._asked_ns = 0

    def __call__(self, weight: int = 1) -> None:
        """Wait for the pace and for a minute's limit, then take the weight; a longer wait is refused.

        Raises:
            NotOffered: One such call is above a whole limit.
            OverQuota: It would have to wait longer than a minute, or the provider takes no calls for now.
        """
        self._pace.wait()
        while True:
            now = self._desk.now_ns()
            self._check_block(now)
            at, window = self._take(now, weight)
            if window is None:
                self._asked_ns = now
                return
            if at == NEVER:
                msg = f"{self._name} allows {in_words(window)}, and one call of this takes {weight}"
                raise NotOffered(msg)
            if at - now > PATIENCE_NS:
                raise OverQuota(_refusal(self._name, window, at), at)
            self.say(f"{self._name}: {in_words(window)} are spent; going on in {(at - now) / SECOND_NS:.0f} s")
            self._desk.sleep((at - now) / SECOND_NS)

    def spent(self, weight: int) -> None:
        """The provider says what it has counted in the present UTC minute; calls of others count there too."""
        minute = self._asked_ns // (_MINUTE_S * SECOND_NS)
        now = self._desk.now_ns()
        if now // (_MINUTE_S * SECOND_NS) != minute:
            # Which minute it means cannot be told.
            return
        with self._book.account(self._name, now, self._recent_ns) as account:
            account.correct(minute * _MINUTE_S * SECOND_NS, weight)

    def _take(self, now: int, weight: int) -> tuple[int, Window | None]:
        """Take the weight if there is room; else when there will be, and the limit that is full."""
        with self._book.account(self._name, now, self._recent_ns) as account:
            verdict = Allowance(self._windows, account.recent(), account.days(self._days)).earliest(now, weight)
            if verdict.window is None:
                account.add(weight)
            return verdict

    def _check_block(self, now: int) -> None:
        block = self._book.blocks(now).get(self._name)
        if block is not None:
            msg = f"{self._name} takes no calls until {iso(block.until_ns)}: {block.text}"
            raise OverQuota(msg, block.until_ns)


def in_words(window: Window) -> str:
    """A limit as people say it.

    >>> in_words(Window(60, 5)), in_words(Window(86_400, 25)), in_words(Window(10, 3))
    ('5 a minute', '25 a day', '3 in 10 s')
    """
    length = {_MINUTE_S: "a minute", 3600: "an hour", DAY_S: "a day"}.get(window.seconds, f"in {window.seconds} s")
    return f"{window.limit:,} {length}"


def _refusal(name: str, window: Window, at_ns: int) -> str:
    per = {_MINUTE_S: "per_minute", DAY_S: "per_day"}.get(window.seconds)
    more = f"; a plan that allows more is said by providers.{name}.{per}" if per else ""
    return f"{name} allows {in_words(window)}, which are spent until {iso(at_ns)}{more}"
