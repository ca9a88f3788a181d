"""Yahoo's charts through the yfinance library itself, against a model of the pages that it scrapes.

Source of the model: what the library reads (`yfinance/scrapers/history.py`, version 1.7).
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from actions_contract import SHARE, YEARS, ActionsContract
from contract import NOW, Desk, Question
from delayed_contract import DelayedContract
from servers.history_http import HistoryServer, Reply

from market.actions import dividend, split
from market.intervals import Interval, parse_interval
from market.sessions import calendar_for
from market.slots import slots
from market.symbols import Symbol
from sources.history import yfinance_ticker
from sources.history.actions import make_actions_provider
from sources.history.provider import BadAnswer, NoKey, NotOffered, ProviderAway, QuotaSpent
from sources.history.yfinance import YFinanceHistory

yfinance = pytest.importorskip("yfinance")

S = 10**9
DAY = 86_400 * S
AAPL = Symbol("NASDAQ", "AAPL")


@pytest.fixture(autouse=True, scope="module")
def _library(tmp_path_factory):
    """Its cache on disk is the test's own."""
    yfinance.set_tz_cache_location(str(tmp_path_factory.mktemp("yahoo")))


@pytest.fixture(autouse=True)
def _forgetful():
    """It remembers answers by their address, which is another server's in the next test."""
    yfinance.data.YfData.cache_get.cache_clear()


