"""Whether a result is luck, in a sentence."""

from math import isfinite
from typing import Final

from backtest.luck import CONFIDENCE, Luck, Odds

_ASKED: Final = f"{CONFIDENCE * 100:.0f} %"
_MISSED: Final = f"{(1 - CONFIDENCE) * 100:.0f} %"
_VERDICTS: Final = ("may well be luck", "may be luck", "is hardly luck")
"""By how many of the two tests were passed."""


def said_of_one(found: Odds) -> str:
    """A sentence on one run."""
    if not isfinite(found.probabilistic):
        return "Its returns are too few or too even to say whether they are luck."
    if found.sharpe <= 0:
        return "Its Sharpe ratio is not above 0: there is no edge of which to ask whether it is luck."
    sure = found.probabilistic >= CONFIDENCE
    verdict = "this is hardly luck" if sure else "this may well be luck"
    wanted = "it would have had to last" if sure else "it would have to last"
    return (
        f"Had nothing else been tried, {verdict}: the chance that the Sharpe ratio is truly above 0 is "
        f"{_percent(found.probabilistic)}; for {_ASKED} {wanted} {_years(found.years_least)}. Whatever else was tried "
        "makes it likelier to be luck, and a sweep says by how much."
    )


def said_of_best(found: Luck) -> str:
    """A sentence on the chosen one of many."""
    if found.trials < 2:
        return said_of_one(found.odds)
    name = f"The one chosen of {found.trials:,}"
    if not isfinite(found.deflated):
        return f"{name} has returns that are too few or too even to say whether they are luck."
    if found.odds.sharpe <= 0:
        return f"{name} has a Sharpe ratio that is not above 0: there is no edge of which to ask whether it is luck."
    passed = (found.deflated >= CONFIDENCE) + (found.above_nothing <= 1 - CONFIDENCE)
    beyond = (
        f", and beyond buy and hold in {_percent(found.above_benchmark)}" if isfinite(found.above_benchmark) else ""
    )
    return (
        f"{name} {_VERDICTS[passed]}: so many without an edge are expected to show a Sharpe ratio of "
        f"{found.expected:.2f} at best, its own is {found.odds.sharpe:.2f}, and the chance that it is truly above "
        f"theirs is {_percent(found.deflated)} ({_ASKED} is asked for); in {_percent(found.above_nothing)} of "
        f"histories without an edge the best of them earns as much{beyond} ({_MISSED} or less is asked for)."
    )


def _percent(share: float) -> str:
    """As far as it can be told.

    >>> _percent(0.99999), _percent(0.0004), _percent(0.5)
    ('99.9 %', '0.1 %', '50.0 %')
    """
    return f"{min(max(share * 100, 0.1), 99.9):.1f} %"


def _years(length: float) -> str:
    return f"{length:.1f} years" if length < 100 else "more than 100 years"
