"""Rows of providers become bars: every number read once, every rule checked, in order, no start twice in a request.

A provider reads a row's stamp and says which of its fields is which; all else is the same for all and is here.
"""

from collections.abc import Callable, Iterable, Sequence
from math import nan
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from market.bars import BAR, BarState
from market.sessions import calendar_for
from market.slots import bounds_of
from sources.history.provider import NOBODY_KNOWS, BadAnswer, BadRow, Page
from sources.history.request import BarRequest

READ_ERRORS: Final = (ValueError, TypeError, LookupError, OverflowError, AttributeError)
"""What reading an untrusted row can raise."""

_SHOWN: Final = 160
_NUMBERS: Final = frozenset({str, int, float})
"""Types that a number may come as; a bool is none of them."""


Kind = TypeVar("Kind")


class Row(NamedTuple):
    """One bar as a provider gave it. Its stamp is ours already; its numbers are as they came: texts, ints or floats."""

    start: int
    """ns, by the symbol's calendar."""
    open: Any
    high: Any
    low: Any
    close: Any
    volume: Any
    """Base units."""
    notional: Any = nan
    """Quote currency; NaN where the provider does not say."""
    trades: Any = 0
    """Count; 0 where the provider does not say."""
    over: bool = True
    """False where the provider itself says that the bar may still change."""


def read_rows(name: str, raw: Any, read: Callable[[Any], Kind]) -> tuple[list[Kind], list[BadRow]]:
    """Read each row of an answer; one that cannot be read is left out and told.

    Args:
        name: Of the provider, for the text.
        raw: What ought to be a list of rows.
        read: Reads one; may raise any of `READ_ERRORS`.

    Raises:
        BadAnswer: It is no list, or holds rows of which none can be read: the provider has changed its form.

    >>> read_rows("venue", ["1", "x"], int)
    ([1], [BadRow(reason='unreadable', detail="'x'")])
    """
    if not isinstance(raw, list):
        msg = f"{name} answers with {shown(raw)} where rows are expected; try later, or name another provider"
        raise BadAnswer(msg)
    rows, bad = [], []
    for item in raw:
        try:
            rows.append(read(item))
        except READ_ERRORS:
            bad.append(BadRow("unreadable", shown(item)))
    if bad and not rows:
        msg = f"{name} answers with rows that cannot be read, such as {bad[0].detail}; name another provider"
        raise BadAnswer(msg)
    return rows, bad


