"""Coinbase's feed, on recorded and on documented frames."""

import pytest

from market.symbols import parse_symbol
from sources.coinbase import CoinbaseFeed
from sources.feed import Parsed

BTC, ETH = parse_symbol("COINBASE:BTCUSD"), parse_symbol("COINBASE:ETHUSD")
NOW = 1_784_728_992_000_000_000
MATCH = (
    '{"type":"match","trade_id":7,"side":"sell","size":"0.5","price":"100.25","product_id":"BTC-USD","sequence":9,'
    '"time":"2026-07-22T14:03:11.123456Z"}'
)


def read(*frames):
    parser = CoinbaseFeed().parser({BTC: 1, ETH: 2})
    out = Parsed()
    for frame in frames:
        parser.parse(frame, NOW, out)
    return out


def test_the_recorded_match_turns_the_makers_side_to_the_aggressors(recorded):
    """The maker sold, so the taker bought. 2026-07-22T14:03:11Z is 1784728991 s."""
    out = read((recorded / "coinbase" / "tickstore-match.json").read_text())

    assert out.ticks == [(1784728991123456000, NOW, 117701.29, 0.00542, 865127782, 1, 1, 1, 0)]


def test_the_other_side_is_turned_as_well():
    assert [tick[7] for tick in read(MATCH, MATCH.replace("sell", "buy")).ticks] == [1, -1]


def test_a_last_match_is_no_tick_but_its_id_is_known(recorded):
    """It was reported before; a higher id than the last seen shows what was missed meanwhile."""
    out = read((recorded / "coinbase" / "tickstore-last_match.json").read_text())

    assert (out.ticks, out.rejects) == ([], [])
    assert out.last_ids == [(2, 812345001)]


def test_a_heartbeat_says_which_trade_was_the_last(recorded):
    out = read((recorded / "coinbase" / "tickstore-heartbeat.json").read_text())

    assert out.last_ids == [(1, 865127782)]


@pytest.mark.parametrize("name", ["level2_snapshot", "level2_update", "subscriptions"])
def test_no_recorded_frame_is_refused(recorded, name):
    out = read((recorded / "coinbase" / f"tickstore-{name}.json").read_text())

    assert (out.ticks, out.quotes, out.rejects) == ([], [], [])


def test_a_ticker_is_a_quote():
    out = read(
        '{"type":"ticker","sequence":1,"product_id":"BTC-USD","price":"100.25","open_24h":"1","best_bid":"100.2",'
        '"best_bid_size":"0.5","best_ask":"100.3","best_ask_size":"0.25","side":"buy",'
        '"time":"2026-07-22T14:03:11.123456Z","trade_id":7,"last_size":"0.5"}'
    )

    assert out.quotes == [(1784728991123456000, NOW, 100.25, 100.2, 100.3, 0.5, 0.25, 1, 1, 0, 0)]
    assert out.ticks == []


def test_errors_and_subscriptions_are_notes():
    out = read(
        '{"type":"error","message":"Failed to subscribe","reason":"FOO-USD is not a valid product"}',
        '{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD","ETH-USD"]}]}',
    )

    assert out.notes == [
        ("refused", "Failed to subscribe: FOO-USD is not a valid product"),
        ("subscribed", "matches BTC-USD ETH-USD"),
    ]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (MATCH.replace("BTC-USD", "XYZ-USD"), "symbol"),
        (MATCH.replace('"100.25"', '"nan"'), "number"),
        (MATCH.replace('"100.25"', '"-inf"'), "number"),
        (MATCH.replace('"100.25"', '"1e999"'), "shape"),
        (MATCH.replace('"100.25"', "null"), "shape"),
        (MATCH.replace('"trade_id":7', '"trade_id":9223372036854775808'), "shape"),
        (MATCH.replace('"trade_id":7', '"trade_id":-7'), "shape"),
        (MATCH.replace('"sell"', '"maker"'), "shape"),
        (MATCH.replace("2026-07-22T", "2026-22-07T"), "stamp"),
        (MATCH.replace("2026-07-22T14:03:11.123456Z", ""), "stamp"),
        (MATCH[:-9], "json"),
        ('{"type":"lottery"}', "unknown"),
        ("{}", "shape"),
    ],
)
def test_what_cannot_be_read_is_refused(frame, reason):
    out = read(frame)

    assert out.ticks == []
    assert [found for found, _ in out.rejects] == [reason]


def test_one_request_names_channels_and_products():
    assert CoinbaseFeed().subscribe([BTC, ETH]) == [
        '{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channels":["matches","heartbeat","ticker"]}'
    ]
    assert CoinbaseFeed(quotes=False).unsubscribe([BTC]) == [
        '{"type":"unsubscribe","product_ids":["BTC-USD"],"channels":["matches","heartbeat"]}'
    ]
