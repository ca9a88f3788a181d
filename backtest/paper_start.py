"""A paper run as it was started: its plan, its own copy of its strategy, and what decides."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from backtest.plan import Plan
from market.errors import DeskError
from market.intervals import Interval, parse_interval
from market.spelling import read_symbol
from market.symbols import Symbol
from strategies.interface import REQUESTS_MAX, Needs
from strategies.loader.decider import Decider
from strategies.loader.files import Strategy, from_source
from trading.records import ORDER, VIEW, Records


class Started(NamedTuple):
    """What a paper run is."""

    run: str
    plan: Plan
    strategy: Strategy
    """Made of the source that was saved with the run."""
    parameters: Any
    needs: Needs
    interval: Interval
    symbols: tuple[Symbol, ...]
    started_seq: int
    """Row of the journal behind which it began."""

    @property
    def series(self) -> dict[tuple[Symbol, Interval], int]:
        """What its strategy sees, with the place of the symbol."""
        return {
            (symbol, interval): place
            for place, symbol in enumerate(self.symbols)
            for interval in (self.interval, *(self.needs.intervals or ()))
        }


def started(row: Mapping[str, Any]) -> Started:
    """Read a row of the paper book's runs.

    Raises:
        DeskError: Its plan or its strategy cannot be used any more.
    """
    try:
        plan = Plan.model_validate(row["plan"])
    except ValidationError as error:
        msg = f"the plan of paper run {row['run']} cannot be read: {str(error).splitlines()[0]}"
        raise DeskError(msg) from error
    strategy = from_source(plan.strategy, Path(f"{plan.strategy}.py"), str(row["source"]))
    if strategy.source_hash != plan.source_hash:
        msg = f"paper run {row['run']} was saved with another source than it is pinned to: the book was changed"
        raise DeskError(msg)
    parameters = strategy.read_parameters(plan.parameters)
    symbols = tuple(read_symbol(text) for text in plan.symbols)
    needs = strategy.needs(parameters)
    interval = parse_interval(plan.interval)
    return Started(str(row["run"]), plan, strategy, parameters, needs, interval, symbols, int(row["started_seq"]))


def warm_up(kept: bytes) -> Records:
    """The bars that a run was shown before its first, as `VIEW` records, of the paper book's bytes."""
    return np.frombuffer(zlib.decompress(kept) if kept else b"", VIEW).copy()


class Decided(NamedTuple):
    """What was decided on some bars, by bar."""

    exposures: list[float]
    """NaN leaves everything as it is; all of them where orders are asked for."""
    counts: list[int]
    orders: list[Records]


class Deciders:
    """A run's strategy with its state: one for all symbols where it decides on several together, else one for each."""

    def __init__(self, told: Started, loops: Path) -> None:
        """Begin; errors as `Decider`'s."""
        together = max(told.needs.together, len(told.needs.symbols or ()))
        count = 1 if together > 1 else len(told.symbols)
        self._places_orders = told.strategy.places_orders
        self._made = [
            Decider(told.strategy, told.parameters, told.plan.symbols, told.interval, loops) for _ in range(count)
        ]

    def decide(self, views: Records) -> Decided:
        """Show bars, and take what is decided on each.

        Raises:
            StrategyError: The strategy went wrong; says on which bar.
        """
        count = len(views)
        found = Decided([float("nan")] * count, [0] * count, [np.zeros(0, ORDER)] * count)
        for decider, places in self._shares(views):
            if not self._places_orders:
                for place, exposure in zip(places.tolist(), decider.exposures(views[places]).tolist(), strict=True):
                    found.exposures[place] = exposure
                continue
            counts, orders = decider.requests(views[places])
            at = 0
            for place, asked in zip(places.tolist(), counts.tolist(), strict=True):
                written = min(asked, REQUESTS_MAX)
                found.counts[place] = asked
                found.orders[place] = orders[at : at + written]
                at += written
        return found

    def snapshot(self) -> list[bytes]:
        """All that has to be kept to go on later."""
        return [decider.snapshot() for decider in self._made]

    def restore(self, kept: Sequence[bytes]) -> None:
        """Go on from a snapshot; errors as `Decider.restore`'s."""
        for decider, data in zip(self._made, kept, strict=True):
            decider.restore(data)

    def _shares(self, views: Records) -> list[tuple[Decider, NDArray[np.intp]]]:
        if len(self._made) == 1:
            return [(self._made[0], np.arange(len(views)))]
        every = [(decider, np.flatnonzero(views["symbol"] == place)) for place, decider in enumerate(self._made)]
        return [(decider, places) for decider, places in every if len(places)]
