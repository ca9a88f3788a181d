"""Kraken's protocol as the simulated exchange speaks it, over a link in memory and a clock that stands still."""

import json
import re

import pytest

from sources.simulated.kraken_protocol import rfc3339

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_a_connection_begins_with_the_status(venue):
    client = venue().connect()
    (status,) = map(json.loads, client.messages())

    assert (status["channel"], status["type"]) == ("status", "update")
    assert {"system": "online", "api_version": "v2"}.items() <= status["data"][0].items()


def test_each_symbol_is_acknowledged_on_its_own(venue):
    client = venue().connect()
    client.messages()
    good, bad = client.say(
        {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD", "XBT/USD"]}, "req_id": 7}
    )
    (again,) = client.subscribe(symbols=["BTC/USD"])

    assert STAMP.fullmatch(good.pop("time_in"))
    assert STAMP.fullmatch(good.pop("time_out"))
    assert good == {
        "method": "subscribe",
        "result": {"channel": "trade", "symbol": "BTC/USD", "snapshot": False},
        "success": True,
        "req_id": 7,
    }
    assert (bad["success"], bad["symbol"], bad["error"], bad["req_id"]) == (
        False, "XBT/USD", "Currency pair not supported XBT/USD", 7,
    )  # fmt: skip
    assert (again["success"], again["error"]) == (False, "Already subscribed")


def test_trades_have_contiguous_ids_and_are_what_the_truth_holds(venue):
    desk = venue()
    client = desk.trader()
    desk.advance(5)
    trades = client.trades()
    made = desk.made()

    assert len(made) > 500
    assert [set(trade) for trade in trades] == [
        {"symbol", "side", "price", "qty", "ord_type", "trade_id", "timestamp"},
    ] * len(made)
    pairs = [instrument.pair for instrument in desk.exchange.instruments]
    assert [trade["symbol"] for trade in trades] == [pairs[symbol] for symbol in made["symbol"]]
    assert [trade["side"] for trade in trades] == ["buy" if side > 0 else "sell" for side in made["side"]]
    assert [trade["timestamp"] for trade in trades] == [rfc3339(stamp) for stamp in made["stamp"].tolist()]
    for name, column in (("price", "price"), ("qty", "size"), ("trade_id", "trade_id")):
        assert [trade[name] for trade in trades] == made[column].tolist()
    assert (made["sent"] == 1).all()


def test_prices_keep_the_digits_of_their_step(venue):
    """Kraken prints 65141.0 and 0.01500000, and a book's checksum depends on it."""
    desk = venue()
    client = desk.trader()
    desk.advance(2)
    text = "".join(client.messages())

    assert re.search(r'"BTC/USD","side":"\w+","price":\d+\.\d,"qty":\d+\.\d{8},', text)
    assert re.search(r'"DOGE/USD","side":"\w+","price":\d+\.\d{6},"qty":\d+\.\d{8},', text)


@pytest.mark.parametrize("per_frame", [1, 20, 200])
def test_a_message_holds_up_to_so_many_trades(venue, per_frame):
    desk = venue(per_frame=per_frame, rate=2000)
    client = desk.trader()
    desk.advance(1)
    sizes = [len(json.loads(message)["data"]) for message in client.messages()]

    assert sum(sizes) == len(desk.made())
    assert max(sizes) == per_frame


def test_a_snapshot_holds_the_last_fifty_trades(venue):
    """What was traded while nobody listened is so known to be sent after all."""
    desk = venue(rate=200)
    desk.advance(5)
    client = desk.connect()
    client.messages()
    answers = client.subscribe(symbols=["ETH/USD"], snapshot=True)
    (snapshot,) = [answer for answer in answers if answer.get("channel") == "trade"]
    made = desk.made()
    ether = made[made["symbol"] == 1]

    assert snapshot["type"] == "snapshot"
    assert [trade["trade_id"] for trade in snapshot["data"]] == ether["trade_id"][-50:].tolist()
    assert (ether["sent"] == 1).nonzero()[0].tolist() == list(range(len(ether) - 50, len(ether)))
    assert desk.truth.sent.tolist() == [0, 50, 0, 0, 0]


def test_unsubscribed_symbols_fall_silent(venue):
    desk = venue()
    client = desk.trader()
    (answer,) = client.say({"method": "unsubscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}})
    (again,) = client.say({"method": "unsubscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"]}})
    desk.advance(3)

    assert (answer["method"], answer["success"]) == ("unsubscribe", True)
    assert (again["success"], again["error"]) == (False, "Subscription Not Found")
    assert {trade["symbol"] for trade in client.trades()} == {"ETH/USD", "SOL/USD", "XRP/USD", "DOGE/USD"}


def test_heartbeats_come_each_second_without_anything_else(venue):
    """One symbol that trades every few minutes; nothing subscribed, no heartbeat."""
    desk = venue(rate=1, symbols="2", quiet=1)
    client = desk.connect()
    other = desk.connect()
    client.subscribe(symbols=["ETH/USD"])
    client.messages()
    other.messages()
    desk.advance(20)
    beats = [message for message in client.messages() if message == '{"channel":"heartbeat"}']

    assert 15 <= len(beats) <= 20
    assert other.messages() == []


def test_a_busy_connection_gets_no_heartbeat(venue):
    desk = venue(rate=500)
    client = desk.trader()
    desk.advance(5)

    assert '{"channel":"heartbeat"}' not in client.messages()


def test_ping_is_answered(venue):
    client = venue().connect()
    client.messages()
    (pong,) = client.say({"method": "ping", "req_id": 101})

    assert (pong["method"], pong["req_id"]) == ("pong", 101)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "Malformed request"),
        ("[1]", "Malformed request"),
        ('{"method":"buy"}', "Unsupported method"),
        ('{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"]}}', "Channel not supported book"),
        ('{"method":"subscribe","params":{"channel":"trade","symbol":"BTC/USD"}}', "Field symbol must be a list"),
    ],
)  # fmt: skip
def test_a_bad_request_is_answered(venue, text, error):
    client = venue().connect()
    client.messages()
    client.exchange.receive(client.connection, text)
    (answer,) = map(json.loads, client.messages())

    assert (answer["success"], answer["error"]) == (False, error)


