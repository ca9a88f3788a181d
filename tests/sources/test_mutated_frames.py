"""Ten thousand mutated frames a venue, seeded: none crashes a parser, and no tick of one breaks a rule."""

import random
from math import isfinite

import numpy as np
import pytest

from market.symbols import parse_symbol
from market.ticks import QUOTE, TICK
from operators.validate import EARLIEST_NS, Rules, check_rows
from sources.feed import Parsed
from sources.kraken_v1 import KrakenV1Feed
from sources.tradingview_frames import encode_frame
from sources.venues import make_feed

MUTATIONS = 10_000
NOW = 1_784_850_000_000_000_000
STREAM = 41

SEEDS = {
    "kraken": [
        ('{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":65140.3,"qty":0.015,'
        '"ord_type":"market","trade_id":104182603,"timestamp":"2026-07-23T22:56:48.226099Z"},{"symbol":"BTC/USD",'
        '"side":"sell","price":65139.9,"qty":0.0025,"ord_type":"limit","trade_id":104182604,'
        '"timestamp":"2026-07-23T22:56:48.300000Z"}]}'),
        ('{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":1.5,"bid_qty":2,"ask":1.6,"ask_qty":3,'
        '"last":1.55,"volume":1}]}'),
        '{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true}',
        '{"channel":"status","type":"update","data":[{"system":"online"}]}',
    ],
    "kraken_v1": [
        ('[993,[["354.04","0.28","1618678150.826417","s","m",""],["353.8","1.7","1618678150.8","b","m",""]],"trade",'
        '"XBT/USD"]'),
        '[996,{"a":["355.24",27,"27.1"],"b":["354.32",6,"6.8"],"c":["355.23","1.2"]},"ticker","XBT/USD"]',
        ('{"channelID":1,"event":"subscriptionStatus","pair":"XBT/USD","status":"subscribed",'
        '"subscription":{"name":"trade"}}'),
    ],
    "coinbase": [
        ('{"type":"match","trade_id":865127782,"side":"sell","size":"0.00542","price":"117701.29",'
        '"product_id":"BTC-USD","sequence":1,"time":"2026-07-22T14:03:11.123456Z"}'),
        ('{"type":"ticker","product_id":"BTC-USD","price":"1.5","best_bid":"1.4","best_ask":"1.6","best_bid_size":"1",'
        '"best_ask_size":"2","time":"2026-07-22T14:03:11.123456Z"}'),
        '{"type":"heartbeat","last_trade_id":865127782,"product_id":"BTC-USD","time":"2026-07-22T14:03:12.000000Z"}',
        '{"type":"last_match","trade_id":812345001,"product_id":"BTC-USD"}',
    ],
    "binance": [
        ('{"stream":"btcusd@trade","data":{"e":"trade","E":1,"s":"BTCUSD","t":12345,"p":"0.001","q":"100",'
        '"T":1700000000123,"m":true,"M":true}}'),
        ('{"stream":"btcusd@aggTrade","data":{"e":"aggTrade","E":1,"s":"BTCUSD","a":5,"p":"0.001","q":"100","f":100,'
        '"l":105,"T":1700000000123456,"m":false,"M":true}}'),
        '{"stream":"btcusd@bookTicker","data":{"u":4,"s":"BTCUSD","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}',
        '{"e":"trade","E":1,"s":"BTCUSD","t":12345,"p":"0.001","q":"100","T":1700000000123,"m":true}',
    ],
    "okx": [
        ('{"arg":{"channel":"trades","instId":"BTC-USD"},"data":[{"instId":"BTC-USD","tradeId":"1035721474",'
        '"px":"65176.3","sz":"0.00524071","side":"sell","ts":"1784849123233","count":"1"},{"instId":"BTC-USD",'
        '"tradeId":"1035721479","px":"65176.4","sz":"0.01","side":"buy","ts":"1784849124733","count":"5"}]}'),
        ('{"arg":{"channel":"tickers","instId":"BTC-USD"},"data":[{"instId":"BTC-USD","last":"1.5","askPx":"1.6",'
        '"askSz":"1","bidPx":"1.4","bidSz":"","ts":"1784849124733"}]}'),
        '{"event":"notice","code":"64008","msg":"soon"}',
    ],
    "tradingview": [
        encode_frame('{"m":"qsd","p":["qs",{"n":"BITSTAMP:BTCUSD","s":"ok","v":{"lp":8004.8,"volume":6219.89,'
        '"lp_time":1784849999,"update_mode":"streaming","current_session":"market"}}]}')
        + encode_frame("~h~12")
        + encode_frame('{"m":"qsd","p":["qs",{"n":"BITSTAMP:BTCUSD","s":"ok","v":{"lp":8005.5,"volume":6220.5}}]}'),
        encode_frame('{"m":"qsd","p":["qs",{"n":"BITSTAMP:BTCUSD","s":"ok","v":{"bid":1.5,"ask":1.6,"lp":1.55}}]}'),
        encode_frame('{"m":"critical_error","p":["qs","invalid_parameters","quote_add_symbols"]}'),
    ],
}  # fmt: skip

