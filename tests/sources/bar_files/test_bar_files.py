"""Files of bars as users have them: headers, separators, what cannot be read, and where it stands."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.bars import BarState
from market.errors import DeskError
from sources.bar_files import delimited
from sources.bar_files.opening import open_bars
from sources.bar_files.rows import NO_DAY, NO_STATE, NUMBERS, Named

NEW_YORK = ZoneInfo("America/New_York")
NINE = 1_767_344_400 * 10**9
"""2026-01-02T09:00:00Z."""
DAY = 20_455
"""2026-01-02, in days since 1970."""


@pytest.fixture
def file(tmp_path):
    """Write a file and read it."""

    def make(content, zone=UTC, form=None):
        path = tmp_path / "bars.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return opened(path, zone, form)

    return make


def opened(path, zone=UTC, form=None):
    bars = open_bars(path, zone, form)
    parts = list(bars.read())
    rows = np.concatenate([part.rows for part in parts])
    assert parts[-1].progress == 1.0
    return rows, [bad for part in parts for bad in part.bad], bars, frozenset().union(*(part.named for part in parts))


def told(bad):
    return [(one.line, one.reason) for one in bad]


@pytest.mark.parametrize(
    "text",
    [
        "start,open,high,low,close,volume\n2026-01-02T09:00:00Z,1,4,0.5,2,10\n",
        "Time,Open,HIGH,low,Close,Volume\n2026-01-02 09:00:00,1,4,0.5,2,10\n",
        "timestamp;open;high;low;close;volume\n1767344400;1;4;0.5;2;10\n",
        "Date\tOpen\tHigh\tLow\tClose\tVolume\n2026-01-02 09:00\t1\t4\t0.5\t2\t10\n",
        ",Open,High,Low,Close,Volume\n2026-01-02 09:00:00,1,4,0.5,2,10\n",
        "Unnamed: 0,Open,High,Low,Close,Volume\n2026-01-02 09:00:00,1,4,0.5,2,10\n",
        "Date,Time,Open,High,Low,Close,Volume\n2026.01.02,09:00,1,4,0.5,2,10\n",
        '"Date","Open","High","Low","Close","Volume"\n"2026-01-02 09:00",1,4,0.5,"2",10\n',
        "\ufeffstart,open,high,low,close,volume\r\n2026-01-02T09:00:00Z,1,4,0.5,2,10\r\n",
        "\n\nvolume,close,low,high,open,start,adj close,note\n10,2,0.5,4,1,2026-01-02T09:00:00Z,1.5,ok\n\n",
        " start , open , high , low , close , volume \n 2026-01-02T09:00:00Z , 1 , 4 , 0.5 , 2 , 10 \n",
    ],
)
def test_headers_in_any_case_order_and_separator_name_the_same_columns(file, text):
    rows, bad, _, named = file(text)

    assert not bad
    assert not named
    assert rows["time"].tolist() == [NINE]
    assert rows["day"].tolist() == [NO_DAY]
    assert rows[["open", "high", "low", "close", "volume"]].tolist() == [(1.0, 4.0, 0.5, 2.0, 10.0)]
    assert np.isnan(rows["notional"]).all()
    assert rows["state"].tolist() == [NO_STATE]


def test_a_date_alone_stays_a_day(file):
    rows, *_ = file("Date,Open,High,Low,Close,Volume\n2026-01-02,1,4,0.5,2,10\n", NEW_YORK)
    assert rows["day"].tolist() == [DAY]
    assert rows["time"].tolist() == [(DAY * 86_400 + 5 * 3600) * 10**9]


def test_adjusted_columns_are_named_as_left_out(file):
    """What is stored is what traded."""
    _, _, bars, _ = file("Date,Open,High,Low,Close,Volume,Adj Close\n2026-01-02,1,4,0.5,2,10,1.7\n")
    assert bars.left_out == ("Adj Close",)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty: it has no header"),
        (b"\n\n", "is empty: it has no header"),
        (b"start,open,high,low,volume\n", "has no column close; it is 'start,open,high,low,volume'"),
        (b"open,high,low,close,volume\n", r"has no column start \(or time, date, timestamp\)"),
        (b"1,2,3,4,5,6\n", "has no column start .* and open and high and low and close and volume"),
        (b"start,open,open,high,low,close,volume\n", "has two columns 'open'"),
        (b"\xff\xfe\x00", "line 1 is not UTF-8 text"),
        (b"start\x00,open\n", "line 1 is not text"),
    ],
)
def test_a_file_that_is_none_of_bars_is_a_sentence(file, content, says):
    with pytest.raises(DeskError, match=says):
        file(content)


def test_each_line_that_cannot_be_read_is_told_with_its_number(file):
    rows, bad, *_ = file(
        b"start,open,high,low,close,volume\n"
        b"2026-01-02T09:00:00Z,1,4,0.5,2,10\n"
        b"2026-01-02T09:01:00Z,1,4,0.5,2\n"
        b"2026-01-02T09:02:00Z,1,4,0.5,,10\n"
        b"2026-01-02T09:03:00Z,1,4,0.5,two,10\n"
        b"2026-01-02T09:04:00Z,1,nan,0.5,2,10\n"
        b"yesterday,1,4,0.5,2,10\n"
        b"\n"
        b"2026-01-02T09:06:00Z,1,4,0.5,2,\xff\n"
        b"2026-01-02T09:07:00Z,1,4,0.5,2,1_0\n"
        b'2026-01-02T09:08:00Z,1,4,0.5,2,"10\n'
        b"2026-01-02T09:09:00Z,1,4,0.5,2,10,11\n"
        b"2026-01-02T09:10:00Z,1,4,0.5,2,10\n"
    )
    assert rows["line"].tolist() == [2, 13]
    assert told(bad) == [
        (3, "columns"), (4, "missing value"), (5, "not a number"), (6, "not a number"), (7, "stamp"),
        (9, "unreadable"), (10, "not a number"), (11, "unreadable"), (12, "columns"),
    ]  # fmt: skip
    assert bad[0].detail == "5 where the header has 6: '2026-01-02T09:01:00Z,1,4,0.5,2'"
    assert bad[1].detail == "no close in '2026-01-02T09:02:00Z,1,4,0.5,,10'"
    assert bad[2].detail == "close is 'two'"


HEAD = "start,open,high,low,close,volume\n"


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("2026-01-02T09:01:0", "cut off"),
        ("2026-01-02T09:01:00Z,1,4,0.5,2,", "cut off"),
        ("2026-01-02T09:01:00Z,1,", "cut off"),
    ],
)
def test_a_file_that_ends_amid_a_line_is_cut_off(file, end, reason):
    _, bad, *_ = file(f"{HEAD}2026-01-02T09:00:00Z,1,4,0.5,2,10\n{end}")
    assert told(bad) == [(3, reason)]
    assert bad[0].detail.startswith("the file ends amid '2026-01-02T09:01:0")


def test_a_last_line_without_an_end_is_read_and_noted(file):
    """It may be whole, or its last number may be cut: nobody can tell."""
    rows, bad, bars, _ = file(f"{HEAD}2026-01-02T09:00:00Z,1,4,0.5,2,1000")
    assert (len(rows), bad) == (1, [])
    assert "has no line end: check that the file is whole" in bars.note


def test_a_file_of_export_says_what_it_holds(file):
    rows, _, _, named = file(
        "exchange,symbol,interval,start,end,open,high,low,close,volume,notional,trades,vwap,state,source,revision,updated_at\n"
        "SIM,BTCUSD,1m,2026-01-02T09:00:00Z,2026-01-02T09:01:00Z,1,4,0.5,2,10,20,7,2.0,partial,sim,1,2026-01-02T09:01:02Z\n"
        "SIM,BTCUSD,1m,2026-01-02T09:01:00Z,2026-01-02T09:02:00Z,1,4,0.5,2,10,,0,,official,x,1,2026-01-02T09:01:02Z\n"
    )
    assert named == {Named("SIM", "BTCUSD", "1m")}
    assert rows["state"].tolist() == [BarState.PARTIAL, BarState.OFFICIAL]
    assert rows["trades"].tolist() == [7.0, 0.0]
    assert rows["notional"][0] == 20.0
    assert np.isnan(rows["notional"][1])


cells = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(["", " 1", "x", "1_0", "1e3", '"2"', "0x1", "+1", "1,2"]),
)
stamps = st.one_of(
    st.datetimes(datetime(1969, 1, 1), datetime(2262, 1, 1)).map(  # noqa: DTZ001  # Hypothesis wants them so.
        lambda moment: moment.replace(microsecond=0).isoformat() + "Z"
    ),
    st.dates(date(1969, 1, 1), date(2262, 1, 1)).map(str),
    st.sampled_from(["2026-01-02 09:00", "20260102", "1767344400", "", "2026-02-31", "2026-01-02T09:00:00+00:00"]),
)


@given(st.lists(st.tuples(stamps, cells, cells, cells, cells, cells), min_size=1, max_size=4), st.booleans())
def test_blocks_read_the_same_as_lines(tmp_path_factory, lines, alike):
    """What is quick must not be another reader."""
    if alike:
        # Blocks of one form are the rule.
        lines = [(f"2026-01-02T09:0{place}:00Z", *line[1:]) for place, line in enumerate(lines)]
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(HEAD + "".join(",".join(line) + "\n" for line in lines))
    quick = opened(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "read_block", lambda *_: None)
        slow = opened(path)

    for name in ("line", "time", "day", "state", *NUMBERS):
        np.testing.assert_array_equal(quick[0][name], slow[0][name])
    assert quick[1] == slow[1]


def test_a_short_stamp_is_no_stamp_in_a_block_either(file):
    """The quick reader's library would take an hour of one digit."""
    _, bad, *_ = file(f"{HEAD}2026-01-02T09:00:00Z,1,4,0.5,2,10\n2026-01-02T9:01:00Z,1,4,0.5,2,10\n")
    assert told(bad) == [(3, "stamp")]


