"""Alpha Vantage's series of US stocks, against a model of its query and the sentences with which it refuses.

Source of the model: https://www.alphavantage.co/documentation.
"""

# ruff: noqa: D102  # The contract says what each method of a model is for.

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from contract import NOW, Desk, Question
from delayed_contract import DelayedContract
from servers.history_http import HistoryServer, Reply

from market.bars import BarState
from market.intervals import Interval
from market.symbols import Symbol
from sources.history.alpha_vantage import AlphaVantageHistory
from sources.history.provider import BadAnswer, KeyRefused, NoKey, NotOffered, QuotaSpent

NEW_YORK = ZoneInfo("America/New_York")
S = 10**9
DAY = 86_400 * S
AAPL = Symbol("NASDAQ", "AAPL")
MINUTES = {"1min": Interval.M1, "5min": Interval.M5, "15min": Interval.M15, "30min": Interval.M30}
SERIES = {
    "TIME_SERIES_DAILY": (Interval.D1, "Time Series (Daily)"),
    "TIME_SERIES_WEEKLY": (Interval.W1, "Weekly Time Series"),
    "TIME_SERIES_MONTHLY": (Interval.MO1, "Monthly Time Series"),
}
FIELDS = ("1. open", "2. high", "3. low", "4. close", "5. volume")


class TestAlphaVantage(DelayedContract):
    """An object of rows by stamp, newest first; texts; a week is stamped with its last session so far."""

    provider = AlphaVantageHistory
    settings = {"key": "AVKEY"}  # noqa: RUF012
    several_pages = False
    says_notional = False

    def question(self, asked):
        assert asked.path == "/query"
        params = asked.params
        assert (params["symbol"], params["apikey"]) == ("BRK-B", "AVKEY")
        if params["function"] == "TIME_SERIES_INTRADAY":
            assert (params["adjusted"], params["extended_hours"], params["outputsize"]) == ("false", "false", "full")
            month = datetime.fromisoformat(f"{params['month']}-01").replace(tzinfo=NEW_YORK)
            later = (month + timedelta(days=32)).replace(day=1)
            self.field = f"Time Series ({params['interval']})"
            span = (int(month.timestamp()) * S, int(later.timestamp()) * S)
            return Question(10**6, *span, MINUTES[params["interval"]], newest_first=True)
        interval, self.field = SERIES[params["function"]]
        compact = params.get("outputsize", "full") == "compact"
        return Question(100 if compact else 10**6, 0, self.moment, interval, newest=True, newest_first=True)

    def row(self, bar, interval):
        if interval.intraday:
            stamp = f"{datetime.fromtimestamp(bar.start // S, NEW_YORK):%Y-%m-%d %H:%M:%S}"
        else:
            # The last session so far: of an open week or month it is today's.
            stamp = f"{datetime.fromtimestamp((min(bar.end, self.moment) - 1) // S, NEW_YORK):%Y-%m-%d}"
        numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume)
        texts = [str(one) if type(one) in {int, float} else one for one in numbers]
        return stamp, dict(zip(FIELDS, texts, strict=True))

    def body(self, rows, question, rest):
        told = {}
        for place, row in enumerate(rows):
            # What is no row has a stamp nevertheless, since the rows are an object.
            stamp, values = row if isinstance(row, tuple) else (f"stamp {place}", row)
            told[stamp] = values
        return {"Meta Data": {"6. Time Zone": "US/Eastern"}, self.field: told}

    def unknown_symbol(self):
        return Reply(
            {"Error Message": "Invalid API call. Please retry or visit the documentation for TIME_SERIES_DAILY."}
        )

    def limited(self):
        return Reply({"Note": "Our standard API call frequency is 5 calls per minute and 500 calls per day."})


def fetched(respond, desk=None, symbol=AAPL, **options):
    with HistoryServer(respond) as server:
        provider = AlphaVantageHistory((desk or Desk()).means, key="AVKEY", url=server.url)
        pages = list(provider.fetch(symbol, **options))
        provider.close()
    return [bar for page in pages for bar in page.bars], server.calls


