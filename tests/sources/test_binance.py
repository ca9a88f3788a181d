"""Binance's streams, on the half minute recorded in 2021 and on documented frames."""

from math import isnan

import pytest

from market.symbols import parse_symbol
from sources.binance import BinanceFeed
from sources.feed import Parsed

BTC = parse_symbol("BINANCE:BTCUSDT")
NOW = 1_700_000_001_000_000_000
TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1700000000124,"s":"BTCUSDT","t":12345,"p":"0.001","q":"100",'
    '"T":1700000000123,"m":true,"M":true}}'
)
AGGREGATE = (
    '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1700000000124,"s":"BTCUSDT","a":5,"p":"0.001","q":"100",'
    '"f":100,"l":105,"T":1700000000123,"m":false,"M":true}}'
)
BOOK = '{"stream":"btcusdt@bookTicker","data":{"u":4,"s":"BTCUSDT","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}'


def read(*frames):
    parser = BinanceFeed().parser({BTC: 4})
    out = Parsed()
    for frame in frames:
        parser.parse(frame, NOW, out)
    return out


def test_a_buyer_that_is_the_maker_was_sold_to():
    assert read(TRADE).ticks == [(1700000000123000000, NOW, 0.001, 100.0, 12345, 1, 4, -1, 0)]


def test_an_aggregate_counts_its_trades_and_is_known_by_the_last():
    """100 to 105 are six trades; the aggregate before it ends with 99 = 105 - 6."""
    assert read(AGGREGATE).ticks == [(1700000000123000000, NOW, 0.001, 100.0, 105, 6, 4, 1, 0)]


def test_stamps_may_be_milliseconds_or_microseconds():
    micros = TRADE.replace('"T":1700000000123', '"T":1700000000123456')

    assert [tick[0] for tick in read(TRADE, micros).ticks] == [1700000000123000000, 1700000000123456000]


def test_a_frame_of_a_single_stream_is_read_as_well():
    bare = TRADE.partition('"data":')[2][:-1]

    assert read(bare).ticks == read(TRADE).ticks
    assert read(BOOK.partition('"data":')[2][:-1]).quotes[0][3:7] == (25.35, 25.36, 31.2, 40.6)
    assert read(TRADE.encode()).ticks == read(TRADE).ticks


def test_a_quote_has_no_stamp_and_the_last_price_seen():
    out = read(BOOK, TRADE, BOOK.encode())

    assert isnan(out.quotes[0][2])
    assert out.quotes[1] == (NOW, NOW, 0.001, 25.35, 25.36, 31.2, 40.6, 4, 1, 0, 0)


def test_the_recorded_half_minute_holds_two_aggregates_and_84_quotes(recorded):
    """Counted in the file: 177 depth updates and 2 candles are known and not asked for."""
    streams = {parse_symbol(f"BINANCE:{name}"): id_ for id_, name in enumerate(["NKNUSDT", "LRCBTC", "BLZETH"])}
    parser, out = BinanceFeed().parser(streams), Parsed()
    for line in (recorded / "binance" / "cryptofeed-BINANCE.ws.1.0").read_text().splitlines()[1:]:
        if line:
            parser.parse(line.partition(": ")[2], NOW, out)

    assert out.ticks == [
        (1633998523963000000, NOW, 0.3528, 58.0, 19862790, 1, 0, 1, 0),
        (1633998534486000000, NOW, 0.00000638, 177.0, 12368013, 1, 1, 1, 0),
    ]
    assert (len(out.quotes), out.rejects) == (84, [])


def test_answers_are_nothing_and_refusals_are_notes():
    out = read(
        '{"result":null,"id":1}',
        '{"result":["btcusdt@trade","btcusdt@bookTicker"],"id":0}',
        '{"error":{"code":2,"msg":"Invalid request: unknown stream"},"id":2}',
        '{"code":3,"msg":"Invalid JSON"}',
    )

    assert out.notes == [
        ("refused", "binance answers 2: Invalid request: unknown stream"),
        ("refused", "binance answers 3: Invalid JSON"),
    ]
    assert out.rejects == []


@pytest.mark.parametrize("wrapped", [True, False])
def test_an_announced_shutdown_asks_for_a_reconnect(wrapped):
    event = '{"e":"serverShutdown","E":1770123456789}'
    out = read(f'{{"stream":"x","data":{event}}}' if wrapped else event)

    assert out.reconnect
    assert [name for name, _ in out.notes] == ["maintenance"]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (TRADE.replace("BTCUSDT", "XYZUSDT"), "symbol"),
        (TRADE.replace('"0.001"', '"nan"'), "number"),
        (TRADE.replace('"0.001"', '"1e999"'), "shape"),
        (TRADE.replace('"0.001"', '"1_0"'), "shape"),
        (TRADE.replace('"T":1700000000123', '"T":99999999999999'), "stamp"),
        (TRADE.replace('"T":1700000000123', '"T":-5'), "shape"),
        (TRADE.replace('"t":12345', '"t":99999999999999999999'), "shape"),
        (TRADE.replace('"m":true,', ""), "shape"),
        (AGGREGATE.replace('"l":105', '"l":99'), "number"),
        (AGGREGATE.replace('"l":105', '"l":9223372036854775807'), "number"),
        (BOOK.replace('"25.35"', '"inf"'), "number"),
        (TRADE[:-3], "json"),
        ('{"stream":"btcusdt@lottery","data":{"e":"lottery"}}', "unknown"),
        ("{}", "shape"),
        ("[1,2]", "shape"),
        ("", "json"),
    ],
)
def test_what_cannot_be_read_is_refused(frame, reason):
    out = read(frame)

    assert (out.ticks, out.quotes) == ([], [])
    assert [found for found, _ in out.rejects] == [reason]


def test_streams_are_asked_for_in_lower_case():
    feed = BinanceFeed(trades="aggTrade")

    assert feed.subscribe([BTC]) == ['{"method":"SUBSCRIBE","params":["btcusdt@aggTrade","btcusdt@bookTicker"],"id":1}']
    assert feed.limits.lifetime_s == 86_400
    assert [url.split("/")[2] for url in feed.urls()] == [
        "stream.binance.com:9443", "stream.binance.com:443", "data-stream.binance.vision",
    ]  # fmt: skip
