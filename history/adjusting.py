"""Bars as a reader wants them: raw as stored, or adjusted for the splits and dividends in the book."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from market.actions import Action
from market.adjustment import PRICES, Adjust, Cut, cuts, ex_time, factors, straddled
from market.errors import DeskError
from market.intervals import Interval
from market.sessions import Calendar, calendar_for
from market.symbols import Symbol

if TYPE_CHECKING:
    import polars as pl

    from sinks.bar_store import BarStore

WITHOUT_ACTIONS: Final = ("crypto", "fx")
"""Classes that pay nothing and are never split: raw is adjusted, and no provider needs to be asked."""
_DAY_NS: Final = 86_400 * 10**9
_STALE_NS: Final = 10 * _DAY_NS
"""A close older than this says nothing of a dividend's worth; the longest closing of an exchange is shorter."""


def adjusted(
    frame: "pl.DataFrame",
    store: "BarStore",
    history: Path,
    symbol: Symbol,
    interval: Interval,
    adjust: Adjust,
) -> "pl.DataFrame":
    """A frame of bars on the footing of its newest bar.

    Args:
        frame: Raw bars of one series, columns `market.bars.COLUMNS`, in either order.
        store: Where closes before dividends, and the days of weeks and months, are read.
        history: Path of `history.sqlite`, which holds the actions.
        symbol: The bars' symbol.
        interval: The bars' interval.
        adjust: What is taken out of the prices. Prices after the last action stay to the last bit.

    Returns:
        The same rows. Prices and vwap are multiplied by one factor, volumes by another, notional by both; nothing else
        changes. A week or month that an action falls into is made anew of its days.

    Raises:
        DeskError: There is no action to go by, a dividend has no close near it, or a week or month lacks days.
    """
    if adjust is Adjust.NONE or frame.is_empty():
        return frame
    actions = _actions(history, symbol)
    calendar = calendar_for(symbol)
    starts, ends = (frame[name].to_physical().to_numpy() for name in ("start", "end"))

    def close_before(time: int) -> float | None:
        return _close_before(store, symbol, interval, time)

    made = cuts(actions, calendar, adjust, close_before, int(ends.max()) - 1)
    made = [cut for cut in made if cut.time > int(starts.min())]
    if not made:
        return frame
    scaled = _scaled(frame, made)
    split = np.flatnonzero(straddled(starts, ends, made))
    for place in split.tolist():
        scaled = _remake(scaled, place, store, symbol, interval, calendar, made)
    return scaled


def acted_within(history: Path, symbol: Symbol, start: int, end: int) -> bool:
    """Whether a split or dividend of the symbol takes effect inside `(start, end)`, ns."""
    calendar = calendar_for(symbol)
    return any(start < ex_time(action, calendar) < end for action in _actions(history, symbol))


def _actions(history: Path, symbol: Symbol) -> list[Action]:
    from history.registry import asset_class

    held = None
    if history.is_file():
        from sinks.actions_book import ActionsBook
        from sinks.registry_book import RegistryBook

        with ActionsBook(history) as book:
            found, asked = book.actions(symbol), book.asked()
        if found or symbol in asked:
            return found
        with RegistryBook(history) as registry:
            held = registry.get(symbol)
    if asset_class(symbol, held) in WITHOUT_ACTIONS:
        return []
    msg = (
        f"splits and dividends of {symbol} were never fetched, so its prices can be read as they traded only; "
        f"`pq actions fetch {symbol}` or `pq actions import FILE` brings them"
    )
    raise DeskError(msg)


def _close_before(store: "BarStore", symbol: Symbol, interval: Interval, time: int) -> float | None:
    """The last raw close before a moment: of a daily bar, else of the interval that is read."""
    newest: tuple[int, float] | None = None
    for each in dict.fromkeys((Interval.D1, interval, Interval.M1)):
        held = store.read(symbol, each, end=time, limit=1)
        if held.height:
            end = int(held["end"].to_physical()[0])
            if end <= time and (newest is None or end > newest[0]):
                newest = (end, float(held["close"][0]))
    if newest is None:
        return None
    if time - newest[0] > _STALE_NS:
        day, last = (np.datetime64(at, "ns").astype("datetime64[D]") for at in (time, newest[0]))
        msg = (
            f"the dividend of {symbol} on {day} needs the close before it, and the last that is stored is of {last}: "
            f"`pq backfill {symbol} --interval 1d --start {last}` fills that, or read with --adjust splits"
        )
        raise DeskError(msg)
    return newest[1]


def _scaled(frame: "pl.DataFrame", made: list[Cut]) -> "pl.DataFrame":
    import polars as pl

    price, volume = factors(frame["start"].to_physical().to_numpy(), made)
    by_price, by_volume = pl.Series(price), pl.Series(volume)
    return frame.with_columns(
        *(frame[name] * by_price for name in (*PRICES, "vwap")),
        frame["volume"] * by_volume,
        frame["notional"] * by_price * by_volume,
    )


def _remake(
    frame: "pl.DataFrame",
    place: int,
    store: "BarStore",
    symbol: Symbol,
    interval: Interval,
    calendar: Calendar,
    made: list[Cut],
) -> "pl.DataFrame":
    """The frame with one week or month made anew of its adjusted days."""
    import polars as pl

    row = frame.row(place, named=True)
    start, end = (int(frame[name].to_physical()[place]) for name in ("start", "end"))
    days = store.read(symbol, Interval.D1, start, end, newest_first=False)
    minutes = calendar.day_start * 60_000_000_000
    sessions = np.unique(minutes[(minutes >= start) & (minutes < end)])
    until = int(frame["updated_at"].to_physical()[place]) if row["state"] == "forming" else end
    sessions = sessions[sessions < until]
    missing = np.setdiff1d(sessions, days["start"].to_physical().to_numpy())
    if len(missing):
        day = np.datetime64(int(missing[0]), "ns").astype("datetime64[D]")
        msg = (
            f"the {interval} bar of {symbol} at {np.datetime64(start, 'ns').astype('datetime64[D]')} holds a split or "
            f"dividend, and to adjust it its days are needed; {day} is missing: "
            f"`pq backfill {symbol} --interval 1d --start {day}` fetches it"
        )
        raise DeskError(msg)
    scaled = _scaled(days, made)
    volume = float(scaled["volume"].sum())
    notional = None if scaled["notional"].null_count() else float(scaled["notional"].sum())
    values = {
        "open": float(scaled["open"][0]),
        "high": float(scaled["high"].max()),  # type: ignore[arg-type]
        "low": float(scaled["low"].min()),  # type: ignore[arg-type]
        "close": float(scaled["close"][-1]),
        "volume": volume,
        "notional": notional,
        "vwap": notional / volume if notional is not None and volume else None,
    }
    at = pl.int_range(pl.len()) == place
    return frame.with_columns(
        pl.when(at).then(pl.lit(value, pl.Float64)).otherwise(pl.col(name)).alias(name)
        for name, value in values.items()
    )
