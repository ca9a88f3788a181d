"""Built bars are whole wherever pages are cut: what goes out is the roll-up of all, each bar once."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted.provider import truth_of_minutes, truth_of_trades

from history.building import Part, minutes_of, parts_of, rolled_up
from market.bars import BAR
from market.intervals import MINUTE_NS, Interval
from market.sessions import calendar
from market.symbols import Symbol
from market.ticks import TICK
from operators.rollup import roll_up
from sources.history.provider import NOBODY_KNOWS, BadRow, Page, TradePage

START = 1_767_312_000 * 10**9
"""2026-01-02T00:00:00Z."""
MINUTES = 300
END = START + MINUTES * MINUTE_NS
CLOCK = calendar("24/7")
BTC = Symbol("KRAKEN", "BTCUSD")


def cut(rows, places):
    """Rows in pieces."""
    return np.split(rows, sorted({place for place in places if place <= len(rows)}))


def whole(parts):
    rows = np.concatenate([np.empty(0, BAR), *(part.bars for part in parts)])
    return rows[np.argsort(rows["start"], kind="stable")].tolist()


def tiles(parts, start, end):
    spans = sorted((part.start, part.end) for part in parts if part.end > part.start)
    assert spans[0][0] == start
    assert spans[-1][1] == end
    assert all(before[1] == after[0] for before, after in pairwise(spans))


cuts = st.lists(st.integers(0, MINUTES), max_size=20)


@given(
    cuts, st.sampled_from([0.0, 0.5, 0.95]), st.sampled_from([Interval.M3, Interval.M45, Interval.D1]), st.booleans()
)
def test_bars_rolled_up_from_any_pages_are_those_of_all(places, quiet, interval, backwards):
    minutes = truth_of_minutes(START, MINUTES, quiet=quiet)
    pages = [Page(piece) for piece in cut(minutes, places)]
    if backwards:
        pages.reverse()
    parts = list(rolled_up(parts_of(pages, START, END), interval, CLOCK, (START, END)))

    assert whole(parts) == roll_up(minutes, interval, CLOCK).tolist()
    tiles(parts, START, END)


@given(cuts, st.integers(1, 25))
def test_minutes_of_trades_are_the_same_wherever_pages_are_cut(places, seed):
    """Trades of one nanosecond on two pages, trades on the first moment of a minute, minutes without any."""
    ticks = truth_of_trades(START, END, seed=seed, a_minute=1.0)
    ticks["event_time"][:: 1 + seed % 5] = ticks["event_time"][:: 1 + seed % 5] // MINUTE_NS * MINUTE_NS
    ticks["event_time"].sort()
    pages = [TradePage(piece) for piece in cut(ticks, places)]
    parts = list(minutes_of(pages, BTC, CLOCK, START, END))
    (everything,) = [list(minutes_of([TradePage(ticks)], BTC, CLOCK, START, END))]

    values = [name for name in BAR.names if name not in {"updated_at", "seq", "revision"}]
    rows = [np.concatenate([part.bars for part in made])[values] for made in (parts, everything)]
    assert rows[0].tolist() == rows[1].tolist()
    tiles(parts, START, END)
    for part in parts:
        assert ((part.bars["start"] >= part.start) & (part.bars["start"] < part.end)).all()
    assert int(np.concatenate([part.bars for part in parts])["trades"].sum()) == len(ticks)


def test_a_bar_that_comes_again_is_taken_once():
    """Pages that overlap, a page twice, bars outside of what was asked for."""
    minutes = truth_of_minutes(START, 60)
    pages = [Page(minutes[10:30]), Page(minutes[20:40]), Page(minutes[20:40]), Page(minutes[35:60])]
    asked = START + 12 * MINUTE_NS, START + 50 * MINUTE_NS
    parts = list(parts_of(pages, *asked))

    assert whole(parts) == minutes[12:50].tolist()
    assert [(part.start - START) // MINUTE_NS for part in parts if part.end > part.start] == [12, 30, 40]
    tiles(parts, *asked)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_a_quiet_time_between_two_pages_is_covered(order):
    """Pages follow each other, so what lies between them is known to be empty."""
    minutes = truth_of_minutes(START, 60)
    pages = [Page(minutes[5:10]), Page(minutes[20:30]), Page(minutes[45:50])]
    parts = list(parts_of([pages[place] for place in order], START, END))

    tiles(parts, START + 5 * MINUTE_NS, START + 50 * MINUTE_NS)


def test_rows_that_were_left_out_are_told_with_the_bars_around_them():
    bad = BadRow("high below low", "[1, 2, 3]")
    minutes = truth_of_minutes(START, 6)
    pages = [Page(minutes[:2], (bad,)), Page(minutes[:0], (bad,)), Page(minutes[2:])]

    assert [part.bad for part in parts_of(pages, START, END)] == [(bad,), (bad,), ()]
    rolled = list(rolled_up(parts_of(pages, START, END), Interval.M3, CLOCK, (START, END)))
    assert sum(len(part.bad) for part in rolled) == 2


@given(cuts, st.sets(st.integers(0, MINUTES - 1), max_size=5), st.sampled_from([Interval.M3, Interval.M45]))
def test_a_bar_that_lacks_a_lost_minute_is_lost_itself(places, lost, interval):
    """It would look whole, and be wrong."""
    minutes = truth_of_minutes(START, MINUTES)
    kept = minutes[~np.isin(np.arange(MINUTES), list(lost))]
    times = {START + place * MINUTE_NS for place in lost}
    pages, since = [], START
    for piece in cut(kept, places):
        upto = int(piece["start"][-1]) + 1 if len(piece) else since
        pages.append(Page(piece, (), [time for time in times if since <= time < upto]))
        since = upto
    pages.append(Page(kept[:0], (), [time for time in times if time >= since]))
    parts = list(rolled_up(parts_of(pages, START, END), interval, CLOCK, (START, END)))

    truth = roll_up(minutes, interval, CLOCK)
    touched = [any(start <= time < end for time in times) for start, end in truth[["start", "end"]].tolist()]
    assert whole(parts) == truth[~np.array(touched)].tolist()
    assert sorted(time for part in parts for time in part.lost) == truth["start"][touched].tolist()


def test_no_bar_is_built_of_an_answer_with_a_row_that_nobody_can_place():
    minutes = truth_of_minutes(START, 9)
    pages = [Page(minutes[:3]), Page(minutes[3:6], (), [NOBODY_KNOWS]), Page(minutes[6:])]
    parts = list(rolled_up(parts_of(pages, START, END), Interval.M3, CLOCK, (START, END)))

    assert [(bar[0] - START) // MINUTE_NS for bar in whole(parts)] == [0, 6]
    assert [time for part in parts for time in part.lost] == [NOBODY_KNOWS]


@pytest.mark.parametrize("cutting", [[], [100], [100, 200, 230]])
def test_a_minute_that_lacks_a_lost_trade_is_lost(cutting):
    ticks = truth_of_trades(START, START + 10 * MINUTE_NS, seed=3, a_minute=30.0)
    when = START + 4 * MINUTE_NS + 17
    pages = [TradePage(piece) for piece in cut(ticks, cutting)]
    place = next(place for place, page in enumerate(pages) if page.ticks["event_time"][-1] >= when)
    pages[place] = TradePage(pages[place].ticks, (), [when])
    parts = list(minutes_of(pages, BTC, CLOCK, START, END))

    minutes = [(bar[0] - START) // MINUTE_NS for bar in whole(parts)]
    assert minutes == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert [time for part in parts for time in part.lost] == [START + 4 * MINUTE_NS]


@pytest.mark.parametrize("pages", [[], [Page(np.empty(0, BAR))]])
def test_nothing_is_a_part_that_covers_all(pages):
    parts = list(rolled_up(parts_of(pages, START, END), Interval.H1, CLOCK, (START, END)))

    assert [(len(part.bars), part.start, part.end) for part in parts] == [(0, START, END)]


def test_no_trades_are_no_minutes():
    parts = list(minutes_of([TradePage(np.empty(0, TICK))], BTC, CLOCK, START, END))

    assert [(len(part.bars), part.start, part.end) for part in parts][-1] == (0, START, END)
    assert isinstance(parts[0], Part)
