"""The rules that the rows of a file of bars are held against, and the bars that those become which keep them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from history.moments import iso
from market.bars import BAR, BarState
from market.errors import DeskError
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.sessions import ROUND_THE_WEEK, Calendar
from market.slots import bounds_of, slots
from sources.bar_files.rows import NO_DAY, NO_STATE, BadLine

UNSORTED: Final = "out of order"
"""Reason of rows that are good but stand in the wrong place: put in order where bad rows may be left out."""

_ENOUGH_ROWS: Final = 10
"""Rows from which on a file's own spacing can be told."""
_NAMED_MAX: Final = 1_000
"""Rows of one reason that are named; the others are counted."""


@dataclass(slots=True)
class Checked:
    """What the rows of a file come to."""

    bars: NDArray[np.void]
    """`BAR` records in order of start, each start once; `stream` is 0, `updated_at` the moment of the check."""
    bad: list[BadLine]
    """Rows that make no bar."""
    unsorted: BadLine | None
    """The first row that comes before an earlier one's; None where the file rises, or falls, throughout."""
    out_of_session: int
    """Rows outside of the exchange's sessions, which enter no bar."""
    forming: int
    """Bars that are not over."""
    absent: int
    """Bars that the calendar has room for between the first and the last, and the file lacks."""


def check_rows(
    rows: NDArray[np.void], interval: Interval, calendar: Calendar, now_ns: int, *, negative_prices: bool = False
) -> Checked:
    """Hold rows against the rules.

    Args:
        rows: `sources.bar_files.rows.ROW` records, in the order of the file.
        interval: Of the bars.
        calendar: Of the symbol.
        now_ns: A bar that ends after this is forming.
        negative_prices: Whether prices may be 0 or below.

    Raises:
        DeskError: The rows are closer together than the interval, or further apart throughout: it is a file of others.
    """
    if len(rows) > 1 and (np.diff(rows["time"]) <= 0).all():
        rows = rows[::-1]
    bad: list[BadLine] = []
    starts, ends, inside = _bounds(rows, interval, calendar)
    _check_spacing(rows, starts, inside, interval, calendar)
    good = inside.copy()
    for reason, broken, told in (
        ("no session", ~inside & (rows["day"] != NO_DAY) & (not interval.intraday), _told_day),
        ("off the bounds", inside & (starts < 0), _told_bounds(interval)),
        ("from the future", inside & (starts > now_ns), _told_time),
        ("high below low", rows["high"] < rows["low"], _told("high", "low")),
        ("open outside", (rows["open"] > rows["high"]) | (rows["open"] < rows["low"]), _told("open", "low", "high")),
        (
            "close outside",
            (rows["close"] > rows["high"]) | (rows["close"] < rows["low"]),
            _told("close", "low", "high"),
        ),
        ("negative volume", rows["volume"] < 0, _told("volume")),
        ("negative trades", rows["trades"] < 0, _told("trades")),
        ("no price", np.zeros(len(rows), bool) if negative_prices else rows["low"] <= 0, _told("low")),
    ):
        places = np.flatnonzero(broken & (good | (reason == "no session")))
        bad += [BadLine(int(row["line"]), reason, told(row)) for row in rows[places[:_NAMED_MAX]]]
        bad += [BadLine(int(line), reason, "") for line in rows["line"][places[_NAMED_MAX:]]]
        good &= ~broken
    out_of_session = int((~inside).sum()) - sum(one.reason == "no session" for one in bad)
    rows, starts, ends = rows[good], starts[good], ends[good]
    unsorted = _first_unsorted(rows, starts)
    order = np.argsort(starts, kind="stable")
    rows, starts, ends = rows[order], starts[order], ends[order]
    kept = _once(rows, starts, bad)
    bars = _bars(rows[kept], starts[kept], ends[kept], interval, now_ns)
    span = (int(bars["start"][0]), int(bars["start"][-1]) + 1) if len(bars) else (0, 0)
    room = slots(calendar, interval, *span)[:, 0]
    return Checked(
        bars=bars,
        bad=sorted(bad),
        unsorted=unsorted,
        out_of_session=out_of_session,
        forming=int((bars["state"] == BarState.FORMING).sum()),
        absent=int((~np.isin(room, bars["start"])).sum()),
    )


