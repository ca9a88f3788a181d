"""Kraken's candles and trades, against a model of its REST protocol and bodies of its documentation.

Source of the model: https://docs.kraken.com/api/docs/rest-api/get-ohlc-data and `.../get-recent-trades`.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

import pytest
from contract import NOW, Bar, Desk, HttpContract, Question, TradeContract
from servers.history_http import HistoryServer, Reply

from market.bars import BarState
from market.intervals import Interval
from market.sessions import bounds
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.kraken import KrakenHistory
from sources.history.provider import NotOffered, ProviderAway, QuotaSpent

S = 10**9
BTCUSD = Symbol("KRAKEN", "BTCUSD")
MINUTES = {
    1: Interval.M1, 5: Interval.M5, 15: Interval.M15, 30: Interval.M30, 60: Interval.H1, 240: Interval.H4,
    1440: Interval.D1,
}  # fmt: skip


class TestKraken(HttpContract, TradeContract):
    """Seconds, oldest first, the newest 720 whatever is asked, the open one last; errors beside a status of 200."""

    provider = KrakenHistory
    symbol = BTCUSD
    page = 200
    several_pages = False
    notional_within = 1e-9
    stamp_ns = 1000

    def question(self, asked):
        assert asked.params["pair"] == "XBTUSD"
        since = int(asked.params.get("since", 0))
        if self.about_trades(asked):
            assert int(asked.params["count"]) <= 1000
            return Question(self.trade_page, first=since + 1)
        assert asked.path == "/0/public/OHLC"
        return Question(720, first=since * S + 1, interval=MINUTES[int(asked.params["interval"])], newest=True)

    def about_trades(self, asked):
        return asked.path == "/0/public/Trades"

    def row(self, bar: Bar, interval):
        good = type(bar.volume) is float and bar.volume > 0
        vwap = repr(bar.notional / bar.volume) if good else "0.0"
        texts = [str(value) if type(value) is float else value for value in (bar.open, bar.high, bar.low, bar.close)]
        volume = str(bar.volume) if type(bar.volume) is float else bar.volume
        return [bar.start // S, *texts, vwap, volume, bar.trades]

    def body(self, rows, question, rest):
        return {"error": [], "result": {"XXBTZUSD": rows, "last": 0}}

    def trade_row(self, trade):
        side = "b" if trade.aggressor == Aggressor.BUY else "s"
        return [str_of(trade.price), str_of(trade.size), trade.time / S, side, "l", "", trade.id]

    def trade_body(self, rows, question, rest):
        last = max((round(row[2] * 1_000_000) * 1000 for row in rows), default=question.first - 1)
        return {"error": [], "result": {"XXBTZUSD": rows, "last": str(last)}}

    def unknown_symbol(self):
        return Reply({"error": ["EQuery:Unknown asset pair"]})

    def limited(self):
        return Reply({"error": ["EGeneral:Too many requests"]})


def str_of(value):
    return f"{value:.8f}" if type(value) is float else value


def fetched(server, desk=None, **options):
    provider = KrakenHistory((desk or Desk()).means, url=server.url)
    try:
        return [bar for page in provider.fetch(BTCUSD, **options) for bar in page.bars]
    finally:
        provider.close()


DOCUMENTED = {
    "error": [],
    "result": {
        "XXBTZUSD": [
            [1688671200, "30306.1", "30306.2", "30305.7", "30305.7", "30306.1", "3.39243896", 23],
            [1688671260, "30304.5", "30304.5", "30300.0", "30300.0", "30300.0", "4.42996871", 18],
        ],
        "last": 1688671200,
    },
}
"""The body of the documentation, cut to two of its rows."""


def test_the_documented_candle_begins_at_its_stamp_and_tells_vwap_and_trades():
    first = 1_688_671_200 * S
    with HistoryServer(lambda _: DOCUMENTED) as server:
        one, two = fetched(server, interval=Interval.M1, start=first, end=first + 120 * S)

    assert (one["start"], one["end"], two["start"]) == (first, first + 60 * S, first + 60 * S)
    assert [one[name] for name in ("open", "high", "low", "close")] == [30306.1, 30306.2, 30305.7, 30305.7]
    assert (one["volume"], one["trades"]) == (3.39243896, 23)
    assert one["notional"] == 30306.1 * 3.39243896
    assert one["state"] == BarState.OFFICIAL


@pytest.mark.parametrize("interval", sorted(KrakenHistory.terms.intervals), ids=str)
def test_every_interval_is_asked_for_by_its_minutes_and_has_our_bounds(interval):
    start, end = bounds(BTCUSD, interval, NOW - 86_400 * S)
    row = [start // S, "1", "2", "1", "2", "1.5", "3", 4]
    body = {"error": [], "result": {"XXBTZUSD": [row], "last": 0}}
    with HistoryServer(lambda _: body) as server:
        (bar,) = fetched(server, interval=interval, start=start, end=end)
        assert MINUTES[int(server.calls[0].params["interval"])] is interval
    assert (bar["start"], bar["end"]) == (start, end)


def test_its_weeks_from_thursday_are_not_offered_as_ours():
    """`interval=10080` counts weeks from 1 January 1970, a Thursday; ours begin on Monday."""
    assert Interval.W1 not in KrakenHistory.terms.intervals
    assert (1_699_488_000 // 604_800 * 604_800 // 86_400 + 3) % 7 == 3


def long_history():
    """More minutes than it gives."""
    minute, now = 60 * S, NOW - NOW % (60 * S)
    starts = [now - place * minute for place in range(900, -1, -1)]
    return [Bar(start, start + minute, 2.0, 2.0, 2.0, 2.0, 1.0, 2.0, 1) for start in starts]


@pytest.mark.parametrize("asked", [{"start": NOW - 800 * 60 * S}, {"count": 800}], ids=["start", "count"])
def test_what_is_beyond_720_candles_is_said_after_those_that_it_has(asked):
    """Cut off in silence they would pass for all there is."""
    contract, bars = TestKraken(), long_history()
    with contract.serving(contract.venue({Interval.M1: bars}), Desk()) as (provider, _):
        pages = provider.fetch(BTCUSD, Interval.M1, **asked)
        contract.same(contract.told([next(pages)], Interval.M1), contract.expected(bars[-720:]))
        with pytest.raises(NotOffered, match=r"newest 720 1m candles .* none before 2026-01-07T03:42:00Z; its trades"):
            next(pages)


def test_up_to_720_candles_are_all_that_was_asked_for():
    contract, bars = TestKraken(), long_history()
    with contract.serving(contract.venue({Interval.M1: bars}), Desk()) as (provider, _):
        pages = list(provider.fetch(BTCUSD, Interval.M1, start=bars[-720].start))
        contract.same(contract.told(pages, Interval.M1), contract.expected(bars[-720:]))
        pages = list(provider.fetch(BTCUSD, Interval.M1, count=720))
        contract.same(contract.told(pages, Interval.M1), contract.expected(bars[-720:]))


def test_a_limit_in_its_words_is_a_limit_and_an_outage_is_an_outage():
    for error, kind in (("EAPI:Rate limit exceeded", QuotaSpent), ("EService:Unavailable", ProviderAway)):
        with HistoryServer(lambda _, error=error: {"error": [error]}) as server:
            with pytest.raises(kind, match=error):
                fetched(server, interval=Interval.M1, count=1)
            assert len(server.calls) == 5


def test_a_warning_beside_a_result_does_not_spoil_it():
    with HistoryServer(lambda _: {**DOCUMENTED, "error": ["WGeneral:Deprecated"]}) as server:
        assert len(fetched(server, interval=Interval.M1, start=1_688_671_200 * S, end=1_688_671_320 * S)) == 2


def test_the_documented_trade_keeps_its_nanoseconds():
    """A float of the stamp would be off by some hundred."""
    row = b'["30243.40000","0.34507674",1688669597.827736900,"b","m","",61044952]'
    body = b'{"error":[],"result":{"XXBTZUSD":[' + row + b'],"last":"1688669597827736900"}}'
    time = 1_688_669_597_827_736_900
    with HistoryServer(lambda _: Reply(body)) as server:
        provider = KrakenHistory(Desk().means, url=server.url)
        (tick,) = [tick for page in provider.trades(BTCUSD, time, time + 1) for tick in page.ticks]
        provider.close()
    assert [tick[name] for name in ("event_time", "price", "size", "trade_id", "aggressor")] == [
        time, 30243.4, 0.34507674, 61044952, Aggressor.BUY,
    ]  # fmt: skip
