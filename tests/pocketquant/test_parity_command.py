"""`pq parity` and `pq backtest --fills ticks` on a desk that traded on paper."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest
from ran.journaled import BEGIN, MINUTE
from ran.papered import Papered, rng
from ran.strategies import WISHES

COIN = "SIM:BTCUSD"


@pytest.fixture(scope="module")
def traded(tmp_path_factory):
    """A folder in which two runs traded for half an hour; left as it is."""
    folder = tmp_path_factory.mktemp("traded") / "desk"
    with closing(Papered(folder)) as made:
        stream = made.stream(COIN)
        made.trade()
        made.start("sma-cross", [COIN], parameters={"fast": 2, "slow": 4}, asked_at=BEGIN + MINUTE)
        made.start(WISHES, [COIN], asked_at=BEGIN + MINUTE)
        made.walk([stream], 30, rng(8))
        made.trade()
    return folder


@pytest.fixture
def home(traded, tmp_path):
    """A copy of it."""
    shutil.copytree(traded, tmp_path / "home")
    return tmp_path / "home"


def test_all_runs_are_proven_and_their_certificates_kept(pq, home):
    """Exit 0, a line a run, and a sentence; the certificates are there to be listed."""
    answer = pq("parity", "--data-dir", home)
    assert answer.code == 0, answer.err
    assert "2 of 2 runs are equal" in answer.err
    listed = pq("parity", "--list", "--json", "--data-dir", home).json()
    assert sorted(one["strategy"] for one in listed) == ["mine", "sma-cross"]
    assert {one["result"] for one in listed} == {"equal"}
    assert all(one["decisions"] > 20 and one["fills"] > 2 for one in listed)


def test_a_difference_is_exit_one_and_a_name(pq, home):
    """The run that differs alone; the other is equal."""
    with closing(sqlite3.connect(home / "paper.sqlite")) as book, book:
        book.execute(
            "UPDATE fills SET price = price * 1.01 "
            "WHERE number = 3 AND run IN (SELECT run FROM runs WHERE strategy = 'mine')"
        )
    answer = pq("parity", "--json", "--data-dir", home)
    assert answer.code == 1
    found = {one["strategy"]: one for one in answer.json()}
    assert (found["mine"]["result"], found["sma-cross"]["result"]) == ("different", "equal")
    assert found["mine"]["first"].startswith("fills 3 (row ")
    assert "price is " in found["mine"]["first"]
    assert pq("parity", "sma-cross", "--data-dir", home).code == 0


def test_a_run_that_cannot_be_made_again_is_said_and_exit_one(pq, home):
    """Its rows of the journal are gone."""
    [file] = (home / "journal").glob("*.sqlite")
    with closing(sqlite3.connect(file)) as journal, journal:
        journal.execute("DELETE FROM rows WHERE seq <= 50")
        journal.execute("INSERT INTO starts VALUES (51, 'let go')")
    answer = pq("parity", "--json", "--data-dir", home)
    assert answer.code == 1
    assert {one["result"] for one in answer.json()} == {"not proven"}
    assert all("is gone" in one["first"] for one in answer.json())


def test_what_is_asked_wrongly_is_refused_in_a_sentence(pq, home, tmp_path):
    """No such run; contradicting options; no desk."""
    answer = pq("parity", "nobody", "--data-dir", home)
    assert (answer.code, answer.out) == (1, "")
    assert "no paper run 'nobody'" in answer.err
    assert pq("parity", "--list", "--whole", "--data-dir", home).code == 2
    assert pq("parity", "--data-dir", tmp_path / "none").code != 0


def test_a_backtest_filled_by_ticks_is_written_and_made_again_to_the_byte(pq, home, tmp_path):
    """Its manifest names the ticks; it trades as the run on paper did, from the moment both have the same bars."""
    basics = ("backtest", "sma-cross", "--symbol", COIN, "--interval", "1m", "--param", "fast=2", "--param", "slow=4")
    out = tmp_path / "out"
    answer = pq(*basics, "--fills", "ticks", "--lot", "0.01", "--output", out, "--data-dir", home)
    assert answer.code == 0, answer.err
    assert "ticks filled orders" in answer.err
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["ticks"]["number"] > 100
    assert manifest["plan"]["filled_by"] == "ticks"
    again = pq("backtest", "--from", out, "--data-dir", home)
    assert (again.code, "the same to the byte" in again.err) == (0, True), again.err
    assert pq(*basics, "--fills", "ticks", "--fill", "close", "--data-dir", home).code == 1
    assert pq(*basics, "--fills", "ticks", "--archive", "--data-dir", home).code == 2
    fills = (out / "fills.csv").read_text().splitlines()
    paper = pq("paper", "fills", "sma-cross", "--format", "csv", "--data-dir", home).out.splitlines()
    columns = {
        name: [header.split(",").index(name) for header in (fills[0], paper[0])] for name in ("side", "price", "time")
    }

    def told(lines, which):
        return [tuple(line.split(",")[places[which]] for places in columns.values()) for line in lines]

    assert told(fills[1:], 0) == told(paper[1:], 1)
