"""Status files, the metrics page, and notifications."""

import logging
import os
import threading
import urllib.request
from errno import ENOSPC
from pathlib import Path

from infra.metrics import Metrics, serve
from infra.notify import REPEAT_S, Notifier
from infra.status import StatusFile, alive, read_status


def test_a_status_is_written_once_a_second_at_most(tmp_path):
    """A hot loop may call it on each batch."""
    clock = [0.0]
    status = StatusFile(tmp_path / "ingest.json", "ingest", now_ns=lambda: 7, monotonic=lambda: clock[0])

    assert status.write({"queue": 1})
    assert not status.write({"queue": 2})
    clock[0] = 1.0
    assert status.due()
    assert status.write({"queue": 3})
    assert read_status(tmp_path / "ingest.json") == {
        "process": "ingest",
        "pid": os.getpid(),
        "written_ns": 7,
        "queue": 3,
    }
    assert status.write({"queue": 4}, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["ingest.json"]
    status.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_status_that_cannot_be_written_or_read_kills_nothing(tmp_path):
    assert not StatusFile(tmp_path / "none" / "x.json", "x").write({})
    (tmp_path / "torn.json").write_text('{"pid": ')
    assert read_status(tmp_path / "torn.json") is None
    assert read_status(tmp_path / "none.json") is None


def test_a_full_disk_still_takes_the_status_in_place(tmp_path, monkeypatch):
    """That the disk is full is what the status has to say then."""
    status = StatusFile(tmp_path / "x.json", "x", every_s=0)
    assert status.write({"said": "a longer sentence than the next"})

    def full(path, content):
        path.touch()
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert status.write({"said": "disk full"})
    assert (read_status(tmp_path / "x.json") or {})["said"] == "disk full"
    assert not status.write({"said": "x" * 5000}), "that needs room"
    assert (read_status(tmp_path / "x.json") or {})["said"] == "disk full"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_process_is_alive_until_it_is_reaped():
    assert alive(os.getpid())
    assert not alive(0)
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not alive(pid)
    os.waitpid(pid, 0)
    assert not alive(pid)


def test_metrics_are_served_on_loopback_and_a_busy_port_is_a_warning(caplog):
    """Nothing binds beyond 127.0.0.1; a second desk on the machine still starts."""
    metrics = Metrics()
    metrics.ticks.labels(feed="sim").inc(3)
    served = next(found for port in range(29461, 29561) if (found := serve(metrics, port)) is not None)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/metrics", timeout=5) as page:
            text = page.read().decode()
        assert 'pocketquant_ticks_total{feed="sim"} 3.0' in text
        assert "process_resident_memory_bytes" in text
        with caplog.at_level(logging.WARNING):
            assert serve(Metrics(), served.port) is None
    finally:
        served.close()


class Outbox:
    """Records what it is told to send."""

    def __init__(self):
        self.sent = []
        self.event = threading.Event()

    def notify(self, body, title):
        """Record one notification."""
        self.sent.append((title, body))
        self.event.set()
        return True


def test_an_alert_is_sent_once_in_ten_minutes():
    outbox, clock = Outbox(), [0.0]
    notifier = Notifier(["json://h"], sender=lambda _addresses: outbox, monotonic=lambda: clock[0])

    assert notifier.send("feed stale kraken", "no message for 30 s")
    assert not notifier.send("feed stale kraken", "no message for 60 s")
    assert notifier.send("disk low", "1 MB left")
    clock[0] = REPEAT_S
    assert notifier.send("feed stale kraken", "again")
    notifier.close()
    assert outbox.sent == [
        ("PocketQuant: feed stale kraken", "no message for 30 s"),
        ("PocketQuant: disk low", "1 MB left"),
        ("PocketQuant: feed stale kraken", "again"),
    ]


def test_notifications_are_off_by_default():
    assert not Notifier([]).send("disk low", "1 MB left")


def test_a_sender_that_fails_stops_neither_the_desk_nor_the_next_alert():
    outbox = Outbox()

    class Failing(Outbox):
        def notify(self, body, title):
            if title.endswith("first"):
                msg = "mail server away"
                raise OSError(msg)
            return outbox.notify(body, title)

    notifier = Notifier(["json://h"], sender=lambda _addresses: Failing())
    notifier.send("first", "x")
    notifier.send("second", "y")
    notifier.close()
    assert outbox.sent == [("PocketQuant: second", "y")]
