"""Rows of the paper book against those of a rerun, line by line: all the same, or the first that is not, by name."""

from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any, Final

from backtest.certificates import Difference
from backtest.frames import fills_frame, orders_frame, trades_frame
from backtest.paper_rerun import Decision, Rerun
from backtest.paper_start import Started
from market.bars import BarState
from market.intervals import Interval
from sinks.paper_book import PRUNED, Row

if TYPE_CHECKING:
    import polars as pl

COMPARED: Final = ("decisions", "orders", "fills", "trades", "equity")
"""Kinds of rows, in the order in which one follows from the other."""
_PLACED: Final = (
    "client_id", "seq", "symbol", "kind", "sizing", "amount", "limit", "stop", "trail", "trail_unit", "tif",
    "placed_at", "parent", "group", "tag",
)  # fmt: skip
"""What an order is from the beginning; the rest comes with its fills and its end."""
_COME: Final = (*_PLACED, "filled", "average_price", "fees", "state", "done_at")
"""What else is written at once of an order that works on. Its size and the end of its day become known with a tick that
fills nothing, and are written with what comes of it next."""
_SAID: Final = frozenset({"seq", "symbol", "kind", "side", "units", "time", "price", "exposure", "equity"})
"""What is said of a row that only one of the two has."""


def compared(
    told: Started, made: Rerun, paper: Mapping[str, Sequence[Row]], after: int, upto: int, *, still: bool
) -> tuple[dict[str, int], Difference | None]:
    """Compare.

    Args:
        told: The run.
        made: What it came to once more.
        paper: By kind the book's rows of it.
        after: Row of the journal behind which the rerun began,
        upto: and with which it ended.
        still: Whether the book ends with that row too; else orders that worked on may have come further.

    Returns:
        How many rows there are by kind, and the first difference by the journal's rows.
    """
    counts, found = {}, []
    for kind, again in _rows(told, made).items():
        known = {int(one["number"]): one for one in again}
        held = {
            int(one["number"]): one
            for one in paper[kind]
            if after < int(one["seq"]) <= upto or (kind == "orders" and int(one["number"]) in known)
        }
        if kind in PRUNED and held:
            # The book lets go of what is old; what is left begins with its oldest row.
            known = {number: one for number, one in known.items() if number >= min(held)}
        counts[kind] = len(known)
        working = set(made.working["id"].tolist()) if kind == "orders" else set()
        first = _first(kind, held, known, working, _COME if still else _PLACED)
        found += [] if first is None else [first]
    return counts, min(found, key=lambda one: (one.seq, COMPARED.index(one.kind)), default=None)


def _first(
    kind: str, paper: Mapping[int, Row], again: Mapping[int, Row], working: set[int], known: Sequence[str]
) -> Difference | None:
    """The first difference between rows of one kind; of orders that work on, only the columns that are known count."""
    return min(_differences(kind, paper, again, working, known), key=lambda one: one.seq, default=None)


def _differences(
    kind: str, paper: Mapping[int, Row], again: Mapping[int, Row], working: set[int], known: Sequence[str]
) -> Iterator[Difference]:
    for number in sorted({*paper, *again}):
        one, other = paper.get(number), again.get(number)
        if one is None or other is None:
            seq = int((one or other or {})["seq"])
            yield Difference(kind, number, "row", _short(one), _short(other), seq)
            continue
        for name in known if number in working else other:
            if name != "number" and not _same(one[name], other[name]):
                yield Difference(kind, number, name, one[name], other[name], int(other["seq"]))
                break


def _rows(told: Started, made: Rerun) -> dict[str, list[Row]]:
    """A rerun's rows as the book would have them, by kind."""
    symbols, logs = told.symbols, made.logs
    orders = []
    for records in (logs.orders, made.working):
        for one, order in zip(_plain(orders_frame(records, symbols), "id"), _by_id(records), strict=True):
            orders.append({**one, "seq": int(order["row"]), "client_id": _client_id(told.run, order)})
    clients = {one["number"]: one["client_id"] for one in orders}
    fills = [
        {**one, "seq": int(fill["row"]), "client_id": clients.get(int(fill["order"]))}
        for one, fill in zip(_plain(fills_frame(logs.fills, symbols), "seq"), logs.fills, strict=True)
    ]
    trades = [
        {**one, "number": number, "seq": int(trade["exit_row"])}
        for number, (one, trade) in enumerate(
            zip(_plain(trades_frame(logs.trades, symbols)), logs.trades, strict=True), made.trades_before + 1
        )
    ]
    points = [{**one._asdict(), "number": one.minute} for one in made.points]
    for one in points:
        del one["minute"]
    decisions = [_decision(told, one) for one in made.decisions]
    return {"decisions": decisions, "orders": orders, "fills": fills, "trades": trades, "equity": points}


def _decision(told: Started, one: Decision) -> Row:
    view = one.view
    notional = float(view["notional"])
    return {
        "number": one.number,
        "seq": one.seq,
        "log_seq": one.log_seq,
        "time": int(view["end"]),
        "symbol": told.plan.symbols[int(view["symbol"])],
        "interval": str(Interval(int(view["interval"]))),
        "exposure": one.exposure,
        "requests": one.requests,
        "bars": {
            "start": int(view["start"]),
            **{name: float(view[name]) for name in ("open", "high", "low", "close", "volume")},
            "notional": None if isnan(notional) else notional,
            "trades": int(view["trades"]),
            "state": str(BarState(int(view["state"]))),
        },
        "late_ms": float(view["late"]),
    }


def _plain(frame: "pl.DataFrame", number: str = "") -> list[Row]:
    """Rows of a frame as the book has them: moments in ns, and the column that numbers them by that name."""
    import polars as pl

    times = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime)]
    frame = frame.with_columns(pl.col(times).cast(pl.Int64)) if times else frame
    return (frame.rename({number: "number"}) if number else frame).to_dicts()


def _by_id(orders: Any) -> Any:
    """In the order of `orders_frame`."""
    return orders[orders["id"].argsort(kind="stable")]


def _client_id(run: str, order: Any) -> str:
    """What a venue would be given: the run, the bar's end in s, the symbol's place, the order's number."""
    return f"{run}-{int(order['placed_at']) // 10**9}-{int(order['symbol'])}-{int(order['id'])}"


def _same(paper: Any, again: Any) -> bool:
    """Whether two values are the same; what is not known is NaN here and nothing in a book."""
    if isinstance(again, float) and isnan(again):
        again = None
    return bool(paper == again)


def _short(row: Row | None) -> Row | None:
    return None if row is None else {name: value for name, value in row.items() if name in _SAID}
