"""What a provider of history promises: pages of bars (or of trades) in our conventions, and errors that say what to do.

A provider turns its venue's conventions into ours and leaves nothing of them behind: times are ns UTC, a bar's start
and end are those of the symbol's calendar (`market.sessions`), prices are as they traded (never adjusted), volume is
in base units, a bar that is not over is `forming` and one that is over is `official`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol


class ProviderError(DeskError):
    """A provider did not give what was asked for. The class says what to do about it."""


class NotOffered(ProviderError):  # noqa: N818  # A fact, not a defect.
    """It does not have this symbol, interval, span or count, and never will: ask another. Its health is fine."""


class NoKey(ProviderError):  # noqa: N818
    """The setting with its key is missing; it was not called."""


class KeyRefused(ProviderError):  # noqa: N818
    """It refused our key, or the plan does not include this: not to be called again until the user changes that."""


class QuotaSpent(ProviderError):  # noqa: N818
    """The quota ledger, or the provider itself, allows no call before `until`."""

    def __init__(self, text: str, until_ns: int) -> None:
        super().__init__(text)
        self.until_ns = until_ns


class ProviderAway(ProviderError):  # noqa: N818
    """It does not answer, or answers with a server's error, after all retries. Counts against its health."""


class BadAnswer(ProviderError):  # noqa: N818
    """What it answered cannot be read, or contradicts itself. Counts against its health."""


class Window(NamedTuple):
    """So much may be asked in so long."""

    seconds: int
    """Length; 60 and 86,400 are aligned to the UTC minute and day."""
    limit: int
    """Weight that may be spent in it, > 0."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a provider has and allows; each figure's source is in its file."""

    intervals: frozenset[Interval]
    """Those it has itself. Others are built from a finer one."""
    page_bars: int
    """Bars in one page at most."""
    windows: tuple[Window, ...] = ()
    """Limits that the quota ledger keeps, over all processes and restarts."""
    call_weight: int = 1
    """Weight of the call for one page of bars, by which the planner reckons."""
    per_second: float = 5.0
    """Pace of calls within a process."""
    max_bars: int | None = None
    """Bars that are to be had at all, counted from now (Kraken's 720, TradingView's 5,000); None without bound."""
    reach_days: dict[Interval, int] = field(default_factory=dict)
    """How far back an interval goes, where that is bounded."""
    counts_trades: bool = False
    """Whether its bars say how many trades they hold."""
    has_trades: bool = False
    """Whether it is also a `TradeProvider`."""


class BadRow(NamedTuple):
    """A row of a page that was left out."""

    reason: str
    """A word or two: `not a number`, `high below low`, `negative volume`, `out of session`."""
    detail: str
    """The row as it came, shortened."""


NOBODY_KNOWS: Final = -1
"""In place of the start of a lost bar: its row cannot be read so far."""


@dataclass(frozen=True, slots=True)
class Page:
    """Bars of one answer."""

    bars: NDArray[np.void]
    """`market.bars.BAR` records in order of start, no start twice within a request (pages that overlap are cut).
    `stream`, `updated_at`, `revision` and `seq` are 0, 0, 0 and -1: the history core fills them in."""
    bad: Sequence[BadRow] = ()
    lost: Sequence[int] = ()
    """Starts of bars that traded and cannot be had of the answer, ns, or `NOBODY_KNOWS`: of the bad rows those that
    no other row stands for, and that are where a bar of ours starts."""


@dataclass(frozen=True, slots=True)
class TradePage:
    """Trades of one answer."""

    ticks: NDArray[np.void]
    """`market.ticks.TICK` records by (event_time, trade id), none twice within a request; `stream` is 0 and
    `received_time` equals `event_time`."""
    bad: Sequence[BadRow] = ()
    lost: Sequence[int] = ()
    """When the trades of the bad rows were made, ns, or `NOBODY_KNOWS`."""


class Ask(Protocol):
    """Asked before each call: returns when it may be made, having noted it."""

    def __call__(self, weight: int = 1) -> None:
        """Wait for the pace and take the weight from the quota.

        Raises:
            QuotaSpent: There is none left; nothing was called.
        """


@dataclass(frozen=True, slots=True)
class Means:
    """What every provider is given: nothing in it reads a clock or sleeps by itself."""

    now_ns: Callable[[], int]
    """The clock: decides which bar is still open."""
    sleep: Callable[[float], None]
    """Waits between retries; tests pass one that notes."""
    ask: Ask
    """The quota's door."""
    spent: Callable[[int], None] = lambda _: None
    """Told the weight used in the present minute where the provider says it (Binance's header)."""


class Provider(Protocol):
    """One source of history. Not thread-safe: each worker makes its own."""

    name: str
    """As in settings and in `source`: `binance`."""
    terms: Terms

    def fetch(
        self,
        symbol: Symbol,
        interval: Interval,
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """Bars of one symbol, a page a call, lazily: abandoning the iterator makes no further call.

        Args:
            symbol: The instrument.
            interval: One of `terms.intervals`.
            start: ns; bars that start at this moment or later. None: as far back as `count` says.
            end: ns; bars that start before this moment. None: now.
            count: The newest so many bars before `end`. One of `start` and `count` is given.

        Yields:
            Pages in the order in which the provider gives them, oldest or newest first, each in order of start.
            An empty page where an answer held nothing.

        Raises:
            ProviderError: As its classes say. Pages that were yielded before stand.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class TradeProvider(Provider, Protocol):
    """A provider that also has every trade."""

    def trades(self, symbol: Symbol, start: int, end: int) -> Iterator[TradePage]:
        """Trades with `start <= event_time < end` (ns), oldest first, a page a call."""
        ...
