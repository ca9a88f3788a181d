"""`pq import` as a user types it."""

import json

import pytest

HEAD = "start,open,high,low,close,volume\n"


def line(minute, rest="1,4,0.5,2,10"):
    return f"2026-01-02T09:{minute:02}:00Z,{rest}\n"


@pytest.fixture
def bars(tmp_path):
    path = tmp_path / "bars.csv"
    path.write_text(HEAD + "".join(map(line, range(20))))
    return path


def test_a_file_is_imported_into_a_folder_that_is_not_there_yet(pq, bars, tmp_path):
    desk = ("--data-dir", tmp_path / "new")
    first = pq("import", bars, "--symbol", "kraken:btc/usd", "--interval", "1m", *desk)
    again = pq("import", bars, "--symbol", "KRAKEN:BTCUSD", "--interval", "1m", *desk)

    assert (first.code, first.err) == (0, "")
    assert first.out == (
        "KRAKEN:BTCUSD 1m: 20 bars, 2026-01-02T09:00:00Z to 2026-01-02T09:19:00Z\n"
        "imported: 20 new, 0 changed, 0 held already\n"
    )
    assert again.out.endswith("imported: 0 new, 0 changed, 20 held already\n")
    (newest, *_) = pq("bars", "KRAKEN:BTCUSD", "1m", "--json", *desk).json()
    assert (newest["start"], newest["close"], newest["state"], newest["source"]) == (
        "2026-01-02T09:19:00Z", 2.0, "official", "file",
    )  # fmt: skip


def test_what_export_writes_import_reads(pq, bars, tmp_path):
    one, other = ("--data-dir", tmp_path / "one"), ("--data-dir", tmp_path / "other")
    pq("import", bars, "--symbol", "KRAKEN:BTCUSD", "--interval", "1m", *one)
    listed = {}
    for form in ("csv", "parquet"):
        path = tmp_path / f"out.{form}"
        assert pq("export", "KRAKEN:BTCUSD", "1m", "--output", path, *one).code == 0
        assert pq("import", path, "--symbol", "KRAKEN:BTCUSD", "--interval", "1m", *other).code == 0
        listed[form] = pq("bars", "KRAKEN:BTCUSD", "1m", "--all", "--json", *other).json()
    original = pq("bars", "KRAKEN:BTCUSD", "1m", "--all", "--json", *one).json()
    for found in listed.values():
        assert [bar | {"updated_at": ""} for bar in found] == [bar | {"updated_at": ""} for bar in original]


def test_a_rehearsal_says_what_would_be(pq, bars, tmp_path):
    desk = ("--data-dir", tmp_path / "new")
    answer = pq("import", bars, "--symbol", "KRAKEN:BTCUSD", "--interval", "1m", "--dry-run", *desk)
    assert answer.code == 0
    assert answer.out.endswith("would be imported: 20 new, 0 held already\n")
    assert pq("bars", "KRAKEN:BTCUSD", "1m", "--json", *desk).out.strip() == "[]"


def test_a_file_with_bad_rows_is_one_line_and_exit_1(pq, bars, tmp_path):
    bars.write_text(bars.read_text() + line(30, "1,0.5,4,2,10"))
    desk = ("--data-dir", tmp_path / "new")
    answer = pq("import", bars, "--symbol", "KRAKEN:BTCUSD", "--interval", "1m", *desk)
    assert (answer.code, answer.out, answer.err.count("\n")) == (1, "", 1)
    assert "1 bad row: 1 high below low (line 22: high 0.5, low 4.0); nothing was imported" in answer.err


def test_bad_rows_that_are_left_out_are_counted_and_noted(pq, bars, tmp_path):
    bars.write_text(bars.read_text() + line(30, "1,0.5,4,2,10") + line(31, "1,,4,2,10"))
    desk = ("--data-dir", tmp_path / "new")
    answer = pq("import", bars, "--symbol", "KRAKEN:BTCUSD", "--interval", "1m", "--skip-bad", "--json", *desk)
    document = json.loads(answer.out)
    assert answer.code == 0
    assert (document["bars"], document["written"]["inserted"]) == (20, 20)
    assert document["rejected"] == {"high below low": 1, "missing value": 1}
    assert answer.err == "2 rows were left out: `pq rejects --source file` says why\n"
    rejects = pq("rejects", "--source", "file", "--json", *desk).json()
    assert {one["reason"] for one in rejects} == {"high below low", "missing value"}

    bars.write_text(HEAD + line(0) + line(1, "1,0.5,4,2,10"))
    answer = pq("import", bars, "--symbol", "KRAKEN:BTCUSD", "--interval", "1m", "--skip-bad", *desk)
    assert answer.err == "1 row was left out: `pq rejects --source file` says why\n"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--symbol", "KRAKEN:BTCUSD"], "Missing option '--interval'"),
        (["--symbol", "MOON:BTCUSD", "--interval", "1m"], "exchange MOON of MOON:BTCUSD has no session calendar"),
        (["--symbol", "KRAKEN:BTCUSD", "--interval", "7m"], "interval '7m' is none of"),
        (
            ["--symbol", "KRAKEN:BTCUSD", "--interval", "1m", "--tz", "Mars/Base"],
            "no time zone 'Mars/Base': name one such as",
        ),
        (["--symbol", "KRAKEN:BTCUSD", "--interval", "1m", "--format", "parquet"], "is no whole Parquet file"),
        (["--symbol", "KRAKEN:BTCUSD", "--interval", "1h"], "most of its rows are 1 min apart: name --interval 1m"),
    ],
)
def test_wrong_use_is_a_sentence_and_makes_no_desk(pq, bars, tmp_path, options, says):
    answer = pq("import", bars, *options, "--data-dir", tmp_path / "new")
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert says in answer.err
    assert not (tmp_path / "new" / "bars.sqlite").exists()


def test_a_file_that_is_not_there_is_wrong_use(pq, tmp_path):
    answer = pq("import", tmp_path / "no.csv", "--symbol", "KRAKEN:BTCUSD", "--interval", "1m")
    assert answer.code == 2
    assert "does not exist" in answer.err


def test_stamps_without_a_zone_are_in_the_one_that_is_named(pq, tmp_path):
    path = tmp_path / "local.csv"
    path.write_text("date,open,high,low,close,volume\n2026-01-02 09:30,1,4,0.5,2,10\n")
    desk = ("--data-dir", tmp_path / "new")
    pq("import", path, "--symbol", "NASDAQ:AAPL", "--interval", "1h", "--tz", "America/New_York", *desk)
    (bar,) = pq("bars", "NASDAQ:AAPL", "1h", "--json", *desk).json()
    assert (bar["start"], bar["end"]) == ("2026-01-02T14:30:00Z", "2026-01-02T15:30:00Z")
