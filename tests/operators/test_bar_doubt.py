"""Outages make bars partial, and a symbol's bars pass from one feed to another, by hand."""

from bar_scenarios import MINUTE, SECOND, T, at, clock, designated, marks_row, run_kernel, run_oracle, ticks_row

from market.bars import BarState
from market.intervals import Interval
from market.ticks import ALWAYS, NEVER, MarkKind

NOON = at("2024-05-15T12:00:00")
START = designated(1, NOON - MINUTE, 0)


def sec(seconds):
    """A moment, seconds after noon."""
    return NOON + int(seconds * SECOND)


def states(*rows, intervals=(0, 1)):
    """(interval, start in minutes after noon, revision, state) of the bars of the first shard."""
    out = run_kernel(rows)
    assert out == run_oracle(rows)
    return [
        (Interval(bar[1]).name, (bar[2] - NOON) // MINUTE, bar[12], BarState(bar[11]).name)
        for bar in out[0].bars
        if bar[1] in intervals
    ]


def down(seq, start, stream=0):
    return marks_row(seq, (MarkKind.DOWN, stream, start, start, NEVER))


def up(seq, start, end, stream=0):
    return marks_row(seq, (MarkKind.UP, stream, end, start, end))


def test_bars_across_an_outage_are_partial():
    """Down from 12:01:10 to 12:01:40: that minute and the 3m bar; the minutes beside it are whole."""
    assert states(
        START,
        ticks_row(2, T(sec(5), 1.0), T(sec(65), 2.0)),
        down(3, sec(70)),
        up(4, sec(70), sec(100)),
        ticks_row(5, T(sec(125), 3.0)),
        clock(6, sec(200)),
    ) == [("M1", 0, 1, "CLOSED"), ("M1", 1, 1, "PARTIAL"), ("M1", 2, 1, "CLOSED"), ("M3", 0, 1, "PARTIAL")]


def test_a_bar_that_ends_while_the_feed_is_down_is_partial():
    """The outage has no end yet."""
    assert states(START, ticks_row(2, T(sec(5), 1.0)), down(3, sec(30)), clock(4, sec(62))) == [("M1", 0, 1, "PARTIAL")]


def test_an_outage_that_is_noticed_late_sends_closed_bars_again():
    """The watchdog saw at 12:03:05 that nothing had come since 12:02:30: both bars had gone out as closed."""
    assert states(
        START,
        ticks_row(2, T(sec(130), 1.0)),
        clock(3, sec(182)),
        marks_row(4, (MarkKind.DOWN, 0, sec(185), sec(150), NEVER)),
    ) == [
        ("M1", 2, 1, "CLOSED"),
        ("M3", 0, 1, "CLOSED"),
        ("M1", 2, 2, "PARTIAL"),
        ("M3", 0, 2, "PARTIAL"),
    ]


def test_partial_bars_do_not_go_out_again_for_a_second_outage():
    """They say it already."""
    assert states(
        START,
        ticks_row(2, T(sec(5), 1.0)),
        down(3, sec(30)),
        clock(4, sec(62)),
        up(5, sec(30), sec(63)),
        marks_row(6, (MarkKind.GAP, 0, sec(64), sec(10), sec(20))),
    ) == [("M1", 0, 1, "PARTIAL")]


def test_the_first_minute_after_a_subscription_is_partial():
    """Nothing is known of the time before 12:00:20; the next minute is whole, the 3m bar is not."""
    assert states(
        marks_row(1, (MarkKind.SUBSCRIBED, 0, sec(20), ALWAYS, sec(20)), (MarkKind.DESIGNATED, 0, sec(20), 0, 0)),
        ticks_row(2, T(sec(25), 1.0), T(sec(65), 2.0)),
        clock(3, sec(190)),
    ) == [("M1", 0, 1, "PARTIAL"), ("M1", 1, 1, "CLOSED"), ("M3", 0, 1, "PARTIAL")]


def test_a_subscription_ends_the_time_after_a_drop():
    """Dropped from 12:00:30 to 12:02:00: what was whole before the drop does not become partial."""
    assert states(
        START,
        ticks_row(2, T(sec(-50), 1.0)),
        clock(3, sec(10)),
        marks_row(4, (MarkKind.DROPPED, 0, sec(30), sec(30), NEVER)),
        marks_row(5, (MarkKind.SUBSCRIBED, 0, sec(120), ALWAYS, sec(120))),
        ticks_row(6, T(sec(121), 2.0)),
        clock(7, sec(200)),
        intervals=(0, 1, 2),
    ) == [
        ("M1", -1, 1, "CLOSED"),
        ("M3", -3, 1, "CLOSED"),
        ("M5", -5, 1, "CLOSED"),
        ("M1", 2, 1, "CLOSED"),
        ("M3", 0, 1, "PARTIAL"),
    ]


def test_missing_trade_ids_make_their_minute_partial():
    """Only the minute in which they were: it had closed at 12:01:05 and goes out again."""
    assert states(
        START,
        ticks_row(2, T(sec(5), 1.0), T(sec(65), 2.0)),
        marks_row(3, (MarkKind.GAP, 0, sec(65), sec(20), sec(40))),
        clock(4, sec(130)),
    ) == [("M1", 0, 1, "CLOSED"), ("M1", 0, 2, "PARTIAL"), ("M1", 1, 1, "CLOSED")]


def test_more_outages_than_are_remembered_only_widen_the_doubt():
    """Ten outages of a second in minutes 1 to 10 while nothing trades; the last is in the minute that trades next."""
    flaps = [
        row
        for n in range(1, 11)
        for row in (down(2 * n, sec(60 * n + 30)), up(2 * n + 1, sec(60 * n + 30), sec(60 * n + 31)))
    ]
    found = states(START, *flaps, ticks_row(30, T(sec(645), 1.0)), clock(31, sec(1300)), intervals=range(5))

    assert found == [(name, start, 1, "PARTIAL") for name, start in (("M1", 10), ("M3", 9), ("M5", 10), ("M15", 0))]


def test_old_outages_still_count_in_the_long_bars_that_hold_them():
    """Twelve outages, each in a minute between two that trade: forgotten one by one, never by the hour and the day."""
    rows = [START]
    for n in range(12):
        first = sec(120 * n + 70)
        rows += [
            ticks_row(len(rows) + 1, T(sec(120 * n + 5), 1.0)),
            down(len(rows) + 2, first),
            up(len(rows) + 3, first, first + SECOND),
        ]
    rows.append(clock(len(rows) + 1, at("2024-05-16T00:00:02")))
    found = states(*rows, intervals=(0, 6, 10))

    assert found[-2:] == [("H1", 0, 1, "PARTIAL"), ("D1", -720, 1, "PARTIAL")]
    assert [row[3] for row in found[:-2]] == ["CLOSED"] * 12


def test_bars_go_on_when_another_feed_is_designated():
    """12:00 by the first feed, 12:01 by the second; the 3m bar holds both, and no revision is given twice."""
    rows = [
        designated(1, NOON, 0),
        ticks_row(2, T(sec(5), 1.0, 1.0), T(sec(6), 9.0, 9.0, stream=1)),
        designated(3, sec(60), 1),
        ticks_row(4, T(sec(61), 2.0, 2.0, stream=1), T(sec(61), 8.0, 8.0)),
        clock(5, sec(182)),
    ]
    out = run_kernel(rows)

    assert out == run_oracle(rows)
    assert [(bar[0], bar[1], bar[4:9], bar[12]) for bar in out[0].bars] == [
        (1, Interval.M1, (1.0, 1.0, 1.0, 1.0, 1.0), 1),
        (1, Interval.M1, (2.0, 2.0, 2.0, 2.0, 2.0), 1),
        (1, Interval.M3, (1.0, 2.0, 1.0, 2.0, 3.0), 1),
    ]


def test_each_feed_is_doubted_for_its_own_time_only():
    """The heir was down before it took over, the giver goes down after: neither hurts. The heir's later outage does."""
    rows = [
        designated(1, NOON, 0),
        down(2, sec(10), stream=1),
        up(3, sec(10), sec(20), stream=1),
        ticks_row(4, T(sec(30), 1.0)),
        designated(5, sec(60), 1),
        down(6, sec(61), stream=0),
        ticks_row(7, T(sec(70), 2.0, stream=1), T(sec(130), 3.0, stream=1)),
        down(8, sec(150), stream=1),
        clock(9, sec(200)),
    ]

    assert states(*rows) == [
        ("M1", 0, 1, "CLOSED"), ("M1", 1, 1, "CLOSED"), ("M1", 2, 1, "PARTIAL"), ("M3", 0, 1, "PARTIAL")
    ]  # fmt: skip


def test_a_file_makes_its_own_bars_by_its_own_clock():
    """It replays while the live feed of the same symbol runs, years apart; its end closes its last minute."""
    old = at("2019-07-01T00:00:10")
    rows = [
        START,
        marks_row(2, (MarkKind.FILE_START, 4, old, 0, 0), domain=1),
        ticks_row(3, T(sec(5), 1.0)),
        ticks_row(4, T(old, 7.0, stream=4), domain=1),
        marks_row(5, (MarkKind.FILE_END, 4, old + 52 * SECOND, 0, 0), domain=1),
        clock(6, sec(62)),
    ]
    out = run_kernel(rows)

    assert out == run_oracle(rows)
    assert [(bar[0], bar[2], bar[11], bar[14]) for bar in out[0].bars] == [
        (4, old - 10 * SECOND, BarState.CLOSED, 5),
        (0, NOON, BarState.CLOSED, 6),
    ]


def test_a_forgotten_outage_is_not_forgotten_by_the_bars_that_hold_it():
    """Eight losses in 12:00, all forgotten when the ninth comes; that one turns out to have lasted no time at all."""
    losses = (marks_row(n, (MarkKind.GAP, 0, sec(370 + n), sec(2 * n), sec(2 * n + 1))) for n in range(4, 12))
    found = states(
        START,
        ticks_row(2, T(sec(1), 1.0), T(sec(300), 1.0)),
        clock(3, sec(362)),
        *losses,
        down(20, sec(500)),
        up(21, sec(500), sec(500)),
        ticks_row(22, T(sec(1200), 1.0)),
        clock(23, at("2024-05-16T00:00:02")),
        intervals=(0, 4, 10),
    )

    assert found[-2:] == [("M30", 0, 1, "PARTIAL"), ("D1", -720, 1, "PARTIAL")]
    assert [row for row in found if row[0] == "M1"] == [("M1", start, 1, "CLOSED") for start in (0, 5, 20)]


def test_an_heir_amends_what_the_giver_closed():
    """The giver closed 12:00 as revision 1; a late tick of the heir is revision 2, and 11:59 stays out of reach."""
    rows = [
        designated(1, NOON - MINUTE, 0),
        ticks_row(2, T(sec(-5), 1.0), T(sec(5), 1.0)),
        marks_row(3, (MarkKind.GAP, 0, sec(6), sec(-50), sec(-40))),
        clock(4, sec(62)),
        designated(5, sec(63), 1),
        ticks_row(6, T(sec(30), 2.0, stream=1, received=sec(64)), T(sec(-2), 3.0, stream=1, received=sec(65))),
        clock(7, at("2024-05-16T00:00:02")),
    ]
    out = run_kernel(rows)

    assert out == run_oracle(rows)
    assert [(bar[0], bar[2], bar[7], bar[12]) for bar in out[0].bars if bar[1] == Interval.M1] == [
        (0, NOON - MINUTE, 1.0, 1),
        (0, NOON - MINUTE, 1.0, 2),
        (0, NOON, 1.0, 1),
        (1, NOON, 2.0, 2),
    ]
    assert [(bar[0], bar[7], bar[11]) for bar in out[0].bars if bar[1] == Interval.D1] == [(1, 2.0, BarState.PARTIAL)]
    assert out[0].rejects == [(6, 1, 1, "late")]


def gaps(first_seq, noticed, *starts):
    """A second of missing trade ids at each of some moments, seconds after noon, noticed later."""
    return [
        marks_row(first_seq + n, (MarkKind.GAP, 0, sec(noticed), sec(start), sec(start + 1)))
        for n, start in enumerate(starts)
    ]


def test_outages_within_the_last_closed_minute_are_not_forgotten():
    """Nine of them: a late tick sends that minute again, still partial."""
    found = states(
        START,
        ticks_row(2, T(sec(1), 1.0)),
        *gaps(3, 50, *range(2, 18, 2)),
        clock(11, sec(62)),
        *gaps(12, 70, 70),
        ticks_row(13, T(sec(2), 1.0, received=sec(80))),
        intervals=(0,),
    )

    assert found == [("M1", 0, 1, "PARTIAL"), ("M1", 0, 2, "PARTIAL")]


def test_an_outage_that_lasts_is_not_ended_by_others_joining_it():
    """Down from 12:00:10 on, then eight losses: the first two of the nine become one that lasts."""
    found = states(
        START, down(2, sec(10)), *gaps(3, 30, *range(12, 28, 2)), ticks_row(11, T(sec(300), 1.0)), clock(12, sec(362)),
        intervals=(0,),
    )  # fmt: skip

    assert found == [("M1", 5, 1, "PARTIAL")]


def test_a_givers_outage_ends_where_the_heir_takes_over():
    """The first feed was dropped at 12:00:30, the second designated at 12:01:00: 12:01 is whole."""
    found = states(
        designated(1, NOON - MINUTE, 0),
        ticks_row(2, T(sec(5), 1.0)),
        marks_row(3, (MarkKind.DROPPED, 0, sec(30), sec(30), NEVER)),
        designated(4, sec(60), 1),
        ticks_row(5, T(sec(65), 2.0, stream=1)),
        clock(6, sec(130)),
    )

    assert found == [("M1", 0, 1, "PARTIAL"), ("M1", 1, 1, "CLOSED")]


def test_an_heir_knows_what_the_giver_had_forgotten():
    """Nine losses, eight of them forgotten and the ninth void: the day that another feed ends is partial still."""
    found = states(
        START,
        ticks_row(2, T(sec(1), 1.0), T(sec(300), 1.0)),
        clock(3, sec(362)),
        *gaps(4, 370, *range(0, 16, 2)),
        down(20, sec(500)),
        up(21, sec(500), sec(500)),
        designated(22, sec(600), 1),
        ticks_row(23, T(sec(1200), 1.0, stream=1)),
        clock(24, at("2024-05-16T00:00:02")),
        intervals=(0, 10),
    )

    assert found[-1] == ("D1", -720, 1, "PARTIAL")
