"""When bars close and what late ticks do, by hand, for one symbol that trades round the clock."""

from bar_scenarios import (
    GRACE,
    MINUTE,
    SECOND,
    Shard,
    T,
    at,
    bar_tuples,
    chunks,
    clock,
    designated,
    run_kernel,
    run_oracle,
    ticks_row,
)

from market.bars import BarState
from market.intervals import Interval

NOON = at("2024-05-15T12:00:00")
START = designated(1, NOON - MINUTE, 0)


def bars(*rows, interval=None):
    """All bars that the rows make in the first shard; kernel and oracle agree."""
    out, expected = run_kernel([START, *rows]), run_oracle([START, *rows])
    assert out == expected
    return [bar for bar in out[0].bars if interval is None or bar[1] == interval]


def brief(found):
    """(interval, minutes after noon, close, revision, state, seconds after noon when it went out, seq)."""
    return [
        (
            Interval(b[1]).name,
            (b[2] - NOON) // MINUTE,
            b[7],
            b[12],
            BarState(b[11]).name,
            (b[13] - NOON) / SECOND,
            b[14],
        )
        for b in found
    ]


def sec(seconds):
    """A moment, seconds after noon."""
    return NOON + int(seconds * SECOND)


def test_a_minute_closes_when_the_clock_passes_its_end_and_the_grace():
    """The tick at 12:01:02 exactly is the first whose received time reaches 12:01:00 + 2 s."""
    found = bars(
        ticks_row(2, T(sec(5), 10.0, 1.0), T(sec(50), 12.0, 2.0), T(sec(40), 9.0, 3.0, received=sec(51))),
        ticks_row(3, T(sec(61.5), 11.0)),
        ticks_row(4, T(sec(62), 13.0)),
    )

    assert [bar[:11] for bar in found] == [
        (0, Interval.M1, NOON, NOON + MINUTE, 10.0, 12.0, 9.0, 12.0, 6.0, 10.0 + 24.0 + 27.0, 3)
    ]
    assert brief(found) == [("M1", 0, 12.0, 1, "CLOSED", 62.0, 4)]


def test_a_quiet_market_closes_by_beats():
    """A marks row always beats; a ticks row only when its clock enters another 50 ms."""
    found = bars(ticks_row(2, T(sec(5), 10.0)), clock(3, sec(61.9)), clock(4, sec(62.1)), clock(5, sec(63)))

    assert brief(found) == [("M1", 0, 10.0, 1, "CLOSED", 62.1, 4)]


def test_all_bars_that_end_together_close_together_from_the_shortest():
    """12:15 ends a bar of 1m, 3m, 5m and 15m; those of 30m and 45m began at 12:00 and go on."""
    found = bars(ticks_row(2, T(sec(14 * 60), 10.0)), clock(3, sec(15 * 60 + 2)))

    assert brief(found) == [
        (name, start, 10.0, 1, "CLOSED", 902.0, 3) for name, start in (("M1", 14), ("M3", 12), ("M5", 10), ("M15", 0))
    ]


def test_a_jump_of_the_clock_sends_bars_by_interval_then_start():
    """Two minutes and the 3m bars that hold them are over at once."""
    found = bars(
        ticks_row(2, T(sec(119), 10.0), T(sec(180), 11.0, received=sec(120))), clock(3, sec(6 * 60 + 30)),
    )  # fmt: skip

    assert [row[:3] for row in brief(found)] == [
        ("M1", 1, 10.0), ("M1", 3, 11.0), ("M3", 0, 10.0), ("M3", 3, 11.0), ("M5", 0, 11.0)
    ]  # fmt: skip


def test_no_ticks_no_bar():
    """The quiet minutes 12:01 to 12:09 are absent."""
    found = bars(ticks_row(2, T(sec(5), 10.0)), ticks_row(3, T(sec(605), 11.0)), clock(4, sec(700)), interval=0)

    assert [row[1] for row in brief(found)] == [0, 10]


