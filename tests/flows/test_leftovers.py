"""Of the runs that were missed while the desk was off, those that are worth making up for, and no others."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

from flows import calendar_runs
from flows.leftovers import drop_missed

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Server:
    """Prefect's tables, as far as they are asked for: late runs, the newest first."""

    def __init__(self, *late):
        names = sorted({name for name, *_ in late})
        self.flows = [SimpleNamespace(id=name, name=name) for name in names]
        self.late = [
            SimpleNamespace(id=place, flow_id=name, auto_scheduled=how == "cron",
                            tags=[calendar_runs.TAG] if how == "calendar" else [])
            for place, (name, how) in enumerate(late)
        ]  # fmt: skip

    async def read_flows(self, limit):
        """All of them."""
        return self.flows

    async def read_flow_runs(self, flow_run_filter, sort, limit, offset):
        """A page of the late ones."""
        return self.late[offset : offset + limit]

    async def delete_flow_run(self, number):
        """Take one away."""
        self.late = [one for one in self.late if one.id != number]


def kept(*late, catch_up=("backup", "nightly-backtests")):
    server = Server(*late)
    dropped = asyncio.run(drop_missed(server, catch_up, NOW))
    assert dropped == len(late) - len(server.late)
    return [one.id for one in server.late]


def test_of_a_schedule_that_makes_up_the_newest_run_stays():
    assert kept(("backup", "cron"), ("watch", "cron"), ("backup", "cron"), ("watch", "cron")) == [0]


def test_of_three_missed_nights_the_newest_is_made_up_for():
    """All of them would run the same bars."""
    assert kept(*[("nightly-backtests", "calendar")] * 3) == [0]


def test_every_missed_session_has_its_report():
    """Each is of a close of its own."""
    assert kept(*[("session-report", "calendar")] * 3) == [0, 1, 2]


def test_what_somebody_asked_for_stays():
    assert kept(("watch", "user"), ("backup", "user"), ("nightly-backtests", "user"), ("watch", "cron")) == [0, 1, 2]
