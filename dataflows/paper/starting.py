"""What has to be there before a run begins: its strategy, compiled, and the bars that it is shown before its first.

Compiling takes seconds, so live it is done beside the flow, and the start takes effect when it is done. What is found
out here is written down with the run: a rerun begins with the same.
"""

import threading
import time
import zlib
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from pydantic import ValidationError

from dataflows.paper.events import Begin
from market.bars import BarState
from market.errors import DeskError
from market.intervals import Interval, parse_interval
from market.symbols import parse_symbol
from sinks.bar_store import BarStore, StoreAway
from sinks.paper_book import Control
from strategies.interface import Needs
from strategies.loader.decider import Decider
from strategies.loader.files import Strategy, from_source
from trading.plan import Plan
from trading.records import VIEW, Records

PATIENCE_S: Final = 60.0
"""How long a strategy may take to say what it needs, and to be compiled."""

_AWAY_S: Final = 0.2
"""How long a store that is away is left alone."""
_OVER: Final = tuple(state for state in BarState if state is not BarState.FORMING)
_STATES: Final = {str(state): int(state) for state in BarState}
_COPIED: Final = ("open", "high", "low", "close", "volume", "trades")


class Chosen(NamedTuple):
    """A run as its start says."""

    plan: Plan
    strategy: Strategy
    parameters: Any
    """The strategy's model."""
    needs: Needs
    interval: Interval

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """Those that it sees, its own first."""
        return self.interval, *(self.needs.intervals or ())


def chosen(body: Mapping[str, Any]) -> Chosen:
    """Read a start.

    Raises:
        DeskError: It is none, or its strategy cannot be used.
    """
    try:
        plan = Plan.model_validate(body["plan"])
        source, path = str(body["source"]), Path(str(body["path"]))
    except (KeyError, ValidationError) as error:
        msg = f"the start lacks something or says what cannot be: {str(error).splitlines()[0]}; start it anew"
        raise DeskError(msg) from error
    if sha256(source.encode()).hexdigest() != plan.source_hash:
        msg = f"the source of strategy {plan.strategy} is not the one that the run is pinned to: start it anew"
        raise DeskError(msg)
    strategy = from_source(plan.strategy, path, source)
    parameters = strategy.read_parameters(plan.parameters)
    return Chosen(plan, strategy, parameters, strategy.needs(parameters), parse_interval(plan.interval))


def deciders(run: Chosen, loops: Path, *, compiled: bool = True) -> list[Decider]:
    """What decides: one for all symbols where the strategy decides on several together, else one for each.

    Raises:
        DeskError: The strategy cannot decide on the run's symbols, or goes wrong at its beginning.
    """
    symbols = run.plan.symbols
    first = Decider(run.strategy, run.parameters, symbols, run.interval, loops, compiled=compiled)
    together = max(run.needs.together, len(run.needs.symbols or ()))
    if together == 1:
        rest = symbols[1:]
        made = [Decider(run.strategy, run.parameters, symbols, run.interval, loops, compiled=compiled) for _ in rest]
        return [first, *made]
    if len(symbols) != together:
        msg = f"strategy {run.strategy.name} decides on {together} symbols together; the run has {len(symbols)}"
        raise DeskError(msg)
    return [first]


def streams_of(plan: Plan, designated: Mapping[str, int]) -> dict[str, int]:
    """The streams that make a run's bars.

    Raises:
        DeskError: A symbol has none.
    """
    missing = [symbol for symbol in plan.symbols if symbol not in designated]
    if missing:
        msg = f"no feed makes bars of {missing[0]}: `pq subscribe {missing[0]}` first"
        raise DeskError(msg)
    return {symbol: designated[symbol] for symbol in plan.symbols}


