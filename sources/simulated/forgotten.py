"""Minutes of trades that the truth no longer holds one by one: so that the past does not change when it is thinned."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from market.errors import DeskError
from market.intervals import Interval
from sources.simulated.klines import Ints, Klines, fold, joined, starts_of

ROW: Final = np.dtype(
    [
        ("segment", "<i8"),
        ("symbol", "<i8"),
        *((name, "<i8" if name in {"start", "trades"} else "<f8") for name in Klines._fields),
    ]
)
"""One minute of one symbol, 80 bytes; the segment is that of its last trade."""
KEEP_MINUTES: Final = 1_000_000
"""Newest minutes of all symbols that are kept, at least: 138 days of five symbols, 80 MB."""

Records = NDArray[np.void]


class ForgottenMinutes:
    """One-minute bars of the segments that are gone, in memory and, where there is a folder, in a file of it.

    A minute that a segment's end cuts through is carried over to the next one, trade by trade, so that its sums are the
    same left folds as before.
    """

    def __init__(self, folder: Path | None, first_segment: int) -> None:
        """Read what there is.

        Args:
            folder: Of the truth; None keeps all in memory.
            first_segment: The oldest that the truth still holds: what was noted of it or of later ones before the
                exchange was killed is noted again.

        Raises:
            DeskError: The file cannot be read.
        """
        self._path = folder / "forgotten.minutes" if folder is not None else None
        self._held: tuple[Records, ...] = ()
        # Rows of minutes that are done, part by part, and last those that go on: one tuple, so that a reader in another
        # thread sees the one state or the other.
        done = carry = np.empty(0, ROW)
        if self._path is not None and self._path.exists():
            done, carry = self._read(self._path), self._read(self._carry_path(self._path))
            kept = done["segment"] < first_segment
            done = done[kept]
            # A carry of a segment that is still there belongs to a drop that was never done: the one before it counts.
            carry = carry[carry["segment"] < first_segment][::-1]
            carry = carry[np.unique(carry["symbol"], return_index=True)[1]]
            if not kept.all():
                self._write(self._path, done)
        self._held = (done, carry)

    def add(self, segment: int, trades: Records) -> None:
        """Sum up a segment that is about to go.

        Args:
            segment: Its number.
            trades: Its `MADE` records.

        Raises:
            DeskError: The disk is full or not writable.
        """
        *parts, carry = self._held
        minutes, symbols = _fold(carry, trades)
        rows = np.empty(len(symbols), ROW)
        rows["segment"], rows["symbol"] = segment, symbols
        for name, column in zip(Klines._fields, minutes, strict=True):
            rows[name] = column
        newest = np.append(symbols[1:] != symbols[:-1], True)
        parts.append(rows[~newest])
        before, carry = carry, np.concatenate([carry[~np.isin(carry["symbol"], symbols)], rows[newest]])
        if self._path is not None:
            self._write(self._path, parts[-1], append=True)
            self._write(self._carry_path(self._path), np.concatenate([before, carry]))
        if sum(map(len, parts)) > 2 * KEEP_MINUTES:
            parts = [np.concatenate(parts)[-KEEP_MINUTES:]]
            if self._path is not None:
                self._write(self._path, parts[0])
        self._held = (*parts, carry)

    def minutes(self, symbol: int, start: int, end: int) -> Klines:
        """Minutes of a symbol that start in `[start, end)`, ns; the last may go on in the truth."""
        found = [Klines.none()]
        for rows in self._held:
            mine = rows[(rows["symbol"] == symbol) & (rows["start"] >= start) & (rows["start"] < end)]
            if len(mine):
                found.append(_columns(mine))
        return joined(found)

    @staticmethod
    def _carry_path(path: Path) -> Path:
        return path.with_suffix(".carry")

    @staticmethod
    def _read(path: Path) -> Records:
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            msg = f"cannot read {path}: {error.strerror}; give the simulated exchange another --data-dir"
            raise DeskError(msg) from error
        # An exchange that was killed may leave part of a row.
        return np.frombuffer(content[: len(content) // ROW.itemsize * ROW.itemsize], ROW)

    @staticmethod
    def _write(path: Path, rows: Records, *, append: bool = False) -> None:
        try:
            if append:
                whole = path.stat().st_size // ROW.itemsize * ROW.itemsize if path.exists() else 0
                with path.open("r+b" if whole else "wb") as file:
                    file.seek(whole)
                    file.write(rows.tobytes())
                return
            aside = path.with_name(path.name + ".new")
            aside.write_bytes(rows.tobytes())
            aside.replace(path)
        except OSError as error:
            msg = f"cannot write the truth to {path}: {error.strerror}; free space, or leave out --data-dir"
            raise DeskError(msg) from error


def _columns(rows: Records) -> Klines:
    return Klines(*(rows[name].copy() for name in Klines._fields))


def _fold(carry: Records, trades: Records) -> tuple[Klines, Ints]:
    """Minutes by symbol, what was carried over first; and the symbol of each."""
    carried = carry[np.isin(carry["symbol"], trades["symbol"])]
    symbols = np.concatenate([carried["symbol"], trades["symbol"].astype(np.int64)])
    rows = joined(
        [_columns(carried), Klines.of_trades(trades["stamp"].copy(), trades["price"].copy(), trades["size"].copy())]
    )
    order = np.lexsort((np.arange(len(symbols)), rows.start, symbols))
    rows, symbols = rows.take(order), symbols[order]
    minutes = starts_of(rows.start, Interval.M1)
    # One key a symbol and minute, never falling.
    base = int(minutes.min())
    keys = (minutes - base) // 60_000_000_000 + symbols * (int(minutes.max() - base) // 60_000_000_000 + 1)
    first = np.concatenate([[True], keys[1:] != keys[:-1]])
    return fold(rows, keys)._replace(start=minutes[first]), symbols[first]
