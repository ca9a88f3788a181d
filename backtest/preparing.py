"""What comes before a run: its bars are read and looked at, and all that it takes for granted is settled."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from backtest import doubts
from backtest.curve import Days
from backtest.metrics import Terms, periods_per_year
from backtest.plan import Plan
from backtest.reading import Series, require
from backtest.report import moment
from backtest.stream import Bars, Stream, stream
from market.actions import Action
from market.adjustment import Adjust, Cut, cuts
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval, parse_interval
from market.sessions import ROUND_THE_CLOCK, Calendar, calendar_for
from market.spelling import read_symbol
from market.symbols import Symbol
from strategies.interface import Needs
from trading.assumptions.lots import fractional_lot
from trading.opening import Conditions, currency_places

Read = Callable[[Symbol, Interval, int | None, int | None], Series]
"""Reads the bars of one symbol at one interval that start in a span (ns)."""

Ask = Callable[[Symbol], Sequence[Action] | None]
"""The splits and dividends of a symbol; None where nobody was ever asked for them."""

RATE_BEFORE_NS: Final = 7 * 1440 * MINUTE_NS


class Acts(NamedTuple):
    """Splits and dividends of one symbol."""

    seen: list[Cut]
    """Taken out of what the strategy sees."""
    dealt: list[Cut]
    """Done to positions."""
    notes: list[str]
    known: bool = True
    """Whether anybody was ever asked for them."""


@dataclass(frozen=True)
class Prepared:
    """A run before its first bar: the same for all parameters of a strategy that need the same intervals."""

    plan: Plan
    symbols: tuple[Symbol, ...]
    interval: Interval
    calendars: Mapping[Symbol, Calendar]
    series: tuple[Series, ...]
    """Those that the strategy sees, in their order; then the rates, by currency."""
    rates_from: int
    """Place in `series` of the first rate."""
    acts: Mapping[Symbol, Acts]
    conditions: Conditions
    """With the lot of each symbol."""

    @property
    def round_the_clock(self) -> bool:
        """Whether all symbols trade all the time."""
        return all(calendar.name == ROUND_THE_CLOCK for calendar in self.calendars.values())

    def shown(self, until: int | None = None) -> Stream:
        """The bars in the order in which they are shown, made anew of those that ended by a moment (ns)."""

        def kept(one: Series) -> Bars:
            return one.bars if until is None else one.bars[one.bars["end"] <= until]

        bars = {(one.symbol, one.interval): kept(one) for one in self.series[: self.rates_from]}
        places = currency_places(self.plan.symbols, self.conditions, self.plan.currency)
        rates = {
            places[currency]: kept(one)
            for currency, one in zip(sorted(self.plan.rates), self.series[self.rates_from :], strict=True)
            if currency in places
        }
        seen = {symbol: found.seen for symbol, found in self.acts.items()}
        dealt = {symbol: found.dealt for symbol, found in self.acts.items()}
        return stream(bars, self.symbols, self.interval, self.calendars, seen, dealt, rates)

    def first(self, shown: Stream) -> int:
        """Row from which on is traded: of the run's own interval, of which there may be bars for a shorter time.

        Raises:
            DeskError: It would be after the last.
        """
        own = np.flatnonzero(shown.own)
        since = -1 if self.plan.trade_from is None else self.plan.trade_from
        place = int(np.searchsorted(shown.views["start"][own], since))
        if place >= len(own):
            symbol, when = self.plan.symbols[0], moment(since)
            msg = f"no bar of {symbol} {self.interval} starts at {when} or later: nothing is to trade"
            raise DeskError(msg)
        return int(own[place])

    def terms(self, shown: Stream, first: int) -> Terms:
        """By what results are measured."""
        clock = self.round_the_clock
        return Terms(
            begin=int(shown.views["start"][first]),
            cash=self.plan.cash,
            periods_per_year=periods_per_year(self.interval, clock),
            each_mark=self.interval > Interval.D1,
            days=None if clock else _days(next(iter(self.calendars.values()))),
        )

    def notes(self) -> list[str]:
        """What a reader must know of the bars, a sentence each."""
        said = [note for symbol in self.symbols for note in self.acts[symbol].notes]
        for one in self.series[: self.rates_from]:
            said += doubts.notes(one, self.calendars[one.symbol], self.acts[one.symbol].seen)
        return said


def prepare(
    plan: Plan,
    needs: Needs,
    read: Read,
    *,
    actions: Ask = lambda _symbol: None,
    tell: Callable[[str, float], None] = lambda _step, _share: None,
) -> Prepared:
    """Read a plan's bars and look at them.

    Args:
        plan: What is to be run.
        needs: What its strategy has to be shown: the intervals beside the run's own, and its warm-up.
        read: Where bars come from.
        actions: Splits and dividends.
        tell: Told how much of the step `read` is done.

    Raises:
        DeskError: A symbol, a currency or the bars are wrong, or too few; or the cash buys nothing at any time.
    """
    interval = parse_interval(plan.interval)
    symbols = tuple(read_symbol(text) for text in plan.symbols)
    _check_currencies(plan)
    calendars = {symbol: calendar_for(symbol) for symbol in symbols}
    series = []
    wanted = [(symbol, each) for symbol in symbols for each in (interval, *(needs.intervals or ()))]
    for place, (symbol, each) in enumerate(wanted):
        tell("read", place / len(wanted))
        one = read(symbol, each, plan.start, plan.end)
        require(one, needs.warm_up if each is interval else 0, _span(plan), _hint(plan, symbol, each))
        doubts.check_prices(one)
        series.append(one)
    series += [_rate(plan, read, interval, currency) for currency in sorted(plan.rates)]
    tell("read", 1.0)
    own = {symbol: _own(series, symbol, interval) for symbol in symbols}
    conditions = assumed(plan, own)
    _check_cash(plan, own, conditions)
    return Prepared(
        plan=plan,
        symbols=symbols,
        interval=interval,
        calendars=calendars,
        series=tuple(series),
        rates_from=len(wanted),
        acts={symbol: _acts(plan, symbol, own[symbol], calendars[symbol], actions) for symbol in symbols},
        conditions=conditions,
    )


def _check_cash(plan: Plan, own: Mapping[Symbol, Series], conditions: Conditions) -> None:
    """Refuse an account that could not buy the smallest size of anything at the lowest price of all."""
    means = plan.cash * conditions.limits.leverage
    dear = []
    for symbol, one in own.items():
        terms = conditions.of(str(symbol))
        lows = one.bars["low"][one.bars["start"] >= (plan.trade_from or 0)]
        if terms.currency != plan.currency or not len(lows) or terms.lots.lot * float(lows.min()) <= means:
            return
        dear.append((symbol, terms.lots.lot, terms.lots.lot * float(lows.min())))
    symbol, lot, least = min(dear, key=lambda each: each[2])
    msg = (
        f"cash {plan.cash:g} {plan.currency} buys nothing of {symbol}: the smallest size is {lot:g}, which costs "
        f"{least:.10g} at the least; give more --cash, or a smaller --lot"
    )
    raise DeskError(msg)


def assumed(plan: Plan, own: Mapping[Symbol, Series]) -> Conditions:
    """The conditions of a run, with the lot of each symbol."""
    terms = {}
    for symbol, one in own.items():
        lot = plan.lot
        if lot is None and calendar_for(symbol).name == ROUND_THE_CLOCK:
            lot = fractional_lot(float(one.bars["close"][0]))
        given = plan.conditions.of(str(symbol))
        lots = given.lots if lot is None else given.lots.of_size(lot)
        currency = plan.quoted.get(str(symbol), plan.currency)
        terms[str(symbol)] = given.model_copy(update={"lots": lots, "currency": currency})
    return plan.conditions.model_copy(update={"terms": terms})


def _rate(plan: Plan, read: Read, interval: Interval, currency: str) -> Series:
    """Bars of a currency's rate, from some days before the run, so that one is known at its start."""
    symbol = read_symbol(plan.rates[currency])
    start = None if plan.start is None else plan.start - RATE_BEFORE_NS
    one = read(symbol, interval, start, plan.end)
    require(one, 0, _span(plan), f"the rate of {currency} is needed at the run's interval")
    doubts.check_prices(one)
    return one


