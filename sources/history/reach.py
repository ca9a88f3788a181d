"""Bars of a provider that has the last so many days only, a span of them at a time, newest first."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sources.history.provider import BadRow, NotOffered, Page
from sources.history.request import BarRequest, Progress, moment_text
from sources.history.rows import BarPages, Row

DAY_NS: Final = 86_400 * 10**9
_NEAR_NS: Final = 5 * DAY_NS
"""Bars so soon after the beginning of what there is say that there was more before."""

Ask = Callable[[int, int], tuple[Sequence[Row], Sequence[BadRow], int]]
"""Asks for [since, until), ns; gives rows, those that cannot be read, and the moment of the answer."""


def last_days(name: str, request: BarRequest, now: int, days: int, page_days: int, ask: Ask) -> Iterator[Page]:
    """Pages of one request.

    Args:
        name: Of the provider, for texts.
        request: Not empty.
        now: ns.
        days: How far back it goes.
        page_days: How much of that is asked for at a time.
        ask: Asks for a span.

    Raises:
        NotOffered: What was asked for reaches further back; after the pages that there are.
    """
    pages, progress = BarPages(request), Progress(name)
    reach = now - days * DAY_NS
    until = oldest = request.end
    while not pages.done and until > max(request.start, reach):
        since = max(until - page_days * DAY_NS, request.start, reach)
        rows, bad, moment = ask(since, until)
        yield pages.page(rows, moment, bad)
        oldest = min((row.start for row in rows), default=oldest)
        if rows:
            progress.made()
        elif not progress.ends(empty=True):
            continue
        until = since
    # A count was not met: that there is more shows in bars from the very beginning of what it has.
    more = request.count is None or oldest < reach + _NEAR_NS
    if not pages.done and more and request.start < reach:
        msg = (
            f"{name} has {request.interval} bars of {request.symbol} for the last {days} days only, none before "
            f"{moment_text(reach)}; name another provider for what was before"
        )
        raise NotOffered(msg)
