"""Deciders whose loops are compiled once a session, and strategy files of a test's own."""

import textwrap

import pytest
from ran.running import loops as shared_loops

from market.intervals import Interval
from strategies.loader.decider import Decider
from strategies.loader.files import find, from_source


@pytest.fixture(scope="session")
def loops():
    """A folder of compiled loops."""
    return shared_loops()


@pytest.fixture(scope="session")
def make(loops):
    """`make(name, symbols=2, interval=Interval.M1, compiled=True, **parameters)`: a decider of one of ours."""

    def made(name, *, symbols=2, interval=Interval.M1, compiled=True, **given):
        strategy = name if not isinstance(name, str) else find(name)
        names = [f"SIM:S{number}" for number in range(symbols)]
        return Decider(strategy, strategy.read_parameters(given), names, interval, loops, compiled=compiled)

    return made


@pytest.fixture
def written(tmp_path):
    """`written(decide, begin="return ()", parameters="pass", needs="return Needs()")`: a strategy of its own."""

    def made(decide, *, begin="return ()", parameters="pass", needs="return Needs()", orders=False, head=""):
        def indented(text):
            return textwrap.indent(textwrap.dedent(text).strip(), "    ")

        source = "\n".join(
            [
                '"""A test."""',
                "import math",
                "import numpy as np",
                "from pydantic import BaseModel, Field",
                "from market.intervals import Interval",
                "from strategies.interface import KEEP, Needs",
                "from trading.requests import limit, market",
                textwrap.dedent(head),
                "class Parameters(BaseModel):",
                indented(parameters),
                "def needs(p):",
                indented(needs),
                "def begin(p):",
                indented(begin),
                f"def decide(state, bar, p{', orders' if orders else ''}):",
                indented(decide),
                "",
            ]
        )
        path = tmp_path / "of_a_test.py"
        path.write_text(source)
        return from_source("of-a-test", path, source)

    return made
