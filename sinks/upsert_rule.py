"""The one upsert rule on arrays: which of two bars with one key is shown, and which revision an uncounted bar gets.

`sinks.bar_store` has the rule in words. Both engines decide by these functions, except where MongoDB's `$max` does it.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from market.bars import RANK, BarBatch, BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol

NEVER: Final = int(np.iinfo(np.int64).max)
"""When a bar came to be known of which no version is logged."""

_RANK: Final = np.array(RANK, dtype=np.int64)
_NUMBERS: Final = ("open", "high", "low", "close", "volume", "notional", "trades", "end", "state")
_FINITE: Final = ("open", "high", "low", "close", "volume")


def versions(rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Rank and revision of each row as one number that grows with both: `rank << 32 | revision`."""
    found: NDArray[np.int64] = _RANK[rows["state"]] << 32 | rows["revision"].astype(np.int64)
    return found


def beats(rows: NDArray[np.void], held: NDArray[np.void]) -> NDArray[np.bool_]:
    """Whether each row replaces the held one beside it."""
    ours, theirs = versions(rows), versions(held)
    later = rows["updated_at"] > held["updated_at"]
    decided: NDArray[np.bool_] = (ours > theirs) | ((ours == theirs) & later)
    return decided


def same_content(rows: NDArray[np.void], held: NDArray[np.void]) -> NDArray[np.bool_]:
    """Whether each row says what the held one beside it says: state, end, numbers; unknown equals unknown."""
    same = np.ones(len(rows), dtype=np.bool_)
    for name in _NUMBERS:
        equal = rows[name] == held[name]
        if name == "notional":
            equal |= np.isnan(rows[name]) & np.isnan(held[name])
        same &= equal
    return same


def count_revisions(
    rows: NDArray[np.void], held: NDArray[np.void], present: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.uint32]]:
    """Give revisions to bars whose writer counts none.

    Args:
        rows: `BAR` records, no key twice; their `revision` is not looked at.
        held: What the store holds for the same keys, in the same order; anything where it holds nothing.
        present: Whether it holds something.

    Returns:
        Which rows are to be written, and the revision of each (meaningless for the others).
    """
    ours, theirs = _RANK[rows["state"]], _RANK[np.where(present, held["state"], 0)]
    forming = ours == 0
    changed = ~same_content(rows, held)
    higher = (ours > theirs) | ((ours == theirs) & changed)
    # A forming bar has no revisions: of two, the one known later is shown.
    stale = forming & (rows["updated_at"] <= held["updated_at"])
    write = ~present | (higher & ~stale)
    following = np.where(present, held["revision"].astype(np.int64) + 1, 1)
    return write, np.where(forming, 0, following).astype(np.uint32)