class BarPages:
    """Makes the pages of one request. Remembers the starts given, 8 bytes a bar, so that none is given twice."""

    def __init__(self, request: BarRequest, *, quiet: bool = False) -> None:
        """Begin.

        Args:
            request: Bars outside of its span are cut; with a count, pages must come newest first.
            quiet: Whether the provider makes up bars for times without trades (volume and trades 0), which are left
                out: where nothing traded, there is no bar.
        """
        self._request = request
        self._left = request.count
        self._calendar = calendar_for(request.symbol)
        self._quiet = quiet
        self._given: list[NDArray[np.int64]] = []

    @property
    def done(self) -> bool:
        """Whether as many bars as asked for were given."""
        return self._left == 0

    def page(self, rows: Sequence[Row], now_ns: int, bad: Iterable[BadRow] = ()) -> Page:
        """The bars of one answer.

        Args:
            rows: As read, in any order. Of two with the same start the later one stands.
            now_ns: A bar that ends after this moment, or is not `over`, is forming; any other is official.
            bad: Rows of the answer that could not be read.
        """
        told = list(bad)
        lost = [NOBODY_KNOWS] * len(told)
        wanted = [row for row in rows if self._request.start <= row.start < self._request.end]
        kept, columns = _columns(wanted, told, lost)
        starts = np.fromiter((row.start for row in kept), np.int64, len(kept))
        begin, end, inside = bounds_of(starts, self._request.interval, self._calendar)
        opened, high, low, close, volume, notional, trades = columns
        prices = columns[:4]
        rules = (
            ("not a number", ~np.isfinite(prices).all(axis=0) | ~np.isfinite(volume) | np.isinf(notional)),
            ("no price", (prices == 0.0).any(axis=0)),
            ("high below low", high < low),
            ("open outside", (opened < low) | (opened > high)),
            ("close outside", (close < low) | (close > high)),
            ("negative volume", (volume < 0.0) | (trades < 0.0)),
            ("out of session", ~inside),
            ("off the bounds", begin != starts),
        )
        good = np.ones(len(kept), bool)
        for reason, broken in rules:
            told += [BadRow(reason, shown(kept[index])) for index in np.flatnonzero(broken & good)]
            good &= ~broken
        # What is off our own bounds is no bar of ours, whatever is wrong with it besides.
        lost += starts[~good & inside & (begin == starts)].tolist()
        if self._quiet:
            good &= (volume > 0.0) | (trades > 0.0)
        chosen = self._once(starts, good, told, kept)
        had = set(starts[chosen].tolist())
        bars = np.zeros(len(chosen), BAR)
        bars["start"] = starts[chosen]
        bars["end"] = end[chosen]
        for name, column in zip(("open", "high", "low", "close", "volume", "notional"), columns[:6], strict=True):
            bars[name] = column[chosen]
        bars["trades"] = trades[chosen].astype(np.int64)
        bars["seq"] = -1
        bars["interval"] = self._request.interval
        over = np.fromiter((kept[index].over for index in chosen), bool, len(chosen))
        bars["state"] = np.where(over & (bars["end"] <= now_ns), BarState.OFFICIAL, BarState.FORMING)
        self._given.append(bars["start"].copy())
        if self._left is not None:
            bars = bars[max(len(bars) - self._left, 0) :]
            self._left -= len(bars)
        return Page(bars, told, [start for start in lost if start not in had])

    def _once(
        self, starts: NDArray[np.int64], good: NDArray[np.bool_], told: list[BadRow], kept: Sequence[Row]
    ) -> NDArray[np.intp]:
        """Places of the rows that become bars, in order of start: none that an earlier page or a later row gave."""
        places = np.flatnonzero(good)
        places = places[np.argsort(starts[places], kind="stable")]
        ordered = starts[places]
        again = np.concatenate((ordered[1:] == ordered[:-1], [False])) if len(ordered) else np.zeros(0, bool)
        for index in np.flatnonzero(again):
            first, second = kept[places[index]], kept[places[index + 1]]
            if first != second:
                told.append(BadRow("given twice", shown(first)))
        places, ordered = places[~again], ordered[~again]
        for given in self._given:
            if len(given) and len(ordered) and given[0] <= ordered[-1] and given[-1] >= ordered[0]:
                fresh = ~np.isin(ordered, given)
                places, ordered = places[fresh], ordered[fresh]
        return places


def _columns(rows: list[Row], told: list[BadRow], lost: list[int]) -> tuple[list[Row], NDArray[np.float64]]:
    """The numbers of rows, shape (7, rows): open, high, low, close, volume, notional, trades; unread rows are told."""
    try:
        return rows, _numbers(rows)
    except READ_ERRORS:
        kept = []
        for row in rows:
            try:
                _numbers([row])
            except READ_ERRORS:
                told.append(BadRow("not a number", shown(row)))
                lost.append(row.start)
            else:
                kept.append(row)
        return kept, _numbers(kept)


def _numbers(rows: list[Row]) -> NDArray[np.float64]:
    out = np.empty((7, len(rows)))
    for place in range(7):
        values = [row[place + 1] for row in rows]
        strange = set(map(type, values)) - _NUMBERS
        if strange:
            msg = f"{strange} are no numbers"
            raise TypeError(msg)
        out[place] = [float(value) for value in values]
    if not (np.isfinite(out[6]).all() and (np.abs(out[6]) < 2**53).all() and (out[6] % 1 == 0).all()):
        msg = "a count of trades is not whole"
        raise ValueError(msg)
    return out


def shown(value: Any) -> str:
    """A value as text, shortened.

    >>> shown([1, "2"]), len(shown("x" * 1000))
    ("[1, '2']", 160)
    """
    if isinstance(value, Row):
        # As the provider spells them: the stamp, then open, high, low, close and volume.
        value = list(value[:6])
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
