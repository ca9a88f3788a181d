"""Which bars there are, without their numbers: as each engine says it."""

import numpy as np
from stored_bars import BEGIN_NS, FORMING, HEALED, STREAMS, SYMBOLS, bar, imported, live

from market.intervals import MINUTE_NS, Interval
from sinks.bar_store import BarStore


def test_starts_are_those_of_a_read(bar_store: BarStore):
    """At every interval, for any span, over several blocks of the layout, and without bars that still form."""
    rng = np.random.default_rng(3)
    minutes = np.sort(rng.choice(5_000, 400, replace=False)).tolist()
    live(bar_store, *(bar(minute) for minute in minutes), bar(6_000, state=FORMING), bar(7, stream=1), upto=9_000)
    imported(bar_store, bar(minutes[0], 12.0, state=HEALED))
    live(bar_store, *(bar(60 * hour, interval=Interval.H1) for hour in range(40)), upto=9_001)

    for interval in (Interval.M1, Interval.H1, Interval.D1):
        for first, last in ((0, 10_000), (130, 131), (59, 1_441), (300, 300), (4_000, 3_000), (-99_999, 99_999)):
            start, end = (BEGIN_NS + minute * MINUTE_NS for minute in (first, last))
            frame = bar_store.read(SYMBOLS[0], interval, start, end, newest_first=False)
            wanted = frame.filter(frame["state"] != "forming")["start"].to_physical().to_list()

            assert bar_store.starts(SYMBOLS[0], interval, start, end).tolist() == wanted

    assert bar_store.starts(SYMBOLS[0], Interval.M1, BEGIN_NS, BEGIN_NS + 10_000 * MINUTE_NS).dtype == np.int64
    assert bar_store.starts(SYMBOLS[2], Interval.M1, 0, 2**62).tolist() == []
    assert len(STREAMS) > 1
