"""Healing by hand: what becomes of gaps, of the minutes in them, and of the bars above."""

from contextlib import suppress

import numpy as np
import pytest
from scripted import provider as scripted
from scripted.provider import Script, seat, truth_of_minutes, truth_of_trades

from history.desk import HistoryDesk
from history.heal import heal
from history.heal_gaps import SymbolHealer
from infra.settings import load_settings
from market.bars import BarBatch, BarState
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.sessions import calendar
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from operators.rollup import roll_up
from sinks.bar_store import StoreAway
from sinks.heal_book import HealBook
from sinks.ledger import GapState, Ledger
from sinks.sqlite_bars import SqliteBars
from sources.history.provider import NOBODY_KNOWS, BadRow, NotOffered, Page, ProviderAway, Terms

BTC = Symbol("SIM", "BTCUSD")
HOUR = 60 * MINUTE_NS
DAY = 24 * HOUR
CLOCK = calendar("24/7")
LIVE = Stream(0, "sim", BTC, FeedKind.TRADES, 0)


class Live:
    """What the live pipeline left behind: bars of a truth, of which some minutes are lost."""

    def __init__(self, desk, truth, now):
        self.desk = desk
        self.truth = truth
        self.now = now
        self.lost: list[tuple[int, int]] = []
        desk.ledger.subscribe(BTC, "sim", int(truth["start"][0]))

    def outage(self, start, end, reason="down", noted=True):
        """Ticks from `start` to `end` are lost."""
        self.lost.append((start, end))
        if noted:
            self.desk.ledger.note_gap(BTC, start, end, reason, end, "sim")
        return self

    def write(self):
        """All bars that are over, as the dataflow writes them."""
        minutes = self.truth.copy()
        minutes = minutes[minutes["end"] <= self.now]
        minutes["state"] = BarState.CLOSED
        keep = np.ones(len(minutes), bool)
        for start, end in self.lost:
            whole = (minutes["start"] >= start) & (minutes["end"] <= end)
            part = (minutes["start"] < end) & (minutes["end"] > start) & ~whole
            keep &= ~whole
            minutes["volume"][part] /= 2
            minutes["trades"][part] = 1
        minutes = minutes[keep]
        rows = [minutes] + [roll_up(minutes, interval, CLOCK, upto=self.now) for interval in INTERVALS[1:]]
        for bars in rows:
            bars["updated_at"] = bars["end"] + 2 * 10**9
            bars["revision"] = 1
            for start, end in self.lost:
                hit = (bars["start"] < end) & (bars["end"] > start)
                bars["state"][hit] = BarState.PARTIAL
        rows = np.concatenate(rows)
        rows = rows[rows["end"] <= self.now]
        rows = rows[np.argsort(rows["end"], kind="stable")]
        self.desk.store.upsert(BarBatch(rows, (LIVE,)), writer="bars", own_revisions=True)
        return self


def shown(desk, interval=Interval.M1, **span):
    return desk.store.read(BTC, interval, newest_first=False, **span)


def gap_states(desk):
    return [(gap.reason, gap.state, gap.healed_by) for gap in desk.ledger.gaps()]


@pytest.fixture
def truth(clock):
    """Three hours of minutes before noon, some of them quiet."""
    return truth_of_minutes(clock() - 3 * HOUR, 180, quiet=0.1)


def assert_as_the_truth(desk, truth, interval=Interval.M1, upto=None):
    expected = truth if interval is Interval.M1 else roll_up(truth, interval, CLOCK)
    if upto is not None:
        expected = expected[expected["end"] <= upto]
    frame = shown(desk, interval)
    assert frame["start"].dt.epoch("ns").to_list() == expected["start"].tolist()
    for name in ("open", "high", "low", "close", "volume", "trades"):
        assert frame[name].to_list() == expected[name].tolist(), name


