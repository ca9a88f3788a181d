"""Who is asked for a symbol's history, and in what order."""

import pytest

from history.order import BY_CLASS, EVERY, order, ordered
from market.errors import DeskError
from market.symbols import Symbol, parse_symbol
from sinks.registry_book import Instrument, RegistryBook
from sources.history.providers import PROVIDERS


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("BINANCE:BTCUSDT", ("binance", "tradingview")),
        ("KRAKEN:BTCUSD", ("kraken", "tradingview")),
        ("COINBASE:BTCUSD", ("coinbase", "tradingview")),
        ("OKX:BTCUSDT", ("okx", "tradingview")),
        ("BYBIT:BTCUSDT", ("tradingview",)),
        ("SIM:BTCUSD", ("simulated",)),
        ("NASDAQ:AAPL", ("alpaca", "massive", "tradier", "alpha_vantage", "yfinance", "tradingview")),
        ("FX:EURUSD", ("massive", "alpha_vantage", "yfinance", "tradingview")),
    ],
)
def test_the_defaults(text, names):
    """A pair of a venue is that venue's alone: Coinbase's price of bitcoin is no bar of Kraken's."""
    assert order(parse_symbol(text), {}) == names


def test_the_symbols_own_order_goes_before_its_exchanges_and_that_before_its_class():
    apple = Symbol("NASDAQ", "AAPL")
    settings = {"stock": ["tradier"], "NASDAQ": ["massive", "alpaca", "massive"]}

    assert order(apple, {"stock": ["tradier"]}) == ("tradier",)
    assert order(apple, settings) == ("massive", "alpaca")
    assert order(apple, settings, Instrument(apple, history=("yfinance",))) == ("yfinance",)
    assert order(apple, settings, Instrument(apple, asset_class="index")) == ("massive", "alpaca")
    assert order(apple, {}, Instrument(apple, asset_class="index")) == BY_CLASS["index"]


def test_the_registry_and_the_settings_of_a_desk_are_looked_up(desk):
    apple = Symbol("NASDAQ", "AAPL")
    desk.settings.provider_order["stock"] = ["massive"]
    assert ordered(desk, apple) == ("massive",)
    with RegistryBook(desk.folders.history) as book:
        book.put([Instrument(apple, history=("alpaca", "tradier"))])

    assert ordered(desk, apple) == ("alpaca", "tradier")


def test_every_provider_there_is_has_a_place():
    """The names here are those of the list of providers, and each is in some order."""
    assert set(EVERY) == set(PROVIDERS)
    assert {name for names in BY_CLASS.values() for name in names} <= set(EVERY)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"stock": ["polygon"]}, "provider_order.stock in the settings names 'polygon', which is none of simulated"),
        (
            {"stocks": ["massive"]},
            "provider_order.stocks in the settings is neither an exchange nor one of crypto",
        ),
    ],
)
def test_an_order_that_makes_no_sense_is_said(desk, settings, text):
    desk.settings.provider_order.update(settings)
    with pytest.raises(DeskError, match=text):
        ordered(desk, Symbol("NASDAQ", "AAPL"))