def chart(rows=(), *, splits=(), dividends=(), symbol=SHARE):
    """A page: rows of `(start s, open, high, low, close, volume)`, events of `(moment s, ...)`."""
    calendar = calendar_for(symbol)
    first, last = (rows[0][0], rows[-1][0]) if rows else (NOW // S, NOW // S)
    days = slots(calendar, Interval.D1, first * S - DAY, last * S + DAY) // S
    periods = [[{"timezone": "EST", "start": int(a), "end": int(b), "gmtoffset": -18000}] for a, b in days]
    now = {"timezone": "EST", "start": int(days[-1][0]), "end": int(days[-1][1]), "gmtoffset": -18000}
    meta = {
        "currency": "USD", "symbol": symbol.ticker, "exchangeName": "NYQ", "instrumentType": "EQUITY",
        "regularMarketTime": last, "gmtoffset": -18000, "timezone": "EST", "exchangeTimezoneName": "America/New_York",
        "priceHint": 2, "currentTradingPeriod": {"pre": now, "regular": now, "post": now}, "tradingPeriods": periods,
        "dataGranularity": "1d", "range": "", "validRanges": ["1d", "5d", "max"],
    }  # fmt: skip
    result = {"meta": meta, "indicators": {"quote": [{}], "adjclose": [{}]}}
    if rows:
        columns = list(zip(*rows, strict=True))
        names = ("open", "high", "low", "close", "volume")
        result["timestamp"] = list(columns[0])
        result["indicators"]["quote"] = [dict(zip(names, map(list, columns[1:]), strict=True))]
        result["indicators"]["adjclose"] = [{"adjclose": list(columns[4])}]
    events = {
        "splits": {str(at): {"date": at, "numerator": a, "denominator": b} for at, a, b in splits},
        "dividends": {str(at): {"date": at, "amount": amount} for at, amount in dividends},
    }
    result["events"] = {name: held for name, held in events.items() if held}
    return {"chart": {"result": [result], "error": None}}


class Pages:
    """Counts the calls for spans, and leaves out those with which the library makes itself known."""

    def __init__(self, server):
        self._server = server

    @property
    def calls(self):
        return [asked for asked in self._server.calls if "period1" in asked.params]


class TestYFinance(DelayedContract):
    """Stamps of the open in seconds, the first bound inclusive and the last not; columns; hours from 9:30 on."""

    provider = YFinanceHistory
    several_pages = False
    says_notional = False

    # What the library does with HTTP is its own business; see below for what it makes of trouble.
    test_too_many_calls_are_made_good_after_a_pause = None
    test_a_long_pause_is_handed_up = None
    test_passing_trouble_loses_nothing = None
    test_lasting_trouble_is_told_as_away = None
    test_a_refusal_is_told_at_once = None
    test_an_answer_of_another_kind_is_a_bad_one = None
    test_rows_that_are_none_at_all_are_a_bad_answer = None

    @contextmanager
    def serving(self, venue, desk):
        def respond(asked):
            if not asked.path.startswith("/v8/finance/chart/"):
                return Reply(b"crumb")
            assert asked.path == "/v8/finance/chart/BRK-B"
            return venue.respond(asked) if "period1" in asked.params else chart()

        yfinance.data.YfData.cache_get.cache_clear()
        with HistoryServer(respond) as server:
            provider = self.provider(desk.means, url=server.url)
            try:
                yield provider, Pages(server)
            finally:
                provider.close()
                provider.close()

    def truth(self, interval, now=NOW):
        # The library keeps volumes as whole numbers.
        return [replace(bar, volume=float(np.ceil(bar.volume))) for bar in super().truth(interval, now)]

    def question(self, asked):
        params = asked.params
        assert params["includePrePost"] == "false"
        interval = parse_interval(params["interval"])
        return Question(10**6, int(params["period1"]) * S, int(params["period2"]) * S, interval)

    def row(self, bar, interval):
        # Its floats are of 32 bits.
        prices = [None if one is None else float(np.float32(one)) for one in (bar.open, bar.high, bar.low, bar.close)]
        return (bar.start // S, *prices, bar.volume)

    def body(self, rows, question, rest):
        return chart(rows)

    def unknown_symbol(self):
        return Reply({"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}, 404)

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ({"close": None}, "not a number"),
            ({"high": 0.001, "low": 1e9}, "high below low"),
            ({"open": 1e9}, "open outside"),
            ({"low": 0.0}, "no price"),
            ({"volume": -1.5}, "negative volume"),
        ],
        ids=str,
    )
    def test_a_row_that_breaks_a_rule_is_left_out_and_told(self, desk, fault, reason):
        super().test_a_row_that_breaks_a_rule_is_left_out_and_told(desk, fault, reason)


class TestYFinanceActions(ActionsContract):
    """Events of the daily chart, dividends adjusted for the splits after them."""

    provider = "yfinance"
    test_an_action_that_cannot_be_read_spoils_the_answer = None
    test_trouble_is_told_as_for_bars = None
    test_a_quota_that_is_spent_makes_no_call = None

    def respond(self, asked):
        if not asked.path.startswith("/v8/finance/chart/"):
            return Reply(b"crumb")
        first, last = int(asked.params.get("period1", 0)), int(asked.params.get("period2", 0))
        days = slots(calendar_for(SHARE), Interval.D1, first * S, min(last * S, NOW))[:, 0] // S
        at = {str(datetime.fromtimestamp(int(day), UTC).date()): int(day) for day in days}
        splits = [(at[day], *ratio) for day, ratio in (("2020-08-31", (4, 1)), ("2023-05-04", (1, 10))) if day in at]
        # Paid on the shares of its day, after both splits.
        paid = [("2023-05-05", 0.125), ("2024-02-09", 2.25)]
        rows = [(int(day), 1.0, 1.0, 1.0, 1.0, 5) for day in days]
        return chart(rows, splits=splits, dividends=[(at[day], amount) for day, amount in paid if day in at])

    def told(self, respond, desk, start=YEARS[0], end=YEARS[1], symbol=SHARE):
        with HistoryServer(respond) as server:
            provider = make_actions_provider(self.provider, desk.means, url=server.url)
            found = list(provider.actions(symbol, start, end))
            provider.close()
        assert len(Pages(server).calls) == len(desk.weights)
        return found


def served(*pages):
    """Answers charts with these pages, one a call, the last one again and again."""
    held = list(pages)

    def respond(asked):
        if not asked.path.startswith("/v8/finance/chart/"):
            return Reply(b"crumb")
        return (held.pop(0) if len(held) > 1 else held[0]) if "period1" in asked.params else chart()

    return respond


def fetched(respond, desk=None, **options):
    with HistoryServer(respond) as server:
        provider = YFinanceHistory((desk or Desk()).means, url=server.url)
        pages = list(provider.fetch(AAPL, **options))
        provider.close()
    return [bar for page in pages for bar in page.bars], Pages(server).calls


def test_prices_before_a_split_are_those_that_traded():
    """AAPL closed at 499.23 on 28 August 2020 with 46,907,479 shares; Yahoo says 124.8075 and four times as many.

    The day of the split itself, Monday the 31st, already trades four for one.
    """
    days = [1_598_621_400, 1_598_880_600]
    rows = [
        (days[0], 126.01249694824219, 126.44249725341797, 124.57749938964844, 124.80750274658203, 187_629_916),
        (days[1], 127.58000183105469, 131.0, 126.0, 129.03999328613281, 225_702_700),
    ]
    page = chart(rows, splits=[(days[1], 4, 1)])
    bars, _ = fetched(served(page), interval=Interval.D1, start=1_598_500_000 * S, end=1_599_000_000 * S)

    assert [bars[0][name] for name in ("open", "high", "low", "close", "volume")] == [
        *(504.05, 505.77, 498.31, 499.23, 46_907_479),
    ]
    assert [bars[1][name] for name in ("open", "high", "low", "close", "volume")] == [
        *(127.58, 131.0, 126.0, 129.04, 225_702_700),
    ]


def test_splits_after_the_span_are_undone_too():
    """Whatever the end of the request, Yahoo adjusts for all splits up to today, and so all of them are asked for."""
    day, later = 1_598_621_400, 1_598_880_600
    rows = [(day, 25.0, 25.0, 25.0, 25.0, 400), (later, 25.0, 25.0, 25.0, 25.0, 400)]
    bars, calls = fetched(
        served(chart(rows, splits=[(later, 4, 1)])), interval=Interval.D1, start=day * S, end=day * S + DAY
    )

    assert [(bar["close"], bar["volume"]) for bar in bars] == [(100.0, 100.0)]
    assert int(calls[0].params["period2"]) > NOW // S


def test_minutes_before_a_split_of_this_week_are_those_that_traded():
    """The splits are asked for by a call of their own."""
    monday, tuesday = 1_767_623_400, 1_767_709_800
    daily = chart(
        [(monday, 25.0, 25.0, 25.0, 25.0, 400), (tuesday, 25.0, 25.0, 25.0, 25.0, 4)], splits=[(tuesday, 4, 1)]
    )
    minutes = chart([(monday, 25.0, 25.0, 25.0, 25.0, 400), (tuesday, 25.0, 25.0, 25.0, 25.0, 400)])
    desk = Desk()
    bars, calls = fetched(served(daily, minutes), desk, interval=Interval.M1, start=NOW - 3 * DAY)

    assert [(bar["close"], bar["volume"]) for bar in bars] == [(100.0, 100.0), (25.0, 400.0)]
    assert [asked.params["interval"] for asked in calls] == ["1d", "1m"]
    assert desk.weights == [1, 1]


def test_a_dividend_before_a_split_is_what_was_paid():
    """AAPL paid 0.82 on each share on 7 August 2020; Yahoo says 0.205, a quarter of it."""
    days = [1_596_807_000, 1_598_880_600]
    page = chart([(day, 1.0, 1.0, 1.0, 1.0, 5) for day in days], splits=[(days[1], 4, 1)], dividends=[(days[0], 0.205)])
    with HistoryServer(served(page)) as server:
        provider = make_actions_provider("yfinance", Desk().means, url=server.url)
        found = list(provider.actions(AAPL, date(2020, 1, 1), date(2021, 1, 1)))

    assert found == [
        dividend(AAPL, date(2020, 8, 7), 0.82, "", "yfinance"),
        split(AAPL, date(2020, 8, 31), 4.0, "yfinance"),
    ]


def test_what_is_older_than_a_month_of_minutes_is_somebody_elses_to_give():
    """A week a call, and no call beyond."""
    with pytest.raises(NotOffered, match="yfinance has 1m bars of NASDAQ:AAPL for the last 29 days only"):
        fetched(served(chart()), interval=Interval.M1, start=NOW - 60 * DAY)


@pytest.mark.parametrize(
    ("reply", "error", "sentence", "tries"),
    [
        (Reply(b"Too Many Requests", 429), QuotaSpent, "yfinance allows no call for 300 s: Too Many Requests", 1),
        (Reply(b"<html>", 200), BadAnswer, "yfinance answers with what cannot be read", 2),
        (Reply(hang_up=True), ProviderAway, "yfinance does not answer", 3),
        (
            Reply(
                {"chart": {"result": None, "error": {"description": "1m data not available: last 30 days only"}}}, 422
            ),
            NotOffered,
            "yfinance does not have that: $AAPL: 1m data not available",
            1,
        ),
    ],
)
def test_trouble_is_told_in_our_terms(reply, error, sentence, tries):
    desk = Desk()
    with pytest.raises(error) as told:
        fetched(served(reply), desk, interval=Interval.D1, count=5)

    assert str(told.value).startswith(sentence)
    assert len(desk.weights) == tries


def test_a_symbol_without_a_zone_is_none_of_yahoos():
    """Its first question, of the zone, is answered with an error."""
    unknown = Reply({"chart": {"result": None, "error": {"code": "Not Found", "description": "No data found"}}}, 404)

    def respond(asked):
        return Reply(b"crumb") if asked.path in {"/", "/v1/test/getcrumb"} else unknown

    with HistoryServer(respond) as server, pytest.raises(NotOffered, match="yfinance has no symbol NONE"):
        list(YFinanceHistory(Desk().means, url=server.url).fetch(Symbol("NYSE", "NONE"), Interval.D1, count=5))


def test_without_the_library_it_is_not_made(monkeypatch):
    """It is an extra: the sentence says how to install it."""

    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(yfinance_ticker, "import_module", absent)
    with pytest.raises(NoKey, match=r"install pocketquant\[yahoo\]"):
        YFinanceHistory(Desk().means)
