"""`pq sweep --walk-forward` as a user meets it."""

import csv
import json
from itertools import pairwise

import numpy as np
import pytest

BASICS = ("--symbol", "SIM:BTCUSD", "--interval", "1h", "--param", "fast=2:6:2", "--param", "slow=8,16")
WINDOWS = ("--walk-forward", "rolling", "--train", "6d", "--test", "3d", "--no-look-ahead-check")
FILES = {
    "equity.parquet", "fills.csv", "manifest.json", "metrics.json", "orders.csv", "report.html", "report.md",
    "trades.csv", "windows.csv",
}  # fmt: skip


@pytest.fixture(scope="module")
def prices(tmp_path_factory):
    """A file of 400 hourly bars of a random walk."""
    path = tmp_path_factory.mktemp("prices") / "prices.csv"
    closes = np.round(100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.01, 401))), 2)
    lines = ["start,open,high,low,close,volume"]
    for hour, (before, close) in enumerate(pairwise(closes.tolist())):
        day, clock = divmod(hour, 24)
        high, low = max(before, close) + 0.5, min(before, close) - 0.5
        lines.append(f"2024-01-{day + 1:02d}T{clock:02d}:00:00Z,{before},{high:.2f},{low:.2f},{close},5")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def home(tmp_path):
    """A data folder in which nothing was yet."""
    return tmp_path / "home"


@pytest.fixture
def walked(pq, prices, home, tmp_path):
    """One walk-forward: its answer and its folder."""
    folder = tmp_path / "out"
    answer = pq(
        "sweep", "sma-cross", *BASICS, *WINDOWS, "--file", prices, "--output", folder, "--jobs", 1, "--data-dir", home
    )
    assert answer.code == 0, answer.err
    return answer, folder


def test_a_walk_forward_writes_its_files_and_says_what_was_left(walked):
    answer, folder = walked
    with (folder / "windows.csv").open(newline="") as file:
        windows = list(csv.DictReader(file))
    metrics = json.loads((folder / "metrics.json").read_text())

    assert {path.name for path in folder.iterdir()} == FILES
    assert [window["test_from"] for window in windows] == [f"2024-01-{day:02d}T00:00:00Z" for day in (7, 10, 13, 16)]
    assert windows[-1]["test_to"] == "2024-01-17T16:00:00Z"
    assert metrics["begin"] == "2024-01-07T00:00:00Z"
    assert "Chosen by what came before, the parameters made a Sharpe ratio of" in answer.err
    assert metrics["walk_forward"]["said"] in answer.err
    assert answer.out.count("2024-01-") >= 2 * len(windows)


def test_it_is_listed_and_shown_as_what_it_is(walked, pq, home):
    _, folder = walked
    listed = json.loads(pq("report", "--json", "--data-dir", home).out)

    assert [(run["kind"], run["strategy"], run["folder"]) for run in listed] == [
        ("walk-forward", "sma-cross", str(folder))
    ]
    assert "# Walk-forward of sma-cross fast=2:6:2 slow=8,16" in pq("report", listed[0]["run"], "--data-dir", home).out


def test_it_is_made_again_from_its_manifest_to_the_byte(walked, pq, home):
    _, folder = walked
    answer = pq("sweep", "--from", folder, "--data-dir", home)

    assert answer.code == 0, answer.err
    assert "the same to the byte" in answer.err
    for name in FILES:
        assert (folder / "again" / name).read_bytes() == (folder / name).read_bytes(), name


def test_json_is_the_document_of_the_figures(pq, prices, home):
    answer = pq("sweep", "sma-cross", *BASICS, *WINDOWS, "--file", prices, "--json", "--data-dir", home)
    found = json.loads(answer.out)

    assert len(found["walk_forward"]["windows"]) == 4
    assert found["folder"].startswith(str(home / "runs" / "sma-cross-walk-forward-"))


@pytest.mark.parametrize(("given", "code", "words"), [
    (("--train", "6d"), 2, "--train is of a walk-forward: add --walk-forward rolling or anchored"),
    (("--test", "6d"), 2, "--test is of a walk-forward"),
    (("--walk-forward", "rolling", "--train", "soon"), 2, "'soon' is no length of time: write 2y, 6m"),
    (("--walk-forward", "anchored"), 1, "--train 2y leaves none to test on"),
    (("--walk-forward", "sideways"), 2, "'sideways'"),
    (("--walk-forward", "rolling", "--train", "5", "--test", "3d"), 1, "nothing came of any"),
])  # fmt: skip
def test_wrong_use_is_a_sentence_and_nothing_is_written(pq, prices, home, given, code, words):
    answer = pq("sweep", "sma-cross", *BASICS, *given, "--file", prices, "--data-dir", home)

    assert answer.code == code
    assert words in answer.err
    assert "Traceback" not in answer.err
    assert not list((home / "runs").glob("*")) if (home / "runs").exists() else True


def test_a_manifest_of_a_walk_has_its_windows_in_it(walked, pq, home):
    _, folder = walked
    answer = pq("sweep", "--from", folder, *WINDOWS, "--data-dir", home)

    assert answer.code == 2
    assert "--from has all of the run in its manifest: leave --walk-forward out" in answer.err
