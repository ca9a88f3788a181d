"""Strategy files of ours and of a user: found, read, refused with a sentence; and the one that `new` writes."""

import sys
from hashlib import sha256

import pytest
from closed_bars import views

from strategies.interface import StrategyError
from strategies.loader.files import OURS, find, from_source, list_all
from strategies.loader.starter import STARTER, write_starter


def test_ours_are_found_by_name_in_any_spelling():
    for name in OURS:
        assert find(name).name == name
        assert find(name.upper().replace("-", "_")).ours
    assert find("sma-cross").source_hash == sha256(find("sma-cross").path.read_bytes()).hexdigest()
    assert [name for name in OURS if find(name).places_orders] == ["pair"]


def test_all_of_ours_are_files_beside_each_other():
    """A strategy is added as a file, and its name to the list."""
    folder = find("sma-cross").path.parent
    names = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--", "interface"}
    assert names == set(OURS)


def test_what_new_writes_runs(make, tmp_path):
    """Above the mean of three from the third close on, below with the fifth."""
    path = write_starter("My-First", tmp_path / "strategies")
    assert path == tmp_path / "strategies" / "my_first.py"
    strategy = find("my-first", tmp_path / "strategies")
    assert (strategy.name, strategy.ours, strategy.path) == ("my-first", False, path)
    assert strategy.about.startswith("Long while the close is above its moving average, short while it is below: my-fi")
    decider = make(strategy, length=3)
    assert decider.mode == "compiled"
    found = decider.exposures(views([1, 2, 3, 4, 2]))
    assert [value for value in found.tolist() if value == value] == [1, -1]  # noqa: PLR0124
    assert not (path.parent / "__pycache__").exists()


def test_new_writes_over_nothing(tmp_path):
    path = write_starter("mine", tmp_path)
    path.write_text("kept")
    with pytest.raises(StrategyError, match="is there already; nothing was written"):
        write_starter("mine", tmp_path)
    assert path.read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("sma-cross", "is one of ours; choose another"),
        ("../mine", "letters, digits and -"),
        ("9lives", "letters, digits and -"),
        ("", "letters, digits and -"),
        ("mine.py", "letters, digits and -"),
        ("my file", "letters, digits and -"),
    ],
)
def test_a_name_that_cannot_be_is_refused(tmp_path, name, rule):
    with pytest.raises(StrategyError, match=rule):
        write_starter(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StrategyError, match="cannot be written: "):
        write_starter("mine", tmp_path / "file")


def test_a_strategy_that_is_not_there_says_which_is_close(tmp_path):
    write_starter("mine", tmp_path)
    with pytest.raises(StrategyError, match="did you mean donchian"):
        find("donchain", tmp_path)
    with pytest.raises(StrategyError, match=r"there are sma-cross .* pair mine; `pq strategies new NAME` writes one"):
        find("zzz", tmp_path)
    with pytest.raises(StrategyError, match="no strategy 'mine' in "):
        find("mine", tmp_path / "other")


def test_a_broken_file_is_told_of_and_hides_no_other(tmp_path):
    write_starter("mine", tmp_path)
    (tmp_path / "broken.py").write_text("def decide(:\n")
    (tmp_path / "macd.py").write_text(STARTER)
    (tmp_path / "_shared.py").write_text("1 / 0")
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    found, troubles = list_all(tmp_path)
    assert [strategy.name for strategy in found] == [*OURS, "mine"]
    assert [trouble.split(": ", 1)[1].split(";")[0][:20] for trouble in troubles[:1]] == ["line 1: invalid synt"]
    assert len(troubles) == 3
    assert "macd.py: macd is one of ours; give the file another name" in troubles[2]
    with pytest.raises(StrategyError, match="macd is one of ours; give the file another name"):
        find("macd", tmp_path)
    with pytest.raises(StrategyError, match=r"broken.py: line 1: invalid syntax"):
        find("broken", tmp_path)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("import numpy as np", "import nowhere_at_all"), "line 6: ModuleNotFoundError: No module named 'nowhere"),
        (("import numpy as np", "import numpy as np\nraise SystemExit(3)"), "line 7: SystemExit: 3"),
        (("def begin(p)", "def start(p)"), r"it must have a function begin\(p\); `pq strategies new NAME` writes one"),
        (("def needs(p)", "def needs()"), r"it must have a function needs\(p\)"),
        (
            ("(state, bar, p)", "(state, bar)"),
            r"it must have a function decide\(state, bar, p\) or \(state, bar, p, or",
        ),
        (("class Parameters(BaseModel)", "class Params(BaseModel)"), r"it must have a class Parameters\(BaseModel\)"),
        (("length: int", "length: str"), "parameter length is <class 'str'>: a strategy's parameters are int, float"),
        (("length: int", "length: int | None"), r"parameter length is int \| None: a strategy's parameters are int"),
    ],
)
def test_a_file_that_is_no_strategy_says_what_it_lacks(tmp_path, change, rule):
    assert change[0] in STARTER
    path = tmp_path / "mine.py"
    path.write_text(STARTER.replace(*change))
    with pytest.raises(StrategyError, match=rule) as error:
        find("mine", tmp_path)
    assert str(path) in str(error.value)


def test_a_file_without_a_docstring_is_refused(tmp_path):
    (tmp_path / "mine.py").write_text(STARTER.split('"""', 2)[2])
    with pytest.raises(StrategyError, match="it must begin with a docstring, which is its help"):
        find("mine", tmp_path)


def test_a_run_goes_on_with_the_source_that_it_began_with(make, tmp_path):
    """The text that was hashed is what runs, whatever the file says by then."""
    path = write_starter("mine", tmp_path)
    before = find("mine", tmp_path)
    path.write_text(STARTER.replace("else 0.0)", "else 0.0) * 0.5"))
    after = find("mine", tmp_path)
    assert before.source_hash != after.source_hash
    again = from_source(before.name, path, before.source)
    assert again.source_hash == before.source_hash
    closes = views([1, 2, 3])
    assert [make(one, length=2).exposures(closes)[-2] for one in (before, after, again)] == [1, 0.5, 1]
    assert before.module.__name__ in sys.modules
