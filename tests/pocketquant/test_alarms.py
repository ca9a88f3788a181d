"""Alarms of the supervisor, and the feed that carries a symbol."""

import pytest

from infra.metrics import Metrics
from infra.notify import Notifier
from market.errors import DeskError
from market.symbols import Symbol
from pocketquant.alarms import Alarms
from pocketquant.feed_choice import feed_for
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


def test_an_alarm_is_in_the_ledger_the_metrics_and_sent(folders):
    outbox = Outbox()
    notifier = Notifier(["json://h"], sender=lambda _addresses: outbox)
    metrics = Metrics()
    Alarms(folders.desk, notifier, metrics, lambda: NOON).sound("restart_loop", "bars", "bars ended 5 times in a row")
    notifier.close()

    with Ledger(folders.desk) as ledger:
        assert ledger.events() == [Event(NOON, "error", "restart_loop", "bars", "bars ended 5 times in a row", id=1)]
    assert outbox.sent == [("PocketQuant: restart loop: bars", "bars ended 5 times in a row")]
    assert metrics.registry.get_sample_value("pocketquant_alerts_total", {"alert": "restart_loop"}) == 1


def test_an_alarm_that_cannot_be_written_is_sent_all_the_same(folders):
    """A full or damaged disk is when it matters most."""
    folders.desk.write_bytes(b"not a database" * 1000)
    outbox = Outbox()
    notifier = Notifier(["json://h"], sender=lambda _addresses: outbox)
    Alarms(folders.desk, notifier, Metrics()).sound("killed", "bars", "bars was killed")
    notifier.close()
    assert outbox.sent == [("PocketQuant: killed: bars", "bars was killed")]


def test_an_exchange_has_its_own_feed_and_the_rest_is_tradingviews():
    assert {feed_for(Symbol(name, "X")) for name in ("SIM", "KRAKEN", "COINBASE", "BINANCE", "OKX")} == {
        *("sim", "kraken", "coinbase", "binance", "okx")
    }
    assert feed_for(Symbol("NASDAQ", "AAPL")) == "tradingview"
    assert feed_for(Symbol("BINANCE", "BTCUSDT"), asked="tradingview") == "tradingview"
    assert feed_for(Symbol("BINANCE", "BTCUSDT"), running=["kraken", "tradingview"]) == "tradingview"
    with pytest.raises(DeskError, match="NASDAQ:AAPL is not carried by feed kraken, which runs: tradingview does"):
        feed_for(Symbol("NASDAQ", "AAPL"), running=["kraken"])
    with pytest.raises(DeskError, match="KRAKEN:BTCUSD is not carried by feed sim, which runs: kraken or tradingview"):
        feed_for(Symbol("KRAKEN", "BTCUSD"), running=["sim"])
    with pytest.raises(DeskError, match="made up"):
        feed_for(BTC, asked="tradingview")
