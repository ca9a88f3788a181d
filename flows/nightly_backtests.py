"""The nightly backtests: after New York's day, strategies run again on all that is held, and how each stands."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flows import artifacts, run_pictures
from flows.assumed import Assumed
from flows.backtest import Cash, check, told
from flows.forms import IntervalName, SymbolText, interval_of, symbols_of
from flows.nightly_plan import night_of
from flows.report_files import link
from flows.running import check_parts, desk, desk_flow, gathered, part, say, voice
from flows.strategy_forms import ParameterValues, StrategyName
from history.books import StoppedError
from infra.kept_schedules import keep_in
from market.errors import DeskError

if TYPE_CHECKING:
    from backtest.nightly import Standing, Wish
    from history.desk import HistoryDesk
    from infra.settings import Nightly
    from market.symbols import Symbol

TASKS: Final = 20
"""More tasks than these in a run would cost Prefect's server more than the backtests cost us."""
ROWS_SHOWN: Final = 200
MAP_ROWS: Final = 30


class NightlyRun(BaseModel):
    """A strategy and the symbols that it is run on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    strategy: StrategyName = Field(default="sma-cross", description="Ours or your own.")
    symbols: list[SymbolText] = Field(default=[], description="EXCHANGE:TICKER each. None at all: registered ones.")
    interval: IntervalName = Field(default="1d", description="Length of the bars.")
    parameters: ParameterValues = Field(default={}, description="By name; what is left out has its default.")
    cash: Cash = Field(default=10_000.0, description="To begin with.")
    assumed: Assumed = Field(default=Assumed(), description="What the run takes for granted.")


@dataclass(frozen=True, slots=True)
class Row:
    """What a run of the night came to, as it is shown; a run itself is megabytes."""

    wish: "Wish"
    total: float = nan
    held: float = nan
    """Return of buying and holding."""
    sharpe: float = nan
    drawdown: float = nan
    trades: int = 0
    last: str = ""
    """Day of the last bar."""
    standing: "Standing | None" = None
    where: Path = Path()
    page: bool = False
    error: str = ""


@part("{name}")
def run_some(name: str, places: Sequence[int], night: "Night") -> list[Row]:
    """Run some of the night's wishes, one after the other; one that fails never stops the rest."""
    say(f"{name}: {len(places)} backtests")
    return [night.run(place) for place in places]


@desk_flow("nightly-backtests", lambda _given: f"nightly backtests {night_of(time.time_ns())}", at_once=1)
def nightly_backtests(runs: Sequence[NightlyRun] = ()) -> str:
    """After New York's day: strategies on all that is held, what each has made of it, and what it wants tomorrow.

    Runs at 17:00 New York on the days that its exchanges trade. Which runs there are is the setting `flows.nightly`;
    where it is empty, each of our strategies for one series is run on each registered symbol's daily bars. Files of the
    last two nights are kept among the desk's runs.

    Args:
        runs: Other runs than those, this once.
    """
    from backtest.nightly import forget_old

    with desk() as found:
        keep_in(found.folders.cache)
        night = Night(found, runs or [_of_settings(one) for one in found.settings.flows.nightly])
        groups = night.groups()
        futures = {name: run_some.submit(name, places, night) for name, places in groups.items()}
        done, broken = gathered(futures)
        rows = [row for some in done.values() for row in some]
        gone = forget_old(found.folders)
        if gone:
            say(f"nights that are not kept any longer: {' '.join(gone)}")
        if rows:
            _show(rows, found.folders.runs)
    failed = {row.wish.name: row.error for row in rows if row.error} | broken
    check_parts(failed, len(night.wishes))
    if not rows:
        return "nothing to run: no registered symbol has daily bars enough; `pq sync --all --interval 1d` fetches them"
    return _sentence(rows)