def best_of_each(keys: NDArray[np.int64], rows: NDArray[np.void]) -> NDArray[np.int64]:
    """Places of the rows that are shown of a batch, one a key, sorted by key.

    Args:
        keys: A number per row that identifies its (series, start).
        rows: `BAR` records with their own revisions.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(again):
        return order
    # Only keys that appear twice are worth the slow sort.
    twice = np.zeros(len(keys), dtype=np.bool_)
    twice[again] = twice[again + 1] = True
    order = order.copy()
    places = order[twice]
    order[twice] = places[np.lexsort((rows["updated_at"][places], versions(rows[places]), keys[places]))]
    last = np.ones(len(keys), dtype=np.bool_)
    last[again] = False
    return order[last]


def batch_keys(batch: BarBatch) -> tuple[NDArray[np.int64], list[Symbol]]:
    """A number per row that identifies its bar within the batch, and the symbols that the number's upper half counts.

    The key is `(place of the symbol * 13 + interval) << 32 + start in minutes`: keys of a series are neighbours.
    """
    places: dict[Symbol, int] = {}
    of_stream = np.zeros(max(len(batch.streams), 1), dtype=np.int64)
    for place in np.flatnonzero(np.bincount(batch.rows["stream"])).tolist():
        of_stream[place] = places.setdefault(batch.streams[place].symbol, len(places))
    series = of_stream[batch.rows["stream"]] * len(Interval) + batch.rows["interval"]
    return (series << 32) + batch.rows["start"] // MINUTE_NS, list(places)


def first_known(
    keys: NDArray[np.int64], rows: NDArray[np.void], logged: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """By row: the smallest `updated_at` of the rows with its key that are over; `NEVER` where there are none."""
    over = rows["state"] != BarState.FORMING
    if logged is not None:
        over &= logged
    distinct, key_of = np.unique(keys, return_inverse=True)
    found = np.full(len(distinct), NEVER, dtype=np.int64)
    np.minimum.at(found, key_of[over], rows["updated_at"][over])
    return found[key_of]


class Settled(NamedTuple):
    """What a batch does to a store, decided before anything is written."""

    changed: NDArray[np.bool_]
    """By row of the batch: whether it changes the store, and so belongs into the log."""
    revision: NDArray[np.uint32]
    """By row of the batch: the revision it gets."""
    shown: NDArray[np.void]
    """By key: the bar that is shown afterwards."""
    touched: NDArray[np.bool_]
    """By key: whether that is another one than before."""
    beaten: list[tuple[NDArray[np.int64], NDArray[np.void]]]
    """Places of keys, and the bars that were shown under them and are no more."""
    inserted: int
    updated: int


def settle(
    rows: NDArray[np.void],
    key_of: NDArray[np.int64],
    held: NDArray[np.void],
    present: NDArray[np.bool_],
    *,
    own_revisions: bool,
) -> Settled:
    """Decide what each row does, as if the rows were written one after the other.

    Args:
        rows: `BAR` records of the batch, in order.
        key_of: For each row the place of its key among the batch's distinct keys.
        held: By key: what the store holds; anything where it holds nothing.
        present: By key: whether it holds something.
        own_revisions: As for `BarStore.upsert`.
    """
    changed = np.zeros(len(rows), dtype=np.bool_)
    revision = rows["revision"].copy()
    shown, present, touched = held.copy(), present.copy(), np.zeros(len(held), dtype=np.bool_)
    beaten = []
    inserted = updated = 0
    for part in _rounds(key_of):
        keys, ours = key_of[part], rows[part]
        theirs, there = shown[keys], present[keys]
        if own_revisions:
            write = ~there | beats(ours, theirs)
        else:
            write, counted = count_revisions(ours, theirs, there)
            ours["revision"] = revision[part] = counted
        replaced = write & there
        beaten.append((keys[replaced], theirs[replaced]))
        written = keys[write]
        shown[written], present[written], touched[written] = ours[write], True, True
        changed[part] = write
        inserted += int((write & ~there).sum())
        updated += int(replaced.sum())
    return Settled(changed, revision, shown, touched, beaten, inserted, updated)


def _rounds(key_of: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Split a batch so that no key is twice in a part: first appearances, then second ones, and so on.

    Deciding part by part is the same as deciding row by row, since rows of different keys do not meet.
    """
    order = np.argsort(key_of, kind="stable")
    ordered = key_of[order]
    begins = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))) if len(order) else order
    turn = np.arange(len(order)) - np.repeat(begins, np.diff(np.append(begins, len(order))))
    return [order[turn == number] for number in range(int(turn.max(initial=-1)) + 1)]


def refuse_unstorable(batch: BarBatch, upto: int | None) -> None:
    """Check what every engine relies on; arguments as for `BarStore.upsert`.

    Raises:
        DeskError: A start or end is no whole minute, a number is not finite, or a state or interval does not exist.
    """
    rows = batch.rows
    assert upto is None or rows["seq"].max(initial=-1) <= upto, f"bars from beyond journal row {upto}"
    bad = (rows["state"] > max(BarState)) | (rows["interval"] > max(Interval))
    bad |= (rows["start"] % MINUTE_NS != 0) | (rows["end"] % MINUTE_NS != 0) | (rows["end"] <= rows["start"])
    for name in _FINITE:
        bad |= ~np.isfinite(rows[name])
    bad |= np.isinf(rows["notional"])
    if bad.any():
        row = rows[np.flatnonzero(bad)[0]]
        symbol = batch.streams[int(row["stream"])].symbol
        msg = (
            f"a bar of {symbol} cannot be stored: start and end must be whole minutes, prices and volume finite, "
            f"interval and state known; found {dict(zip(rows.dtype.names or (), row.tolist(), strict=True))}; "
            "correct the source"
        )
        raise DeskError(msg)
