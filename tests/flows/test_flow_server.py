"""What stands ready before Prefect's server starts."""

import sqlite3
from contextlib import closing

import pytest

from flows.server import make_home
from market.errors import DeskError


@pytest.fixture
def database(tmp_path):
    """A database of Prefect's with a table in it."""
    home = tmp_path / "prefect"
    home.mkdir()
    with closing(sqlite3.connect(home / "prefect.db")) as connection, connection:
        connection.execute("CREATE TABLE flow_run(id TEXT)")
        connection.executemany("INSERT INTO flow_run VALUES(?)", [(f"{number:0500}",) for number in range(200)])
    return home / "prefect.db"


def test_the_folder_is_this_users_alone(tmp_path):
    """Parameters of runs are in it."""
    make_home(tmp_path / "prefect")
    assert (tmp_path / "prefect").stat().st_mode & 0o077 == 0


def test_a_database_that_is_well_stays(database):
    before = database.read_bytes()
    make_home(database.parent)
    assert database.read_bytes() == before


@pytest.mark.parametrize("start", [0, 5000], ids=["no database", "a page in its middle"])
def test_a_damaged_database_is_moved_aside(database, start):
    """It holds nothing but past runs, and would keep the flows from starting for good."""
    content = bytearray(database.read_bytes())
    content[start : start + 4096] = bytes(range(256)) * 16
    database.write_bytes(content)
    make_home(database.parent)
    assert not database.exists()
    assert database.with_name("prefect.db.damaged").read_bytes() == content


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "prefect").touch()
    with pytest.raises(DeskError, match="cannot be made"):
        make_home(tmp_path / "prefect")
