"""The providers that a desk can ask, and the few of them that are connected at a time."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from market.errors import DeskError
from sources.history.provider import Means, NoKey, Provider, ProviderAway, Terms

if TYPE_CHECKING:
    from history.desk import HistoryDesk


@dataclass(frozen=True, slots=True)
class Offered:
    """A provider as it can be asked, or the reason why it cannot."""

    terms: Terms
    make: Callable[[Means], Provider]
    """Makes one for a worker."""
    missing: str = ""
    """What keeps it from being called, with the setting in it; empty if nothing does."""


class Roster:
    """Lends providers to workers, one at a time each; those that are given back are lent again.

    May be used by several threads.
    """

    def __init__(self, desk: "HistoryDesk", offered: Mapping[str, Offered]) -> None:
        """Nothing is connected yet.

        Args:
            desk: Whose clock and patience they are given.
            offered: By name.
        """
        self.offered = offered
        self._desk = desk
        self._guard = Lock()
        self._closed = False
        self._idle: defaultdict[str, list[Provider]] = defaultdict(list)

    def terms(self, name: str) -> Terms:
        """What a provider has and allows.

        Raises:
            DeskError: There is none of that name.
        """
        return self._one(name).terms

    @contextmanager
    def lent(self, name: str) -> Iterator[Provider]:
        """A provider for one worker, for a `with` block.

        Raises:
            NoKey: It may not be called: says which setting is missing.
            DeskError: There is none of that name.
        """
        one = self._one(name)
        if one.missing:
            raise NoKey(one.missing)
        with self._guard:
            idle = self._idle[name]
            provider = idle.pop() if idle else None
        if provider is None:
            provider = one.make(Means(self._desk.now_ns, self._desk.sleep, _asks_nobody))
        broken = False
        try:
            yield provider
        except ProviderAway:
            # Its connection may be what is broken.
            broken = True
            raise
        finally:
            with self._guard:
                broken = broken or self._closed
                if not broken:
                    idle.append(provider)
            if broken:
                provider.close()

    def close(self) -> None:
        """Let go of all connections, and of those that are lent when they are given back."""
        with self._guard:
            self._closed = True
            for idle in self._idle.values():
                while idle:
                    idle.pop().close()

    def _one(self, name: str) -> Offered:
        found = self.offered.get(name)
        if found is None:
            msg = f"no provider {name!r}: there are {' '.join(self.offered) or 'none'}"
            raise DeskError(msg)
        return found


def _asks_nobody(weight: int = 1) -> None:
    """No limit is kept."""


def roster(desk: "HistoryDesk") -> Roster:
    """The desk's one roster."""
    return desk.keep(Roster, lambda: Roster(desk, {}))
