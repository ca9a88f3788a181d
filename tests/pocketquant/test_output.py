"""Results: the same values in each form, and files that are whole or not there."""

import csv
import io
import json
import math

import polars as pl
import pytest

from market.errors import DeskError
from pocketquant.output import Records, aside, write

COLUMNS = {"symbol": "text", "start": "time", "close": "float", "trades": "int"}
TIME = 1_767_323_040_000_000_001
ROWS = [("BTCUSD", TIME, 0.1 + 0.2, 7), ("ETHUSD", TIME + 1, math.nan, None)]


def written(form, rows=ROWS):
    stream = io.StringIO()
    write(Records(COLUMNS, rows), form, None, stream)
    return stream.getvalue()


def test_json_is_a_list_of_objects_whose_floats_read_back():
    """0.30000000000000004 has all its digits; what is not known is null."""
    assert json.loads(written("json")) == [
        {"symbol": "BTCUSD", "start": "2026-01-02T03:04:00.000000001Z", "close": 0.1 + 0.2, "trades": 7},
        {"symbol": "ETHUSD", "start": "2026-01-02T03:04:00.000000002Z", "close": None, "trades": None},
    ]
    assert json.loads(written("json", [])) == []


def test_csv_has_a_header_even_without_rows():
    assert list(csv.reader(io.StringIO(written("csv")))) == [
        ["symbol", "start", "close", "trades"],
        ["BTCUSD", "2026-01-02T03:04:00.000000001Z", "0.30000000000000004", "7"],
        ["ETHUSD", "2026-01-02T03:04:00.000000002Z", "", ""],
    ]
    assert written("csv", []) == "symbol,start,close,trades\n"


def test_a_table_into_a_pipe_cuts_nothing():
    """A price cut to fit eighty columns would be another price."""
    columns = {f"c{n}": "float" for n in range(40)}
    stream = io.StringIO()
    write(Records(columns, [[0.1 + 0.2] * 40]), "table", None, stream)
    assert stream.getvalue().count("0.30000000000000004") == 40


def test_what_a_terminal_obeys_is_written_out():
    """A venue's frame is in the rejects as it came; it may hold anything."""
    stream = io.StringIO()
    write(Records({"detail": "text"}, [["a\x1b[2J\nb\x07 [red]é🙂"]]), "table", None, stream)
    assert stream.getvalue().splitlines()[1].rstrip() == "a\\x1b[2J\\nb\\x07 [red]é🙂"


def test_on_a_narrow_terminal_a_long_text_goes_on_below_and_nothing_is_cut(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    columns = {"reason": "text", "price": "float", "detail": "text"}
    write(Records(columns, [["price_not_positive", 0.1 + 0.2, "x" * 100]]), "table", None, stream)
    shown = stream.getvalue()
    assert "…" not in shown
    assert "price_not_positive" in shown
    assert "0.30000000000000004" in shown
    assert shown.count("x") == 100


def test_parquet_keeps_types_and_nanoseconds(tmp_path):
    path = tmp_path / "bars.parquet"
    assert write(Records(COLUMNS, iter(ROWS)), "parquet", path) == 2
    frame = pl.read_parquet(path)
    assert frame.schema["start"] == pl.Datetime("ns", "UTC")
    assert frame["start"].dt.epoch("ns").to_list() == [TIME, TIME + 1]
    assert frame["trades"].to_list() == [7, None]
    with pytest.raises(DeskError, match="--output"):
        write(Records(COLUMNS, ROWS), "parquet", None)


def test_no_rows_are_a_sentence_beside_the_result(capsys):
    write(Records(COLUMNS, [], empty="no bars of SIM:X"), "json", None)
    out, err = capsys.readouterr()
    assert (out, err) == ("[]\n", "no bars of SIM:X\n")


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    """Nothing half-written is ever visible."""
    path = tmp_path / "bars.csv"
    path.write_text("old")

    def rows():
        yield ROWS[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(Records(COLUMNS, rows()), "csv", path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(DeskError, match=r"none/bars\.csv cannot be written: No such file"):
        write(Records(COLUMNS, ROWS), "csv", tmp_path / "none" / "bars.csv")
    with pytest.raises(DeskError, match="is a folder"), aside(tmp_path):
        pass
