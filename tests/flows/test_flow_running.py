"""What every run has in common: sentences instead of tracebacks, second tries where they may help, someone told."""

import logging
import time
from contextlib import AbstractContextManager
from datetime import date
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.exceptions import FailedRun
from prefect.logging import disable_run_logger
from prefect.states import Crashed, Failed

from flows import running
from flows.artifacts import PNG_BYTES, picture, table
from flows.backfill import _paced, backfill
from flows.notices import tell
from flows.reconcile import reconcile
from flows.session_report import session_report
from history.books import StoppedError, sync_book
from history.fetched import NobodyGave
from infra.folders import Folders
from market.errors import DeskError
from sinks.bar_store import StoreAway
from sinks.ledger import Ledger
from sources.history.provider import BadAnswer, NotOffered, ProviderAway, QuotaSpent

AWAY = ProviderAway("kraken does not answer")
MIDNIGHT = time.time_ns() + 3600 * 10**9


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A desk by the environment, as a run finds it; the texts of its alerts."""
    folders = Folders(tmp_path / "desk").create()
    monkeypatch.setenv("POCKETQUANT_DATA_DIR", str(folders.data_dir))

    def texts():
        with Ledger(folders.desk) as ledger:
            return [(event.name, event.text) for event in ledger.events(10)]

    return texts


def end(body):
    """The state that a flow's body leads to."""
    with disable_run_logger():
        return running.ended(body)()


def test_what_a_flow_returns_is_the_sentence_of_its_state():
    state = end(lambda: "3 symbols are whole")
    assert (state.is_completed(), state.message) == (True, "3 symbols are whole")


def test_a_users_mistake_is_a_failed_run_with_its_sentence():
    """Prefect's own way is a traceback in the log, and the sentence at its end."""

    def body():
        msg = "the end is not after the start: give a later end"
        raise DeskError(msg)

    state = end(body)
    assert (state.is_failed(), state.message) == (True, "the end is not after the start: give a later end")


