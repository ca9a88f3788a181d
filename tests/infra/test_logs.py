"""Logs: JSON lines that say who wrote them, and never a secret."""

import json
import logging

import pytest

from infra.logs import Redaction, configure, logger


@pytest.fixture
def log(tmp_path):
    """A configured log file; the root logger is put back as it was."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    path = tmp_path / "ingest.log"
    configure("ingest", path, secrets=["tok-123456"])
    yield lambda: [json.loads(line) for line in path.read_text().splitlines()]
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def test_a_line_names_its_process_feed_and_symbol(log):
    logger(feed="kraken").info("subscribed", symbol="KRAKEN:BTCUSD")

    (line,) = log()
    assert {key: line[key] for key in ("process", "feed", "symbol", "event", "level")} == {
        "process": "ingest",
        "feed": "kraken",
        "symbol": "KRAKEN:BTCUSD",
        "event": "subscribed",
        "level": "info",
    }
    assert line["timestamp"].endswith("Z")


def test_libraries_logs_are_json_too(log):
    logging.getLogger("websockets").warning("closed %s", 1006)

    (line,) = log()
    assert (line["event"], line["logger"], line["process"]) == ("closed 1006", "websockets", "ingest")


def test_no_secret_reaches_the_file(log):
    """In the message, a field, a table, or the text of an exception."""
    address = "mongodb://desk:hunter22@db.example/pq"

    def connect():
        msg = f"cannot reach {address} with tok-123456"
        raise ConnectionError(msg)

    try:
        connect()
    except ConnectionError:
        logger().exception("store away", url=address, token="tok-9", headers={"Authorization": "Bearer x"})
    logging.getLogger("pymongo").error("auth to %s failed", address)

    text = json.dumps(log())
    assert [secret for secret in ("hunter22", "tok-123456", "tok-9", "Bearer x") if secret in text] == []
    assert "db.example" in text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        ("mongodb+srv://u:p%40ss@h", "mongodb+srv://u:***@h"),
        ("wss://h/x?auth_token=abc&y=1", "wss://h/x?auth_token=***&y=1"),
        ('{"password": "abc", "n": 1}', '{"password": "***", "n": 1}'),
        ("2026-01-02T03:04:00Z BTC/USD 1:2", "2026-01-02T03:04:00Z BTC/USD 1:2"),
    ],
)
def test_secrets_are_known_by_their_form(text, clean):
    assert Redaction().text(text) == clean
