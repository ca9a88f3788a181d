"""The reconcile flow: yesterday's live bars against the venue's own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from flows import artifacts, pictures
from flows.forms import Day, ProviderName, SymbolText, day_ns, symbols_of, whose
from flows.running import check_parts, desk, desk_flow, means, only, part, voice
from market.errors import DeskError

if TYPE_CHECKING:
    from history.reconcile import Reconciled
    from market.symbols import Symbol
    from sinks.truth_book import Truth

SERIES_SHOWN: Final = 40
DIFFERENCES_SHOWN: Final = 40


@part("compare")
def compare(symbols: "list[Symbol] | None", start: int | None, provider: str | None) -> "list[Reconciled]":
    """Compare the bars of a day, and store the official ones."""
    from history.reconcile import reconcile as run

    tell = voice()

    def told(one: "Reconciled") -> None:
        tell(one.error or f"{one.symbol}: {_verdict(one.truths)}, {one.stored} official bars changed the store")

    shared = means()
    return run(shared.desk, symbols, start=start, provider=provider, say=tell, told=told, stop=shared.stop)


@desk_flow("reconcile", lambda given: f"reconcile {whose(given)} {given['day'] or 'yesterday'}")
def reconcile(symbols: Sequence[SymbolText] = (), day: Day | None = None, provider: ProviderName | None = None) -> str:
    """A day's live bars held against the venue's own: a truth score per symbol and interval; official bars are stored.

    Args:
        symbols: Of these only. None at all: every symbol that had live bars.
        day: The day, UTC. None: yesterday.
        provider: Ask this one only. None: the order of the settings.
    """
    with desk() as held:
        if day is not None and (day_ns(day) or 0) > held.now_ns():
            msg = f"the day {day} is still to come: give one that has begun"
            raise DeskError(msg)
        found = only(compare.submit(symbols_of(symbols) if symbols else None, day_ns(day), provider))
    truths = sorted((truth for one in found for truth in one.truths), key=lambda truth: truth.share)
    if truths:
        _show(truths)
    failed = {str(one.symbol): one.error for one in found if one.error}
    check_parts(failed, len(found))
    if not found:
        return "no live bars on that day"
    return f"{len(found)} symbols: {_verdict(truths)}"


def _verdict(truths: "Sequence[Truth]") -> str:
    """Scores in a few words."""
    bars, equal = sum(truth.bars for truth in truths), sum(truth.equal for truth in truths)
    if not bars:
        return "nothing to compare"
    known = sum(truth.explained for truth in truths)
    rest = bars - equal - known
    # A score that is not whole is never rounded up to it.
    return f"truth {int(10_000 * equal / bars) / 100:.2f} % of {bars} bars, {known} known to be doubtful, {rest} not"


def _show(truths: "Sequence[Truth]") -> None:
    """The least true series first."""
    shares = [
        (f"{truth.symbol} {truth.interval}", truth.share, truth.explained / truth.bars if truth.bars else 0.0)
        for truth in truths[:SERIES_SHOWN]
    ]
    more = f" (the least true {SERIES_SHOWN} of {len(truths)} series)" if len(truths) > SERIES_SHOWN else ""
    figure = pictures.bars(shares, f"bars that equal the venue's; grey: known to be doubtful{more}")
    head = ("series", "against", "equal", "differing", "missing", "extra", "known doubtful", "score")
    rows: list[tuple[Any, ...]] = [
        (
            f"{truth.symbol} {truth.interval}",
            truth.source,
            truth.equal,
            truth.differing,
            truth.missing,
            truth.extra,
            truth.explained,
            f"{truth.share:.4f}",
        )
        for truth in truths[:SERIES_SHOWN]
    ]
    differences = sorted(
        ((truth, one) for truth in truths for one in truth.differences), key=lambda pair: (pair[1][5], -pair[1][4])
    )
    largest: list[tuple[Any, ...]] = [
        (f"{truth.symbol} {truth.interval}", artifacts.moment(start), field, live, official, f"{share:.6f}", known)
        for truth, (start, field, live, official, share, known) in differences[:DIFFERENCES_SHOWN]
    ]
    parts = [artifacts.picture(figure, "truth score"), artifacts.table(head, rows)]
    if largest:
        parts += [
            "### The largest differences",
            artifacts.table(("series", "bar", "figure", "live", "venue's", "share", "known doubtful"), largest),
        ]
    artifacts.publish("truth", "\n\n".join(parts), _verdict(truths))
