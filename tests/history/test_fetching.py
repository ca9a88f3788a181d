"""Bars come from whoever has them, each once and none missed, whatever fails on the way."""

from random import Random

import numpy as np
import pytest
from scripted.provider import Script, quick, seat, truth_of_minutes, truth_of_trades

from history.fetching import NobodyGave, fetch_bars, fetch_trades
from market.bars import BAR, BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar
from market.symbols import Symbol
from operators.rollup import roll_up
from sources.history.provider import BadAnswer, NotOffered, ProviderAway, QuotaSpent

NOON = 1_767_355_200 * 10**9
DAY = 1440 * MINUTE_NS
BTC = Symbol("BINANCE", "BTCUSDT")
VALUES = ["start", "end", "open", "high", "low", "close", "volume", "notional", "trades", "interval"]


def got(parts):
    """All bars of some parts, by start, and the spans they cover."""
    rows = [part.batch.rows for part in parts]
    bars = np.concatenate(rows) if rows else np.zeros(0, BAR)
    return bars[np.argsort(bars["start"], kind="stable")], sorted(part.covered for part in parts)


def same(bars, truth):
    assert bars[VALUES].tolist() == truth[VALUES].tolist()


def covers(spans, start, end):
    """Whether spans tile `[start, end)`."""
    at = start
    for first, last in spans:
        if first < last:
            assert first == at
            at = last
    assert at == end


def test_one_provider_gives_everything(desk):
    """Three pages of its own bars: official, its name as their source, known now; the spans tile the request."""
    truth = truth_of_minutes(NOON - 300 * MINUTE_NS, 300)
    seat(desk, binance=Script(truth))
    parts = list(fetch_bars(desk, BTC, Interval.M1, start=NOON - 250 * MINUTE_NS, end=NOON - 5 * MINUTE_NS))
    bars, spans = got(parts)

    same(bars, truth[50:295])
    covers(spans, NOON - 250 * MINUTE_NS, NOON - 5 * MINUTE_NS)
    assert set(bars["state"].tolist()) == {BarState.OFFICIAL}
    assert set(bars["updated_at"].tolist()) == {NOON}
    assert set(bars["seq"].tolist()) == {-1}
    assert {(one.feed, one.symbol) for part in parts for one in part.batch.streams} == {("binance", BTC)}


def test_the_bar_that_is_not_over_is_forming(desk, clock):
    """Half a minute past noon the bar of noon is forming, whatever comes of it later."""
    clock.now_ns = NOON + MINUTE_NS // 2
    truth = truth_of_minutes(NOON - 3 * MINUTE_NS, 10)
    seat(desk, binance=Script(truth))
    bars, _ = got(list(fetch_bars(desk, BTC, Interval.M1, count=3)))

    assert bars["start"].tolist() == [NOON - 2 * MINUTE_NS, NOON - MINUTE_NS, NOON]
    assert bars["state"].tolist() == [BarState.OFFICIAL, BarState.OFFICIAL, BarState.FORMING]


def test_nothing_is_called_before_bars_are_asked_for_nor_after(desk):
    """Abandoning the iterator ends the calls, and the provider goes back to be lent again."""
    script = Script(truth_of_minutes(NOON - 500 * MINUTE_NS, 500))
    seat(desk, binance=script)
    found = fetch_bars(desk, BTC, Interval.M1, start=NOON - 500 * MINUTE_NS)
    assert script.calls == []
    next(found)
    found.close()

    assert len(script.calls) == 1
    desk.close()
    assert script.closed == 1


FAILURES = [
    ProviderAway("binance does not answer"),
    BadAnswer("binance sent half a line"),
    QuotaSpent("binance has no calls left today", NOON + DAY),
]


