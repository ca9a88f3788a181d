"""Tradier's time and sales, against a model of its REST protocol and a recorded refusal.

Source of the model: https://documentation.tradier.com/brokerage-api/markets/get-timesales.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

import json
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from contract import NOW, Desk, Question
from delayed_contract import DelayedContract
from servers.history_http import HistoryServer, Reply

from market.intervals import Interval, parse_interval
from market.symbols import Symbol
from sources.history.provider import BadAnswer, KeyRefused, NoKey, NotOffered
from sources.history.tradier import TradierHistory

NEW_YORK = ZoneInfo("America/New_York")
S = 10**9
AAPL = Symbol("NASDAQ", "AAPL")


class TestTradier(DelayedContract):
    """New York's clock to the minute, both bounds inclusive, all in one answer, one row not in a list."""

    provider = TradierHistory
    settings = {"key": "TR-token"}  # noqa: RUF012
    several_pages = False
    notional_within = 1e-6

    def question(self, asked):
        assert asked.path == "/v1/markets/timesales"
        assert asked.headers["Authorization"] == "Bearer TR-token"
        assert asked.headers["Accept"] == "application/json"
        params = asked.params
        assert (params["symbol"], params["session_filter"]) == ("BRK/B", "open")
        interval = parse_interval(params["interval"].removesuffix("in"))
        return Question(10**6, _ns(params["start"]), _ns(params["end"]) + 60 * S, interval)

    def row(self, bar, interval):
        mean = 1.0
        if all(type(one) in {int, float} for one in (bar.notional, bar.volume)) and bar.volume:
            mean = bar.notional / bar.volume
        moment = datetime.fromtimestamp(bar.start // S, NEW_YORK)
        return {
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}", "timestamp": bar.start // S, "price": bar.close, "open": bar.open,
            "high": bar.high, "low": bar.low, "close": bar.close, "volume": bar.volume, "vwap": mean,
        }  # fmt: skip

    def body(self, rows, question, rest):
        if not rows:
            return {"series": None}
        return {"series": {"data": rows[0] if len(rows) == 1 else rows}}

    def unknown_symbol(self):
        return Reply(b"Invalid parameter, symbol: is not a valid symbol", status=400)

    def limited(self):
        return Reply(b"Quota Violation", status=429)


def _ns(text):
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=NEW_YORK).timestamp()) * S


def fetched(respond, desk=None, **options):
    with HistoryServer(respond) as server:
        provider = TradierHistory((desk or Desk()).means, key="TR-token", url=server.url)
        pages = list(provider.fetch(AAPL, **options))
        provider.close()
    return [bar for page in pages for bar in page.bars], [row for page in pages for row in page.bad], server.calls


def quote(start_s, **changed):
    moment = datetime.fromtimestamp(start_s, NEW_YORK)
    row = {"open": 1, "high": 1, "low": 1, "close": 1, "volume": 5, "vwap": 1, **changed}
    return {"time": f"{moment:%Y-%m-%dT%H:%M:%S}", "timestamp": start_s, **row}


