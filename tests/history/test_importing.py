"""Files of bars into the store: the calendar that they are held against, and that nothing goes in by halves."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from history.desk import HistoryDesk
from history.importing import BadFile, WrongFile, import_bars
from infra.settings import load_settings
from market.bars import BAR, BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.bar_store import StoreAway

BTC = Symbol("KRAKEN", "BTCUSD")
AAPL = Symbol("NASDAQ", "AAPL")
EURUSD = Symbol("FX", "EURUSD")
NINE = datetime(2026, 1, 2, 9, tzinfo=UTC)
HEAD = "start,open,high,low,close,volume\n"


def lines(count, start=NINE, step=timedelta(minutes=1)):
    """Rows of bars, each other than the one before."""
    return [f"{(start + place * step).isoformat()},{1 + place},{4 + place},0.5,2,10\n" for place in range(count)]


@pytest.fixture
def file(tmp_path):
    def make(rows, head=HEAD, name="bars.csv"):
        path = tmp_path / name
        path.write_text(head + "".join(rows))
        return path

    return make


def held(desk, symbol=BTC, interval=Interval.M1):
    return desk.store.read(symbol, interval, newest_first=False)


def put(desk, start, *, state, close=2.0, source="kraken", symbol=BTC):
    row = np.zeros(1, BAR)
    row["start"], row["end"] = start, start + MINUTE_NS
    for name, value in zip(("open", "high", "low", "close", "volume"), (1.0, 4.0, 0.5, close, 10.0), strict=True):
        row[name] = value
    row["notional"], row["state"], row["updated_at"] = np.nan, state, desk.now_ns()
    batch = BarBatch(row, (Stream(0, source, symbol, FeedKind.TRADES, 0),))
    desk.store.upsert(batch, writer="test", own_revisions=False)


def test_bars_come_into_the_store_as_official_of_a_file(desk, file):
    done = import_bars(desk, file(lines(60)), BTC, Interval.M1)
    frame = held(desk)

    assert done.written == (60, 0, 0, 60)
    assert frame["open"].to_list() == [1.0 + place for place in range(60)]
    assert frame["start"].to_list() == [NINE + timedelta(minutes=place) for place in range(60)]
    assert set(frame["state"]) == {"official"}
    assert set(frame["source"]) == {"file"}
    assert frame["notional"].null_count() == 60
    assert set(frame["trades"]) == {0}
    assert desk.store.head("import")[0] == 60


def test_the_same_file_again_changes_nothing(desk, file):
    path = file(lines(60))
    import_bars(desk, path, BTC, Interval.M1)
    assert import_bars(desk, path, BTC, Interval.M1).written == (0, 0, 60, 0)
    assert desk.store.head("import")[0] == 60


def test_a_rehearsal_writes_nothing(desk, file):
    done = import_bars(desk, file(lines(60)), BTC, Interval.M1, dry_run=True)
    assert (done.written, done.bars, done.differences.new) == (None, 60, 60)
    assert held(desk).is_empty()


def test_a_bar_that_is_not_over_is_forming(desk, clock, file):
    clock.now_ns = int(NINE.timestamp() + 59.5 * 60) * 10**9
    done = import_bars(desk, file(lines(60)), BTC, Interval.M1)
    assert held(desk)["state"].to_list() == ["official"] * 59 + ["forming"]
    assert "1 bar is not over yet and is stored as forming" in done.notes


def test_a_file_of_the_newest_first_is_as_good(desk, file):
    done = import_bars(desk, file(lines(60)[::-1]), BTC, Interval.M1)
    assert done.written.inserted == 60
    assert not done.notes


def swapped(rows):
    return [*rows[:5], rows[6], rows[5], *rows[7:]]


BAD = {
    "given twice": (
        lambda rows: [*rows[:6], rows[5], *rows[6:]], 60, "line 8: 2026-01-02T09:05:00Z stands in line 7 too",
    ),
    "contradicting": (
        lambda rows: [*rows[:6], rows[5].replace(",10\n", ",11\n"), *rows[6:]], 59,
        "line 7: line 8 says otherwise of 2026-01-02T09:05:00Z",
    ),
    "out of order": (
        swapped, 60, "not in order of time (line 8: 2026-01-02T09:05:00Z after 2026-01-02T09:06:00Z in line 7)",
    ),
    "off the bounds": (
        lambda rows: [*rows[:6], rows[5].replace("09:05:00", "09:05:30"), *rows[6:]], 60,
        "line 8: no 1m bar starts at 2026-01-02T09:05:30Z",
    ),
    "high below low": (lambda rows: [*rows, "2026-01-02T11:00:00Z,2,1,3,2,10\n"], 60, "line 62: high 1.0, low 3.0"),
    "open outside": (lambda rows: [*rows, "2026-01-02T11:00:00Z,9,4,1,2,10\n"], 60, "open 9.0, low 1.0, high 4.0"),
    "close outside": (lambda rows: [*rows, "2026-01-02T11:00:00Z,2,4,1,0.5,10\n"], 60, "close 0.5, low 1.0, high 4.0"),
    "negative volume": (lambda rows: [*rows, "2026-01-02T11:00:00Z,2,4,1,2,-10\n"], 60, "line 62: volume -10.0"),
    "no price": (lambda rows: [*rows, "2026-01-02T11:00:00Z,2,4,0,2,10\n"], 60, "line 62: low 0.0"),
    "from the future": (lambda rows: [*rows, "2027-01-02T11:00:00Z,2,4,1,2,10\n"], 60, "at 2027-01-02T11:00:00Z"),
    "missing value": (lambda rows: [*rows, "2026-01-02T11:00:00Z,2,4,1,,10\n"], 60, "line 62: no close in"),
    "not a number": (lambda rows: [*rows, "2026-01-02T11:00:00Z,2,4,1,NaN,10\n"], 60, "line 62: close is 'NaN'"),
    "columns": (lambda rows: [*rows, "2026-01-02T11:00:00Z,2,4,1,2\n"], 60, "line 62: 5 where the header has 6"),
    "cut off": (lambda rows: [*rows, "2026-01-02T11:00"], 60, "line 62: the file ends amid '2026-01-02T11:00'"),
    "stamp": (lambda rows: [*rows, "02.01.2026,2,4,1,2,10\n"], 60, "line 62: '02.01.2026' is no time such as"),
}  # fmt: skip


@pytest.mark.parametrize("reason", BAD)
def test_a_file_with_anything_wrong_in_it_is_refused_as_a_whole(desk, file, reason):
    """Half a file is worse than none: what is missing would not be missed."""
    spoil, good, says = BAD[reason]
    path = file(spoil(lines(60)))
    with pytest.raises(BadFile) as refused:
        import_bars(desk, path, BTC, Interval.M1)
    text = str(refused.value)

    assert says in text
    assert "\n" not in text
    assert "nothing was imported: mend the file, or --skip-bad" in text
    assert held(desk).is_empty()
    assert not desk.ledger.rejects()
    if reason != "out of order":
        assert f"{reason} (line" in text
        assert f"imports the other {good} " in text


@pytest.mark.parametrize("reason", BAD)
def test_the_good_rows_come_in_if_that_is_wanted_and_the_bad_ones_are_noted(desk, file, reason):
    spoil, good, _ = BAD[reason]
    done = import_bars(desk, file(spoil(lines(60))), BTC, Interval.M1, skip_bad=True)

    assert done.bars == done.written.inserted == len(held(desk)) == good
    rejects = desk.ledger.rejects(source="file")
    assert [one.reason for one in rejects] == [reason for reason, count in done.rejected.items() for _ in range(count)]
    assert set(done.rejected) == (set() if reason == "out of order" else {reason})
    for one in rejects:
        assert one.symbol == BTC
        assert one.detail.startswith("bars.csv line ")


def test_many_troubles_are_one_sentence(desk, file):
    rows = [*lines(60), *["2026-01-02T11:00:00Z,2,1,3,2,10\n"] * 3, "x,1,1,1,1,1\n"]
    with pytest.raises(BadFile) as refused:
        import_bars(desk, file(rows), BTC, Interval.M1)
    assert "has 4 bad rows: 3 high below low (line 62: high 1.0, low 3.0), 1 stamp (line 65: 'x' is no time" in str(
        refused.value
    )


def test_a_negative_price_is_good_where_the_settings_say_so(tmp_path, clock, file):
    settings = load_settings(tmp_path / "oil", environ={}, negative_prices=["KRAKEN:BTCUSD"])
    with HistoryDesk(settings, now_ns=clock) as desk:
        path = file(["2026-01-02T09:00:00Z,-1,4,-37.63,2,10\n"])
        assert import_bars(desk, path, BTC, Interval.M1).written.inserted == 1


# Calendars.


def test_a_date_alone_is_the_open_of_its_session(desk, file):
    """Winter and summer time, and a half day."""
    rows = [f"{day},1,4,0.5,2,10\n" for day in ("2025-07-02", "2025-07-03", "2025-11-28")]
    import_bars(desk, file(rows), AAPL, Interval.D1)
    frame = held(desk, AAPL, Interval.D1)
    assert frame["start"].dt.strftime("%F %R").to_list() == ["2025-07-02 13:30", "2025-07-03 13:30", "2025-11-28 14:30"]
    assert frame["end"].dt.strftime("%F %R").to_list() == ["2025-07-02 20:00", "2025-07-03 17:00", "2025-11-28 18:00"]


@pytest.mark.parametrize(
    ("stamp", "zone"),
    [
        ("2025-07-02T13:30:00Z", UTC),
        ("2025-07-02T04:00:00Z", ZoneInfo("America/New_York")),
        ("2025-07-02 00:00:00", UTC),
        ("2025-07-02 09:30:00", ZoneInfo("America/New_York")),
    ],
)
def test_a_day_may_also_be_stamped_by_its_open_or_by_midnight_in_its_zone(desk, file, stamp, zone):
    import_bars(desk, file([f"{stamp},1,4,0.5,2,10\n"]), AAPL, Interval.D1, zone=zone)
    assert held(desk, AAPL, Interval.D1)["start"].dt.strftime("%F %R").to_list() == ["2025-07-02 13:30"]


def test_a_date_without_a_session_is_told_by_its_weekday(desk, file):
    with pytest.raises(BadFile, match=r"1 no session \(line 3: the exchange has no session on Fri 2025-07-04\)"):
        import_bars(desk, file([f"2025-07-0{day},1,4,0.5,2,10\n" for day in (3, 4)]), AAPL, Interval.D1)


@pytest.mark.parametrize(
    ("interval", "day", "start"),
    [
        (Interval.W1, "2025-06-30", "2025-06-30 13:30"),
        (Interval.W1, "2025-07-04", "2025-06-30 13:30"),
        (Interval.W1, "2025-01-20", "2025-01-21 14:30"),
        (Interval.MO1, "2025-06-01", "2025-06-02 13:30"),
        (Interval.MO1, "2025-05-31", "2025-05-01 13:30"),
    ],
)
def test_a_week_or_month_is_found_by_any_of_its_days(desk, file, interval, day, start):
    """Files stamp them by a Monday, a Friday, a first or a last, holiday or not."""
    import_bars(desk, file([f"{day},1,4,0.5,2,10\n"]), AAPL, interval)
    assert held(desk, AAPL, interval)["start"].dt.strftime("%F %R").to_list() == [start]


def test_rows_outside_of_the_session_enter_no_bar_and_are_said(desk, file):
    """Vendors' files of stocks hold the hours before and after it."""
    rows = lines(120, datetime(2025, 7, 2, 13, tzinfo=UTC))
    done = import_bars(desk, file(rows), AAPL, Interval.M1)
    assert (done.bars, done.out_of_session) == (90, 30)
    assert held(desk, AAPL)["start"][0] == datetime(2025, 7, 2, 13, 30, tzinfo=UTC)


