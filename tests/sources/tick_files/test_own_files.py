"""CSV and Parquet files of ticks in the desk's own form."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import DeskError
from market.streams import FeedKind
from market.symbols import parse_symbol
from sources.tick_files.opening import open_ticks

BTC = parse_symbol("KRAKEN:BTCUSD")
DAY = 1_700_000_000


def write(folder, text, name="ticks.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path, **options):
    batches = list(open_ticks(path, symbol=BTC, **options).batches())
    ticks = np.concatenate([batch.ticks for batch in batches])
    return ticks, [(fault.line, fault.reason) for batch in batches for fault in batch.rejects], batches


def test_the_three_columns_are_enough(tmp_path):
    """Without received times the file's clock is the running maximum of its event times; a row is its own id."""
    path = write(
        tmp_path,
        "event_time,price,size\n1700000000,10.5,1\n1700000060,11,0.25\n1700000030,10.75,2\n1700000060,11,0.25\n",
    )
    ticks, rejects, batches = read(path)

    assert ticks.tolist() == [
        (1700000000 * 10**9, 1700000000 * 10**9, 10.5, 1.0, 1, 1, 0, 0, 0),
        (1700000060 * 10**9, 1700000060 * 10**9, 11.0, 0.25, 2, 1, 0, 0, 0),
        (1700000030 * 10**9, 1700000060 * 10**9, 10.75, 2.0, 3, 1, 0, 0, 0),
        (1700000060 * 10**9, 1700000060 * 10**9, 11.0, 0.25, 4, 1, 0, 0, 0),
    ]
    assert (rejects, batches[0].symbol, batches[0].first_row, batches[-1].progress) == ([], BTC, 1, 1.0)


