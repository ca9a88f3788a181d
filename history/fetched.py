"""What comes of asking for history, and what is said when nobody gives it."""

from collections.abc import Sequence
from typing import NamedTuple

from history.health import Resting
from market.bars import BarBatch
from market.errors import DeskError
from sources.history.provider import BadAnswer, BadRow, NoKey, ProviderAway, ProviderError, QuotaSpent, TradePage


class Fetched(NamedTuple):
    """Some of the bars that were asked for."""

    batch: BarBatch
    """In order of start, ready for the store: no bar of it was in a part before, none will be in a later one. Official,
    or forming where the bar is not over; `streams` has one entry, whose feed is the bars' source. May be empty."""
    provider: str
    """Who gave them."""
    covered: tuple[int, int]
    """`[start, end)`, ns: there are no other bars in it than these and those of parts before. The spans of all parts
    together are what was asked for."""
    bad: Sequence[BadRow] = ()
    """Rows that were left out."""
    lost: Sequence[int] = ()
    """Starts of bars in the span that traded and are not here, ns, or `NOBODY_KNOWS`: their rows, or finer ones that
    they would have been built from, were left out."""


class FetchedTrades(NamedTuple):
    """Some of the trades that were asked for."""

    provider: str
    page: TradePage
    covered: tuple[int, int]
    """`[start, end)`, ns: there are no other trades in it than these and those of pages before."""


class NobodyGave(DeskError):  # noqa: N818  # A state of the world.
    """No provider gave all that was asked for. What was yielded before stands, and its spans are covered."""

    def __init__(self, what: str, said: Sequence[tuple[str, ProviderError]]) -> None:
        """List what each provider said."""
        told = "; ".join(str(error) if str(error).startswith(name) else f"{name}: {error}" for name, error in said)
        if all(isinstance(error, NoKey) for _, error in said):
            told = told or "its order names none"
            text = f"{what}: no provider can be asked: {told}; `pq providers` says what each needs"
        elif len(said) == 1:
            text = f"{what}: {told}"
        else:
            text = f"{what}: no provider gave it: {told}"
        super().__init__(text)
        self.said = tuple(said)
        """What each provider said, in the order in which they were asked."""
        spent = [error.until_ns for _, error in said if isinstance(error, QuotaSpent | Resting)]
        self.retry_at_ns = min(spent) if spent else None
        """When the first that takes no calls for now may be asked again, ns; None if that is not the trouble."""
        self.transient = any(isinstance(error, ProviderAway | BadAnswer) for _, error in said)
        """Whether the same again may go well in a minute."""