def test_tickers_show_the_best_bid_and_ask_and_are_conflated(venue):
    desk = venue(rate=2000, symbols="3")
    desk.advance(1)
    client = desk.connect()
    client.messages()
    snapshots = client.subscribe("ticker")[3:]
    desk.advance(10)
    updates = [json.loads(message) for message in client.messages()]
    tickers = [ticker for update in updates for ticker in update["data"]]

    assert [one["type"] for one in snapshots] == ["snapshot"] * 3
    assert {one["type"] for one in updates} == {"update"}
    assert 3 * 4 * 10 - 1 <= len(tickers) <= 3 * 4 * 10, "four a second and symbol"
    for ticker in tickers:
        assert ticker["bid"] < ticker["ask"]
        assert ticker["last"] in {ticker["bid"], ticker["ask"]}
        assert ticker["low"] <= ticker["last"] <= ticker["high"]
        assert ticker["bid_qty"] > 0 < ticker["ask_qty"]
    ether = desk.made()[desk.made()["symbol"] == 1]
    assert tickers[-2]["volume"] <= ether["size"].sum()


def test_the_same_seed_and_clock_give_the_same_bytes(venue):
    streams = []
    for _ in range(2):
        desk = venue(symbols="20")
        client = desk.trader(snapshot=True)
        client.subscribe("ticker")
        desk.advance(7)
        streams.append(bytes(client.data))

    assert streams[0] == streams[1]


def test_two_clients_get_what_each_asked_for(venue):
    desk = venue()
    both, one = desk.trader(), desk.connect()
    one.subscribe(symbols=["SOL/USD"])
    desk.advance(3)
    made = desk.made()

    assert len(both.trades()) == len(made)
    assert {trade["symbol"] for trade in one.trades()} == {"SOL/USD"}
    assert (made["sent"] == [3 if symbol == 2 else 1 for symbol in made["symbol"]]).all()
