"""The doorbell and its listener."""

import socket
from pathlib import Path

import pytest

from market.errors import DeskError
from sinks.doorbell import Doorbell
from sources.doorbell import DoorbellListener


def test_a_bell_without_a_listener_is_no_trouble(tmp_path: Path):
    with Doorbell(tmp_path / "nobody", tmp_path / "no" / "folder") as doorbell:
        assert doorbell.ring(1) == 0


def test_a_full_queue_is_no_trouble_and_is_answered_at_once(tmp_path: Path):
    with DoorbellListener(tmp_path / "bell") as listener, Doorbell(tmp_path / "bell") as doorbell:
        heard = sum(doorbell.ring(seq) for seq in range(1, 1001))
        assert 1 <= heard < 1000
        assert listener.wait(0)
        assert listener.answer() == heard
        assert not listener.wait(0)
        assert listener.answer() == 0


def test_a_socket_that_a_killed_listener_left_is_taken_over(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(tmp_path / "bell"))
    first = DoorbellListener(tmp_path / "bell")
    second = DoorbellListener(tmp_path / "bell")
    first.close()
    with Doorbell(tmp_path / "bell") as doorbell:
        assert doorbell.ring(5) == 1
    assert second.answer() == 5
    second.close()
    assert not (tmp_path / "bell").exists()


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path):
    with pytest.raises(DeskError, match="has over 100 bytes; choose a shorter --data-dir"):
        DoorbellListener(tmp_path / ("x" * 100))


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeskError, match=r"cannot be made: .*; make its folder writable"):
        DoorbellListener(tmp_path / "file" / "bell")
