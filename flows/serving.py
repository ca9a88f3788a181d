"""Serves the flows: tells Prefect what there is, runs what is due in processes of its own, and ends them in order."""

import asyncio
import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, Final

import httpx
import psutil  # type: ignore[import-untyped]
from prefect.client.orchestration import PrefectClient, get_client
from prefect.runner import Runner

from flows import environ, leftovers, nightly_plan, strategy_forms
from flows.calendar_runs import plan
from flows.deployments import Entry, deployment, table
from flows.gap_bell import GapBell
from flows.session_plan import EVERY_S, LOOK_S, reports_of
from history.desk import HistoryDesk
from history.registry import registered
from infra.logs import logger
from infra.settings import Settings
from infra.status import StatusFile
from market.errors import DeskError
from market.symbols import Symbol
from sinks.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

SERVER_S: Final = 180.0
"""A server that makes its database on a small machine takes half a minute."""
KEEPING: Final = 2
"""Runs that keep the desk whole, at a time: one may heal for long while the journal's tail is backed up."""
CANCEL_S: Final = 30.0
"""Runs that are cancelled at the end get this long to say so to the server."""
END_S: Final = 3.0
"""And after that this long to end at all."""
REPORT_S: Final = 2.0
ASK_S: Final = 5.0
TASKS_EVERY: Final = 4
"""Tasks of runs that were killed are looked for with every so many-th asking."""


class Serving:
    """The flows of one desk while they are served."""

    def __init__(self, settings: Settings, port: int) -> None:
        self._settings = settings
        self._url = environ.ui_url(port)
        self._status = StatusFile(settings.folders.status_file("flows"), "flows", every_s=REPORT_S / 2)
        self._stopping = asyncio.Event()
        self._running: list[str] = []
        """Names of the runs that run, for `pq status`."""
        self._strategies = strategy_forms.names(settings.strategies)

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            DeskError: The server does not answer.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        async with get_client() as client:
            if not await self._await_server(client):
                return
            runners = await self._prepare(client)
            serving = [asyncio.ensure_future(runner.start()) for runner in runners]
            # Each puts a handler of its own there, which does not return before its runs have ended.
            await asyncio.sleep(0)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
            stopping: asyncio.Future[Any] = asyncio.ensure_future(self._stopping.wait())
            beside: list[asyncio.Future[Any]] = [stopping, *self._side_works(client)]
            try:
                await asyncio.wait([*serving, *beside], return_when=asyncio.FIRST_COMPLETED)
                for one in serving:
                    if one.done():
                        one.result()
            finally:
                for work in beside:
                    work.cancel()
                await _end_runs(client, runners, serving)
                self._status.remove()

    async def _prepare(self, client: PrefectClient) -> list[Runner]:
        """Bring the server's tables to what the code says, and make the runners."""
        entries = await asyncio.to_thread(self._table)
        orphans = await leftovers.close_orphans(client)
        catch_up = {entry.flow.name for entry in entries if entry.catch_up}
        missed = await leftovers.drop_missed(client, catch_up, datetime.now(UTC))
        fetching = Runner(name="desk", limit=self._settings.flows.at_once, pause_on_shutdown=False)
        keeping = Runner(name="keeper", limit=KEEPING, query_seconds=environ.KEEPER_POLL_S, pause_on_shutdown=False)
        known = {
            await (keeping if entry.keeps else fetching).aadd_deployment(await deployment(entry, self._strategies))
            for entry in entries
        }
        gone = await _forget_others(client, known)
        logger().info("flows served", flows=len(known), orphans=orphans, missed=missed, gone=gone, url=self._url)
        return [fetching, keeping]

    def _table(self) -> list[Entry]:
        return table(self._registered(), datetime.now(UTC).date())

    def _registered(self) -> list[Symbol]:
        with HistoryDesk(self._settings) as desk:
            return registered(desk)

    def _side_works(self, client: PrefectClient) -> "list[asyncio.Future[None]]":
        """What goes on beside the runner; each starts again if it fails, for the flows go on without it."""
        works: list[Callable[[], Awaitable[None]]] = [
            self._report,
            self._ring,
            lambda: self._ask(client),
            lambda: self._plan_by_calendar(client),
            self._offer_strategies,
        ]
        return [asyncio.ensure_future(_kept_up(work)) for work in works]

    async def _ring(self) -> None:
        """Tell Prefect of gaps as ingest notes them."""

        async def post(document: dict[str, Any]) -> None:
            (await http.post("/api/events", json=[document])).raise_for_status()

        async with httpx.AsyncClient(base_url=self._url, timeout=5.0) as http:
            with Ledger(self._settings.folders.desk) as ledger:
                bell = GapBell(ledger, post, time.monotonic, time.time_ns)
                while True:
                    try:
                        await bell.run()
                    except httpx.HTTPError as error:
                        # What it was to tell it still knows.
                        logger().warning("Prefect was not told of a gap", reason=repr(error))
                        await asyncio.sleep(REPORT_S)

    async def _plan_by_calendar(self, client: PrefectClient) -> None:
        """Plan the nightly backtests and the session reports of the next days."""
        nightly = (await client.read_deployment_by_name("nightly-backtests/nightly-backtests")).id
        reports = (await client.read_deployment_by_name("session-report/session-report")).id
        planned, due = set[str](), 0.0
        while True:
            symbols = await asyncio.to_thread(self._registered)
            exchanges = {symbol.exchange for symbol in symbols}
            if exchanges - planned or time.monotonic() >= due:
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                    nights = await asyncio.wrap_future(pool.submit(nightly_plan.upcoming, time.time_ns()))
                    await plan(client, nightly, nights)
                    closes = await asyncio.wrap_future(pool.submit(reports_of, symbols, time.time_ns()))
                await plan(client, reports, closes)
                planned, due = exchanges, time.monotonic() + EVERY_S
            await asyncio.sleep(LOOK_S)

    async def _offer_strategies(self) -> None:
        """Keep the forms to the strategies that there are, as files come into the user's folder and go."""
        folder, seen = self._settings.strategies, None
        while True:
            now = strategy_forms.stamp(folder)
            if now != seen:
                self._strategies = await asyncio.to_thread(strategy_forms.ask, folder)
                for entry in await asyncio.to_thread(self._table):
                    if entry.offers:
                        await (await deployment(entry, self._strategies)).aapply()
                seen = now
            await asyncio.sleep(LOOK_S)

    async def _await_server(self, client: PrefectClient) -> bool:
        """Wait until the server answers; False if the wait was ended by `stop`.

        Raises:
            DeskError: It does not in time.
        """
        deadline = time.monotonic() + SERVER_S
        while not self._stopping.is_set():
            error = await client.api_healthcheck()
            if error is None:
                return True
            if time.monotonic() > deadline:
                msg = f"Prefect's server does not answer at {self._url}: {error}; see {self._settings.folders.logs}"
                raise DeskError(msg)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), 0.5)
        return False

    async def _report(self) -> None:
        while True:
            self._status.write({"url": self._url, "running": self._running}, force=True)
            await asyncio.sleep(REPORT_S)

    async def _ask(self, client: PrefectClient) -> None:
        """What runs now. The server may be slow to say, so it is asked apart from the report."""
        from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
        from prefect.client.schemas.objects import StateType

        rounds = 0
        running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
        while True:
            runs = await client.read_flow_runs(flow_run_filter=running, limit=20)
            self._running = sorted(run.name for run in runs)
            if rounds % TASKS_EVERY == 0:
                await leftovers.close_tasks(client, datetime.now(UTC))
            rounds += 1
            await asyncio.sleep(ASK_S)