def test_a_file_in_another_zone_than_was_said_is_refused(desk, file):
    rows = lines(20, datetime(2025, 7, 2, 9, 30, tzinfo=UTC))
    with pytest.raises(BadFile, match=r"all 20 rows are outside of its sessions \(--tz names the zone"):
        import_bars(desk, file(rows), AAPL, Interval.M1)


def test_currencies_of_a_sunday_evening_are_kept(desk, file):
    """Their week begins with New York's Sunday evening, whatever the calendar's Monday says."""
    rows = lines(6, datetime(2026, 1, 4, 21, tzinfo=UTC), timedelta(hours=1))
    clock = datetime(2026, 1, 5, 12, tzinfo=UTC)
    desk.now_ns = lambda: int(clock.timestamp()) * 10**9
    assert import_bars(desk, file(rows), EURUSD, Interval.H1).written.inserted == 6
    frame = held(desk, EURUSD, Interval.H1)
    assert set(frame["end"] - frame["start"]) == {timedelta(hours=1)}
    with pytest.raises(BadFile, match="no 1h bar starts at 2026-01-04T20:30:00Z"):
        import_bars(desk, file(["2026-01-04T20:30:00Z,1,4,0.5,2,10\n"]), EURUSD, Interval.H1)


@pytest.mark.parametrize(
    ("step", "interval", "says"),
    [
        (timedelta(hours=1), Interval.M1, "none of 1m bars: most of its rows are 1 h apart: name --interval 1h"),
        (timedelta(hours=1), Interval.H4, "none of 4h bars: most of its rows are 1 h apart: name --interval 1h"),
        (timedelta(days=1), Interval.H1, "none of 1h bars: most of its rows are 1 d apart: name --interval 1d"),
        (timedelta(minutes=10), Interval.M5, "most of its rows are 10 min apart: name the interval that they are of"),
        (timedelta(minutes=1), Interval.D1, "none of 1d bars: most of its rows are 1 min apart: name --interval 1m"),
    ],
)
def test_bars_of_another_interval_are_not_taken_for_those_asked_for(desk, file, step, interval, says):
    """An hour's high would pass for a minute's."""
    with pytest.raises(WrongFile, match=says):
        import_bars(desk, file(lines(50, datetime(2025, 10, 2, tzinfo=UTC), step)), BTC, interval)


