"""A walk-forward's files are those of its account and its windows, the same each time, and can be made again."""

import csv
import io
import json
from hashlib import sha256

import pytest
from ran.sweeping import planned
from ran.walking import DAYS, GRID, noisy, walked

from backtest.output import plan_of
from backtest.sweep import Hunt
from backtest.walk_output import walk_of, walk_output
from market.errors import DeskError
from strategies.loader.files import find

FILES = {
    "trades.csv", "orders.csv", "fills.csv", "equity.parquet", "metrics.json", "report.html", "report.md",
    "windows.csv", "manifest.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return walked(noisy())


@pytest.fixture(scope="module")
def made(found):
    return walk_output(found)


def test_files_are_those_of_the_account_and_its_windows(made, found):
    rows = list(csv.DictReader(io.StringIO(made.files["windows.csv"].decode())))

    assert set(made.files) == FILES
    assert list(made.files)[-1] == "manifest.json"
    assert [row["window"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0]["test_from"] == "2024-04-30T00:00:00Z"
    assert [float(row["tested_total_return"]) for row in rows] == [one.tested.total_return for one in found.windows]
    assert rows[0]["parameters"] == "fast=2 slow=5 shorts=true"
    assert b"Walk-forward of sma-cross" in made.files["report.html"]


def test_the_manifest_has_what_is_asked_and_not_what_was_found(made):
    manifest = json.loads(made.files["manifest.json"])

    assert manifest["kind"] == "walk-forward"
    assert manifest["plan"]["parameters"] == {}
    assert walk_of(manifest) == (Hunt(space=GRID), DAYS)
    assert plan_of(manifest) == planned(find("sma-cross"), look_ahead_check=False)
    assert manifest["outputs"] == {
        name: sha256(content).hexdigest() for name, content in made.files.items() if name != "manifest.json"
    }


def test_the_same_walk_has_the_same_files_to_the_byte_without_the_page_too(made):
    again = walk_output(walked(noisy()))
    bare = walk_output(walked(noisy()), page=False)

    assert again.run == made.run == bare.run
    assert again.files == made.files
    assert set(bare.files) == FILES - {"report.html"}


def test_another_window_is_another_run(made):
    other = walk_output(walked(noisy(), walk=DAYS.model_copy(update={"test": "61d"})), page=False)

    assert other.run != made.run


def test_figures_have_the_windows_as_programs_read_them(made, found):
    metrics = json.loads(made.files["metrics.json"])

    assert metrics["sharpe"] == found.run.metrics.sharpe
    assert metrics["walk_forward"]["efficiency"] == pytest.approx(found.efficiency)
    assert len(metrics["walk_forward"]["windows"]) == 5
    assert metrics["walk_forward"]["windows"][0]["test_from"] == "2024-04-30T00:00:00Z"


@pytest.mark.parametrize(("changed", "words"), [
    ({"kind": "sweep"}, "is none of a walk-forward but of a sweep"),
    ({"kind": None}, "is none of a walk-forward"),
    ({"walk": {"how": "sideways"}}, "windows are not understood"),
    ({"hunt": {}}, "windows are not understood"),
])  # fmt: skip
def test_a_manifest_that_is_none_is_told_what_is_wrong(made, changed, words):
    with pytest.raises(DeskError, match=words):
        walk_of({**made.manifest, **changed})
