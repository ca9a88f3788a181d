"""Recorded frames, read by the live feeds' parsers."""

import base64
from math import isclose

import pytest

from market.errors import DeskError
from market.streams import FeedKind
from market.symbols import parse_symbol
from sources.tick_files.opening import open_ticks
from sources.tradingview_frames import encode_frame

BTC, ETH = parse_symbol("KRAKEN:BTCUSD"), parse_symbol("KRAKEN:ETHUSD")


def trade(trade_id, pair="BTC/USD", second=48):
    return (
        f'{{"channel":"trade","type":"update","data":[{{"symbol":"{pair}","side":"buy","price":1.5,"qty":2.0,'
        f'"ord_type":"market","trade_id":{trade_id},"timestamp":"2026-07-23T22:56:{second:02d}.5Z"}}]}}'
    )


def capture(folder, *lines, end="\n"):
    path = folder / "capture.txt"
    path.write_text("\n".join(lines) + end)
    return path


def read(path, **options):
    batches = list(open_ticks(path, **options).batches())
    ticks = [(str(batch.symbol), *tick) for batch in batches for tick in batch.ticks.tolist()]
    return ticks, [(fault.line, fault.reason) for batch in batches for fault in batch.rejects], batches


def quote(**values):
    body = ",".join(f'"{name}":{value}' for name, value in values.items())
    return encode_frame(f'{{"m":"qsd","p":["qs",{{"n":"BINANCE:BTCUSDT","s":"ok","v":{{{body}}}}}]}}')


def test_received_times_are_those_of_the_lines_to_the_last_digit(tmp_path):
    """And what was sent, remarks and blank lines are no frames."""
    path = capture(
        tmp_path,
        "wss://ws.kraken.com/v2 <-> 1784847400.1",
        'wss://ws.kraken.com/v2 <- 1784847400.2: {"method":"subscribe"}',
        "# a remark", "",
        f"1784847409.1234567: {trade(7)}",
        f"1784847409.2: {trade(8, 'ETH/USD', 49)}",
        f"1784847409.1: {trade(9)}",
    )  # fmt: skip
    ticks, rejects, batches = read(path)

    assert rejects == []
    assert ticks == [
        ("KRAKEN:BTCUSD", 1784847408500000000, 1784847409123456700, 1.5, 2.0, 7, 1, 0, 1, 0),
        ("KRAKEN:ETHUSD", 1784847409500000000, 1784847409200000000, 1.5, 2.0, 8, 1, 0, 1, 0),
        ("KRAKEN:BTCUSD", 1784847408500000000, 1784847409200000000, 1.5, 2.0, 9, 1, 0, 1, 0),
    ]
    assert [batch.first_row for batch in batches] == [1, 2, 3]


def test_the_recorded_minute_of_kraken_v1_has_ten_trades(recorded):
    """Counted in the file; without trade ids the row is the id.

    Siacoin by hand: 15979.71727919 + 8500 + 2383.16665529 + 1081.72663 + 5000 + 20000 = 52944.61056448.
    """
    ticks, rejects, _ = read(recorded / "kraken" / "cryptofeed-KRAKEN.ws.48.0", feed="kraken")

    assert (len(ticks), rejects) == (10, [])
    assert ticks[0] == ("KRAKEN:XMRUSD", 1618678142557535000, 1618678142592855000, 354.11, 0.89594024, 1, 1, 0, -1, 0)
    assert {tick[0] for tick in ticks} == {"KRAKEN:XMRUSD", "KRAKEN:SCEUR"}
    assert [tick[5] for tick in ticks] == list(range(1, 11))
    assert isclose(sum(tick[4] for tick in ticks if tick[0] == "KRAKEN:SCEUR"), 52944.61056448, abs_tol=1e-6)


def test_every_recorded_capture_is_guessed_and_has_no_unexplained_reject(recorded):
    """What is refused: the hello that its author redacted, and two prices of which no time is known."""
    held = {}
    for venue in ("binance", "kraken", "okx", "coinbase", "tradingview"):
        for path in sorted((recorded / venue).iterdir()):
            if path.is_file():
                ticks, rejects, _ = read(path)
                held[path.name] = (len(ticks), [reason for _, reason in rejects])

    assert {name: found for name, found in held.items() if found[1]} == {
        "genesis-chart-frames-mdx.txt": (0, ["truncated"]),
        "misc-single-frames.txt": (2, ["stamp"]),
        "rolandolucio-bitstamp-2019.txt": (1, ["stamp"]),
    }
    assert held["cryptofeed-BINANCE.ws.1.0"][0] == 2
    assert held["tickstore-trades.json"][0] == 2
    assert sum(count for count, _ in held.values()) == 21


