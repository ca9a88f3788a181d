"""Paper runs as Polars frames, for `pocketquant.open(...).paper`."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from infra.settings import Settings
from pocketquant.paper.rows import COLUMNS, What, rows_of
from pocketquant.paper.runs import RUNS, all_runs, begun, named, open_book, run_values
from pocketquant.paper.summary import Every

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import polars as pl

    from pocketquant.output import Kind

Frame = Callable[["Mapping[str, Kind]", "Iterable[tuple[Any, ...]]"], "pl.DataFrame"]
"""Makes a frame of a result's columns and rows."""


class Paper:
    """Reads of a desk's paper runs, as `pq paper` shows them; the desk need not run.

    `run` is an id, how it begins, or a strategy's name; None is all runs. Frames are oldest first, with a column `run`.
    Every method raises `DeskError` where there is no such run, or the book cannot be read.
    """

    def __init__(self, settings: Settings, frame: Frame, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Nothing is opened yet; use `pocketquant.open(...).paper`."""
        self._settings = settings
        self._frame = frame
        self._now_ns = now_ns

    def runs(self, run: str | None = None) -> "pl.DataFrame":
        """Runs with their state, equity and P&L, the newest first: `pq paper status`."""
        with open_book(self._settings) as book:
            found = named(all_runs(book, self._now_ns()), run)
        return self._frame(RUNS, [run_values(row) for row in found])

    def trades(self, run: str | None = None) -> "pl.DataFrame":
        """Trades that are over: `pq paper trades`."""
        return self._rows("trades", run)

    def orders(self, run: str | None = None) -> "pl.DataFrame":
        """Orders with their states and reasons: `pq paper orders`."""
        return self._rows("orders", run)

    def fills(self, run: str | None = None) -> "pl.DataFrame":
        """Fills, each with the journal's row that made it: `pq paper fills`."""
        return self._rows("fills", run)

    def signals(self, run: str | None = None) -> "pl.DataFrame":
        """Decisions with the bars that they saw, as JSON: `pq paper signals`."""
        return self._rows("signals", run)

    def equity(self, run: str | None = None) -> "pl.DataFrame":
        """Equity, cash, exposure and drawdown at each close: `pq paper equity`."""
        return self._rows("equity", run)

    def summary(self, run: str | None = None, *, every: Every | None = None) -> "pl.DataFrame":
        """What runs came to, over their lives or by `day`, `week` or `month`: `pq paper summary`."""
        from pocketquant.paper.totals import COLUMNS as KINDS
        from pocketquant.paper.totals import totals

        now = self._now_ns()
        with open_book(self._settings) as book:
            lines = totals(book, begun(named(all_runs(book, now), run)), every, now, self._settings.paper.keep_days)
        return self._frame(KINDS, [line.values() for line in lines])

    def _rows(self, what: What, run: str | None) -> "pl.DataFrame":
        with open_book(self._settings) as book:
            chosen = begun(named(all_runs(book, self._now_ns()), run))
            rows = [(row["run"], *values) for row in reversed(chosen) for values in rows_of(book, what, row)]
        return self._frame({"run": "text", **COLUMNS[what]}, rows)
