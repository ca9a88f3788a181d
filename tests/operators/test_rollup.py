"""Roll-ups of whole arrays: what the live kernel makes, to the last bit; and the rules by hand."""

import math

import numpy as np
import pytest
from bar_scenarios import LUNCH, LUNCH_CALENDAR, STREAMS, at, journals, run_kernel
from hypothesis import given

from market.bars import BAR, BarState
from market.intervals import INTERVALS, MINUTE_NS, Interval
from market.sessions import calendar, calendar_for
from market.slots import bounds_of
from market.symbols import Symbol
from operators.rollup import finer_intervals, nests, roll_up

CLOCK = calendar("24/7")
NOON = at("2024-05-15T12:00:00")
KERNEL_FIELDS = ["start", "end", "open", "high", "low", "close", "volume", "notional", "trades"]


def bars(*rows, interval=Interval.M1, state=BarState.CLOSED, **fields):
    """(minute after noon, price, volume) as flat bars."""
    made = np.zeros(len(rows), BAR)
    for place, (minute, price, volume) in enumerate(rows):
        start = NOON + minute * MINUTE_NS
        made[place]["start"], made[place]["end"] = start, start + MINUTE_NS
        for name in ("open", "high", "low", "close"):
            made[place][name] = price
        made[place]["volume"], made[place]["notional"], made[place]["trades"] = volume, price * volume, 1
    made["interval"], made["state"] = interval, state
    for name, value in fields.items():
        made[name] = value
    return made


@given(journals())
def test_a_roll_up_is_what_the_kernel_made_live(rows):
    """Every closed bar of every interval from its one-minute bars: equal bits, with and without a lunch break."""
    for out in run_kernel(rows).values():
        final = {(bar[0], bar[1], bar[2]): bar for bar in out.bars}
        for stream in (2, 3):
            sessions = LUNCH_CALENDAR if STREAMS[stream].symbol == LUNCH else CLOCK
            of_it = sorted(bar for bar in final.values() if bar[0] == stream)
            minutes = np.zeros(sum(bar[1] == 0 for bar in of_it), BAR)
            for place, bar in enumerate(bar for bar in of_it if bar[1] == 0):
                for name, value in zip(KERNEL_FIELDS, bar[2:11], strict=True):
                    minutes[place][name] = value
            # Which ticks say no count of trades is drawn too; the rule for those is tested by hand.
            minutes["trades"] = np.maximum(minutes["trades"], 1)
            trades = dict(zip(minutes["start"].tolist(), minutes["trades"].tolist(), strict=True))
            for interval in INTERVALS[1:]:
                made = {bar[0]: bar for bar in roll_up(minutes, interval, sessions)[KERNEL_FIELDS].tolist()}
                for bar in of_it:
                    if bar[1] == interval:
                        start, end = bar[2:4]
                        count = sum(number for minute, number in trades.items() if start <= minute < end)
                        assert made[start] == (*bar[2:10], count)


