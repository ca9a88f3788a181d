"""A place shows whole files only, whatever happens while they are written."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers.s3 import S3Server, s3_bucket, s3_server

from market.errors import DeskError
from sinks.places import ASIDE, FolderPlace, Place, PlaceTrouble, S3Access, S3Place, open_place

__all__ = ["s3_bucket", "s3_server"]


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each sort, empty."""
    if request.param == "folder":
        return open_place(tmp_path / "place")
    server: S3Server = request.getfixturevalue("s3_server")
    access = S3Access(server.endpoint, None, server.access_key, server.secret_key)
    return open_place(request.getfixturevalue("s3_bucket"), access)


def test_what_was_written_is_there_by_its_name(place: Place):
    """Read back, hashed, listed, replaced, removed."""
    with place.writing("bars/A/1.parquet") as path:
        path.write_bytes(b"one")
    place.put("bars/B/2.json", b"two")
    place.put("other.json", b"three")

    assert place.read("bars/A/1.parquet") == b"one"
    assert place.sha256("bars/B/2.json") == hashlib.sha256(b"two").hexdigest()
    assert place.names("bars") == ["bars/A/1.parquet", "bars/B/2.json"]
    place.put("bars/B/2.json", b"four")
    assert place.read("bars/B/2.json") == b"four"
    place.remove("bars/A/1.parquet")
    assert place.names("bars") == ["bars/B/2.json"]


def test_what_is_not_there_is_told_from_what_cannot_be_read(place: Place):
    """Callers ask for what may not have been made yet."""
    place.put("here", b"")

    assert place.read("here") == b""
    assert place.names("nowhere") == []
    place.remove("nowhere/at/all")
    with pytest.raises(FileNotFoundError):
        place.read("nowhere")
    with pytest.raises(FileNotFoundError):
        place.sha256("nowhere")


def test_an_error_in_the_middle_changes_nothing(place: Place):
    """The older file stays, a new one never appears, and nothing is left aside."""
    place.put("kept", b"older")

    def cut_short(name: str):
        with place.writing(name) as path:
            path.write_bytes(b"half")
            raise ZeroDivisionError

    for name in ("kept", "new"):
        with pytest.raises(ZeroDivisionError):
            cut_short(name)

    assert place.read("kept") == b"older"
    assert place.names("") == ["kept"]
    assert place.names(ASIDE) == []


_FULL = """
import resource, sys
from pathlib import Path
from sinks.places import FolderPlace, PlaceTrouble
place = FolderPlace(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with place.writing("kept") as path:
        path.write_bytes(b"x" * 10_000)
except PlaceTrouble as error:
    print(error)
"""


def test_a_full_disk_is_said_and_leaves_what_was_there(tmp_path: Path):
    """The limit on the size of files stands for a full disk: both end in a write that fails."""
    place = FolderPlace(tmp_path / "place")
    place.put("kept", b"older")

    done = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path / "place")], capture_output=True, text=True, check=True
    )

    assert done.stdout == (
        f"{tmp_path / 'place'}: the disk is full; make room and try again, what was there is untouched\n"
    )
    assert place.names("") == ["kept"]
    assert place.read("kept") == b"older"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path):
    place = FolderPlace(tmp_path)
    tmp_path.chmod(0o500)
    with pytest.raises(PlaceTrouble, match="mend its permissions"):
        place.put("new", b"")
    tmp_path.chmod(0o700)


def test_an_s3_that_does_not_answer_is_a_sentence():
    """On a port of loopback where nothing listens."""
    place = S3Place("s3://bucket/prefix", S3Access("http://127.0.0.1:1", None, "key", "secret"))

    with pytest.raises(PlaceTrouble, match=r"^s3://bucket/prefix cannot be used now: .*try again$"):
        place.read("name")


@pytest.mark.parametrize(("address", "rule"), [("s3://", "names no bucket"), ("gs://bucket", "neither a folder nor")])
def test_an_address_that_is_none_says_what_one_is(address: str, rule: str):
    with pytest.raises(DeskError, match=rule):
        open_place(address)


def test_folders_that_become_empty_go(tmp_path: Path):
    """An archive's tree has no dead branches."""
    place = FolderPlace(tmp_path)
    place.put("a/b/c", b"")
    place.put("a/d", b"")
    place.remove("a/b/c")

    assert [path.name for path in (tmp_path / "a").iterdir()] == ["d"]
