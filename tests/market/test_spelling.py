"""Symbols as each venue writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.spelling import EXCHANGES, QUOTES, canonical, from_venue, split_pair, to_venue
from market.symbols import Symbol, SymbolError, parse_symbol

SPELLINGS = [
    ("KRAKEN:BTCUSD", "kraken", "BTC/USD"),
    ("KRAKEN:BTCUSD", "kraken_v1", "XBT/USD"),
    ("KRAKEN:DOGEBTC", "kraken", "DOGE/BTC"),
    ("KRAKEN:DOGEBTC", "kraken_v1", "XDG/XBT"),
    ("KRAKEN:XTZUSD", "kraken", "XTZ/USD"),
    ("KRAKEN:USDTUSD", "kraken", "USDT/USD"),
    ("KRAKEN:TUSD", "kraken", "T/USD"),
    ("KRAKEN:XETH/USDT", "kraken", "XETH/USDT"),
    ("KRAKEN:SOL/DOT", "kraken", "SOL/DOT"),
    ("COINBASE:BTCUSD", "coinbase", "BTC-USD"),
    ("COINBASE:1INCHUSDC", "coinbase", "1INCH-USDC"),
    ("BINANCE:BTCUSDT", "binance", "btcusdt"),
    ("OKX:BTCUSDT", "okx", "BTC-USDT"),
    ("OKX:BTCUSDT.P", "okx", "BTC-USDT-SWAP"),
    ("OKX:BTCUSD.P", "okx", "BTC-USD-SWAP"),
    ("OKX:BTCUSD-251226", "okx", "BTC-USD-251226"),
    ("OKX:BTCUSD-251226-60000-C", "okx", "BTC-USD-251226-60000-C"),
    ("SIM:S0001USD", "sim", "S0001/USD"),
    ("NASDAQ:AAPL", "tradingview", "NASDAQ:AAPL"),
    ("NYSE:BRK.B", "tradingview", "NYSE:BRK.B"),
    ("BYBIT:BTCUSDT.P", "tradingview", "BYBIT:BTCUSDT.P"),
    ("CME_MINI:ES1!", "tradingview", "CME_MINI:ES1!"),
]


@pytest.mark.parametrize(("symbol", "venue", "text"), SPELLINGS)
def test_a_symbol_goes_to_the_venue_and_back(symbol, venue, text):
    assert to_venue(parse_symbol(symbol), venue) == text
    assert str(from_venue(text, venue)) == symbol


@pytest.mark.parametrize("text", ["BTC/USD", "XBT/USD", "XBTUSD", "XXBTZUSD", "BTCUSD", "btc/usd"])
def test_every_name_that_kraken_ever_gave_bitcoin_is_one_symbol(text):
    assert str(from_venue(text, "kraken")) == "KRAKEN:BTCUSD"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("KRAKEN:XBTUSD", "KRAKEN:BTCUSD"), ("KRAKEN:ETHXBT", "KRAKEN:ETHBTC"), ("KRAKEN:XETHXXBT", "KRAKEN:ETHBTC"),
        ("COINBASE:BTC-USD", "COINBASE:BTCUSD"), ("BINANCE:BTC/USDT", "BINANCE:BTCUSDT"),
        ("OKX:BTC-USDT", "OKX:BTCUSDT"), ("OKX:BTC-USDT-SWAP", "OKX:BTCUSDT.P"), ("OKX:BTC/USDT", "OKX:BTCUSDT"),
        ("SIM:BTC/USD", "SIM:BTCUSD"), ("NYSE:BRK-B", "NYSE:BRK.B"), ("NYSE:BRK/B", "NYSE:BRK.B"),
        ("NYSE:BAC/PL", "NYSE:BAC/PL"), ("NASDAQ:AAPL", "NASDAQ:AAPL"),
    ],
)  # fmt: skip
def test_what_a_user_writes_in_a_venues_way_has_one_name(written, name):
    """Or one instrument would be subscribed twice, and its ticks belong to neither."""
    assert str(canonical(parse_symbol(written))) == name
    assert canonical(parse_symbol(name)) == parse_symbol(name)


@pytest.mark.parametrize(("provider", "text"), [("yahoo", "BRK-B"), ("tradier", "BRK/B"), ("polygon", "BRK.B")])
def test_a_class_of_shares_is_set_off_as_the_provider_does(provider, text):
    assert to_venue(Symbol("NYSE", "BRK.B"), provider) == text
    assert from_venue(text, provider, "NYSE") == Symbol("NYSE", "BRK.B")


def test_the_longest_quote_wins_and_a_base_must_remain():
    assert split_pair("BTCUSDT", "binance") == ("BTC", "USDT")
    assert split_pair("BTCFDUSD", "binance") == ("BTC", "FDUSD")
    assert split_pair("FDUSDUSDT", "binance") == ("FDUSD", "USDT")
    assert split_pair("TUSD", "binance") == ("T", "USD")


@pytest.mark.parametrize("venue", ["kraken", "coinbase", "okx", "sim"])
def test_where_the_venue_wants_pairs_apart_no_quote_ends_another(venue):
    """Then a joined ticker splits in one way only, and the longest-first rule never has to guess."""
    quotes = QUOTES[venue]
    assert [(a, b) for a in quotes for b in quotes if a != b and a.endswith(b)] == []


codes = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=12)


@given(codes, codes | st.sampled_from(QUOTES["kraken"] + QUOTES["okx"]), st.sampled_from(["coinbase", "okx", "sim"]))
def test_any_pair_of_a_venue_comes_back_as_it_was(base, quote, venue):
    """Also a pair whose quote the table does not know: it keeps a slash, and is not split elsewhere."""
    text = f"{base}/{quote}" if venue == "sim" else f"{base}-{quote}"
    symbol = from_venue(text, venue)

    assert to_venue(symbol, venue) == text
    assert parse_symbol(str(symbol)) == symbol
    assert canonical(symbol) == symbol


@given(codes, codes | st.sampled_from(QUOTES["kraken"]))
def test_any_pair_of_kraken_comes_back_with_todays_codes(base, quote):
    old = {"XBT": "BTC", "XDG": "DOGE"}
    symbol = from_venue(f"{base}/{quote}", "kraken")

    assert canonical(symbol) == symbol
    assert to_venue(symbol, "kraken") == f"{old.get(base, base)}/{old.get(quote, quote)}"
    assert from_venue(to_venue(symbol, "kraken_v1"), "kraken_v1") == symbol


@given(st.sampled_from([*EXCHANGES, "tradingview"]), st.text(max_size=30))
def test_any_text_is_a_symbol_or_a_symbol_error(venue, text):
    """A venue's frame is not to be trusted with the shape of a name."""
    try:
        symbol = from_venue(text, venue)
    except SymbolError:
        return
    assert parse_symbol(str(symbol)) == symbol
    assert symbol.exchange == EXCHANGES.get(venue, symbol.exchange)


