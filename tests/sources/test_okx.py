"""OKX's public channels, on recorded and on documented frames."""

from math import isnan

import pytest

from market.errors import DeskError
from market.symbols import parse_symbol
from sources.feed import Parsed
from sources.okx import OkxFeed

BTC, SWAP, COIN = (parse_symbol(f"OKX:{name}") for name in ("BTCUSDT", "BTCUSDT.P", "BTCUSD.P"))
NOW = 1_784_849_125_000_000_000
CONTRACTS = {"BTC-USDT-SWAP": 0.01, "BTC-USD-SWAP": 100.0}


def trade(instrument="BTC-USDT", **changed):
    values = {
        "instId": instrument, "tradeId": "1035721479", "px": "50000", "sz": "2", "side": "buy", "ts": "1784849124733",
        "count": "5", "source": "0",
    } | changed  # fmt: skip
    return "{" + ",".join(f'"{name}":"{value}"' for name, value in values.items()) + "}"


def frame(*items, channel="trades", instrument="BTC-USDT"):
    return f'{{"arg":{{"channel":"{channel}","instId":"{instrument}"}},"data":[{",".join(items)}]}}'


def read(*frames):
    parser = OkxFeed(contracts=CONTRACTS).parser({BTC: 0, SWAP: 1, COIN: 2})
    out = Parsed()
    for text in frames:
        parser.parse(text, NOW, out)
    return out


def test_the_recorded_trades_are_contiguous_by_their_count(recorded):
    """1035721479 stands for five trades: the one before it is 1035721474."""
    out = read((recorded / "okx" / "tickstore-trades.json").read_text())

    assert out.ticks == [
        (1784849123233000000, NOW, 65176.3, 0.00524071, 1035721474, 1, 0, -1, 0),
        (1784849124733000000, NOW, 65176.4, 0.01136454, 1035721479, 5, 0, 1, 0),
    ]
    assert out.ticks[1][4] - out.ticks[1][5] == out.ticks[0][4]


@pytest.mark.parametrize("name", ["book_snapshot", "subscribe_ack"])
def test_no_recorded_frame_is_refused(recorded, name):
    out = read((recorded / "okx" / f"tickstore-{name}.json").read_text())

    assert (out.ticks, out.quotes, out.rejects) == ([], [], [])


def test_contracts_become_base_units():
    """Two contracts of 0.01 BTC are 0.02 BTC; two of 100 dollars at 50,000 are 0.004 BTC."""
    out = read(frame(trade("BTC-USDT-SWAP")), frame(trade("BTC-USD-SWAP")))

    assert [(tick[3], tick[6]) for tick in out.ticks] == [(0.02, 1), (0.004, 2)]


def test_a_contract_of_unknown_value_is_not_subscribed():
    with pytest.raises(DeskError, match=r"OKX:BTCUSDT\.P is traded in contracts; set the value .*BTC-USDT-SWAP"):
        OkxFeed().subscribe([BTC, SWAP])


def test_a_trade_of_unknown_contracts_is_refused():
    parser, out = OkxFeed().parser({SWAP: 1}), Parsed()
    parser.parse(frame(trade("BTC-USDT-SWAP")), NOW, out)

    assert (out.ticks, [reason for reason, _ in out.rejects]) == ([], ["number"])


def test_a_bad_trade_does_not_take_the_others_with_it():
    out = read(frame(trade(tradeId=1), trade(px="x"), trade(count=-1), trade(tradeId=2)))

    assert [tick[4] for tick in out.ticks] == [1, 2]
    assert [reason for reason, _ in out.rejects] == ["shape", "shape"]


def test_a_ticker_is_a_quote_and_an_empty_side_is_unknown():
    ticker = (
        '{"instType":"SPOT","instId":"BTC-USDT","last":"9999.99","lastSz":"1","askPx":"10000","askSz":"11",'
        '"bidPx":"","bidSz":"5","ts":"1784849124733"}'
    )
    out = read(frame(ticker, channel="tickers"))

    assert out.quotes[0][:3] == (1784849124733000000, NOW, 9999.99)
    assert isnan(out.quotes[0][3])
    assert out.quotes[0][4:] == (10000.0, 5.0, 11.0, 0, 1, 0, 0)


def test_pong_is_nothing_and_a_notice_asks_for_a_reconnect():
    out = read("pong", b"pong", '{"event":"notice","code":"64008","msg":"The connection will soon be closed."}')

    assert out.reconnect
    assert out.notes == [("maintenance", "okx announces 64008: The connection will soon be closed.")]
    assert (out.ticks, out.rejects) == ([], [])


def test_answers_are_notes():
    out = read(
        '{"event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"47165dce"}',
        '{"event":"error","code":"60018","msg":"Wrong URL or channel:trades,instId:FOO","connId":"47165dce"}',
    )

    assert out.notes == [
        ("subscribed", "trades BTC-USDT"),
        ("refused", "okx answers 60018: Wrong URL or channel:trades,instId:FOO"),
    ]
    assert not out.reconnect


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (frame(trade("XYZ-USDT")), "symbol"),
        (frame(trade(px="nan")), "number"),
        (frame(trade(px="1e999")), "shape"),
        (frame(trade(ts="9999999999999999")), "shape"),
        (frame(trade(ts="9223372036000")), "stamp"),
        (frame(trade(count="99999999999")), "shape"),
        (frame(trade(tradeId="-5")), "shape"),
        (frame(trade(side="maker")), "shape"),
        (frame(trade("BTC-USD-SWAP", px="0")), "number"),
        (frame(trade())[:-5], "json"),
        (frame(trade(), channel="lottery"), "unknown"),
        ('{"event":"lottery"}', "unknown"),
        ("{}", "unknown"),
        ("ping", "json"),
    ],
)
def test_what_cannot_be_read_is_refused(text, reason):
    out = read(text)

    assert out.ticks == []
    assert [found for found, _ in out.rejects] == [reason]


def test_a_subscription_lists_its_channels():
    assert OkxFeed(quotes=False).subscribe([BTC]) == [
        '{"op":"subscribe","args":[{"channel":"trades","instId":"BTC-USDT"}]}'
    ]
    assert OkxFeed().heartbeat() == "ping"