def series(field, **rows):
    """Rows of one share at 1, by stamp."""
    values = dict(zip(FIELDS, ("1.0000", "1.0000", "1.0000", "1.0000", "5"), strict=True))
    return {"Meta Data": {}, field: {stamp.replace("_", "-").lstrip("d"): values for stamp in rows}}


def test_the_documented_day_is_its_session():
    """IBM on 30 August 2024, as recorded in the tests of a client: 9:30 in New York was 13:30 UTC."""
    row = {
        "1. open": "199.1100", "2. high": "202.1700", "3. low": "198.7300", "4. close": "202.1300",
        "5. volume": "4750999",
    }  # fmt: skip
    body = {"Meta Data": {"5. Time Zone": "US/Eastern"}, "Time Series (Daily)": {"2024-08-30": row}}
    (bar,), _ = fetched(lambda _: body, interval=Interval.D1, start=1_725_000_000 * S, symbol=Symbol("NYSE", "IBM"))

    assert (bar["start"], bar["end"]) == (1_725_024_600 * S, 1_725_048_000 * S)
    assert [bar[name] for name in ("open", "high", "low", "close", "volume")] == [
        199.11,
        202.17,
        198.73,
        202.13,
        4750999,
    ]
    assert bar["state"] == BarState.OFFICIAL


def test_the_newest_hundred_days_are_free_and_more_are_asked_for_in_full():
    """`full` is what a free key is refused."""
    for options, size in (
        ({"count": 99}, "compact"),
        ({"count": 100}, "full"),
        ({"count": 30, "end": NOW - 100 * DAY}, "compact"),
        ({"count": 90, "end": NOW - 100 * DAY}, "full"),
        ({"start": NOW - 100 * DAY}, "compact"),
        ({"start": NOW - 200 * DAY}, "full"),
        ({"start": NOW - 2000 * DAY, "end": NOW - 1999 * DAY}, "full"),
    ):
        _, calls = fetched(lambda _: series("Time Series (Daily)"), interval=Interval.D1, **options)

        assert [asked.params["outputsize"] for asked in calls] == [size], options


