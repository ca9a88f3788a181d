"""The backfill flow: a span of history in chunks that are never fetched twice, a task a symbol."""

import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows import artifacts
from flows.forms import Day, IntervalName, ProviderName, SymbolText, day_ns, interval_of, whose
from flows.held import calendars
from flows.running import check_parts, desk, desk_flow, gathered, means, part, say, voice

if TYPE_CHECKING:
    from uuid import UUID

    from history.backfill import Backfilled, Plan, Whole

TELL_S: Final = 10.0
"""A line in the log is a row in Prefect's database: one a symbol in this time is enough to see it move."""
SHOW_S: Final = 3.0
PACE_CHUNKS: Final = 2
PACE_SLOTS: Final = 5_000
"""The first chunk ends now, and the next may be what a kill left of one: the time left is not told from short ones."""


@part("backfill {symbol}")
def backfill_one(symbol: str, plan: "Plan", board: "Board") -> "Backfilled":
    """Fetch what is missing of one symbol."""
    from history.backfill import backfill_symbol

    say(f"{symbol}: {len(plan.chunks)} chunks to fetch, {_percent(1 - plan.left / max(plan.slots, 1))} was held before")
    last = 0.0

    def told(state: "Backfilled") -> None:
        nonlocal last
        board.tell(state)
        if time.monotonic() - last >= TELL_S and _paced(state):
            last = time.monotonic()
            left = f", about {_span(state.eta_s)} left" if state.eta_s else ""
            say(f"{symbol}: {_percent(state.share)}, {state.total.bars} bars{left}")

    run = means()
    done = backfill_symbol(run.desk, plan, say=voice(), told=told, stop=run.stop)
    say(f"{symbol}: done, {done.total.bars} bars from {done.total.provider or 'nobody: all was held'}")
    if done.total.lost:
        say(f"{symbol}: {done.total.shortfall}; the same run again asks for that")
    return done


@desk_flow(
    "backfill",
    lambda given: f"backfill {whose(given)} {given['interval']} {given['start']}..{given['end'] or ''}",
)
def backfill(
    symbols: list[SymbolText],
    start: Day,
    end: Day | None = None,
    universe: str = "",
    interval: IntervalName = "1m",
    provider: ProviderName | None = None,
    again: bool = False,
) -> str:
    """A span of history, four symbols at a time, in chunks that are noted once they are stored.

    Whatever ends it (a cancel, a kill, a provider that fails), the same run again goes on where it was and fetches no
    chunk twice. Task runs are the symbols; the progress and the time left are in the artifact and in the logs.

    Args:
        symbols: EXCHANGE:TICKER each. None at all, and no universe: every registered symbol.
        start: First day, UTC.
        end: The day after the last one, UTC. None: up to now.
        universe: Name of a list of symbols, whose symbols are taken too.
        interval: Length of the bars.
        provider: Ask this one only. None: the order of the settings.
        again: Fetch also what was fetched before.
    """
    from flows.sync import chosen
    from history.backfill import Whole, announce, plan_backfill

    with desk() as found:
        wanted = chosen(found, symbols, universe)
        span = (day_ns(start) or 0, day_ns(end))
        plans = plan_backfill(found, wanted, interval_of(interval), *span, provider=provider, again=again)
        announce(found, plans)
        board = Board(Whole(plans, found.now_ns))
        board.open(len(plans))
        done, failed = gathered(
            {str(plan.symbol): backfill_one.submit(str(plan.symbol), plan, board) for plan in plans}
        )
        board.close()
        say("what is held now is looked up, for the picture")
        held = calendars(found, [plan.symbol for plan in plans], interval_of(interval), plans[0].start, plans[0].end)
    _show(plans, done, failed, held)
    check_parts(failed, len(plans))
    bars = sum(one.total.bars for one in done.values())
    return f"{len(plans)} symbols are whole: {bars} bars fetched, {sum(one.done for one in done.values())} chunks"


class Board:
    """Shows how far the whole run is, as a progress artifact. Told by several threads."""

    def __init__(self, whole: "Whole", monotonic: Callable[[], float] = time.monotonic) -> None:
        self._whole = whole
        self._monotonic = monotonic
        self._guard = Lock()
        self._next = 0.0
        self._is_paced = False
        self._artifact: UUID | None = None

    def open(self, symbols: int) -> None:
        """Show it for the first time."""
        made: Any = create_progress_artifact(0.0, key="backfill-progress", description=f"{symbols} symbols")
        self._artifact = made

    def tell(self, state: "Backfilled") -> None:
        """Take in how far one symbol is, and show it now and then."""
        with self._guard:
            self._whole.tell(state)
            self._is_paced = self._is_paced or _paced(state)
            if self._monotonic() < self._next or self._artifact is None:
                return
            self._next = self._monotonic() + SHOW_S
            share = self._whole.share
            left = self._whole.eta_s if self._is_paced else None
        text = f"{_percent(share)} is held" + (f", about {_span(left)} left" if left else "")
        update_progress_artifact(self._artifact, progress=100 * share, description=text)

    def close(self) -> None:
        """Show the end."""
        if self._artifact is not None:
            share = self._whole.share
            update_progress_artifact(self._artifact, progress=100 * share, description=f"{_percent(share)} is held")


def _show(plans: "Sequence[Plan]", done: "dict[str, Backfilled]", failed: dict[str, str], held: str) -> None:
    rows: list[tuple[Any, ...]] = []
    for plan in plans:
        name = str(plan.symbol)
        one = done.get(name)
        if one is None:
            rows.append((name, len(plan.chunks), "", "", "", "", failed.get(name, "")))
            continue
        total = one.total
        rows.append(
            (name, len(plan.chunks), total.bars, total.inserted, total.provider, _span(one.seconds), total.shortfall)
        )
    head = ("symbol", "chunks", "bars", "new", "from", "took", "failed because")
    markdown = f"{artifacts.table(head, rows)}\n\n{held}"
    artifacts.publish("backfill", markdown, f"{len(done)} of {len(plans)} symbols are whole")


def _paced(state: "Backfilled") -> bool:
    """Whether a symbol has gone far enough for its pace to say anything."""
    return state.done >= PACE_CHUNKS and state.plan.left - state.left >= PACE_SLOTS


def _percent(share: float) -> str:
    """A share for people, never rounded up to all.

    >>> _percent(0.99999), _percent(1.0)
    ('99.9 %', '100 %')
    """
    return "100 %" if share >= 1 else f"{int(share * 1000) / 10:.1f} %"


def _span(seconds: float | None) -> str:
    """A length of time for people.

    >>> _span(42), _span(150), _span(7300)
    ('42 s', '3 min', '2.0 h')
    """
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{-(-seconds // 60):.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
