"""No call passes a limit, whoever makes it; a short wait is waited for, a long one is said."""

import multiprocessing
from random import Random

import pytest

from history.allowance import NEVER, Allowance, Verdict
from history.desk import HistoryDesk
from history.pace import Pace
from history.quota import OverQuota, in_words, windows_of
from history.roster import quota
from infra.settings import load_settings
from market.intervals import Interval
from sinks.quota_book import QuotaBook
from sources.history.provider import NotOffered, Terms, Window

NOON = 1_767_355_200 * 10**9
SECOND = 10**9
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND


def terms(*windows, per_second=1e6):
    return Terms(frozenset({Interval.D1}), 100, windows=windows, per_second=per_second)


def door(desk, *windows, name="massive", say=lambda _: None, per_second=1e6):
    return quota(desk).door(name, terms(*windows, per_second=per_second), say)


def test_a_rolling_limit_lets_the_next_call_in_when_an_old_one_leaves():
    """Two a minute: calls at 0 and 30 s; the third may come at 60 s, the fourth at 90 s, by hand."""
    allowance = Allowance([Window(60, 2)])
    allowance.take(NOON, 1)
    allowance.take(NOON + 30 * SECOND, 1)

    assert allowance.earliest(NOON + 40 * SECOND, 1) == Verdict(NOON + MINUTE, Window(60, 2))
    assert allowance.earliest(NOON + MINUTE, 1) == Verdict(NOON + MINUTE, None)
    allowance.take(NOON + MINUTE, 1)
    assert allowance.earliest(NOON + MINUTE, 1) == Verdict(NOON + 90 * SECOND, Window(60, 2))
    assert allowance.earliest(NOON + MINUTE, 2) == Verdict(NOON + 2 * MINUTE, Window(60, 2))


