"""The tape: what is traded when, and at what price."""

import numpy as np
import pytest

from market.errors import DeskError
from sources.simulated.listing import QUIET_EVERY_S, Session, list_instruments, read_symbols
from sources.simulated.prices import PriceProcess
from sources.simulated.tape import MADE, Tape

START_NS = 1_767_571_200_000_000_000
"""2026-01-05T00:00:00Z, a Monday."""
SECOND_NS = 1_000_000_000


def tape(*, symbols="5", rate=1000, seed=1, burst=0.6, **listing):
    return Tape(
        list_instruments(read_symbols(symbols), seed=1, rate=rate, **listing),
        seed=[seed],
        start_ns=START_NS,
        burst=burst,
    )


def take(source, seconds, step_s=1.0, limit=10**9):
    """All trades of the first seconds, taken in steps."""
    parts = [np.empty(0, MADE)]
    times = np.arange(1, int(seconds / step_s) + 1) * step_s
    for second in times:
        until_ns = START_NS + int(second * SECOND_NS)
        while len(part := source.take(until_ns, limit).records):
            parts.append(part.copy())
    return np.concatenate(parts)


def test_the_same_seed_gives_the_same_tape():
    assert take(tape(), 5).tobytes() == take(tape(), 5).tobytes()


def test_another_seed_gives_another_tape():
    assert take(tape(), 5).tobytes() != take(tape(seed=2), 5).tobytes()


def test_how_the_tape_is_taken_changes_nothing():
    """The server takes what is due every millisecond, or all of a stall at once."""
    whole = take(tape(), 4, step_s=4.0)

    assert take(tape(), 4, step_s=0.0625).tobytes() == whole.tobytes()
    assert take(tape(), 4, limit=7).tobytes() == whole.tobytes()


@pytest.mark.parametrize(("rate", "seconds"), [(1, 3_000), (1_000, 60), (100_000, 2)])
def test_the_rate_holds_in_the_mean(rate, seconds):
    """Echoes add variance: five standard errors of a Hawkes process with 0.6 echoes (1 / (1 - 0.6) times Poisson's)."""
    count = len(take(tape(rate=rate, symbols="50"), seconds))

    assert abs(count - rate * seconds) < 5 * 2.5 * np.sqrt(rate * seconds)


def test_ids_are_contiguous_and_times_rise():
    records = take(tape(), 10)

    assert (np.diff(records["event_time"]) >= 0).all()
    assert (records["event_time"] % 1000 == 0).all(), "whole microseconds, as frames can show"
    for symbol in range(5):
        ids = records["trade_id"][records["symbol"] == symbol]
        assert ids.tolist() == list(range(1, len(ids) + 1))


def test_prices_are_whole_steps_and_their_text_reads_back():
    """A consumer that parses the decimal text gets the very float that the truth holds."""
    instruments = list_instruments(read_symbols("40"), seed=1, rate=1000)
    records = take(Tape(instruments, seed=[1], start_ns=START_NS), 5)

    assert len(records) > 500
    for record in records:
        decimals = instruments[record["symbol"]].decimals
        assert float(f"{record['price']:.{decimals}f}") == record["price"] > 0
        assert float(f"{record['size']:.8f}") == record["size"] > 0


def test_a_trade_prints_at_the_side_that_was_taken():
    ticks = tape(rate=500).take(START_NS + SECOND_NS, 10**9)
    buys = ticks.records["side"] == 1

    assert (ticks.bid < ticks.ask).all()
    assert (ticks.records["price"] == np.where(buys, ticks.ask, ticks.bid)).all()


def test_prices_move_as_much_as_their_volatility_says():
    """A year's 0.55 over an hour is 0.55 * sqrt(1 / 8760) = 0.59 %, when the pattern is 1; jumps add a little.

    The standard error of a deviation from 200 hours is 5 %.
    """
    instruments = list_instruments(read_symbols("BTCUSD"), seed=1, rate=1)
    times_us = np.arange(1, 3601) * 1_000_000
    moves = []
    for seed in range(200):
        process = PriceProcess(instruments, np.random.default_rng(seed))
        prices = process.walk(np.zeros(3600, np.uint16), times_us, utc_s=8.5 * 3600).price
        moves.append(np.log(prices[-1] / prices[0]))

    assert 0.85 < np.std(moves) / 0.0059 < 1.3


def test_trades_come_in_bursts():
    """Counts in 4 s vary more than Poisson's, whose variance is its mean; without echoes they do not."""

    def dispersion(burst):
        records = take(tape(rate=1000, burst=burst), 400)
        counts = np.bincount((records["event_time"] - START_NS) // (4 * SECOND_NS), minlength=100)
        return counts.var() / counts.mean()

    assert dispersion(0.0) < 2 < dispersion(0.6)


def test_quiet_symbols_trade_every_few_minutes():
    records = take(tape(symbols="20", rate=2, quiet=5), 2 * 3600, step_s=600.0)
    counts = np.bincount(records["symbol"], minlength=20)[15:]

    expected = 2 * 3600 / QUIET_EVERY_S
    assert (np.abs(counts - expected) < 6 * 2.5 * np.sqrt(expected)).all()
    assert (counts > 0).all()


def test_session_symbols_trade_in_their_session_only():
    """2026-01-05 is a Monday; two minutes around a session of one."""
    records = take(tape(rate=100, session_symbols=2, session=Session(60, 120)), 180)
    timed = records[records["symbol"] >= 3]
    seconds = (timed["event_time"] - START_NS) / SECOND_NS

    assert len(timed) > 100
    assert seconds.min() >= 60
    assert seconds.max() < 120
    assert len(records[records["symbol"] < 3]) > 5_000


def test_ten_thousand_symbols_are_listed_with_a_price_and_a_share_each():
    instruments = list_instruments(read_symbols("10000"), seed=1, rate=200_000)

    assert len({instrument.symbol for instrument in instruments}) == 10_000
    assert sum(instrument.weight for instrument in instruments) == pytest.approx(200_000)
    assert min(instrument.price * 10**instrument.decimals for instrument in instruments) > 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0", "count of 1 to 10,000"),
        ("10001", "count of 1 to 10,000"),
        ("KRAKEN:BTCUSD", "write SIM:BTCUSD"),
        ("BTCUSD,BTCUSD", "comes twice"),
        ("A B", "is not EXCHANGE:TICKER"),
    ],
)
def test_a_bad_list_of_symbols_gets_a_sentence(text, says):
    with pytest.raises(DeskError, match=says):
        read_symbols(text)
