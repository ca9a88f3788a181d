"""Stores for the tests of sinks: each engine, new and empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.mongo import mongo_address, mongo_jars, mongo_uri

from sinks.bar_store import BarStore, open_store

__all__ = ["mongo_address", "mongo_jars", "mongo_uri"]


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
def store_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store of each engine can be opened, and opened again."""
    if request.param == "sqlite":
        return str(tmp_path / "bars.sqlite")
    uri: str = request.getfixturevalue("mongo_uri")
    return uri


@pytest.fixture
def bar_store(store_address: str) -> Iterator[BarStore]:
    """A store of each engine, empty."""
    store = open_store(store_address)
    yield store
    store.close()
