"""From the names of feeds to feeds, and from symbols to the feeds that serve them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dataflows.ingest.probe import choose_feed
from dataflows.ingest.roster import FIRST_SYMBOLS
from market.errors import DeskError
from market.spelling import read_symbol
from market.symbols import Symbol, parse_symbol
from sinks.ledger import Ledger
from sources.feed import Feed
from sources.tradingview import TERMS
from sources.venues import make_feed


def make_feeds(
    names: Sequence[str],
    *,
    simulated_url: str | None,
    tradingview_enabled: bool,
    tradingview_token: str | None,
    config: Path,
    say: Callable[[str], None],
    contracts: Mapping[str, float] | None = None,
    choose: Callable[[], str] = choose_feed,
) -> list[Feed]:
    """Make the feeds of these names; nothing is connected yet, but for `auto`, which tries who can be reached.

    Args:
        names: `auto`, or names of `sources.venues.FEEDS`.
        simulated_url: WebSocket address of the simulated exchange, for `sim`.
        tradingview_enabled: Whether the user has switched that feed on.
        tradingview_token: Pasted by the user; None for the anonymous one.
        config: The settings file, for the error's text.
        say: Told what a user has to know of a feed: terms, prices that are made up.
        contracts: Value of one contract of each of OKX's swaps and futures, by the venue's name.
        choose: What `auto` means.

    Raises:
        DeskError: A feed is unknown, has not been switched on, or has no address.
    """
    feeds = []
    for name in dict.fromkeys(choose() if name == "auto" else name for name in names):
        if name == "tradingview":
            if not tradingview_enabled:
                msg = (
                    "feed tradingview is off: its terms forbid redistribution, so it runs only where the settings say "
                    f"so; put `[tradingview]` and `enabled = true` into {config}"
                )
                raise DeskError(msg)
            say(TERMS)
            feeds.append(make_feed(name, token=tradingview_token))
        elif name == "sim":
            if simulated_url is None:
                msg = (
                    "feed sim needs the simulated exchange: `pq up --feed sim` starts it, or start "
                    "`python -m sources.simulated` and name its address with --sim-url"
                )
                raise DeskError(msg)
            say("prices are SIMULATED: they are made up, and kept under exchange SIM")
            feeds.append(make_feed(name, urls=[simulated_url]))
        elif name == "okx":
            feeds.append(make_feed(name, contracts=contracts or {}))
        else:
            feeds.append(make_feed(name))
    return feeds


def feed_of(symbol: Symbol, feeds: Sequence[Feed]) -> Feed:
    """The feed that serves a symbol: the one of its exchange, else one that serves many exchanges.

    Raises:
        DeskError: None of them does.
    """
    for feed in feeds:
        if feed.exchange == symbol.exchange:
            return feed
    for feed in feeds:
        if feed.exchange is None:
            return feed
    names = " ".join(feed.name for feed in feeds)
    msg = f"symbol {symbol} is served by none of the running feeds ({names}); start the one of its exchange with --feed"
    raise DeskError(msg)


def first_subscriptions(ledger: Ledger, feeds: Sequence[Feed], symbols: Sequence[str], now_ns: int) -> None:
    """Note the symbols asked for at the start; a feed for which nobody ever asked for any gets its first ones.

    Args:
        ledger: Keeps them, so that what is unsubscribed later stays so over restarts.
        feeds: Those that run.
        symbols: Asked for now.
        now_ns: ns UTC.

    Raises:
        DeskError: A symbol is served by none of the feeds.
        SymbolError: A symbol has another form.
    """
    wanted = [read_symbol(text) for text in symbols]
    if wanted:
        ledger.subscribe_all({symbol: feed_of(symbol, feeds).name for symbol in wanted}, now_ns)
    known = {subscription.feed for subscription in ledger.subscriptions(active=None)}
    for feed in feeds:
        if feed.name not in known:
            first = {parse_symbol(text): feed.name for text in FIRST_SYMBOLS.get(feed.name, ())}
            ledger.subscribe_all(first, now_ns)
