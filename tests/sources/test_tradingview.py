"""TradingView's quotes, on recorded frames and on hand-written ones with sizes worked out by hand."""

import json
from math import isnan

import pytest

from market.streams import FeedKind
from market.symbols import parse_symbol
from market.ticks import TickFlag
from sources.feed import Parsed
from sources.tradingview import TradingViewFeed
from sources.tradingview_frames import encode_frame, split_frames

AAPL, BTC, EUR = (parse_symbol(name) for name in ("NASDAQ:AAPL", "BINANCE:BTCUSDT", "FX:EURUSD"))
S = 1_000_000_000
NOW_S = 1_734_082_523
NOW = NOW_S * S + 250_000_000


class Session:
    """One connection to three symbols, and what its frames made."""

    def __init__(self, **streams):
        self.parser = TradingViewFeed().parser({AAPL: 0, BTC: 1, EUR: 2})
        self.out = Parsed()

    def send(self, *frames, at=NOW):
        """Parse frames, received at `at`, ns."""
        for frame in frames:
            self.parser.parse(frame, at, self.out)
        return self

    def quote(self, key="BINANCE:BTCUSDT", at=NOW, **values):
        """Parse one quote message with these changed fields."""
        return self.send(message("qsd", "qs", {"n": key, "s": "ok", "v": values}), at=at)

    @property
    def ticks(self):
        """(event time, price, size) of each."""
        return [(tick[0], tick[2], tick[3]) for tick in self.out.ticks]


def message(method, *params):
    return encode_frame(json.dumps({"m": method, "p": params}, ensure_ascii=False))


def test_a_heartbeat_is_echoed_as_it_came_also_amid_a_batch():
    out = Session().send(message("quote_completed", "qs", "FX:EURUSD") + "~m~5~m~~h~10" + "~m~4~m~~h~1").out

    assert out.replies == ["~m~5~m~~h~10", "~m~4~m~~h~1"]
    assert out.rejects == []


def test_the_days_volume_becomes_sizes():
    """1,000.5 - 1,000 = 0.5, then 2 more; the first one seen is a level, not a trade's size."""
    session = Session()
    session.quote(lp=100.0, lp_time=NOW_S, volume=1000.0)
    session.quote(lp=101.0, volume=1000.5)
    session.quote(lp=99.5, lp_time=NOW_S - 1, volume=1002.5)

    assert session.ticks == [(NOW_S * S, 100.0, 0.0), (NOW_S * S, 101.0, 0.5), ((NOW_S - 1) * S, 99.5, 2.0)]


def test_a_drop_of_the_volume_begins_a_new_day():
    """All of the new day's 3 units are the tick's."""
    session = Session()
    session.quote(lp=100.0, lp_time=NOW_S, volume=1000.0).quote(lp=101.0, volume=3.0).quote(lp=102.0, volume=3.5)

    assert [size for _, _, size in session.ticks] == [0.0, 3.0, 0.5]


def test_more_volume_at_an_unchanged_price_is_a_tick_at_that_price():
    """Only changed fields are sent: trades at the same price change the volume and nothing else."""
    session = Session()
    session.quote(lp=100.0, lp_time=NOW_S - 5, volume=10.0, current_session="market")
    session.quote(volume=10.25, lp_time=NOW_S)

    assert session.ticks == [((NOW_S - 5) * S, 100.0, 0.0), (NOW_S * S, 100.0, 0.25)]


@pytest.mark.parametrize(
    "values",
    [
        {"lp_time": NOW_S + 60},
        {"description": "Euro", "pricescale": 100000, "volume": 10.0, "type": "forex"},
        {"bid": 99.0, "ask": 101.0},
        {"rtc": 104.55, "rtc_time": NOW_S, "rch": -0.92},
        {"rtc": None, "lp": None},
        {"lp": 100.0, "lp_time": NOW_S, "volume": 10.0},
    ],
    ids=["a later lp_time alone", "metadata again", "a book", "after hours", "nulls", "all of it again"],
)
def test_what_is_no_trade_makes_no_tick(values):
    session = Session().quote(lp=100.0, lp_time=NOW_S, volume=10.0, current_session="market")

    session.quote(**values)

    assert len(session.ticks) == 1
    assert session.out.rejects == []


def test_volume_after_hours_is_not_of_the_regular_price():
    session = Session().quote(lp=100.0, lp_time=NOW_S, volume=10.0, current_session="post_market")

    session.quote(volume=15.0)
    session.quote(lp=101.0, volume=16.0, current_session="market")

    assert session.ticks == [(NOW_S * S, 100.0, 0.0), (NOW_S * S, 101.0, 1.0)]


def test_a_stamp_ahead_of_the_clock_is_taken_as_the_received_time():
    """A minute rounded up was recorded in 2019: 1558466820 in a message of 1558466675."""
    session = Session().quote(lp=100.0, lp_time=1558466820, at=1558466675 * S)

    assert session.ticks == [(1558466675 * S, 100.0, 0.0)]