def warm_up(store: BarStore, run: Chosen, closed_until: int, at_most: int) -> Records:
    """The bars that a run is shown before its first, as they are known now.

    Args:
        store: The bar store.
        run: Whose.
        closed_until: End of the newest minute that has closed, ns; bars that end later are none of them.
        at_most: Of each symbol and interval so many of the newest, or as many as the strategy needs.

    Returns:
        `VIEW` records in the order in which they are shown.
    """
    count = max(at_most, run.needs.warm_up)
    parts = [
        _views(store, parse_symbol(symbol), place, interval, closed_until, count)
        for place, symbol in enumerate(run.plan.symbols)
        for interval in run.intervals
    ]
    return in_order(np.concatenate(parts)) if count else np.zeros(0, VIEW)


def in_order(views: Records) -> Records:
    """Bars in the order in which they are shown: by their ends, of one end the longer first, then by symbol."""
    return views[np.lexsort((views["symbol"], -views["interval"].astype(np.int64), views["end"]))]


def _views(store: BarStore, symbol: Any, place: int, interval: Interval, closed_until: int, count: int) -> Records:
    # The newest bar that is over may end after the minute that closed last, so one more is asked for.
    frame = store.read(symbol, interval, limit=count + 1, states=_OVER, newest_first=False)
    views = np.zeros(len(frame), VIEW)
    if not len(frame):
        return views
    for name in ("start", "end"):
        views[name] = frame[name].dt.epoch("ns").to_numpy()
    for name in _COPIED:
        views[name] = frame[name].to_numpy()
    views["notional"] = frame["notional"].fill_null(np.nan).to_numpy()
    views["state"] = frame["state"].replace_strict(_STATES).to_numpy()
    views["interval"] = interval
    views["symbol"] = place
    return views[views["end"] <= closed_until][-count:]


def packed(views: Records) -> bytes:
    """Bars as the book keeps them."""
    return zlib.compress(views.tobytes(), 3)


def unpacked(kept: bytes) -> Records:
    """Bars as they were given to `packed`; none of no bytes."""
    return np.frombuffer(zlib.decompress(kept), VIEW).copy() if kept else np.zeros(0, VIEW)


class Preparation:
    """A start on its way, in a thread of its own, which is abandoned if the strategy never comes back."""

    def __init__(
        self,
        control: Control,
        make: Callable[[Control], Begin],
        closed_until: int,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Begin.

        Args:
            control: The start.
            make: Makes what the run begins with.
            closed_until: Up to where bars are before the first.
            patience_s: How long it may take.
        """
        self.closed_until = closed_until
        self._control = control
        self._make = make
        self._patience_s = patience_s
        self._began_s = time.monotonic()
        self._done = threading.Event()
        self._made: Begin | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._work, name="start", daemon=True).start()

    def wait(self, timeout_s: float | None) -> bool:
        """Whether it is done; None waits for as long as it may take."""
        return self._done.wait(self._patience_s if timeout_s is None else timeout_s)

    @property
    def overdue(self) -> bool:
        """Whether it has taken longer than it may."""
        return time.monotonic() - self._began_s > self._patience_s

    def result(self) -> Begin:
        """What the run begins with.

        Raises:
            DeskError: It cannot begin, or has not come back.
        """
        if self._error is not None:
            raise self._error
        if self._made is None:
            msg = f"the strategy has not come back for {self._patience_s:g} s: look for a loop that has no end"
            raise DeskError(msg)
        return self._made

    def _work(self) -> None:
        while not self.overdue:
            try:
                self._made = self._make(self._control)
            except StoreAway:
                time.sleep(_AWAY_S)
                continue
            except BaseException as error:  # noqa: BLE001  # It is raised again by `result`.
                self._error = error
            break
        self._done.set()


def maker(
    store: BarStore, loops: Path, designated: Mapping[str, int], closed_until: int, at_most: int
) -> Callable[[Control], Begin]:
    """What makes a start's `Begin`.

    Args:
        store: The bar store.
        loops: Folder of compiled loops.
        designated: By symbol the stream that makes its bars.
        closed_until: Up to where bars are before the first, ns.
        at_most: How many of each series.
    """

    def make(control: Control) -> Begin:
        run = chosen(control.body)
        streams = streams_of(run.plan, designated)
        deciders(run, loops)
        return Begin(streams, warm_up(store, run, closed_until, at_most), run)

    return make