def test_bars_that_the_file_lacks_are_counted(desk, file):
    rows = lines(60)
    done = import_bars(desk, file(rows[:20] + rows[25:]), BTC, Interval.M1)
    assert (done.bars, done.absent) == (55, 5)


# What is held already.


def test_bars_made_from_ticks_give_way_and_official_ones_of_a_provider_do_not(desk, file):
    """Nothing that was good is overwritten by a file that says otherwise."""
    start = int(NINE.timestamp()) * 10**9
    put(desk, start, state=BarState.PARTIAL, close=3.0, source="kraken")
    path = file(lines(3))
    done = import_bars(desk, path, BTC, Interval.M1)
    assert (done.differences.replaced, done.written.updated) == (1, 1)

    other = Symbol("KRAKEN", "ETHUSD")
    put(desk, start, state=BarState.OFFICIAL, close=3.0, source="binance", symbol=other)
    with pytest.raises(BadFile) as refused:
        import_bars(desk, path, other, Interval.M1)
    assert str(refused.value) == (
        f"KRAKEN:ETHUSD 1m: 1 of 3 bars of {path} are held as official with other values, the first: "
        "2026-01-02T09:00:00Z close 3.0 from binance, 2.0 in the file; nothing was imported: look with --dry-run, or "
        "let the file's stand with --force"
    )
    assert held(desk, other)["close"].to_list() == [3.0]
    assert import_bars(desk, path, other, Interval.M1, dry_run=True).differences.contradicted == 1
    assert import_bars(desk, path, other, Interval.M1, force=True).written.updated == 1
    assert held(desk, other)["revision"].to_list() == [2, 1, 1]


