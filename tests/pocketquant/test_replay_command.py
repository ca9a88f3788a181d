"""`pq replay`: a file through the journal, the dataflow and the store, as a user calls it."""

import pytest

from pocketquant.hold import Hold

CSV = """event_time,price,size,aggressor,trade_id
2026-01-02T12:00:01Z,100.5,2,buy,1
2026-01-02T12:00:30.123456789Z,101.5,1,sell,2
2026-01-02T12:01:59Z,99.5,4,buy,3
"""
BARS = [
    # By hand: 100.5 x 2 + 101.5 = 302.5, and 99.5 x 4 = 398.
    ("2026-01-02T12:01:00Z", 99.5, 99.5, 99.5, 99.5, 4.0, 398.0, 1),
    ("2026-01-02T12:00:00Z", 100.5, 101.5, 100.5, 101.5, 3.0, 302.5, 2),
]
NUMBERS = ("start", "open", "high", "low", "close", "volume", "notional", "trades")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "ticks.csv"
    path.write_text(CSV)
    return path


def minutes(pq, data_dir):
    rows = pq("bars", "OKX:BTCUSDT", "1m", "--json", "--data-dir", data_dir).json()
    return [tuple(row[name] for name in NUMBERS) for row in rows]


def test_a_file_becomes_bars_and_twice_gives_the_same(pq, tmp_path, file):
    """Its ticks are known by the file's hash and the row."""
    data_dir = tmp_path / "desk"
    first = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--json", "--data-dir", data_dir)
    assert (first.code, first.err) == (0, "")
    assert (first.json()["known"], first.json()["journaled"]) == (False, 3)
    assert minutes(pq, data_dir) == BARS
    ticks = pq("ticks", "OKX:BTCUSDT", "--json", "--data-dir", data_dir).json()
    assert [tick["event_time"] for tick in ticks][1] == "2026-01-02T12:00:30.123456789Z"

    again = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", data_dir)
    assert again.code == 0
    assert "nothing new, all of its 3 ticks were journaled before" in again.out
    assert "1m 2" in again.out
    assert minutes(pq, data_dir) == BARS


def test_bars_of_another_feed_in_that_time_are_not_mixed_unless_forced(pq, tmp_path, file):
    data_dir = tmp_path / "desk"
    pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", data_dir)
    other = tmp_path / "other.csv"
    other.write_text(CSV.replace("99.5", "98.5"))

    refused = pq("replay", other, "--symbol", "OKX:BTCUSDT", "--data-dir", data_dir)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "--force" in refused.err
    assert "--data-dir" in refused.err
    assert minutes(pq, data_dir) == BARS

    assert pq("replay", other, "--symbol", "OKX:BTCUSDT", "--data-dir", data_dir, "--force").code == 0


def test_a_folder_in_use_is_refused(pq, desk, folders, file):
    with Hold(folders):
        answer = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", desk)
    assert answer.code == 1
    assert "a desk already runs" in answer.err


@pytest.mark.parametrize(
    ("text", "options", "names"),
    [
        (None, [], ["ticks.csv", "does not exist"]),
        ("", [], ["ticks.csv", "empty"]),
        ("a,b\n1,2\n", [], ["ticks.csv"]),
        (CSV, ["--format", "kraken-trades"], ["ticks.csv", "time_ms"]),
        (CSV, ["--feed", "kraken"], ["--feed", "captures"]),
    ],
    ids=["missing", "empty", "of another form", "not the form named", "feed of no capture"],
)
def test_a_file_that_cannot_be_replayed_is_named(pq, tmp_path, file, text, options, names):
    """And no data folder comes of it."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    answer = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk", *options)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert [name for name in names if name not in answer.err] == []
    assert not (tmp_path / "desk").exists()


def test_a_line_that_is_cut_off_is_a_reject_and_the_rest_is_read(pq, tmp_path, file):
    file.write_text(CSV + "2026-01-02T12:01:59")
    answer = pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk")
    assert answer.code == 0
    assert "1 lines or ticks were refused" in answer.err
    assert minutes(pq, tmp_path / "desk") == BARS
    (reject,) = pq("rejects", "--json", "--data-dir", tmp_path / "desk").json()
    assert reject["source"].startswith("file:")


def test_whose_ticks_they_are_has_to_be_said(pq, tmp_path, file):
    answer = pq("replay", file, "--data-dir", tmp_path / "desk")
    assert answer.code == 2
    assert "--symbol" in answer.err
    unknown = pq("replay", file, "--symbol", "NOWHERE:ABC", "--data-dir", tmp_path / "desk")
    assert unknown.code == 2
    assert "NOWHERE" in unknown.err