def test_an_outage_is_filled_minute_by_minute_and_the_bars_above_are_rolled_up(desk, clock, truth):
    """From 10:15:30 to 10:20:10: six minutes come from history, and every longer bar is whole again."""
    start = clock() - 105 * MINUTE_NS + 30 * 10**9
    Live(desk, truth, clock()).outage(start, start + 280 * 10**9).write()
    seat(desk, simulated=Script(bars=truth))
    clock.now_ns += MINUTE_NS
    healed = heal(desk)

    assert gap_states(desk) == [("down", GapState.HEALED, "simulated")]
    assert_as_the_truth(desk, truth)
    frame = shown(desk)
    inside = (frame["start"].dt.epoch("ns").to_numpy() >= start // MINUTE_NS * MINUTE_NS) & (
        frame["start"].dt.epoch("ns").to_numpy() < start + 280 * 10**9
    )
    assert set(frame.filter(inside)["state"]) == {"healed"}
    assert set(frame.filter(~inside)["state"]) == {"closed"}
    assert set(frame.filter(inside)["source"]) == {"simulated"}
    for interval in (Interval.M3, Interval.M15, Interval.M45, Interval.H1, Interval.H3):
        assert_as_the_truth(desk, truth, interval, upto=clock())
        assert "partial" not in set(shown(desk, interval)["state"])
    assert healed.minutes == int(inside.sum())
    assert healed.count(GapState.HEALED) == 1


@pytest.mark.mongo
def test_bars_in_mongodb_are_healed_alike(clock, tmp_path, truth, mongo_uri):
    """The log is looked through and the bars are written by the store's port alone."""
    settings = load_settings(tmp_path / "mongo", environ={}, mongodb_uri=mongo_uri)
    with HistoryDesk(settings, now_ns=clock, sleep=clock.sleep) as desk:
        Live(desk, truth, clock()).outage(clock() - 105 * MINUTE_NS, clock() - 100 * MINUTE_NS).write()
        seat(desk, simulated=Script(bars=truth))
        clock.now_ns += MINUTE_NS
        heal(desk)
        assert gap_states(desk) == [("down", GapState.HEALED, "simulated")]
        assert_as_the_truth(desk, truth)
        assert_as_the_truth(desk, truth, Interval.H1, upto=clock())
        head = desk.store.head("heal")
        heal(desk)
        assert desk.store.head("heal") == head


def test_a_second_run_asks_nobody_and_changes_nothing(desk, clock, truth):
    Live(desk, truth, clock()).outage(clock() - 90 * MINUTE_NS, clock() - 80 * MINUTE_NS).write()
    script = Script(bars=truth)
    seat(desk, simulated=script)
    clock.now_ns += MINUTE_NS
    heal(desk)
    calls, head = len(script.calls), desk.store.head("heal")
    clock.now_ns += HOUR
    again = heal(desk)

    assert (len(script.calls), desk.store.head("heal")) == (calls, head)
    assert (again.minutes, again.above, list(again.gaps)) == (0, 0, [])


def test_trades_are_asked_before_bars_where_a_span_is_short(desk, clock):
    """They know what minute bars do not (notional, count) and the live kernel makes the bars of them."""
    start = clock() - 30 * MINUTE_NS
    ticks = truth_of_trades(start, clock(), a_minute=20)
    seat(desk, simulated=Script(ticks=ticks, terms=Terms(frozenset({Interval.M1}), 100, has_trades=True)))
    desk.ledger.subscribe(BTC, "sim", start - DAY)
    desk.ledger.note_gap(BTC, start + 5 * MINUTE_NS, start + 7 * MINUTE_NS, "trade_ids", clock(), "sim")
    clock.now_ns += MINUTE_NS
    heal(desk)

    frame = shown(desk)
    assert gap_states(desk) == [("trade_ids", GapState.HEALED, "simulated(trades)")]
    assert frame["start"].dt.epoch("ns").to_list() == [start + 5 * MINUTE_NS, start + 6 * MINUTE_NS]
    inside = ticks[(ticks["event_time"] >= start + 5 * MINUTE_NS) & (ticks["event_time"] < start + 7 * MINUTE_NS)]
    assert frame["trades"].sum() == len(inside)
    assert frame["notional"].sum() == pytest.approx((inside["price"] * inside["size"]).sum())


