"""The layout of a data folder, and what a wrong one is told."""

import os

import pytest

from infra.folders import SOCKET_PATH_MAX, Folders
from market.errors import DeskError


def test_reading_creates_nothing(tmp_path):
    """A typo in --data-dir must not leave an empty desk behind."""
    folders = Folders(tmp_path / "desk")

    with pytest.raises(DeskError, match="does not exist"):
        folders.require()
    assert not folders.data_dir.exists()

    folders.data_dir.mkdir()
    with pytest.raises(DeskError, match="holds no desk"):
        folders.require()
    assert list(folders.data_dir.iterdir()) == []


def test_create_makes_what_is_missing_and_can_be_repeated(tmp_path):
    folders = Folders(tmp_path / "a" / "desk").create().create()

    assert folders.require().exists()
    assert folders.recovery_bars.is_dir()


def test_sockets_move_out_of_a_long_folder(tmp_path):
    """Linux refuses a socket path over 107 bytes; every process must find the same short one."""
    long = tmp_path / ("x" * 90)
    folders = Folders(long).create()
    try:
        for socket in (folders.redis_socket, folders.doorbell, folders.doorbell_paper):
            assert len(os.fsencode(socket)) <= SOCKET_PATH_MAX
        assert folders.sockets.stat().st_mode & 0o077 == 0
        assert Folders(long).redis_socket == folders.redis_socket
        assert Folders(tmp_path / ("y" * 90)).redis_socket != folders.redis_socket

        folders.sockets.chmod(0o755)
        with pytest.raises(DeskError, match="not this user's alone"):
            folders.create()
    finally:
        folders.sockets.rmdir()


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    path = tmp_path / "desk"
    path.write_text("")

    with pytest.raises(DeskError, match="is a file"):
        Folders(path).require()
    with pytest.raises(DeskError, match="cannot be written"):
        Folders(path).create()
