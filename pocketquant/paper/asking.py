"""A paper run as it is asked for: its plan from what the user named, held against what the desk has."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from infra.settings import Settings
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol
from pocketquant.feed_choice import running_feeds

if TYPE_CHECKING:
    from backtest.plan import Plan
    from strategies.loader.files import Strategy
    from trading.opening import Conditions

RUN_LETTERS: Final = 12
OLD_BARS: Final = 5
"""So many lengths of a bar after the newest one ended, others are missing."""
CLOSED_DAYS: Final = 4
"""Longest time that an exchange with sessions is closed, in all but rare years."""

_DAYS: Final = {Interval.D1: 1, Interval.W1: 7, Interval.MO1: 31}


class Asked(NamedTuple):
    """A run that can be started."""

    run: str
    """Its id: made of the plan, the source, and the moment at which it was asked for."""
    plan: "Plan"
    strategy: "Strategy"
    notes: tuple[str, ...]
    """What its user should know, a sentence each."""

    @property
    def body(self) -> dict[str, Any]:
        """What the desk is told; the source goes with it, so a file that is changed later changes nothing."""
        return {
            "plan": self.plan.model_dump(mode="json"),
            "source": self.strategy.source,
            "ours": self.strategy.ours,
            "path": str(self.strategy.path),
        }


def asked(
    settings: Settings,
    strategy: str,
    symbols: Sequence[Symbol],
    interval: Interval,
    given: Mapping[str, str],
    *,
    cash: float,
    currency: str,
    lot: float | None,
    conditions: "Conditions",
    now_ns: int,
) -> Asked:
    """Make a plan of what was named, or say why it cannot run.

    Args:
        settings: Of the desk.
        strategy: By name.
        symbols: What it trades.
        interval: Length of the bars it decides on.
        given: Parameters by name, as text.
        cash: To begin with.
        currency: Of the account and of all prices.
        lot: Smallest size; None is 1 for what has sessions, and a fraction of what never closes.
        conditions: What the run takes for granted, without the terms of single symbols.
        now_ns: When it is asked for.

    Raises:
        DeskError: There is no such strategy, it does not take these parameters or symbols, one of them is not followed
            or has no price yet, or the cash buys nothing.
    """
    from backtest.on_desk import planned
    from backtest.simulating import Decisions
    from trading.opening import open_account

    names = [str(symbol) for symbol in symbols]
    fields = {"symbols": names, "interval": str(interval), "cash": cash, "currency": currency, "lot": lot}
    plan, found = planned(strategy, settings.strategies, given, **fields, look_ahead_check=False)
    chosen = found.read_parameters(plan.parameters)
    # Plain: whether it can be compiled is found out where it runs.
    Decisions(found, chosen, names, interval, settings.folders.loops, compiled=False)
    open_account(names, conditions, cash, currency, room=1)
    feeds = followed(settings, symbols)
    runs = set(running_feeds(settings))
    unserved = {
        symbol: f"{symbol} is followed on feed {' and '.join(sorted(names))}, which the desk does not run now"
        for symbol, names in feeds.items()
        if runs and not names & runs
    }
    prices = {symbol: last_price(settings, symbol, unserved.get(symbol, "")) for symbol in symbols}
    conditions = with_lots(conditions, prices, lot)
    for symbol, price in prices.items():
        _check_cash(symbol, price, conditions, cash, currency)
    plan = plan.model_copy(update={"conditions": conditions})
    needs = found.needs(chosen)
    wanted = [(symbol, each) for symbol in symbols for each in (interval, *(needs.intervals or ()))]
    notes = [f"{sentence}: no tick of it comes" for sentence in unserved.values()]
    notes += [note for symbol, each in wanted for note in _warm_up(settings, symbol, each, needs.warm_up, now_ns)]
    return Asked(run_id(plan, found.source, now_ns), plan, found, tuple(notes))


def run_id(plan: "Plan", source: str, asked_at: int) -> str:
    """Hexadecimal; no two runs have the same one, though all else be equal."""
    content = json.dumps([plan.model_dump(mode="json"), source, asked_at], sort_keys=True)
    return sha256(content.encode()).hexdigest()[:RUN_LETTERS]


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two plans, as JSON has them, ask for the same; a lot that was chosen for a price is no difference."""

    def told(plan: Mapping[str, Any]) -> dict[str, Any]:
        return {**plan, "conditions": {**plan["conditions"], "terms": None}}

    return told(one) == told(other)