class Night:
    """The runs of one night."""

    def __init__(self, found: "HistoryDesk", asked: Sequence[NightlyRun]) -> None:
        """Work out what is to be run: what is asked for, or the usual where nothing is."""
        from backtest import nightly

        self._desk = found
        self.date = night_of(found.now_ns())
        self.wishes: list[Wish] = [wish for one in asked for wish in _wishes(found, one)] if asked else _usual(found)
        self._into = nightly.places(found.folders.runs, self.date, self.wishes)
        self._pages = len(self.wishes) <= nightly.PAGES_MOST

    def groups(self) -> dict[str, list[int]]:
        """The places of the wishes by the name of the task that runs them, a strategy each, or several in one."""
        by_strategy: dict[str, list[int]] = {}
        for place, wish in enumerate(self.wishes):
            by_strategy.setdefault(f"{wish.strategy} {wish.interval}", []).append(place)
        if len(by_strategy) <= TASKS:
            return by_strategy
        size = -(-len(self.wishes) // TASKS)
        every = range(len(self.wishes))
        return {f"{size} from {self.wishes[first].name}": list(every[first : first + size]) for first in every[::size]}

    def run(self, place: int) -> Row:
        """Run one of them; a failure is a row with its sentence."""
        from backtest.nightly import run_wish, standing
        from backtest.report import moment

        wish, into = self.wishes[place], self._into[place]
        found = self._desk
        quiet = told(lambda _text: None, wish.name)
        try:
            done = run_wish(
                found,
                found.folders,
                found.settings.strategies,
                wish,
                into,
                check,
                found.now_ns(),
                page=self._pages,
                tell=quiet,
            )
        except StoppedError:
            raise
        except DeskError as error:
            voice()(f"{wish.name}: {error}")
            return Row(wish, error=str(error))
        ours, held = done.run.metrics, done.run.benchmark
        return Row(
            wish,
            ours.total_return,
            held.total_return,
            ours.sharpe,
            ours.drawdown_max,
            ours.trades,
            moment(ours.end - 1)[:10],
            standing(done),
            into,
            self._pages,
        )


def _of_settings(line: "Nightly") -> NightlyRun:
    try:
        return NightlyRun.model_validate(line.model_dump())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = " ".join(str(part) for part in first["loc"])
        msg = f"setting flows.nightly, strategy {line.strategy}: {where}: {first['msg']}; it is {first['input']!r}"
        raise DeskError(msg) from error


def _wishes(found: "HistoryDesk", asked: NightlyRun) -> "list[Wish]":
    """The runs that one line of the form or of the settings stands for."""
    from backtest.nightly import Wish, spread
    from history.registry import registered
    from strategies.loader.files import find

    strategy = find(asked.strategy, found.settings.strategies)
    symbols = symbols_of(asked.symbols) or registered(found)
    interval = interval_of(asked.interval)
    conditions, lot = asked.assumed.conditions(), asked.assumed.lot
    return [
        Wish(strategy.name, some, interval, asked.parameters, asked.cash, lot, conditions)
        for some in spread(strategy, symbols, asked.parameters)
    ]


def _usual(found: "HistoryDesk") -> "list[Wish]":
    from backtest.nightly import usual
    from history.registry import registered
    from market.intervals import Interval

    daily = Interval.D1
    held: dict[Symbol, int] = {one.symbol: one.bars for one in found.store.series() if one.interval is daily}
    return usual(registered(found), daily, held)


def _sentence(rows: Sequence[Row]) -> str:
    ahead = sum(row.total > row.held for row in rows)
    orders = sum(bool(row.standing and row.standing.next) for row in rows)
    wants = "1 wants" if orders == 1 else f"{orders} want"
    best = max(rows, key=lambda row: row.sharpe if isfinite(row.sharpe) else -1e9)
    return (
        f"{len(rows)} backtests: {ahead} above buying and holding; the best Sharpe, {best.sharpe:.2f}, has "
        f"{best.wish.name}; {wants} something done at the next open"
    )


def _show(rows: Sequence[Row], runs: Path) -> None:
    well = sorted((row for row in rows if not row.error), key=lambda row: -row.sharpe if isfinite(row.sharpe) else 1e9)
    parts = [f"**{_sentence(well)}**", f"Bars up to {_span(well)}."] if well else []
    wanting = [row for row in well if row.standing is not None and row.standing.next]
    if wanting:
        parts += [
            "### For the next open",
            artifacts.table(
                ("run", "now", "wants"),
                [(_named(row, runs), row.standing and row.standing.holds, row.standing and row.standing.next)
                 for row in wanting],
            ),
        ]  # fmt: skip
    picture = _map(well)
    if picture:
        parts.append(picture)
    if well:
        head = ("run", "return %", "buy and hold %", "Sharpe", "drawdown %", "trades", "holds", "at %")
        parts += ["### By Sharpe", artifacts.table(head, [_cells(row, runs) for row in well[:ROWS_SHOWN]])]
        if len(well) > ROWS_SHOWN:
            parts.append(f"and {len(well) - ROWS_SHOWN} more: `pq report --limit {len(well)}`")
    failed = [row for row in rows if row.error]
    if failed:
        parts += ["### Failed", artifacts.table(("run", "because"), [(row.wish.name, row.error) for row in failed])]
    artifacts.publish("nightly-backtests", "\n\n".join(parts), _sentence(well) if well else f"{len(failed)} failed")


def _span(rows: Sequence[Row]) -> str:
    """The day of the last bars; where they differ, of the oldest too."""
    oldest, newest = min(row.last for row in rows), max(row.last for row in rows)
    return newest if oldest == newest else f"{newest}; the oldest run's end at {oldest}"


def _cells(row: Row, runs: Path) -> tuple[Any, ...]:
    from backtest.report import worded

    standing = row.standing
    return (
        _named(row, runs),
        f"{100 * row.total:.1f}",
        f"{100 * row.held:.1f}",
        worded(row.sharpe, "number"),
        f"{100 * row.drawdown:.1f}",
        row.trades,
        standing and standing.holds,
        f"{100 * standing.open_gain:+.1f}" if standing and isfinite(standing.open_gain) else "",
    )


def _named(row: Row, runs: Path) -> str:
    """The run's name, which leads to its report."""
    found = link(row.where / ("report.html" if row.page else "report.md"), runs)
    return f"[{row.wish.name}]({found})" if found else row.wish.name


def _map(rows: Sequence[Row]) -> str:
    """Strategies by series: how much better than buying and holding, in points of a hundred."""
    columns = sorted({row.wish.strategy for row in rows})
    names = sorted({_series(row) for row in rows})[:MAP_ROWS]
    if len(columns) < 2 and len(names) < 2:
        return ""
    values = [[nan] * len(columns) for _ in names]
    for row in rows:
        if _series(row) in names:
            values[names.index(_series(row))][columns.index(row.wish.strategy)] = 100 * (row.total - row.held)
    figure = run_pictures.grid(names, columns, values, "return less that of buying and holding, points of 100")
    return artifacts.picture(figure, "return less that of buying and holding")


def _series(row: Row) -> str:
    return f"{' '.join(map(str, row.wish.symbols))} {row.wish.interval}"
