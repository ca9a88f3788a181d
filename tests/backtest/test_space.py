"""What a sweep tries is what was written: to the digit, within the parameters' ranges, and none of it twice."""

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.space import read_space
from market.errors import DeskError
from strategies.loader.files import find, from_source

FILE = '''"""Written for a test."""

from enum import IntEnum

from pydantic import BaseModel, Field

from strategies.interface import Needs


class Rule(IntEnum):
    """Two ways."""

    CROSS = 1
    SQUEEZE_OUT = 2


class Parameters(BaseModel):
    """One of each kind."""

    length: int = Field(default=20, ge=2, le=500)
    width: float = Field(default=2.0, gt=0, le=10)
    share: float = 0.5
    rule: Rule = Rule.CROSS
    shorts: bool = True


def needs(p):
    return Needs()


def begin(p):
    return ()


def decide(state, bar, p):
    return 1.0
'''
WRITTEN = from_source("written", Path("written.py"), FILE)


def values(text, name="length"):
    """What one parameter is tried with."""
    space = read_space(WRITTEN, {name: text})
    return list(space.axes[0].values) if space.axes else [space.fixed[name]]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("length", "10", [10]),
        ("length", "20, 5,10", [5, 10, 20]),
        ("length", "5:8", [5, 6, 7, 8]),
        ("length", "5:50:15", [5, 20, 35, 50]),
        ("length", "5:49:15", [5, 20, 35]),
        ("length", "4:256:log4", [4, 16, 64, 256]),
        ("length", "2:4:log9", [2, 3, 4]),
        ("width", "0.1:0.5:0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("width", "0.01:1:log3", [0.01, 0.1, 1.0]),
        ("width", "1e-1", [0.1]),
        ("rule", "*", ["cross", "squeeze-out"]),
        ("rule", "Squeeze_Out", ["squeeze-out"]),
        ("rule", "squeeze-out,cross", ["squeeze-out", "cross"]),
        ("shorts", "*", [False, True]),
        ("shorts", "off", [False]),
    ],
)
def test_a_text_is_these_values(name, text, expected):
    found = values(text, name)

    assert found == expected
    assert [type(one) for one in found] == [type(one) for one in expected]


def test_a_list_and_a_value_say_the_same_as_their_texts():
    """Forms and notebooks give values."""
    assert values([5, 10]) == values("5,10")
    assert values([True, False], "shorts") == [True, False]
    assert values(7) == [7]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("lenght", "5", "has no parameter 'lenght': they are length width share rule shorts"),
        ("length", "1", "parameter length is a whole number, 2 to 500; it is '1'"),
        ("length", "5:501:5", "it is '501'"),
        ("length", "2.5", "it is '2.5'"),
        ("length", "many", "'many' is no number"),
        ("length", "nan:5", "'nan' is no number"),
        ("length", "50:5:5", "does not go up from 50"),
        ("length", "5:50:0.5", "the step of 5:50:0.5 must be a whole number above 0"),
        ("length", "5:50:-5", "must be a whole number above 0"),
        ("length", "5:50:5:5", "is not LOW:HIGH"),
        ("length", "5:", "is not LOW:HIGH"),
        ("length", "5:50:log1", "2 or more, such as log8"),
        ("length", "5,10,5", "names a value twice"),
        ("width", "0", "parameter width is a number, above 0 to 10; it is '0'"),
        ("width", "1:2:0.00000001", "has 100,000,001 values"),
        ("width", "*", "write width=LOW:HIGH:STEP instead of *"),
        ("share", "-1:1:log5", "ratios only above 0"),
        ("rule", "cross:squeeze-out", "list what to try, such as rule=*"),
        ("rule", "wait", "parameter rule is one of cross, squeeze-out; it is 'wait'"),
        ("shorts", "maybe", "parameter shorts is one of true, false; it is 'maybe'"),
    ],
)
def test_what_is_not_understood_is_one_sentence(name, text, words):
    with pytest.raises(DeskError, match=r"^[^\n]+$") as error:
        read_space(WRITTEN, {name: text})

    assert words in str(error.value)


def test_a_grid_is_every_combination_and_the_last_parameter_changes_fastest():
    space = read_space(WRITTEN, {"shorts": "*", "length": "5,10", "share": "0.25"})

    assert space.size == 4
    assert list(space.grid()) == [
        {"share": 0.25, "length": 5, "shorts": False},
        {"share": 0.25, "length": 5, "shorts": True},
        {"share": 0.25, "length": 10, "shorts": False},
        {"share": 0.25, "length": 10, "shorts": True},
    ]


@pytest.mark.parametrize(("text", "words"), [("1:2", "width=1:2:STEP"), ("1:2:log", "width=1:2:log8")])
def test_a_grid_of_any_number_is_refused_with_what_to_write(text, words):
    with pytest.raises(DeskError, match=words):
        read_space(WRITTEN, {"width": text}).grid()


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_chance_finds_every_combination_once(seed, most):
    """Twice the same would be a trial lost, and a deflated Sharpe that counts too many."""
    space = read_space(WRITTEN, {"length": f"2:{most + 2}", "rule": "*"})
    drawn = [tuple(one.items()) for one in space.at_random(seed)]

    assert len(drawn) == len(set(drawn)) == space.size
    assert drawn == [tuple(one.items()) for one in space.at_random(seed)]


def test_chance_ends_where_there_is_nothing_new_to_draw():
    """A range that is drawn has so few whole numbers that each is drawn again and again."""
    space = read_space(WRITTEN, {"length": "2:4:log"})

    assert space.size is None
    assert sorted(one["length"] for one in space.at_random(1)) == [2, 3, 4]


def test_ranges_without_steps_are_drawn_within_their_ends():
    space = read_space(WRITTEN, {"length": "2:500:log", "width": "1:3", "share": "0.01:1:log"})
    drawn = list(islice(space.at_random(3), 400))

    assert space.size is None
    assert all(isinstance(one["length"], int) and 2 <= one["length"] <= 500 for one in drawn)
    assert all(1 <= one["width"] <= 3 and len(str(one["width"])) <= len("1.0001") for one in drawn)
    # By ratios as many below the geometric mean as above it: 31.6 and 0.1; half of 400, within four deviations of 10.
    assert abs(sum(one["length"] < 31.6 for one in drawn) - 200) < 40
    assert abs(sum(one["share"] < 0.1 for one in drawn) - 200) < 40


def test_a_star_is_the_range_that_the_strategy_declares():
    space = read_space(find("sma-cross"), {"fast": "*", "slow": "30"})

    assert space.axes[0].values == tuple(range(1, 100_001))
    assert space.fixed == {"slow": 30}
