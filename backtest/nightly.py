"""What is run again each night: strategies on series, and how each stands when the day is over."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import Any, Final, NamedTuple

from backtest.on_desk import NIGHTLY, Desk, Done, Folders, planned, run_on
from backtest.reading import Check
from backtest.report import moment
from backtest.running import Tell
from market.intervals import Interval
from market.symbols import Symbol
from sinks.run_book import RunBook
from strategies.loader.files import OURS, Strategy, find
from trading.opening import Conditions
from trading.records import Reason, Records, State

PAGES_MOST: Final = 40
"""Runs of a night that have a page, which is 5 MB; `pq backtest --from` makes that of another."""
NIGHTS_KEPT: Final = 2
HOLDING: Final = "buy-and-hold"
"""What each run is held against anyway."""
FOLDER: Final = "nightly"
"""Among the desk's runs."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One run of each night."""

    strategy: str
    symbols: tuple[Symbol, ...]
    interval: Interval
    parameters: Mapping[str, Any] = field(default_factory=dict)
    cash: float = 10_000.0
    lot: float | None = None
    conditions: Conditions = Conditions()  # noqa: RUF009  # Frozen.

    @property
    def name(self) -> str:
        """As people write it; not one run's alone, since parameters may differ."""
        return f"{self.strategy} {' '.join(map(str, self.symbols))} {self.interval}"


class Standing(NamedTuple):
    """How a run stands at its end."""

    holds: str
    """What is held: `long since 2026-11-18`, `flat`."""
    open_gain: float
    """Return of what is held, a fraction; NaN when flat."""
    next: str
    """What it decided at the last close, for the next bar: `go long`, `stop sell`; empty for nothing."""


def usual(symbols: Sequence[Symbol], interval: Interval, held: Mapping[Symbol, int]) -> list[Wish]:
    """Each of our strategies on each symbol, with its defaults: those that decide on one series alone and ever sell.

    Args:
        symbols: Registered ones.
        interval: Length of the bars.
        held: How many bars of that length are held, by symbol, one that forms among them; a symbol with too few to
            warm up is left out.
    """
    found = []
    for name in OURS:
        if name == HOLDING:
            continue
        strategy = find(name)
        needs = strategy.needs(strategy.read_parameters())
        if needs.intervals or needs.symbols or needs.together > 1:
            continue
        found += [Wish(name, (symbol,), interval) for symbol in symbols if held.get(symbol, 0) > needs.warm_up + 1]
    return found


def spread(strategy: Strategy, symbols: Sequence[Symbol], parameters: Mapping[str, Any]) -> list[tuple[Symbol, ...]]:
    """The symbols of each run: all in one for a strategy that decides on several together, else one each.

    Raises:
        DeskError: The parameters are wrong.
    """
    needs = strategy.needs(strategy.read_parameters(parameters))
    together = max(needs.together, len(needs.symbols or ()))
    return [tuple(symbols)] if together > 1 else [(symbol,) for symbol in symbols]


def run_wish(
    desk: Desk,
    folders: Folders,
    strategies: Path,
    wish: Wish,
    into: Path,
    check: Check,
    now_ns: int,
    *,
    page: bool,
    tell: Tell = lambda _step, _share: None,
) -> Done:
    """Run one of a night's wishes, and write and note it.

    Args:
        desk: Whose bars.
        folders: Of the desk.
        strategies: Folder of the user's own.
        wish: What to run.
        into: Folder of its files; see `place_of`.
        check: Never asked, for nothing comes from a file.
        now_ns: When this is.
        page: Whether a page is among the files.
        tell: Told how far it is.

    Raises:
        DeskError: Something is wrong; says what.
    """
    plan, strategy = planned(
        wish.strategy,
        strategies,
        wish.parameters,
        symbols=[str(symbol) for symbol in wish.symbols],
        interval=str(wish.interval),
        cash=wish.cash,
        lot=wish.lot,
        conditions=wish.conditions,
    )
    return run_on(desk, folders, plan, strategy, check, now_ns, address=str(into), kind=NIGHTLY, page=page, tell=tell)


def places(runs: Path, night: dt.date, wishes: Iterable[Wish]) -> list[Path]:
    """The folder of each wish's files, in the order of the wishes; no two are one."""
    found, used = [], dict[str, int]()
    for wish in wishes:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", wish.name)
        used[name] = used.get(name, 0) + 1
        found.append(runs / FOLDER / f"{night:%Y-%m-%d}" / (name if used[name] == 1 else f"{name}-{used[name]}"))
    return found


def forget_old(folders: Folders) -> list[str]:
    """Take away all nights but the newest two, in the book and on the disk; the names of their folders."""
    root = folders.runs / FOLDER
    nights = sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    gone = nights[:-NIGHTS_KEPT]
    for path in gone:
        # A row whose files are gone would be worse than files that no row names.
        with RunBook(folders.history) as book:
            book.forget(NIGHTLY, str(path))
        rmtree(path)
    return [path.name for path in gone]


def standing(done: Done) -> Standing:
    """How a run stands at its end."""
    out, symbols = done.run.outcome, done.run.shown.symbols
    alone = len(symbols) == 1
    held = out.trades[out.trades["exit_reason"] == Reason.END]
    return Standing(
        holds=", ".join(_held(trade, "" if alone else f"{symbols[trade['symbol']]} ") for trade in held) or "flat",
        open_gain=_gain(held),
        next=", ".join(_wanted(order, "" if alone else f"{symbols[order['symbol']]} ") for order in _waiting(done)),
    )


def _held(trade: Any, whose: str) -> str:
    side = "long" if trade["side"] > 0 else "short"
    return f"{whose}{side} since {moment(int(trade['entry_time']))[:10]}"


def _gain(held: Records) -> float:
    """The return of what is held, on what it cost."""
    cost = float((held["units"] * held["entry_price"] * held["entry_rate"]).sum())
    return float(held["pnl"].sum()) / cost if cost else float("nan")


def _waiting(done: Done) -> Records:
    """Orders that were decided at the last close and wait for the next bar."""
    orders = done.run.outcome.orders
    working = (orders["state"] == State.WORKING) | (orders["state"] == State.NEW)
    waiting: Records = orders[working & (orders["placed_at"] == done.run.metrics.end)]
    return waiting


def _wanted(order: Any, whose: str) -> str:
    from trading.records import Kind, Side, Sizing

    if order["sizing"] == Sizing.TARGET:
        amount = float(order["amount"])
        return f"{whose}go {'long' if amount > 0 else 'short' if amount < 0 else 'flat'}"
    side = "" if order["side"] == Side.NONE else f" {Side(order['side'])}"
    return f"{whose}{Kind(order['kind'])}{side}"
