"""Flows that sync: one symbol, many, all that are registered, and those that nobody waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from flows import artifacts
from flows.forms import BarCount, Day, IntervalName, ProviderName, SymbolText, day_ns, interval_of, symbols_of, whose
from flows.running import AT_ONCE, RETRY_S, check_parts, desk, desk_flow, gathered, means, part, say, transient, voice
from history.books import StoppedError
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from history.sync import Synced

ALL_BARS: Final = 500
DAILY_BARS: Final = 10

TASKS: Final = 40
"""More tasks than these in a run would cost Prefect's server more than the syncs cost us."""

Job = tuple[Symbol, Interval]

Intervals = Annotated[Sequence[IntervalName], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for of each series of a run."""

    count: int | None
    start: int | None = None
    """ns."""
    end: int | None = None
    """ns."""
    provider: str | None = None


Outcome = tuple[str, "Synced | None", str]
"""A series' name, what was done of it, and else why it failed."""


@part("sync {name}")
def sync_some(name: str, jobs: Sequence[Job], request: Request) -> list[Outcome]:
    """Sync one series; or, where there are hundreds, some of them one after the other."""
    if len(jobs) == 1:
        return [(name, _sync_one(jobs[0], request), "")]
    outcomes, left = dict[Job, Outcome](), list(jobs)
    for second in (False, True):
        if second and left:
            # What is transient is, like a whole task, worth another try.
            means().desk.sleep(RETRY_S)
        again = []
        for job in left:
            series = _name(job)
            try:
                outcomes[job] = (series, _sync_one(job, request), "")
            except StoppedError:
                raise
            except DeskError as error:
                say(str(error))
                outcomes[job] = (series, None, str(error))
                if transient(error):
                    again.append(job)
        left = again
    return list(outcomes.values())


def _sync_one(job: Job, request: Request) -> "Synced":
    from history.sync import sync

    symbol, interval = job
    run = means()
    done = sync(
        run.desk,
        symbol,
        interval,
        count=request.count,
        start=request.start,
        end=request.end,
        provider=request.provider,
        say=voice(),
        stop=run.stop,
    )
    say(f"{_name(job)}: {done.total.bars} bars from {done.total.provider}, {done.total.inserted} of them new")
    return done


def _name(job: Job) -> str:
    return f"{job[0]} {job[1]}"


@desk_flow("sync-symbol", lambda given: f"sync {given['symbol']} {given['interval']}")
def sync_symbol(
    symbol: SymbolText,
    interval: IntervalName = "1d",
    count: BarCount = ALL_BARS,
    start: Day | None = None,
    end: Day | None = None,
    provider: ProviderName | None = None,
) -> str:
    """The newest bars of one symbol, or those of a span, from its provider into the store.

    Args:
        symbol: EXCHANGE:TICKER, such as KRAKEN:BTCUSD or NASDAQ:AAPL.
        interval: Length of the bars.
        count: The newest so many bars, up to the end. It counts for nothing where a start is given.
        start: First day, UTC, in place of the count.
        end: The day after the last one, UTC. None: up to now.
        provider: Ask this one only. None: the order of the settings.
    """
    request = Request(count if start is None else None, day_ns(start), day_ns(end), provider)
    with desk() as found:
        return _sync(found, [(one, interval_of(interval)) for one in symbols_of([symbol])], request)


@desk_flow("sync-bulk", lambda given: f"sync {whose(given)} {given['interval']}")
def sync_bulk(
    symbols: list[SymbolText],
    universe: str = "",
    interval: IntervalName = "1d",
    count: BarCount = ALL_BARS,
    provider: ProviderName | None = None,
) -> str:
    """The newest bars of many symbols, four at a time; one symbol's failure never stops the rest.

    Args:
        symbols: EXCHANGE:TICKER each. None at all, and no universe: every registered symbol.
        universe: Name of a list of symbols, whose symbols are taken too.
        interval: Length of the bars.
        count: The newest so many bars of each.
        provider: Ask this one only. None: the order of the settings.
    """
    with desk() as found:
        jobs = [(one, interval_of(interval)) for one in chosen(found, symbols, universe)]
        return _sync(found, jobs, Request(count, provider=provider))


@desk_flow("sync-background", lambda given: f"ask for {whose(given)} {given['interval']}")
def sync_background(
    symbols: list[SymbolText],
    universe: str = "",
    interval: IntervalName = "1d",
    count: BarCount = ALL_BARS,
    provider: ProviderName | None = None,
) -> str:
    """Ask for the newest bars of many symbols and do not wait: a run of sync-bulk fetches them.

    Each is `pending` at once, then `syncing`, and `completed` or `error` in the end; `pq sync --status` says how it
    stands.

    Args:
        symbols: EXCHANGE:TICKER each. None at all, and no universe: every registered symbol.
        universe: Name of a list of symbols, whose symbols are taken too.
        interval: Length of the bars.
        count: The newest so many bars of each.
        provider: Ask this one only. None: the order of the settings.
    """
    from prefect.deployments import run_deployment

    from history.sync import ask_for

    with desk() as found:
        wanted = [str(one) for one in ask_for(found, chosen(found, symbols, universe), interval_of(interval))]
    parameters = {"symbols": wanted, "interval": interval, "count": count, "provider": provider}
    # As a run of its own, and not of this one, which ends now.
    name = f"sync {whose(parameters)} {interval}"
    run_deployment("sync-bulk/sync-bulk", parameters=parameters, flow_run_name=name, timeout=0, as_subflow=False)
    return f"{len(wanted)} symbols asked for; the run `{name}` fetches them"


@desk_flow("sync-all", lambda given: f"sync all {' '.join(given['intervals'])}")
def sync_all(intervals: Intervals = ("1d", "1h"), count: BarCount = ALL_BARS) -> str:
    """The newest bars of every registered symbol; one symbol's failure never stops the rest.

    Args:
        intervals: Lengths of the bars.
        count: The newest so many bars of each.
    """
    with desk() as found:
        jobs = [(symbol, interval_of(name)) for name in intervals for symbol in chosen(found, [])]
        return _sync(found, jobs, Request(count))


@desk_flow("sync-daily", "sync daily")
def sync_daily(count: BarCount = DAILY_BARS) -> str:
    """The newest daily bars of every registered symbol.

    Args:
        count: The newest so many of each.
    """
    with desk() as found:
        return _sync(found, [(symbol, Interval.D1) for symbol in chosen(found, [])], Request(count))


def chosen(found: "HistoryDesk", texts: Sequence[str], universe: str = "") -> list[Symbol]:
    """The symbols of a form: those that are whose, and those of a universe; if neither is named, all registered ones.

    Raises:
        DeskError: There is no such universe, or a symbol has another form.
    """
    from history import registry

    if not texts and not universe:
        return registry.registered(found)
    listed_there = registry.universe(found, universe) if universe else []
    return list(dict.fromkeys([*symbols_of(texts), *listed_there]))


def _sync(found: "HistoryDesk", jobs: Sequence[Job], request: Request) -> str:
    """Sync series side by side, show what came of each, and say it in a sentence."""
    from history.asking import check_request
    from history.books import sync_book
    from sinks.process_token import this_process
    from sinks.sync_book import Task

    if not jobs:
        return "no symbol is registered: `pq symbols add`, or subscribe to one"
    turn = list[Job]()
    for interval in dict.fromkeys(interval for _, interval in jobs):
        symbols = check_request(
            found,
            [symbol for symbol, of in jobs if of is interval],
            interval,
            start=request.start,
            end=request.end,
            count=request.count,
            provider=request.provider,
        )
        sync_book(found).ask(Task.SYNC, symbols, interval, found.now_ns(), this_process())
        turn += [(symbol, interval) for symbol in _in_turn(found, symbols, interval, request)]
    futures = {name: sync_some.submit(name, some, request) for name, some in batches(turn)}
    done, broken = gathered(futures)
    outcomes = [outcome for some in done.values() for outcome in some]
    failed = {name: why for name, _, why in outcomes if why} | broken
    rows: list[tuple[Any, ...]] = [
        (name, one.total.bars, one.total.inserted, one.total.provider, f"{one.seconds:.1f}", one.total.shortfall)
        for name, one, _ in outcomes
        if one is not None
    ]
    whole = len(rows)
    rows += [(name, "", "", "", "", why) for name, why in failed.items()]
    head = ("series", "bars", "new", "from", "seconds", "failed because")
    artifacts.publish("sync", artifacts.table(head, rows), f"{whole} of {len(turn)} series synced")
    check_parts(failed, len(turn))
    return f"{whole} series synced: {sum(row[1] for row in rows)} bars, {sum(row[2] for row in rows)} of them new"


def _in_turn(found: "HistoryDesk", symbols: list[Symbol], interval: Interval, request: Request) -> list[Symbol]:
    """The order in which symbols are taken: by the planner, where quotas may not reach all of them today."""
    from history.planner import in_turn

    if request.count is None or request.provider is not None or len(symbols) < 2:
        return symbols
    return in_turn(found, symbols, interval, request.count, at_once=AT_ONCE, say=say)


def batches(jobs: Sequence[Job]) -> list[tuple[str, Sequence[Job]]]:
    """Series as tasks, by name: one each, or, beyond `TASKS` of them, several in one, since each task costs.

    They follow each other as the series do: the threads take the tasks in turn.

    >>> [(name, len(some)) for name, some in batches([(Symbol("SIM", "A"), Interval.D1)])]
    [('SIM:A 1d', 1)]
    """
    size = max(1, -(-len(jobs) // TASKS))
    found = []
    for first in range(0, len(jobs), size):
        some = jobs[first : first + size]
        found.append((_name(some[0]) if len(some) == 1 else f"{len(some)} series from {_name(some[0])}", some))
    return found
