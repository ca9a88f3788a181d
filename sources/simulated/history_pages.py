"""Pages of history as JSON rows, and what the faults make of them."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np

from market.intervals import Interval
from sources.simulated.faults import HISTORY_FAULTS, Fault, FaultKind
from sources.simulated.history import NO_ID
from sources.simulated.klines import Klines, ends_of
from sources.simulated.listing import Instrument

MS: Final = 1_000_000
SPANS_MAX: Final = 200_000
"""Spans of pages that are remembered: the first so many."""

BAR_COLUMNS: Final = ("start", "open", "high", "low", "close", "volume", "notional", "trades", "end", "closed")
"""Of a row: start and end in ms since 1970 UTC, prices and sums as text, whether the bar is over (0 or 1)."""
TRADE_COLUMNS: Final = ("trade_id", "time", "price", "size", "side")
"""Of a row: id (null before the exchange began), ns since 1970 UTC, price and size as text, `buy` or `sell` by who took
liquidity."""

Row = list[Any]

_IN_WHOLE: Final = (
    FaultKind.HISTORY_DUPLICATES, FaultKind.HISTORY_OVERLAP, FaultKind.HISTORY_OUT_OF_ORDER, FaultKind.HISTORY_SLOW,
)  # fmt: skip
"""Faults that leave all of a page in it."""
_SOME: Final = 0.3
"""Share of a page's rows that a fault is about, at least one."""


class Asked(NamedTuple):
    """What identifies a page, whoever asks for it and however often."""

    symbol: str
    what: str
    """`1m`, or `trades`."""
    start: int
    """ns, as asked for."""
    end: int
    backwards: bool


class Dealt(NamedTuple):
    """What the faults have in store for one answer."""

    kinds: dict[FaultKind, Fault]
    rng: np.random.Generator

    @property
    def whole(self) -> bool:
        """Whether all of the page reaches the client."""
        return all(kind in _IN_WHOLE for kind in self.kinds)


