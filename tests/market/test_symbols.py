"""`EXCHANGE:TICKER` and the shard it lives in."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.streams import SHARDS, FeedKind, Stream
from market.symbols import Symbol, SymbolError, parse_symbol

EXCHANGE = st.from_regex(r"[A-Z][A-Z0-9_]{0,19}", fullmatch=True)
TICKER = st.from_regex(r"[A-Z0-9][A-Z0-9._!&+/-]{0,39}", fullmatch=True)


@pytest.mark.parametrize("text", ["NASDAQ:AAPL", "nyse:brk.b", " KRAKEN:BTCUSD ", "CME:ES1!", "OKX:BTC-USDT"])
def test_symbols_are_read_in_any_case(text):
    assert str(parse_symbol(text)) == text.strip().upper()


@pytest.mark.parametrize(
    "text",
    ["", ":", "AAPL", "NASDAQ:", ":AAPL", "NAS DAQ:AAPL", "NASDAQ:AA PL", "NASDAQ:A:B", "1X:A", "X:" + "A" * 41, "É:A"],
)
def test_anything_else_is_named_with_the_rule(text):
    with pytest.raises(SymbolError, match="is not EXCHANGE:TICKER") as caught:
        parse_symbol(text)
    assert repr(text) in str(caught.value)


@given(EXCHANGE, TICKER)
def test_a_symbol_reads_back_from_its_text(exchange, ticker):
    assert parse_symbol(str(Symbol(exchange, ticker))) == Symbol(exchange, ticker)


@given(st.text())
def test_no_text_crashes_the_reader(text):
    try:
        parse_symbol(text)
    except SymbolError:
        return


def test_the_shard_is_the_crc_of_the_symbol_whatever_the_feed():
    """Recovery data: crc32(b"KRAKEN:BTCUSD") mod 8 must never change."""
    symbol = Symbol("KRAKEN", "BTCUSD")
    live = Stream(0, "kraken", symbol, FeedKind.TRADES, 0)
    file = Stream(7, "file:3f2a9c01", symbol, FeedKind.TRADES, 1)
    assert live.shard == file.shard == crc32(b"KRAKEN:BTCUSD") % 8
    assert SHARDS == 8
