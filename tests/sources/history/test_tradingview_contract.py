"""TradingView's charts keep the contract of all providers, against a model of its chart sessions.

Source of the model: recorded sessions.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

from contextlib import contextmanager

from contract import NOW, BarContract, Question
from servers.tradingview_charts import ChartServer, message

from market.intervals import Interval
from market.symbols import Symbol
from sources.history.tradingview import TradingViewHistory

S = 10**9
RESOLUTIONS = {
    "1": Interval.M1, "3": Interval.M3, "5": Interval.M5, "15": Interval.M15, "30": Interval.M30, "45": Interval.M45,
    "60": Interval.H1, "120": Interval.H2, "180": Interval.H3, "240": Interval.H4,
    "1D": Interval.D1, "1W": Interval.W1, "1M": Interval.MO1,
}  # fmt: skip


class Charts:
    """A server as the contract wants to see one: each request for bars is a call."""

    def __init__(self, server):
        self._server = server

    @property
    def calls(self):
        return [None] * self._server.requests


class TestTradingView(BarContract):
    """Starts in seconds, as many rows as asked for counted back from now or from the oldest one shown."""

    provider = TradingViewHistory
    symbol = Symbol("NYSE", "BRK.B")
    foreign = None
    fills_quiet = False
    says_notional = False

    @contextmanager
    def serving(self, venue, desk):
        with ChartServer({}) as server:
            server.respond = lambda *asked: venue.respond(asked)
            provider = self.provider(desk.means, url=server.url)
            try:
                yield provider, Charts(server)
            finally:
                provider.close()
                provider.close()

    def question(self, asked):
        symbol, resolution, before, count = asked
        assert symbol == "NYSE:BRK.B"
        assert 1 <= count <= 5000
        last = NOW + 2 * 86_400 * S if before is None else int(before) * S
        return Question(min(count, self.page), 0, last, RESOLUTIONS[resolution], newest=True)

    def row(self, bar, interval):
        return [bar.start // S, bar.open, bar.high, bar.low, bar.close, bar.volume]

    def body(self, rows, question, rest):
        return rows, rest

    def unknown_symbol(self):
        return [message("symbol_error", "cs_pocketquants", "sds_sym_1", "invalid symbol")]


class TestTradingViewOfVenuesThatNeverClose(TestTradingView):
    """Days from 00:00 UTC, weeks from Monday."""

    symbol = Symbol("BITSTAMP", "BTCUSD")

    def question(self, asked):
        assert asked[0] == "BITSTAMP:BTCUSD"
        return super().question(("NYSE:BRK.B", *asked[1:]))