def _bounds(
    rows: NDArray[np.void], interval: Interval, calendar: Calendar
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Start and end of each row's bar, ns, and whether the calendar has it; start is -1 for a stamp off its bounds."""
    times = rows["time"].copy()
    starts, ends, inside = bounds_of(times, interval, calendar)
    if calendar.name == ROUND_THE_WEEK and interval.intraday:
        # A week of currencies begins on Sunday evening with New York's: bars of a weekend are taken as they come, on
        # the grid of the Friday before.
        ends = np.where(inside, ends, starts + interval.minutes * MINUTE_NS)
        inside = np.ones(len(rows), bool)
    on_bound = starts == times
    if not interval.intraday:
        dated = rows["day"] != NO_DAY
        place = _session_of(rows["day"], interval, calendar)
        found = place >= 0
        opens = calendar.open[np.maximum(place, 0)] * MINUTE_NS
        by_day = bounds_of(opens, interval, calendar)
        starts, ends = np.where(dated, by_day[0], starts), np.where(dated, by_day[1], ends)
        inside = np.where(dated, found, inside)
        on_bound |= dated
    return np.where(on_bound, starts, -1), ends, inside


def _session_of(days: NDArray[np.int64], interval: Interval, calendar: Calendar) -> NDArray[np.int64]:
    """Index of a session of each date's day; of its week or month for longer bars; -1 where there is none."""
    place = np.searchsorted(calendar.day, days, side="left")
    last = len(calendar.day) - 1

    def same(place: NDArray[np.int64]) -> NDArray[np.bool_]:
        found = calendar.day[np.clip(place, 0, last)]
        inside = (place >= 0) & (place <= last) & (days != NO_DAY)
        if interval is Interval.W1:
            return np.asarray(inside & ((found + 3) // 7 == (days + 3) // 7))
        if interval is Interval.MO1:
            months = [np.clip(one, -(10**6), 10**6).astype("M8[D]").astype("M8[M]") for one in (found, days)]
            return np.asarray(inside & (months[0] == months[1]))
        return np.asarray(inside & (found == days))

    return np.where(same(place), place, np.where(same(place - 1), place - 1, -1))


def _check_spacing(
    rows: NDArray[np.void], starts: NDArray[np.int64], inside: NDArray[np.bool_], interval: Interval, calendar: Calendar
) -> None:
    """Refuse a file whose rows are bars of another interval: long ones would pass for short ones."""
    times = np.unique(rows["time"])
    if len(times) < _ENOUGH_ROWS:
        return
    steps, counts = np.unique(np.diff(times), return_counts=True)
    step = int(steps[counts.argmax()])
    # Months and weeks with holidays differ in length.
    if step >= 0.8 * _step_of(interval):
        known = np.unique(starts[inside & (starts >= 0)])
        bounds = slots(calendar, interval, int(known[0]), int(known[-1]) + 1)[:, 0] if len(known) else known
        neighbours = np.diff(np.searchsorted(bounds, known)) == 1
        if step <= _step_of(interval) or len(known) < _ENOUGH_ROWS or neighbours.any():
            return
    fits = [one for one in INTERVALS if one is not interval and _step_of(one) == step]
    hint = f"name --interval {fits[0]}" if fits else "name the interval that they are of"
    msg = f"most of its rows are {_span(step)} apart: {hint}"
    raise DeskError(msg)


def _step_of(interval: Interval) -> int:
    minutes = interval.minutes or {Interval.D1: 1440, Interval.W1: 10_080}.get(interval, 44_640)
    return minutes * MINUTE_NS


def _span(step_ns: int) -> str:
    minutes = step_ns // MINUTE_NS
    for size, word in ((1440, "d"), (60, "h")):
        if minutes % size == 0:
            return f"{minutes // size} {word}"
    return f"{minutes} min"


def _first_unsorted(rows: NDArray[np.void], starts: NDArray[np.int64]) -> BadLine | None:
    back = np.flatnonzero(np.diff(starts) < 0)
    if not len(back):
        return None
    place = int(back[0])
    line, before = int(rows["line"][place + 1]), int(rows["line"][place])
    detail = f"{iso(int(starts[place + 1]))} after {iso(int(starts[place]))} in line {before}"
    return BadLine(line, UNSORTED, detail)


def _once(rows: NDArray[np.void], starts: NDArray[np.int64], bad: list[BadLine]) -> NDArray[np.bool_]:
    """Which rows stay: of equal ones the first; of such as contradict each other none. The others are told."""
    kept = np.ones(len(rows), bool)
    again = np.flatnonzero(starts[1:] == starts[:-1]) + 1
    groups: dict[int, list[int]] = {}
    for place in again.tolist():
        groups.setdefault(int(starts[place]), [place - 1]).append(place)
    names = ("open", "high", "low", "close", "volume", "notional", "trades")
    for start, places in groups.items():
        contents = {tuple(repr(rows[name][place].item()) for name in names) for place in places}
        kept[places] = False
        kept[places[0]] = len(contents) == 1
        for place in places[1:] if len(contents) == 1 else places:
            other = places[0] if place != places[0] else places[1]
            line, first = int(rows["line"][place]), int(rows["line"][other])
            if len(contents) == 1:
                bad.append(BadLine(line, "given twice", f"{iso(start)} stands in line {first} too"))
            else:
                bad.append(BadLine(line, "contradicting", f"line {first} says otherwise of {iso(start)}"))
    return kept


def _bars(
    rows: NDArray[np.void], starts: NDArray[np.int64], ends: NDArray[np.int64], interval: Interval, now_ns: int
) -> NDArray[np.void]:
    bars = np.zeros(len(rows), BAR)
    bars["start"], bars["end"] = starts, ends
    for name in ("open", "high", "low", "close", "volume", "notional"):
        bars[name] = rows[name]
    bars["trades"] = np.nan_to_num(rows["trades"]).astype(np.int64)
    bars["updated_at"], bars["seq"], bars["interval"] = now_ns, -1, interval
    # A file of `pq export` says how far each bar can be trusted; any other file is taken to hold the venue's own.
    state = np.where(rows["state"] == NO_STATE, BarState.OFFICIAL, rows["state"])
    bars["state"] = np.where(ends > now_ns, BarState.FORMING, state)
    return bars


Told = Callable[[np.void], str]
"""Says what is wrong with a row."""


def _told(*names: str) -> Told:
    return lambda row: ", ".join(f"{name} {row[name].item()!r}" for name in names)


def _told_time(row: np.void) -> str:
    return f"it starts at {iso(int(row['time']))}"


def _told_day(row: np.void) -> str:
    day = date(1970, 1, 1) + timedelta(days=int(row["day"]))
    return f"the exchange has no session on {day:%a %Y-%m-%d}"


def _told_bounds(interval: Interval) -> Told:
    return lambda row: f"no {interval} bar starts at {iso(int(row['time']))}"
