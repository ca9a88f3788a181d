"""Forms offer the strategies that there are: ours and the user's, whose files may be anything."""

import asyncio
from datetime import date

import pytest
from prefect.utilities.schema_tools import ValidationError, validate

from flows import strategy_forms
from flows.deployments import deployment, table
from flows.strategy_forms import Shown
from market.symbols import Symbol
from strategies.loader.files import OURS

GOOD = '''"""Buys on Mondays.

And more."""
import numpy as np
from pydantic import BaseModel, Field
from strategies.interface import Needs


class Parameters(BaseModel):
    hours: int = Field(4, ge=1, le=24)


def needs(p):
    return Needs()


def begin(p):
    return (np.zeros(1),)


def decide(state, bar, p):
    return 1.0
'''


@pytest.fixture
def folder(tmp_path):
    """A user's folder with one strategy that works and one that does not."""
    (tmp_path / "my_monday.py").write_text(GOOD)
    (tmp_path / "broken.py").write_text("import nothing_that_there_is\n")
    (tmp_path / "_notes.py").write_text("")
    return tmp_path


def test_names_are_known_without_running_a_file(folder):
    """The process that serves the flows lives for weeks: what a user's file does must not happen in it."""
    (folder / "broken.py").write_text("raise SystemExit")
    assert [one.name for one in strategy_forms.names(folder)] == [*OURS, "broken", "my-monday"]


def test_each_says_what_it_does_and_takes_with_ranges(folder):
    found = {one.name: one for one in strategy_forms.described(folder)}
    assert found["my-monday"] == Shown("my-monday", "Buys on Mondays.", "hours 4 (1 to 24)")
    assert found["broken"].about == "cannot be used: `pq strategies` says why"
    assert "fast 10 (1 to 100000), slow 30 (2 to 100000), shorts true (true, false)" in found["sma-cross"].parameters
    assert found["buy-and-hold"].parameters == "exposure 1.0 (above 0 to 10)"


def test_files_that_end_the_process_that_asks_them_cost_only_their_help(folder):
    (folder / "my_monday.py").write_text("import os\nos._exit(3)\n")
    assert strategy_forms.ask(folder) == strategy_forms.names(folder)


def test_a_file_that_is_added_or_changed_is_noticed(folder):
    before = strategy_forms.stamp(folder)
    assert strategy_forms.stamp(folder) == before
    (folder / "another.py").write_text(GOOD)
    assert strategy_forms.stamp(folder) != before
    assert strategy_forms.stamp(folder / "none") == ()


ENTRIES = {entry.flow.name: entry for entry in table([Symbol("SIM", "BTCUSD")], date(2026, 11, 20)) if entry.offers}
SHOWN = [Shown("sma-cross", "Crosses.", "fast 10 (1 to 9)"), Shown("my-monday", "Buys.", "none")]


def offered(name):
    return asyncio.run(deployment(ENTRIES[name], SHOWN))


def refused(made, **changes):
    """What the server says of the form when it is submitted so."""
    given = {**made.model_dump(mode="json")["parameters"], **changes}
    try:
        validate(given, made._parameter_openapi_schema.model_dump(), raise_on_error=True, preprocess=True)
    except ValidationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ENTRIES)
def test_a_form_lists_the_strategies_and_is_filled_so_that_it_works(name):
    made = offered(name)
    assert refused(made) == ""
    assert "| **my-monday** | Buys. | none |" in made.description


def test_the_users_own_strategy_can_be_chosen_and_one_that_is_none_cannot():
    """Before there is a run of it."""
    made = offered("backtest")
    field = made._parameter_openapi_schema.properties["strategy"]
    assert field["enum"] == ["sma-cross", "my-monday"]
    assert refused(made, strategy="my-monday") == ""
    assert "'sma' is not one of" in refused(made, strategy="sma")
    assert "sma-cross: fast 10 (1 to 9)" in made._parameter_openapi_schema.properties["parameters"]["description"]


def test_a_list_of_runs_has_the_drop_down_in_each_of_them():
    made = offered("nightly-backtests")
    assert refused(made, runs=[{"strategy": "my-monday", "symbols": ["SIM:BTCUSD"]}]) == ""
    assert refused(made, runs=[{"strategy": "sma"}])
    assert refused(made, runs=[{"strategy": "sma-cross", "symbols": ["BTCUSD"]}])
    assert refused(made, runs=[{"strategy": "sma-cross", "assumed": {"fill": "noon"}}])


@pytest.mark.parametrize(
    "changes",
    [
        {"symbols": []},
        {"symbols": ["BTCUSD"]},
        {"interval": "7m"},
        {"cash": 0},
        {"parameters": {"fast": [1]}},
        {"where": "cloud"},
        {"assumed": {"leverage": 0}},
        {"assumed": {"max_drawdown": 1.5}},
        {"assumed": {"fee": "none"}},
        {"start": "yesterday"},
    ],
    ids=str,
)
def test_a_bad_value_of_a_backtest_is_refused_at_submit(changes):
    assert refused(offered("backtest"), **changes)
