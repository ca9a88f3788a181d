"""A desk on disk whose clock is turned by hand, for the tests of history."""

import pytest
from servers.mongo import mongo_address, mongo_jars, mongo_uri

from history.desk import HistoryDesk
from infra.settings import load_settings

__all__ = ["mongo_address", "mongo_jars", "mongo_uri"]

NOON = 1_767_355_200 * 10**9
"""2026-01-02T12:00:00Z, a Friday."""


class Clock:
    """Stands still but for sleeps and those who move it."""

    def __init__(self, now_ns=NOON):
        self.now_ns = now_ns
        self.slept = []

    def __call__(self):
        """What it shows, ns."""
        return self.now_ns

    def sleep(self, seconds):
        """Move it on and note by how much."""
        self.slept.append(seconds)
        self.now_ns += round(seconds * 10**9)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(tmp_path, clock):
    """A desk with the default settings, in an empty folder."""
    settings = load_settings(tmp_path / "desk", environ={})
    settings.folders.create()
    with HistoryDesk(settings, now_ns=clock, sleep=clock.sleep) as made:
        yield made
