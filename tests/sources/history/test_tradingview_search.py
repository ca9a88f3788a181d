"""TradingView's search, on bodies of the form that its users describe."""

import pytest
from contract import Desk
from servers.history_http import HistoryServer, Reply

from market.symbols import Symbol
from sources.history.provider import BadAnswer, KeyRefused, QuotaSpent
from sources.history.tradingview_chart import ORIGIN
from sources.history.tradingview_search import FoundSymbol, search

APPLE = {
    "symbol": "<em>AAPL</em>", "description": "<em>Apple</em> Inc.", "type": "stock", "exchange": "NASDAQ",
    "currency_code": "USD", "provider_id": "ice", "country": "US",
}  # fmt: skip
BITCOIN = {
    "symbol": "BTCUSDT.P", "description": "BTCUSDT perpetual", "type": "swap", "exchange": "BYBIT", "prefix": "BYBIT",
    "currency_code": "USDT",
}  # fmt: skip
CERTIFICATE = {"symbol": "AAPL", "description": "Apple", "type": "stock", "exchange": "MIL Stocks", "prefix": "MIL"}
FUTURE = {
    "symbol": "ES", "description": "E-mini S&P 500", "type": "futures", "exchange": "CME", "prefix": "CME_MINI",
    "contracts": [{"symbol": "ES1!", "typespecs": ["continuous"]}, {"symbol": "ESZ2026"}],
}  # fmt: skip
ODD = {"symbol": "a name with spaces", "description": "x", "type": "stock", "exchange": "NASDAQ"}


def asked(body, text="apple", **options):
    with HistoryServer(lambda _: body) as server:
        return search(text, Desk().means, url=server.url, **options), server.calls


def test_symbols_come_by_our_names_best_first():
    """A future itself has no price: its contracts do. What no symbol of ours can be called is left out."""
    body = {"symbols_remaining": 12, "symbols": [APPLE, CERTIFICATE, ODD, BITCOIN, FUTURE, APPLE, {"x": 1}, 7]}
    found, calls = asked(body)

    assert found == [
        FoundSymbol(Symbol("NASDAQ", "AAPL"), "Apple Inc.", "stock", "USD"),
        FoundSymbol(Symbol("MIL", "AAPL"), "Apple", "stock", ""),
        FoundSymbol(Symbol("BYBIT", "BTCUSDT.P"), "BTCUSDT perpetual", "crypto", "USDT"),
        FoundSymbol(Symbol("CME_MINI", "ES1!"), "E-mini S&P 500", "future", ""),
        FoundSymbol(Symbol("CME_MINI", "ESZ2026"), "E-mini S&P 500", "future", ""),
    ]
    assert calls[0].path == "/symbol_search/v3/"
    assert calls[0].headers["Origin"] == ORIGIN
    assert calls[0].params == {
        "text": "apple", "exchange": "", "search_type": "undefined", "start": "0", "hl": "0", "lang": "en",
        "domain": "production",
    }  # fmt: skip


def test_the_older_answer_is_the_list_itself_and_a_limit_cuts_it():
    found, calls = asked([APPLE, BITCOIN], exchange="NASDAQ", kind="stock", limit=1)

    assert [one.symbol for one in found] == [Symbol("NASDAQ", "AAPL")]
    assert (calls[0].params["exchange"], calls[0].params["search_type"]) == ("NASDAQ", "stock")


def test_nothing_found_is_an_empty_list():
    assert asked({"symbols": []})[0] == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply({"surprise": 1}), BadAnswer),
        (Reply(b"<html>"), BadAnswer),
        (Reply(b"Forbidden", 403), KeyRefused),
        (Reply(b"", 429, {"Retry-After": "600"}), QuotaSpent),
    ],
)
def test_trouble_is_told_in_our_terms(reply, error):
    with pytest.raises(error, match="tradingview"):
        asked(reply)
