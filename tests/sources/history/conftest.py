"""Puts the providers' contract on the path, and runs its tests for each interval that a provider has."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of the contract that asks for `interval` runs once for each of its provider's own."""
    provider = getattr(metafunc.cls, "provider", None)
    if "interval" in metafunc.fixturenames and provider is not None:
        metafunc.parametrize("interval", sorted(provider.terms.intervals), ids=str)