def test_a_block_is_read_at_once(file, monkeypatch):
    """Else the test before compares nothing."""
    monkeypatch.setattr(delimited.DelimitedBars, "_row", None)
    rows, *_ = file(HEAD + "".join(f"2026-01-02T09:{minute:02}:00Z,1,4,0.5,2,10\n" for minute in range(60)))
    assert len(rows) == 60
    assert rows["line"].tolist() == list(range(2, 62))


def test_many_parts_are_one_file(file, monkeypatch):
    monkeypatch.setattr(delimited, "_AT_ONCE", 7)
    text = HEAD + "".join(f"2026-01-02T09:{minute:02}:00Z,1,4,0.5,2,10\n" for minute in range(60)) + "x\n"
    rows, bad, *_ = file(text)
    assert rows["line"].tolist() == list(range(2, 62))
    assert told(bad) == [(62, "columns")]


PRICES = {"open": [1.0, 1.0], "high": [4.0, 4.0], "low": [0.5, 0.5], "close": [2.0, 2.0], "volume": [10, 11]}
TIMES = [datetime(2026, 1, 2, 9, 0), datetime(2026, 1, 2, 9, 1)]  # noqa: DTZ001  # Naive on purpose.


@pytest.mark.parametrize(
    ("start", "zone"),
    [
        (pl.Series(TIMES).dt.replace_time_zone("UTC"), NEW_YORK),
        (pl.Series(TIMES).dt.cast_time_unit("ns"), UTC),
        (pl.Series(TIMES).dt.cast_time_unit("ms"), UTC),
        (pl.Series(["2026-01-02T09:00:00Z", "2026-01-02T09:01:00Z"]), NEW_YORK),
        (pl.Series([NINE // 10**9, NINE // 10**9 + 60]), UTC),
        (pl.Series([time.replace(hour=4) for time in TIMES]), NEW_YORK),
    ],
    ids=["aware", "ns", "ms", "text", "seconds", "naive in a zone"],
)
def test_parquet_is_read_whatever_its_times_are(tmp_path, start, zone):
    path = tmp_path / "bars.parquet"
    pl.DataFrame({"Start": start, **PRICES}).write_parquet(path)
    rows, bad, *_ = opened(path, zone)
    assert not bad
    assert rows["time"].tolist() == [NINE, NINE + 60 * 10**9]
    assert rows["volume"].tolist() == [10.0, 11.0]
    assert rows["line"].tolist() == [1, 2]


def test_parquet_dates_stay_days_and_bad_rows_are_told(tmp_path):
    path = tmp_path / "bars.parquet"
    days = [date(2026, 1, 2), None, date(2026, 1, 6), date(2026, 1, 7)]
    close = [2.0, 2.0, None, float("nan")]
    numbers = {name: [1.0] * 4 for name in ("open", "high", "low", "volume")}
    pl.DataFrame({"date": days, "close": close, **numbers}).write_parquet(path)
    rows, bad, *_ = opened(path)
    assert rows["day"].tolist() == [DAY]
    assert told(bad) == [(2, "stamp"), (3, "missing value"), (4, "not a number")]


def test_parquet_that_is_cut_or_of_other_columns_is_a_sentence(tmp_path):
    path = tmp_path / "bars.parquet"
    pl.DataFrame({"start": TIMES, **PRICES}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DeskError, match=r"is no whole Parquet file: .*[^.]; give another"):
        opened(path)
    pl.DataFrame({"start": TIMES, **PRICES}).with_columns(close=pl.lit("two")).write_parquet(path)
    with pytest.raises(DeskError, match=r"column 'close' is .* no number"):
        opened(path)
    pl.DataFrame({"start": [True, False], **PRICES}).write_parquet(path)
    with pytest.raises(DeskError, match="column 'start' is bool, which is no time"):
        opened(path)
    path.write_text(HEAD)
    with pytest.raises(DeskError, match="is no whole Parquet file"):
        opened(path, form="parquet")


def test_a_folder_or_nothing_is_a_sentence(tmp_path):
    with pytest.raises(DeskError, match="is a folder"):
        open_bars(tmp_path, UTC)
    with pytest.raises(DeskError, match="cannot be read: No such file"):
        open_bars(tmp_path / "none.csv", UTC)
