"""A provider that is watched: its breaker is asked before each answer, and told of each."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar, cast

from history.health import Resting
from history.quota import OverQuota
from sources.history.provider import (
    BadAnswer,
    KeyRefused,
    NoKey,
    Page,
    Provider,
    ProviderAway,
    ProviderError,
    QuotaSpent,
    TradePage,
    TradeProvider,
)

if TYPE_CHECKING:
    from history.health import Breakers
    from history.quota import Quota
    from market.intervals import Interval
    from market.symbols import Symbol
    from sources.history.provider import Terms

Answer = TypeVar("Answer")


class Watched:
    """`sources.history.provider.TradeProvider`, whose every answer counts for the provider's health."""

    def __init__(self, provider: Provider, identity: str, breakers: "Breakers", quota: "Quota") -> None:
        """Watch it.

        Args:
            provider: The one that is called.
            identity: Its key and address, by whose fingerprint refusals are remembered.
            breakers: Told of each answer.
            quota: Told when the provider itself takes no more calls.
        """
        self._provider = provider
        self._identity = identity
        self._breakers = breakers
        self._quota = quota

    @property
    def name(self) -> str:
        """As in settings and in `source`."""
        return self._provider.name

    @property
    def terms(self) -> "Terms":
        """What it has and allows."""
        return self._provider.terms

    def fetch(
        self,
        symbol: "Symbol",
        interval: "Interval",
        start: int | None = None,
        end: int | None = None,
        count: int | None = None,
    ) -> Iterator[Page]:
        """Bars, by the port."""
        what = f"{symbol.exchange} {interval}"
        return self.watch(what, lambda: self._provider.fetch(symbol, interval, start, end, count))

    def trades(self, symbol: "Symbol", start: int, end: int) -> Iterator[TradePage]:
        """Trades, by the port."""
        what = f"{symbol.exchange} trades"
        return self.watch(what, lambda: cast("TradeProvider", self._provider).trades(symbol, start, end))

    def close(self) -> None:
        """The lender closes it."""

    def watch(self, what: str, ask: Callable[[], Iterator[Answer]]) -> Iterator[Answer]:
        """Answers one by one, lazily, each counted.

        Args:
            what: What is asked for, where a refusal of our key would be for all of its kind: `NASDAQ 1m`.
            ask: Begins the request.

        Raises:
            Resting: The breaker is open; nothing was called.
            ProviderError: As the provider says.
        """
        name, breakers = self.name, self._breakers
        breakers.check_key(name, self._identity, what)
        breakers.admit(name)
        answers = None
        try:
            answers = ask()
            for answer in answers:
                breakers.answered(name)
                yield answer
                breakers.admit(name)
        except (OverQuota, NoKey, Resting):
            # Nothing was called.
            raise
        except QuotaSpent as error:
            self._quota.book.block(name, error.until_ns, str(error))
            breakers.complained(name, error)
            raise
        except KeyRefused as error:
            breakers.refused(name, self._identity, what, error)
            raise
        except (ProviderAway, BadAnswer) as error:
            breakers.failed(name, error)
            raise
        except ProviderError as error:
            breakers.complained(name, error)
            raise
        finally:
            close = getattr(answers, "close", None)
            if close is not None:
                close()