def test_all_columns_in_any_order_and_case(tmp_path):
    """The aggressor is the taker; a received time that falls is raised to the one before it."""
    path = write(
        tmp_path,
        "Trade_ID,Note,Aggressor,PRICE,size,Event_Time,Received_Time,Count\n"
        "7,x,buy,10,1,1700000000123,1700000000200,3\n"
        ",y,SELL,10,1,1700000000124,1700000000150,\n"
        "9,,,10,1,1700000000125,1700000000300,0\n",
    )
    ticks, rejects, _ = read(path)

    assert rejects == []
    assert ticks[["trade_id", "count", "aggressor"]].tolist() == [(7, 3, 1), (2, 1, -1), (9, 0, 0)]
    assert (ticks["received_time"] // 1_000_000 % 1000).tolist() == [200, 200, 300]
    assert ticks["event_time"].tolist() == [1700000000123000000 + n * 1_000_000 for n in range(3)]


@pytest.mark.parametrize(
    ("stamp", "nanos"),
    [
        ("1700000000", DAY * 10**9),
        ("1700000000123", DAY * 10**9 + 123_000_000),
        ("1700000000123456", DAY * 10**9 + 123_456_000),
        ("1700000000123456789", DAY * 10**9 + 123_456_789),
        ("2023-11-14T22:13:20Z", DAY * 10**9),
        ("2023-11-14T22:13:20.123456789Z", DAY * 10**9 + 123_456_789),
        ("2023-11-14 22:13:20.5", DAY * 10**9 + 500_000_000),
        ("2023-11-15T00:13:20+02:00", DAY * 10**9),
        ("2023-11-14", 1_699_920_000 * 10**9),
        ("1700000000.25", DAY * 10**9 + 250_000_000),
        ("631152000", 631_152_000 * 10**9),
    ],
)
def test_digits_say_the_unit_and_iso_is_read(tmp_path, stamp, nanos):
    """2023-11-14T22:13:20Z is 1,700,000,000 s; many rows, so that both ways of reading see it."""
    ticks, rejects, _ = read(write(tmp_path, "event_time,price,size\n" + f"{stamp},1,1\n" * 3))

    assert rejects == []
    assert ticks["event_time"].tolist() == [nanos] * 3


BAD_ROWS = [
    ("1700000000", "columns"),
    ("1700000000,1", "columns"),
    ("1700000000,1,1,1", "columns"),
    ("1700000000,,1", "number"),
    ("1700000000,ten,1", "number"),
    ("1700000000,nan,1", "number"),
    ("1700000000,1,inf", "number"),
    ("1700000000,1e999,1", "number"),
    ("1700000000,1_0,1", "number"),
    (",1,1", "stamp"),
    ("soon,1,1", "stamp"),
    ("-1700000000,1,1", "stamp"),
    ("99,1,1", "stamp"),
    ("1989-12-31T23:59:59Z,1,1", "stamp"),
    ("2262-01-01T00:00:00Z,1,1", "stamp"),
    ("99999999999999999999,1,1", "stamp"),
    ("1700000000123,1,1", "mixed_units"),
    ("2023-11-14T22:13:20Z,1,1", "mixed_units"),
    (b"1700000000,1,\xff", "encoding"),
    ('"1700000000,1,1', "columns"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_refused_by_its_line_and_the_others_are_ticks(tmp_path, row, reason):
    content = row if isinstance(row, bytes) else row.encode()
    good = b"1700000000,1,1\n"
    path = write(tmp_path, b"event_time,price,size\n" + good * 2 + content + b"\n" + good)
    ticks, rejects, _ = read(path)

    assert rejects == [(4, reason)]
    assert ticks["trade_id"].tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [("aggressor", "maker", "aggressor"), ("trade_id", "-5", "trade_id"), ("trade_id", "abc", "trade_id"),
     ("trade_id", str(2**63), "trade_id"), ("count", "-1", "count"), ("count", str(2**32), "count"),
     ("received_time", "soon", "stamp")],
)  # fmt: skip
def test_a_bad_optional_cell_refuses_its_row(tmp_path, column, value, reason):
    good = {"aggressor": "buy", "trade_id": "5", "count": "2", "received_time": "1700000000"}[column]
    path = write(
        tmp_path, f"event_time,price,size,{column}\n" + "".join(f"1700000000,1,1,{c}\n" for c in (good, value))
    )
    ticks, rejects, _ = read(path)

    assert (len(ticks), rejects) == (1, [(3, reason)])


def test_a_last_line_that_was_cut_off_is_named_as_such(tmp_path):
    path = write(tmp_path, "event_time,price,size\n1700000000,1,1\n1700000001,1")
    batches = list(open_ticks(path, symbol=BTC).batches())
    faults = [fault for batch in batches for fault in batch.rejects]

    assert [(fault.line, fault.reason) for fault in faults] == [(3, "cut_off")]
    assert "the file ends amid this line" in faults[0].text
    assert sum(len(batch.ticks) for batch in batches) == 1


def test_a_last_line_without_a_line_feed_is_a_row_if_it_is_whole(tmp_path):
    ticks, rejects, _ = read(write(tmp_path, "event_time,price,size\n1700000000,1,1\n1700000001,1,2"))

    assert (ticks["size"].tolist(), rejects) == ([1.0, 2.0], [])


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffevent_time,price,size\n1700000000,1,1\n",
        "event_time,price,size\r\n1700000000,1,1\r\n",
        "\n\nevent_time,price,size\n\n1700000000,1,1\n\n",
        "event_time;price;size\n1700000000;1;1\n",
        "event_time\tprice\tsize\n1700000000\t1\t1\n",
        '"event_time","price","size"\n"1700000000","1","1"\n',
        " Event_Time , Price , Size \n 1700000000 , 1 , 1 \n",
    ],
    ids=["byte order mark", "carriage returns", "blank lines", "semicolons", "tabs", "quotes", "spaces"],
)
def test_the_dialects_of_csv_say_the_same(tmp_path, text):
    ticks, rejects, _ = read(write(tmp_path, text))

    assert (ticks[["event_time", "price", "size"]].tolist(), rejects) == ([(DAY * 10**9, 1.0, 1.0)], [])


def test_one_bad_line_in_many_is_found_and_costs_no_other(tmp_path):
    """10,000 lines are read in halves down to the bad one; every row keeps its number."""
    lines = [f"{DAY + n},{n}.5,1" for n in range(10_000)]
    lines[7_654] = "garbage"
    path = write(tmp_path, "event_time,price,size\n" + "\n".join(lines) + "\n")
    ticks, rejects, _ = read(path)

    assert rejects == [(7_656, "columns")]
    assert ticks["price"].tolist() == [n + 0.5 for n in range(10_000) if n != 7_654]
    assert ticks["trade_id"].tolist() == [n + 1 for n in range(10_000) if n != 7_654]
    assert (ticks["received_time"] == ticks["event_time"]).all()


