"""A run's records as rows of the paper book, with the names that users see."""

from collections.abc import Sequence
from math import isfinite
from operator import itemgetter
from typing import Any, Final

from market.bars import BarState
from market.intervals import Interval
from trading.book import QUANTA, Book
from trading.records import FILL, NEVER, ORDER, TRADE, Kind, Liquidity, OrderFlag, Reason, Side, Sizing, State, Tif
from trading.statement import statement

Row = dict[str, Any]

_ORDER: Final = {name: place for place, name in enumerate(ORDER.names or ())}
_FILL: Final = {name: place for place, name in enumerate(FILL.names or ())}
_TRADE: Final = {name: place for place, name in enumerate(TRADE.names or ())}
_KINDS: Final = {int(one): str(one) for one in Kind}
_SIDES: Final = {int(one): str(one) for one in Side}
_SIZINGS: Final = {int(one): str(one) for one in Sizing}
_TIFS: Final = {int(one): str(one) for one in Tif}
_STATES: Final = {int(one): str(one) for one in State}
_REASONS: Final = {int(one): str(one) for one in Reason}
_LIQUIDITIES: Final = {int(one): str(one) for one in Liquidity}
_BAR_STATES: Final = {int(one): str(one) for one in BarState}
_INTERVALS: Final = {int(one): str(one) for one in Interval}
_changing: Final = itemgetter(
    *(
        _ORDER[name]
        for name in (
            "state", "side", "lots", "lots_done", "units", "average", "limit", "stop", "trail", "amount", "expires_at",
        )
    )
)  # fmt: skip
_FRACTION: Final = int(OrderFlag.TRAIL_FRACTION)
_SECOND: Final = 1_000_000_000


def client_id(run: str, placed_at: int, symbol: int, order: int) -> str:
    """The id that a venue would be given: made of the run, the bar and the sequence, so that none is sent twice."""
    return f"{run}-{placed_at // _SECOND}-{symbol}-{order}"


def order_row(run: str, values: Sequence[Any], symbols: Sequence[str]) -> Row:
    """One order; `values` are those of an `ORDER` record, in its fields' order."""
    at = _ORDER
    number, place, placed = values[at["id"]], values[at["symbol"]], values[at["placed_at"]]
    trail = values[at["trail"]]
    fraction = values[at["flag"]] & _FRACTION
    return {
        "run": run,
        "number": number,
        "client_id": client_id(run, placed, place, number),
        "seq": values[at["row"]],
        "symbol": symbols[place] if place < len(symbols) else str(place),
        "kind": _KINDS.get(values[at["kind"]], ""),
        "side": _SIDES.get(values[at["side"]], ""),
        "sizing": _SIZINGS.get(values[at["sizing"]], ""),
        "amount": values[at["amount"]],
        "units": values[at["units"]],
        "filled": values[at["filled"]],
        "average_price": values[at["average"]],
        "limit": values[at["limit"]],
        "stop": values[at["stop"]],
        "trail": trail,
        "trail_unit": None if not isfinite(trail) else "fraction" if fraction else "price",
        "tif": _TIFS.get(values[at["tif"]], ""),
        "placed_at": placed,
        "expires_at": _moment(values[at["expires_at"]]),
        "done_at": _moment(values[at["done_at"]]),
        "state": _STATES.get(values[at["state"]], ""),
        "reason": _REASONS.get(values[at["reason"]], ""),
        "found": values[at["found"]],
        "allowed": values[at["allowed"]],
        "fees": values[at["fees"]],
        "parent": values[at["parent"]] or None,
        "group": values[at["group"]] or None,
        "tag": values[at["tag"]] or None,
    }


def changing(values: Sequence[Any]) -> tuple[Any, ...]:
    """What of a working order's row may change while it works; NaN as text, which is equal to itself."""
    return tuple(map(repr, _changing(values)))


def fill_row(run: str, values: Sequence[Any], symbols: Sequence[str], clients: dict[int, str]) -> Row:
    """One fill; `values` are those of a `FILL` record. `clients`: client ids by order."""
    at = _FILL
    order = values[at["order"]]
    return {
        "run": run,
        "number": values[at["seq"]],
        "order": order or None,
        "client_id": clients.get(order),
        "seq": values[at["row"]],
        "symbol": symbols[values[at["symbol"]]],
        "side": _SIDES[values[at["side"]]],
        "units": values[at["units"]],
        "price": values[at["price"]],
        "time": values[at["time"]],
        "reason": _REASONS[values[at["reason"]]],
        "liquidity": _LIQUIDITIES[values[at["liquidity"]]],
        "slippage": values[at["slippage"]] + 0.0,  # No slippage of a sale is -0.
        "fee": values[at["fee"]],
        "rate": values[at["rate"]],
    }


def trade_row(run: str, number: int, values: Sequence[Any], symbols: Sequence[str]) -> Row:
    """One trade; `values` are those of a `TRADE` record."""
    at = _TRADE
    return {
        "run": run,
        "number": number,
        "symbol": symbols[values[at["symbol"]]],
        "side": "long" if values[at["side"]] > 0 else "short",
        "size": values[at["units"]],
        "entry_time": values[at["entry_time"]],
        "exit_time": values[at["exit_time"]],
        "entry_price": values[at["entry_price"]],
        "exit_price": values[at["exit_price"]],
        "pnl": values[at["pnl"]],
        "return": values[at["gain"]],
        "fees": values[at["fees"]],
        "entry_reason": _REASONS[values[at["entry_reason"]]],
        "exit_reason": _REASONS[values[at["exit_reason"]]],
        "seq": values[at["exit_row"]],
    }


def bar_seen(view: Any) -> Row:
    """A bar as a strategy saw it: what of a `VIEW` record a decision depends on."""
    start, _, first, high, low, close, volume, notional, trades, _, _, state, _ = view
    return {
        "start": start,
        "open": first,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
        "notional": notional if isfinite(notional) else None,
        "trades": trades,
        "state": _BAR_STATES[state],
    }


def interval_name(interval: int) -> str:
    """`1m`, `1h`."""
    return _INTERVALS[interval]


def equity_row(run: str, equity: int, cash: int, held: int, closed_until: int, time: int, seq: int) -> Row:
    """A point of the curve.

    Args:
        run: Whose.
        equity: Quanta.
        cash: Quanta.
        held: Gross value of all positions, quanta.
        closed_until: End of the newest minute that has closed, ns.
        time: End of the bar, ns.
        seq: The boundary's row.
    """
    return {
        "run": run,
        "number": closed_until // (60 * _SECOND),
        "time": time,
        "seq": seq,
        "equity": equity / QUANTA,
        "cash": cash / QUANTA,
        "exposure": held / equity if held else 0.0,
    }


def figures(book: Book, symbols: Sequence[str]) -> Row:
    """How an account stands: columns of its run's row."""
    found = statement(book)
    return {
        "equity": found.equity,
        "cash_now": found.cash,
        "realised": found.realised,
        "unrealised": found.unrealised,
        "exposure": found.gross / found.equity if found.equity else 0.0,
        "fees": found.fees,
        "positions": [
            {
                "symbol": symbols[one.symbol],
                "units": one.units,
                "entry_price": one.entry_price,
                "price": one.price,
                "value": one.value,
                "unrealised": one.unrealised,
                "carry": one.carry,
            }
            for one in found.holdings
        ],
        "working": int(book.accounts["working"][0]),
    }


def _moment(time: int) -> int | None:
    return None if time in {0, int(NEVER)} else time
