"""The oracle itself, by hand, and on the recorded Kraken hour together with the kernel."""

import csv
import random
import time

from bar_scenarios import (
    MINUTE,
    SECOND,
    STREAMS,
    T,
    at,
    chunks,
    clock,
    designated,
    marks_row,
    plain_bounds,
    run_kernel,
    ticks_row,
)

from market.intervals import Interval
from market.sessions import bounds
from market.symbols import Symbol
from market.ticks import MarkKind
from operators.oracle import Oracle, emissions, final_bars

NOON = at("2024-05-15T12:00:00")


def test_the_oracle_gives_a_bar_that_a_hand_can_check():
    """Two ticks, 1 at 10 and 2 at 12: volume 3, notional 34; out of order in time, so the second opens."""
    rows = [
        designated(1, NOON, 0),
        ticks_row(2, T(NOON + 9 * SECOND, 10.0, 1.0), T(NOON + SECOND, 12.0, 2.0, received=NOON + 9 * SECOND)),
        clock(3, NOON + 62 * SECOND),
    ]
    (bar,) = emissions(rows, STREAMS, plain_bounds)

    assert bar[:11] == (0, Interval.M1, NOON, NOON + MINUTE, 12.0, 12.0, 10.0, 10.0, 3.0, 34.0, 2)
    assert bar[12:] == (1, NOON + 62 * SECOND, 3)


def test_final_bars_are_the_last_revisions():
    rows = [
        designated(1, NOON, 0),
        ticks_row(2, T(NOON, 10.0)),
        clock(3, NOON + 62 * SECOND),
        ticks_row(4, T(NOON + SECOND, 11.0, received=NOON + 63 * SECOND)),
    ]
    (bar,) = final_bars(rows, STREAMS, plain_bounds).values()

    assert (bar.close, bar.revision, bar.trades) == (11.0, 2, 2)


def test_the_oracle_can_keep_to_some_symbols():
    rows = [
        designated(1, NOON, 0, 3),
        ticks_row(2, T(NOON, 10.0), T(NOON, 5.0, stream=3)),
        clock(3, NOON + 62 * SECOND),
    ]
    found = emissions(rows, STREAMS, bounds_of_all, only={Symbol("SIM", "ETHUSD")})

    assert [bar.stream for bar in found] == [3]


def bounds_of_all(symbol, interval, time_ns, *, extended):
    """The desk's own calendars, as `pq verify` passes them."""
    return bounds(symbol, interval, time_ns, extended=extended)


def test_a_long_journal_takes_the_oracle_linear_time():
    """20,000 ticks of a day and a half with late ones; a rule that went through all ticks again would take minutes."""
    seeded = random.Random(11)
    rows, clock_ns = [designated(1, NOON, 0)], NOON
    while len(rows) < 2000:
        ticks = []
        for _ in range(10):
            clock_ns += seeded.randrange(13 * SECOND)
            lag = seeded.choice([0, 0, 0, 0, SECOND, 30 * SECOND])
            ticks.append(T(clock_ns - lag, seeded.randrange(900, 1100) / 10, received=clock_ns))
        rows.append(ticks_row(len(rows) + 1, *ticks))
    oracle = Oracle([STREAMS[0]], plain_bounds)
    started = time.process_time()
    found = [tuple(bar) for row in rows for bar in oracle.read(row)]

    assert time.process_time() - started < 20
    assert found == run_kernel(rows)[0].bars
    assert len(chunks(rows)[0].ticks) == 19_990


def test_the_recorded_kraken_hour(recorded):
    """2,672 trades: 60, 12, 4, 2 and 1 bars; the hour as the venue's own chart has it."""
    path = recorded / "kraken" / "ticks" / "kraken-XBTUSD-trades-2019-07-01T00.csv"
    with path.open() as file:
        trades = [(int(r["time_ms"]) * 10**6, float(r["price"]), float(r["amount"])) for r in csv.DictReader(file)]
    trades.sort(key=lambda trade: trade[0])
    start = at("2019-07-01T00:00:00")
    rows = [marks_row(1, (MarkKind.FILE_START, 4, start, 0, 0), domain=1)]
    for first in range(0, len(trades), 100):
        rows.append(
            ticks_row(len(rows) + 1, *(T(t, p, s, stream=4) for t, p, s in trades[first : first + 100]), domain=1)
        )  # fmt: skip
    rows.append(marks_row(len(rows) + 1, (MarkKind.FILE_END, 4, start + 60 * MINUTE + 2 * SECOND, 0, 0), domain=1))
    found = run_kernel(rows)[0].bars

    assert len(trades) == 2672
    assert found == [tuple(bar) for bar in emissions(rows, STREAMS, plain_bounds)]
    counts = {i: sum(bar[1] == i for bar in found) for i in Interval}
    assert [counts[i] for i in (Interval.M1, Interval.M5, Interval.M15, Interval.M30, Interval.H1)] == [60, 12, 4, 2, 1]
    (hour,) = (bar for bar in found if bar[1] == Interval.H1)
    assert hour[4:8] == (10749.4, 11041.8, 10600.0, 11014.3)
    assert abs(hour[8] - 903.70245541) < 1e-6
    assert hour[10] == 2672