def test_a_corrected_file_is_the_next_revision(desk, file):
    import_bars(desk, file(lines(60)), BTC, Interval.M1)
    rows = lines(60)
    rows[7] = rows[7].replace(",2,10", ",2,11")
    done = import_bars(desk, file(rows, name="corrected.csv"), BTC, Interval.M1)
    assert (done.differences.corrected, done.written) == (1, (0, 1, 59, 1))
    assert held(desk)["revision"][7] == 2
    assert "1 bars have other values than those held, the first: 2026-01-02T09:07:00Z volume" in done.notes[0]


def test_a_file_that_contradicts_most_of_an_earlier_one_is_of_another_symbol(desk, file):
    """Or of adjusted prices."""
    import_bars(desk, file(lines(60)), BTC, Interval.M1)
    other = file([row.replace(",2,10", ",2.5,10") for row in lines(60)], name="other.csv")
    with pytest.raises(BadFile, match=r"60 of 60 bars of .* are held from an earlier file with other values"):
        import_bars(desk, other, BTC, Interval.M1)
    assert import_bars(desk, other, BTC, Interval.M1, force=True).written.updated == 60


def test_a_file_of_export_keeps_how_far_its_bars_can_be_trusted(desk, file):
    """A partial bar that came back as official would hide its outage for good."""
    head = "exchange,symbol,interval,start,open,high,low,close,volume,state\n"
    rows = [
        f"KRAKEN,BTCUSD,1m,2026-01-02T09:0{place}:00Z,1,4,0.5,2,10,{state}\n"
        for place, state in enumerate(["closed", "partial", "healed", "official"])
    ]
    import_bars(desk, file(rows, head), BTC, Interval.M1)
    assert held(desk)["state"].to_list() == ["closed", "partial", "healed", "official"]
    with pytest.raises(WrongFile, match="holds bars of KRAKEN:BTCUSD 1m, and not of KRAKEN:ETHUSD 1m"):
        import_bars(desk, file(rows, head), Symbol("KRAKEN", "ETHUSD"), Interval.M1)


