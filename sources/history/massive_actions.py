"""Massive's splits and cash dividends of US stocks.

Source: https://massive.com/docs/rest/stocks/corporate-actions/splits and `.../dividends`. A split is
`{execution_date, split_from, split_to, ticker}`, a dividend `{ex_dividend_date, cash_amount, currency, ticker, ...}`;
amounts are as they were paid. Pages follow the address in the answer.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from market.actions import Action, dividend, split
from market.symbols import Symbol
from sources.history.actions import currency_of, one_a_day, read_actions
from sources.history.massive import massive_caller, massive_results, next_page
from sources.history.provider import Means
from sources.history.request import Progress
from sources.history.us_stocks import us_ticker

_PAGE: Final = 1000


class MassiveActions:
    """See `sources.history.actions.ActionsProvider`."""

    name = "massive"

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet.

        Raises:
            NoKey: There is no key.
        """
        del secret
        self._caller = massive_caller(means, key, url)

    def actions(self, symbol: Symbol, start: date, end: date) -> Iterator[Action]:
        """See `sources.history.actions.ActionsProvider`."""
        name = us_ticker(symbol, self.name, "polygon")

        def read_split(item: Any) -> Action | None:
            ratio = float(item["split_to"]) / float(item["split_from"])
            return split(symbol, date.fromisoformat(item["execution_date"]), ratio, self.name)

        def read_dividend(item: Any) -> Action | None:
            amount, day = float(item["cash_amount"]), date.fromisoformat(item["ex_dividend_date"])
            return dividend(symbol, day, amount, currency_of(item), self.name) if amount else None

        found = []
        for what, field, read in (
            ("splits", "execution_date", read_split),
            ("dividends", "ex_dividend_date", read_dividend),
        ):
            span = {f"{field}.gte": str(start), f"{field}.lt": str(end), "sort": field, "order": "asc"}
            rows = self._rows(f"/v3/reference/{what}", {"ticker": name, "limit": _PAGE, **span})
            mine = [row for row in rows if not isinstance(row, dict) or row.get("ticker") == name]
            found += read_actions(self.name, mine, read)
        yield from one_a_day(one for one in found if start <= one.date < end)

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _rows(self, path: str, params: dict[str, str | int]) -> list[Any]:
        """All rows of all pages; one that comes again with its page is taken once."""
        rows: dict[str, Any] = {}
        progress = Progress(self.name)
        while True:
            answer = self._caller.get(path, params)
            before = len(rows)
            rows |= {repr(row): row for row in massive_results(answer)}
            following = next_page(answer)
            if following is None:
                return list(rows.values())
            if len(rows) > before:
                progress.made()
            elif progress.ends(empty=False):
                return list(rows.values())
            path, params = following
