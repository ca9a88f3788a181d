"""What the planner promises is what happens, and no limit is passed on the way."""

from collections import defaultdict
from contextlib import closing

import numpy as np
import pytest
from scripted.provider import Script, quick, seat, truth_of_minutes

from history.allowance import Allowance
from history.fetching import fetch_bars
from history.planner import Lane, Want, calls_for, lanes_of, plan, plan_sync
from history.quota import in_words
from history.roster import breakers, quota
from history.sync import sync, sync_many
from market.bars import BAR, BarBatch, BarState
from market.intervals import MINUTE_NS, Interval
from market.streams import FeedKind, Stream
from market.symbols import Symbol
from sinks.bar_store import open_store
from sources.history.provider import ProviderAway, Terms, Window

NOON = 1_767_355_200 * 10**9
MIDNIGHT = NOON - 12 * 3600 * 10**9
SECOND = 10**9
DAY = 86_400 * SECOND
HOUR = 3600 * SECOND


def symbol(number):
    return Symbol("NYSE", f"S{number:03d}")


def want(number, newest=None, **calls):
    return Want(symbol(number), Interval.D1, newest, calls or {"massive": 1})


def lane(*windows, weight=1, space_ns=0, free_at=MIDNIGHT):
    return Lane(Allowance([Window(*one) for one in windows]), weight, space_ns, free_at)


def names(wants):
    return [int(one.want.symbol.ticker[1:]) for one in wants]


def test_new_symbols_come_first_then_the_stalest():
    """Whatever order they are given in; of two alike the one that comes first by name."""
    wants = [want(1, NOON), want(2, NOON - DAY), want(3), want(4, NOON - 9 * DAY), want(0, NOON)]

    assert names(plan(wants, {"massive": lane()}, MIDNIGHT, MIDNIGHT + DAY).jobs) == [3, 4, 2, 0, 1]


def test_what_does_not_fit_is_left_with_the_day_on_which_it_will():
    """Two a day: seven wants are done on days 0, 0, 1, 1, 2, 2, 3, by hand."""
    made = plan([want(i) for i in range(7)], {"massive": lane((86_400, 2))}, MIDNIGHT, MIDNIGHT + 8 * HOUR)

    assert names(made.jobs) == [0, 1]
    assert names(made.left) == [2, 3, 4, 5, 6]
    assert [one.done_at for one in made.left] == [MIDNIGHT + day * DAY for day in (1, 1, 2, 2, 3)]
    assert str(made) == (
        "2 of 7 symbols by 2026-01-02T08:00:00Z, the others by 2026-01-05T00:00:00Z: NYSE:S002: what massive allows is "
        "spent before its turn comes; its turn is at 2026-01-03T00:00:00Z"
    )


