"""Alerts: prices that were reached, and what is sent on."""

import time

import numpy as np
import pytest

from infra.metrics import Metrics
from infra.notify import Notifier
from infra.settings import load_settings
from market.bars import BAR, BarState
from market.errors import DeskError
from market.forming import Forming
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol
from pocketquant.feed_choice import FIRST_SYMBOLS, feed_for
from pocketquant.price_watch import Extremes, extremes, reached
from pocketquant.watch import Watch
from sinks.ledger import Event, Ledger, PriceAlert

BTC = Symbol("SIM", "BTCUSD")
NOON = 1_767_355_200 * 10**9


def minute(start, low, high, close, interval=Interval.M1):
    row = np.zeros(1, BAR)
    row["start"], row["low"], row["high"], row["close"] = start, low, high, close
    row["interval"], row["state"] = interval, BarState.FORMING
    return row


def forming(*rows):
    return Forming("sim", np.concatenate(rows))


@pytest.mark.parametrize(
    ("bars", "last", "since", "expected"),
    [
        ([minute(NOON, 1, 9, 5)], 4.0, NOON, Extremes(1, 9)),
        ([minute(NOON, 1, 9, 5)], 4.0, NOON + 1, Extremes(4, 5)),
        ([minute(NOON, 1, 9, 5), minute(NOON + MINUTE_NS, 3, 4, 3)], None, NOON + 1, Extremes(3, 5)),
        ([minute(NOON, 1, 9, 5, Interval.H1)], 4.0, NOON, Extremes(4, 4)),
        ([], None, NOON, None),
    ],
    ids=["whole minute", "minute began before", "two minutes open", "the hour does not count", "nothing known"],
)
def test_how_far_a_price_went_since_the_alert_was_set(bars, last, since, expected):
    """A spike between two looks is in the minute's high; one from before the alert must not fire it."""
    assert extremes(forming(*bars) if bars else None, last, since) == expected


@pytest.mark.parametrize(
    ("side", "price", "fires"),
    [("above", 9.0, True), ("above", 9.1, False), ("below", 1.0, True), ("below", 0.9, False)],
)
def test_a_price_is_reached_at_it(side, price, fires):
    alert = PriceAlert(1, BTC, side, price, True, NOON, None)
    assert bool(reached([alert], {BTC: forming(minute(NOON, 1, 9, 5))}, {})) is fires


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


def test_a_price_alert_fires_once(settings, folders):
    class Cached:
        where = "a cache by hand"

        def forming(self, symbols):
            return {symbol: forming(minute(time.time_ns(), 1, 9, 5)) for symbol in symbols}

        def quotes(self, _symbols):
            return []

        def close(self):
            pass

    watch = Watch(settings, Notifier([]), Metrics())
    watch._cache.close()
    watch._cache = Cached()
    with Ledger(folders.desk) as ledger:
        ledger.set_price_alert(BTC, "above", 8.5, NOON)
        ledger.set_price_alert(BTC, "above", 9.5, NOON)
        watch._look(ledger)
        watch._look(ledger)
        (event,) = ledger.events()
        assert (event.name, event.symbol) == ("price_alert", "SIM:BTCUSD")
        assert event.text == "SIM:BTCUSD traded at 9.0: at or above 8.5"
        assert [alert.price for alert in ledger.price_alerts(armed=True)] == [9.5]


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