def test_a_week_and_a_month_are_known_by_any_of_their_sessions():
    """The row of the week so far is stamped with today, and is still open."""
    weeks = series("Weekly Time Series", d2025_12_24=1, d2026_01_02=1, d2026_01_07=1)
    bars, calls = fetched(lambda _: weeks, interval=Interval.W1, count=5)

    assert [datetime.fromtimestamp(bar["start"] // S, NEW_YORK).strftime("%a %d") for bar in bars] == [
        *("Mon 22", "Mon 29", "Mon 05"),
    ]
    assert [BarState(bar["state"]).name for bar in bars] == ["OFFICIAL", "OFFICIAL", "FORMING"]
    assert "outputsize" not in calls[0].params


def test_a_date_without_a_session_is_told():
    """The first of January: a holiday, on which nothing traded."""
    with HistoryServer(lambda _: series("Time Series (Daily)", d2026_01_01=1, d2026_01_02=1)) as server:
        (page,) = AlphaVantageHistory(Desk().means, key="AVKEY", url=server.url).fetch(AAPL, Interval.D1, count=9)

    assert len(page.bars) == 1
    assert [row.reason for row in page.bad] == ["out of session"]


def test_minutes_come_by_the_month_the_newest_first():
    """From the month of the end back to the month of the start."""
    months = {
        "2026-01": {"2026-01-05 09:30:00": 1}, "2025-12": {"2025-12-31 15:59:00": 1},
        "2025-11": {"2025-11-28 12:59:00": 1},
    }  # fmt: skip

    def respond(asked):
        return series("Time Series (1min)", **months.get(asked.params["month"], {}))

    bars, calls = fetched(respond, interval=Interval.M1, start=NOW - 45 * DAY)

    assert [asked.params["month"] for asked in calls] == ["2026-01", "2025-12", "2025-11"]
    assert [str(datetime.fromtimestamp(bar["start"] // S, NEW_YORK))[:16] for bar in bars] == [
        *("2026-01-05 09:30", "2025-12-31 15:59", "2025-11-28 12:59"),
    ]


def test_a_month_that_it_does_not_know_is_the_end_after_others():
    """It calls that an invalid call, as it does an unknown symbol."""
    refusal = {"Error Message": "Invalid API call. Please retry."}

    def respond(asked):
        known = asked.params["month"] == "2026-01"
        return series("Time Series (1min)", **{"2026-01-05 09:30:00": 1}) if known else refusal

    bars, calls = fetched(respond, interval=Interval.M1, count=10)
    assert len(bars) == 1
    assert len(calls) == 2
    with pytest.raises(NotOffered, match="alpha_vantage does not have that: Invalid API call"):
        fetched(lambda _: refusal, interval=Interval.M1, count=10)


PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans at "
    "https://elsewhere.example/premium/ to instantly unlock all premium endpoints"
)
PER_DAY = (
    "We have detected your API key as AVKEY and our standard API rate limit is 25 requests per day. Please subscribe "
    "to any of the premium plans at https://elsewhere.example/premium/ to instantly remove all daily rate limits."
)
PER_SECOND = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request "
    "per second). You may subscribe to any of the premium plans at https://elsewhere.example/premium/ to lift the "
    "free key rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock all "
    "premium endpoints"
)


@pytest.mark.parametrize(
    ("told", "error", "sentence"),
    [
        ({"Information": PREMIUM}, NotOffered, "alpha_vantage has that on a paid plan only: Thank you"),
        (
            {"Information": PER_DAY},
            QuotaSpent,
            "alpha_vantage allows no call before 2026-01-08T05:00:00Z: We have detected",
        ),
        (
            {"Error Message": "the parameter apikey is invalid or missing. Please claim your free API key."},
            KeyRefused,
            "alpha_vantage refuses the key: the parameter apikey is invalid or missing",
        ),
        ({"Error Message": "Invalid API call."}, NotOffered, "alpha_vantage does not have that: Invalid API call."),
        (
            {"surprise": 1},
            BadAnswer,
            "alpha_vantage answers with {'surprise': 1} where Time Series (Daily) is expected",
        ),
    ],
)
def test_what_it_says_with_status_200_is_understood_and_the_key_not_repeated(told, error, sentence):
    with pytest.raises(error) as refused:
        fetched(lambda _: told, interval=Interval.D1, count=5)

    assert str(refused.value).startswith(sentence)
    assert "AVKEY" not in str(refused.value)


def test_a_day_that_is_spent_ends_at_new_yorks_midnight():
    """05:00 UTC in winter: the ledger plans with the moment, and nothing is tried before."""
    desk = Desk()
    with pytest.raises(QuotaSpent) as spent:
        fetched(lambda _: {"Information": PER_DAY}, desk, interval=Interval.D1, count=5)

    assert spent.value.until_ns == 1_767_848_400 * S
    assert desk.slept == []


@pytest.mark.parametrize(
    ("told", "least"), [({"Information": PER_SECOND}, 1.0), ({"Note": "5 calls per minute"}, 60.0)]
)
def test_too_fast_is_waited_out(told, least):
    """All its sentences praise the paid plans and name the day's limit: that is not what they are about."""
    desk = Desk()
    replies = [told]
    fetched(lambda _: replies.pop() if replies else series("Time Series (Daily)"), desk, interval=Interval.D1, count=5)

    assert desk.slept == [least]


def test_without_a_key_it_is_not_made():
    """The sentence names the variable."""
    with pytest.raises(
        NoKey, match=r"^alpha_vantage needs POCKETQUANT_PROVIDERS__ALPHA_VANTAGE__KEY, which is not set"
    ):
        AlphaVantageHistory(Desk().means)