def test_a_minutes_limit_takes_its_time():
    """Five a minute: twelve wants at 0, 0, 0, 0, 0, 1, ... minutes; those after `until` are left for the next night."""
    made = plan([want(i) for i in range(12)], {"massive": lane((60, 5))}, MIDNIGHT, MIDNIGHT + 90 * SECOND)

    assert [(job.done_at - MIDNIGHT) // SECOND for job in made.jobs] == [0] * 5 + [60] * 5
    assert [one.done_at - MIDNIGHT - DAY for one in made.left] == [0, 0]


def test_the_next_provider_gives_what_the_first_has_not_enough_left_for():
    """Two calls each, three left at the first: the second symbol is shared, the third is the other's."""
    lanes = {"alpaca": lane((86_400, 3)), "massive": lane((86_400, 100))}
    made = plan([want(i, alpaca=2, massive=4) for i in range(3)], lanes, MIDNIGHT, MIDNIGHT + HOUR)

    assert [(job.providers, job.calls) for job in made.jobs] == [
        (("alpaca",), 2),
        (("alpaca", "massive"), 3),
        (("massive",), 4),
    ]


def test_what_is_not_reached_spends_nothing():
    """The want of four calls does not fit into three, so the three are left for the next ones."""
    wants = [want(0, massive=4), want(1, massive=2), want(2, massive=1)]

    assert names(plan(wants, {"massive": lane((86_400, 3))}, MIDNIGHT, MIDNIGHT + HOUR).jobs) == [1, 2]


def test_several_at_once_do_not_wait_for_each_other():
    """One provider takes a second a call, the other a minute; two workers are done when one would be half-way."""
    lanes = {"alpaca": lane(space_ns=60 * SECOND), "massive": lane(space_ns=SECOND)}
    wants = [want(0, alpaca=3), want(1, massive=3), want(2, massive=3)]
    one, two = (plan(wants, lanes, MIDNIGHT, MIDNIGHT + DAY, at_once=count).jobs for count in (1, 2))

    assert [(job.done_at - MIDNIGHT) // SECOND for job in one] == [120, 122, 125]
    assert [(job.done_at - MIDNIGHT) // SECOND for job in two] == [120, 2, 5]


def test_what_nobody_has_is_left_for_good():
    made = plan([want(0)._replace(calls={})], {}, MIDNIGHT, MIDNIGHT + HOUR)

    assert made.left[0].done_at is None
    assert made.left[0].why == "no provider that can be asked has it: `pq providers` says what the others need"


def test_too_much_for_a_month_is_said():
    made = plan([want(0, massive=9)], {"massive": lane((86_400, 3))}, MIDNIGHT, MIDNIGHT + HOUR)

    assert made.left[0].why == "what massive allows is too little to reach it within 31 days"


@pytest.mark.parametrize(
    ("terms", "interval", "count", "calls"),
    [
        (quick(Interval.D1, page_bars=1000), Interval.D1, 500, 1),
        (quick(Interval.D1, page_bars=100), Interval.D1, 501, 6),
        # 60 bars of 45m are 180 of 15m where the clock goes round.
        (quick(Interval.M15, page_bars=100), Interval.M45, 60, 2),
        (quick(Interval.D1, page_bars=100, max_bars=300), Interval.D1, 301, None),
        (quick(Interval.D1, page_bars=100), Interval.H1, 10, None),
        (quick(has_trades=True), Interval.H1, 10, None),
    ],
)
def test_calls_are_pages(terms, interval, count, calls):
    assert calls_for(terms, Symbol("SIM", "BTCUSD"), interval, count, NOON) == calls


UNIVERSE = 500
DAYS = 30
BARS = 3


class Night:
    """500 symbols, synced each night by what a plan promises, through the real fetch and the real ledger."""

    def __init__(self, desk, clock):
        self.desk, self.clock = desk, clock
        truth = truth_of_minutes(MIDNIGHT - 10 * MINUTE_NS, 1)
        bars = np.concatenate([truth] * (DAYS + 10))
        opens = [MIDNIGHT + day * DAY + 14 * HOUR + 30 * 60 * SECOND for day in range(-10, DAYS)]
        bars["start"], bars["end"] = opens, np.array(opens) + MINUTE_NS
        limits = {
            # 33 calls of weight 3 a day, 40 calls of two pages each, 25: room for 98 and more syncs a day.
            "alpaca": (3, ((60, 30), (86_400, 100)), 1000),
            "massive": (1, ((60, 5), (86_400, 81)), 2),
            "tradier": (1, ((60, 7), (3600, 20), (86_400, 90)), 1000),
            "alpha_vantage": (1, ((60, 5), (86_400, 25)), 1000),
        }
        self.limits = {name: (weight, windows) for name, (weight, windows, _) in limits.items()}
        self.scripts = {
            name: Script(
                bars,
                weight=weight,
                terms=Terms(
                    frozenset({Interval.D1}),
                    page,
                    windows=tuple(Window(*one) for one in windows),
                    per_second=1e6,
                    call_weight=weight,
                ),
            )
            for name, (weight, windows, page) in limits.items()
        }
        seat(desk, **self.scripts)

    def plan(self, newest, until):
        """From what the ledger says is left."""
        calls = {
            name: calls_for(script.terms, symbol(0), Interval.D1, BARS, self.clock.now_ns)
            for name, script in self.scripts.items()
        }
        wants = [Want(symbol(i), Interval.D1, newest.get(i), calls) for i in range(UNIVERSE)]
        return plan(wants, lanes_of(self.desk), self.clock.now_ns, until)

    def fetch(self, one):
        """Sync one symbol; who gave it, and how many calls it took."""
        before = {name: len(script.spent) for name, script in self.scripts.items()}
        parts = list(fetch_bars(self.desk, one, Interval.D1, count=BARS))
        assert sum(len(part.batch.rows) for part in parts) == BARS
        calls = {name: len(script.spent) - before[name] for name, script in self.scripts.items()}
        return {name: number for name, number in calls.items() if number}

    def check_limits(self):
        """Slowly: no stretch of a limit's length, and no UTC day, holds more than it allows."""
        for name, (_, windows) in self.limits.items():
            spent = self.scripts[name].spent
            for seconds, limit in windows:
                days = defaultdict(int)
                for place, (at, weight) in enumerate(spent):
                    if seconds == 86_400:
                        days[at // DAY] += weight
                        continue
                    inside = weight
                    for earlier, other in reversed(spent[:place]):
                        if earlier <= at - seconds * SECOND:
                            break
                        inside += other
                    assert inside <= limit, (name, seconds)
                assert all(weight <= limit for weight in days.values()), name


def test_thirty_nights_of_five_hundred_symbols(desk, clock):
    """0 calls over any limit; each night just what the plan promised, and what it left just on the day it said."""
    night = Night(desk, clock)
    newest, promised = {}, {}
    reached, calls = 0, 0
    for day in range(DAYS):
        clock.now_ns = MIDNIGHT + day * DAY + HOUR
        until = MIDNIGHT + day * DAY + 9 * HOUR
        made = night.plan(newest, until)
        for job in made.jobs:
            number = int(job.want.symbol.ticker[1:])
            given = night.fetch(job.want.symbol)
            assert (tuple(given), sum(given.values())) == (job.providers, job.calls)
            assert clock.now_ns <= until
            assert abs(clock.now_ns - job.done_at) < SECOND
            assert promised.pop(number, day) == day
            newest[number] = clock.now_ns
            calls += job.calls
        reached += len(made.jobs)
        for one in made.left:
            # What was promised yesterday is promised today.
            assert one.done_at is not None
            number = int(one.want.symbol.ticker[1:])
            assert promised.setdefault(number, (one.done_at - MIDNIGHT) // DAY) == (one.done_at - MIDNIGHT) // DAY
    night.check_limits()
    print(f"{DAYS} nights of {UNIVERSE} symbols: {reached} syncs in {calls} calls, 0 over a limit, 0 promises broken")

    assert reached == DAYS * len(plan_of_one_night(night, clock))
    assert len(newest) == UNIVERSE


def plan_of_one_night(night, clock):
    clock.now_ns = MIDNIGHT + (DAYS + 1) * DAY + HOUR
    return night.plan({}, clock.now_ns + 8 * HOUR).jobs


def test_a_plan_starts_from_what_is_spent_and_held(desk, clock):
    """Through the real store, ledger and breaker: the stalest first, after what was spent today and a rest."""
    limits = {"windows": (Window(60, 5), Window(86_400, 25))}
    seat(
        desk,
        alpha_vantage=Script(terms=quick(Interval.D1, **limits)),
        massive=Script(terms=quick(Interval.D1)),
        alpaca="no POCKETQUANT_PROVIDERS__ALPACA__KEY",
    )
    desk.settings.provider_order["stock"] = ["alpaca", "alpha_vantage"]
    ask = quota(desk).door("alpha_vantage", quick(Interval.D1, **limits), print)
    for _ in range(22):
        ask()
    with closing(open_store(desk.folders.bars)) as store:
        for number, age in ((0, 1), (1, 3), (2, 2)):
            row = np.zeros(1, BAR)
            row["start"], row["end"] = NOON - age * DAY, NOON - age * DAY + MINUTE_NS
            row["open"] = row["high"] = row["low"] = row["close"] = 1.0
            row["interval"], row["state"], row["seq"] = Interval.D1, BarState.OFFICIAL, -1
            streams = (Stream(0, "massive", symbol(number), FeedKind.TRADES, 0),)
            store.upsert(BarBatch(row, streams), writer="sync", own_revisions=False)
    for _ in range(5):
        breakers(desk).failed("alpha_vantage", ProviderAway("alpha_vantage does not answer"))
    now = clock.now_ns
    made = plan_sync(desk, [symbol(i) for i in range(5)], Interval.D1, 100)

    assert names(made.jobs) == [3, 4, 1]
    assert names(made.left) == [2, 0]
    assert made.until == MIDNIGHT + DAY
    assert made.jobs[0].begins_at - now >= 30 * SECOND
    assert [job.providers for job in made.jobs] == [("alpha_vantage",)] * 3


def test_a_sync_of_many_goes_by_the_plan(desk):
    """The stalest first although it is named last; what the quota will not reach is said before anything is called."""
    bars = truth_of_minutes(NOON - 3 * DAY, 3 * 1440)
    seat(desk, simulated=Script(bars, terms=quick(Interval.M1, windows=(Window(86_400, 3),))))
    one, two, three = (Symbol("SIM", f"{name}USD") for name in ("BTC", "ETH", "SOL"))
    sync(desk, one, Interval.M1, count=5)
    told = []
    ended = []
    done = sync_many(desk, [one, three, two], Interval.M1, count=5, at_once=1, say=told.append, ended=ended.append)

    assert [synced.symbol for synced in ended] == [two, three, one]
    assert [(synced.symbol, synced.total.bars, synced.error is None) for synced in done] == [
        (one, 0, False),
        (three, 5, True),
        (two, 5, True),
    ]
    assert told[0].startswith("sync of 1m bars: 2 of 3 symbols by 2026-01-03T00:00:00Z, the others by 2026-01-03T")
    assert "simulated allows 3 a day, which are spent until 2026-01-03T00:00:00Z" in str(done[0].error)


def test_a_plan_asks_nobody(desk):
    script = Script(terms=quick(Interval.D1))
    seat(desk, massive=script)
    desk.settings.provider_order["stock"] = ["massive"]
    made = plan_sync(desk, [symbol(0), symbol(0)], Interval.D1, 100)

    assert len(made.jobs) == 1
    assert script.calls == []
    assert in_words(Window(60, 5)) == "5 a minute"
