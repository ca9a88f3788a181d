"""Hundreds of series are some tasks: each costs Prefect's server more than a sync costs us."""

import pytest
from prefect.logging import disable_run_logger

from flows import sync
from flows.sync import TASKS, Request, batches, sync_some
from history.books import StoppedError
from history.sync import Synced
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from sources.history.provider import ProviderAway


def series(count):
    return [(Symbol("SIM", f"S{number:03}"), Interval.D1) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, TASKS, TASKS + 1, 500, 1000])
def test_every_series_is_in_one_task_and_tasks_are_few(count):
    found = batches(series(count))
    assert [job for _, some in found for job in some] == series(count)
    assert len(found) <= TASKS
    assert len({name for name, _ in found}) == len(found)


def test_up_to_some_dozens_each_series_is_a_task_of_its_own():
    """So that its failure stands in the timeline."""
    assert [name for name, _ in batches(series(3))] == ["SIM:S000 1d", "SIM:S001 1d", "SIM:S002 1d"]
    assert batches(series(500))[1][0] == "13 series from SIM:S013 1d"


@pytest.fixture
def syncs(monkeypatch):
    """Syncs that end as is set here, by ticker; what was called; what was waited."""
    ends, called, waited = {}, [], []

    class Desk:
        sleep = staticmethod(waited.append)

    class Run:
        desk = Desk

    def one(job, _request):
        called.append(job[0].ticker)
        error = ends.get(job[0].ticker, [None]).pop(0)
        if error is not None:
            raise error
        return Synced(*job)

    monkeypatch.setattr(sync, "_sync_one", one)
    monkeypatch.setattr(sync, "means", lambda: Run)
    return ends, called, waited


def run(count):
    with disable_run_logger():
        return sync_some.fn("batch", series(count), Request(500))


def test_one_series_failure_never_stops_the_rest(syncs):
    """What is transient is tried once more at the end; what is not is a sentence."""
    ends, called, waited = syncs
    ends |= {"S000": [DeskError("S000 is unknown")], "S001": [ProviderAway("away"), None]}
    outcomes = run(3)
    assert [(name, done is not None, why) for name, done, why in outcomes] == [
        ("SIM:S000 1d", False, "S000 is unknown"),
        ("SIM:S001 1d", True, ""),
        ("SIM:S002 1d", True, ""),
    ]
    assert called == ["S000", "S001", "S002", "S001"]
    assert len(waited) == 1


def test_what_stays_away_is_told_after_the_second_try(syncs):
    ends, called, _ = syncs
    ends["S001"] = [ProviderAway("away"), ProviderAway("still away")]
    assert [why for _, _, why in run(2)] == ["", "still away"]
    assert called == ["S000", "S001", "S001"]


def test_a_stop_ends_the_batch(syncs):
    ends, called, _ = syncs
    ends["S001"] = [StoppedError("stopped")]
    assert run(3).is_cancelled()
    assert called == ["S000", "S001"]
