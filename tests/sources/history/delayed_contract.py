"""The contract of a provider whose data lags a quarter of an hour behind: nothing is official before that is over."""

# ruff: noqa: D102  # A test's name is its claim.

from contract import NOW, Desk, HttpContract

from market.bars import BarState
from market.symbols import Symbol

DELAY_NS = 16 * 60 * 10**9


class DelayedContract(HttpContract):
    """US stocks, without bars for quiet times."""

    symbol = Symbol("NYSE", "BRK.B")
    foreign = Symbol("KRAKEN", "BTCUSD")
    fills_quiet = False
    page = 20
    moment = NOW
    """Now, for the model."""
    gives_the_last = True
    """Whether the bars of the last minutes come at all."""

    def expected(self, bars, now=NOW):
        held = bars if self.gives_the_last else [bar for bar in bars if bar.start < now - DELAY_NS]
        return super().expected(held, now - DELAY_NS)

    def test_a_bar_is_over_at_the_moment_of_its_end(self):
        interval = self.intervals[0]
        bars = self.truth(interval)
        for late, state in ((0, BarState.FORMING), (DELAY_NS - 1, BarState.FORMING), (DELAY_NS, BarState.OFFICIAL)):
            desk = Desk(bars[-1].end + late)
            with self.serving(self.venue({interval: bars}), desk) as (provider, _):
                pages = list(provider.fetch(self.symbol, interval, start=bars[-9].start))
            found = self.told(pages, interval)
            self.same(found, self.expected(bars[-9:], desk.now))
            if late or self.gives_the_last:
                assert found[-1][-1] == state

    def test_two_halves_of_a_day_are_cut_by_new_yorks_clock(self):
        """The contract's winter day is no proof: what starts at 9:30 in July starts an hour earlier in UTC."""
        summer = Desk(1_783_351_897 * 10**9)
        self.moment = summer.now
        for interval in self.intervals:
            bars = self.truth(interval, summer.now)
            venue = self.venue({interval: bars})
            with self.serving(venue, summer) as (provider, _):
                pages = list(provider.fetch(self.symbol, interval, start=bars[0].start))
            self.same(self.told(pages, interval), self.expected(bars, summer.now))
