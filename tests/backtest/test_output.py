"""The files of a run, in a folder and in an S3: whole if there is a manifest, and what differs is said."""

import copy
import json

import pytest
from ran.report import GOOG, bars
from ran.running import loops
from servers.s3 import S3Server, s3_bucket, s3_server

from backtest.output import changes, output, plan_of, read_manifest, write
from backtest.plan import Plan
from backtest.reading import Series
from backtest.running import run
from market.errors import DeskError
from market.intervals import Interval
from sinks.places import FolderPlace, PlaceTrouble, S3Access, open_place
from strategies.loader.files import find
from strategies.loader.parameters import as_text

__all__ = ["s3_bucket", "s3_server"]


@pytest.fixture(scope="module")
def made():
    """The files of one run."""
    shown = bars(200)
    shown["interval"], shown["state"] = Interval.D1, 1
    strategy = find("sma-cross")
    chosen = as_text(strategy.read_parameters({"fast": 3, "slow": 8}))
    plan = Plan(
        strategy="sma-cross", source_hash=strategy.source_hash, parameters=chosen, symbols=[str(GOOG)], interval="1d"
    )
    return output(run(plan, strategy, lambda *_: Series(GOOG, Interval.D1, shown, "test"), loops()))


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path):
    """A place for files, of either kind."""
    if request.param == "folder":
        return FolderPlace(tmp_path / "out")
    server: S3Server = request.getfixturevalue("s3_server")
    access = S3Access(server.endpoint, None, server.access_key, server.secret_key)
    return open_place(request.getfixturevalue("s3_bucket"), access)


def test_files_are_read_as_they_were_written_and_nothing_is_beside_them(place, made):
    write(place, made)
    write(place, made)

    assert place.names("") == sorted(made.files)
    for name, content in made.files.items():
        assert place.read(name) == content


def test_a_run_that_breaks_off_while_it_writes_leaves_no_manifest(tmp_path, made):
    """Also where one of an earlier run was: its files may be gone already."""

    class Breaks(FolderPlace):
        """A disk that is full before the report is there."""

        def put(self, name, content):
            """Write, up to the report."""
            if name == "report.md":
                msg = "full"
                raise PlaceTrouble(msg)
            super().put(name, content)

    write(FolderPlace(tmp_path), made)
    with pytest.raises(PlaceTrouble):
        write(Breaks(tmp_path), made)

    assert not (tmp_path / "manifest.json").exists()


def test_a_manifest_has_what_the_run_was_made_of_and_gives_the_plan_back(tmp_path, made):
    write(FolderPlace(tmp_path), made)
    found = read_manifest(tmp_path / "manifest.json")

    assert found == json.loads(json.dumps(made.manifest))
    assert plan_of(found).parameters == {"fast": 3, "slow": 8, "shorts": True}
    assert set(found["outputs"]) == set(made.files) - {"manifest.json"}
    assert {"python", "numpy", "numba", "pocketquant"} <= set(found["versions"])
    assert found["data"][0]["bars"] == 200


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("plan", "source_hash"), "0" * 64, "strategy sma-cross has changed"),
        (("data", 0, "bars"), 201, "there were 201 from 2024-01-01"),
        (("data", 0, "sha256"), "0", "bars of NASDAQ:GOOG 1d have other values"),
        (("data", 0, "revisions_sha256"), "0", "have other revisions and the same values"),
        (
            ("data", 0, "actions_sha256"),
            "0",
            "splits and dividends in the bars of NASDAQ:GOOG 1d: None then, not known now",
        ),
        (("versions", "numpy"), "0.1", "numpy was 0.1 and is"),
        (("outputs", "trades.csv"), "0", "trades.csv differs"),
    ],
)
def test_what_differs_between_two_manifests_is_said(made, path, value, words):
    before = copy.deepcopy(json.loads(json.dumps(made.manifest)))
    *way, last = path
    inner = before
    for step in way:
        inner = inner[step]
    inner[last] = value

    assert changes(made.manifest, made.manifest) == []
    said = changes(before, made.manifest)
    assert len(said) == 1
    assert words in said[0]


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', '{"format": 1, "plan": {"strategy": 3}}'])
def test_what_is_no_manifest_is_refused_in_a_sentence(tmp_path, text):
    path = tmp_path / "manifest.json"
    path.write_text(text)

    with pytest.raises(DeskError, match="manifest"):
        plan_of(read_manifest(path))