def test_a_span_that_the_venue_confirms_as_quiet_is_healed_with_no_bar(desk, clock):
    truth = truth_of_minutes(clock() - HOUR, 60)
    quiet = (truth["start"] >= clock() - 30 * MINUTE_NS) & (truth["start"] < clock() - 20 * MINUTE_NS)
    truth = truth[~quiet]
    Live(desk, truth, clock()).outage(clock() - 29 * MINUTE_NS, clock() - 22 * MINUTE_NS).write()
    seat(desk, simulated=Script(bars=truth))
    clock.now_ns += MINUTE_NS
    healed = heal(desk)

    assert gap_states(desk) == [("down", GapState.HEALED, "simulated")]
    assert [(outcome.bars, outcome.why) for outcome in healed.gaps] == [(0, "")]
    assert_as_the_truth(desk, truth)
    assert "partial" not in set(shown(desk, Interval.H1, end=clock())["state"])


def test_what_no_provider_has_is_unfillable_with_the_reason_and_tried_again_when_asked(desk, clock, truth):
    """The bars across it stay partial; when someone has it after all, `again` heals it."""
    Live(desk, truth, clock()).outage(clock() - 90 * MINUTE_NS, clock() - 80 * MINUTE_NS).write()
    script = Script(bars=truth, fails={n: NotOffered("simulated lists no BTCUSD") for n in range(100)})
    seat(desk, simulated=script)
    clock.now_ns += MINUTE_NS
    told = []
    healed = heal(desk, say=told.append)

    assert gap_states(desk) == [("down", GapState.UNFILLABLE, None)]
    (outcome,) = healed.gaps
    assert "simulated lists no BTCUSD" in outcome.why
    assert told == [f"SIM:BTCUSD: the gap (down) cannot be filled: {outcome.why}"]
    assert "partial" in set(shown(desk, Interval.H1)["state"])
    calls = len(script.calls)
    heal(desk)
    assert len(script.calls) == calls, "it is not asked for again and again"

    script.fails.clear()
    heal(desk, again=True)
    assert gap_states(desk) == [("down", GapState.HEALED, "simulated")]
    assert_as_the_truth(desk, truth)
    assert_as_the_truth(desk, truth, Interval.H1, upto=clock())


def test_a_provider_that_is_away_leaves_the_gap_open_for_the_next_run(desk, clock, truth):
    Live(desk, truth, clock()).outage(clock() - 90 * MINUTE_NS, clock() - 80 * MINUTE_NS).write()
    script = Script(bars=truth, fails={0: ProviderAway("simulated does not answer")})
    seat(desk, simulated=script)
    clock.now_ns += MINUTE_NS
    (outcome,) = heal(desk).gaps

    assert (outcome.gap.state, "does not answer" in outcome.why) == (GapState.OPEN, True)
    heal(desk)
    assert gap_states(desk) == [("down", GapState.HEALED, "simulated")]
    assert_as_the_truth(desk, truth)


def test_where_nobody_could_be_asked_a_gap_stays_open(desk, clock, truth):
    """The simulated exchange does not run, or a key is missing: whether the venue has it is not known."""
    Live(desk, truth, clock()).outage(clock() - 90 * MINUTE_NS, clock() - 80 * MINUTE_NS).write()
    clock.now_ns += MINUTE_NS
    (outcome,) = heal(desk).gaps

    assert outcome.gap.state is GapState.OPEN
    assert "no simulated exchange runs" in outcome.why


