"""The providers that a desk can ask: who they are, what keeps one from being asked, and those that are connected."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from history.health import Breakers, Resting
from history.quota import Door, Quota
from history.watched import Watched
from market.errors import DeskError
from sinks.health_book import HealthBook
from sinks.quota_book import QuotaBook
from sources.history.provider import Means, NoKey, Provider, ProviderAway, Terms

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from sources.history.actions import ActionsProvider

Say = Callable[[str], None]


class Offered(Protocol):
    """A provider as it can be asked, or the reason why it cannot."""

    @property
    def terms(self) -> Terms:
        """What it has and allows."""

    @property
    def missing(self) -> str:
        """What keeps it from being called, with the setting in it; empty if nothing does."""

    @property
    def identity(self) -> str:
        """Its key and address: whom a refusal was for. One that is changed is asked anew."""

    def make(self, means: Means) -> Provider:
        """Make one for a worker."""


class Listed:
    """A provider of `sources.history.providers`, with a desk's settings. Importing it is left until it is asked."""

    def __init__(self, name: str, desk: "HistoryDesk") -> None:
        settings = desk.settings
        self._name = name
        self._settings = settings
        own = getattr(settings.providers, name)
        self._enabled = own.enabled
        self.key = own.key.get_secret_value() if own.key is not None else ""
        self._secret = own.secret.get_secret_value() if own.secret is not None else None
        self._url: str | None = own.url
        if name == "tradingview" and not self.key and settings.tradingview.token is not None:
            self.key = settings.tradingview.token.get_secret_value()

    @cached_property
    def terms(self) -> Terms:
        """What it has and allows."""
        from sources.history.providers import terms_of

        return terms_of(self._name)

    @property
    def missing(self) -> str:
        """What keeps it from being called."""
        from sources.history.providers import missing

        if not self._enabled:
            return f"switched off: POCKETQUANT_PROVIDERS__{self._name.upper()}__ENABLED=true switches it on"
        if self._name == "simulated" and self._address() is None:
            return "no simulated exchange runs: `pq up --feed sim` starts one"
        return missing(self._name, key=self.key or None, secret=self._secret, url=self._address()) or ""

    @property
    def identity(self) -> str:
        """Its key and address."""
        return f"{self.key} {self._address() or ''}"

    def make(self, means: Means) -> Provider:
        """Make one for a worker."""
        from sources.history.providers import make_provider

        return make_provider(self._name, means, key=self.key or None, secret=self._secret, url=self._address())

    def make_actions(self, means: Means) -> "ActionsProvider":
        """Make one that tells splits and dividends."""
        from sources.history.actions import make_actions_provider

        return make_actions_provider(self._name, means, key=self.key or None, secret=self._secret, url=self._address())

    def _address(self) -> str | None:
        """Another address than its own; the simulated exchange's is known when it runs."""
        if self._url is not None or self._name != "simulated":
            return self._url
        if self._settings.simulated.url is not None:
            return self._settings.simulated.url
        try:
            return self._settings.folders.simulated_url.read_text(encoding="utf-8").strip() or None
        except OSError:
            return None


@dataclass(slots=True)
class _Loan:
    """A provider, and the door that it asks."""

    provider: Provider
    door: Door


class Roster:
    """Lends providers to workers, one at a time each; those that are given back are lent again.

    Every call of one is asked of the quota ledger and told to the breaker. May be used by several threads.
    """

    def __init__(self, desk: "HistoryDesk", offered: Mapping[str, Offered]) -> None:
        """Nothing is connected yet.

        Args:
            desk: Whose clock, patience and books they are given.
            offered: By name.
        """
        self.offered = offered
        self._desk = desk
        self._guard = Lock()
        self._closed = False
        self._idle: defaultdict[str, list[_Loan]] = defaultdict(list)

    @property
    def quota(self) -> Quota:
        """The ledger of calls."""
        return quota(self._desk)

    @property
    def breakers(self) -> Breakers:
        """The health of each."""
        return breakers(self._desk)

    def terms(self, name: str) -> Terms:
        """What a provider has and allows.

        Raises:
            DeskError: There is none of that name.
        """
        return self._one(name).terms

    @contextmanager
    def lent(self, name: str, say: Say = lambda _: None) -> Iterator[Watched]:
        """A provider for one worker, for a `with` block.

        Args:
            name: Whose.
            say: Told of waits for its quota.

        Raises:
            NoKey: It may not be called: says which setting is missing.
            DeskError: There is none of that name.
        """
        one = self._one(name)
        if one.missing:
            raise NoKey(one.missing)
        with self._guard:
            idle = self._idle[name]
            loan = idle.pop() if idle else None
        if loan is None:
            door = self.quota.door(name, one.terms, say)
            means = Means(self._desk.now_ns, self._desk.sleep, door, door.spent)
            loan = _Loan(one.make(means), door)
        loan.door.say = say
        broken = False
        try:
            yield Watched(loan.provider, one.identity, self.breakers, self.quota)
        except ProviderAway as error:
            # Its connection may be what is broken.
            broken = not isinstance(error, Resting)
            raise
        finally:
            with self._guard:
                broken = broken or self._closed
                if not broken:
                    idle.append(loan)
            if broken:
                loan.provider.close()

    def close(self) -> None:
        """Let go of all connections, and of those that are lent when they are given back."""
        with self._guard:
            self._closed = True
            for idle in self._idle.values():
                while idle:
                    idle.pop().provider.close()

    def _one(self, name: str) -> Offered:
        found = self.offered.get(name)
        if found is None:
            msg = f"no provider {name!r}: there are {' '.join(self.offered)}"
            raise DeskError(msg)
        return found


def roster(desk: "HistoryDesk") -> Roster:
    """The desk's one roster: every provider there is, with the desk's settings."""
    return desk.keep(Roster, lambda: Roster(desk, listed(desk)))


def listed(desk: "HistoryDesk") -> dict[str, Offered]:
    """Every provider there is, by name, with the desk's settings."""
    from sources.history.providers import PROVIDERS

    return {name: Listed(name, desk) for name in PROVIDERS}


def quota(desk: "HistoryDesk") -> Quota:
    """The desk's ledger of calls."""
    desk.folders.create()
    return desk.keep(Quota, lambda: Quota(desk, QuotaBook(desk.folders.history)))


def breakers(desk: "HistoryDesk") -> Breakers:
    """The desk's breakers."""
    desk.folders.create()
    return desk.keep(Breakers, lambda: Breakers(desk, HealthBook(desk.folders.history)))
