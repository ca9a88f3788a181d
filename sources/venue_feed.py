"""What most venues' feeds have in common: addresses, no headers, nothing said first, one kind of request."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from market.symbols import Symbol
from sources.feed import Limits


class VenueFeed(ABC):
    """A feed whose `subscribe` and `unsubscribe` are one request with another word in it; see `sources.feed.Feed`."""

    limits: Limits
    _urls: tuple[str, ...]

    def urls(self) -> Sequence[str]:
        """See `sources.feed.Feed`."""
        return self._urls

    def headers(self) -> dict[str, str]:
        """None are wanted."""
        return {}

    def hello(self) -> list[str]:
        """Nothing is said before the first subscription."""
        return []

    def subscribe(self, symbols: Sequence[Symbol]) -> list[str]:
        """See `sources.feed.Feed`."""
        return self._requests("subscribe", symbols)

    def unsubscribe(self, symbols: Sequence[Symbol]) -> list[str]:
        """See `sources.feed.Feed`."""
        return self._requests("unsubscribe", symbols)

    @abstractmethod
    def _requests(self, method: str, symbols: Sequence[Symbol]) -> list[str]:
        """Frames that `method` (`subscribe`, `unsubscribe`) these symbols, in the venue's chunks."""