def test_a_week_is_a_page_and_weeks_join_without_a_seam():
    """Each page ends where the one after it begins."""
    opens = [NOW - NOW % (86_400 * S) + (14 * 60 + 30) * 60 * S - days * 86_400 * S for days in (0, 1, 2, 7, 8, 9)]

    def respond(asked):
        held = [start for start in opens if _ns(asked.params["start"]) <= start <= _ns(asked.params["end"])]
        return {"series": {"data": [quote(start // S) for start in held]} if held else None}

    bars, bad, calls = fetched(respond, interval=Interval.M1, start=NOW - 12 * 86_400 * S)

    assert sorted(bar["start"] for bar in bars) == sorted(opens)
    assert bad == []
    assert len(calls) == 2


def test_what_is_older_than_twenty_days_is_somebody_elses_to_give():
    """After the pages that there are; for fifteen minutes it is forty."""
    calls = []
    with HistoryServer(lambda asked: calls.append(asked) or {"series": None}) as server:
        provider = TradierHistory(Desk().means, key="TR-token", url=server.url)
        with pytest.raises(
            NotOffered, match="tradier has 1m bars of NASDAQ:AAPL for the last 20 days only, none before 2025-12-18"
        ):
            list(provider.fetch(AAPL, Interval.M1, start=NOW - 30 * 86_400 * S))
        with pytest.raises(NotOffered, match="for the last 40 days only"):
            list(provider.fetch(AAPL, Interval.M15, start=NOW - 50 * 86_400 * S, end=NOW - 45 * 86_400 * S))

    oldest = min(_ns(asked.params["start"]) for asked in calls)
    assert oldest >= NOW - 20 * 86_400 * S - 60 * S


def test_a_count_that_was_not_met_ends_in_silence_only_if_there_is_no_more():
    """A share quoted since last week has no more; of one with bars on the first of the twenty days nobody knows."""
    young, old = (NOW - days * 86_400 * S + 5 * 60 * S for days in (5, 19))

    def since(first):
        return lambda asked: {
            "series": {"data": [quote(first // 60 // S * 60)]} if _ns(asked.params["start"]) <= first else None
        }

    assert len(fetched(since(young), interval=Interval.M1, count=5)[0]) == 1
    with pytest.raises(NotOffered, match="for the last 20 days only"):
        fetched(since(old), interval=Interval.M1, count=5)


def test_days_are_not_offered_since_nobody_says_whether_they_are_adjusted():
    """They are built from minutes; an adjusted price must not be kept as if it had traded."""
    with pytest.raises(NotOffered, match="tradier has no 1d bars; it has 1m 5m 15m"):
        TradierHistory(Desk().means, key="x").fetch(AAPL, Interval.D1, count=5)


def test_two_times_that_contradict_each_other_are_told():
    """The stamp and New York's clock are the same moment twice."""
    rows = [quote(NOW // S // 60 * 60 - 3600), {**quote(NOW // S // 60 * 60 - 1800), "timestamp": 1_767_700_000}]
    bars, bad, _ = fetched(lambda _: {"series": {"data": rows}}, interval=Interval.M1, count=5)

    assert len(bars) == 1
    assert {row.reason for row in bad} == {"unreadable"}


def test_the_recorded_refusal_is_said_in_a_sentence(recorded):
    """Plain text, which its header calls `plain/text`."""
    held = json.loads((recorded / "tradier" / "openbb-401-invalid-token.json").read_text())
    reply = Reply(held["body_text"].encode(), held["status"], {"Content-Type": held["headers"]["Content-Type"]})
    with pytest.raises(
        KeyRefused, match=r"HTTP 401 .*: Invalid Access Token; check POCKETQUANT_PROVIDERS__TRADIER__KEY"
    ):
        fetched(lambda _: reply, interval=Interval.M1, count=5)


def test_a_limit_that_says_when_it_ends_is_waited_for():
    """Its expiry is a moment in milliseconds."""
    desk = Desk()
    replies = [Reply(b"Quota Violation", 400, {"X-Ratelimit-Expiry": str(NOW // 10**6 + 21_000)})]
    fetched(lambda _: replies.pop() if replies else {"series": None}, desk, interval=Interval.M1, count=5)

    assert len(desk.slept) == 1
    assert 20 <= desk.slept[0] <= 22


def test_without_a_token_it_is_not_made():
    """The sentence names the variable."""
    with pytest.raises(NoKey, match=r"^tradier needs POCKETQUANT_PROVIDERS__TRADIER__KEY, which is not set"):
        TradierHistory(Desk().means)


def test_an_answer_without_a_series_is_a_bad_one():
    with pytest.raises(BadAnswer, match="tradier answers with"):
        fetched(lambda _: {"series": 7}, interval=Interval.M1, count=5)
