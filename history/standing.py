"""How each provider stands, for people to read: whether it can be asked, what it has, how it has been, what is left."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from history.allowance import DAY_S, SECOND_NS, longest_ns, rolls
from history.health import REST_NS
from history.quota import in_words, windows_of
from history.roster import Offered, listed
from market.intervals import INTERVALS
from sinks.health_book import Health, HealthBook
from sinks.quota_book import Block, Day, QuotaBook
from sources.history.provider import Terms, Window

if TYPE_CHECKING:
    from history.desk import HistoryDesk

_DAY_NS = DAY_S * SECOND_NS


class Standing(NamedTuple):
    """One provider. Times are ns, None where there is none."""

    provider: str
    available: bool
    """Whether it may be called at all."""
    missing: str
    """What keeps it from being called, with the setting in it."""
    intervals: str
    """Those it has itself; the others are built from them."""
    trades: bool
    """Whether it has every trade."""
    reach: str
    """How far back its bars go, where that is bounded."""
    limits: str
    """What it allows, as far as the ledger keeps it."""
    health: str
    """The breaker's state: `closed`, `open`, `half-open`."""
    until: int | None
    """It is left alone until then: by its breaker, or because it said so."""
    answered_at: int | None
    failed_at: int | None
    """Of the last error."""
    last_error: str


class Spent(NamedTuple):
    """One limit of one provider, and how much of it is spent; in calls, but for providers that weigh them."""

    provider: str
    window: str
    """`5 a minute`; empty where no limit is kept."""
    used: int | None
    left: int | None
    free_at: int | None
    """When nothing of it is spent any more, if nothing is asked until then, ns; None if nothing is spent."""
    calls_today: int
    """Of the UTC day."""
    until: int | None
    """It takes no calls before, as it said itself, ns."""
    text: str
    """Its words."""


class Books(NamedTuple):
    """What standings are read from."""

    health: HealthBook
    quota: QuotaBook

    @classmethod
    def of(cls, desk: "HistoryDesk") -> "Books | None":
        """A desk's, opened; None where there are none yet, since reading makes no file."""
        path = desk.folders.history
        return cls(HealthBook(path), QuotaBook(path)) if path.is_file() else None

    def close(self) -> None:
        """Let go of both."""
        self.health.close()
        self.quota.close()


@contextmanager
def opened(desk: "HistoryDesk") -> Iterator[Books | None]:
    """A desk's books for a `with` block, None where there are none yet."""
    books = Books.of(desk)
    try:
        yield books
    finally:
        if books is not None:
            books.close()


def standings(desk: "HistoryDesk", books: Books | None) -> list[Standing]:
    """Every provider there is."""
    health = {} if books is None else {one.provider: one for one in books.health.all()}
    blocks = {} if books is None else books.quota.blocks(desk.now_ns())
    return [
        _standing(desk, name, one, health.get(name, Health(name)), blocks.get(name))
        for name, one in listed(desk).items()
    ]


def spendings(desk: "HistoryDesk", books: Books | None) -> list[Spent]:
    """Every limit of the providers that can be asked, or were today."""
    now = desk.now_ns()
    blocks = {} if books is None else books.quota.blocks(now)
    rows: list[Spent] = []
    for name, one in listed(desk).items():
        days = [] if books is None else books.quota.days(now - 31 * _DAY_NS, name)
        if one.missing and not any(day.day == now // _DAY_NS for day in days):
            continue
        since = now - longest_ns(windows_of(name, one.terms, desk))
        calls = [] if books is None else [(call.at_ns, call.weight) for call in books.quota.recent(name, since)]
        rows += _spent(desk, name, one, calls, days, blocks.get(name))
    return rows


def _standing(desk: "HistoryDesk", name: str, one: Offered, health: Health, block: Block | None) -> Standing:
    terms, now = one.terms, desk.now_ns()
    until = (health.since or 0) + REST_NS if health.state == "open" else None
    if block is not None:
        until = max(until or 0, block.until_ns)
    return Standing(
        provider=name,
        available=not one.missing,
        missing=one.missing,
        intervals=" ".join(str(interval) for interval in INTERVALS if interval in terms.intervals),
        trades=terms.has_trades,
        reach=_reach(terms),
        limits=", ".join([*map(in_words, windows_of(name, terms, desk)), f"{terms.per_second:g} a second"]),
        health=health.state,
        until=until if until is not None and until > now else None,
        answered_at=health.answered_at,
        failed_at=health.failed_at,
        last_error=health.last_error,
    )


def _reach(terms: Terms) -> str:
    """How far back, in words."""
    parts = [] if terms.max_bars is None else [f"{terms.max_bars:,} bars"]
    parts += [f"{interval} {days} days" for interval, days in sorted(terms.reach_days.items())]
    return ", ".join(parts)


def _spent(
    desk: "HistoryDesk", name: str, one: Offered, calls: list[tuple[int, int]], days: list[Day], block: Block | None
) -> list[Spent]:
    now = desk.now_ns()
    today = sum(day.calls for day in days if day.day == now // _DAY_NS)
    until, text = (None, "") if block is None else (block.until_ns, block.text)
    rows = []
    for window in windows_of(name, one.terms, desk):
        used, free_at = _rolling(window, calls, now) if rolls(window) else _of_days(window, days, now)
        rows.append(Spent(name, in_words(window), used, max(0, window.limit - used), free_at, today, until, text))
    return rows or [Spent(name, "", None, None, None, today, until, text)]


def _rolling(window: Window, calls: list[tuple[int, int]], now: int) -> tuple[int, int | None]:
    length = window.seconds * SECOND_NS
    inside = [(at, weight) for at, weight in calls if at > now - length]
    return sum(weight for _, weight in inside), inside[-1][0] + length if inside else None


def _of_days(window: Window, days: list[Day], now: int) -> tuple[int, int | None]:
    length = window.seconds // DAY_S
    span = now // _DAY_NS // length
    used = sum(day.weight for day in days if day.day // length == span)
    return used, (span + 1) * length * _DAY_NS if used else None