async def _forget_others(client: PrefectClient, known: "set[UUID]") -> int:
    """Take away deployments of flows that there are no more; how many there were."""
    others = [
        one for one in await client.read_deployments(limit=200) if one.id not in known and "pocketquant" in one.tags
    ]
    for one in others:
        await client.delete_deployment(one.id)
    return len(others)


async def _kept_up(work: "Callable[[], Awaitable[None]]") -> None:
    delay = 1.0
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001  # A server that restarts, a ledger that is locked: it is tried again.
            logger().exception("beside the flows")
        await asyncio.sleep(delay)
        delay = min(60.0, delay * 2)


async def _end_runs(
    client: PrefectClient, runners: "Sequence[Runner]", serving: "Sequence[asyncio.Future[None]]"
) -> None:
    """Cancel what runs, and see to it that it ends, whether or not the server still answers."""

    async def end(runner: Runner) -> None:
        with suppress(Exception):
            if runner.started:
                await asyncio.wait_for(runner.astop(), CANCEL_S)

    if await _answers(client):
        await asyncio.gather(*map(end, runners))
    await asyncio.to_thread(_end_children)
    for one in serving:
        one.cancel()
    with suppress(BaseException):
        await asyncio.wait(serving, timeout=END_S)


async def _answers(client: PrefectClient) -> bool:
    """Whether the server can be told of runs that end; one that restarts is told by the next runner."""
    with suppress(Exception):
        return await asyncio.wait_for(client.api_healthcheck(), END_S) is None
    return False


def _end_children() -> None:
    children = psutil.Process(os.getpid()).children(recursive=True)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    _, stubborn = psutil.wait_procs(children, timeout=END_S)
    for child in stubborn:
        with suppress(psutil.NoSuchProcess):
            child.kill()