def test_a_late_tick_amends_the_last_closed_minute_and_each_closed_bar_above():
    """12:04 is the last closed minute: 5m (12:00) has closed and goes out again, 3m (12:03) is forming and does not."""
    found = bars(
        ticks_row(2, T(sec(4 * 60 + 10), 10.0, 1.0)),
        clock(3, sec(302)),
        ticks_row(4, T(sec(4 * 60 + 5), 7.0, 2.0, received=sec(303)), T(sec(4 * 60 + 20), 8.0, 1.0, received=sec(304))),
    )

    assert brief(found) == [
        ("M1", 4, 10.0, 1, "CLOSED", 302.0, 3),
        ("M5", 0, 10.0, 1, "CLOSED", 302.0, 3),
        ("M1", 4, 10.0, 2, "CLOSED", 303.0, 4),
        ("M5", 0, 10.0, 2, "CLOSED", 303.0, 4),
        ("M1", 4, 8.0, 3, "CLOSED", 304.0, 4),
        ("M5", 0, 8.0, 3, "CLOSED", 304.0, 4),
    ]
    assert found[-1][4:11] == (7.0, 10.0, 7.0, 8.0, 4.0, 10.0 + 14.0 + 8.0, 3)


def test_a_late_tick_in_a_quiet_minute_makes_its_bar():
    """12:00 has closed, 12:02 is open: a tick for 12:01 closes at once, and the 3m bar of 12:00 has not closed yet."""
    rows = [
        ticks_row(2, T(sec(5), 10.0)),
        ticks_row(3, T(sec(170), 12.0)),
        ticks_row(4, T(sec(100), 11.0, received=sec(171))),
        clock(5, sec(182)),
    ]

    assert brief(bars(*rows)) == [
        ("M1", 0, 10.0, 1, "CLOSED", 170.0, 3),
        ("M1", 1, 11.0, 1, "CLOSED", 171.0, 4),
        ("M1", 2, 12.0, 1, "CLOSED", 182.0, 5),
        ("M3", 0, 12.0, 1, "CLOSED", 182.0, 5),
    ]


def test_a_late_tick_in_a_quiet_minute_amends_closed_bars_above_it():
    """12:01 closed last, and the 3m bar 12:00; a tick for 12:02 is newer: it makes its minute and amends the 3m bar."""
    found = bars(
        ticks_row(2, T(sec(65), 10.0)), clock(3, sec(190)), ticks_row(4, T(sec(130), 11.0, received=sec(200)))
    )  # fmt: skip

    assert brief(found) == [
        ("M1", 1, 10.0, 1, "CLOSED", 190.0, 3),
        ("M3", 0, 10.0, 1, "CLOSED", 190.0, 3),
        ("M1", 2, 11.0, 1, "CLOSED", 200.0, 4),
        ("M3", 0, 11.0, 2, "CLOSED", 200.0, 4),
    ]


def test_a_tick_older_than_the_last_closed_minute_is_refused():
    """It is named by row and place, and changes nothing."""
    rows = [
        START,
        ticks_row(2, T(sec(5), 10.0)),
        ticks_row(3, T(sec(65), 11.0)),
        ticks_row(4, T(sec(125), 12.0), T(sec(30), 1.0, received=sec(126))),
    ]
    out = run_kernel(rows)

    assert out == run_oracle(rows)
    assert out[0].rejects == [(4, 1, 0, "late")]
    assert all(bar[6] >= 10.0 for bar in out[0].bars + out[0].forming)


def test_a_tick_more_than_a_minute_ahead_is_refused():
    """Validation refuses it before; bars must not trust that. 60 s to the nanosecond is still taken."""
    rows = [START, ticks_row(2, T(sec(65), 10.0, received=sec(5)), T(sec(65) + 1, 11.0, received=sec(5)))]
    out = run_kernel(rows)

    assert out == run_oracle(rows)
    assert out[0].rejects == [(2, 1, 0, "future")]
    assert {bar[7] for bar in out[0].forming} == {10.0}


def test_open_and_close_are_decided_by_event_time_then_arrival():
    """Of ticks at the same moment the first to arrive opens, the last closes."""
    found = bars(
        ticks_row(2, T(sec(9), 3.0), T(sec(5), 1.0), T(sec(5), 2.0), T(sec(9), 4.0), T(sec(7), 9.0, received=sec(9))),
        clock(3, sec(62)),
    )

    assert found[0][4:8] == (1.0, 9.0, 1.0, 4.0)


def test_a_minute_outlives_the_next_ones_start_by_the_grace():
    """A tick for 12:00 received at 12:01:01 still enters it before it closes: one revision, both ticks in it."""
    found = bars(
        ticks_row(2, T(sec(30), 10.0), T(sec(61), 11.0), T(sec(59), 12.0, received=sec(61.5))), clock(3, sec(62))
    )  # fmt: skip

    assert brief(found) == [("M1", 0, 12.0, 1, "CLOSED", 62.0, 3)]


