# ruff: noqa: D102  # The contract says what each of its methods does.
"""The simulated exchange as a provider: against a model of its protocol, and against itself with everything wrong."""

import contextlib
import json
import subprocess
import sys
from itertools import pairwise
from math import isfinite

import numpy as np
import pytest
from contract import NOW, Desk, HttpContract, Question, TradeContract
from servers.history_http import HistoryServer, Reply

from market.bars import BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval, parse_interval
from market.symbols import Symbol
from market.ticks import Aggressor
from sources.history.provider import BadAnswer, NotOffered, Provider, ProviderAway, QuotaSpent, TradeProvider
from sources.history.simulated import SimulatedHistory
from sources.simulated.client import control, get, true_bars, truth_ticks

MS = 1_000_000
BTCUSD = Symbol("SIM", "BTCUSD")
START_NS = 1_767_623_340_000_000_000
COLUMNS = ("start", "end", "open", "high", "low", "close", "volume", "notional", "trades")


class TestSimulated(HttpContract, TradeContract):
    """Starts in ms, end exclusive, texts; quiet minutes absent; `next` where there is more; `closed` if over."""

    provider = SimulatedHistory
    symbol = BTCUSD
    fills_quiet = False
    stamp_ns = 1_000

    def about_trades(self, asked):
        return asked.path == "/history/trades"

    def question(self, asked):
        assert asked.params["symbol"] == "SIM:BTCUSD"
        limit = int(asked.params["limit"])
        if self.about_trades(asked):
            assert limit <= 5000
            at, _, skip = asked.params.get("cursor", asked.params["start"]).partition("-")
            return Question(min(limit, self.trade_page), int(at), int(asked.params["end"]), place=int(skip or 0))
        assert asked.path == "/history/klines"
        assert limit <= 1000
        backwards = asked.params.get("order") == "desc"
        return Question(
            min(limit, self.page), int(asked.params.get("start", 0)) * MS, int(asked.params["end"]) * MS,
            parse_interval(asked.params["interval"]), newest=backwards, newest_first=backwards,
        )  # fmt: skip

    def row(self, bar, interval):
        numbers = [_text(value) for value in (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.notional)]
        return [bar.start // MS, *numbers, bar.trades, bar.end // MS, int(bar.end <= self._now)]

    def body(self, rows, question, rest):
        following = None
        if rest:
            starts = [row[0] for row in rows if isinstance(row, list) and row]
            if question.newest:
                following = min(starts, default=question.last // MS)
            else:
                following = max(starts, default=question.first // MS - 1) + 1
        return {"bars": rows, "next": following, "now": self._now}

    def trade_row(self, trade):
        side = "buy" if trade.aggressor == Aggressor.BUY else "sell"
        return [trade.id, trade.time, _text(trade.price), _text(trade.size), side]

    def trade_body(self, rows, question, rest):
        time, given = question.first, question.place
        if rows:
            newest = max(row[0] for row in rows)
            time = max(row[1] for row in rows)
            given = sum(one.time == time and one.id <= newest for one in self._venue.trades)
        return {"trades": rows, "next": f"{time}-{given}" if rest else None}

    def unknown_symbol(self):
        return Reply({"error": "SIM:NOUSD is not listed here; see /history/symbols"}, status=404)

    @contextlib.contextmanager
    def serving(self, venue, desk):
        self._now, self._venue = desk.now, venue
        with super().serving(venue, desk) as both:
            yield both

    _now = NOW


def _text(value):
    return repr(value) if type(value) is float and isfinite(value) else value


@contextlib.contextmanager
def exchange(*options):
    command = [sys.executable, "-m", "sources.simulated", "--clock", "manual", "--rate", "100", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def running():
    """An exchange that has traded for twenty minutes after 2026-01-05T14:29Z, and stands."""
    with exchange("--seed", "3") as url:
        control(url, {"kind": "advance", "seconds": 1230})
        yield url


@pytest.fixture
def url(running):
    """Without a fault."""
    control(running, {"kind": "clear"})
    return running


@contextlib.contextmanager
def provider(url):
    desk = Desk(now=get(url, "/health")["now"])
    made = SimulatedHistory(desk.means, url=url)
    try:
        yield made, desk
    finally:
        made.close()


def patiently(fetch):
    """All pages; asked for anew where the same answer was unreadable twice, as whoever needs them does."""
    for _ in range(50):
        with contextlib.suppress(BadAnswer):
            return list(fetch())
    raise AssertionError


def all_bars(pages):
    pages = list(pages)
    bars = np.concatenate([page.bars for page in pages])
    return np.sort(bars, order="start"), [bad for page in pages for bad in page.bad]


def assert_true(url, bars, interval, start=0, end=None):
    truth = true_bars(url, "SIM:BTCUSD", str(interval), start, end)
    assert len(bars) == len(truth)
    for name in COLUMNS:
        assert (bars[name] == truth[name]).all(), name


@pytest.mark.parametrize("interval", sorted(SimulatedHistory.terms.intervals), ids=str)
def test_both_sides_of_the_beginning_come_as_they_truly_are(url, interval):
    """Bars from before the exchange traded, of the minute in which it began, of its own trades, and the open one."""
    start = START_NS - 2_500 * (interval.minutes or 1440) * MINUTE_NS
    with provider(url) as (made, desk):
        bars, bad = all_bars(made.fetch(BTCUSD, interval, start=start))
        newest, _ = all_bars(made.fetch(BTCUSD, interval, count=1_500))
        now = desk.now
    assert not bad
    assert_true(url, bars, interval, start)
    assert newest.tobytes() == bars[-1_500:].tobytes()
    assert (bars["state"][:-1] == BarState.OFFICIAL).all()
    assert bars["end"][-1] > now
    assert bars["state"][-1] == BarState.FORMING


HARMLESS = ["duplicates", "overlap", "out_of_order", "empty", "truncated", "types", "reset", "refuse"]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("fault", HARMLESS)
def test_no_trouble_on_the_wire_costs_or_adds_a_bar(url, fault, backwards):
    """A share of all answers is spoiled, seeded; what can be asked for again is."""
    control(url, {"kind": f"history_{fault}", "share": 0.3, "status": 503, "seconds": 1, "duration_s": 1e6})
    start = START_NS - 8_000 * MINUTE_NS
    with provider(url) as (made, _):
        span = {"count": 8_000} if backwards else {"start": start}
        bars, bad = all_bars(patiently(lambda: made.fetch(BTCUSD, Interval.M1, **span)))
    assert not bad
    assert_true(url, bars, Interval.M1, bars["start"][0] if backwards else start)
    assert not backwards or len(bars) == 8_000


def test_all_trouble_at_once_costs_and_adds_no_bar(url):
    control(url, [{"kind": f"history_{fault}", "share": 0.05, "duration_s": 1e6} for fault in HARMLESS])
    start = START_NS - 20_000 * MINUTE_NS
    with provider(url) as (made, _):
        bars, bad = all_bars(patiently(lambda: made.fetch(BTCUSD, Interval.M1, start=start)))
    assert not bad
    assert_true(url, bars, Interval.M1, start)


def test_spoilt_rows_are_left_out_and_told(url):
    control(url, {"kind": "history_nan", "share": 1, "pages": 2, "duration_s": 1e6})
    start = START_NS - 3_000 * MINUTE_NS
    with provider(url) as (made, _):
        bars, bad = all_bars(made.fetch(BTCUSD, Interval.M1, start=start))
    truth = true_bars(url, "SIM:BTCUSD", "1m", start)
    good = np.isin(truth["start"], bars["start"])

    assert len(bars) + len(bad) == len(truth)
    assert len(bad) == 600
    assert {one.reason for one in bad} == {"not a number", "high below low", "negative volume"}
    for name in COLUMNS:
        assert (bars[name] == truth[name][good]).all(), name


def test_trades_come_from_both_sides_of_the_beginning(url):
    """Without ids before it; each once, whatever happens on the wire."""
    control(url, [{"kind": f"history_{fault}", "share": 0.1, "duration_s": 1e6} for fault in HARMLESS])
    start, end = START_NS - 300 * MINUTE_NS, START_NS + 900 * 10**9
    with provider(url) as (made, _):
        ticks = np.concatenate([page.ticks for page in patiently(lambda: made.trades(BTCUSD, start, end))])
    own = truth_ticks(url, "BTCUSD")
    own = own[own["stamp"] < end]
    old, new = ticks[ticks["trade_id"] < 0], ticks[ticks["trade_id"] >= 0]

    assert new["trade_id"].tolist() == own["trade_id"].tolist()
    assert (new["event_time"] == own["stamp"]).all()
    assert (new["price"] == own["price"]).all()
    assert (new["size"] == own["size"]).all()
    assert (new["aggressor"] == own["side"]).all()
    assert (np.diff(old["event_time"]) > 0).all()
    truth = true_bars(url, "SIM:BTCUSD", "1m", start, START_NS)
    assert len(old) == truth["trades"].sum()
    assert old["size"].sum() == truth["volume"].sum()
    assert old["event_time"][-1] < START_NS


def test_trades_without_ids_that_come_again_are_known_by_their_time(url):
    control(
        url, [{"kind": f"history_{fault}", "duration_s": 1e6} for fault in ("overlap", "duplicates", "out_of_order")]
    )
    start = START_NS - 5_000 * MINUTE_NS
    with provider(url) as (made, _):
        pages = list(made.trades(BTCUSD, start, START_NS))
    times = np.concatenate([page.ticks["event_time"] for page in pages])
    assert len(pages) > 2
    assert (np.diff(times) > 0).all()
    assert len(times) == true_bars(url, "SIM:BTCUSD", "1m", start, START_NS)["trades"].sum()


def test_the_exchange_says_itself_which_bar_is_over():
    """Its clock may be another than ours."""
    row = [NOW // MINUTE_NS * 60_000 - 600_000, "1", "4", "0.5", "2", "10", "20", 3, 0]
    page = {"bars": [[*row, 1], [row[0] + 60_000, *row[1:], 0]], "next": None, "now": NOW}
    with HistoryServer(lambda _: page) as server:
        made = SimulatedHistory(Desk().means, url=server.url)
        (only,) = made.fetch(BTCUSD, Interval.M1, count=5)
        made.close()
    assert only.bars["state"].tolist() == [BarState.OFFICIAL, BarState.FORMING]


def test_what_was_served_is_counted_by_its_span(url):
    """So that a backfill can prove that nothing was fetched twice."""
    before = get(url, "/truth/summary")["history"]
    symbol = Symbol("SIM", "XRPUSD")
    start = START_NS - 2_600 * MINUTE_NS
    with provider(url) as (made, _):
        bars, _ = all_bars(made.fetch(symbol, Interval.M1, start=start, end=START_NS))
        list(made.fetch(symbol, Interval.M1, start=start, end=START_NS))
        control(url, {"kind": "history_refuse", "pages": 1, "duration_s": 1e6})
        list(made.fetch(symbol, Interval.H1, start=start, end=START_NS))
    after = get(url, "/truth/summary")["history"]
    spans = [span[1:] for span in after["spans"] if span[0] == "SIM:XRPUSD"]
    minutes = sorted(span for span in spans if span[0] == "1m")

    assert [times for *_, times in spans] == [2] * len(minutes) + [1]
    assert minutes[0][1] == start
    assert minutes[-1][2] == START_NS
    assert all(first[2] == second[1] for first, second in pairwise(minutes))
    assert after["pages"] - before["pages"] == 2 * len(minutes) + 1
    assert after["refused"] - before["refused"] == 1
    assert after["rows"] - before["rows"] == 2 * len(bars) + len(true_bars(url, str(symbol), "1h", start, START_NS))


def test_a_long_pause_is_handed_up_and_a_short_one_waited_for(url):
    with provider(url) as (made, desk):
        control(url, {"kind": "history_refuse", "seconds": 7, "pages": 1, "duration_s": 1e6})
        assert len(next(made.fetch(BTCUSD, Interval.H1, count=10)).bars) == 10
        assert desk.slept == [7.0]
        control(url, {"kind": "history_refuse", "seconds": 600, "duration_s": 1e6})
        with pytest.raises(QuotaSpent):
            next(made.fetch(BTCUSD, Interval.H1, count=10))


def test_a_limit_by_the_minute_is_kept_by_the_exchange_too():
    with exchange("--history-per-minute", "3") as url, provider(url) as (made, desk):
        for _ in range(3):
            next(made.fetch(BTCUSD, Interval.H1, count=10))
        with pytest.raises(QuotaSpent, match="too many requests"):
            next(made.fetch(BTCUSD, Interval.H1, count=10))
        assert desk.slept
        control(url, {"kind": "advance", "seconds": 60})
        assert len(next(made.fetch(BTCUSD, Interval.H1, count=10)).bars) == 10


@pytest.mark.parametrize(
    ("symbol", "span", "says"),
    [
        (Symbol("SIM", "NOUSD"), {"count": 1}, "SIM:NOUSD is not listed here"),
        (BTCUSD, {"start": 10**18}, "nothing was traded before 2005-01-01, when the symbols were listed; start there"),
    ],
    ids=str,
)
def test_what_the_exchange_never_had_is_not_offered(url, symbol, span, says):
    with provider(url) as (made, _), pytest.raises(NotOffered, match=says):
        list(made.fetch(symbol, Interval.D1, **span))


def test_a_page_that_comes_for_ever_is_a_bad_answer():
    stuck = {"bars": [], "next": (NOW - 10**12) // MS, "now": NOW}
    with HistoryServer(lambda _: stuck) as server:
        made = SimulatedHistory(Desk().means, url=server.url)
        with pytest.raises(BadAnswer, match="the same page again and again"):
            list(made.fetch(BTCUSD, Interval.M1, start=NOW - 10**12))
        made.close()
        assert len(server.calls) < 20


@pytest.mark.parametrize("url", [None, "", "ftp://127.0.0.1", "127.0.0.1:80"])
def test_an_address_that_is_none_is_a_sentence(url):
    with pytest.raises(DeskError, match="no address of a simulated exchange, such as ws://"):
        SimulatedHistory(Desk().means, url=url)


def test_an_exchange_that_is_gone_is_away():
    with exchange() as url:
        pass
    desk = Desk()
    made = SimulatedHistory(desk.means, url=f"{url}/kraken")
    with pytest.raises(ProviderAway, match="simulated does not answer"):
        next(made.fetch(BTCUSD, Interval.M1, count=1))
    made.close()


def test_it_is_a_provider_of_bars_and_trades(url):
    with provider(url) as (made, _):
        whole: Provider = made
        traded: TradeProvider = made
        assert whole.name == traded.name == "simulated"