def test_a_bar_above_that_closes_later_is_made_when_it_does(desk, clock, truth):
    """At 12:01 the outage of 11:40 is healed; the three-hour bar from 12:00 on has nothing to do with it, the day has.

    The day closes at midnight by the live dataflow, as partial; after that it is rolled up from its minutes.
    """
    day = clock() - 12 * HOUR
    truth = truth_of_minutes(day, 1440, seed=3)
    Live(desk, truth, clock()).outage(clock() - 20 * MINUTE_NS, clock() - 10 * MINUTE_NS).write()
    seat(desk, simulated=Script(bars=truth))
    clock.now_ns += MINUTE_NS
    assert heal(desk).waiting == 3, "the day, the week and the month"
    assert len(shown(desk, Interval.D1)) == 0

    clock.now_ns = day + DAY + 30 * 10**9
    Live(desk, truth, clock()).outage(day + 12 * HOUR - 20 * MINUTE_NS, day + 12 * HOUR - 10 * MINUTE_NS).write()
    assert shown(desk, Interval.D1)["state"].to_list() == ["partial"]
    heal(desk)
    assert_as_the_truth(desk, truth, Interval.D1)
    assert shown(desk, Interval.D1)["state"].to_list() == ["healed"]


def test_bars_above_wait_until_the_live_bars_have_come_that_far(desk, clock, truth, monkeypatch):
    """Else a bar would be made of the minutes that happen to be stored, and beat the live one that comes later."""
    Live(desk, truth, clock()).outage(clock() - 90 * MINUTE_NS, clock() - 80 * MINUTE_NS).write()
    seat(desk, simulated=Script(bars=truth))
    clock.now_ns += MINUTE_NS
    monkeypatch.setattr("history.heal.live_edge", lambda _: clock() - 85 * MINUTE_NS)
    assert heal(desk).waiting > 0
    assert shown(desk, Interval.H1)["state"].to_list() == ["closed", "partial", "closed"]

    monkeypatch.undo()
    heal(desk)
    assert shown(desk, Interval.H1)["state"].to_list() == ["closed", "healed", "closed"]


def test_a_late_ticks_minute_is_made_again_with_the_closed_bars_above(desk, clock, truth):
    """The minute is closed and lacks the tick that came too late; nothing in its state says so, the ledger does."""
    live = Live(desk, truth, clock()).write()
    minute = int(truth["start"][100])
    wrong = shown(desk, start=minute, end=minute + 1)["volume"][0] / 2
    row = truth[100:101].copy()
    row["volume"], row["state"], row["revision"], row["updated_at"] = wrong, BarState.CLOSED, 2, clock()
    desk.store.upsert(BarBatch(row, (LIVE,)), writer="bars", own_revisions=True)
    desk.ledger.note_gap(BTC, minute, minute + MINUTE_NS, "late", clock(), "sim")
    seat(desk, simulated=Script(bars=live.truth))
    clock.now_ns += MINUTE_NS
    heal(desk)

    assert_as_the_truth(desk, truth)
    assert shown(desk, start=minute, end=minute + 1)["state"].to_list() == ["healed"]
    assert_as_the_truth(desk, truth, Interval.H1, upto=clock())


def test_a_partial_minute_that_no_gap_explains_is_healed_and_longer_bars_are_asked_for_themselves(desk, clock, truth):
    """Subscribed at 10:07:20: of the hour from 10:00 on nobody here knows what had been before, but the venue does."""
    since = clock() - 113 * MINUTE_NS + 20 * 10**9
    seen = truth[truth["end"] > since]
    live = Live(desk, seen, clock()).outage(since - 20 * 10**9, since, noted=False)
    live.write()
    desk.ledger.unsubscribe(BTC)
    desk.ledger.subscribe(BTC, "sim", since)
    seat(desk, simulated=Script(bars=truth))
    clock.now_ns += MINUTE_NS
    heal(desk)

    first = int(seen["start"][0])
    assert [(gap.start, gap.end, gap.reason, gap.state) for gap in desk.ledger.gaps()] == [
        (first, first + MINUTE_NS, "partial", GapState.HEALED)
    ]
    assert_as_the_truth(desk, seen)
    hour = shown(desk, Interval.H1, limit=None)
    expected = roll_up(truth, Interval.H1, CLOCK)
    assert hour["volume"].to_list() == expected["volume"][1:].tolist()
    assert hour["state"].to_list() == ["healed", "closed"]