def test_a_frame_alone_is_timed_by_its_trades(tmp_path):
    ticks, rejects, _ = read(capture(tmp_path, trade(1, second=48), trade(2, second=40), trade(3, second=50)))

    assert rejects == []
    assert [tick[2] - 1784847360 * 10**9 for tick in ticks] == [48_500_000_000, 48_500_000_000, 50_500_000_000]


def test_what_a_venue_sends_again_is_not_a_second_trade(tmp_path):
    """After a reconnect Kraken repeats its last trades."""
    path = capture(
        tmp_path, f"1784847409.1: {trade(7)}", "wss://ws.kraken.com/v2 <-> 1784847410.0", f"1784847411.1: {trade(7)}",
        f"1784847411.2: {trade(8)}",
    )  # fmt: skip
    ticks, rejects, _ = read(path)

    assert ([tick[5] for tick in ticks], rejects) == ([7, 8], [(3, "duplicate")])


def test_a_file_can_be_read_again_from_its_beginning(tmp_path):
    """Nothing of the first reading is left: neither its clock nor the trades it has seen."""
    opened = open_ticks(capture(tmp_path, f"1784847409.1: {trade(7)}", f"1784847409.2: {trade(8)}"))

    first, second = ([batch.ticks.tolist() for batch in opened.batches()] for _ in range(2))

    assert first == second
    assert len(first[0]) == 2


def test_one_symbol_may_be_picked_out(tmp_path):
    path = capture(tmp_path, f"1784847409.1: {trade(7)}", f"1784847409.2: {trade(8, 'ETH/USD')}")

    assert [tick[5] for tick in read(path, symbol=ETH)[0]] == [8]
    with pytest.raises(DeskError, match=r"no tick of KRAKEN:SOLUSD; its symbols are KRAKEN:BTCUSD, KRAKEN:ETHUSD"):
        read(path, symbol=parse_symbol("KRAKEN:SOLUSD"))


def test_tradingview_is_read_with_what_was_sent_left_out(tmp_path):
    """The second quote has 0.5 more volume than the first; a new connection knows no volume before."""
    path = capture(
        tmp_path,
        "out\t" + encode_frame('{"m":"set_auth_token","p":["x"]}'),
        "in\t" + quote(lp=100.0, lp_time=1734082521, volume=10.0),
        "in-b64\t" + base64.b64encode(quote(lp=101.0, volume=10.5).encode()).decode(),
    )  # fmt: skip
    ticks, rejects, _ = read(path)

    assert open_ticks(path).kind is FeedKind.CONFLATED
    assert rejects == []
    assert [tick[1:5] for tick in ticks] == [
        (1734082521 * 10**9, 1734082521 * 10**9, 100.0, 0.0),
        (1734082521 * 10**9, 1734082521 * 10**9, 101.0, 0.5),
    ]


@pytest.mark.parametrize("keep", [20, 60, 150])
def test_a_last_frame_that_was_cut_off_is_named_as_such(tmp_path, keep):
    last = f"1784847409.2: {trade(8)}"[:keep]
    ticks, rejects, _ = read(capture(tmp_path, f"1784847409.1: {trade(7)}", last, end=""))

    assert ([tick[5] for tick in ticks], rejects) == ([7], [(2, "cut_off")])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("hello", "line"),
        ("in-b64\t!!", "line"),
        ("1784847409.1: garbage", "json"),
        ('1784847409.1: {"channel":"x"}', "unknown"),
        ("1784847409.1: " + trade(7).replace("1.5", '"1.5"'), "shape"),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_by_its_number(tmp_path, line, reason):
    ticks, rejects, _ = read(capture(tmp_path, trade(1), line, trade(2)))

    assert (len(ticks), rejects) == (2, [(2, reason)])


def test_a_capture_of_nobody_asks_for_its_venue(tmp_path):
    path = capture(tmp_path, '1784847409.1: {"hello":1}')

    with pytest.raises(DeskError, match="say it with --feed"):
        open_ticks(path)
    with pytest.raises(DeskError, match="feed 'mtgox' of a capture is none of kraken coinbase"):
        open_ticks(path, feed="mtgox")
