"""Kraken's protocol v2, on recorded and on documented frames."""

from math import isnan

import msgspec
import pytest

from market.errors import DeskError
from market.streams import FeedKind
from market.symbols import parse_symbol
from sources.feed import Feed, Parsed
from sources.kraken import KrakenFeed
from sources.kraken_book import Level, book_checksum, read_books

BTC, ETH = parse_symbol("KRAKEN:BTCUSD"), parse_symbol("KRAKEN:ETHUSD")
NOW = 1_784_847_409_000_000_000


def read(*frames, streams=None, feed=None):
    parser = (feed or KrakenFeed()).parser({BTC: 3, ETH: 5} if streams is None else streams)
    out = Parsed()
    for frame in frames:
        parser.parse(frame, NOW, out)
    return out


def trade(symbol="BTC/USD", trade_id=7, **changed):
    return {
        "symbol": symbol, "side": "buy", "price": 65140.3, "qty": 0.015, "ord_type": "market", "trade_id": trade_id,
        "timestamp": "2026-07-23T22:56:48.226099Z",
    } | changed  # fmt: skip


def frame(*trades, kind="update", channel="trade"):
    return msgspec.json.encode({"channel": channel, "type": kind, "data": trades}).decode()


def test_the_recorded_update_makes_two_ticks(recorded):
    """2026-07-23T22:56:48Z is 1784847408 s; the side is the taker's."""
    out = read((recorded / "kraken" / "tickstore-v2-trade_update.json").read_text())

    assert out.ticks == [
        (1784847408226099000, NOW, 65140.3, 0.015, 104182603, 1, 3, 1, 0),
        (1784847408300000000, NOW, 65139.9, 0.0025, 104182604, 1, 3, -1, 0),
    ]
    assert out.rejects == []


@pytest.mark.parametrize("name", ["heartbeat", "trade_snapshot", "book_snapshot"])
def test_no_recorded_frame_is_refused(recorded, name):
    """A book that nobody asked for is no news, and no trouble."""
    out = read((recorded / "kraken" / f"tickstore-v2-{name}.json").read_text())

    assert out.rejects == []
    assert len(out.ticks) == (name == "trade_snapshot")


def test_text_and_bytes_say_the_same():
    assert read(frame(trade())).ticks == read(frame(trade()).encode()).ticks != []


def test_a_snapshot_is_told_in_the_order_of_its_trades():
    """It fills the gap of a reconnect, and the gap check counts on rising ids."""
    out = read(frame(trade(trade_id=9), trade(trade_id=7), trade(trade_id=8), kind="snapshot"))

    assert [tick[4] for tick in out.ticks] == [7, 8, 9]


def test_a_bad_trade_does_not_take_the_others_of_its_frame_with_it():
    out = read(frame(trade(trade_id=1), trade(trade_id=2, price="65140.3"), trade("ETH/USD", 3)))

    assert [(tick[4], tick[6]) for tick in out.ticks] == [(1, 3), (3, 5)]
    assert [reason for reason, _ in out.rejects] == ["shape"]
    assert "price" in out.rejects[0][1]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (frame(trade("XYZ/USD")), "symbol"),
        (frame(trade(timestamp="2026-07-23")), "stamp"),
        (frame(trade(timestamp="9999-01-01T00:00:00.000000Z")), "stamp"),
        (frame(trade(trade_id=2**63)), "shape"),
        (frame(trade(trade_id=-1)), "shape"),
        (frame(trade(trade_id=1.5)), "shape"),
        (frame(trade(side="b")), "shape"),
        (frame(trade()).replace("65140.3", "1e999"), "shape"),
        (frame(trade()).replace("65140.3", "1" + "0" * 400), "shape"),
        (frame(trade()).replace("65140.3", "NaN"), "json"),
        (frame(trade())[:-20], "json"),
        (frame(trade()).encode()[:-2] + b"\xff\xfe", "json"),
        ("[" * 100_000, "shape"),
        ('{"channel":"trade","x":' + "[" * 100_000, "json"),
        ('{"channel":"trade"}', "shape"),
        ('{"channel":"trade","data":5}', "shape"),
        ('{"channel":"lottery"}', "unknown"),
        ("{}", "unknown"),
        ("[]", "shape"),
        ("", "json"),
        ("\ud800", "json"),
        (b"\x00\xff", "json"),
    ],
)
def test_a_frame_that_cannot_be_read_is_refused_with_its_reason(bad, reason):
    out = read(bad)

    assert out.ticks == []
    assert [found for found, _ in out.rejects] == [reason]


