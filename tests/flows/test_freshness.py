"""The watch: what is late is named, what is not is fine."""

from flows.freshness import LAG_S, SILENT_S, look

S = 10**9
NOW = 1_767_355_200 * S


def statuses(*, age_s=1, feed="up", message_s=2, lag_ms=40.0):
    feeds = [{"name": "sim", "state": feed, "last_message_ns": NOW - message_s * S, "rate": 50.0, "last_error": "cut"}]
    written = NOW - int(age_s * S)
    return {
        "ingest": {"written_ns": written, "feeds": feeds},
        "bars": {"written_ns": written, "journal": {"lag_ms": lag_ms}},
    }


def troubles(found, stale_s=30):
    return [sign.trouble for sign in look(found, now_ns=NOW, stale_s=stale_s) if sign.trouble]


def test_a_desk_that_runs_is_fine():
    signs = look(statuses(), now_ns=NOW, stale_s=30)
    assert [sign.what for sign in signs] == ["ingest", "bars", "feed sim", "bars behind"]
    assert troubles(statuses()) == []


def test_a_process_that_says_nothing_is_named():
    """Its status file outlives a kill: only its age tells."""
    assert troubles(statuses(age_s=SILENT_S)) == []
    assert troubles(statuses(age_s=SILENT_S + 1)) == [
        "ingest said nothing for 31 s: it has ended or hangs",
        "bars said nothing for 31 s: it has ended or hangs",
    ]


def test_a_process_that_does_not_run_is_named():
    assert troubles({"ingest": None, "bars": None}) == ["ingest does not run", "bars does not run"]


def test_a_feed_that_is_down_or_mute_is_named_with_its_error():
    assert troubles(statuses(feed="backoff")) == ["feed sim is backoff: cut"]
    assert troubles(statuses(message_s=31)) == ["feed sim said nothing for 31 s"]
    assert troubles(statuses(message_s=31), stale_s=60) == []


def test_bars_that_are_behind_are_named():
    assert troubles(statuses(lag_ms=LAG_S * 1000)) == []
    assert troubles(statuses(lag_ms=LAG_S * 1000 + 1000)) == ["bars are 61 s behind the journal"]
