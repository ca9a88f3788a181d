"""`pq strategies`: ours and a user's, with their parameters; one to begin with; broken files."""

import pytest

from strategies.loader.files import OURS


@pytest.fixture
def run(pq, tmp_path):
    """Run `pq strategies ...` with a data folder that is not there."""
    return lambda *words: pq("strategies", *words, "--data-dir", tmp_path / "desk")


def test_ours_are_listed_with_their_parameters_and_nothing_is_created(run, tmp_path):
    answer = run("--json")
    assert (answer.code, answer.err) == (0, "")
    rows = answer.json()
    assert [row["strategy"] for row in rows] == list(OURS)
    assert {row["whose"] for row in rows} == {"ours"}
    assert rows[0]["parameters"] == "fast=10 slow=30 shorts=true"
    assert rows[1]["parameters"] == "fast=12 slow=26 signal=9 rule=cross shorts=true"
    assert rows[-1]["decides"] == "orders"
    assert run("list", "--json").json() == rows
    assert list(tmp_path.iterdir()) == []


def test_a_new_one_is_written_listed_and_shown(run, tmp_path):
    answer = run("new", "my-first")
    path = tmp_path / "desk" / "strategies" / "my_first.py"
    assert (answer.code, answer.out) == (0, f"{path}\n")
    assert "pq backtest my-first --symbol" in answer.err
    (row,) = [row for row in run("--json").json() if row["whose"] == "yours"]
    assert (row["strategy"], row["file"], row["decides"]) == ("my-first", str(path), "exposure")
    assert run("show", "my_first", "--json").json() == [
        {
            "parameter": "length",
            "kind": "int",
            "default": "20",
            "range": "1 to 10000",
            "about": "bars of the moving average",
        },
        {
            "parameter": "shorts",
            "kind": "bool",
            "default": "true",
            "range": "true, false",
            "about": "go short below the average; flat if not",
        },
    ]


def test_a_folder_of_ones_own_is_a_setting(pq, tmp_path, monkeypatch):
    monkeypatch.setenv("POCKETQUANT_STRATEGIES_DIR", str(tmp_path / "mine"))
    answer = pq("strategies", "new", "idea", "--data-dir", tmp_path / "desk")
    assert answer.out == f"{tmp_path / 'mine' / 'idea.py'}\n"
    assert not (tmp_path / "desk").exists()
    assert pq("strategies", "show", "idea", "--data-dir", tmp_path / "desk").code == 0


def test_a_broken_file_is_told_of_beside_the_others(run, tmp_path):
    run("new", "mine")
    (tmp_path / "desk" / "strategies" / "broken.py").write_text("x = (\n")
    answer = run("--json")
    assert answer.code == 1
    assert [row["strategy"] for row in answer.json()] == [*OURS, "mine"]
    assert "broken.py: line 1: '(' was never closed" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "sma"), "no strategy 'sma' in "),
        (("new", "macd"), "strategy name macd is one of ours; choose another"),
        (("new", "../up"), "strategy name '../up': letters, digits and -"),
    ],
)
def test_wrong_use_is_one_line(run, words, said):
    answer = run(*words)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err
    assert answer.err.count("\n") == 1


def test_a_strategy_is_shown_in_its_own_words(run):
    answer = run("show", "donchian")
    assert answer.err.startswith("Long on a close above the highest high of the bars before, short on one below the")
    assert "bars of the channel that is broken out of" in answer.out
