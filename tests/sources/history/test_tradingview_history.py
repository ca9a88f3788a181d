"""TradingView's charts as a provider of history, against a server that sends the frames of recorded sessions."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from servers.tradingview_charts import CLOSE, ChartServer, frame, message

from market.bars import BarState
from market.intervals import INTERVALS, Interval
from market.sessions import bounds
from market.symbols import parse_symbol
from sources.history.provider import BadAnswer, KeyRefused, Means, NotOffered, ProviderAway, QuotaSpent
from sources.history.tradingview import MAX_BARS, TradingViewHistory
from sources.history.tradingview_chart import ORIGIN

S = 1_000_000_000
AAPL, BTC, EUR = (parse_symbol(name) for name in ("NASDAQ:AAPL", "BITSTAMP:BTCUSD", "FX:EURUSD"))
RESOLUTIONS = ("1", "3", "5", "15", "30", "45", "60", "120", "180", "240", "1D", "1W", "1M")
NOW_S = 1_781_042_358
"""2026-06-09T21:59:18Z, the moment of the recorded session."""


class Given:
    """Means that note what was asked and slept; the clock stands."""

    def __init__(self, now_s=NOW_S):
        self.now_s = now_s
        self.weights = []
        self.slept = []
        self.spent_at = None

    def ask(self, weight=1):
        """Take the weight, or say that there is none left."""
        if len(self.weights) == self.spent_at:
            msg = "none left"
            raise QuotaSpent(msg, 0)
        self.weights.append(weight)

    @property
    def means(self):
        """What a provider is given."""
        return Means(now_ns=lambda: self.now_s * S, sleep=self.slept.append, ask=self.ask)


def at(text):
    """Seconds of `2024-03-08 14:30`, UTC."""
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp())


def minutes(count, last_s=NOW_S // 60 * 60):
    """So many rows of one minute, the last one still open; prices follow from the start."""
    rows = []
    for place in range(count):
        start = last_s - 60 * (count - 1 - place)
        price = 100.0 + start // 60 % 50
        rows.append([float(start), price, price + 1, price - 1, price + 0.5, 2.0])
    return rows


def fetched(provider, symbol, interval, **span):
    """All bars in order of start, and all bad rows."""
    pages = list(provider.fetch(symbol, interval, **span))
    bars = np.concatenate([page.bars for page in pages])
    return np.sort(bars, order="start"), [row for page in pages for row in page.bad]


@pytest.fixture
def given():
    return Given()


def test_the_recorded_series_comes_out_as_it_was_seen(recorded, given):
    """300 quarters of an hour of BYBIT:BTCUSDT.P, of which the last was open; first and last row read by eye."""
    lines = (recorded / "tradingview" / "genesis-chart-frames-mdx.txt").read_text().splitlines()
    came = [line.removeprefix("in\t") for line in lines if line.startswith("in\t")]
    perpetual = parse_symbol("BYBIT:BTCUSDT.P")
    with ChartServer({(str(perpetual), "15"): []}) as server:
        # The recorded session's name is as long as ours, so the lengths in the frames stay right.
        server.trouble.append([text.replace("cs_n7DaMbfJZyWg", "cs_pocketquants") for text in came])
        provider = TradingViewHistory(given.means, url=server.url)
        bars, bad = fetched(provider, perpetual, Interval.M15, count=300)
        provider.close()

    assert bad == []
    assert len(bars) == 300
    assert set(np.diff(bars["start"]) // S) == {900}
    assert bars["end"].tolist() == (bars["start"] + 900 * S).tolist()
    first, last = bars[0], bars[-1]
    assert first["start"] == at("2026-06-06 19:00") * S
    assert [first[name] for name in ("open", "high", "low", "close", "volume")] == [
        *(60604.9, 60750.0, 60526.0, 60690.1, 510.085),
    ]
    assert last["start"] == at("2026-06-09 21:45") * S
    assert bars["state"].tolist() == [BarState.OFFICIAL] * 299 + [BarState.FORMING]
    assert np.isnan(bars["notional"]).all()
    assert not bars["trades"].any()
    assert (bars["seq"] == -1).all()


def test_the_session_is_opened_as_recorded_clients_do(given):
    """The venue refuses an upgrade without its origin; prices are asked for as they traded."""
    with ChartServer({(str(BTC), "1"): minutes(20)}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        fetched(provider, BTC, Interval.M1, count=10)
        provider.close()

    assert server.headers[0]["Origin"] == ORIGIN
    assert server.headers[0]["User-Agent"].startswith("Mozilla/5.0")
    assert server.calls == [
        ("set_auth_token", ["unauthorized_user_token"]),
        ("chart_create_session", ["cs_pocketquants", ""]),
        ("switch_timezone", ["cs_pocketquants", "Etc/UTC"]),
        (
            "resolve_symbol",
            [
                "cs_pocketquants",
                "sds_sym_1",
                '={"symbol":"BITSTAMP:BTCUSD","adjustment":"none","session":"regular"}',
            ],
        ),
        ("create_series", ["cs_pocketquants", "sds_1", "s1", "sds_sym_1", "1", 10, ""]),
    ]


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("symbol", [AAPL, BTC])
def test_every_interval_starts_and_ends_with_the_symbols_calendar(given, symbol, interval):
    """Stamps are starts, of days and longer the open of the first session; the last bar is open; end is exclusive."""
    given.now_s = at("2026-06-09 19:59:30")
    starts, moment = [], given.now_s * S
    while len(starts) < 5:
        held = bounds(symbol, interval, moment)
        if held:
            starts.insert(0, held[0])
        # The bar before this one, or a minute back over a night.
        moment = (held[0] if held else moment) - 60 * S
    rows = [[start // S, 10.0, 12.0, 9.0, 11.0, 3.0] for start in starts]
    with ChartServer({(str(symbol), RESOLUTIONS[interval]): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, bad = fetched(provider, symbol, interval, start=starts[1], end=starts[4])
        newest, _ = fetched(provider, symbol, interval, count=1)
        provider.close()

    assert bad == []
    assert bars["start"].tolist() == starts[1:4]
    assert bars["end"].tolist() == [bounds(symbol, interval, start)[1] for start in starts[1:4]]
    assert set(bars["state"]) == {BarState.OFFICIAL}
    assert set(bars["interval"]) == {interval}
    assert newest["start"].tolist() == starts[4:]
    assert newest["state"].tolist() == [BarState.FORMING]


def test_a_day_is_stamped_with_the_open_of_its_session_across_the_change_of_clocks(given):
    """New York opens at 14:30 UTC on Friday and at 13:30 on Monday, 10 March 2024 being the change."""
    rows = [
        [at("2024-03-08 14:30"), 169.0, 173.7, 168.9, 170.7, 76e6],
        [at("2024-03-11 13:30"), 173, 174.4, 172, 173, 6e7],
    ]
    with ChartServer({(str(AAPL), "1D"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, bad = fetched(provider, AAPL, Interval.D1, count=2)
        provider.close()

    assert bad == []
    assert bars["start"].tolist() == [at("2024-03-08 14:30") * S, at("2024-03-11 13:30") * S]
    assert bars["end"].tolist() == [at("2024-03-08 21:00") * S, at("2024-03-11 20:00") * S]


def test_a_half_day_cuts_its_last_hour(given):
    """29 November 2024 closed at 13:00 New York: the fourth hour from 9:30 has thirty minutes."""
    rows = [[at("2024-11-29 14:30") + 3600 * place, 10, 10, 10, 10, 1] for place in range(4)]
    with ChartServer({(str(AAPL), "60"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, AAPL, Interval.H1, count=4)
        provider.close()

    assert bars["end"][-2:].tolist() == [at("2024-11-29 17:30") * S, at("2024-11-29 18:00") * S]


def test_a_stamp_that_is_no_start_of_ours_is_told_and_left_out(given):
    """A day stamped at midnight would be another bar than the live one of that day."""
    rows = [[at("2024-03-08 00:00"), 10, 10, 10, 10, 1], [at("2024-03-11 13:30"), 10, 10, 10, 10, 1]]
    with ChartServer({(str(AAPL), "1D"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, bad = fetched(provider, AAPL, Interval.D1, count=2)
        provider.close()

    assert bars["start"].tolist() == [at("2024-03-11 13:30") * S]
    assert [row.reason for row in bad] == ["out of session"]


def test_delayed_data_makes_no_official_bar_that_may_still_change(given):
    """Fifteen minutes behind at 19:59:18: the bars that ended after 19:44:18 are not known to be whole."""
    given.now_s = at("2026-06-09 19:59:18")
    rows = [[at("2026-06-09 19:40") + 60 * place, 10, 10, 10, 10, 1] for place in range(6)]
    with ChartServer({(str(AAPL), "1"): rows}, mode="delayed_streaming_900") as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, AAPL, Interval.M1, count=6)
        provider.close()

    assert [BarState(state).name for state in bars["state"]] == ["OFFICIAL"] * 4 + ["FORMING"] * 2


def test_the_slower_of_two_clocks_decides_what_is_over(given):
    """Ours may be ahead: the venue's says that the last bar has half a minute to go."""
    rows = minutes(3)
    with ChartServer({(str(BTC), "1"): rows}) as server:
        server.time_ms = NOW_S * 1000 + 500
        given.now_s = NOW_S + 60
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, BTC, Interval.M1, count=3)
        provider.close()

    assert bars["state"].tolist()[-1] == BarState.FORMING