@pytest.mark.parametrize("sessions", [CLOCK, LUNCH_CALENDAR, calendar_for(Symbol("NYSE", "F"))])
def test_bounds_of_many_moments_are_those_of_each(sessions):
    """Every 7th minute of two weeks around New York's change of clocks, before the first session, behind the last."""
    times = (np.arange(0, 14 * 1440, 7) * MINUTE_NS + at("2024-03-03T00:00:00")).tolist()
    times += [at("1980-01-01T00:00:00"), at("2120-01-01T00:00:00")]
    for interval in INTERVALS:
        start, end, inside = bounds_of(np.array(times), interval, sessions)
        found = [
            (first // MINUTE_NS, last // MINUTE_NS) if there else None
            for first, last, there in zip(start.tolist(), end.tolist(), inside.tolist(), strict=True)
        ]
        assert found == [sessions.bounds(interval, time // MINUTE_NS) for time in times]


def test_an_interval_nests_where_no_bar_is_cut():
    """By the bounds of every bar of a week with lunch breaks and half days: each finer bar lies in one coarser."""
    times = [at("2024-05-13T00:00:00") + minute * MINUTE_NS for minute in range(7 * 1440)]
    inside = [time for time in times if LUNCH_CALENDAR.bounds(Interval.M1, time // MINUTE_NS)]
    around = np.array(times)
    for finer in INTERVALS:
        for interval in INTERVALS:
            whole = finer < interval
            for times_of, sessions in ((np.array(inside), LUNCH_CALENDAR), (around, CLOCK)):
                low, high, _ = bounds_of(times_of, finer, sessions)
                start, end, _ = bounds_of(times_of, interval, sessions)
                whole &= bool(((start <= low) & (high <= end)).all())
            if nests(finer, interval):
                assert whole, (finer, interval)
    assert finer_intervals(Interval.M1) == []
    assert finer_intervals(Interval.H4) == [Interval[n] for n in ("H2", "H1", "M30", "M15", "M5", "M3", "M1")]
    assert finer_intervals(Interval.H3) == [Interval[n] for n in ("H1", "M45", "M30", "M15", "M5", "M3", "M1")]
    assert finer_intervals(Interval.MO1)[0] is Interval.D1


def test_sums_are_added_from_the_left_and_quiet_minutes_are_absent():
    """0.1 + 0.2 + 0.3 from the left is 0.6000000000000001, in pairs it is 0.6; 12:03 had no trade."""
    made = roll_up(bars((0, 5.0, 0.1), (1, 7.0, 0.2), (2, 3.0, 0.3), (4, 4.0, 1.0)), Interval.M3, CLOCK)

    assert made[KERNEL_FIELDS].tolist() == [
        (NOON, NOON + 3 * MINUTE_NS, 5.0, 7.0, 3.0, 3.0, 0.6000000000000001, 0.5 + 7 * 0.2 + 3 * 0.3, 3),
        (NOON + 3 * MINUTE_NS, NOON + 6 * MINUTE_NS, 4.0, 4.0, 4.0, 4.0, 1.0, 4.0, 1),
    ]
    assert (made["interval"] == Interval.M3).all()


def test_what_one_bar_does_not_know_the_sum_does_not_know():
    """Of notional; and of trades, where a bar has volume but no count of them. A still bar has none of either."""
    rows = bars((0, 5.0, 1.0), (1, 5.0, 1.0), (3, 5.0, 1.0), (4, 5.0, 0.0))
    rows["notional"][0], rows["trades"][1], rows["trades"][3] = math.nan, 0, 0
    made = roll_up(rows, Interval.M3, CLOCK)

    assert np.isnan(made["notional"]).tolist() == [True, False]
    assert made["trades"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ((BarState.OFFICIAL, BarState.OFFICIAL), BarState.OFFICIAL),
        ((BarState.OFFICIAL, BarState.HEALED), BarState.HEALED),
        ((BarState.HEALED, BarState.CLOSED), BarState.CLOSED),
        ((BarState.OFFICIAL, BarState.PARTIAL), BarState.PARTIAL),
        ((BarState.CLOSED, BarState.FORMING), BarState.FORMING),
    ],
)
def test_a_bar_is_trusted_as_its_least_trustworthy_part(states, expected):
    """Else a minute with an outage would vanish in its hour."""
    rows = bars((0, 5.0, 1.0), (1, 5.0, 1.0))
    rows["state"] = states

    assert roll_up(rows, Interval.H1, CLOCK)["state"].tolist() == [expected]


def test_what_is_not_over_is_forming_and_what_is_not_whole_is_left_out():
    """Minutes known from 12:02 to 12:08: the three minutes from 12:00 lack their begin, those from 12:06 their end."""
    rows = bars(*((minute, 5.0, 1.0) for minute in range(2, 8)), state=BarState.OFFICIAL)
    made = roll_up(rows, Interval.M3, CLOCK, since=NOON + 2 * MINUTE_NS, upto=NOON + 8 * MINUTE_NS)

    assert made[["start", "state"]].tolist() == [
        (NOON + 3 * MINUTE_NS, BarState.OFFICIAL),
        (NOON + 6 * MINUTE_NS, BarState.FORMING),
    ]
    assert len(roll_up(rows[:0], Interval.M3, CLOCK)) == 0


def test_bars_outside_the_sessions_enter_none():
    """The lunch break of Tuesday begins at 11:30."""
    start = at("2024-05-14T11:28:00")
    rows = bars((0, 1.0, 1.0), (1, 2.0, 1.0), (2, 3.0, 1.0), (3, 9.0, 1.0))
    rows["start"] = start + np.arange(4) * MINUTE_NS
    made = roll_up(rows, Interval.H1, LUNCH_CALENDAR)

    assert made[["start", "end", "close"]].tolist() == [
        (at("2024-05-14T11:07:00"), at("2024-05-14T11:30:00"), 2.0)
    ]  # fmt: skip


def test_days_become_weeks_and_months_where_the_sessions_say_so():
    """New York, March 2024: the clocks change on the 10th, Good Friday is the 29th, so the month ends on the 28th."""
    sessions = calendar_for(Symbol("NYSE", "F"))
    march = (sessions.day >= 19783) & (sessions.day < 19783 + 31)
    rows = bars(*((0, float(price), 1.0) for price in range(int(march.sum()))), interval=Interval.D1)
    rows["start"], rows["end"] = sessions.day_start[march] * MINUTE_NS, sessions.day_end[march] * MINUTE_NS
    weeks, month = (roll_up(rows, interval, sessions) for interval in (Interval.W1, Interval.MO1))

    assert weeks["volume"].tolist() == [1, 5, 5, 5, 4]
    assert month[["start", "end", "open", "close", "volume"]].tolist() == [
        (at("2024-03-01T14:30:00"), at("2024-03-28T20:00:00"), 0.0, 19.0, 20.0)
    ]


def test_a_bar_keeps_when_it_came_to_be_known_and_whose_it_is():
    """The latest of its parts; revision and journal row are for the writer to say."""
    rows = bars((0, 5.0, 1.0), (1, 5.0, 1.0), stream=3, revision=7, seq=9)
    rows["updated_at"] = (20, 10)
    made = roll_up(rows, Interval.H1, CLOCK)

    assert made[["updated_at", "stream", "revision", "seq"]].tolist() == [(20, 3, 0, -1)]