NASTY = [
    "1e999", "-1e999", "NaN", "Infinity", "1e308", "-1", "0", "-0.0", "99999999999999999999", "9223372036854775808",
    "1" + "0" * 330, "1e-400", "null", "true", "[]", "{}", '""', '"nan"', '"inf"', '"-Infinity"', '"1e999"', '"1_0"',
    '"\\ud800"', '"\\u0000"', "[" * 3000, '"9999-12-31T23:59:59.999999Z"', '"1970-01-01T00:00:00Z"', "1.5",
    '"0x1f"', '"\uff11"', '"🙂"',
]  # fmt: skip


def feed_of(name):
    if name == "kraken_v1":
        return KrakenV1Feed()
    return make_feed(name)


def mutated(seed, chance):
    """One frame with one to three damages: bytes, numbers and texts swapped, cut, doubled, moved."""
    text = seed
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        place = chance.randrange(len(text) + 1)
        kind = chance.choice([0, 1, 2, 3, 4, 4, 4, 4, 5, 5, 6, 7])
        if kind == 0:
            text = text[:place]
        elif kind == 1:
            text = text[:place] + chr(chance.choice([0, 34, 44, 91, 123, 127, 233, 0x20AC, 0x1F642])) + text[place:]
        elif kind == 2:
            text = text[:place] + text[place + chance.randint(1, 9) :]
        elif kind == 3:
            text = text[:place] + text[place - chance.randint(0, 30) :]
        elif kind == 4:
            values = [at for at, letter in enumerate(text) if letter == ":"]
            if values:
                at = chance.choice(values) + 1
                end = next((i for i in range(at, len(text)) if text[i] in ",}]"), len(text))
                text = text[:at] + chance.choice(NASTY) + text[end:]
        elif kind == 5:
            text = "".join(chance.choice("0123456789") if c.isdigit() and chance.random() < 0.1 else c for c in text)
        elif kind == 6:
            text = text.replace(
                chance.choice(["BTC", "USD", "data", '"', ":", "1", "T"]), chance.choice(["", "9", "é"])
            )
        else:
            text = text * chance.randint(2, 3)
    if chance.random() < 0.2:
        raw = bytearray(text.encode("utf-8", "surrogatepass"))
        for _ in range(chance.randint(0, 3)):
            if raw:
                raw[chance.randrange(len(raw))] = chance.randrange(256)
        return bytes(raw)
    return text


@pytest.mark.parametrize("name", SEEDS)
def test_no_mutated_frame_crashes_the_parser_or_breaks_a_rule(name):
    """What a parser lets through is finite and fits a record; what then fails the desk's rules is refused by them."""
    chance = random.Random(f"mutations of {name}")
    feed = feed_of(name)
    symbol = parse_symbol(f"{feed.exchange or 'BITSTAMP'}:BTCUSD")
    parser = feed.parser({symbol: STREAM})
    rules = Rules(streams=STREAM + 1, conflated=name == "tradingview")
    ticks = quotes = rejects = 0
    for number in range(MUTATIONS):
        if number % 100 == 0:
            parser = feed.parser({symbol: STREAM})
        out = Parsed()
        frame = mutated(chance.choice(SEEDS[name]), chance)

        parser.parse(frame, NOW, out)

        for tick in out.ticks:
            event_time, received, price, size, trade_id, count, stream, aggressor, flags = tick
            assert isfinite(price), frame
            assert isfinite(size), frame
            assert -(2**63) <= event_time < 2**63, frame
            assert -1 <= trade_id < 2**63, frame
            assert 0 <= count < 2**32, frame
            assert (received, stream) == (NOW, STREAM), frame
            assert aggressor in {-1, 0, 1}, frame
            assert 0 <= flags < 256, frame
        assert len(np.array(out.ticks, TICK)) == len(out.ticks)
        assert len(np.array(out.quotes, QUOTE)) == len(out.quotes)
        accepted, _ = check_rows(out.ticks, rules)
        for event_time, received, price, size, *_ in accepted:
            assert EARLIEST_NS <= event_time <= received + 60_000_000_000, frame
            assert price > 0, frame
            assert size >= 0, frame
        assert all(isinstance(word, str) for pair in out.rejects + out.notes for word in pair)
        assert all(stream == STREAM and 0 <= trade_id < 2**63 for stream, trade_id in out.last_ids)
        ticks, quotes, rejects = ticks + len(out.ticks), quotes + len(out.quotes), rejects + len(out.rejects)

    # Else the mutations would all be rejected at the door, and prove nothing.
    assert min(ticks, quotes, rejects) > 100


@pytest.mark.parametrize("name", SEEDS)
def test_every_frame_that_the_mutations_start_from_is_whole(name):
    feed = feed_of(name)
    symbol = parse_symbol(f"{feed.exchange or 'BITSTAMP'}:BTCUSD")
    out = Parsed()
    for frame in SEEDS[name]:
        feed.parser({symbol: STREAM}).parse(frame, NOW, out)

    assert out.rejects == []
    assert out.ticks
    assert out.quotes
