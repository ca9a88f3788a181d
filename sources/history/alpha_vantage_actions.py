"""Alpha Vantage's splits and cash dividends of US stocks.

Source: https://www.alphavantage.co/documentation, "Corporate Action - Dividends" and "... Splits". Both come whole:
`{data: [{ex_dividend_date, amount, ...}]}` and `{data: [{effective_date, split_factor}]}`; a date that nobody recorded
is the word `None`. Amounts are as they were paid, in a currency that it does not name.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from market.actions import Action, dividend, split
from market.symbols import Symbol
from sources.history.actions import one_a_day, read_actions
from sources.history.alpha_vantage import alpha_vantage_caller
from sources.history.provider import BadAnswer, Means
from sources.history.rows import shown
from sources.history.us_stocks import us_ticker

_UNKNOWN: Final = "None"


class AlphaVantageActions:
    """See `sources.history.actions.ActionsProvider`."""

    name = "alpha_vantage"

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet.

        Raises:
            NoKey: There is no key.
        """
        del secret
        self._caller = alpha_vantage_caller(means, key, url)

    def actions(self, symbol: Symbol, start: date, end: date) -> Iterator[Action]:
        """See `sources.history.actions.ActionsProvider`: two calls, whatever the span."""
        name = us_ticker(symbol, self.name, "yahoo")

        def read_split(item: Any) -> Action | None:
            return split(symbol, date.fromisoformat(item["effective_date"]), float(item["split_factor"]), self.name)

        def read_dividend(item: Any) -> Action | None:
            if item["ex_dividend_date"] == _UNKNOWN:
                return None
            amount, day = float(item["amount"]), date.fromisoformat(item["ex_dividend_date"])
            return dividend(symbol, day, amount, "", self.name) if amount else None

        found = read_actions(self.name, self._data("SPLITS", name), read_split)
        found += read_actions(self.name, self._data("DIVIDENDS", name), read_dividend)
        yield from one_a_day(one for one in found if start <= one.date < end)

    def close(self) -> None:
        """Let go of connections."""
        self._caller.close()

    def _data(self, function: str, name: str) -> Any:
        answer = self._caller.get("/query", {"function": function, "symbol": name})
        if not isinstance(answer.value, dict) or "data" not in answer.value:
            msg = f"alpha_vantage answers with {shown(answer.value)} where data are expected; name another provider"
            raise BadAnswer(msg)
        return answer.value["data"]
