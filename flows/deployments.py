"""The table of flows: what Prefect's UI lists, and when each runs by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from flows.archive import archive
from flows.backfill import backfill
from flows.backtest import backtest
from flows.backup import backup, restore_drill
from flows.corporate_actions import corporate_actions
from flows.cross_check import cross_check
from flows.gap_bell import GAP_EVENT
from flows.heal import WAIT_S, heal
from flows.nightly_backtests import nightly_backtests
from flows.parity import parity
from flows.reconcile import reconcile
from flows.session_report import session_report
from flows.strategy_forms import Shown, offer
from flows.sweep import EXAMPLE as SWEPT
from flows.sweep import sweep
from flows.sync import sync_all, sync_background, sync_bulk, sync_daily, sync_symbol
from flows.walk_forward import EXAMPLE as WALKED
from flows.walk_forward import walk_forward
from flows.watch import watch
from market.symbols import Symbol

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.deployments.runner import RunnerDeployment

EXAMPLE: Final = "KRAKEN:BTCUSD"
"""In forms of a desk that has no symbol yet."""
BACKFILLED: Final = timedelta(days=30)
"""How far back the form of a backfill begins."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One flow and when it runs."""

    flow: "Flow[..., Any]"
    crons: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """When it runs by itself, UTC, and with which parameters. None: only when it is asked for."""
    alone: bool = False
    """Whether only one run of it goes at a time; the others wait."""
    catch_up: bool = False
    """Whether a run that was missed, because the desk was not running, is made up for once when it runs again."""
    keeps: bool = False
    """Whether it keeps the desk whole: such runs never wait behind the long ones that fetch what someone asked for."""
    on_gap: bool = False
    """Whether a gap that ingest notices starts it at once."""
    offers: bool = False
    """Whether its form offers the strategies."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the form is filled with besides the flow's own defaults."""


def table(symbols: Sequence[Symbol], today: date) -> list[Entry]:
    """All flows.

    Args:
        symbols: Registered ones; forms are filled with the first of them, so that they work as they are.
        today: Forms that want a first day begin some weeks before it.
    """
    first = [str(symbol) for symbol in symbols[:1]] or [EXAMPLE]
    some = {"symbols": first}
    return [
        Entry(sync_symbol, parameters={"symbol": first[0]}),
        Entry(sync_bulk, parameters=some),
        Entry(sync_background, parameters=some),
        Entry(sync_all, {"0 */6 * * *": {}}, alone=True),
        Entry(sync_daily, {"0 9-17 * * 1-5": {}}, alone=True),
        Entry(backfill, parameters={**some, "start": today - BACKFILLED}),
        Entry(heal, {"*/5 * * * *": {}}, alone=True, keeps=True, on_gap=True),
        Entry(reconcile, {"30 0 * * *": {}}, alone=True, catch_up=True, keeps=True),
        # By the calendars of the exchanges: see flows.session_plan.
        Entry(session_report, alone=True, keeps=True),
        Entry(archive, {"0 1 * * *": {}}, alone=True, catch_up=True),
        Entry(
            backup,
            {
                "0 2 * * *": {"kind": "full"},
                # Not in the hour of the full one, and the tail never in the same minute as another.
                "0 0,1,3-23 * * *": {"kind": "hourly"},
                "2-57/5 * * * *": {"kind": "tail"},
            },
            alone=True,
            catch_up=True,
            keeps=True,
        ),
        Entry(restore_drill, {"0 4 * * 0": {}}, alone=True, catch_up=True),
        Entry(corporate_actions, {"30 5 * * *": {}}, alone=True, catch_up=True),
        Entry(cross_check, {"30 6 * * *": {}}, alone=True),
        Entry(watch, {"*/10 * * * *": {}}, alone=True, keeps=True),
        Entry(backtest, offers=True, parameters={**some, "strategy": "sma-cross"}),
        Entry(sweep, offers=True, parameters={**some, "strategy": "sma-cross", "parameters": SWEPT}),
        Entry(walk_forward, offers=True, parameters={**some, "strategy": "sma-cross", "parameters": SWEPT, **WALKED}),
        # After the archive, which may let rows of the journal go; its certificates are in the night's backup.
        Entry(parity, {"30 1 * * *": {}}, alone=True, catch_up=True, keeps=True),
        # By the calendar of New York's exchange: see flows.nightly_plan.
        Entry(nightly_backtests, alone=True, catch_up=True, offers=True),
    ]


async def deployment(entry: Entry, strategies: Sequence[Shown] = ()) -> "RunnerDeployment":
    """What Prefect is told of a flow: it has one deployment, of its own name, which is what the UI lists.

    Args:
        entry: The flow.
        strategies: What a form that asks for one offers; any text where there is none.
    """
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.events import DeploymentEventTrigger, Posture
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    bell = DeploymentEventTrigger(expect={GAP_EVENT}, posture=Posture.Reactive, parameters={"wait_s": WAIT_S})
    made = await entry.flow.ato_deployment(
        name=entry.flow.name,
        schedules=[Cron(cron, timezone="UTC", parameters=dict(given)) for cron, given in entry.crons.items()],
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)
        if entry.alone
        else None,
        parameters=dict(entry.parameters),
        triggers=[bell] if entry.on_gap else [],
        tags=["pocketquant"],
        # By its module, wherever the project is installed; a path would be read against the working folder.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    if entry.offers and strategies:
        offer(made, strategies)
    return made