def test_a_gap_that_lasts_is_healed_as_far_as_it_has_come(desk, clock, truth):
    """So that the chart goes on while the feed is away; the ledger says open until it is back."""
    cut = clock() - 60 * MINUTE_NS
    Live(desk, truth[truth["end"] <= cut], clock()).write()
    desk.ledger.open_gap(BTC, cut, "down", cut, "sim")
    script = Script(bars=truth)
    seat(desk, simulated=script)
    clock.now_ns -= 30 * MINUTE_NS
    heal(desk)
    assert_as_the_truth(desk, truth[truth["end"] <= clock() - MINUTE_NS])
    assert gap_states(desk) == [("down", GapState.OPEN, None)]

    calls = len(script.calls)
    clock.now_ns += 31 * MINUTE_NS
    desk.ledger.end_gap(BTC, cut, "down", clock() - MINUTE_NS)
    heal(desk)
    assert gap_states(desk) == [("down", GapState.HEALED, "simulated")]
    assert_as_the_truth(desk, truth)
    assert script.calls[calls][2] == cut + 29 * MINUTE_NS, "what was healed is not asked for again"


def test_of_a_long_gap_all_is_filled_that_is_to_be_had(desk, clock):
    """Away for three days, of which the provider still has the last."""
    start = clock() - 3 * DAY
    truth = truth_of_minutes(start, 3 * 1440)
    script = Script(bars=truth, terms=Terms(frozenset({Interval.M1}), 500, reach_days={Interval.M1: 1}))
    seat(desk, simulated=script)
    desk.ledger.subscribe(BTC, "sim", start - DAY)
    desk.ledger.note_gap(BTC, start, clock(), "away", clock(), "sim")
    clock.now_ns += MINUTE_NS
    (outcome,) = heal(desk).gaps

    assert outcome.gap.state is GapState.UNFILLABLE
    assert "from 2026-01-01T" in outcome.why
    first = int(shown(desk)["start"].dt.epoch("ns")[0])
    assert first < clock() - DAY + 10 * MINUTE_NS
    assert_as_the_truth(desk, truth[truth["start"] >= first])


def test_an_outage_outside_the_sessions_needs_nobody(desk, clock):
    """On Saturday New York lacks nothing."""
    share = Symbol("NYSE", "F")
    saturday = clock() + DAY
    seat(desk)
    desk.ledger.note_gap(share, saturday, saturday + HOUR, "down", saturday, "tradingview")
    clock.now_ns = saturday + 2 * HOUR
    heal(desk)

    assert gap_states(desk) == [("down", GapState.HEALED, None)]


def test_where_a_provider_may_lag_an_empty_minute_is_quiet_only_once_a_later_bar_is_there(desk, clock):
    """A free plan is a day behind: that it gives nothing of this hour says nothing about this hour."""
    share = Symbol("NYSE", "F")
    start = clock() + 3 * HOUR
    truth = truth_of_minutes(start, 60)
    lagging = Script(bars=truth[:10])
    seat(desk, alpaca=lagging, massive=Script(), tradier=Script(), alpha_vantage=Script(), yfinance=Script(),
         tradingview=Script())  # fmt: skip
    desk.ledger.note_gap(share, start + 20 * MINUTE_NS, start + 25 * MINUTE_NS, "down", start, "tradingview")
    clock.now_ns = start + 40 * MINUTE_NS
    (outcome,) = heal(desk).gaps
    assert (outcome.gap.state, outcome.bars) == (GapState.OPEN, 0)

    lagging.bars = np.concatenate((truth[:20], truth[25:]))
    (outcome,) = heal(desk).gaps
    assert (outcome.gap.state, outcome.bars, outcome.gap.healed_by) == (GapState.HEALED, 0, "alpaca")