def test_older_bars_are_asked_for_until_the_start_is_reached(given):
    """Pages come newest first and join without a seam, though each repeats some of the page before."""
    rows = minutes(2600)
    with ChartServer({(str(BTC), "1"): rows}) as server:
        server.overlap = 7
        provider = TradingViewHistory(given.means, url=server.url)
        pages = list(provider.fetch(BTC, Interval.M1, start=int(rows[100][0]) * S))
        provider.close()

    assert server.said("create_series")[0][4] == 1000
    assert [call[1] for call in server.said("request_more_data")] == [1000, 1000]
    assert given.weights == [1, 1, 1]
    assert all(newer.bars["start"][0] > older.bars["start"][-1] for newer, older in pairwise(pages))
    starts = np.sort(np.concatenate([page.bars["start"] for page in pages]))
    assert (starts // S).tolist() == [int(row[0]) for row in rows[100:]]


def test_abandoning_the_pages_asks_for_no_more(given):
    """Laziness is what the quota's planner counts on."""
    with ChartServer({(str(BTC), "1"): minutes(3000)}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        next(iter(provider.fetch(BTC, Interval.M1, count=3000)))
        provider.close()

    assert given.weights == [1]
    assert server.said("request_more_data") == []


def test_the_cap_of_5000_bars_is_kept_and_said_after_the_bars_that_there_are(given):
    """Whoever asks for more gets the newest 5,000 and a sentence, never a hole that nothing tells of."""
    rows = minutes(6000)
    with ChartServer({(str(BTC), "1"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        pages = provider.fetch(BTC, Interval.M1, start=int(rows[0][0]) * S)
        held = [next(pages) for _ in range(5)]
        with pytest.raises(NotOffered) as refused:
            next(pages)
        provider.close()

    first = datetime.fromtimestamp(rows[1000][0], UTC)
    assert sum(len(page.bars) for page in held) == MAX_BARS
    assert str(refused.value) == (
        "tradingview has the newest 5000 bars of a series only: BITSTAMP:BTCUSD 1m begins there at "
        f"{first:%Y-%m-%dT%H:%M:%SZ}; ask for what is later, or name another provider for the rest"
    )
    assert [call[1] for call in server.said("request_more_data")] == [1000] * 4


def test_a_count_over_the_cap_is_refused_before_anything_is_called(given):
    """Nothing of the quota goes into a request that cannot be met."""
    provider = TradingViewHistory(given.means, url="ws://127.0.0.1:9")

    with pytest.raises(
        NotOffered, match="count 5001 is over tradingview's 5000 bars of a series; ask for 5000 at most"
    ):
        provider.fetch(BTC, Interval.M1, count=5001)
    assert given.weights == []


def test_a_young_symbol_ends_where_its_history_does(given):
    """Its first bar is later than the start asked for, and that is no error."""
    with ChartServer({(str(BTC), "1"): minutes(50)}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, BTC, Interval.M1, start=(NOW_S - 86_400) * S)
        provider.close()

    assert len(bars) == 50


def test_a_count_before_an_end_counts_back_from_that_end(given):
    """The newest ten bars that start before the end, which itself is not among them."""
    rows = minutes(2000)
    end = int(rows[500][0])
    with ChartServer({(str(BTC), "1"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, BTC, Interval.M1, end=end * S, count=10)
        provider.close()

    assert (bars["start"] // S).tolist() == [int(row[0]) for row in rows[490:500]]


def test_a_second_symbol_takes_the_place_of_the_first_on_the_same_connection(given):
    """Too many sockets are what the venue refuses; updates of the first series that come late are not the second's."""
    series = {(str(BTC), "1"): minutes(1500), (str(AAPL), "1D"): [[at("2024-03-08 14:30"), 169, 170, 168, 169, 1]]}
    with ChartServer(series) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        fetched(provider, BTC, Interval.M1, count=1500)
        late = message(
            "du", "cs_pocketquants", {"sds_1": {"s": [{"i": 0, "v": [at("2024-03-07 14:30")] + [9] * 5}], "t": "s1"}}
        )
        server.beats = 3
        daily, _ = fetched(provider, AAPL, Interval.D1, count=1)
        server.trouble.append([late, *_answer_of(series[str(AAPL), "1D"], turn="s3")])
        again, _ = fetched(provider, AAPL, Interval.D1, count=5)
        provider.close()

    assert server.connections == 1
    assert [name for name, _ in server.calls if name.endswith("_series")] == [
        "create_series",
        "modify_series",
        "modify_series",
    ]
    assert server.said("modify_series")[0] == ["sds_1", "s2", "sds_sym_2", "1D", ""]
    assert daily["start"].tolist() == again["start"].tolist() == [at("2024-03-08 14:30") * S]
    assert server.echoed == ["~h~0", "~h~1", "~h~2"]


def test_a_connection_lost_between_pages_is_opened_again_and_no_bar_comes_twice(given):
    """The new connection's series is as long as all that was had, and the next page."""
    rows = minutes(2500)
    with ChartServer({(str(BTC), "1"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        pages = provider.fetch(BTC, Interval.M1, count=2500)
        held = [next(pages)]
        server.trouble.append(CLOSE)
        held += list(pages)
        provider.close()

    assert server.connections == 2
    assert server.said("create_series")[1][4] == 2000
    assert given.weights == [1, 1, 1, 1]
    assert len(given.slept) == 1
    starts = np.sort(np.concatenate([page.bars["start"] for page in held]))
    assert (starts // S).tolist() == [int(row[0]) for row in rows]


def test_a_connection_that_never_answers_is_given_up_after_three_tries(given):
    """The pauses grow, and the last error says who does not answer."""
    with ChartServer({(str(BTC), "1"): minutes(5)}) as server:
        server.trouble.extend([CLOSE] * 3)
        provider = TradingViewHistory(given.means, url=server.url)
        with pytest.raises(ProviderAway, match=r"^tradingview does not answer: .*; check the connection, try later"):
            fetched(provider, BTC, Interval.M1, count=5)

    assert given.weights == [1, 1, 1]
    assert len(given.slept) == 2


def test_a_server_that_only_beats_is_given_up(given):
    """Heartbeats keep a connection up that has forgotten our request."""
    with ChartServer({(str(BTC), "1"): minutes(5)}) as server:
        server.trouble.append([frame(f"~h~{beat}") for beat in range(14)])
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, BTC, Interval.M1, count=5)
        provider.close()

    assert len(bars) == 5
    assert server.connections == 2
    assert len(given.slept) == 1
    assert len(server.echoed) <= 7


def test_heartbeats_of_an_idle_hour_are_no_reason_to_give_up(given):
    """Between two requests of a session nobody reads: what came meanwhile is not about the second one."""
    with ChartServer({(str(BTC), "1"): minutes(5)}) as server:
        server.idle_beats = 12
        provider = TradingViewHistory(given.means, url=server.url)
        fetched(provider, BTC, Interval.M1, count=5)
        assert server.idle.wait(60)
        bars, _ = fetched(provider, BTC, Interval.M1, count=5)
        provider.close()

    assert len(bars) == 5
    assert server.connections == 1
    assert given.slept == []


def test_the_cap_counts_rows_that_are_left_out_too(given):
    """Of none of the venue's rows can a bar be made: they are the newest 5,000 nevertheless."""
    rows = [[row[0], 10.0, 9.0, 11.0, 10.0, 1.0] for row in minutes(6000)]
    with ChartServer({(str(BTC), "1"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        with pytest.raises(NotOffered, match="tradingview has the newest 5000 bars of a series only"):
            fetched(provider, BTC, Interval.M1, count=900)

    assert server.said("create_series")[0][4] == 900
    assert [call[1] for call in server.said("request_more_data")] == [1000, 1000, 1000, 1000, 100]


def test_a_damaged_frame_is_asked_for_again_and_not_taken_for_an_empty_page(given):
    """It may have held bars: without it the series would end there, and nobody would know."""
    torn = message("timescale_update", "cs_pocketquants", {"sds_1": {"s": []}})[:-9]
    with ChartServer({(str(BTC), "1"): minutes(5)}) as server:
        server.trouble.append([torn])
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, BTC, Interval.M1, count=5)
        server.trouble.extend([[torn], [torn]])
        with pytest.raises(BadAnswer, match=r"^tradingview answers with what cannot be read: declares "):
            fetched(provider, BTC, Interval.M1, count=5)

    assert len(bars) == 5


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([None, 1e100, 1, 1, 1], "not a number"),
        ([0, float("nan"), 1, 1, 1, 1], "not a number"),
        ([0, 10, 9, 11, 10, 1], "high below low"),
        ([0, 10, 11, 9, 10, -1], "negative volume"),
        ([0, 12, 11, 9, 10, 1], "open outside"),
        ([0, 10, 11], "not a number"),
        ([0, "ten", 11, 9, 10, 1], "not a number"),
    ],
)
def test_a_row_that_cannot_be_is_told_and_left_out(given, row, reason):
    """The venue writes 1e+100 for an empty value; the rows beside it stand."""
    rows = minutes(3)
    rows[1] = [rows[1][0], *row[1:]]
    with ChartServer({(str(BTC), "1"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, bad = fetched(provider, BTC, Interval.M1, count=3)
        provider.close()

    assert [told.reason for told in bad] == [reason]
    assert (bars["start"] // S).tolist() == [int(rows[0][0]), int(rows[2][0])]


@pytest.mark.parametrize("stamp", [None, "x", 1e100, -60, True])
def test_a_row_without_a_start_is_told(given, stamp):
    rows = [[stamp, 10, 11, 9, 10, 1], *minutes(2)]
    with ChartServer({(str(BTC), "1"): rows}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, bad = fetched(provider, BTC, Interval.M1, count=3)
        provider.close()

    assert len(bars) == 2
    assert [told.reason for told in bad] == ["unreadable"]


@pytest.mark.parametrize(
    ("resolved", "columns"), [({"volume_type": "base"}, 5), ({"volume_type": "tick"}, 6), ({"volume_type": "quote"}, 6)]
)
def test_volume_is_base_units_or_none_at_all(given, resolved, columns):
    """Counts of quotes and turnover in the other currency are no volume of ours."""
    with ChartServer({(str(BTC), "1"): [row[:columns] for row in minutes(2)]}) as server:
        server.resolved = resolved
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, BTC, Interval.M1, count=2)
        provider.close()

    assert bars["volume"].tolist() == [0.0, 0.0]


def test_a_currencys_day_is_not_ours_and_its_hour_is(given):
    """TradingView cuts currencies at 17:00 New York; a bar stored under another day's start would be wrong."""
    start = at("2026-06-09 20:00")
    with ChartServer({(str(EUR), "60"): [[start, 1.1, 1.2, 1.0, 1.15]]}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        bars, _ = fetched(provider, EUR, Interval.H1, count=1)
        for interval in (Interval.M45, Interval.H4, Interval.D1, Interval.MO1):
            with pytest.raises(NotOffered, match="bars of FX:EURUSD are cut at 17:00 New York and not at 00:00 UTC"):
                provider.fetch(EUR, interval, count=1)
        provider.close()

    assert bars["start"].tolist() == [start * S]


def test_simulated_symbols_are_never_asked_for(given):
    """Their prices are made up here."""
    with pytest.raises(NotOffered, match="SIM:BTCUSD: its exchange is simulated here; name provider simulated"):
        TradingViewHistory(given.means).fetch(parse_symbol("SIM:BTCUSD"), Interval.M1, count=1)
    assert given.weights == []


def _answer_of(rows, turn="s1"):
    update = {"sds_1": {"s": [{"i": place, "v": row} for place, row in enumerate(rows)], "t": turn}}
    return [
        message("timescale_update", "cs_pocketquants", update),
        message("series_completed", "cs_pocketquants", "sds_1", "streaming", turn, {"data_completed": "limit"}),
    ]


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        (
            message("symbol_error", "cs_pocketquants", "sds_sym_1", "invalid symbol"),
            NotOffered,
            "tradingview has no symbol BITSTAMP:BTCUSD (sds_sym_1 invalid symbol); search for its name",
        ),
        (
            message("series_error", "cs_pocketquants", "sds_1", "s1", "custom_resolution"),
            NotOffered,
            "tradingview has no bars of 1 for BITSTAMP:BTCUSD (sds_1 s1 custom_resolution)",
        ),
        (
            message("protocol_error", "bad auth token"),
            KeyRefused,
            "tradingview refuses the token: bad auth token; paste a fresh one into",
        ),
        (
            message("critical_error", "cs_pocketquants", "max sessions rate reached", "method: create_series"),
            QuotaSpent,
            "tradingview allows no call for 300 s: max sessions rate reached",
        ),
    ],
)
def test_what_the_venue_refuses_is_said_in_a_sentence(given, text, error, sentence):
    """Texts as recorded; none of these is worth another try."""
    with ChartServer({(str(BTC), "1"): minutes(5)}) as server:
        server.trouble.append([text])
        provider = TradingViewHistory(given.means, url=server.url)
        with pytest.raises(error) as refused:
            fetched(provider, BTC, Interval.M1, count=5)

    assert str(refused.value).startswith(sentence)
    assert given.weights == [1]


def test_a_refusal_with_a_pause_says_until_when(given):
    """429 on the upgrade: too many sockets. The quota's ledger plans with the moment."""
    with ChartServer({(str(BTC), "1"): minutes(5)}) as server:
        server.refuse.extend([(429, {"Retry-After": "120"}), (403, {}), (502, {}), (502, {}), (502, {})])
        provider = TradingViewHistory(given.means, url=server.url)
        with pytest.raises(QuotaSpent) as spent:
            fetched(provider, BTC, Interval.M1, count=5)
        with pytest.raises(KeyRefused, match="tradingview does not serve us: HTTP 403"):
            fetched(provider, BTC, Interval.M1, count=5)
        with pytest.raises(ProviderAway, match="HTTP 502"):
            fetched(provider, BTC, Interval.M1, count=5)

    assert spent.value.until_ns == (NOW_S + 120) * S


def test_no_quota_means_no_call(given):
    """Asked before each call, also before the connection."""
    given.spent_at = 0
    with ChartServer({(str(BTC), "1"): minutes(5)}) as server:
        provider = TradingViewHistory(given.means, url=server.url)
        with pytest.raises(QuotaSpent, match="none left"):
            fetched(provider, BTC, Interval.M1, count=5)

    assert server.connections == 0


def test_a_token_goes_to_the_paid_host_and_into_the_session(given):
    """Its holder's data may be in real time."""
    with ChartServer({(str(BTC), "1"): minutes(5)}) as server:
        provider = TradingViewHistory(given.means, key="secret-token", url=server.url)
        fetched(provider, BTC, Interval.M1, count=5)
        provider.close()

    assert server.calls[0] == ("set_auth_token", ["secret-token"])
    assert TradingViewHistory(given.means, key="x")._session._url.startswith("wss://prodata.")
    assert TradingViewHistory(given.means)._session._url.startswith("wss://data.")
