"""The planner: fits the syncs of a universe into what providers allow, and says beforehand what it will not reach.

It plays what the ledger would do, by the same rule and from what is spent already: each page is a call of the first
provider in the symbol's order that lets it in within a minute. So what it promises is what happens, as long as nobody
else calls and providers answer.

Who comes first: symbols of which nothing is held yet, then those whose newest bar is oldest.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Final, NamedTuple

from history.allowance import DAY_S, SECOND_NS, Allowance, longest_ns
from history.moments import iso
from history.order import orders
from history.quota import PATIENCE_NS, windows_of
from history.roster import breakers, quota, roster
from history.slot_numbers import slots_back, slots_between
from history.ways import ways
from market.intervals import Interval
from market.sessions import calendar_for
from market.symbols import Symbol
from sources.history.provider import Terms

if TYPE_CHECKING:
    from history.desk import HistoryDesk

_DAYS_AHEAD: Final = 31
"""How far ahead the planner looks for the day of what it does not reach."""


class Want(NamedTuple):
    """Bars of one symbol that are to be synced."""

    symbol: Symbol
    interval: Interval
    newest: int | None
    """Start of the newest bar that is held, ns; None if none is."""
    calls: Mapping[str, int]
    """Calls (pages) that all of it takes, by provider, in the order in which they are asked; only those that can be
    asked, and that have such bars or can build them."""


class Job(NamedTuple):
    """One want that is reached."""

    want: Want
    providers: tuple[str, ...]
    """Who gives it: one, or more where the first has not enough left."""
    calls: int
    begins_at: int
    """Of its first call, by quota and pace alone, ns."""
    done_at: int
    """Of its last."""


class Left(NamedTuple):
    """One want that is not reached."""

    want: Want
    why: str
    """A sentence."""
    done_at: int | None
    """When it is reached if every day is planned so, ns; None if not within a month, or never."""


class Plan(NamedTuple):
    """What will be reached, in the order in which it is to be asked for, and what will not."""

    jobs: tuple[Job, ...]
    left: tuple[Left, ...]
    until: int
    """ns; what is not done by then is left."""

    def __str__(self) -> str:
        reached = f"{len(self.jobs)} of {len(self.jobs) + len(self.left)} symbols by {iso(self.until)}"
        if not self.left:
            return reached
        times = [one.done_at for one in self.left if one.done_at is not None]
        later = f", the others by {iso(max(times))}" if len(times) == len(self.left) else ""
        return f"{reached}{later}: {self.left[0].want.symbol}: {self.left[0].why}"


@dataclass(slots=True)
class Lane:
    """One provider: what it allows, and how far its calls are planned."""

    allowance: Allowance
    weight: int
    """Of one call."""
    space_ns: int
    """From one call to the next, by its pace."""
    free_at: int
    """When the next call may begin by pace, or by a rest that the provider takes, ns."""

    def copy(self) -> "Lane":
        """A lane to try something out on."""
        return Lane(self.allowance.copy(), self.weight, self.space_ns, self.free_at)

    def call(self, now_ns: int, patience_ns: int) -> int | None:
        """Make a call as soon as it is let in; the moment, or None if that is more than the patience away."""
        at = max(now_ns, self.free_at)
        # What makes room in one window may still be too early for another.
        while (later := self.allowance.earliest(at, self.weight).at_ns) > at:
            at = later
            if at - now_ns > patience_ns:
                return None
        if at - now_ns > patience_ns:
            return None
        self.allowance.take(at, self.weight)
        self.free_at = at + self.space_ns
        return at


def plan(wants: Iterable[Want], lanes: Mapping[str, Lane], now_ns: int, until_ns: int, *, at_once: int = 1) -> Plan:
    """Fit wants into lanes.

    Args:
        wants: In any order.
        lanes: By provider; not changed.
        now_ns: When the work begins.
        until_ns: When it has to be done.
        at_once: How many symbols are worked on at a time.
    """
    ordered_wants = sorted(wants, key=_urgency)
    jobs, rest, spent = _fit(ordered_wants, lanes, now_ns, until_ns, at_once)
    return Plan(tuple(jobs), tuple(_later(rest, spent, now_ns, until_ns, at_once)), until_ns)


def plan_sync(
    desk: "HistoryDesk",
    symbols: Sequence[Symbol],
    interval: Interval,
    count: int,
    *,
    until_ns: int | None = None,
    at_once: int = 4,
) -> Plan:
    """Plan the sync of the newest bars of many symbols from what is left now.

    Args:
        desk: Whose providers, ledger and store they are.
        symbols: Whose bars.
        interval: Of the bars.
        count: How many of each.
        until_ns: When it has to be done; None: by the end of the UTC day.
        at_once: How many symbols are worked on at a time.

    Raises:
        DeskError: An exchange has no calendar, or an order names a provider that there is not.
    """
    now = desk.now_ns()
    day = DAY_S * SECOND_NS
    until = (now // day + 1) * day if until_ns is None else until_ns
    held = {one.symbol: one.last for one in desk.store.series() if one.interval is interval}
    offered = roster(desk).offered
    wants = []
    for symbol, order in orders(desk, symbols).items():
        names = [name for name in order if name in offered and not offered[name].missing]
        calls = {name: calls_for(offered[name].terms, symbol, interval, count, now) for name in names}
        able = {name: number for name, number in calls.items() if number is not None}
        wants.append(Want(symbol, interval, held.get(symbol), able))
    return plan(wants, lanes_of(desk), now, until, at_once=at_once)


def in_turn(
    desk: "HistoryDesk",
    symbols: Sequence[Symbol],
    interval: Interval,
    count: int,
    *,
    at_once: int = 4,
    say: Callable[[str], None] = lambda _: None,
) -> list[Symbol]:
    """Symbols in the order in which a sync should take them: what is reached today, then the rest.

    Args:
        desk: As for `plan_sync`, and so are those below.
        symbols: Each is taken once.
        interval: Of the bars.
        count: Of each.
        at_once: How many at a time.
        say: Told what will not be reached, if anything.
    """
    made = plan_sync(desk, symbols, interval, count, at_once=at_once)
    if made.left:
        say(f"sync of {interval} bars: {made}")
    return [job.want.symbol for job in made.jobs] + [one.want.symbol for one in made.left]


def lanes_of(desk: "HistoryDesk") -> dict[str, Lane]:
    """Every provider that can be asked, with what is spent of it now."""
    now = desk.now_ns()
    book = quota(desk).book
    blocks = book.blocks(now)
    found = {}
    for name, one in roster(desk).offered.items():
        if one.missing:
            continue
        windows = windows_of(name, one.terms, desk)
        recent = [(call.at_ns, call.weight) for call in book.recent(name, now - longest_ns(windows))]
        days = [(day.day, day.weight) for day in book.days(now - _DAYS_AHEAD * DAY_S * SECOND_NS, name)]
        rest = max(blocks[name].until_ns if name in blocks else now, breakers(desk).rests_until(name))
        space = round(SECOND_NS / one.terms.per_second)
        found[name] = Lane(Allowance(windows, recent, days), one.terms.call_weight, space, max(now, rest))
    return found


def calls_for(terms: Terms, symbol: Symbol, interval: Interval, count: int, now_ns: int) -> int | None:
    """Calls (pages) that the newest `count` bars take; None if the provider has not even their parts.

    What would have to be made of trades is left out: how many there are is not known beforehand.
    """
    calendar = calendar_for(symbol)
    for way in ways(terms, interval):
        if way.fetched is None:
            continue
        bars = count
        if not way.direct:
            since = slots_back(calendar, interval, now_ns, count)
            bars = slots_between(calendar, way.fetched, since, now_ns)
        if terms.max_bars is not None and bars > terms.max_bars:
            continue
        return max(1, -(-bars // terms.page_bars))
    return None


def _urgency(want: Want) -> tuple[bool, int, Symbol]:
    return (want.newest is not None, want.newest or 0, want.symbol)


def _fit(
    wants: Sequence[Want], lanes: Mapping[str, Lane], now_ns: int, until_ns: int, at_once: int
) -> tuple[list[Job], list[Want], dict[str, Lane]]:
    """What is reached, what is not, and the lanes after it."""
    lanes = dict(lanes)
    workers = [now_ns] * at_once
    heapify(workers)
    jobs, left = [], []
    for want in wants:
        trial = _Trial(lanes)
        job = trial.play(want, workers[0])
        if job is None or job.done_at > until_ns:
            left.append(want)
            continue
        lanes |= trial.lanes
        heapreplace(workers, job.done_at)
        jobs.append(job)
    return jobs, left, lanes


def _later(
    wants: Sequence[Want], lanes: Mapping[str, Lane], now_ns: int, until_ns: int, at_once: int
) -> Iterable[Left]:
    """When each of these is reached if the same is done every day."""
    done: dict[Symbol, int] = {}
    rest = [want for want in wants if want.calls]
    for days in range(1, _DAYS_AHEAD + 1):
        if not rest:
            break
        ahead = days * DAY_S * SECOND_NS
        jobs, rest, lanes = _fit(rest, lanes, now_ns + ahead, until_ns + ahead, at_once)
        done |= {job.want.symbol: job.done_at for job in jobs}
    for want in wants:
        names = " ".join(want.calls)
        if not want.calls:
            yield Left(want, "no provider that can be asked has it: `pq providers` says what the others need", None)
        elif want.symbol in done:
            why = f"what {names} allows is spent before its turn comes; its turn is at {iso(done[want.symbol])}"
            yield Left(want, why, done[want.symbol])
        else:
            yield Left(want, f"what {names} allows is too little to reach it within {_DAYS_AHEAD} days", None)


class _Trial:
    """Lanes as they are after some wants were played, without touching those that they were copied from."""

    def __init__(self, lanes: Mapping[str, Lane]) -> None:
        self.lanes: dict[str, Lane] = {}
        self._before = lanes

    def play(self, want: Want, now_ns: int) -> Job | None:
        """Make the calls of a want; None if not all of it is let in.

        A provider that lets no more calls in is followed by the next, which gives the share that is missing.
        """
        at, share, began, used = now_ns, 1.0, None, list[str]()
        total = 0
        for name, calls in want.calls.items():
            lane = self._lane(name)
            if lane is None:
                continue
            wanted = -(-round(share * calls * 1e9) // 10**9)
            for made in range(wanted):
                moment = lane.call(at, PATIENCE_NS)
                if moment is None:
                    share -= made / calls
                    break
                at, began = moment, moment if began is None else began
                total += 1
                if name not in used:
                    used.append(name)
            else:
                return Job(want, tuple(used), total, began or at, at)
        return None

    def _lane(self, name: str) -> Lane | None:
        if name not in self.lanes and name in self._before:
            self.lanes[name] = self._before[name].copy()
        return self.lanes.get(name)