class HistoryDice:
    """Decides which faults an answer has: by the seed, the page and how often it was asked for, so in any order."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asked: Counter[Asked] = Counter()
        self._dealt: list[list[Any]] = []

    def deal(self, asked: Asked, active: Sequence[Fault]) -> Dealt:
        """Throw for one answer."""
        self._asked[asked] += 1
        words = json.dumps([*asked, self._asked[asked]]).encode()
        rng = np.random.default_rng([self._seed, 0x41575, crc32(words)])
        kinds: dict[FaultKind, Fault] = {}
        for fault in active:
            if fault.kind not in HISTORY_FAULTS or (fault.symbols and asked.symbol not in fault.symbols):
                continue
            # One throw a fault, whether or not it counts, so that those after it do not depend on it.
            hit = float(rng.random()) < fault.share
            if hit and fault.kind not in kinds and self._has_left(fault):
                kinds[fault.kind] = fault
        return Dealt(kinds, rng)

    def _has_left(self, fault: Fault) -> bool:
        if fault.pages is None:
            return True
        for entry in self._dealt:
            if entry[0] is fault:
                break
        else:
            entry = [fault, fault.pages]
            self._dealt.append(entry)
        entry[1] -= 1
        return bool(entry[1] >= 0)


class Served:
    """How often which part of history was handed out, so that a test can tell what was fetched twice."""

    def __init__(self) -> None:
        self.counts = Counter(dict.fromkeys(("requests", "pages", "rows", "altered", "spoiled", "refused"), 0))
        """requests: all that were no mistake; pages: those that were answered with all that they should hold, and rows:
        theirs; altered: of the pages those with a fault in them; spoiled: answers that lacked something; refused."""
        self._spans: Counter[tuple[str, str, int, int]] = Counter()

    def whole(self, asked: Asked, start: int, end: int, rows: int, *, altered: bool) -> None:
        """A page was handed out: the span that it covers, ns, and its rows."""
        self.counts["pages"] += 1
        self.counts["rows"] += rows
        self.counts["altered"] += altered
        span = (asked.symbol, asked.what, start, end)
        if span in self._spans or len(self._spans) < SPANS_MAX:
            self._spans[span] += 1

    def summary(self) -> dict[str, Any]:
        """For `/truth/summary`: the counts, and by span (symbol, what, start, end in ns) how often it was served."""
        return {**self.counts, "spans": [[*span, times] for span, times in self._spans.items()]}


def bar_rows(bars: Klines, instrument: Instrument, interval: Interval, done_ns: int) -> list[Row]:
    """Rows of `BAR_COLUMNS`, oldest first; a bar that ends after `done_ns` is not over."""
    price = f"%.{instrument.decimals}f"
    return [
        [start // MS, *(price % value for value in prices), repr(volume), repr(notional), trades, end // MS,
         int(end <= done_ns)]
        for start, *prices, volume, notional, trades, end in zip(
            *(column.tolist() for column in bars), ends_of(bars.start, interval).tolist(), strict=True
        )
    ]  # fmt: skip


def trade_rows(trades: np.ndarray[Any, Any], instrument: Instrument) -> list[Row]:
    """Rows of `TRADE_COLUMNS`."""
    price_text = f"%.{instrument.decimals}f"
    return [
        [None if trade_id == NO_ID else trade_id, time, price_text % price, repr(size), "buy" if side > 0 else "sell"]
        for trade_id, time, price, size, side in trades.tolist()
    ]


def alter(rows: list[Row], before: list[Row], dealt: Dealt) -> list[Row]:
    """The rows as the faults want them.

    Args:
        rows: Of the page.
        before: Of the end of the page before.
        dealt: The faults of this answer.
    """
    rng = dealt.rng
    if FaultKind.HISTORY_EMPTY in dealt.kinds:
        return []
    if FaultKind.HISTORY_NAN in dealt.kinds:
        for place in _some(len(rows), rng):
            rows[place] = _spoilt(rows[place], rng)
    if FaultKind.HISTORY_OVERLAP in dealt.kinds:
        rows = [*before, *rows]
    if FaultKind.HISTORY_DUPLICATES in dealt.kinds:
        for place in sorted(_some(len(rows), rng), reverse=True):
            rows.insert(place, list(rows[place]))
    if FaultKind.HISTORY_OUT_OF_ORDER in dealt.kinds:
        rows = [rows[place] for place in rng.permutation(len(rows))]
    return rows


def encode(document: dict[str, Any], dealt: Dealt) -> bytes:
    """The answer's body, of other types or cut off where the faults want that."""
    value: Any = document
    rng = dealt.rng
    if FaultKind.HISTORY_TYPES in dealt.kinds:
        key = "bars" if "bars" in document else "trades"
        rows: list[Row] = document[key]
        choice = int(rng.integers(0, 5 if rows else 3))
        if choice == 0:
            value = [document]
        elif choice == 1:
            value = {**document, key: {"0": rows}}
        elif choice == 2:
            value = {**document, key: None}
        else:
            place = int(rng.integers(0, len(rows)))
            rows[place] = rows[place][:-1] if choice == 3 else [rows[place][0], "soon", *rows[place][2:]]
    body = json.dumps(value, separators=(",", ":")).encode()
    return body[: int(rng.integers(1, len(body)))] if FaultKind.HISTORY_TRUNCATED in dealt.kinds else body


def _some(count: int, rng: np.random.Generator) -> list[int]:
    """Places of about a third of the rows."""
    chosen: list[int] = rng.choice(count, max(1, int(count * _SOME)), replace=False).tolist() if count else []
    return chosen


def _spoilt(row: Row, rng: np.random.Generator) -> Row:
    """A row with one thing wrong in it."""
    spoilt = list(row)
    if len(row) == len(TRADE_COLUMNS):
        place, text = (2, "NaN") if rng.random() < 0.5 else (3, "-1.0")
    else:
        place, text = ((1, "NaN"), (2, "0.00001"), (5, "-1.0"))[int(rng.integers(0, 3))]
    spoilt[place] = text
    return spoilt