@pytest.mark.parametrize("seed", range(50))
def test_a_switch_of_provider_leaves_no_seam(desk, seed):
    """50 seeded places: the first fails at some page, the second perhaps too; either may give the newest first.

    Quiet minutes lie around the seam, pages have other sizes, one asks by start and one by count, and the interval may
    be one that a provider has to build. Each bar comes once, none is missed, all of the request is covered.
    """
    rng = Random(seed)
    truth = truth_of_minutes(NOON - 600 * MINUTE_NS, 600, seed=seed, quiet=rng.choice([0.0, 0.3, 0.9]))
    interval = rng.choice([Interval.M1, Interval.M3, Interval.M45])
    own = {interval, Interval.M1} if rng.random() < 0.7 else {Interval.M1}

    def script(fail):
        terms = quick(*own, page_bars=rng.randint(1, 80))
        return Script(truth, terms=terms, newest_first=rng.random() < 0.5, fails=fail)

    ways = [script({rng.randint(0, 9): rng.choice(FAILURES)}), script({rng.randint(0, 9): rng.choice(FAILURES)})]
    seat(desk, binance=ways[0], okx=ways[1], kraken=script({}))
    desk.settings.provider_order["crypto"] = ["binance", "okx", "kraken"]
    start, end = NOON - rng.randint(100, 590) * MINUTE_NS, NOON - rng.randint(0, 90) * MINUTE_NS
    whole = truth if interval is Interval.M1 else roll_up(truth, interval, calendar("24/7"), upto=NOON)
    wanted = whole[(whole["start"] >= start) & (whole["start"] < end)]
    if rng.random() < 0.3 and own != {Interval.M1}:
        count = rng.randint(1, max(1, len(wanted)))
        bars, _ = got(list(fetch_bars(desk, BTC, interval, end=end, count=count)))
        same(bars, whole[whole["start"] < end][-count:])
        return
    bars, spans = got(list(fetch_bars(desk, BTC, interval, start=start, end=end)))

    same(bars, wanted)
    covers(spans, start, end)


def test_each_bar_names_the_provider_that_gave_it(desk):
    """The switch is told, and recorded on each bar's source."""
    truth = truth_of_minutes(NOON - 300 * MINUTE_NS, 300)
    seat(desk, binance=Script(truth, fails={1: FAILURES[0]}), okx=Script(truth))
    desk.settings.provider_order["BINANCE"] = ["binance", "okx"]
    told = []
    parts = list(fetch_bars(desk, BTC, Interval.M1, start=NOON - 300 * MINUTE_NS, say=told.append))
    sources = {part.batch.streams[0].feed: len(part.batch.rows) for part in parts if len(part.batch.rows)}

    assert [part.provider for part in parts if len(part.batch.rows)] == ["binance", "okx", "okx"]
    assert sources == {"binance": 100, "okx": 100}
    assert told == ["BINANCE:BTCUSDT 1m: binance does not answer; going on with okx"]


def test_an_interval_that_nobody_has_is_built_from_the_coarsest_that_nests(desk, clock):
    """45m of 15m bars, not of 1m ones; the one that is not over is forming; the source says so."""
    clock.now_ns = NOON + 20 * MINUTE_NS
    truth = truth_of_minutes(NOON - 600 * MINUTE_NS, 700, quiet=0.4)
    terms = quick(Interval.M1, Interval.M15, Interval.M30, page_bars=7)
    script = Script(truth, terms=terms)
    seat(desk, binance=script)
    start = NOON - 590 * MINUTE_NS
    parts = list(fetch_bars(desk, BTC, Interval.M45, start=start))
    bars, spans = got(parts)
    known = truth[truth["start"] < clock.now_ns]
    fifteen = roll_up(known, Interval.M15, calendar("24/7"))
    whole = roll_up(fifteen, Interval.M45, calendar("24/7"), upto=clock.now_ns)

    same(bars, whole[whole["start"] >= start])
    assert bars["state"].tolist() == [BarState.OFFICIAL] * (len(bars) - 1) + [BarState.FORMING]
    assert {call[1] for call in script.calls} == {Interval.M15}
    assert {part.batch.streams[0].feed for part in parts if len(part.batch.rows)} == {"binance(15m)"}
    # The bar that the start cuts is not asked for: it begins before.
    covers(spans, start, clock.now_ns)