@pytest.mark.parametrize(
    "key",
    [
        '={"symbol":"NASDAQ:AAPL","session":"regular"}',
        '={"session":"extended","symbol":"NASDAQ:AAPL"}',
        '={"symbol":"NASDAQ:AAPL","adjustment":"splits","session":"regular"}',
        "NASDAQ:AAPL",
    ],
)
def test_a_tradingview_key_names_its_symbol(key):
    assert str(from_venue(key, "tradingview")) == "NASDAQ:AAPL"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ('={"symbol":"BYBIT:BTCUSDT.P","adjustment":"splits","currency-id":"XTVCUSDT"}', "currency-id"),
        ('={"symbol":"NASDAQ:AAPL","currency-id":"EUR"}', "currency-id"),
        ('={"symbol":"NASDAQ:AAPL","adjustment":"dividends"}', "adjustment"),
        ('={"symbol":{"symbol":"NASDAQ:AAPL","type":"BarSetHeikenAshi@tv-basicstudies-60!"}}', "no plain symbol"),
        ("={", "is not ={...}"),
        ("=[1]", "no plain symbol"),
        ("=" + "[" * 100_000, "is not ={...}"),
    ],
)
def test_a_key_with_other_prices_is_never_taken_for_the_plain_symbol(key, why):
    with pytest.raises(SymbolError, match=why):
        from_venue(key, "tradingview")


@pytest.mark.parametrize(
    ("symbol", "venue", "why"),
    [
        ("COINBASE:BTCUSD", "kraken", "not on kraken"),
        ("KRAKEN:BTCXYZ", "kraken", "no quote currency known on kraken"),
        ("KRAKEN:USD", "kraken", "no quote currency"),
        ("BINANCE:BTCUSDT.P", "binance", "no spot pair"),
        ("OKX:BTCUSDT-26!", "okx", "neither a swap nor"),
        ("KRAKEN:BTCUSD", "mtgox", "has no spelling"),
    ],
)
def test_what_cannot_be_spelt_says_why(symbol, venue, why):
    with pytest.raises(SymbolError, match=why):
        to_venue(parse_symbol(symbol), venue)


def test_a_providers_name_without_an_exchange_is_refused():
    with pytest.raises(SymbolError, match="does not say its exchange"):
        from_venue("BRK-B", "yahoo")
