"""The cross-check flow: a sample of bars from two providers, which ought to say the same."""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import Field

from flows import artifacts
from flows.forms import IntervalName, SymbolText, interval_of, symbols_of, whose
from flows.running import check_parts, desk, desk_flow, gathered, means, part, say, voice
from market.errors import DeskError
from market.symbols import Symbol

if TYPE_CHECKING:
    from history.cross_check import Checked
    from history.desk import HistoryDesk

FINDINGS_SHOWN: Final = 40


@part("compare {symbol}")
def compare_one(symbol: str, interval: str) -> "Checked":
    """Compare one symbol's bars."""
    from history.cross_check import cross_check as run

    (one,) = symbols_of([symbol])
    done = run(means().desk, one, interval_of(interval), chance=_chance(), say=voice())
    say(f"{symbol}: {done.compared} bars of {done.first} and {done.second} compared, {len(done.findings)} findings")
    return done


@desk_flow("cross-check", lambda given: f"cross-check {whose(given)} {given['interval']}")
def cross_check(
    symbols: Sequence[SymbolText] = (),
    interval: IntervalName = "1d",
    sample: Annotated[int, Field(ge=1, le=100)] = 5,
) -> str:
    """Fifty bars in a row of two providers, held against each other; a price that differs too much is a finding.

    How much is too much is the setting `cross_check_percent`. A finding fails the run, so that it is told of.

    Args:
        symbols: EXCHANGE:TICKER each. None at all: some of those that two providers have.
        interval: Length of the bars.
        sample: How many symbols are drawn where none is named.
    """
    with desk() as found:
        wanted = symbols_of(symbols) if symbols else _drawn(found, sample)
        done, failed = gathered({str(one): compare_one.submit(str(one), interval) for one in wanted})
    if not wanted:
        return "no symbol has two providers that can be asked: `pq providers` says what they need"
    findings = [finding for one in done.values() for finding in one.findings]
    head = ("symbol", "first", "second", "bars", "only one has", "findings", "failed because")
    rows: list[tuple[Any, ...]] = [
        (name, one.first, one.second, one.compared, one.alone, len(one.findings), "") for name, one in done.items()
    ]
    rows += [(name, "", "", "", "", "", why) for name, why in failed.items()]
    differing = [
        (f"{one.symbol}", artifacts.moment(one.start), one.field, f"{one.first} {one.first_value}",
         f"{one.second} {one.second_value}", f"{one.percent:.3f}")
        for one in findings[:FINDINGS_SHOWN]
    ]  # fmt: skip
    found_head = ("symbol", "bar", "figure", "one says", "the other says", "percent")
    markdown = artifacts.table(head, rows) + (f"\n\n{artifacts.table(found_head, differing)}" if differing else "")
    artifacts.publish("cross-check", markdown, f"{len(findings)} findings in {len(done)} symbols")
    check_parts(failed, len(wanted))
    if findings:
        worst = max(findings, key=lambda one: one.percent)
        msg = (
            f"{len(findings)} findings; the largest: {worst.field} of {worst.symbol} {worst.interval} at "
            f"{artifacts.moment(worst.start)} is {worst.first_value} by {worst.first} and {worst.second_value} by "
            f"{worst.second}"
        )
        raise DeskError(msg)
    return f"{len(done)} symbols compared, 0 findings"


def _drawn(found: "HistoryDesk", sample: int) -> list[Symbol]:
    """Some of the registered symbols that two providers can be asked for."""
    from history.order import ordered
    from history.registry import registered
    from history.roster import roster

    offered = roster(found).offered
    able = [
        symbol
        for symbol in registered(found)
        if sum(name in offered and not offered[name].missing for name in ordered(found, symbol)) > 1
    ]
    return sorted(_chance().sample(able, min(sample, len(able))))


def _chance() -> Random:
    return Random()  # noqa: S311  # Which bars are looked at is no secret.
