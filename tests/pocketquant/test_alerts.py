"""Alerts that are sent on, and the feed that carries a symbol."""

import pytest

from infra.metrics import Metrics
from infra.notify import Notifier
from infra.settings import load_settings
from market.errors import DeskError
from market.symbols import Symbol
from pocketquant.feed_choice import FIRST_SYMBOLS, feed_for
from pocketquant.watch import Watch
from sinks.ledger import Event, Ledger

BTC = Symbol("SIM", "BTCUSD")
NOON = 1_767_355_200 * 10**9


class Outbox:
    """Records what it is told to send."""

    def __init__(self):
        self.sent = []

    def notify(self, body, title):
        """Record one notification."""
        self.sent.append((title, body))
        return True


@pytest.fixture
def settings(folders):
    return load_settings(folders.data_dir, environ={})


def test_every_new_event_is_sent_on_once(settings, folders):
    """Whoever noted it; those from before the start are old news."""
    outbox = Outbox()
    notifier = Notifier(["json://h"], sender=lambda _addresses: outbox)
    metrics = Metrics()
    with Ledger(folders.desk) as ledger:
        ledger.note_event(Event(NOON, "error", "disk_low", "ingest", "old"))
        watch = Watch(settings, notifier, metrics)
        watch.start()
        ledger.note_event(Event(NOON, "warning", "feed_stale", "ingest", "kraken is silent for 31 s", feed="kraken"))
        watch.note("restart_loop", "bars", "bars ended 5 times in a row")
        watch.close()
    notifier.close()

    assert outbox.sent == [
        ("PocketQuant: feed stale: kraken", "kraken is silent for 31 s"),
        ("PocketQuant: restart loop: bars", "bars ended 5 times in a row"),
    ]
    assert metrics.registry.get_sample_value("pocketquant_alerts_total", {"alert": "feed_stale"}) == 1


def test_an_exchange_has_its_own_feed_and_the_rest_is_tradingviews():
    assert {feed_for(Symbol(name, "X")) for name in ("SIM", "KRAKEN", "COINBASE", "BINANCE", "OKX")} == {
        *("sim", "kraken", "coinbase", "binance", "okx")
    }
    assert feed_for(Symbol("NASDAQ", "AAPL")) == "tradingview"
    assert feed_for(Symbol("BINANCE", "BTCUSDT"), asked="tradingview") == "tradingview"
    with pytest.raises(DeskError, match="tradingview alone, which is off"):
        feed_for(Symbol("NASDAQ", "AAPL"), running=["kraken"])
    with pytest.raises(DeskError, match="made up"):
        feed_for(BTC, asked="tradingview")


def test_a_feed_begins_with_symbols_that_it_carries():
    for feed, symbols in FIRST_SYMBOLS.items():
        for text in symbols:
            assert feed_for(Symbol(*text.split(":"))) == feed
