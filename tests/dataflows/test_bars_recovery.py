"""The recovery store's lock and what bad ones get."""

import shutil
from types import SimpleNamespace

import pytest
from bytewax.recovery import init_db_dir

from dataflows.recovery import PARTITIONS, Recovery
from market.errors import DeskError


def test_a_new_folder_gets_a_store_and_a_lock(tmp_path):
    with Recovery(tmp_path / "bars"):
        names = sorted(path.name for path in (tmp_path / "bars").iterdir())

    assert names == ["lock", *(f"part-{place}.sqlite3" for place in range(PARTITIONS))]


def test_two_processes_cannot_hold_one_store(tmp_path):
    """Bytewax itself would let both run and overwrite each other's progress."""
    with Recovery(tmp_path), pytest.raises(DeskError, match=r"is in use by process \d+.*pq down"):
        Recovery(tmp_path)
    with Recovery(tmp_path):
        pass


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    """Bytewax panics on it, with a page of Rust."""
    Recovery(tmp_path).close()
    path = tmp_path / "part-2.sqlite3"
    content = bytearray(path.read_bytes())
    content[100:3000] = b"\x55" * 2900
    path.write_bytes(content)

    with pytest.raises(DeskError, match=r"damaged in part-2\.sqlite3 .*made anew from the journal"):
        Recovery(tmp_path)


def test_a_file_of_something_else_is_named(tmp_path):
    Recovery(tmp_path).close()
    (tmp_path / "part-0.sqlite3").write_bytes(b"not a database at all" * 100)

    with pytest.raises(DeskError, match=r"damaged in part-0\.sqlite3 \(file is not a database\)"):
        Recovery(tmp_path)


def test_an_emptied_file_is_named(tmp_path):
    """SQLite takes an empty file for an empty database."""
    Recovery(tmp_path).close()
    (tmp_path / "part-1.sqlite3").write_bytes(b"")

    with pytest.raises(DeskError, match=r"damaged in part-1\.sqlite3 \(no table commits\)"):
        Recovery(tmp_path)


def test_a_missing_file_is_named(tmp_path):
    Recovery(tmp_path).close()
    (tmp_path / "part-3.sqlite3").unlink()

    with pytest.raises(DeskError, match=r"lacks its file part-3\.sqlite3"):
        Recovery(tmp_path)


def test_a_store_whose_making_was_killed_is_made_again(tmp_path):
    (tmp_path / "new").mkdir()
    init_db_dir(tmp_path / "new", PARTITIONS)
    for place in (0, 1):
        (tmp_path / "new" / f"part-{place}.sqlite3").replace(tmp_path / f"part-{place}.sqlite3")

    with Recovery(tmp_path):
        assert not (tmp_path / "new").exists()
        assert len(list(tmp_path.glob("part-*.sqlite3"))) == PARTITIONS


def test_a_full_disk_is_not_taken_for_damage(tmp_path, monkeypatch):
    """What SQLite cannot open without room is whole again once there is some; nobody is to move it away."""
    Recovery(tmp_path).close()
    (tmp_path / "part-0.sqlite3").write_bytes(b"stands for what cannot be opened")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))

    with pytest.raises(DeskError, match="its disk is full: make room"):
        Recovery(tmp_path)
