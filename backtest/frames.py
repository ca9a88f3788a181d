"""A run's records as Polars frames, with the names that users see. Times are `Datetime("ns", "UTC")`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Curve, drawdowns
from market.symbols import Symbol
from trading.records import NEVER, Kind, Liquidity, OrderFlag, Reason, Records, Side, Sizing, State, Tif

if TYPE_CHECKING:
    from enum import IntEnum

    import polars as pl

TRADE_COLUMNS: Final = (
    "symbol", "side", "size", "entry_time", "exit_time", "entry_price", "exit_price", "pnl", "return", "fees",
    "entry_reason", "exit_reason",
)  # fmt: skip
ORDER_COLUMNS: Final = (
    "id", "symbol", "kind", "side", "sizing", "amount", "units", "filled", "average_price", "limit", "stop", "trail",
    "trail_unit", "tif", "placed_at", "expires_at", "done_at", "state", "reason", "found", "allowed", "fees", "parent",
    "group", "tag",
)  # fmt: skip
FILL_COLUMNS: Final = (
    "seq", "order", "symbol", "side", "units", "price", "time", "reason", "liquidity", "slippage", "fee", "rate",
)  # fmt: skip
EQUITY_COLUMNS: Final = ("time", "equity", "cash", "exposure", "drawdown")


def trades_frame(trades: Records, symbols: Sequence[Symbol]) -> "pl.DataFrame":
    """Trades in the order of their exits, columns `TRADE_COLUMNS`.

    size is in units, > 0; pnl in account currency after fees; return a fraction; times are starts of bars.
    """
    import polars as pl

    return pl.DataFrame(
        {
            "symbol": _symbols(trades["symbol"], symbols),
            "side": np.where(trades["side"] > 0, "long", "short"),
            "size": trades["units"],
            "entry_time": _times(trades["entry_time"]),
            "exit_time": _times(trades["exit_time"]),
            "entry_price": trades["entry_price"],
            "exit_price": trades["exit_price"],
            "pnl": trades["pnl"],
            "return": trades["gain"],
            "fees": trades["fees"],
            "entry_reason": _words(trades["entry_reason"], Reason),
            "exit_reason": _words(trades["exit_reason"], Reason),
        },
        schema=_schema(TRADE_COLUMNS, text=("symbol", "side", "entry_reason", "exit_reason")),
    )


def orders_frame(orders: Records, symbols: Sequence[Symbol]) -> "pl.DataFrame":
    """Orders by id, columns `ORDER_COLUMNS`; what does not apply is null. placed_at is the close that decided it."""
    import polars as pl

    orders = orders[np.argsort(orders["id"], kind="stable")]
    trails = np.isfinite(orders["trail"])
    units = np.where(orders["flag"] & int(OrderFlag.TRAIL_FRACTION), "fraction", "price")
    return pl.DataFrame(
        {
            "id": orders["id"],
            "symbol": _symbols(orders["symbol"], symbols),
            "kind": _words(orders["kind"], Kind),
            "side": _words(orders["side"], Side),
            "sizing": _words(orders["sizing"], Sizing),
            "amount": orders["amount"],
            "units": _known(orders["units"]),
            "filled": orders["filled"],
            "average_price": _known(orders["average"]),
            "limit": _known(orders["limit"]),
            "stop": _known(orders["stop"]),
            "trail": _known(orders["trail"]),
            "trail_unit": pl.Series([str(unit) if has else None for unit, has in zip(units, trails, strict=True)]),
            "tif": _words(orders["tif"], Tif),
            "placed_at": _times(orders["placed_at"]),
            "expires_at": _times(orders["expires_at"]),
            "done_at": _times(orders["done_at"]),
            "state": _words(orders["state"], State),
            "reason": _words(orders["reason"], Reason),
            "found": _known(orders["found"]),
            "allowed": _known(orders["allowed"]),
            "fees": orders["fees"],
            "parent": _ids(orders["parent"]),
            "group": _ids(orders["group"]),
            "tag": _ids(orders["tag"]),
        },
        schema=_schema(
            ORDER_COLUMNS,
            text=("symbol", "kind", "side", "sizing", "trail_unit", "tif", "state", "reason"),
            whole=("id", "parent", "group", "tag"),
        ),
    )


def fills_frame(fills: Records, symbols: Sequence[Symbol]) -> "pl.DataFrame":
    """Fills in their order, columns `FILL_COLUMNS`; slippage is part of the price, per unit; time is a bar's start."""
    import polars as pl

    return pl.DataFrame(
        {
            "seq": fills["seq"],
            "order": _ids(fills["order"]),
            "symbol": _symbols(fills["symbol"], symbols),
            "side": _words(fills["side"], Side),
            "units": fills["units"],
            "price": fills["price"],
            "time": _times(fills["time"]),
            "reason": _words(fills["reason"], Reason),
            "liquidity": _words(fills["liquidity"], Liquidity),
            "slippage": fills["slippage"] + 0.0,  # No slippage of a sale is -0.
            "fee": fills["fee"],
            "rate": fills["rate"],
        },
        schema=_schema(FILL_COLUMNS, text=("symbol", "side", "reason", "liquidity"), whole=("seq", "order")),
    )


def equity_frame(curve: Curve, cash: float) -> "pl.DataFrame":
    """The curve, columns `EQUITY_COLUMNS`: time is the end of the bar; exposure and drawdown are fractions."""
    import polars as pl

    return pl.DataFrame(
        {
            "time": _times(curve.time),
            "equity": curve.equity,
            "cash": curve.cash,
            "exposure": curve.exposure,
            "drawdown": drawdowns(curve.equity, cash),
        },
        schema=_schema(EQUITY_COLUMNS),
    )


def _schema(names: Sequence[str], text: Sequence[str] = (), whole: Sequence[str] = ()) -> dict[str, Any]:
    """Types of a frame's columns, so that an empty one has them too: floats unless their names say otherwise."""
    import polars as pl

    times = ("time", "placed_at", "expires_at", "done_at", "entry_time", "exit_time")
    return {
        name: pl.String
        if name in text
        else pl.Int64
        if name in whole
        else pl.Datetime("ns", "UTC")
        if name in times
        else pl.Float64
        for name in names
    }


def _times(times: NDArray[np.int64]) -> "pl.Series":
    """Moments; 0 and `NEVER` are none."""
    import polars as pl

    known = pl.Series(np.ascontiguousarray(times))
    return pl.select(pl.when((known != 0) & (known != NEVER)).then(known)).to_series().cast(pl.Datetime("ns", "UTC"))


def _ids(numbers: NDArray[Any]) -> "pl.Series":
    """Numbers of which 0 is none."""
    import polars as pl

    known = pl.Series(np.ascontiguousarray(numbers).astype(np.int64))
    return pl.select(pl.when(known != 0).then(known)).to_series()


def _known(numbers: NDArray[np.float64]) -> "pl.Series":
    import polars as pl

    return pl.Series(np.ascontiguousarray(numbers)).fill_nan(None)


def _symbols(places: NDArray[Any], symbols: Sequence[Symbol]) -> NDArray[Any]:
    names = np.array([str(symbol) for symbol in symbols], dtype=object)
    found: NDArray[Any] = names[places]
    return found


def _words(values: NDArray[Any], kind: "type[IntEnum]") -> NDArray[Any]:
    """Names of an enumeration's values."""
    least = min(kind)
    names = np.array([str(kind(value)) if value in set(kind) else "" for value in range(least, max(kind) + 1)], object)
    found: NDArray[Any] = names[values.astype(np.int64) - least]
    return found
