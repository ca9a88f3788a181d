"""Alpaca's splits and dividends of US stocks.

Source: https://docs.alpaca.markets/reference/corporateactions-1. Actions come by kind: of a split `new_rate` shares for
`old_rate`, of a dividend in shares `rate` new ones for each, of one in cash `rate` for each, as it was paid. What is
asked for is a span of `process_date`, which for dividends is the day of the payment; what counts is the `ex_date`.
Splits into units of other securities, spin-offs and mergers change the share into another, and are left out.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

from market.actions import Action, dividend, split
from market.symbols import Symbol
from sources.history.actions import currency_of, one_a_day, read_actions
from sources.history.alpaca import alpaca_caller, next_token
from sources.history.http_caller import Answer
from sources.history.provider import BadAnswer, Means
from sources.history.request import Progress
from sources.history.rows import shown
from sources.history.us_stocks import us_ticker

_PAGE: Final = 1000
_KINDS: Final = ("forward_split", "reverse_split", "stock_dividend", "cash_dividend")
_PAID_LATER: Final = timedelta(days=366)
"""From the ex-date to the payment: weeks in most cases, months in some, and never so long."""


class AlpacaActions:
    """See `sources.history.actions.ActionsProvider`."""

    name = "alpaca"

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet.

        Raises:
            NoKey: The key or its secret is missing.
        """
        self._caller = alpaca_caller(means, key, secret, url)

    def actions(self, symbol: Symbol, start: date, end: date) -> Iterator[Action]:
        """See `sources.history.actions.ActionsProvider`."""
        name = us_ticker(symbol, self.name, "alpaca")
        found = []
        for kind, rows in self._rows(name, start, end + _PAID_LATER).items():
            mine = [row for row in rows if not isinstance(row, dict) or row.get("symbol") == name]
            found += read_actions(self.name, mine, partial(self._read, symbol, kind))
        yield from one_a_day(one for one in found if start <= one.date < end)

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _read(self, symbol: Symbol, kind: str, item: Any) -> Action | None:
        day = date.fromisoformat(item["ex_date"])
        if kind == "cash_dividend":
            amount = float(item["rate"])
            return dividend(symbol, day, amount, currency_of(item), self.name) if amount else None
        if kind == "stock_dividend":
            return split(symbol, day, 1.0 + float(item["rate"]), self.name)
        return split(symbol, day, float(item["new_rate"]) / float(item["old_rate"]), self.name)

    def _rows(self, name: str, start: date, end: date) -> dict[str, list[Any]]:
        """All rows of all pages by kind; one that comes again with its page is taken once."""
        held: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
        params: dict[str, str | int] = {
            "symbols": name,
            "types": ",".join(_KINDS),
            "start": str(start),
            "end": str(end),
            "limit": _PAGE,
            "sort": "asc",
        }
        progress = Progress(self.name)
        while True:
            answer = self._caller.get("/v1/corporate-actions", params)
            groups = _groups(answer)
            for kind, rows in held.items():
                # A kind is written in the plural here, and in the singular where it is asked for.
                rows |= {repr(row): row for row in _listed(groups.get(f"{kind}s"))}
            token = next_token(answer)
            if not token:
                return {kind: list(rows.values()) for kind, rows in held.items()}
            if token != params.get("page_token"):
                progress.made()
            else:
                progress.ends(empty=False)
            params["page_token"] = token


def _listed(rows: Any) -> list[Any]:
    """The rows of a kind, which is left out where there are none."""
    if rows is None or isinstance(rows, list):
        return rows or []
    msg = f"alpaca answers with {shown(rows)} where actions are expected; try later, or name another provider"
    raise BadAnswer(msg)


def _groups(answer: Answer) -> dict[str, Any]:
    held = answer.value.get("corporate_actions") if isinstance(answer.value, dict) else None
    if not isinstance(held, dict):
        msg = f"alpaca answers with {shown(answer.value)} where actions are expected; name another provider"
        raise BadAnswer(msg)
    return held
