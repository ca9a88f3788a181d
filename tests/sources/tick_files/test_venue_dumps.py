"""Dumps of venues: `kraken-trades` and `binance-aggtrades`."""

import json

import numpy as np
import pytest

from market.symbols import parse_symbol
from sources.tick_files.opening import open_ticks

BTC = parse_symbol("KRAKEN:BTCUSD")
PAIR = parse_symbol("BINANCE:BTCUSDT")


def read(path, symbol=PAIR, **options):
    batches = list(open_ticks(path, symbol=symbol, **options).batches())
    ticks = np.concatenate([batch.ticks for batch in batches])
    return ticks, [(fault.line, fault.reason) for batch in batches for fault in batch.rejects]


def aggregate(number=0, **changed):
    values = {"a": number, "p": "0.5", "q": "2", "f": 100, "l": 105, "T": 1700000000123, "m": True, "M": True} | changed
    return json.dumps(values)


def write(folder, text):
    path = folder / "trades"
    path.write_text(text)
    return path


def test_the_recorded_kraken_hour_is_whole(recorded):
    """2,672 trades, 903.70245541 bitcoin, from 10749.4 to 11014.3; counted and summed outside the project."""
    path = recorded / "kraken" / "ticks" / "kraken-XBTUSD-trades-2019-07-01T00.csv"
    opened = open_ticks(path, symbol=BTC)
    ticks, rejects = read(path, BTC)

    assert (opened.format, len(ticks), rejects) == ("kraken-trades", 2672, [])
    assert ticks[0].tolist() == (1561939203172000000, 1561939203172000000, 10749.4, 0.004, 1, 1, 0, -1, 0)
    assert (ticks["price"].min(), ticks["price"].max(), ticks[-1]["price"]) == (10600.0, 11041.8, 11014.3)
    assert ticks["size"].sum() == pytest.approx(903.70245541, abs=1e-6)
    assert (np.diff(ticks["received_time"]) >= 0).all()


def test_the_side_of_kraken_trades_is_the_takers(tmp_path):
    path = write(tmp_path, "time_ms,side,price,amount\n1561939203172,sell,10749.4,0.004\n1561939205224,buy,10749.7,1\n")

    assert read(path, BTC)[0]["aggressor"].tolist() == [-1, 1]


def test_a_stamp_of_kraken_trades_in_another_unit_is_refused(tmp_path):
    """The column says milliseconds; seconds in it would be a day in 1970."""
    path = write(tmp_path, "time_ms,side,price,amount\n1561939203,sell,1,1\n1561939205224,buy,1,1\n")
    ticks, rejects = read(path, BTC)

    assert (len(ticks), rejects) == (1, [(2, "mixed_units")])


@pytest.mark.parametrize("form", ["lines", "array", "array on one line", "indented"])
def test_an_aggregate_counts_its_trades_and_is_known_by_the_last(tmp_path, form):
    """100 to 105 are six trades; a maker that bought was sold to."""
    items = [aggregate(), aggregate(1, f=106, l=106, m=False, T=1700000000200)]
    text = {
        "lines": "\n".join(items) + "\n",
        "array": "[\n" + ",\n".join(items) + "\n]\n",
        "array on one line": "[" + ",".join(items) + "]",
        "indented": json.dumps([json.loads(item) for item in items], indent=2),
    }[form]
    path = write(tmp_path, text)
    ticks, rejects = read(path)

    assert open_ticks(path, symbol=PAIR).format == "binance-aggtrades"
    assert rejects == []
    assert ticks.tolist() == [
        (1700000000123000000, 1700000000123000000, 0.5, 2.0, 105, 6, 0, -1, 0),
        (1700000000200000000, 1700000000200000000, 0.5, 2.0, 106, 1, 0, 1, 0),
    ]


def test_stamps_may_be_microseconds_but_not_both(tmp_path):
    """Since 2025 the venue's dumps are in microseconds."""
    lines = [aggregate(T=1700000000123456), aggregate(T=1700000000123457), aggregate(T=1700000000123)]
    ticks, rejects = read(write(tmp_path, "\n".join(lines) + "\n"))

    assert ticks["event_time"].tolist() == [1700000000123456000, 1700000000123457000]
    assert rejects == [(3, "mixed_units")]


BAD = [
    (aggregate(p="nan"), "number"),
    (aggregate(p="x"), "shape"),
    (aggregate(l=99), "count"),
    (aggregate(l=2**62), "count"),
    (aggregate(T=-1), "shape"),
    (aggregate(T=5), "stamp"),
    (aggregate(T=10**14 - 1), "stamp"),
    (aggregate(m="perhaps"), "shape"),
    ("{}", "shape"),
    ('{"p"', "json"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_line_is_refused_and_the_others_are_ticks(tmp_path, bad, reason):
    ticks, rejects = read(write(tmp_path, f"{aggregate()}\n{bad}\n\n{aggregate()}\n"))

    assert (ticks["count"].tolist(), rejects) == ([6, 6], [(2, reason)])


@pytest.mark.parametrize(("bad", "reason"), BAD[:-1])
def test_a_bad_object_of_an_array_is_refused_and_the_others_are_ticks(tmp_path, bad, reason):
    ticks, rejects = read(write(tmp_path, f"[\n{aggregate()},\n{bad},\n{aggregate()}\n]"))

    assert (len(ticks), rejects) == (2, [(3, reason)])


@pytest.mark.parametrize("form", ["lines", "array"])
@pytest.mark.parametrize("kept", [10, 30, 60])
def test_a_file_that_was_cut_off_says_so(tmp_path, form, kept):
    items = [aggregate(), aggregate()]
    text = ("[" + ",\n".join(items) if form == "array" else "\n".join(items))[: len(items[0]) + kept]
    ticks, rejects = read(write(tmp_path, text))

    assert (len(ticks), rejects) == (1, [(2, "cut_off")])


def test_an_array_without_its_bracket_was_cut_off_after_a_whole_object(tmp_path):
    ticks, rejects = read(write(tmp_path, "[" + aggregate() + ","))

    assert (len(ticks), rejects) == (1, [(1, "cut_off")])


def test_an_array_in_pieces_is_the_array(tmp_path, monkeypatch):
    """Pieces of 50 bytes cut every object; lines and rows go on across them."""
    monkeypatch.setattr("sources.tick_files.text_blocks.BLOCK_BYTES", 50)
    items = [aggregate(n, f=n, l=n, T=1700000000123 + n) for n in range(50)]
    items[20] = aggregate(20, p="nan")
    ticks, rejects = read(write(tmp_path, "[\n" + ",\n".join(items) + "\n]"))

    assert ticks["trade_id"].tolist() == [n for n in range(50) if n != 20]
    assert rejects == [(22, "number")]
