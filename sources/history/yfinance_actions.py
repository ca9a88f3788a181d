"""Yahoo's splits and cash dividends of US stocks by the yfinance library, up to today.

Source: https://github.com/joshuaulrich/quantmod/issues/128. Yahoo adjusts dividends, as prices, for later splits: what
was paid is worked out again, to six digits. What is declared for the future is not told.
"""

from collections.abc import Iterator
from datetime import date, timedelta

from market.actions import Action, dividend, split
from market.symbols import Symbol
from sources.history.actions import one_a_day
from sources.history.patience import Patience
from sources.history.provider import Means
from sources.history.us_stocks import new_york, us_ticker
from sources.history.yfinance import as_traded
from sources.history.yfinance_ticker import YahooChart, factor_after


class YFinanceActions:
    """See `sources.history.actions.ActionsProvider`."""

    name = "yfinance"

    def __init__(
        self, means: Means, *, key: str | None = None, secret: str | None = None, url: str | None = None
    ) -> None:
        """Nothing is connected yet. No key is wanted.

        Raises:
            NoKey: The library is not installed.
        """
        del key, secret
        self._means = means
        self._patience = Patience(means)
        self._chart = YahooChart(means.now_ns, url)

    def actions(self, symbol: Symbol, start: date, end: date) -> Iterator[Action]:
        """See `sources.history.actions.ActionsProvider`: one call, of all days from the start on."""
        name = us_ticker(symbol, self.name, "yahoo")
        tomorrow = new_york(self._means.now_ns()).date() + timedelta(days=1)
        frame = self._patience.call(lambda: self._chart.frame(name, "1d", start, tomorrow))
        splits = self._chart.splits(frame)
        found = [split(symbol, one.day, one.ratio, self.name) for one in splits]
        column = frame["Dividends"]
        for moment, amount in column[column > 0].items():
            day = moment.date()
            found.append(dividend(symbol, day, as_traded(float(amount), factor_after(splits, day)), "", self.name))
        yield from one_a_day(one for one in found if start <= one.date < end)

    def close(self) -> None:
        """Let go of connections."""
        self._chart.close()
