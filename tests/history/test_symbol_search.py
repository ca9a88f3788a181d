"""Search at TradingView, through the desk's settings and quota."""

from pathlib import Path

import pytest
from servers.history_http import HistoryServer

from history.desk import HistoryDesk
from history.symbol_search import search_tradingview
from infra.settings import load_settings
from market.errors import DeskError
from market.symbols import Symbol

NOW = 1_767_800_497 * 10**9
BODY = {"symbols": [{"symbol": "AAPL", "description": "Apple Inc.", "type": "stock", "exchange": "NASDAQ"}]}


def desk(tmp_path: Path, **options):
    settings = load_settings(tmp_path, environ={}, **options)
    settings.folders.create()
    return HistoryDesk(settings, now_ns=lambda: NOW, sleep=lambda _: None)


def test_it_is_off_unless_the_settings_switch_it_on(tmp_path):
    """Its terms forbid redistribution: that is the user's to accept."""
    with desk(tmp_path) as given, HistoryServer(lambda _: BODY) as server:
        with pytest.raises(DeskError, match=r"which is off: .* set POCKETQUANT_PROVIDERS__TRADINGVIEW__ENABLED=true"):
            search_tradingview(given, "apple", url=server.url)
        assert server.calls == []


def test_what_is_found_says_where(tmp_path):
    """And the call is in the ledger, with those for bars."""
    on = {"tradingview": {"enabled": True}}
    with desk(tmp_path, providers=on) as given, HistoryServer(lambda _: BODY) as server:
        (found,) = search_tradingview(given, "apple", url=server.url)

    assert (found.symbol, found.description, found.asset_class, found.where) == (
        *(Symbol("NASDAQ", "AAPL"), "Apple Inc.", "stock", "tradingview"),
    )
    assert len(server.calls) == 1
