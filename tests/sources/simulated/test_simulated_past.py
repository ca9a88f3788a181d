"""The past of the exchange: what was before it began, its own trades since, and the seam between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.intervals import INTERVALS, MINUTE_NS, Interval
from sources.simulated.forgotten import ForgottenMinutes
from sources.simulated.history import INTERVALS as OFFERED
from sources.simulated.history import Forgotten, History
from sources.simulated.klines import Klines, fold, longer, starts_of
from sources.simulated.listing import Session, list_instruments, read_symbols
from sources.simulated.official_bars import official_bars
from sources.simulated.synthetic import LISTED_NS, SyntheticHistory
from sources.simulated.truth import SEGMENT

START_NS = 1_767_623_340_000_000_000
DAY_NS = 1440 * MINUTE_NS
INSTRUMENTS = list_instruments(read_symbols("6"), seed=1, rate=50)
PAST = SyntheticHistory(1)

intervals = st.sampled_from([interval for interval in INTERVALS if interval <= Interval.D1])
instruments = st.sampled_from(INSTRUMENTS)
times = st.integers(LISTED_NS // MINUTE_NS, START_NS // MINUTE_NS).map(lambda minute: minute * MINUTE_NS)


def equal(one, other):
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def of_trades(trades):
    """Minutes of `PRINT` or `TRADE` records."""
    rows = Klines.of_trades(trades["time"], trades["price"], trades["size"])
    return fold(rows, starts_of(rows.start, Interval.M1)) if len(trades) else Klines.none()


@given(instruments, intervals, times, st.integers(1, 5_000))
def test_any_interval_of_the_past_is_the_fold_of_its_minutes(instrument, interval, start, minutes):
    end = start + minutes * MINUTE_NS
    bars = PAST.bars(instrument, interval, start, end)
    whole = PAST.bars(instrument, Interval.M1, start - DAY_NS, end + DAY_NS)

    assert equal(bars, longer(whole, interval).between(start, end))


@given(instruments, times, st.integers(1, 3_000))
def test_the_minutes_of_the_past_are_its_trades(instrument, start, minutes):
    """To the last bit of their sums, with every trade in its minute, in order, on the price step."""
    end = start + minutes * MINUTE_NS
    trades = PAST.trades(instrument, start, end)

    assert equal(of_trades(trades), PAST.bars(instrument, Interval.M1, start, end))
    assert (np.diff(trades["time"]) > 0).all()
    steps = trades["price"] * 10.0**instrument.decimals
    assert np.abs(steps - np.rint(steps)).max(initial=0) < 1e-6
    assert (trades["size"] > 0).all()


@given(instruments, intervals, times, st.lists(st.integers(1, 2_000), min_size=1, max_size=6))
def test_the_past_is_the_same_in_whatever_pieces_it_is_asked_for(instrument, interval, start, pieces):
    ends = [start + int(total) * MINUTE_NS for total in np.cumsum(pieces)]
    parts = [
        PAST.bars(instrument, interval, first, last) for first, last in zip([start, *ends[:-1]], ends, strict=True)
    ]
    whole = SyntheticHistory(1).bars(instrument, interval, start, ends[-1])

    assert equal(Klines(*(np.concatenate(columns) for columns in zip(*parts, strict=True))), whole)


def test_the_past_has_quiet_minutes_and_silent_hours():
    """Of a year: about one minute in thirty-two, and a few hours without any trade."""
    year = (START_NS - 365 * DAY_NS, START_NS)
    minutes = len(PAST.bars(INSTRUMENTS[0], Interval.M1, *year).start)
    hours = len(PAST.bars(INSTRUMENTS[0], Interval.H1, *year).start)

    assert 0.93 < minutes / (365 * 1440) < 0.97
    assert 5 < 365 * 24 - hours < 40
    assert len(PAST.bars(INSTRUMENTS[0], Interval.D1, *year).start) == 365


def test_the_past_moves_as_its_symbols_volatility_says():
    for instrument in INSTRUMENTS:
        close = PAST.bars(instrument, Interval.D1, START_NS - 2_000 * DAY_NS, START_NS).close
        assert np.diff(np.log(close)).std() * np.sqrt(365) == pytest.approx(instrument.volatility, rel=0.1)
        assert instrument.price / 2.2 < close.min() < close.max() < instrument.price * 2.2


def test_another_seed_or_symbol_has_another_past():
    start = START_NS - DAY_NS
    closes = [
        tuple(past.bars(one, Interval.H1, start, START_NS).volume)
        for past in (PAST, SyntheticHistory(2))
        for one in INSTRUMENTS
    ]
    assert len(set(closes)) == len(closes)


def test_a_symbol_with_hours_has_no_past_outside_them():
    timed = list_instruments(
        read_symbols("2"), seed=1, rate=50, session_symbols=1, session=Session(14 * 3600 + 1800, 21 * 3600)
    )[1]
    minutes = PAST.bars(timed, Interval.M1, START_NS - 14 * DAY_NS, START_NS).start // MINUTE_NS

    assert set((minutes % 1440).tolist()) <= set(range(14 * 60 + 30, 21 * 60))
    assert {int(day) for day in (minutes // 1440 + 3) % 7} == {0, 1, 2, 3, 4}


def test_there_is_nothing_before_the_listing():
    assert not len(PAST.bars(INSTRUMENTS[0], Interval.D1, 0, LISTED_NS).start)
    assert PAST.bars(INSTRUMENTS[0], Interval.M1, 0, LISTED_NS + 60 * MINUTE_NS).start[0] >= LISTED_NS


def past_of(desk, began=START_NS, seed=1):
    return History(desk.exchange.instruments, desk.truth, seed, began)


def test_bars_since_the_beginning_are_those_of_all_trades_made(venue):
    """Prices equal; sums to the rounding between a left fold and a correctly rounded sum."""
    desk = venue(rate=100)
    desk.advance(900)
    history = past_of(desk)
    for instrument in desk.exchange.instruments:
        code = desk.truth.index[str(instrument.symbol)]
        ticks = desk.truth.ticks(code, 0, 10**9)
        for interval in (Interval.M1, Interval.M5, Interval.M3):
            bars = history.bars(instrument, interval, START_NS, START_NS + DAY_NS)
            official = official_bars(ticks, interval)
            own = [bar for bar in official if bar["start"] >= START_NS]
            assert bars.start.tolist() == [bar["start"] for bar in own]
            assert bars.open.tolist() == [bar["open"] for bar in own]
            assert bars.high.tolist() == [bar["high"] for bar in own]
            assert bars.low.tolist() == [bar["low"] for bar in own]
            assert bars.close.tolist() == [bar["close"] for bar in own]
            assert bars.trades.tolist() == [bar["trades"] for bar in own]
            np.testing.assert_allclose(bars.volume, [bar["volume"] for bar in own], rtol=1e-12)
            np.testing.assert_allclose(bars.notional, [bar["notional"] for bar in own], rtol=1e-12)


def test_a_bar_in_which_the_exchange_began_has_both_pasts(venue):
    desk = venue(rate=100)
    desk.advance(600)
    history = past_of(desk)
    for instrument in desk.exchange.instruments:
        for interval in INTERVALS:
            start = int(starts_of(np.array([START_NS]), interval)[0])
            bar = history.bars(instrument, interval, start, start + 1)
            trades = history.all_trades(instrument, start, START_NS + 600 * 10**9)
            assert equal(bar, longer(of_trades(trades), interval).take(slice(1))), interval


@pytest.mark.parametrize("interval", OFFERED)
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_join_to_the_whole_in_both_directions(venue, interval, limit):
    desk = venue(rate=100)
    desk.advance(600)
    history = past_of(desk)
    instrument = desk.exchange.instruments[0]
    start, end = START_NS - 40 * limit * MINUTE_NS // 10 - 300 * MINUTE_NS, START_NS + 600 * 10**9
    whole = history.bars(instrument, interval, start, end)
    forwards, backwards = [], []
    at, more = start, True
    while more:
        page = history.page(instrument, interval, at, end, limit)
        forwards.append(page.bars)
        at, more = page.end, page.more
    at, more = end, True
    while more:
        page = history.page_back(instrument, interval, start, at, limit)
        backwards.insert(0, page.bars)
        at, more = page.start, page.more

    assert max(len(page.start) for page in (*forwards, *backwards)) <= limit
    for pages in (forwards, backwards):
        assert equal(Klines(*(np.concatenate(columns) for columns in zip(*pages, strict=True))), whole)


@pytest.mark.parametrize("limit", [1, 10, 5000])
def test_pages_of_trades_join_to_the_whole(venue, limit):
    """Also where several trades share a microsecond."""
    desk = venue(rate=3000, symbols="1")
    desk.advance(2)
    segment = desk.truth._open[0]
    segment["stamp"] = segment["stamp"] // 10_000_000 * 10_000_000
    history = past_of(desk)
    instrument = desk.exchange.instruments[0]
    start, end = START_NS - 10 * MINUTE_NS, START_NS + 2 * 10**9
    if limit == 1:
        start, end = START_NS, START_NS + 10**8
    whole = history.all_trades(instrument, start, end)
    pages, at = [], (start, 0)
    while at is not None:
        page = history.trades(instrument, *at, end, limit)
        pages.append(page.trades)
        assert len(page.trades) <= limit
        at = page.next

    assert len(np.unique(whole["time"])) < len(whole)
    assert np.concatenate(pages).tobytes() == whole.tobytes()


def test_minutes_survive_the_trades_they_were_made_of(venue, tmp_path):
    """Segments go one by one, each in the middle of a minute; the sums stay the same to the last bit, also on disk."""
    span = (START_NS - 60 * MINUTE_NS, START_NS + 60 * MINUTE_NS)
    keeps = venue(rate=10_000, symbols="3")
    forgets = venue(rate=10_000, symbols="3", folder=tmp_path)
    forgets.truth._keep_segments = 2
    for desk in (keeps, forgets):
        desk.advance(100)
    assert keeps.truth.first_position == 0
    assert forgets.truth.first_position > 5 * SEGMENT
    whole, thinned = past_of(keeps), past_of(forgets)
    forgets.truth.close()
    restarted = past_of(venue(rate=10_000, symbols="3", folder=tmp_path))
    for past in (thinned, restarted):
        for instrument in INSTRUMENTS[:3]:
            for interval in OFFERED:
                assert equal(whole.bars(instrument, interval, *span), past.bars(instrument, interval, *span))
        with pytest.raises(Forgotten, match="are forgotten; ask for bars"):
            past.all_trades(INSTRUMENTS[0], *span)
        with pytest.raises(Forgotten, match="trades before id"):
            past.trades_after(INSTRUMENTS[0], 5, 10)


def test_a_kill_while_a_segment_is_summed_up_counts_nothing_twice(venue, tmp_path):
    """Its minutes are on the disk, and so is still the segment itself; and a row may be cut off."""
    desk = venue(rate=10_000, symbols="2", folder=tmp_path)
    desk.truth._keep_segments = 2
    desk.advance(150)
    truth = desk.truth
    before = [rows.copy() for rows in truth.forgotten._held]
    first = truth.first_position // SEGMENT
    truth.forgotten.add(first, np.array(truth._map(first)))
    with (tmp_path / "forgotten.minutes").open("ab") as file:
        file.write(b"half a row")
    again = ForgottenMinutes(tmp_path, first)

    for code in (0, 1):
        found = again.minutes(code, 0, 2**62)
        assert found.trades.sum() == sum(rows["trades"][rows["symbol"] == code].sum() for rows in before)
    rows = sum(len(rows) for rows in before[:-1])
    assert (tmp_path / "forgotten.minutes").stat().st_size // 80 == rows > 0


def test_the_beginning_is_kept_over_restarts(venue, tmp_path):
    truth = venue(folder=tmp_path).truth
    assert truth.began(START_NS) == START_NS
    assert venue(folder=tmp_path).truth.began(START_NS + DAY_NS) == START_NS
    assert venue().truth.began(7) == 7
