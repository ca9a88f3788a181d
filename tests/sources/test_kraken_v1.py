"""Kraken's protocol v1, on the recorded minute of 2021."""

import pytest

from market.symbols import parse_symbol
from sources.feed import Parsed
from sources.kraken_v1 import KrakenV1Feed

BTC = parse_symbol("KRAKEN:BTCUSD")
NOW = 1_618_678_143_000_000_000


def read(*frames):
    parser = KrakenV1Feed().parser({BTC: 2})
    out = Parsed()
    for frame in frames:
        parser.parse(frame, NOW, out)
    return out


def test_a_trade_keeps_its_digits_and_its_taker():
    """By hand from the venue's text: b is a taker that bought."""
    out = read('[337,[["56218.30000","0.01309422","1618678142.557535","b","l",""]],"trade","XBT/USD"]')

    assert out.ticks == [(1618678142557535000, NOW, 56218.3, 0.01309422, -1, 1, 2, 1, 0)]


def test_a_ticker_is_a_quote():
    out = read('[340,{"a":["10.5",35,"35.7"],"b":["10.25",185,"185.2"],"c":["10.4","3.7"]},"ticker","XBT/USD"]')

    assert out.quotes == [(NOW, NOW, 10.4, 10.25, 10.5, 185.2, 35.7, 2, 1, 0, 0)]


def test_a_bad_trade_does_not_take_the_others_with_it():
    out = read(
        '[1,[["1","1","1618678142.5","b","l",""],["nan","1","1618678142.5","b","l",""],["1","1","x","s","m",""],'
        '["1","1"],5,["2","1","1618678142.6","s","m",""]],"trade","XBT/USD"]'
    )

    assert [tick[2] for tick in out.ticks] == [1.0, 2.0]
    assert [reason for reason, _ in out.rejects] == ["number", "stamp", "shape", "shape"]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("[1]", "shape"),
        ('[1,[],"trade","XYZ/USD"]', "symbol"),
        ('[1,5,"trade","XBT/USD"]', "shape"),
        ('[1,{},"ticker","XBT/USD"]', "shape"),
        ('[1,[],"lottery","XBT/USD"]', "unknown"),
        ('{"event":"lottery"}', "unknown"),
        ("{}", "shape"),
        ("[1,", "json"),
        (b"\xff", "json"),
    ],
)
def test_what_cannot_be_read_is_refused(frame, reason):
    assert [found for found, _ in read(frame).rejects] == [reason]


def test_answers_and_states_are_notes():
    out = read(
        '{"channelID":1665,"channelName":"trade","event":"subscriptionStatus","pair":"WAVES/EUR","status":"subscribed",'
        '"subscription":{"name":"trade"}}',
        '{"errorMessage":"Currency pair not supported","event":"subscriptionStatus","pair":"FOO/BAR","status":"error"}',
        '{"connectionID":1,"event":"systemStatus","status":"online","version":"1.8.3"}',
        '{"event":"heartbeat"}',
        '[0,{"a":[]},{"b":[]},"book-10","XBT/USD"]',
    )

    assert out.notes == [
        ("subscribed", "trade WAVES/EUR"),
        ("refused", "FOO/BAR Currency pair not supported"),
        ("status", "kraken is online"),
    ]
    assert out.rejects == []


def test_subscriptions_use_the_old_names():
    assert KrakenV1Feed().subscribe([BTC])[0] == (
        '{"event":"subscribe","pair":["XBT/USD"],"subscription":{"name":"trade"}}'
    )
