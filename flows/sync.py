"""Flows that sync: one symbol, many, all that are registered, and those that nobody waits for."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from flows import artifacts
from flows.forms import BarCount, IntervalName, ProviderName, SymbolText, day_ns, interval_of, symbols_of, whose
from flows.running import check_parts, desk, desk_flow, gathered, means, part, say, voice
from market.intervals import Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    from history.desk import HistoryDesk
    from history.sync import Synced

ALL_BARS: Final = 500
DAILY_BARS: Final = 10

Job = tuple[Symbol, Interval]


@part("sync {symbol} {interval}")
def sync_one(
    symbol: Symbol, interval: Interval, count: int | None, span: tuple[int | None, int | None], provider: str | None
) -> "Synced":
    """Sync one series."""
    from history.sync import sync

    start, end = span
    run = means()
    done = sync(
        run.desk, symbol, interval, count=count, start=start, end=end, provider=provider, say=voice(), stop=run.stop
    )
    say(f"{symbol} {interval}: {done.total.bars} bars from {done.total.provider}, {done.total.inserted} of them new")
    return done


@desk_flow("sync-symbol", lambda given: f"sync {given['symbol']} {given['interval']}")
def sync_symbol(
    symbol: SymbolText,
    interval: IntervalName = "1d",
    count: BarCount | None = ALL_BARS,
    start: date | None = None,
    end: date | None = None,
    provider: ProviderName | None = None,
) -> str:
    """The newest bars of one symbol, or those of a span, from its provider into the store.

    Args:
        symbol: EXCHANGE:TICKER, such as KRAKEN:BTCUSD or NASDAQ:AAPL.
        interval: Length of the bars.
        count: The newest so many bars. None where a start is given.
        start: First day, UTC, in place of a count.
        end: The day after the last one, UTC. None: up to now.
        provider: Ask this one only. None: the order of the settings.
    """
    span = (day_ns(start), day_ns(end))
    with desk() as found:
        return _sync(found, [(one, interval_of(interval)) for one in symbols_of([symbol])], count, span, provider)


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
        return _sync(
            found, [(one, interval_of(interval)) for one in chosen(found, symbols, universe)], count, None, provider
        )


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
    started: Any = run_deployment("sync-bulk/sync-bulk", parameters=parameters, timeout=0, as_subflow=False)
    return f"{len(wanted)} symbols asked for; run {started.name} fetches them"


@desk_flow("sync-all", lambda given: f"sync all {' '.join(given['intervals'])}")
def sync_all(intervals: Sequence[IntervalName] = ("1d", "1h"), count: BarCount = ALL_BARS) -> str:
    """The newest bars of every registered symbol; one symbol's failure never stops the rest.

    Args:
        intervals: Lengths of the bars.
        count: The newest so many bars of each.
    """
    with desk() as found:
        jobs = [(symbol, interval_of(name)) for name in intervals for symbol in chosen(found, [])]
        return _sync(found, jobs, count, None, None)


@desk_flow("sync-daily", "sync daily")
def sync_daily(count: BarCount = DAILY_BARS) -> str:
    """The newest daily bars of every registered symbol.

    Args:
        count: The newest so many of each.
    """
    with desk() as found:
        return _sync(found, [(symbol, Interval.D1) for symbol in chosen(found, [])], count, None, None)


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


def _sync(
    found: "HistoryDesk",
    jobs: list[Job],
    count: int | None,
    span: tuple[int | None, int | None] | None,
    provider: str | None,
) -> str:
    """Sync series side by side, show what came of each, and say it in a sentence."""
    from history.asking import check_request
    from history.books import sync_book
    from sinks.process_token import this_process
    from sinks.sync_book import Task

    if not jobs:
        return "no symbol is registered: `pq symbols add`, or subscribe to one"
    start, end = span or (None, None)
    for interval in dict.fromkeys(interval for _, interval in jobs):
        symbols = [symbol for symbol, of in jobs if of is interval]
        check_request(found, symbols, interval, start=start, end=end, count=count, provider=provider)
        sync_book(found).ask(Task.SYNC, symbols, interval, found.now_ns(), this_process())
    futures = {
        f"{symbol} {interval}": sync_one.submit(symbol, interval, count, (start, end), provider)
        for symbol, interval in jobs
    }
    done, failed = gathered(futures)
    rows: list[tuple[Any, ...]] = [
        (name, one.total.bars, one.total.inserted, one.total.provider, f"{one.seconds:.1f}", "")
        for name, one in done.items()
    ]
    rows += [(name, "", "", "", "", why) for name, why in failed.items()]
    head = ("series", "bars", "new", "from", "seconds", "failed because")
    artifacts.publish("sync", artifacts.table(head, rows), f"{len(done)} of {len(jobs)} series synced")
    check_parts(failed, len(jobs))
    bars = sum(one.total.bars for one in done.values())
    return f"{len(done)} series synced: {bars} bars, {sum(one.total.inserted for one in done.values())} of them new"