def test_a_price_without_any_stamp_has_the_received_time():
    assert Session().quote(lp=1849.09).ticks == [(NOW, 1849.09, 0.0)]


def test_a_stamp_that_stands_still_is_not_believed_for_ever():
    """lp_time is not sent again within its second; more than a minute later it would make the tick late."""
    session = Session().quote(lp=100.0, lp_time=NOW_S).quote(lp=101.0, at=NOW + 59 * S).quote(lp=102.0, at=NOW + 99 * S)

    assert [event for event, _, _ in session.ticks] == [NOW_S * S, NOW_S * S, NOW + 99 * S]


def test_a_closed_markets_first_snapshot_is_a_quote_and_no_tick():
    """EURUSD on a weekend: the last price is 23 hours old, and nothing traded now."""
    session = Session().quote("FX:EURUSD", lp=1.1, lp_time=NOW_S - 23 * 3600, current_session="out_of_session")

    assert session.ticks == []
    assert session.out.quotes[0][:3] == (NOW, NOW, 1.1)
    assert session.out.quotes[0][8] == 4


def test_a_delayed_feed_is_labelled():
    """15 minutes: the snapshot is no older than its delay, so it is news."""
    session = Session().quote("NASDAQ:AAPL", lp=230.0, lp_time=NOW_S - 900, update_mode="delayed_streaming_900")
    session.quote("NASDAQ:AAPL", lp=231.0)

    assert [tick[8] for tick in session.out.ticks] == [TickFlag.DELAYED] * 2
    assert [tick[0] for tick in session.out.ticks] == [(NOW_S - 900) * S] * 2
    assert session.out.quotes[0][9] == TickFlag.DELAYED
    assert session.out.notes == [("delayed", "NASDAQ:AAPL is delayed: delayed_streaming_900")]


def test_ticks_count_no_trades_and_name_no_side():
    """A sample may stand for none or for many."""
    assert Session().quote(lp=100.0, lp_time=NOW_S, volume=5.0).out.ticks == [
        (NOW_S * S, NOW, 100.0, 0.0, -1, 0, 1, 0, 0)
    ]


def test_partial_updates_are_merged_for_each_key():
    session = Session().quote(lp=100.0, lp_time=NOW_S, bid=99.0, ask=101.0, bid_size=3, current_session="market")
    session.quote("FX:EURUSD", bid=1.1)
    session.quote(ask=100.5)

    quotes = session.out.quotes
    assert quotes[2][:6] == (NOW, NOW, 100.0, 99.0, 100.5, 3.0)
    assert isnan(quotes[2][6])
    assert quotes[2][7:] == (1, 1, 0, 0)
    assert isnan(quotes[1][2])
    assert quotes[1][7] == 2


def test_a_converted_key_is_another_instrument():
    """The same ticker in euros has other prices: by the key as it was subscribed, never by the name in the values."""
    session = Session().quote(
        '={"currency-id":"EUR","symbol":"NASDAQ:AAPL"}', lp=210.0, lp_time=NOW_S, pro_name="NASDAQ:AAPL"
    )

    assert session.ticks == []
    assert [reason for reason, _ in session.out.rejects] == ["symbol"]


def test_errors_are_notes():
    out = (
        Session()
        .send(
            message("protocol_error", "bad auth token"),
            message("critical_error", "qs", "invalid_parameters", "quote_add_symbols"),
            message("qsd", "qs", {"n": "NASDAQ:NOPE", "s": "error", "v": {}, "errmsg": "no_such_symbol"}),
            message("quote_completed", "qs", "FX:EURUSD"),
        )
        .out
    )

    assert out.notes == [
        ("error", "tradingview protocol_error: bad auth token"),
        ("error", "tradingview critical_error: qs invalid_parameters quote_add_symbols"),
        ("refused", "NASDAQ:NOPE no_such_symbol"),
        ("subscribed", "FX:EURUSD"),
    ]
    assert (out.ticks, out.rejects) == ([], [])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("~m~10~m~{}", "truncated"),
        ("garbage", "truncated"),
        (encode_frame("{"), "json"),
        (encode_frame("[" * 100_000), "json"),
        (encode_frame("[]"), "shape"),
        (encode_frame("{}"), "shape"),
        (encode_frame('{"m":"lottery","p":[]}'), "unknown"),
        (message("qsd", "qs"), "shape"),
        (message("qsd", "qs", {"n": 5, "v": {}}), "shape"),
        (message("qsd", "qs", {"n": "FX:EURUSD", "s": "ok"}), "shape"),
        (message("qsd", "qs", {"n": "XX:YY", "s": "ok", "v": {"lp": 1}}), "symbol"),
        (message("qsd", "qs", {"n": "FX:EURUSD", "s": "ok", "v": {"lp": "1.1"}}), "number"),
        (message("qsd", "qs", {"n": "FX:EURUSD", "s": "ok", "v": {"lp": True}}), "number"),
        (message("qsd", "qs", {"n": "FX:EURUSD", "s": "ok", "v": {"volume": -1}}), "number"),
        (message("qsd", "qs", {"n": "FX:EURUSD", "s": "ok", "v": {"lp_time": 1e30}}), "number"),
        (encode_frame('{"m":"qsd","p":["q",{"n":"FX:EURUSD","s":"ok","v":{"lp":1e999}}]}'), "shape"),
        (b"\xff\xfe", "encoding"),
        ("\ud800", "truncated"),
    ],
)
def test_what_cannot_be_read_is_refused(frame, reason):
    session = Session().send(frame)

    assert session.ticks == []
    assert [found for found, _ in session.out.rejects] == [reason]


