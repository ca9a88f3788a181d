"""Examples in docstrings say what is so."""

import doctest
from importlib import import_module

import pytest

MODULES = ("allowance", "moments", "order", "quota", "slot_numbers", "spans")


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    outcome = doctest.testmod(import_module(f"history.{name}"))

    assert outcome.failed == 0
    assert outcome.attempted > 0