def test_parquet_comes_in_the_same_way(desk, tmp_path):
    path = tmp_path / "bars.parquet"
    times = [NINE + timedelta(minutes=place) for place in range(3)]
    columns = {name: [2.0] * 3 for name in ("Open", "High", "Low", "Close", "Volume")}
    pl.DataFrame({"Date": times, **columns}).write_parquet(path)
    assert import_bars(desk, path, BTC, Interval.M1).written.inserted == 3


def test_a_store_that_stays_away_leaves_nothing_of_the_file(desk, file, monkeypatch):
    def away(*_, **__):
        msg = "bar store is locked"
        raise StoreAway(msg)

    desk.store.ping()
    with monkeypatch.context() as patch:
        patch.setattr(type(desk.store), "upsert", away)
        with pytest.raises(StoreAway):
            import_bars(desk, file(lines(60)), BTC, Interval.M1)
    assert held(desk).is_empty()
    assert import_bars(desk, file(lines(60)), BTC, Interval.M1).written.inserted == 60


def test_a_server_that_goes_away_amid_a_file_may_have_a_part_and_that_is_said(desk, file, monkeypatch):
    """It has no transactions; the same file again completes it."""

    def away(*_, **__):
        msg = "MongoDB at mongodb://db/bars does not answer"
        raise StoreAway(msg)

    desk.store.ping()
    with monkeypatch.context() as patch:
        patch.setattr(desk.store, "where", "mongodb://db/bars", raising=False)
        patch.setattr(type(desk.store), "upsert", away)
        with pytest.raises(StoreAway, match=r"a part of .*bars\.csv may be stored: import it again"):
            import_bars(desk, file(lines(60)), BTC, Interval.M1)


# Files of others.


@pytest.mark.parametrize(
    ("name", "symbol", "count"),
    [
        ("AAPL", "NASDAQ:AAPL", 3270),
        ("FB", "NASDAQ:FB", 196),
        ("GOOG", "NASDAQ:GOOG", 2148),
        ("IBM", "NYSE:IBM", 3270),
        ("MSFT", "NASDAQ:MSFT", 3270),
    ],
)
def test_recorded_daily_bars_come_in_as_they_traded(desk, recorded, name, symbol, count):
    """AAPL closed at 130.31 on 2000-03-01; the adjusted close of the file, 31.68, is not stored anywhere."""
    exchange, _, ticker = symbol.partition(":")
    path = recorded / "daily" / f"{name}.csv"
    done = import_bars(desk, path, Symbol(exchange, ticker), Interval.D1)
    frame = held(desk, Symbol(exchange, ticker), Interval.D1)
    original = pl.read_csv(path)

    assert (done.written.inserted, done.rejected, done.out_of_session, done.absent) == (count, {}, 0, 0)
    assert frame["close"].to_list() == original["Close"].to_list()
    assert frame["volume"].to_list() == original["Volume"].to_list()
    assert frame["start"].dt.convert_time_zone("America/New_York").dt.strftime("%F %R").to_list() == [
        f"{day} 09:30" for day in original["Date"]
    ]
    assert done.notes == ["Adj Close is left out: prices are stored as they traded"]


def test_recorded_hours_of_a_currency_come_in_whole(desk, recorded):
    path = recorded / "backtesting" / "EURUSD.csv"
    done = import_bars(desk, path, EURUSD, Interval.H1)
    frame = held(desk, EURUSD, Interval.H1)
    original = pl.read_csv(path)

    # Of the calendar's 5,047 hours 155 are not in it, and 108 of its own are Sunday's.
    assert (done.written.inserted, done.rejected, done.absent) == (5000, {}, 155)
    assert frame["start"].dt.strftime("%F %T").to_list() == original[""].to_list()
    for name in ("Open", "High", "Low", "Close"):
        assert frame[name.lower()].to_list() == original[name].to_list()
