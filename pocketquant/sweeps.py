"""Sweeps of the terminal: the desk that they are run on."""

from collections.abc import Callable
from datetime import tzinfo
from typing import TYPE_CHECKING

from infra.settings import Settings
from pocketquant.backtests import check

if TYPE_CHECKING:
    from backtest.plan import Plan
    from backtest.sweep import Hunt
    from backtest.sweep_desk import Swept
    from strategies.loader.files import Strategy


def sweep_run(
    settings: Settings,
    plan: "Plan",
    hunt: "Hunt",
    strategy: "Strategy",
    output: str | None,
    zone: tzinfo,
    jobs: int | None,
    tell: Callable[[str, float], None],
) -> "Swept":
    """Sweep on the desk.

    Raises:
        DeskError: Something is wrong; nothing was written.
    """
    from backtest.sweep_desk import sweep_on
    from history.desk import HistoryDesk
    from infra.kept_schedules import keep_in

    keep_in(settings.folders.cache)
    settings.folders.create()
    with HistoryDesk(settings) as desk:
        return sweep_on(
            desk, settings.folders, plan, hunt, strategy, check, desk.now_ns(), address=output, zone=zone, jobs=jobs,
            tell=tell,
        )  # fmt: skip
