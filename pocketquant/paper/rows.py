"""What paper runs made, row by row: trades, orders, fills, decisions and equity, with the names that users see."""

import json
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from pocketquant.output import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sinks.paper_book import PaperBook, Row

What = Literal["trades", "orders", "fills", "signals", "equity"]
WHATS: Final[tuple[What, ...]] = get_args(What)

COLUMNS: Final[dict[What, dict[str, Kind]]] = {
    "trades": {
        "symbol": "text", "side": "text", "size": "float", "entry_time": "time", "exit_time": "time",
        "entry_price": "float", "exit_price": "float", "pnl": "float", "return": "float", "fees": "float",
        "entry_reason": "text", "exit_reason": "text",
    },
    "orders": {
        "id": "int", "symbol": "text", "kind": "text", "side": "text", "sizing": "text", "amount": "float",
        "units": "float", "filled": "float", "average_price": "float", "limit": "float", "stop": "float",
        "trail": "float", "trail_unit": "text", "tif": "text", "placed_at": "time", "expires_at": "time",
        "done_at": "time", "state": "text", "reason": "text", "found": "float", "allowed": "float", "fees": "float",
        "parent": "int", "group": "int", "tag": "int", "client_id": "text", "row": "int",
    },
    "fills": {
        "seq": "int", "order": "int", "symbol": "text", "side": "text", "units": "float", "price": "float",
        "time": "time", "reason": "text", "liquidity": "text", "slippage": "float", "fee": "float", "rate": "float",
        "client_id": "text", "row": "int",
    },
    "signals": {
        "time": "time", "symbol": "text", "interval": "text", "exposure": "float", "requests": "int",
        "headroom": "text", "late_ms": "float", "bars": "text", "row": "int", "log_row": "int",
    },
    "equity": {"time": "time", "equity": "float", "cash": "float", "exposure": "float", "drawdown": "float"},
}  # fmt: skip
"""By what is asked for. Those of a backtest's files come first; `row` is a row of the journal, `log_row` one of the
bars' log."""

MOMENT: Final[dict[What, str]] = {
    "trades": "exit_time",
    "orders": "placed_at",
    "fills": "time",
    "signals": "time",
    "equity": "time",
}
"""The column that --start and --end look at."""

_KEPT: Final[dict[What, str]] = {"signals": "decisions"}
"""The book's own name where it is another."""
_RENAMED: Final[dict[What, dict[str, str]]] = {
    "trades": {},
    "orders": {"id": "number", "row": "seq"},
    "fills": {"seq": "number", "row": "seq"},
    "signals": {"row": "seq", "log_row": "log_seq"},
    "equity": {},
}


def rows_of(
    book: "PaperBook",
    what: What,
    run: "Row",
    start: int | None = None,
    end: int | None = None,
    limit: int | None = None,
) -> list[tuple[Any, ...]]:
    """Rows of one run, oldest first, in the order of `COLUMNS`.

    Args:
        book: Where they are.
        what: Which.
        run: Whose; the row of a run that has begun.
        start: From this moment on, ns.
        end: Before this moment, ns.
        limit: The newest so many.
    """
    moment = MOMENT[what]
    bounded = start is None and end is None
    newest = limit if bounded and what != "equity" else None
    held = book.rows(_KEPT.get(what, what), run["run"], limit=newest, newest_first=newest is not None)
    if newest is not None:
        held.reverse()
    if what == "equity":
        held = list(_fallen(held, float(run["cash"])))
    found = [
        row
        for row in held
        if (start is None or (row[moment] or 0) >= start) and (end is None or (row[moment] or 0) < end)
    ]
    return [_values(what, row) for row in (found if limit is None else found[-limit:])]


def _values(what: What, row: "Row") -> tuple[Any, ...]:
    renamed = _RENAMED[what]
    values = (row[renamed.get(name, name)] for name in COLUMNS[what])
    return tuple(json.dumps(value) if isinstance(value, dict | list) else value for value in values)


def _fallen(marks: "Sequence[Row]", cash: float) -> "Iterator[Row]":
    """Marks with how far each is below the highest equity before it, a fraction."""
    peak = cash
    for mark in marks:
        peak = max(peak, mark["equity"])
        yield {**mark, "drawdown": 1 - mark["equity"] / peak}