def test_bars_beyond_a_providers_reach_are_made_of_its_trades(desk, clock):
    """The newest 720 are the venue's own, older ones the kernel's; they meet without a seam."""
    clock.now_ns = NOON + 30 * 10**9
    start = NOON - 3 * DAY
    ticks = truth_of_trades(start, NOON + DAY, a_minute=3.0)
    from history.building import minutes_of
    from sources.history.provider import TradePage

    kraken = Symbol("KRAKEN", "BTCUSD")
    now = clock.now_ns
    known = ticks[ticks["event_time"] < now]
    truth = np.concatenate([part.bars for part in minutes_of([TradePage(known)], kraken, calendar("24/7"), start, now)])
    terms = quick(Interval.M1, Interval.H1, page_bars=720, max_bars=720, has_trades=True)
    seat(desk, kraken=Script(truth, ticks, terms=terms))
    parts = list(fetch_bars(desk, kraken, Interval.M1, start=NOON - 2 * DAY))
    bars, spans = got(parts)

    same(bars, truth[truth["start"] >= NOON - 2 * DAY])
    covers(spans, NOON - 2 * DAY, now)
    sources = {
        name: sum(len(p.batch.rows) for p in parts if p.batch.streams[0].feed == name)
        for name in ("kraken", "kraken(trades)")
    }
    assert 600 < sources["kraken"] <= 720
    assert sources["kraken"] + sources["kraken(trades)"] == len(bars)
    assert bars["state"].tolist() == [BarState.OFFICIAL] * (len(bars) - 1) + [BarState.FORMING]