def test_the_best_bid_and_ask_are_a_quote():
    ticker = {
        "symbol": "BTC/USD", "bid": 65145.3, "bid_qty": 0.59, "ask": 65145.4, "ask_qty": 0.027, "last": 65140.3,
        "volume": 1.0, "vwap": 1.0, "low": 1.0, "high": 2.0, "change": 0.0, "change_pct": 0.0,
    }  # fmt: skip
    stamped = ticker | {"timestamp": "2026-07-23T22:56:48.226099Z", "bid": None}

    out = read(frame(ticker, channel="ticker"), frame(stamped, channel="ticker"))

    assert out.quotes[0] == (NOW, NOW, 65140.3, 65145.3, 65145.4, 0.59, 0.027, 3, 1, 0, 0)
    assert out.quotes[1][0] == 1784847408226099000
    assert isnan(out.quotes[1][3])


def test_answers_and_states_are_notes():
    out = read(
        '{"method":"subscribe","result":{"channel":"trade","snapshot":true,"symbol":"BTC/USD"},"success":true}',
        '{"error":"Currency pair not supported FOO/BAR","method":"subscribe","success":false,"symbol":"FOO/BAR"}',
        '{"channel":"status","data":[{"api_version":"v2","system":"online","version":"2.0.0"}],"type":"update"}',
        '{"channel":"status","data":[{"api_version":"v2","system":"maintenance"}],"type":"update"}',
        '{"method":"pong","time_in":"2026-07-23T22:56:48Z","time_out":"2026-07-23T22:56:48Z"}',
        '{"channel":"heartbeat"}',
    )

    assert out.notes == [
        ("subscribed", "trade BTC/USD"),
        ("refused", "FOO/BAR Currency pair not supported FOO/BAR"),
        ("status", "the venue's state is online"),
        ("maintenance", "the venue's state is maintenance"),
    ]
    assert (out.ticks, out.rejects) == ([], [])


def test_symbols_may_come_and_go_while_the_parser_lives():
    streams = {BTC: 0}
    parser = KrakenFeed().parser(streams)
    out = Parsed()
    parser.parse(frame(trade("ETH/USD")), NOW, out)
    streams[ETH] = 9
    parser.parse(frame(trade("ETH/USD")), NOW, out)
    del streams[ETH]
    parser.parse(frame(trade("ETH/USD")), NOW, out)

    assert [tick[6] for tick in out.ticks] == [9]
    assert [reason for reason, _ in out.rejects] == ["symbol", "symbol"]


def test_a_subscription_asks_for_trades_and_for_quotes_at_each_change():
    feed: Feed = KrakenFeed()
    symbols = [parse_symbol(f"KRAKEN:A{n}USD") for n in range(150)]

    frames = [msgspec.json.decode(text) for text in feed.subscribe(symbols)]

    assert [(f["params"]["channel"], len(f["params"]["symbol"])) for f in frames] == [
        ("trade", 100), ("ticker", 100), ("trade", 50), ("ticker", 50),
    ]  # fmt: skip
    assert frames[0]["params"]["symbol"][0] == "A0/USD"
    assert frames[0]["params"]["snapshot"] is True
    assert frames[1]["params"]["event_trigger"] == "bbo"
    assert msgspec.json.decode(feed.unsubscribe([BTC])[0]) == {
        "method": "unsubscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]},
    }  # fmt: skip
    assert (feed.kind, feed.contiguous_ids, feed.exchange) == (FeedKind.TRADES, True, "KRAKEN")


def test_the_simulated_exchange_speaks_it_under_its_own_names():
    sim = parse_symbol("SIM:BTCUSD")
    feed = KrakenFeed(name="sim", exchange="SIM", urls=["ws://127.0.0.1:1"])

    out = read(frame(trade()), streams={sim: 0}, feed=feed)

    assert [tick[6] for tick in out.ticks] == [0]
    assert "BTC/USD" in feed.subscribe([sim])[0]


def test_the_recorded_books_checksum_is_that_of_its_digits(recorded):
    book = read_books((recorded / "kraken" / "tickstore-v2-book_snapshot.json").read_bytes())[0]

    assert book.symbol == "BTC/USD"
    assert book.bids[1] == Level("65144.6", "0.00005100")
    assert book_checksum(book.asks, book.bids) == book.checksum == 2884054913


def test_floats_would_break_the_checksum(recorded):
    """0.00005100 is 5.1e-05 as a float: why the digits are kept."""
    book = read_books((recorded / "kraken" / "tickstore-v2-book_snapshot.json").read_bytes())[0]
    rounded = [Level(str(float(level.price)), str(float(level.quantity))) for level in book.asks]

    assert book_checksum(rounded, book.bids) != book.checksum


def test_only_ten_levels_a_side_count():
    """By hand: crc32 of the ten times 11, so an eleventh changes nothing."""
    ten = [Level("1.0", "0.10")] * 10

    assert book_checksum([*ten, Level("9", "9")], []) == book_checksum(ten, [])


def test_what_is_no_book_is_named():
    with pytest.raises(DeskError, match="kraken book frame unreadable"):
        read_books('{"channel":"trade","data":[]}')
