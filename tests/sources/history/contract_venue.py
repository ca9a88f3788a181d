"""What the providers' contract stands on: a venue in a test, the means a provider is given, and how they are joined."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from servers.history_http import Asked, HistoryServer, Reply

from market.intervals import Interval
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.provider import Means, QuotaSpent

NOW = 1_767_800_497_000_000_000
"""2026-01-07T15:41:37Z: a Wednesday, with New York open since 14:30."""
FOREVER = 2**62


@dataclass(frozen=True)
class Bar:
    """One bar of the venue. A fault may put anything in place of a number."""

    start: int
    end: int
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    """0 in a quiet time."""
    notional: Any
    trades: Any


@dataclass(frozen=True)
class Trade:
    """One trade of the venue."""

    time: int
    price: Any
    size: Any
    id: int
    aggressor: Aggressor


@dataclass(frozen=True)
class Question:
    """What a request for bars or trades asks for, in our terms."""

    limit: int
    """Rows at most."""
    first: int = 0
    """ns: from this moment on."""
    last: int = FOREVER
    """ns: before this moment."""
    interval: Interval = Interval.M1
    first_id: int = 0
    last_id: int = FOREVER
    """Trades with `first_id <= id < last_id`."""
    newest: bool = False
    """Whether the limit leaves the newest rows, and not the oldest."""
    newest_first: bool = False
    """The order of the rows."""
    place: int = 0
    """Rows of the answer that were given before, where pages go by a token."""


class Desk:
    """Means that note what they are asked. Time stands, but for sleeps."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now
        self.slept: list[float] = []
        self.weights: list[int] = []
        self.used: list[int] = []
        self.calls_allowed = FOREVER
        self.means = Means(now_ns=lambda: self.now, sleep=self._sleep, ask=self._ask, spent=self.used.append)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def _ask(self, weight: int = 1) -> None:
        if len(self.weights) >= self.calls_allowed:
            msg = "the quota of this test is spent"
            raise QuotaSpent(msg, self.now + 60 * 10**9)
        self.weights.append(weight)


class Venue:
    """The venue's side: answers questions from its bars and trades, and errs as told."""

    def __init__(self, contract: Any, bars: dict[Interval, list[Bar]], trades: list[Trade]) -> None:
        self.bars, self.trades = bars, trades
        self.alter: Callable[[list[Any]], list[Any]] = lambda chosen: chosen
        """Changes the bars or trades of an answer."""
        self.arrange: Callable[[list[Any]], list[Any]] = lambda rows: rows
        """Changes the order of its rows, or gives some twice."""
        self.overlap = 0
        """Rows of the neighbouring page that each answer holds as well."""
        self.again: set[int] = set()
        """Numbers of calls, from 0, that are answered as the one before was."""
        self.blank: set[int] = set()
        """Numbers of calls that are answered with no row."""
        self.replies: dict[int, Reply] = {}
        """Other answers, by number of the call."""
        self._contract = contract
        self._calls = 0
        self._before: Any = None

    def respond(self, asked: Asked) -> Any:
        """One answer."""
        number, self._calls = self._calls, self._calls + 1
        if number in self.replies:
            return self.replies[number]
        if number not in self.again:
            self._before = self._answer(asked, blank=number in self.blank)
        return self._before

    def _answer(self, asked: Asked, *, blank: bool) -> Any:
        contract = self._contract
        question = contract.question(asked)
        if not isinstance(question, Question):
            return question
        if contract.about_trades(asked):
            held: list[Any] = self.trades
            inside = [
                place
                for place, trade in enumerate(held)
                if question.first <= trade.time < question.last and question.first_id <= trade.id < question.last_id
            ]
            write, wrap = contract.trade_row, contract.trade_body
        else:
            held = self.bars.get(question.interval, [])
            inside = [place for place, bar in enumerate(held) if question.first <= bar.start < question.last]
            write, wrap = (lambda bar: contract.row(bar, question.interval)), contract.body
        inside = inside[question.place :]
        rest = max(len(inside) - question.limit, 0)
        inside = inside[-question.limit :] if question.newest else inside[: question.limit]
        if blank:
            rest, inside = rest + len(inside), []
        if inside and self.overlap:
            low = max(inside[0] - (0 if question.newest else self.overlap), 0)
            high = inside[-1] + 1 + (self.overlap if question.newest else 0)
            inside = list(range(low, min(high, len(held))))
        rows = [write(item) for item in self.alter([held[place] for place in inside])]
        if question.newest_first:
            rows.reverse()
        return wrap(self.arrange(rows), question, rest)


class HistoryContract:
    """What both contracts stand on."""

    provider: type[Any]
    """The class under test."""
    symbol: Symbol
    settings: dict[str, Any] = {}  # noqa: RUF012  # Overridden as a whole, never changed.
    """`key` and `secret`, where it wants them."""
    foreign: Symbol | None = Symbol("NASDAQ", "AAPL")
    """A symbol that is none of its venue's."""
    moment = NOW
    """The venue's clock: by it the model says which bar is over, where the venue says so."""

    def question(self, asked: Asked) -> Any:
        """Read a request: a `Question`, or a `Reply` where the venue would refuse it."""
        raise NotImplementedError

    def about_trades(self, asked: Asked) -> bool:
        """Whether a request is for trades."""
        return False

    def unknown_symbol(self) -> Reply:
        """How the venue says that it has no such instrument."""
        raise NotImplementedError

    def limited(self) -> Reply:
        """How the venue says, without a moment, that there were too many calls."""
        return Reply(b"too many requests", status=429)

    def nothing(self) -> Any:
        """An answer of the wrong kind altogether."""
        return {"surprise": 1}

    def venue(self, bars: dict[Interval, list[Bar]] | None = None, trades: list[Trade] | None = None) -> Venue:
        """The venue, with what it holds."""
        return Venue(self, bars or {}, trades or [])

    @contextmanager
    def serving(self, venue: Venue, desk: Desk) -> Iterator[tuple[Any, HistoryServer]]:
        """The provider under test before a server of the venue."""
        with HistoryServer(venue.respond) as server:
            provider = self.provider(desk.means, url=server.url, **self.settings)
            try:
                yield provider, server
            finally:
                provider.close()
                provider.close()

    @pytest.fixture
    def desk(self) -> Desk:
        """The means of one test."""
        return Desk()
