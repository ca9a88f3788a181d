"""Alpaca's bars of US stocks, against a model of its REST protocol and bodies of its client's own tests.

Source of the model: https://docs.alpaca.markets/reference/stockbars.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from contract import NOW, Desk, Question
from delayed_contract import DELAY_NS, DelayedContract
from servers.history_http import HistoryServer, Reply

from market.bars import BarState
from market.intervals import Interval
from market.symbols import Symbol
from sources.history.alpaca import AlpacaHistory
from sources.history.provider import BadAnswer, KeyRefused, NoKey, NotOffered, QuotaSpent
from sources.stamps import StampReader

NEW_YORK = ZoneInfo("America/New_York")
S = 10**9
OPEN_NS = (9 * 60 + 30) * 60 * S
"""From the midnight with which a day is stamped to its open."""
TIMEFRAMES = {
    "1Min": Interval.M1, "3Min": Interval.M3, "5Min": Interval.M5, "15Min": Interval.M15, "30Min": Interval.M30,
    "1Day": Interval.D1,
}  # fmt: skip
KEYS = {"key": "AK-id", "secret": "AK-secret"}
AAPL = Symbol("NASDAQ", "AAPL")
read = StampReader().read


class TestAlpaca(DelayedContract):
    """RFC 3339 stamps, both bounds inclusive, a token for the next page, days stamped with New York's midnight."""

    provider = AlpacaHistory
    settings = KEYS
    gives_the_last = False
    notional_within = 1e-6

    def question(self, asked):
        assert asked.path == "/v2/stocks/bars"
        assert asked.headers["APCA-API-KEY-ID"] == "AK-id"
        assert asked.headers["APCA-API-SECRET-KEY"] == "AK-secret"
        params = asked.params
        assert (params["symbols"], params["adjustment"], params["feed"]) == ("BRK.B", "raw", "sip")
        limit = int(params["limit"])
        assert 1 <= limit <= 10_000
        interval = TIMEFRAMES[params["timeframe"]]
        later = 0 if interval.intraday else OPEN_NS
        first, last = read(params["start"]) + later, read(params["end"]) + later + 1
        newest = params["sort"] == "desc"
        if "page_token" in params:
            edge = int(params["page_token"].split(":")[0])
            first, last = (first, min(last, edge)) if newest else (max(first, edge), last)
        return Question(min(limit, self.page), first, last, interval, newest=newest, newest_first=newest)

    def row(self, bar, interval):
        return {
            "t": self.stamp(bar.start, interval), "o": bar.open, "h": bar.high, "l": bar.low, "c": bar.close,
            "v": bar.volume, "n": bar.trades, "vw": _mean(bar),
        }  # fmt: skip

    @staticmethod
    def stamp(start, interval):
        moment = datetime.fromtimestamp(start // S, NEW_YORK)
        if not interval.intraday:
            moment = moment.replace(hour=0, minute=0)
        return moment.astimezone(ZoneInfo("UTC")).isoformat().replace("+00:00", "Z")

    def body(self, rows, question, rest):
        starts = [read(row["t"]) for row in rows if isinstance(row, dict) and "t" in row]
        if not question.interval.intraday:
            starts = [start + OPEN_NS for start in starts]
        edge = min(starts, default=question.last) if question.newest else max(starts, default=question.first - 1) + 1
        return {"bars": {"BRK.B": rows} if rows else {}, "next_page_token": f"{edge}:{rest}" if rest else None}

    def unknown_symbol(self):
        return Reply({"message": "code=400, message=invalid symbol: BRK.B"}, status=400)

    def limited(self):
        return Reply({"message": "too many requests."}, status=429)


def _mean(bar):
    numbers = [bar.notional, bar.volume]
    return bar.notional / bar.volume if all(type(one) in {int, float} for one in numbers) and bar.volume else 1.0


def fetched(body, desk=None, symbol=AAPL, **options):
    with HistoryServer(lambda _: body) as server:
        provider = AlpacaHistory((desk or Desk()).means, url=server.url, **KEYS)
        pages = list(provider.fetch(symbol, **options))
        provider.close()
    assert not [row for page in pages for row in page.bad]
    return [bar for page in pages for bar in page.bars], server.calls


def recorded_body(recorded, place):
    bodies = json.loads((recorded / "alpaca" / "alpaca-py-mock-bodies.json").read_text())
    return {**bodies[place]["body"], "next_page_token": None}


def test_the_clients_own_body_is_two_sessions_of_new_york(recorded):
    """05:00Z is midnight there in winter; the sessions of 1 and 2 February 2022 began at 14:30Z and ended at 21:00Z."""
    bars, _ = fetched(recorded_body(recorded, 0), interval=Interval.D1, start=1_643_000_000 * S, end=1_644_000_000 * S)

    assert [(bar["start"], bar["end"]) for bar in bars] == [
        (1_643_725_800 * S, 1_643_749_200 * S),
        (1_643_812_200 * S, 1_643_835_600 * S),
    ]
    assert [bars[0][name] for name in ("open", "high", "low", "close", "volume", "trades")] == [
        *(174, 174.84, 172.31, 174.61, 85998033, 732412),
    ]
    assert bars[0]["notional"] == pytest.approx(173.703516 * 85998033)
    assert {bar["state"] for bar in bars} == {BarState.OFFICIAL}


def test_a_body_in_falling_order_and_of_summer_comes_out_rising(recorded):
    """04:00Z is midnight in September; the sessions began at 13:30Z."""
    bars, _ = fetched(
        recorded_body(recorded, 1),
        symbol=Symbol("NASDAQ", "TSLA"),
        interval=Interval.D1,
        end=1_696_000_000 * S,
        count=3,
    )

    assert [bar["start"] for bar in bars] == [1_695_648_600 * S, 1_695_735_000 * S, 1_695_821_400 * S]
    assert [bar["close"] for bar in bars] == [246.99, 244.12, 240.5]


def test_an_empty_body_is_an_empty_page(recorded):
    """Both of its forms: no symbol, and null."""
    for body in (recorded_body(recorded, 3), {"bars": None, "next_page_token": None}):
        bars, calls = fetched(body, interval=Interval.D1, count=3)

        assert bars == []
        assert len(calls) == 1


def test_what_trades_before_the_open_and_after_the_close_is_no_bar_of_the_session():
    """On 6 January 2026: 9:29, 9:30, 15:59 and 16:00 on New York's clock."""
    stamps = ["2026-01-06T14:29:00Z", "2026-01-06T14:30:00Z", "2026-01-06T20:59:00Z", "2026-01-06T21:00:00Z"]
    rows = [{"t": stamp, "o": 1, "h": 1, "l": 1, "c": 1, "v": 5, "n": 1, "vw": 1} for stamp in stamps]
    bars, _ = fetched(
        {"bars": {"AAPL": rows}, "next_page_token": None}, interval=Interval.M1, start=NOW - 2 * 86_400 * S, end=NOW
    )

    assert [bar["start"] for bar in bars] == [read(stamps[1]), read(stamps[2])]


def test_the_last_quarter_of_an_hour_is_not_asked_for():
    """The free plan answers 403 to a request that reaches into it."""
    _, calls = fetched({"bars": {}, "next_page_token": None}, interval=Interval.M1, count=10)

    assert read(calls[0].params["end"]) <= NOW - DELAY_NS
    assert read(calls[0].params["end"]) > NOW - DELAY_NS - 2 * S


def test_what_was_before_2016_is_somebody_elses_to_give():
    """After the bars that there are, if they reach to its beginning; a younger share ends where its history does."""
    first = {"t": "2016-01-04T05:00:00Z", "o": 1, "h": 1, "l": 1, "c": 1, "v": 5, "n": 1, "vw": 1}
    body = {"bars": {"AAPL": [first]}, "next_page_token": None}
    with HistoryServer(lambda _: body) as server:
        pages = AlpacaHistory(Desk().means, url=server.url, **KEYS).fetch(AAPL, Interval.D1, start=1_400_000_000 * S)
        assert len(next(pages).bars) == 1
        with pytest.raises(
            NotOffered, match="alpaca's history begins on 2016-01-01: there is nothing older of NASDAQ:AAPL"
        ):
            next(pages)
        with pytest.raises(NotOffered, match="2016-01-01"):
            list(AlpacaHistory(Desk().means, url=server.url, **KEYS).fetch(AAPL, Interval.D1, start=1, end=2 * S))
        assert len(server.calls) == 1
    young = {"bars": {"AAPL": [{**first, "t": "2020-01-06T05:00:00Z"}]}, "next_page_token": None}
    assert len(fetched(young, interval=Interval.D1, start=1_400_000_000 * S)[0]) == 1


@pytest.mark.parametrize(("keys", "missing"), [({}, "KEY"), ({"key": "x"}, "SECRET"), ({"secret": "x"}, "KEY")])
def test_without_both_halves_of_a_key_it_is_not_made(keys, missing):
    """The sentence names the variable."""
    with pytest.raises(NoKey, match=f"^alpaca needs POCKETQUANT_PROVIDERS__ALPACA__{missing}, which is not set"):
        AlpacaHistory(Desk().means, **keys)


@pytest.mark.parametrize(
    ("reply", "error", "sentence"),
    [
        (Reply({"message": "forbidden."}, 403), KeyRefused, "alpaca refuses the key: forbidden."),
        (Reply(b"AK-secret is wrong", 401), KeyRefused, "alpaca refuses the key"),
        (
            Reply({"message": "subscription does not permit querying recent SIP data"}, 403),
            NotOffered,
            "alpaca's plan does not include that: subscription does not permit",
        ),
        (Reply({"bars": [1]}), BadAnswer, "alpaca answers with {'bars': [1]} where bars are expected"),
    ],
)
def test_what_it_refuses_is_said_in_a_sentence_without_the_key(reply, error, sentence):
    with HistoryServer(lambda _: reply) as server, pytest.raises(error) as told:
        list(AlpacaHistory(Desk().means, url=server.url, **KEYS).fetch(AAPL, Interval.D1, count=1))

    assert str(told.value).startswith(sentence)
    assert "AK-secret" not in str(told.value)


def test_a_limit_that_says_when_it_ends_is_waited_for():
    """Its reset is a moment in seconds."""
    desk = Desk()
    replies = [Reply({"message": "too many requests."}, 429, {"X-RateLimit-Reset": str(NOW // S + 21)})]
    body = {"bars": {}, "next_page_token": None}
    with HistoryServer(lambda _: replies.pop() if replies else body) as server:
        list(AlpacaHistory(desk.means, url=server.url, **KEYS).fetch(AAPL, Interval.D1, count=1))

    assert len(desk.slept) == 1
    assert 20 <= desk.slept[0] <= 22
    assert len(server.calls) == 2


def test_a_quota_that_is_spent_is_left_alone():
    desk = Desk()
    desk.calls_allowed = 0
    with HistoryServer(lambda _: {}) as server, pytest.raises(QuotaSpent):
        list(AlpacaHistory(desk.means, url=server.url, **KEYS).fetch(AAPL, Interval.D1, count=1))

    assert server.calls == []
