"""Parameters as users write them: read, described, refused with the name, the rule and the value."""

import numpy as np
import pytest
from pydantic import BaseModel, Field

from market.intervals import Interval
from strategies.interface import StrategyError
from strategies.loader.files import OURS, find
from strategies.loader.parameters import as_record, as_text, as_values, describe, read


class Some(BaseModel):
    """One of each kind."""

    count: int = Field(default=3, ge=1, le=9, description="how many")
    share: float = Field(default=0.5, gt=0, lt=1)
    up: bool = True
    every: Interval = Interval.H1
    must: float


def test_text_becomes_what_a_parameter_is():
    found = read("some", Some, {"count": "4", "share": "0.25", "up": "false", "every": "1M", "must": "1e3"})
    assert found == Some(count=4, share=0.25, up=False, every=Interval.MO1, must=1000)
    assert read("some", Some, {"every": "1m", "must": 1}).every is Interval.M1
    assert read("some", Some, {"every": Interval.D1, "must": 1}).every is Interval.D1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cuont": 1}, "strategy some has no parameter 'cuont': they are count share up every must"),
        ({}, "strategy some: parameter must must be given"),
        (
            {"count": "ten", "must": 1},
            (
                "strategy some: parameter count (1 to 9): Input should be a valid integer, unable to parse "
                "string as an integer; it is 'ten'"
            ),
        ),
        (
            {"count": 10, "must": 1},
            "strategy some: parameter count (1 to 9): Input should be less than or equal to 9; it is 10",
        ),
        (
            {"share": "1", "must": 1},
            "strategy some: parameter share (above 0 to below 1): Input should be less than 1; it is '1'",
        ),
        (
            {"up": "maybe", "must": 1},
            (
                "strategy some: parameter up (true, false): Input should be a valid boolean, unable to interpret "
                "input; it is 'maybe'"
            ),
        ),
        ({"must": "nan"}, "strategy some: parameter must must be a finite number; it is nan"),
        ({"must": "-inf"}, "strategy some: parameter must must be a finite number; it is -inf"),
    ],
)
def test_what_is_wrong_is_named_with_its_rule_and_value(given, message):
    with pytest.raises(StrategyError) as error:
        read("some", Some, given)
    assert str(error.value) == message


def test_an_enumeration_says_what_there_is():
    with pytest.raises(StrategyError, match="parameter rule is one of squeeze, reversion; it is 'wild'"):
        find("bollinger").read_parameters({"rule": "wild"})
    with pytest.raises(StrategyError, match=r"parameter every is one of 1m, 3m, .*, 1M; it is '2d'"):
        read("some", Some, {"every": "2d"})


@pytest.mark.parametrize(
    ("name", "given", "rule"),
    [
        ("sma-cross", {"fast": 30, "slow": 30}, "fast 30 is not below slow 30"),
        ("macd", {"fast": 40}, "fast 40 is not below slow 26"),
        ("rsi", {"low": 80}, "low 80.0 is not below high 70.0"),
        ("donchian", {"leave": 21}, "leave 21 is above enter 20"),
        ("trend-cross", {"fast": 31}, "fast 31 is not below slow 30"),
        ("pair", {"leave": 2}, "leave 2.0 is not below enter 2.0"),
    ],
)
def test_parameters_that_contradict_each_other_are_named(name, given, rule):
    with pytest.raises(StrategyError) as error:
        find(name).read_parameters(given)
    assert str(error.value) == f"strategy {name}: {rule}"


def test_parameters_are_described_for_lists_forms_and_sweeps():
    count, share, up, every, must = describe(Some)
    assert (count.name, count.kind, count.default, count.least, count.most, count.help) == (
        ("count", int, 3, 1, 9, "how many")
    )
    assert (count.range, share.range, up.range) == ("1 to 9", "above 0 to below 1", "true, false")
    assert (share.least_excluded, share.most_excluded, count.least_excluded) == (True, True, False)
    assert (every.choices[:2], every.choices[-1], must.default, must.range) == (("1m", "3m"), "1M", None, "")


def test_what_decides_gets_numbers():
    found = read("some", Some, {"every": "1d", "must": 2})
    record = as_record(found)
    assert (record.shape, record.dtype.names) == ((1,), ("count", "share", "up", "every", "must"))
    assert record[0].tolist() == (3, 0.5, True, int(Interval.D1), 2.0)
    assert as_values(found) == record[0].tolist()
    assert (as_values(found).share, as_values(found).every) == (0.5, int(Interval.D1))
    assert as_text(found) == {"count": 3, "share": 0.5, "up": True, "every": "1d", "must": 2.0}


def test_a_strategy_may_have_no_parameters():
    class Nothing(BaseModel):
        """None."""

    with pytest.raises(StrategyError, match="strategy none has no parameter 'x': it has none"):
        read("none", Nothing, {"x": 1})
    assert as_record(read("none", Nothing, {})).shape == (1,)
    assert as_values(Nothing()) == (False,)
    assert as_text(Nothing()) == {}


@pytest.mark.parametrize("name", OURS)
def test_all_of_ours_have_ranges_and_help_and_go_to_text_and_back(name):
    strategy = find(name)
    for one in strategy.described:
        assert one.help
        assert one.range
    found = strategy.read_parameters()
    assert strategy.read_parameters({key: str(value) for key, value in as_text(found).items()}) == found
    assert np.array_equal(as_record(found), as_record(strategy.read_parameters(as_text(found))))
