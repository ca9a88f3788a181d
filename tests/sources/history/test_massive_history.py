"""Massive's aggregates of US stocks, against a model of its REST protocol and bodies of its client's own tests.

Source of the model: https://massive.com/docs/rest/stocks/aggregates/custom-bars.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

import json
from datetime import date, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from contract import NOW, Desk, Question
from delayed_contract import DelayedContract
from servers.history_http import HistoryServer, Reply

from market.bars import BarState
from market.intervals import Interval, parse_interval
from market.symbols import Symbol
from sources.history.massive import MassiveHistory
from sources.history.provider import BadAnswer, KeyRefused, NoKey, NotOffered, QuotaSpent

NEW_YORK = ZoneInfo("America/New_York")
MS = 10**6
S = 10**9
DAY = 86_400 * S
AAPL = Symbol("NASDAQ", "AAPL")


class TestMassive(DelayedContract):
    """Stamps in ms, both bounds inclusive, the next page's address in the answer, days stamped with midnight."""

    provider = MassiveHistory
    settings = {"key": "MS-key"}  # noqa: RUF012
    notional_within = 1e-6

    def question(self, asked):
        assert asked.headers["Authorization"] == "Bearer MS-key"
        *_, ticker, _, length, unit, first, last = asked.path.split("/")
        assert asked.path.startswith("/v2/aggs/ticker/")
        assert ticker == "BRK.B"
        params = asked.params
        assert params["adjusted"] == "false"
        assert "apiKey" not in params
        limit = int(params["limit"])
        assert 1 <= limit <= 50_000
        if unit == "minute":
            interval = parse_interval(f"{length}m")
            # Minutes are what the limit counts.
            limit = -(-limit // int(length))
            since, until = int(first) * MS, (int(last) + 1) * MS
        else:
            assert (length, unit) == ("1", "day")
            interval = Interval.D1
            since, until = _midnight(first), _midnight(last, days=1)
        newest = params["sort"] == "desc"
        if "cursor" in params:
            edge = int(params["cursor"].split(":")[0])
            since, until = (since, min(until, edge)) if newest else (max(since, edge), until)
        self.asked = asked
        return Question(min(limit, self.page), since, until, interval, newest=newest, newest_first=newest)

    def row(self, bar, interval):
        start = bar.start
        if not interval.intraday:
            start = int(datetime.fromtimestamp(start // S, NEW_YORK).replace(hour=0, minute=0).timestamp()) * S
        mean = 1.0
        if all(type(one) in {int, float} for one in (bar.notional, bar.volume)) and bar.volume:
            mean = bar.notional / bar.volume
        return {
            "v": bar.volume, "vw": mean, "o": bar.open, "c": bar.close, "h": bar.high, "l": bar.low,
            "t": start // MS, "n": bar.trades,
        }  # fmt: skip

    def body(self, rows, question, rest):
        told = {
            "ticker": "BRK.B",
            "queryCount": len(rows),
            "resultsCount": len(rows),
            "adjusted": False,
            "status": "OK",
        }
        if rows:
            told["results"] = rows
        if rest:
            starts = [row["t"] * MS for row in rows if isinstance(row, dict) and "t" in row]
            if question.newest:
                # A day's midnight is before its session: the next page ends before it.
                edge = min(starts, default=question.last)
            else:
                edge = max(starts, default=question.first - 1) + (1 if question.interval.intraday else 12 * 3600 * S)
            query = {**self.asked.params, "cursor": f"{edge}:{rest}", "apiKey": "must not be sent twice"}
            told["next_url"] = f"https://elsewhere.example{self.asked.path}?{urlencode(query)}"
        return told

    def unknown_symbol(self):
        return Reply({"status": "NOT_FOUND", "message": "Data not found."}, status=404)

    def limited(self):
        return Reply({"status": "ERROR", "error": "You've exceeded the maximum requests per minute."}, status=429)


def _midnight(day, days=0):
    moment = datetime.fromisoformat(f"{date.fromisoformat(day) + timedelta(days=days)}").replace(tzinfo=NEW_YORK)
    return int(moment.timestamp()) * S


def fetched(body, desk=None, **options):
    with HistoryServer(lambda _: body) as server:
        provider = MassiveHistory((desk or Desk()).means, key="MS-key", url=server.url)
        pages = list(provider.fetch(AAPL, **options))
        provider.close()
    assert not [row for page in pages for row in page.bad]
    return [bar for page in pages for bar in page.bars], server.calls


def recorded_body(recorded, **changed):
    name = "v2_aggs_ticker_AAPL_range_1_day_2005-04-01_2005-04-04.json"
    return {**json.loads((recorded / "polygon" / name).read_text()), **changed}


def test_the_clients_own_body_is_two_sessions_across_the_change_of_clocks(recorded):
    """1 April 2005 began at 14:30 UTC; on Monday the 4th New York was an hour earlier."""
    bars, calls = fetched(
        recorded_body(recorded, adjusted=False), interval=Interval.D1, start=1_112_331_600 * S, end=1_112_700_000 * S
    )

    assert [(bar["start"], bar["end"]) for bar in bars] == [
        (1_112_365_800 * S, 1_112_389_200 * S),
        (1_112_621_400 * S, 1_112_644_800 * S),
    ]
    names = ("open", "high", "low", "close", "volume", "trades")
    assert [bars[0][name] for name in names] == [1.5032, 1.5064, 1.4489, 1.4604, 642646396, 82132]
    assert bars[0]["notional"] == pytest.approx(1.469 * 642646396)
    assert {bar["state"] for bar in bars} == {BarState.OFFICIAL}
    assert calls[0].path == "/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-05"


def test_adjusted_prices_are_refused_and_never_kept(recorded):
    """This body says that it is adjusted: its prices of 2005, in dollars and cents of 2022, never traded."""
    with pytest.raises(BadAnswer, match="massive gives adjusted prices though raw ones were asked for; none is kept"):
        fetched(recorded_body(recorded), interval=Interval.D1, start=1_112_331_600 * S, end=1_112_700_000 * S)


def test_what_trades_before_the_open_and_after_the_close_is_no_bar_of_the_session():
    """On 6 January 2026: 9:29, 9:30, 15:59 and 16:00 on New York's clock."""
    stamps = [1_767_709_740, 1_767_709_800, 1_767_733_140, 1_767_733_200]
    rows = [{"t": stamp * 1000, "o": 1, "h": 1, "l": 1, "c": 1, "v": 5} for stamp in stamps]
    body = {"status": "DELAYED", "adjusted": False, "results": rows}
    bars, _ = fetched(body, interval=Interval.M1, start=NOW - 2 * 86_400 * S)

    assert [bar["start"] // S for bar in bars] == stamps[1:3]
    assert [bar["trades"] for bar in bars] == [0, 0]


def test_a_count_of_a_thinly_traded_share_looks_further_back():
    """Three of the newest bars are wanted: the first span, of twice the room, has one, and the next two more."""
    open_ns = 1_767_796_200 * S
    held = [open_ns, open_ns - 86_400 * S, open_ns - 2 * 86_400 * S]

    def respond(asked):
        first, last = (int(text) * MS for text in asked.path.split("/")[-2:])
        rows = [{"t": start // MS, "o": 1, "h": 1, "l": 1, "c": 1, "v": 5} for start in held if first <= start <= last]
        return {"status": "OK", "adjusted": False, "results": rows}

    with HistoryServer(respond) as server:
        provider = MassiveHistory(Desk().means, key="MS-key", url=server.url)
        pages = provider.fetch(AAPL, Interval.M30, count=3)
        starts = [start for page in pages for start in page.bars["start"].tolist()]

    assert starts == held
    assert len(server.calls) <= 8


@pytest.mark.parametrize("told", ["evil.example/x", "https:evil", "@evil.example/"])
def test_a_next_page_that_is_no_address_is_not_asked_for(told):
    """Behind our own address it would make another host's, and our key would go there."""
    body = {"status": "OK", "adjusted": False, "results": [], "next_url": told}
    with HistoryServer(lambda _: body) as server:
        pages = MassiveHistory(Desk().means, key="MS-key", url=server.url).fetch(AAPL, Interval.D1, start=NOW - 9 * DAY)
        with pytest.raises(BadAnswer, match="as its next page"):
            list(pages)

    assert len(server.calls) == 1


def test_the_next_page_is_asked_for_at_our_own_address():
    """Whatever host the answer names: the key goes to the one that was set."""
    calls = []

    def respond(asked):
        calls.append(asked)
        more = {} if len(calls) > 1 else {"next_url": "https://evil.example/v2/aggs/more?cursor=7&apiKey=x"}
        return {"status": "OK", "adjusted": False, "results": [], **more}

    with HistoryServer(respond) as server:
        list(MassiveHistory(Desk().means, key="MS-key", url=server.url).fetch(AAPL, Interval.D1, start=NOW - 9 * DAY))

    assert (calls[1].path, calls[1].params) == ("/v2/aggs/more", {"cursor": "7"})


def test_without_a_key_it_is_not_made():
    """The sentence names the variable."""
    with pytest.raises(NoKey, match=r"^massive needs POCKETQUANT_PROVIDERS__MASSIVE__KEY, which is not set"):
        MassiveHistory(Desk().means)


@pytest.mark.parametrize(
    ("reply", "error", "sentence"),
    [
        (Reply({"status": "ERROR", "error": "Unknown API Key"}, 401), KeyRefused, "massive refuses: Unknown API Key"),
        (
            Reply({"status": "NOT_AUTHORIZED", "message": "You are not entitled to this data."}, 403),
            KeyRefused,
            "massive refuses: You are not entitled to this data.",
        ),
        (
            Reply({"status": "NOT_AUTHORIZED", "message": "Your plan doesn't include this data timeframe."}, 403),
            NotOffered,
            "massive's plan does not reach that far: Your plan doesn't include this data timeframe.",
        ),
        (Reply({"status": "ERROR"}), BadAnswer, "massive answers with {'status': 'ERROR'} where results are expected"),
    ],
)
def test_what_it_refuses_is_said_in_a_sentence(reply, error, sentence):
    with HistoryServer(lambda _: reply) as server, pytest.raises(error) as told:
        list(MassiveHistory(Desk().means, key="MS-key", url=server.url).fetch(AAPL, Interval.D1, count=1))

    assert str(told.value).startswith(sentence)


def test_five_calls_a_minute_are_waited_out():
    """It does not say when its minute ends: a whole one is waited, and if that does not help the quota is spent."""
    desk = Desk()
    limited = Reply({"status": "ERROR", "error": "You've exceeded the maximum requests per minute."}, status=429)
    with HistoryServer(lambda _: limited) as server, pytest.raises(QuotaSpent) as told:
        list(MassiveHistory(desk.means, key="MS-key", url=server.url).fetch(AAPL, Interval.D1, count=1))

    assert set(desk.slept) == {60.0}
    assert told.value.until_ns == NOW + 60 * S