def test_two_open_minutes_form_two_bars_where_a_boundary_lies_between():
    """At 12:15:01 minutes 12:14 and 12:15 are open: 1m, 3m, 5m and 15m have two forming bars, the others one."""
    rows = [START, ticks_row(2, T(sec(14 * 60 + 59), 10.0), T(sec(15 * 60 + 1), 20.0))]
    out = run_kernel(rows)

    assert out == run_oracle(rows)
    twice = {Interval.M1, Interval.M3, Interval.M5, Interval.M15}
    assert [bar[1] for bar in out[0].forming] == [i for i in Interval for _ in range(2 if i in twice else 1)]
    assert [bar[7] for bar in out[0].forming if bar[1] == Interval.M15] == [10.0, 20.0]
    assert [bar[4:9] for bar in out[0].forming if bar[1] == Interval.H1] == [(10.0, 20.0, 10.0, 20.0, 2.0)]
    assert all(bar[11:] == (BarState.FORMING, 0, sec(15 * 60 + 1), 2) for bar in out[0].forming)


def test_a_stream_that_is_not_designated_makes_no_bars():
    """Its ticks are journaled and that is all: no bar, no reject."""
    rows = [START, ticks_row(2, T(sec(5), 10.0, stream=1), T(sec(5), 10.0, stream=3)), clock(3, sec(100))]
    out = run_kernel(rows)

    assert out == run_oracle(rows)
    assert all(shard[:3] == ([], [], 0) for shard in out.values())


def test_closing_by_beats_goes_by_stream_and_then_interval():
    """The order in one shard is part of what replays repeat."""
    rows = [
        designated(1, NOON, 2, 3),
        ticks_row(2, T(at("2024-05-15T13:59:30"), 5.0, stream=3), T(at("2024-05-15T13:59:31"), 6.0, stream=2)),
        clock(3, at("2024-05-15T14:00:02")),
    ]
    out = run_kernel(rows)

    assert out == run_oracle(rows)
    assert [(bar[0], Interval(bar[1]).name) for bar in out[1].bars] == [
        *((2, name) for name in ("M1", "M3", "M5", "M15")),
        *((3, name) for name in ("M1", "M3", "M5", "M15", "M30", "H1", "H2")),
    ]


def test_touched_streams_are_those_whose_forming_bars_changed():
    """By a tick or by a close, once each, and anew in each batch."""
    shard = Shard.new(0)
    parts = chunks(
        [START, ticks_row(2, T(sec(5), 10.0), T(sec(6), 10.0)), clock(3, sec(20)), clock(4, sec(62))], range(1, 4)
    )  # fmt: skip

    assert [shard.fold(part).touched.tolist() for part in parts] == [[], [0], [], [0]]


def test_forming_bars_are_asked_for_by_stream():
    """Unknown streams and those with nothing open give none."""
    shard = Shard.new(0)
    for part in chunks([START, ticks_row(2, T(sec(5), 10.0))]):
        shard.fold(part)

    assert bar_tuples(shard.aggregator.forming([1, 0, 9000])) == bar_tuples(shard.aggregator.forming())
    assert len(shard.aggregator.forming([0])) == 13
    assert len(shard.aggregator.forming([])) == 0


def test_the_grace_is_a_setting():
    """With none, the bar closes on the boundary itself."""
    rows = [START, ticks_row(2, T(sec(5), 10.0)), clock(3, sec(60))]

    assert run_kernel(rows, grace=GRACE)[0].bars == []
    assert [bar[13] for bar in run_kernel(rows, grace=0)[0].bars] == [sec(60)]


def test_late_ticks_at_one_moment_close_by_arrival_too():
    """Both amend 12:00 at 12:00:50; the one that came last is its close."""
    found = bars(
        ticks_row(2, T(sec(50), 1.0)),
        clock(3, sec(62)),
        ticks_row(4, T(sec(50), 2.0, received=sec(63)), T(sec(50), 3.0, received=sec(63))),
    )

    assert [(bar[4], bar[7]) for bar in found] == [(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]


def test_minutes_may_be_opened_in_any_order():
    """With a grace of a minute three are open at 12:02:30; begun last to first, they close first to last."""
    rows = [
        START,
        ticks_row(2, *(T(sec(seconds), float(seconds), received=sec(150)) for seconds in (190, 130, 70, 131, 71))),
        clock(3, sec(300)),
    ]
    out = run_kernel(rows, grace=MINUTE)

    assert out == run_oracle(rows, MINUTE)
    assert [((bar[2] - NOON) // MINUTE, bar[4], bar[7]) for bar in out[0].bars if bar[1] == Interval.M1] == [
        (1, 70.0, 71.0),
        (2, 130.0, 131.0),
        (3, 190.0, 190.0),
    ]