def test_what_nobody_foresaw_goes_on_to_prefect():
    with pytest.raises(ZeroDivisionError):
        end(lambda: str(1 / 0))


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (AWAY, True),
        (BadAnswer("half a page"), True),
        (StoreAway("MongoDB does not answer"), True),
        (NotOffered("no such symbol"), False),
        (QuotaSpent("spent until midnight", MIDNIGHT), False),
        (QuotaSpent("a pause of a second", 10**9), True),
        (NobodyGave("bars", [("okx", NotOffered("no such symbol")), ("kraken", AWAY)]), True),
        (NobodyGave("bars", [("okx", NotOffered("no such symbol")), ("kraken", QuotaSpent("spent", MIDNIGHT))]), False),
        (NobodyGave("bars", [("okx", NotOffered("no such symbol")), ("kraken", QuotaSpent("busy", 10**9))]), True),
        (DeskError("disk full"), False),
        (ZeroDivisionError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_what_may_be_over_in_a_minute_is_tried_again(error, again):
    """A quota is not back in a minute, and a symbol does not begin to exist."""
    assert running.transient(error) is again


def run_task(error, count):
    """The state that a symbol's task ends with when its work raises `error` at its `count`-th try; else it raises."""

    @running.part("try")
    def work():
        raise error

    monkey = pytest.MonkeyPatch()
    monkey.setattr(running, "task_run", SimpleNamespace(run_count=count))
    try:
        with disable_run_logger():
            return work.fn()
    finally:
        monkey.undo()


def test_a_task_raises_what_is_to_be_tried_again_and_states_the_rest():
    """Prefect tries again what is raised. The last try, too, ends with a sentence."""
    with pytest.raises(ProviderAway):
        run_task(AWAY, 1)
    with pytest.raises(ProviderAway):
        run_task(AWAY, running.RETRIES)
    last = run_task(AWAY, running.RETRIES + 1)
    assert (last.is_failed(), last.message) == (True, "kraken does not answer")
    at_once = run_task(NotOffered("no such symbol"), 1)
    assert (at_once.is_failed(), at_once.message) == (True, "no such symbol")


def test_a_task_that_was_told_to_stop_is_cancelled_and_not_failed():
    assert run_task(StoppedError("stopped; start it again"), 1).is_cancelled()


def test_prefect_is_told_what_to_try_again():
    """It asks with the state that an error led to."""
    assert running._worth_another(None, None, Failed(data=AWAY))
    assert not running._worth_another(None, None, Failed(message="no such symbol"))


def test_parts_that_failed_are_named_once_each():
    """Most sentences of the core begin with their symbol."""
    running.check_parts({}, 5)
    with pytest.raises(DeskError, match=r"^2 of 5 failed: A:B 1m is unknown; C:D: no store$"):
        running.check_parts({"A:B": "A:B 1m is unknown", "C:D": "no store"}, 5)
    with pytest.raises(DeskError, match=r"^A:B 1m is unknown$"):
        running.check_parts({"A:B": "A:B 1m is unknown"}, 1)
    with pytest.raises(DeskError, match=r"^4 of 4 failed: a: x; b: x; c: x; \.\.\.$"):
        running.check_parts(dict.fromkeys("abcd", "x"), 4)


def test_prefects_traceback_about_a_failed_run_is_left_out():
    """Its engine asks a failed run for its result and logs that there is none; anything else is logged."""

    def record(error):
        return logging.LogRecord("prefect.flow_runs", 40, "", 0, "exited", None, (type(error), error, None))

    assert not running._is_news(record(FailedRun("no bars")))
    assert running._is_news(record(ValueError("a bug")))
    assert running._is_news(logging.LogRecord("prefect.flow_runs", 20, "", 0, "begun", None, None))


def test_a_run_that_fails_is_an_alert_of_the_desk(told, monkeypatch):
    """`pq status` and the live screen show it; a secret in its text is blacked out."""
    monkeypatch.setenv("POCKETQUANT_PROVIDERS__ALPACA__KEY", "hunter22secret")
    run = SimpleNamespace(name="backfill NASDAQ:AAPL 1m", auto_scheduled=False)
    tell(SimpleNamespace(name="backfill"), run, Failed(message="alpaca refused key hunter22secret"))
    assert told() == [("flow_failed", "backfill NASDAQ:AAPL 1m: alpaca refused key ***")]


def test_a_schedule_that_fails_each_time_is_told_of_once_an_hour(told):
    """The journal's tail is backed up every five minutes: a full disk in the night would be a hundred messages."""
    tail = SimpleNamespace(name="backup tail", auto_scheduled=True)
    by_hand = SimpleNamespace(name="backup tail", auto_scheduled=False)
    flow = SimpleNamespace(name="backup")
    for text in ("disk full", "disk full", "no such folder"):
        tell(flow, tail, Failed(message=text))
    assert told() == [("flow_failed", "backup tail: disk full")]
    tell(flow, SimpleNamespace(name="watch", auto_scheduled=True), Failed(message="late"))
    tell(flow, by_hand, Failed(message="disk full"))
    assert [text for _, text in told()] == ["backup tail: disk full", "watch: late", "backup tail: disk full"]


def test_a_run_that_was_killed_is_told_of_by_its_own_name(told, monkeypatch):
    """Whoever saw it end read of it before it named itself: a user knows no `red-fox`."""
    number, asked = uuid4(), []

    class Client(AbstractContextManager["Client"]):
        def __exit__(self, *_):
            pass

        def read_flow_run(self, which):
            asked.append(which)
            return SimpleNamespace(name="backfill SIM:BTCUSD 1m 2026-01-01..")

    monkeypatch.setattr("prefect.client.orchestration.get_client", lambda sync_client: Client())
    run = SimpleNamespace(id=number, name="red-fox", auto_scheduled=False)
    tell(SimpleNamespace(name="backfill"), run, Crashed(message="killed"))
    assert (told(), asked) == ([("flow_failed", "backfill SIM:BTCUSD 1m 2026-01-01..: killed")], [number])


def test_a_hook_without_a_desk_does_no_harm(tmp_path, monkeypatch):
    """It runs while something is wrong already."""
    monkeypatch.setenv("POCKETQUANT_DATA_DIR", str(tmp_path / "a file"))
    (tmp_path / "a file").touch()
    tell(SimpleNamespace(name="watch"), SimpleNamespace(name="watch", auto_scheduled=True), Failed(message="late"))


def test_a_cell_of_a_table_cannot_break_out_of_it():
    """Errors of venues have bars and line breaks in them."""
    assert table(["a"], [["x | y\nz"], [None], [0]]).splitlines()[2:] == ["| x \\| y z |", "|  |", "| 0 |"]


def test_a_picture_stays_small_whatever_is_drawn():
    """Each is a row in Prefect's database: noise at full size would be a megabyte."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4))
    figure.subplots().imshow(np.random.default_rng(1).random((400, 800)))
    markdown = picture(figure, "noise")
    assert markdown.startswith("![noise](data:image/png;base64,iVBOR")
    assert len(markdown) < PNG_BYTES * 4 / 3 + 100


def test_a_time_left_is_not_told_from_a_short_chunk():
    """What a kill left of a chunk took a second for four bars: the rest would take a day."""

    def gone(chunks, slots):
        return SimpleNamespace(plan=SimpleNamespace(left=500_000), left=500_000 - slots, done=chunks)

    assert [_paced(gone(*given)) for given in [(1, 5_000), (2, 40), (2, 5_040)]] == [False, False, True]


def test_a_report_of_an_exchange_without_symbols_says_so(told):
    """Nothing would come of it; a typing error looks like that."""
    with disable_run_logger():
        state = session_report.fn(" nasdaq ")
    assert (state.is_failed(), state.message) == (
        True,
        "no symbol of exchange NASDAQ is registered; there are some of: none",
    )


def test_symbols_of_a_backfill_that_wait_for_their_turn_are_pending(told, monkeypatch):
    """`pq backfill --status` lists all that was asked for, not only the four that are fetched."""
    seen = []

    def submit(*_):
        desk = running.means().desk
        seen.extend(one.state for one in sync_book(desk).statuses(desk.now_ns()))
        msg = "that will do"
        raise DeskError(msg)

    monkeypatch.setattr("flows.backfill.create_progress_artifact", lambda *_, **__: None)
    monkeypatch.setattr("flows.backfill.backfill_one.submit", submit)
    with disable_run_logger():
        ended = backfill.fn([f"SIM:S{number}" for number in range(6)], date(2026, 11, 1))
    assert (ended.message, seen) == ("that will do", ["pending"] * 6)


def test_a_day_to_come_is_not_reconciled(told):
    """It would be a run that went well and found no bars."""
    with disable_run_logger():
        state = reconcile.fn(day=date(2999, 1, 1))
    assert (state.is_failed(), state.message) == (True, "the day 2999-01-01 is still to come: give one that has begun")