def test_a_daily_limit_ends_with_the_utc_day():
    """25 a day spent at noon are free again at midnight, not at the next noon; another day's do not count."""
    allowance = Allowance([Window(86_400, 25)], days=[(NOON // DAY - 1, 25), (NOON // DAY, 24)])
    assert allowance.earliest(NOON, 1).window is None
    allowance.take(NOON, 1)

    assert allowance.earliest(NOON + 1, 1) == Verdict((NOON // DAY + 1) * DAY, Window(86_400, 25))


def test_a_call_heavier_than_a_whole_limit_never_fits():
    assert Allowance([Window(60, 5)]).earliest(NOON, 6) == Verdict(NEVER, Window(60, 5))
    assert Allowance([Window(86_400, 5)]).earliest(NOON, 6) == Verdict(NEVER, Window(86_400, 5))


@pytest.mark.parametrize("seed", range(20))
def test_the_rule_is_the_slow_rule(seed):
    """Against one that tries every moment at which anything changes, on random calls of random weight."""
    rng = Random(seed)
    windows = [Window(rng.choice([7, 60, 90]), rng.randint(5, 12)), Window(86_400, rng.randint(20, 60))]
    allowance = Allowance(windows)
    calls = []
    now = NOON // DAY * DAY + DAY - 300 * SECOND

    def fits(at, weight):
        for seconds, limit in windows:
            inside = [
                spent
                for when, spent in calls
                if (when // DAY == at // DAY if seconds == 86_400 else when > at - seconds * SECOND)
            ]
            if sum(inside) + weight > limit:
                return False
        return True

    for _ in range(60):
        now += rng.randint(0, 20) * SECOND
        weight = rng.randint(1, 4)
        changes = [when + seconds * SECOND for when, _ in calls for seconds, _ in windows[:1]]
        changes += [(now // DAY + 1) * DAY]
        at = next(moment for moment in sorted([now, *changes]) if moment >= now and fits(moment, weight))
        assert allowance.earliest(now, weight).at_ns == at
        if at - now < 100 * SECOND:
            now = at
            allowance.take(now, weight)
            calls.append((now, weight))


def test_a_minutes_limit_is_waited_for_and_said(desk, clock):
    """Five a minute: the sixth waits until the first is a minute old."""
    told = []
    ask = door(desk, Window(60, 5), say=told.append)
    for _ in range(6):
        ask()
        clock.now_ns += SECOND

    assert clock.slept == [55.0]
    assert told == ["massive: 5 a minute are spent; going on in 55 s"]


def test_a_days_limit_is_refused_and_survives_a_restart(desk, clock, tmp_path):
    """25 a day: a new process knows of the calls of the old one, and the next day begins anew."""
    ask = door(desk, Window(86_400, 25))
    for _ in range(25):
        ask()
    with HistoryDesk(desk.settings, now_ns=clock, sleep=clock.sleep) as other:
        with pytest.raises(OverQuota) as caught:
            door(other, Window(86_400, 25))()
        assert str(caught.value) == (
            "massive allows 25 a day, which are spent until 2026-01-03T00:00:00Z; a plan that allows more is said by "
            "providers.massive.per_day"
        )
        assert caught.value.until_ns == NOON + DAY // 2
        clock.now_ns = NOON + DAY // 2
        door(other, Window(86_400, 25))()

    assert clock.slept == []


def test_a_call_that_can_never_fit_is_refused_for_good(desk):
    with pytest.raises(NotOffered, match="massive allows 5 a minute, and one call of this takes 6"):
        door(desk, Window(60, 5))(6)


def _spend(path, calls, barrier, taken):
    """Another process: take as many as there are."""
    settings = load_settings(path, environ={})
    with HistoryDesk(settings, now_ns=lambda: NOON, sleep=lambda _: None) as desk:
        ask = door(desk, Window(86_400, 100))
        barrier.wait()
        for _ in range(calls):
            try:
                ask()
            except OverQuota:
                return
            with taken.get_lock():
                taken.value += 1


def test_processes_that_ask_at_once_pass_no_limit_together(desk):
    """Four processes want 40 each of 100: 100 are given."""
    context = multiprocessing.get_context("spawn")
    barrier, taken = context.Barrier(4), context.Value("i", 0)
    path = desk.settings.data_dir
    others = [context.Process(target=_spend, args=(path, 40, barrier, taken)) for _ in range(4)]
    for one in others:
        one.start()
    for one in others:
        one.join(60)

    assert [one.exitcode for one in others] == [0] * 4
    assert taken.value == 100
    assert [(day.weight, day.calls) for day in quota(desk).book.days(NOON)] == [(100, 100)]


def test_what_the_provider_counted_beyond_ours_is_added(desk, clock):
    """Binance's header counts the whole address: another program's 5,990 leave 10, until the minute is over."""
    ask = door(desk, Window(60, 6000), name="binance")
    clock.now_ns += 20 * SECOND
    ask(2)
    ask.spent(5992)
    ask(8)
    assert clock.slept == []
    ask(1)

    assert clock.now_ns == NOON + MINUTE


def test_a_header_of_another_minute_is_no_correction(desk, clock):
    """An answer that came after the minute changed may count either."""
    ask = door(desk, Window(60, 6000), name="binance")
    clock.now_ns += 59 * SECOND
    ask(2)
    clock.now_ns += 2 * SECOND
    ask.spent(6000)
    ask(5000)

    assert clock.slept == []


def test_a_header_that_says_less_changes_nothing(desk, clock):
    ask = door(desk, Window(60, 10), name="binance")
    ask(10)
    ask.spent(3)
    ask(1)

    assert clock.slept == [60.0]


def test_a_provider_that_closes_its_door_is_not_called(desk, clock):
    """Its own words are kept over restarts; when the time is over it is called again."""
    quota(desk).book.block("binance", NOON + 2 * 3600 * SECOND, "binance banned this address for two hours")
    quota(desk).book.block("binance", NOON + SECOND, "an older and shorter one")
    ask = door(desk, name="binance")
    with pytest.raises(OverQuota, match="binance takes no calls until 2026-01-02T14:00:00Z: binance banned"):
        ask()
    clock.now_ns += 2 * 3600 * SECOND
    ask()


def test_the_users_plan_goes_over_the_free_one(tmp_path):
    plan = {"MINUTE": "300", "DAY": "9000"}
    environ = {f"POCKETQUANT_PROVIDERS__MASSIVE__PER_{word}": limit for word, limit in plan.items()}
    settings = load_settings(tmp_path, environ=environ)
    with HistoryDesk(settings) as desk:
        assert windows_of("massive", terms(Window(60, 5), Window(3600, 7)), desk) == (
            Window(60, 300),
            Window(3600, 7),
            Window(86_400, 9000),
        )
        assert windows_of("okx", terms(Window(60, 5)), desk) == (Window(60, 5),)


def test_a_clock_that_was_a_year_ahead_blocks_nothing_for_a_year(desk, clock):
    """Calls noted under it are let go of when it is right again."""
    clock.now_ns += 365 * DAY
    ask = door(desk, Window(60, 1))
    ask()
    clock.now_ns -= 365 * DAY
    ask()

    assert clock.slept == []


def test_days_are_kept_for_a_year(tmp_path):
    with QuotaBook(tmp_path / "history.sqlite") as book:
        for day in (0, 390, 410):
            with book.account("okx", NOON - day * DAY, MINUTE) as account:
                account.add(3)
        book.forget(NOON)

        assert [(one.day, one.weight, one.calls) for one in book.days(0)] == [
            (NOON // DAY - 390, 3, 1),
            (NOON // DAY, 3, 1),
        ]


def test_calls_keep_their_pace(clock):
    """Five a second: the sixth waits for the first to be a second old, the seventh for the second."""
    pace = Pace(5, clock, clock.sleep)
    times = []
    for _ in range(12):
        pace.wait()
        times.append(clock.now_ns)
        clock.now_ns += 10**7

    for first, sixth in zip(times, times[5:], strict=False):
        assert sixth - first >= SECOND
    assert times[-1] - NOON < 2.2 * SECOND


def test_a_slow_pace_is_less_than_one_a_second(clock):
    pace = Pace(0.25, clock, clock.sleep)
    for _ in range(3):
        pace.wait()

    assert 8 * SECOND <= clock.now_ns - NOON < 8.1 * SECOND


def test_a_clock_set_back_stops_no_pace(clock):
    pace = Pace(1, clock, clock.sleep)
    pace.wait()
    clock.now_ns -= DAY
    pace.wait()

    assert clock.slept == []


def test_limits_are_said_in_words():
    assert [in_words(Window(*one)) for one in ((60, 6000), (3600, 1), (86_400, 25), (10, 3))] == [
        "6,000 a minute",
        "1 an hour",
        "25 a day",
        "3 in 10 s",
    ]
