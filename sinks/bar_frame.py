"""Bars as the Polars frame that readers get: the columns `market.bars.COLUMNS`, in their order."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from market.bars import COLUMNS, BarState
from market.intervals import Interval
from market.symbols import Symbol

if TYPE_CHECKING:
    import polars as pl


def bar_frame(symbol: Symbol, interval: Interval, rows: NDArray[np.void], sources: Sequence[str]) -> "pl.DataFrame":
    """One row a bar, in the order of `rows`.

    Args:
        symbol: All rows' symbol.
        interval: All rows' interval.
        rows: `BAR` records; `stream` indexes `sources`.
        sources: Names of feeds and providers.
    """
    import polars as pl

    def named(places: NDArray[np.integer], names: Sequence[str]) -> pl.Series:
        return pl.Series(list(names), dtype=pl.String).gather(places.astype(np.uint32))

    moment = pl.Datetime("ns", "UTC")
    notional = pl.Series(np.ascontiguousarray(rows["notional"]), dtype=pl.Float64).fill_nan(None)
    volume = pl.Series(np.ascontiguousarray(rows["volume"]), dtype=pl.Float64)
    columns: dict[str, pl.Series | pl.Expr] = {
        "exchange": pl.repeat(symbol.exchange, len(rows), dtype=pl.String, eager=True),
        "symbol": pl.repeat(symbol.ticker, len(rows), dtype=pl.String, eager=True),
        "interval": pl.repeat(str(interval), len(rows), dtype=pl.String, eager=True),
        "volume": volume,
        "notional": notional,
        "trades": pl.Series(np.ascontiguousarray(rows["trades"]), dtype=pl.Int64),
        "vwap": pl.select(pl.when(volume != 0).then(notional / volume)).to_series(),
        "state": named(rows["state"], [str(state) for state in BarState]),
        "source": named(rows["stream"], sources or [""]),
        "revision": pl.Series(np.ascontiguousarray(rows["revision"]), dtype=pl.UInt32),
    }
    for name in ("start", "end", "updated_at"):
        columns[name] = pl.Series(np.ascontiguousarray(rows[name]), dtype=pl.Int64).cast(moment)
    for name in ("open", "high", "low", "close"):
        columns[name] = pl.Series(np.ascontiguousarray(rows[name]), dtype=pl.Float64)
    return pl.DataFrame({name: columns[name] for name in COLUMNS})
