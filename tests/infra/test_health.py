"""A container is healthy while its process writes its status."""

from infra.health import unhealthy
from infra.status import StatusFile

SECOND = 10**9


def test_a_fresh_status_is_healthy(tmp_path):
    StatusFile(tmp_path / "bars.json", "bars", now_ns=lambda: 100 * SECOND).write({})
    assert unhealthy(tmp_path / "bars.json", now_ns=114 * SECOND) is None


def test_an_old_status_is_not(tmp_path):
    """The process still has a pid, but its loop stands still."""
    StatusFile(tmp_path / "bars.json", "bars", now_ns=lambda: 100 * SECOND).write({})
    assert "16 s old" in unhealthy(tmp_path / "bars.json", now_ns=116 * SECOND)


def test_no_status_is_not(tmp_path):
    assert "is not there" in unhealthy(tmp_path / "ingest.json", now_ns=0)