@given(
    st.lists(
        st.tuples(
            st.integers(DAY * 10**6, (DAY + 86_400) * 10**6), st.floats(1e-9, 1e12), st.floats(0, 1e12),
            st.sampled_from(["buy", "sell", ""]), st.booleans(),
        ),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_reading_at_once_and_line_by_line_say_the_same(tmp_path_factory, rows):
    """A quote in a block sends it to the slow way; prices come back as the very same float either way."""
    folder = tmp_path_factory.mktemp("own")
    texts = []
    for quote in ("", '"'):
        body = "".join(f"{quote}{t}{quote},{p!r},{s!r},{side}\n" for t, p, s, side, _ in rows)
        texts.append(read(write(folder, "event_time,price,size,aggressor\n" + body, f"q{len(quote)}.csv"))[0])

    assert texts[0].tolist() == texts[1].tolist()
    assert texts[0]["price"].tolist() == [p for _, p, *_ in rows]
    assert texts[0]["event_time"].tolist() == [t * 1000 for t, *_ in rows]


def test_a_file_larger_than_a_block_is_read_in_order(tmp_path, monkeypatch):
    """Blocks of 100 bytes: lines, rows and the clock go on across them."""
    monkeypatch.setattr("sources.tick_files.text_blocks.BLOCK_BYTES", 100)
    path = write(tmp_path, "event_time,price,size\n" + "".join(f"{DAY + (n % 7)},{n},1\n" for n in range(200)))
    ticks, rejects, batches = read(path)

    assert len(batches) > 20
    assert ticks["price"].tolist() == list(range(200))
    assert ticks["trade_id"].tolist() == list(range(1, 201))
    assert (np.diff(ticks["received_time"]) >= 0).all()
    assert [batch.progress for batch in batches] == sorted(batch.progress for batch in batches)
    assert rejects == []


def parquet(folder, **columns):
    path = folder / "ticks.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


MOMENTS = [datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) + timedelta(seconds=n) for n in range(3)]


@pytest.mark.parametrize(
    "stamps",
    [
        [DAY, DAY + 1, DAY + 2],
        [(DAY + n) * 1000 for n in range(3)],
        pl.Series([(DAY + n) * 10**9 for n in range(3)], dtype=pl.UInt64),
        MOMENTS,
        pl.Series(MOMENTS).dt.cast_time_unit("ms"),
        [moment.replace(tzinfo=None) for moment in MOMENTS],
        [f"2023-11-14T22:13:2{n}Z" for n in range(3)],
        [f"2023-11-15T00:13:2{n}+02:00" for n in range(3)],
    ],
    ids=["s", "ms", "ns unsigned", "times", "times in ms", "naive times", "ISO", "ISO with offset"],
)
def test_parquet_stamps_may_be_of_any_type(tmp_path, stamps):
    ticks, rejects, _ = read(parquet(tmp_path, EVENT_TIME=stamps, Price=[1.5, 2, 3], size=[1, 1, 1]))

    assert ticks["event_time"].tolist() == [(DAY + n) * 10**9 for n in range(3)]
    assert (ticks["price"].tolist(), ticks["trade_id"].tolist(), rejects) == ([1.5, 2.0, 3.0], [1, 2, 3], [])


def test_bad_rows_of_parquet_are_refused_by_their_number(tmp_path):
    count = 9
    path = parquet(
        tmp_path,
        event_time=pl.Series([DAY, None, 99, DAY * 1000, DAY, DAY, DAY, DAY, DAY + 5], dtype=pl.Int64),
        price=[1.0] * 4 + [float("nan")] + [1.0] * 4,
        size=[1.0] * 5 + [None] + [1.0] * 3,
        aggressor=["buy"] * 6 + ["maker", "sell", ""],
        trade_id=pl.Series([1] * 7 + [-4, None], dtype=pl.Int64),
    )
    ticks, rejects, batches = read(path)

    assert rejects == [
        (2, "stamp"), (3, "stamp"), (4, "mixed_units"), (5, "number"), (6, "number"), (7, "aggressor"), (8, "trade_id"),
    ]  # fmt: skip
    assert ticks[["trade_id", "aggressor"]].tolist() == [(1, 1), (count, 0)]
    assert batches[0].progress == 1.0


def test_csv_and_parquet_of_the_same_ticks_are_the_same(tmp_path):
    frame = pl.DataFrame({
        "event_time": [DAY * 1000 + 7 * n for n in range(1000)], "price": [n / 7 for n in range(1000)],
        "size": [n / 3 for n in range(1000)], "aggressor": ["buy", "sell"] * 500,
    })  # fmt: skip
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")

    assert read(tmp_path / "a.csv")[0].tolist() == read(tmp_path / "a.parquet")[0].tolist()


def test_a_file_is_known_by_its_hash(tmp_path):
    """SHA-256 of the three letters abc, from the standard's own example, is ba7816bf..."""
    path = write(tmp_path, "event_time,price,size\n1700000000,1,1\n")
    opened = open_ticks(path, symbol=BTC)
    again = open_ticks(write(tmp_path, path.read_bytes(), "copy.csv"), symbol=BTC)
    other = open_ticks(write(tmp_path, path.read_bytes() + b"1700000000,1,1\n", "other.csv"), symbol=BTC)

    assert opened.hash == again.hash != other.hash
    assert opened.feed == f"file:{opened.hash[:8]}"
    assert (opened.kind, opened.format, opened.size_bytes) == (FeedKind.TRADES, "csv", len(path.read_bytes()))
    assert open_ticks(write(tmp_path, "abc"), symbol=BTC, format="csv").hash.startswith("ba7816bf")


@pytest.mark.parametrize(
    ("content", "options", "why"),
    [
        (b"", {}, r"x\.csv is empty"),
        (b" \n\n", {}, "is empty"),
        (b"hello world\n", {}, "line 1: .*hello world.* begins no form of ticks known"),
        (b"date,open,high,low,close\n", {}, "begins no form"),
        (b"date,open,high\n", {"format": "csv"}, "line 1: the header has no column event_time, price, size"),
        (b"event_time,price,price,size\n", {}, "the header has two columns price"),
        (b"event_time,price,size\n", {"format": "xml"}, "format 'xml' is none of csv parquet"),
        (b"event_time,price,size\n", {"format": "parquet"}, "is not Parquet"),
        (b"event_time,price,size\n", {"format": "binance-aggtrades"}, "no JSON of aggregates"),
        (b"event_time,price,size\n", {"format": "capture"}, "no capture"),
        (b"event_time,price,size\n", {"feed": "kraken"}, "--feed is for captures only"),
        (b"event_time,price,size\n", {"symbol": None}, "say it with --symbol"),
        (b"PAR1 and then nothing", {}, "no readable Parquet file, or is cut off"),
        (b"PAR1", {"format": "csv"}, "is Parquet, not csv"),
        (b"\x1f\x8b\x08", {}, "packed with gzip; unpack it"),
        ("event_time,price,size\n".encode("utf-16"), {}, "is not UTF-8"),
    ],
)
def test_what_is_no_file_of_ticks_is_one_line_that_names_it(tmp_path, content, options, why):
    path = write(tmp_path, content, "x.csv")

    with pytest.raises(DeskError, match=why) as error:
        list(open_ticks(path, **({"symbol": BTC} | options)).batches())

    assert "\n" not in str(error.value)


def test_a_path_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises(DeskError, match=r"absent\.csv does not exist"):
        open_ticks(tmp_path / "absent.csv", symbol=BTC)
    with pytest.raises(DeskError, match="is a folder"):
        open_ticks(tmp_path, symbol=BTC)


def test_a_cut_off_parquet_file_is_named(tmp_path):
    whole = parquet(tmp_path, event_time=[DAY], price=[1.0], size=[1.0]).read_bytes()

    with pytest.raises(DeskError, match="cut off"):
        read(write(tmp_path, whole[:-20], "cut.parquet"))
    with pytest.raises(DeskError, match="has no column size; it has event_time, price"):
        read(parquet(tmp_path, event_time=[DAY], price=[1.0]))
    with pytest.raises(DeskError, match="column event_time is Float64"):
        read(parquet(tmp_path, event_time=[1.5], price=[1.0], size=[1.0]))