def test_one_symbols_trouble_stops_no_other(desk, clock, truth, monkeypatch):
    """A symbol whose exchange the calendars have lost, and one whose healing breaks in a way that nobody thought of."""
    Live(desk, truth, clock()).outage(clock() - 90 * MINUTE_NS, clock() - 80 * MINUTE_NS).write()
    for symbol in (Symbol("ATLANTIS", "FISH"), Symbol("SIM", "ADAUSD")):
        desk.ledger.note_gap(symbol, clock() - HOUR, clock() - HOUR + 10**9, "down", clock(), "sim")
    seat(desk, simulated=Script(bars=truth))
    original = SymbolHealer.heal

    def breaks(self, *arguments):
        if self._symbol.ticker == "ADAUSD":
            raise ZeroDivisionError
        return original(self, *arguments)

    monkeypatch.setattr(SymbolHealer, "heal", breaks)
    clock.now_ns += MINUTE_NS
    done = heal(desk)

    assert_as_the_truth(desk, truth)
    assert set(done.errors) == {Symbol("ATLANTIS", "FISH"), Symbol("SIM", "ADAUSD")}
    assert "has no session calendar" in done.errors[Symbol("ATLANTIS", "FISH")]
    assert "ZeroDivisionError" in done.errors[Symbol("SIM", "ADAUSD")]


class Killed(BaseException):
    """The process ends here."""


def test_a_healer_that_is_killed_at_any_write_leaves_nothing_that_the_next_does_not_mend(
    tmp_path, clock, truth, monkeypatch
):
    """Before each write to store, ledger and book in turn: the next run comes to what one run would have."""
    began = clock()
    writes = (
        (SqliteBars, "upsert"),
        (Ledger, "settle_gap"),
        (Ledger, "note_gaps"),
        (HealBook, "note_gap"),
        (HealBook, "want_above"),
        (HealBook, "settle_above"),
        (HealBook, "move_log_place"),
    )

    def healed(folder, kill_at):
        def counted(original):
            def write(*arguments, **options):
                nonlocal count
                count += 1
                if count == kill_at:
                    raise Killed
                return original(*arguments, **options)

            return write

        clock.now_ns = began
        with HistoryDesk(load_settings(folder, environ={}), now_ns=clock, sleep=clock.sleep) as desk:
            Live(desk, truth, clock()).outage(began - 90 * MINUTE_NS, began - 80 * MINUTE_NS).outage(
                began - 40 * MINUTE_NS, began - 39 * MINUTE_NS, noted=False
            ).write()
            seat(desk, simulated=Script(bars=truth))
            clock.now_ns += MINUTE_NS
            count = 0
            with monkeypatch.context() as patch:
                for owner, name in writes:
                    patch.setattr(owner, name, counted(getattr(owner, name)))
                with suppress(Killed):
                    heal(desk)
            heal(desk)
            frames = [shown(desk, interval).drop("updated_at", "revision") for interval in INTERVALS]
            return count, gap_states(desk), [frame.rows() for frame in frames]

    count, *whole = healed(tmp_path / "whole", 0)
    assert count > 8
    for number in range(1, count + 1):
        assert list(healed(tmp_path / str(number), number)[1:]) == whole, number


def test_a_store_that_stays_away_ends_the_run(desk, clock, truth, monkeypatch):
    """And is waited for once, not once a symbol; the gaps stay open, and the next run heals them."""
    Live(desk, truth, clock()).outage(clock() - 90 * MINUTE_NS, clock() - 80 * MINUTE_NS).write()
    seat(desk, simulated=Script(bars=truth))
    clock.now_ns += MINUTE_NS

    def away(*_, **__):
        msg = "bar store does not answer"
        raise StoreAway(msg)

    with monkeypatch.context() as patch:
        patch.setattr(type(desk.store), "upsert", away)
        before = clock()
        with pytest.raises(StoreAway):
            heal(desk)
        assert 100 < (clock() - before) / 10**9 < 200
    assert gap_states(desk) == [("down", GapState.OPEN, None)]
    heal(desk)
    assert_as_the_truth(desk, truth)