def _acts(plan: Plan, symbol: Symbol, own: Series, calendar: Calendar, ask: Ask) -> Acts:
    if calendar.name in {ROUND_THE_CLOCK, "24/5"}:
        return Acts([], [], [])
    known = ask(symbol)
    bars = own.bars
    if known is None:
        note = (
            f"Splits and dividends of {symbol} are not known: the strategy saw prices as they traded, and positions "
            f"were neither split nor paid. `pq actions fetch {symbol}` or `pq actions import FILE` brings them."
        )
        return Acts([], [], [note], known=False)

    def close_before(time: int) -> float | None:
        place = int(np.searchsorted(bars["end"], time, side="right")) - 1
        return float(bars["close"][place]) if place >= 0 else None

    rule = plan.conditions.actions
    until = int(bars["end"][-1]) - 1
    seen = cuts(known, calendar, Adjust(rule.signals), close_before, until)
    every = cuts(known, calendar, Adjust.ALL, close_before, until) if rule.apply else []
    begins = int(bars["start"][0])
    return Acts([cut for cut in seen if cut.time > begins], [cut for cut in every if cut.time > begins], [])


def _own(series: Sequence[Series], symbol: Symbol, interval: Interval) -> Series:
    return next(one for one in series if one.symbol == symbol and one.interval is interval)


def _check_currencies(plan: Plan) -> None:
    unknown = sorted({*plan.quoted} - {*plan.symbols})
    if unknown:
        msg = f"{unknown[0]} is none of the run's symbols, so its prices need no currency"
        raise DeskError(msg)
    for symbol, other in plan.quoted.items():
        if other != plan.currency and other not in plan.rates:
            msg = (
                f"{symbol} trades in {other} and the account is in {plan.currency}: name the bars of the rate, such as "
                f"--rate {other}=FX:{other}{plan.currency}"
            )
            raise DeskError(msg)


def _span(plan: Plan) -> str:
    parts = [f" from {moment(plan.start)}"] if plan.start is not None else []
    return "".join([*parts, f" to {moment(plan.end)}"] if plan.end is not None else parts)


def _hint(plan: Plan, symbol: Symbol, interval: Interval) -> str:
    if plan.where == "file":
        return "name another file or span"
    if plan.filled_by == "ticks":
        return "`pq up` makes them of a symbol that is subscribed; without --fills ticks the store's bars will do"
    return f"`pq sync {symbol} {interval}` or `pq backfill {symbol} --interval {interval}` fetches them"


def _days(calendar: Calendar) -> Days:
    start, place = np.unique(calendar.day_start * MINUTE_NS, return_index=True)
    return Days(start, calendar.day[place])