def test_an_empty_value_is_no_price():
    """The venue writes 1e+100, "NaN" or null where there is none."""
    session = Session().quote(lp=1e100, bid="NaN", ask=None)

    assert (session.ticks, session.out.rejects) == ([], [])
    assert all(map(isnan, session.out.quotes[0][2:7]))


def test_frames_behind_a_wrong_length_are_read():
    good = message("qsd", "qs", {"n": "FX:EURUSD", "s": "ok", "v": {"lp": 1.1, "lp_time": NOW_S}})

    for bad in ("~m~999~m~{}", "~m~1~m~{}", f"~m~{2 + len(good)}~m~{{}}"):
        session = Session().send(bad + good)
        assert session.ticks == [(NOW_S * S, 1.1, 0.0)]
        assert len(session.out.rejects) == 1


def test_letters_beyond_ascii_do_not_shift_the_next_frame():
    """Lengths are UTF-16 units: counted in bytes or letters, the second message would be cut."""
    named = message("qsd", "qs", {"n": "FX:EURUSD", "s": "ok", "v": {"description": "Æther 🙂€", "lp": 1.1}})
    other = message("qsd", "qs", {"n": "FX:EURUSD", "s": "ok", "v": {"lp": 1.2}})

    for text in (named + other, (named + other).encode()):
        session = Session().send(text)
        assert [price for _, price, _ in session.ticks] == [1.1, 1.2]
        assert session.out.rejects == []


def test_no_recorded_message_of_the_server_is_refused_but_the_redacted_hello(recorded):
    """Its author shortened the hello after recording: 292 characters declared, 257 there."""
    out = Parsed()
    parser = TradingViewFeed().parser({}, discover=True)
    messages = 0
    for file in sorted((recorded / "tradingview").glob("*.txt")):
        for line in file.read_text().splitlines():
            if line.startswith("in\t"):
                parser.parse(line[3:], NOW, out)
                messages += 1

    assert messages > 20
    assert [(reason, detail.partition(";")[0]) for reason, detail in out.rejects] == [
        ("truncated", "declares 292 characters and has 257")
    ]


def test_the_recorded_price_is_that_of_its_long_decimals(recorded):
    """8004.8000000000001819 is the double nearest to 8004.8."""
    parser = TradingViewFeed().parser({parse_symbol("BITSTAMP:BTCUSD"): 0})
    out = Parsed()
    first = (recorded / "tradingview" / "rolandolucio-bitstamp-2019.txt").read_text().splitlines()[0]
    parser.parse(first.removeprefix("in\t"), NOW, out)

    assert [(tick[2], tick[3]) for tick in out.ticks] == [(8004.8, 0.0)]
    assert out.quotes[-1][2:7] == (8004.8, 7996.0, 8004.8, 0.0, 0.0)


def test_a_session_opens_anonymously_or_with_a_token():
    feed = TradingViewFeed()
    hello = [json.loads(frame.payload) for text in feed.hello() for frame in split_frames(text)]

    assert [entry["m"] for entry in hello] == ["set_auth_token", "quote_create_session", "quote_set_fields"]
    assert hello[0]["p"] == ["unauthorized_user_token"]
    assert {"lp", "lp_time", "volume", "bid", "ask", "current_session", "update_mode"} < set(hello[2]["p"])
    assert feed.headers()["Origin"] == "https://www.tradingview.com"
    assert feed.urls()[0].startswith("wss://data.tradingview.com/")
    assert (feed.kind, feed.contiguous_ids, feed.exchange) == (FeedKind.CONFLATED, False, None)
    assert "secret" in TradingViewFeed(token="secret").hello()[0]
    assert TradingViewFeed(token="secret").urls()[0].startswith("wss://prodata.tradingview.com/")
    assert "secret" not in repr(TradingViewFeed(token="secret"))


def test_symbols_are_added_and_removed_by_their_keys():
    feed = TradingViewFeed()

    assert feed.subscribe([AAPL, EUR]) == [message_compact("quote_add_symbols", "NASDAQ:AAPL", "FX:EURUSD")]
    assert feed.unsubscribe([AAPL]) == [message_compact("quote_remove_symbols", "NASDAQ:AAPL")]


def message_compact(method, *keys):
    return encode_frame(json.dumps({"m": method, "p": ["qs_pocketquants", *keys]}, separators=(",", ":")))
