"""OKX's candles and trades, against a model of its REST protocol and bodies of its documentation.

Source of the model: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-candlesticks-history and
`#order-book-trading-market-data-get-trades-history`.
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
from sources.history.okx import OkxHistory
from sources.history.provider import BadAnswer, NotOffered, ProviderAway

MS = 1_000_000
BTCUSDT = Symbol("OKX", "BTCUSDT")
SWAP = Symbol("OKX", "BTCUSDT.P")
NAMES = {
    "1m": Interval.M1, "3m": Interval.M3, "5m": Interval.M5, "15m": Interval.M15, "30m": Interval.M30,
    "1H": Interval.H1, "2H": Interval.H2, "4H": Interval.H4, "1Dutc": Interval.D1, "1Wutc": Interval.W1,
    "1Mutc": Interval.MO1,
}  # fmt: skip
"""Those that begin at UTC midnight; without `utc` days, weeks and months begin eight hours earlier."""


class TestOkx(HttpContract, TradeContract):
    """Milliseconds, newest first, both cursors exclusive, a hundred a page, `confirm`."""

    provider = OkxHistory
    symbol = BTCUSDT
    page = 100
    trade_page = 100

    def question(self, asked):
        assert asked.params["instId"] == "BTC-USDT"
        limit = int(asked.params["limit"])
        assert limit <= 100
        after = int(asked.params["after"])
        if self.about_trades(asked):
            if asked.params["type"] == "1":
                return Question(limit, last_id=after, newest=True, newest_first=True)
            return Question(limit, last=after * MS, newest=True, newest_first=True)
        assert asked.path == "/api/v5/market/history-candles"
        first = (int(asked.params["before"]) + 1) * MS if "before" in asked.params else 0
        return Question(limit, first, after * MS, NAMES[asked.params["bar"]], newest=True, newest_first=True)

    def about_trades(self, asked):
        return asked.path == "/api/v5/market/history-trades"

    def row(self, bar: Bar, interval):
        texts = [text(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.notional)]
        return [str(bar.start // MS), *texts, texts[-1], "1" if bar.end <= self.moment else "0"]

    def body(self, rows, question, rest):
        return {"code": "0", "msg": "", "data": rows}

    def trade_row(self, trade):
        side = "buy" if trade.aggressor == Aggressor.BUY else "sell"
        return {
            "instId": "BTC-USDT", "side": side, "sz": text(trade.size), "px": text(trade.price),
            "tradeId": str(trade.id), "ts": str(trade.time // MS),
        }  # fmt: skip

    def trade_body(self, rows, question, rest):
        return {"code": "0", "msg": "", "data": rows}

    def unknown_symbol(self):
        return Reply({"code": "51001", "data": [], "msg": "Instrument ID doesn't exist"})

    def limited(self):
        return Reply({"code": "50011", "data": [], "msg": "Too Many Requests"}, status=429)


def text(value):
    return str(value) if type(value) in {int, float} else value


def fetched(server, symbol=BTCUSDT, **options):
    provider = OkxHistory(Desk().means, url=server.url)
    try:
        return [bar for page in provider.fetch(symbol, **options) for bar in page.bars]
    finally:
        provider.close()


def body(*rows):
    return {"code": "0", "msg": "", "data": list(rows)}


DOCUMENTED = [
    "1597026360000",
    "3.721",
    "3.743",
    "3.677",
    "3.708",
    "8422410",
    "22698348.04828491",
    "12698348.04828491",
    "0",
]
"""A row of the documentation."""


def test_the_documented_candle_that_is_not_confirmed_is_forming_however_long_ago_it_was():
    first = 1_597_026_360_000 * MS
    with HistoryServer(lambda _: body(DOCUMENTED)) as server:
        (bar,) = fetched(server, interval=Interval.M1, start=first, end=first + 1)
    with HistoryServer(lambda _: body([*DOCUMENTED[:8], "1"])) as server:
        (confirmed,) = fetched(server, interval=Interval.M1, start=first, end=first + 1)

    assert (bar["start"], bar["end"]) == (first, first + 60 * 10**9)
    assert [bar[name] for name in ("open", "high", "low", "close")] == [3.721, 3.743, 3.677, 3.708]
    assert (bar["volume"], bar["notional"], bar["trades"]) == (8422410, 12698348.04828491, 0)
    assert (bar["state"], confirmed["state"]) == (BarState.FORMING, BarState.OFFICIAL)


def test_a_contracts_volume_is_in_base_units_and_not_in_contracts():
    """`vol` counts contracts of 0.01 BTC there; `volCcy` is the same in BTC."""
    first = 1_597_026_360_000 * MS
    row = ["1597026360000", "10000", "10000", "10000", "10000", "500", "5", "50000", "1"]
    with HistoryServer(lambda _: body(row)) as server:
        (bar,) = fetched(server, SWAP, interval=Interval.M1, start=first, end=first + 1)
        assert server.calls[0].params["instId"] == "BTC-USDT-SWAP"
    assert (bar["volume"], bar["notional"]) == (5.0, 50_000.0)


@pytest.mark.parametrize("interval", sorted(OkxHistory.terms.intervals), ids=str)
def test_every_interval_is_asked_for_in_utc_and_has_our_bounds(interval):
    start, end = bounds(BTCUSDT, interval, NOW - 40 * 86_400 * 10**9)
    row = [str(start // MS), "1", "1", "1", "1", "1", "1", "1", "1"]
    with HistoryServer(lambda _: body(row)) as server:
        (bar,) = fetched(server, interval=interval, start=start, end=start + 1)
        params = server.calls[0].params
    assert NAMES[params["bar"]] is interval
    assert (params["after"], params["before"]) == (str(start // MS + 1), str(start // MS - 1))
    assert (bar["start"], bar["end"]) == (start, end)


def test_a_day_of_hong_kong_is_left_out_and_told():
    """`1D` begins at 16:00 UTC: as a day of ours it would be another bar."""
    midnight = 1_767_744_000_000
    rows = [[str(stamp), "1", "1", "1", "1", "1", "1", "1", "1"] for stamp in (midnight, midnight - 8 * 3_600_000)]
    with HistoryServer(lambda _: body(*rows)) as server:
        provider = OkxHistory(Desk().means, url=server.url)
        (page,) = provider.fetch(
            BTCUSDT, Interval.D1, start=(midnight - 86_400_000) * MS, end=(midnight + 1) * MS, count=1
        )
        provider.close()
    assert (len(page.bars), [bad.reason for bad in page.bad]) == (1, ["off the bounds"])


def test_trades_of_more_than_three_months_ago_are_not_offered_and_not_asked_for():
    with HistoryServer(lambda _: body()) as server:
        provider = OkxHistory(Desk().means, url=server.url)
        with pytest.raises(NotOffered, match="last three months"):
            provider.trades(BTCUSDT, NOW - 91 * 86_400 * 10**9, NOW)
        provider.close()
        assert not server.calls


@pytest.mark.parametrize(
    ("kind", "value", "size"), [("linear", "0.01", 0.05), ("inverse", "100", 0.05)], ids=["linear", "inverse"]
)
def test_trades_of_a_contract_are_in_base_units(kind, value, size):
    """Five contracts: of 0.01 BTC each, or of 100 dollars each at 10,000 dollars a coin."""
    trade = {"side": "sell", "sz": "5", "px": "10000", "tradeId": "9", "ts": str(NOW // MS - 5)}

    def respond(asked):
        if asked.path == "/api/v5/public/instruments":
            assert asked.params == {"instType": "SWAP", "instId": "BTC-USDT-SWAP"}
            return body({"ctVal": value, "ctType": kind})
        return body(trade) if asked.params["type"] == "2" else body()

    with HistoryServer(respond) as server:
        provider = OkxHistory(Desk().means, url=server.url)
        (tick,) = [tick for page in provider.trades(SWAP, NOW - 10 * MS, NOW) for tick in page.ticks]
        provider.close()
    assert (tick["size"], tick["aggressor"]) == (size, Aggressor.SELL)


def test_a_contract_of_unknown_worth_is_refused():
    """A volume that is off by a factor of a hundred is worse than none."""
    with HistoryServer(lambda _: body({"ctVal": ""})) as server:
        provider = OkxHistory(Desk().means, url=server.url)
        with pytest.raises(BadAnswer, match="what a contract of BTC-USDT-SWAP is worth"):
            list(provider.trades(SWAP, NOW - 10 * MS, NOW))
        provider.close()


def test_its_outages_in_its_words_are_outages():
    with HistoryServer(lambda _: Reply({"code": "50026", "msg": "System error."}, 500)) as server:
        with pytest.raises(ProviderAway, match="System error"):
            fetched(server, interval=Interval.M1, count=1)
        assert len(server.calls) == 5