def test_two_healers_do_not_work_at_once(desk, clock, truth):
    from sinks.lock_file import BusyError

    Live(desk, truth, clock()).outage(clock() - 90 * MINUTE_NS, clock() - 80 * MINUTE_NS).write()
    seat(desk, simulated=Script(bars=truth))
    clock.now_ns += MINUTE_NS

    def second(_):
        with pytest.raises(BusyError, match="is healing on this desk already"):
            heal(desk)

    original = clock.sleep
    clock.sleep = second
    desk.sleep = second
    desk.ledger.note_gap(BTC, clock() - 10 * 10**9, clock() - 5 * 10**9, "down", clock(), "sim")
    ticking = iter(range(1, 100))
    desk.now_ns = lambda: clock.now_ns + next(ticking) * 10 * 10**9
    heal(desk, wait_s=60)
    clock.sleep = original


def test_waiting_for_the_last_minute_heals_in_one_run(desk, clock, truth):
    """An event of a gap comes in the middle of a minute: the run that it starts stays until that is over."""
    now = clock() + 20 * 10**9
    Live(desk, truth, clock()).outage(clock() - 3 * MINUTE_NS, now).write()
    longer = truth_of_minutes(clock() - 3 * HOUR, 200, quiet=0.1)
    seat(desk, simulated=Script(bars=longer))
    clock.now_ns = now
    heal(desk)
    assert gap_states(desk)[0][1] is GapState.OPEN
    slept = len(clock.slept)
    heal(desk, wait_s=90)
    assert gap_states(desk) == [("down", GapState.HEALED, "simulated")]
    assert len(clock.slept) > slept
    assert clock() - now < 90 * 10**9


@pytest.mark.parametrize("known", [True, False], ids=["of a known minute", "of nobody knows which"])
def test_rows_that_cannot_be_used_leave_no_minute_to_guesswork(desk, clock, truth, monkeypatch, known):
    """Where the row's minute is known that one is lacking; else any minute without a bar may be it.

    Either way what came is kept, and the gap is unfillable and says why.
    """
    start = clock() - 90 * MINUTE_NS
    quiet = (truth["start"] >= start) & (truth["start"] < start + 3 * MINUTE_NS)
    truth = truth[~quiet]
    Live(desk, truth, clock()).outage(start, start + 10 * MINUTE_NS).write()
    spoiled = int(truth["start"][truth["start"] >= start + 5 * MINUTE_NS][0])
    served = truth[truth["start"] != spoiled]
    original = scripted.Scripted.fetch

    def fetch(self, *args, **kwargs):
        for page in original(self, *args, **kwargs):
            yield Page(page.bars, [BadRow("high below low", "[1, 2]")], [spoiled if known else NOBODY_KNOWS])

    monkeypatch.setattr(scripted.Scripted, "fetch", fetch)
    seat(desk, simulated=Script(bars=served))
    clock.now_ns += MINUTE_NS
    (outcome,) = heal(desk).gaps
    assert outcome.gap.state is GapState.UNFILLABLE
    assert "gave 1 bar of SIM:BTCUSD that cannot be used, the first: high below low" in outcome.why
    assert_as_the_truth(desk, served)
    with HealBook(desk.folders.history) as book:
        lacking = [span for spans in book.lacking().values() for span in spans]
    if known:
        assert lacking == [(spoiled, spoiled + MINUTE_NS)]
    else:
        assert lacking[0] == (start, start + 3 * MINUTE_NS), "the quiet minutes too"
    assert [(one.source, one.reason) for one in desk.ledger.reject_counts()] == [("simulated", "high below low")]
