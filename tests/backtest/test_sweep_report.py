"""What a sweep's files and pictures say is what was found, and the same sweep writes the same bytes."""

import io
import json
from functools import cache
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import polars as pl
import pytest
from ran.sweeping import swept, written

from backtest.evaluator import Candidates
from backtest.heat_map import CELLS_MAX, RANGES, heat_maps, profiles
from backtest.output import changes
from backtest.space import Axis
from backtest.sweep_html import sweep_html
from backtest.sweep_md import sweep_markdown
from backtest.sweep_output import hunt_of, sweep_output
from backtest.sweep_pictures import pictures
from backtest.sweep_report import report_of
from market.errors import DeskError
from strategies.loader.files import from_source

SPACE = {"fast": "2,5,8", "slow": "5,10,20,500"}
A = Axis("a", (1, 2), ordered=True)
B = Axis("b", ("x", "y"), ordered=False)
C = Axis("c", (), ordered=True, low=0, high=1)


@cache
def done():
    """A sweep in which combinations are refused and fail."""
    return swept(SPACE)


@cache
def made():
    """Its files."""
    return sweep_output(done(), report_of(done()))


def candidates(*parameters):
    """Candidates of which only their parameters count."""
    return Candidates(list(parameters), pl.DataFrame(), np.zeros((0, 0)), np.zeros(0, np.int64))


def test_a_cell_is_the_best_over_all_other_parameters():
    """Of (1, x) there are 0.5 and 0.7; of (2, y) nothing can be said."""
    tried = candidates(
        {"a": 1, "b": "x", "c": 0.1}, {"a": 1, "b": "x", "c": 0.2}, {"a": 2, "b": "x", "c": 0.1},
        {"a": 2, "b": "y", "c": 0.1}, {"a": 1, "b": "x", "c": 0.3},
    )  # fmt: skip
    values = np.array([0.5, 0.7, -1.0, np.nan, 0.7])
    most, least = (heat_maps(tried, (A, B), values, sign)[0] for sign in (1, -1))

    assert (most.x, most.columns, most.y, most.rows) == ("a", ("1", "2"), "b", ("x", "y"))
    assert np.array_equal(most.values, [[0.7, -1.0], [np.nan, np.nan]], equal_nan=True)
    # Of the two at 0.7 the one that was tried first.
    assert most.places.tolist() == [[1, 2], [-1, -1]]
    assert np.array_equal(least.values, [[0.5, -1.0], [np.nan, np.nan]], equal_nan=True)


def test_many_numbers_are_put_together_in_ranges():
    drawn = np.linspace(0, 1, CELLS_MAX + 1)
    tried = candidates(*({"a": 1 + place % 2, "c": value} for place, value in enumerate(drawn.tolist())))
    found = heat_maps(tried, (A, C), drawn, 1)[0]

    assert len(found.rows) == RANGES
    assert found.rows[0] == "0 to 0.04167"
    assert np.nanmax(found.values) == 1.0
    assert found.values[-1].tolist() == [1.0, drawn[-2]]


def test_each_parameter_alone_has_the_best_and_the_middle_one():
    tried = candidates({"a": 1}, {"a": 1}, {"a": 1}, {"a": 2})
    found = profiles(tried, (A,), np.array([1.0, 5.0, 2.0, np.nan]), 1)[0]

    assert found.labels == ("1", "2")
    assert np.array_equal(found.best, [5.0, np.nan], equal_nan=True)
    assert np.array_equal(found.median, [2.0, np.nan], equal_nan=True)


def test_results_have_every_combination_that_was_tried_the_best_first():
    rows = pl.read_csv(io.BytesIO(made().files["results.csv"]))
    table = pl.read_parquet(io.BytesIO(made().files["results.parquet"]))

    assert rows.columns == table.columns
    assert rows.columns[:4] == ["rank", "fast", "slow", "shorts"]
    assert rows["rank"].to_list() == [*range(1, len(done().order) + 1), None, None, None]
    assert rows["sharpe"].drop_nulls().to_list() == sorted(rows["sharpe"].drop_nulls().to_list(), reverse=True)
    assert rows["slow"].to_list()[-3:] == [500] * 3
    assert rows["why"].to_list()[-3:] == ["there are 400 bars, and the strategy wants more than 500 to warm up"] * 3
    assert rows["sharpe"][0] == done().run.metrics.sharpe
    assert table.schema["deepest_at"] == pl.Datetime("ns", "UTC")


def test_a_parameter_that_is_called_as_a_figure_keeps_both():
    source = written("def decide(state, bar, p):\n    return float(p.length)").source.replace("length", "exposure")
    found = swept({"exposure": "1:2"}, from_source("written", Path("written.py"), source))
    rows = pl.read_csv(io.BytesIO(sweep_output(found, report_of(found), page=False).files["results.csv"]))

    assert sorted(rows["exposure_parameter"].to_list()) == [1, 2]
    assert rows["exposure"].dtype == pl.Float64


def test_what_is_drawn_is_what_plotly_takes():
    drawn = pictures(report_of(done()))

    assert set(drawn) == {"map-0", "profile-0", "profile-1", "spread", "equity"}
    for picture in drawn.values():
        go.Figure(picture)
    star = drawn["map-0"]["data"][1]
    best = done().candidates.parameters[done().best]
    assert (star["x"], star["y"]) == ([str(best["fast"])], [str(best["slow"])])
    assert sum(drawn["spread"]["data"][0]["y"]) == len(done().order)


def test_the_pages_say_whether_it_is_luck_and_what_was_left_out():
    page, text = sweep_html(report_of(done())), sweep_markdown(report_of(done()))

    for said in (page, text):
        assert f"The one chosen of {len(done().candidates.parameters)}" in said
        assert "2 combinations were not tried: fast 5 is not below slow 5, for one." in said
        assert "Nothing came of 3 combinations, fast=2 slow=500 shorts=true among them: there are 400 bars" in said
        assert "best/report" in said
    assert "<script src" not in page
    assert "http" not in page.partition("<script>")[0].replace("http://www.w3.org", "")


def test_the_same_sweep_writes_the_same_bytes():
    again = swept(SPACE, jobs=2)
    files = sweep_output(again, report_of(again))

    assert files.run == made().run
    assert dict(files.files) == dict(made().files)
    assert list(files.files)[-1] == "manifest.json"
    assert changes(made().manifest, files.manifest) == []
    assert hunt_of(made().manifest) == done().hunt


def test_another_search_is_another_sweep():
    """The id is made of all that the results depend on, and of nothing that they are."""
    other = swept(SPACE, search="random")

    assert sweep_output(other, report_of(other), page=False).run != made().run
    assert made().manifest["plan"]["parameters"] == {}


def test_figures_for_programs_are_those_of_the_best_and_of_the_sweep():
    document = json.loads(made().files["metrics.json"])

    assert document["sharpe"] == done().run.metrics.sharpe
    assert document["sweep"]["tried"] == 10
    assert document["sweep"]["refused"] == 2
    assert document["sweep"]["failed"] == 3
    assert document["sweep"]["parameters"] == done().candidates.parameters[done().best]
    assert document["sweep"]["luck_trials"] == 7
    assert document["sweep"]["best"][0]["sharpe"] == document["sharpe"]


def test_a_manifest_of_something_else_is_refused():
    with pytest.raises(DeskError, match="is none of a sweep"):
        hunt_of({"plan": {}})
    with pytest.raises(DeskError, match="written by another version"):
        hunt_of({"kind": "sweep", "hunt": {"space": {}, "search": "magic"}})
