"""Every venue by name, and what all of them promise."""

import pytest

from market.errors import DeskError
from market.spelling import EXCHANGES
from market.symbols import parse_symbol
from sources.feed import Feed, Parsed
from sources.kraken_v1 import KrakenV1Feed
from sources.venues import FEEDS, make_feed

OPTIONS = {"sim": {"urls": ["ws://127.0.0.1:9"]}}


@pytest.mark.parametrize("name", [*FEEDS, "kraken_v1"])
def test_a_feed_provides_all_that_the_connection_loop_asks_for(name):
    feed: Feed = KrakenV1Feed() if name == "kraken_v1" else make_feed(name, **OPTIONS.get(name, {}))
    symbol = parse_symbol(f"{feed.exchange or 'NASDAQ'}:BTCUSD")

    assert feed.name == name
    assert feed.exchange == EXCHANGES.get(name)
    assert all(url.startswith(("wss://", "ws://127.")) for url in feed.urls())
    assert all(
        isinstance(text, str) for text in [*feed.hello(), *feed.subscribe([symbol]), *feed.unsubscribe([symbol])]
    )
    assert isinstance(feed.headers(), dict)
    assert bool(feed.heartbeat()) or feed.limits.heartbeat_s is None
    assert min(feed.limits.symbols_per_connection, feed.limits.symbols_per_subscribe, feed.limits.silence_s) > 0
    out = Parsed()
    feed.parser({symbol: 0}).parse("garbage", 0, out)
    assert len(out.rejects) == 1


def test_an_unknown_feed_and_an_unknown_option_are_named():
    with pytest.raises(DeskError, match="feed 'mtgox' is none of sim kraken coinbase binance okx tradingview"):
        make_feed("mtgox")
    with pytest.raises(DeskError, match=r"feed kraken does not take these options \(colour\)"):
        make_feed("kraken", colour="red")
    with pytest.raises(DeskError, match="feed sim needs the address"):
        make_feed("sim")