def followed(settings: Settings, symbols: Sequence[Symbol]) -> dict[Symbol, set[str]]:
    """The feeds on which symbols are followed; without any no tick of it would ever come, and it is refused.

    Raises:
        DeskError: It says how to follow them.
    """
    held: dict[Symbol, set[str]] = {}
    if settings.folders.desk.is_file():
        from sinks.ledger import Ledger

        with Ledger(settings.folders.desk) as ledger:
            for one in ledger.subscriptions():
                held.setdefault(one.symbol, set()).add(one.feed)
    missing = [symbol for symbol in symbols if symbol not in held]
    if missing:
        words = " ".join(map(str, missing))
        verb = "is" if len(missing) == 1 else "are"
        msg = f"{words} {verb} not followed, so no tick would come: `pq subscribe {words}` first"
        raise DeskError(msg)
    return {symbol: held[symbol] for symbol in symbols}


def last_price(settings: Settings, symbol: Symbol, unserved: str = "") -> float:
    """The newest price that the desk knows of a symbol, in its bars or else in its ticks.

    Args:
        settings: Of the desk.
        symbol: Whose.
        unserved: Why no tick of it comes now, as half a sentence; empty if one may.

    Raises:
        DeskError: There is none; or it is not above 0, and no account can hold that.
    """
    from pocketquant.reading import newest_ticks, read_bars

    bars = read_bars(settings, symbol, Interval.M1, limit=1)
    price = bars[0][8] if bars else None
    if price is None and settings.folders.journal.is_dir():
        ticks = newest_ticks(settings, symbol, None, None, 1, [])
        price = ticks[-1][5] if ticks else None
    if price is None:
        why = f", and {unserved}" if unserved else ""
        msg = f"no price of {symbol} is known yet{why}: start it once `pq quotes {symbol}` shows one"
        raise DeskError(msg)
    if not price > 0:
        msg = f"{symbol} is at {price!r}: only what has a price above 0 can be traded on paper"
        raise DeskError(msg)
    return float(price)


def with_lots(conditions: "Conditions", prices: Mapping[Symbol, float], lot: float | None) -> "Conditions":
    """The conditions with the terms of each symbol: the given lot, or that which fits what it is and costs."""
    from market.sessions import ROUND_THE_CLOCK, calendar_for
    from trading.assumptions.lots import fractional_lot

    terms = {}
    for symbol, price in prices.items():
        size = lot
        if size is None and calendar_for(symbol).name == ROUND_THE_CLOCK:
            size = fractional_lot(price)
        others = conditions.others
        lots = others.lots if size is None else others.lots.of_size(size)
        terms[str(symbol)] = others.model_copy(update={"lots": lots})
    return conditions.model_copy(update={"terms": terms})


def _check_cash(symbol: Symbol, price: float, conditions: "Conditions", cash: float, currency: str) -> None:
    """Refuse an account that could not buy the smallest size."""
    lot = conditions.of(str(symbol)).lots.lot
    if lot * price > cash * conditions.limits.leverage:
        msg = (
            f"cash {cash:g} {currency} buys nothing of {symbol}: the smallest size is {lot:g}, which costs "
            f"{lot * price:.10g} now; give more --cash, or a smaller --lot"
        )
        raise DeskError(msg)


def _warm_up(settings: Settings, symbol: Symbol, interval: Interval, wanted: int, now_ns: int) -> list[str]:
    """What is to be said of the bars that warm a strategy up: that there are too few, or that they are old."""
    from market.sessions import ROUND_THE_CLOCK, calendar_for
    from pocketquant.times import format_span

    if not wanted:
        return []
    held, newest = _held(settings, symbol, interval, wanted)
    fetch = f"`pq sync {symbol} {interval}` before the start may bring them"
    if held < wanted:
        later = f"it decides {wanted - held} bars later"
        return [f"{symbol} {interval}: {held} of the {wanted} bars that warm it up are held, so {later}; {fetch}"]
    age_ns = now_ns - newest
    closed_days = 0 if calendar_for(symbol).name == ROUND_THE_CLOCK else CLOSED_DAYS
    usual_min = OLD_BARS * (interval.minutes or _DAYS[interval] * 1440) + closed_days * 1440
    if age_ns <= usual_min * MINUTE_NS:
        return []
    age = format_span(age_ns / 1e9)
    return [f"{symbol} {interval}: the newest bar ended {age} ago, and only older ones warm it up; {fetch}"]


def _held(settings: Settings, symbol: Symbol, interval: Interval, most: int) -> tuple[int, int]:
    """How many of the newest bars that are over there are, at most so many, and the end of the last, ns."""
    from market.bars import BarState
    from pocketquant.reading import open_bars

    store = open_bars(settings)
    if store is None:
        return 0, 0
    with closing(store):
        frame = store.read(symbol, interval, limit=most, states=set(BarState) - {BarState.FORMING})
    return len(frame), int(frame["end"].dt.epoch("ns")[0]) if len(frame) else 0