def test_minutes_of_trades_are_the_plain_sums(desk):
    """Against a loop that anyone can read: first, highest, lowest, last price, the sums, one minute after the other."""
    start = NOON - 60 * MINUTE_NS
    ticks = truth_of_trades(start, NOON, a_minute=2.0, seed=3)
    kraken = Symbol("KRAKEN", "BTCUSD")
    seat(desk, kraken=Script(ticks=ticks, terms=quick(has_trades=True)))
    bars, _ = got(list(fetch_bars(desk, kraken, Interval.M1, start=start)))
    expected = []
    for minute in sorted({int(tick["event_time"]) // MINUTE_NS * MINUTE_NS for tick in ticks}):
        own = [tick for tick in ticks if minute <= tick["event_time"] < minute + MINUTE_NS]
        prices = [float(tick["price"]) for tick in own]
        volume = notional = 0.0
        for tick in own:
            volume += float(tick["size"])
            notional += float(tick["price"]) * float(tick["size"])
        expected.append((minute, prices[0], max(prices), min(prices), prices[-1], volume, notional, len(own)))
    names = ["start", "open", "high", "low", "close", "volume", "notional", "trades"]

    assert bars[names].tolist() == expected


def test_a_count_beyond_the_cap_is_filled_up_from_trades_by_slots(desk):
    """Kraken has 720 bars; a thousand are asked for."""
    ticks = truth_of_trades(NOON - 2 * DAY, NOON, a_minute=8.0)
    kraken = Symbol("KRAKEN", "BTCUSD")
    from history.building import minutes_of
    from sources.history.provider import TradePage

    made = minutes_of([TradePage(ticks)], kraken, calendar("24/7"), NOON - 2 * DAY, NOON)
    truth = np.concatenate([part.bars for part in made])
    seat(desk, kraken=Script(truth, ticks, terms=quick(Interval.M1, page_bars=720, max_bars=720, has_trades=True)))
    bars, _ = got(list(fetch_bars(desk, kraken, Interval.M1, count=1000)))

    same(bars, truth[-len(bars) :])
    assert 990 < len(bars) <= 1001


def test_a_count_does_not_fetch_years_of_trades(desk):
    """A thousand days beyond Kraken's 720 would be days of fetching: that is a backfill's, which can be stopped."""
    truth = truth_of_minutes(NOON - 800 * DAY, 1)
    days = np.concatenate([truth] * 800)
    days["start"] += np.arange(800) * DAY + (DAY - NOON % DAY)
    days["end"] = days["start"] + MINUTE_NS
    kraken = Symbol("KRAKEN", "BTCUSD")
    script = Script(days, terms=quick(Interval.D1, page_bars=720, max_bars=720, has_trades=True))
    seat(desk, kraken=script)
    parts = []
    with pytest.raises(NobodyGave, match=r"`pq backfill KRAKEN:BTCUSD --interval 1d --start \.\.\.` makes older ones"):
        parts.extend(fetch_bars(desk, kraken, Interval.D1, count=1720))

    assert len(got(parts)[0]) == 720
    assert {call[1] for call in script.calls} == {Interval.D1}


def test_a_count_of_built_bars_is_full_although_slots_are_quiet(desk):
    """Half of the quarters of an hour are quiet: what is missing to the count is older."""
    truth = truth_of_minutes(NOON - 4 * DAY, 4 * 1440, quiet=0.97)
    seat(desk, binance=Script(truth, terms=quick(Interval.M1)))
    whole = roll_up(truth, Interval.M15, calendar("24/7"), upto=NOON)
    bars, _ = got(list(fetch_bars(desk, BTC, Interval.M15, count=90)))

    assert len(whole) < 200
    assert 86 <= len(bars) <= 90
    same(bars, whole[-len(bars) :])
    everything, _ = got(list(fetch_bars(desk, BTC, Interval.M15, count=5000)))
    same(everything, whole)


def test_an_end_in_the_future_is_now(desk):
    """Nothing is known of a moment that has not come, so nothing of it is covered."""
    seat(desk, binance=Script(truth_of_minutes(NOON - 9 * MINUTE_NS, 20)))
    bars, spans = got(list(fetch_bars(desk, BTC, Interval.M1, start=NOON - 9 * MINUTE_NS, end=NOON + DAY)))

    assert len(bars) == 9
    covers(spans, NOON - 9 * MINUTE_NS, NOON)


def test_a_span_that_ends_before_all_reach_is_told_where_that_begins(desk):
    """Not where the span ends: who then asks for what follows would be refused again, and again."""
    short = quick(Interval.M1, page_bars=500, max_bars=720)
    seat(desk, binance=Script(truth_of_minutes(NOON - 2 * DAY, 2 * 1440), terms=short))
    desk.settings.provider_order["BINANCE"] = ["binance"]

    with pytest.raises(NobodyGave, match=r"binance has 1m bars of BINANCE:BTCUSDT from 2026-01-02T00:0\d:00Z on only"):
        list(fetch_bars(desk, BTC, Interval.M1, start=NOON - 90 * DAY, end=NOON - 89 * DAY))


def test_a_span_beyond_all_reach_is_said_and_the_rest_is_kept(desk):
    """Without trades the older part goes to the next provider, or is refused with what there is."""
    truth = truth_of_minutes(NOON - 2 * DAY, 2 * 1440)
    short = quick(Interval.M1, page_bars=500, max_bars=720)
    seat(desk, binance=Script(truth, terms=short), okx=Script(truth))
    desk.settings.provider_order["BINANCE"] = ["binance"]
    parts = []
    with pytest.raises(NobodyGave, match=r"binance has 1m bars of BINANCE:BTCUSDT from 2026-01-02T00:02:00Z on only"):
        parts.extend(fetch_bars(desk, BTC, Interval.M1, start=NOON - DAY))
    desk.settings.provider_order["BINANCE"] = ["binance", "okx"]
    bars, spans = got(list(fetch_bars(desk, BTC, Interval.M1, start=NOON - DAY)))

    same(bars, truth[-1440:])
    covers(spans, NOON - DAY, NOON)


def test_when_nobody_gives_the_error_lists_what_each_said(desk):
    """A key that is missing, a provider that is away, a quota that is spent: each in its own words, in order."""
    away = ProviderAway("binance does not answer: timed out")
    seat(
        desk,
        binance=Script(fails={0: away}),
        okx=Script(fails={0: QuotaSpent("okx allows no call before noon", NOON)}),
        alpaca="POCKETQUANT_PROVIDERS__ALPACA__KEY is not set",
    )
    desk.settings.provider_order["BINANCE"] = ["alpaca", "binance", "okx"]
    with pytest.raises(NobodyGave) as caught:
        list(fetch_bars(desk, BTC, Interval.M1, start=NOON - DAY))

    assert str(caught.value) == (
        "1m bars of BINANCE:BTCUSDT from 2026-01-01T12:00:00Z to 2026-01-02T12:00:00Z: no provider gave it: "
        "alpaca: POCKETQUANT_PROVIDERS__ALPACA__KEY is not set; "
        "binance does not answer: timed out; okx allows no call before noon"
    )
    assert caught.value.retry_at_ns == NOON
    assert caught.value.transient


def test_providers_without_a_key_are_passed_over_in_silence(desk):
    """Only who was asked and failed is worth a word; when all lack theirs, that is the error."""
    wants = "no POCKETQUANT_PROVIDERS__ALPACA__KEY"
    seat(desk, alpaca=wants, binance=Script(fails={0: FAILURES[0]}), okx=Script(), massive="switched off")
    desk.settings.provider_order["BINANCE"] = ["alpaca", "binance", "massive", "okx"]
    told = []
    list(fetch_bars(desk, BTC, Interval.M1, count=3, say=told.append))
    assert told == ["BINANCE:BTCUSDT 1m: binance does not answer; going on with okx"]
    desk.settings.provider_order["BINANCE"] = ["alpaca", "massive"]
    with pytest.raises(NobodyGave) as caught:
        list(fetch_bars(desk, BTC, Interval.M1, count=3, say=told.append))

    assert str(caught.value) == (
        "the newest 3 1m bars of BINANCE:BTCUSDT before 2026-01-02T12:00:00Z: no provider can be asked: "
        f"alpaca: {wants}; massive: switched off; `pq providers` says what each needs"
    )
    assert len(told) == 1
    desk.settings.provider_order["BINANCE"] = []
    with pytest.raises(NobodyGave, match="no provider can be asked: its order names none; `pq providers` says"):
        list(fetch_bars(desk, BTC, Interval.M1, count=3))


def test_a_provider_that_refuses_for_good_is_no_reason_to_ask_again(desk):
    seat(desk, binance=Script(fails={0: NotOffered("binance has no BTCUSDT")}))
    desk.settings.provider_order["BINANCE"] = ["binance"]
    with pytest.raises(NobodyGave, match="binance has no BTCUSDT") as caught:
        list(fetch_bars(desk, BTC, Interval.M1, count=5))

    assert not caught.value.transient
    assert caught.value.retry_at_ns is None


def test_a_stock_is_counted_in_sessions(desk, clock):
    """100 hours of NYSE bars are 15 sessions back, not four days: 7 bars a session."""
    clock.now_ns = NOON + 10 * 3600 * 10**9
    truth = truth_of_minutes(NOON - 60 * DAY, 60 * 1440 + 600)
    inside = np.concatenate(
        [truth[[calendar("XNYS").session_at(int(s) // MINUTE_NS) is not None for s in truth["start"]]]]
    )
    symbol = Symbol("NYSE", "F")
    seat(desk, alpaca=Script(inside, terms=quick(Interval.M30, page_bars=1000)))
    desk.settings.provider_order["stock"] = ["alpaca"]
    bars, _ = got(list(fetch_bars(desk, symbol, Interval.H1, count=100)))

    assert len(bars) == 100
    assert bars["end"][-1] == NOON + 9 * 3600 * 10**9


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"start": NOON, "end": NOON - 1}, "the start 2026-01-02T12:00:00Z is not before the end 2026-01-02T11:59:59Z"),
        ({}, "give either a start or a count"),
        ({"start": 0, "count": 3}, "give either a start or a count"),
        ({"count": 0}, "the count is 0, and must be 1 or more"),
        ({"count": 5, "provider": "nobody"}, "no provider 'nobody': there are binance"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_call(desk, wanted, text):
    script = Script()
    seat(desk, binance=script)
    with pytest.raises(DeskError, match=text):
        fetch_bars(desk, BTC, Interval.M1, **wanted)

    assert script.calls == []


def test_trades_come_once_whatever_pages_cut(desk):
    """Pages end in the middle of a nanosecond; a provider that fails is followed by the next, at the millisecond."""
    ticks = truth_of_trades(NOON - DAY, NOON, a_minute=1.0, seed=5)
    terms = quick(has_trades=True)
    seat(desk, binance=Script(ticks=ticks, terms=terms, fails={7: FAILURES[0]}), okx=Script(ticks=ticks, terms=terms))
    desk.settings.provider_order["BINANCE"] = ["binance", "okx"]
    start, end = NOON - DAY // 2, NOON - MINUTE_NS
    parts = list(fetch_trades(desk, BTC, start, end))
    found = np.concatenate([part.page.ticks for part in parts])

    assert (
        found["trade_id"].tolist()
        == ticks[(ticks["event_time"] >= start) & (ticks["event_time"] < end)]["trade_id"].tolist()
    )
    covers([part.covered for part in parts], start, end)


def test_trades_of_a_venue_that_has_none_are_refused(desk):
    seat(desk, binance=Script())
    desk.settings.provider_order["BINANCE"] = ["binance"]
    with pytest.raises(DeskError, match="no provider of BINANCE has trades"):
        next(fetch_trades(desk, BTC, NOON - DAY, NOON))
