"""Removing a symbol's bars, as every engine does it."""

from stored_bars import BEGIN_NS, HEALED, SYMBOLS, bar, imported, live, logged

from market.intervals import Interval
from sinks.bar_store import BarStore, open_store


def test_a_forgotten_symbol_has_no_bars_at_any_interval_or_moment(bar_store: BarStore):
    """All versions go; the other symbols' stay."""
    live(
        bar_store, bar(0), bar(1), bar(0, interval=Interval.H1, end=BEGIN_NS + 3_600 * 10**9), bar(0, stream=1), upto=9
    )
    imported(bar_store, bar(0, 12.5, state=HEALED), writer="heal")

    assert bar_store.forget(SYMBOLS[0]) == 3

    assert bar_store.read(SYMBOLS[0], Interval.M1).is_empty()
    assert bar_store.read(SYMBOLS[0], Interval.H1).is_empty()
    assert bar_store.read(SYMBOLS[0], Interval.M1, as_of=2**62).is_empty()
    assert [(one.symbol, one.bars) for one in bar_store.series()] == [(SYMBOLS[1], 1)]
    assert bar_store.forget(SYMBOLS[0]) == 0
    assert bar_store.forget(SYMBOLS[2]) == 0


def test_what_is_written_after_forgetting_is_there_and_the_log_is_whole(bar_store: BarStore, store_address: str):
    """The log is a chain: it keeps what was, and goes on; nothing forgotten comes back with a new process."""
    live(bar_store, bar(0), bar(1), upto=2)
    imported(bar_store, bar(2, 11.5, state=HEALED), writer="heal")
    bar_store.forget(SYMBOLS[0])

    imported(bar_store, bar(1, 13.0, state=HEALED), writer="heal")
    other = open_store(store_address)
    try:
        imported(other, bar(7, 14.0, state=HEALED), writer="heal")

        assert other.read(SYMBOLS[0], Interval.M1)["close"].to_list() == [14.0, 13.0]
        assert other.check_log() == []
        assert len(logged(other, "bars")) == 2
    finally:
        other.close()
