"""What every engine promises of its log, and of bars as they were known: run against SQLite and MongoDB's protocol."""

import numpy as np
from stored_bars import (
    BEGIN_NS,
    FORMING,
    HEALED,
    OFFICIAL,
    PARTIAL,
    SYMBOLS,
    bar,
    imported,
    live,
    logged,
    shown,
)

from market.intervals import MINUTE_NS
from sinks.bar_store import BarStore, Name, open_store


def test_a_writer_is_where_it_left_off_after_reopening(bar_store: BarStore, store_address: str):
    live(bar_store, bar(0), upto=41)
    again = open_store(store_address)

    assert again.position("bars") == 41
    assert again.position("paper") == 0
    assert again.head("bars") == bar_store.head("bars")
    assert again.head("bars")[0] == 1
    again.close()


def test_rows_at_or_below_the_position_are_not_logged_again(bar_store: BarStore):
    """A crash brings back rows since the last snapshot, in other batches; the log holds each once."""
    live(bar_store, bar(0), bar(1), bar(2), upto=3)
    live(bar_store, bar(1), bar(2), bar(3), upto=4)
    live(bar_store, bar(3), upto=4)

    assert [row[1:4] for row in logged(bar_store)] == [
        (1, "BTCUSD", 0),
        (2, "BTCUSD", 1),
        (3, "BTCUSD", 2),
        (4, "BTCUSD", 3),
    ]
    assert bar_store.position("bars") == 4


def test_a_batch_without_bars_moves_the_position_alone(bar_store: BarStore, store_address: str):
    """A minute in which nothing traded is over too, and whoever waits for its bars may go on."""
    assert live(bar_store, upto=2) == (0, 0, 0, 0)
    assert bar_store.position("bars") == 2
    live(bar_store, bar(3), upto=4)
    head = bar_store.head("bars")

    live(bar_store, upto=9)
    live(bar_store, upto=7)

    again = open_store(store_address)
    assert (again.position("bars"), again.head("bars"), again.check_log()) == (9, head, [])
    live(again, bar(5, seq=10), upto=10)
    assert (again.head("bars")[0], again.check_log()) == (2, [])
    again.close()


def test_the_log_holds_what_lost_against_a_higher_rank(bar_store: BarStore):
    """It is the writer's own account, which others resume from; the rule decides only what is shown."""
    imported(bar_store, bar(0, 10.0, state=OFFICIAL))
    live(bar_store, bar(0, 11.0), upto=1)

    assert shown(bar_store) == [(10.0, "official", 1)]
    assert logged(bar_store, "bars") == [("bars", 1, "BTCUSD", 0, 11.0, 1)]


def test_a_reader_resumes_after_any_row(bar_store: BarStore):
    live(bar_store, bar(0), bar(1), bar(2), upto=3)
    live(bar_store, bar(3, stream=4), bar(4), upto=5)

    for after in range(7):
        parts = list(bar_store.revisions("bars", after))
        seqs = [seq for part in parts for seq in part.seqs.tolist()]
        assert seqs == list(range(after + 1, 6))
        assert all(len(part.rows) == len(part.seqs) for part in parts)


def test_logged_rows_keep_everything_of_a_bar(bar_store: BarStore):
    rows = [bar(0, seq=17, notional=np.nan), bar(1, stream=4, state=PARTIAL, seq=18)]
    live(bar_store, *rows, upto=18)

    (part,) = bar_store.revisions("bars")

    assert part.names == (Name("kraken", SYMBOLS[0]), Name("file:3f2a9c01", SYMBOLS[1]))
    expected = np.concatenate(rows)
    expected["stream"] = [0, 1]
    assert part.rows.tobytes() == expected.tobytes()


def test_each_writer_has_a_log_of_its_own(bar_store: BarStore):
    live(bar_store, bar(0), upto=1)
    imported(bar_store, bar(1))
    imported(bar_store, bar(2), writer="heal")

    assert [row[:2] for row in logged(bar_store)] == [("bars", 1), ("heal", 1), ("import", 1)]


def test_the_hash_of_the_head_depends_on_all_before_it(bar_store: BarStore):
    """Writers of different names and the same bars have different chains; so have different orders."""
    imported(bar_store, bar(0), bar(1), writer="one")
    imported(bar_store, bar(2), bar(3), writer="two")

    assert bar_store.head("none") == (0, "")
    assert bar_store.head("one")[1] != bar_store.head("two")[1]
    before = bar_store.head("one")
    imported(bar_store, bar(4), writer="one")
    assert bar_store.head("one") != before


def test_an_untouched_log_has_no_findings(bar_store: BarStore):
    for turn in range(5):
        live(bar_store, bar(turn), bar(turn, 12.0, revision=2), upto=turn + 1)
        imported(bar_store, bar(turn, float(turn)))

    assert bar_store.check_log() == []


def test_a_bar_shows_the_version_known_then(bar_store: BarStore):
    seconds = [BEGIN_NS + after * 1_000_000_000 for after in (62, 90, 4000)]
    live(bar_store, bar(0, 10.0, updated_at=seconds[0]), upto=1)
    live(bar_store, bar(0, 11.0, revision=2, updated_at=seconds[1], seq=2), upto=2)
    imported(bar_store, bar(0, 12.0, state=HEALED, updated_at=seconds[2], stream=3), writer="heal")
    columns = ["close", "state", "revision", "source"]

    assert shown(bar_store, columns, as_of=seconds[0] - 1) == []
    assert shown(bar_store, columns, as_of=seconds[0]) == [(10.0, "closed", 1, "kraken")]
    assert shown(bar_store, columns, as_of=seconds[1] - 1) == [(10.0, "closed", 1, "kraken")]
    assert shown(bar_store, columns, as_of=seconds[1]) == [(11.0, "closed", 2, "kraken")]
    assert shown(bar_store, columns, as_of=seconds[2] - 1) == [(11.0, "closed", 2, "kraken")]
    assert shown(bar_store, columns, as_of=seconds[2]) == [(12.0, "healed", 3, "file:3f2a9c01")]


def test_versions_of_one_batch_are_known_apart(bar_store: BarStore):
    """A replay writes a bar and its amendment in one go."""
    first, second = BEGIN_NS + 62 * 10**9, BEGIN_NS + 63 * 10**9
    live(bar_store, bar(0, 10.0, updated_at=first), bar(0, 11.0, revision=2, updated_at=second), upto=1)

    assert shown(bar_store, as_of=first) == [(10.0, "closed", 1)]
    assert shown(bar_store, as_of=second) == [(11.0, "closed", 2)]


def test_a_version_that_was_never_shown_was_known(bar_store: BarStore):
    """The official bar came first into the store, but was known later than the live one."""
    imported(bar_store, bar(0, 10.0, state=OFFICIAL, updated_at=BEGIN_NS * 2))
    live(bar_store, bar(0, 11.0), upto=1)

    assert shown(bar_store, as_of=BEGIN_NS + 3600 * 10**9) == [(11.0, "closed", 1)]
    assert shown(bar_store, as_of=BEGIN_NS * 2) == [(10.0, "official", 1)]


def test_forming_bars_were_never_known(bar_store: BarStore):
    updated_at = BEGIN_NS + 30 * 10**9
    live(bar_store, bar(0, state=FORMING, revision=0, updated_at=updated_at), upto=1)
    assert shown(bar_store, as_of=BEGIN_NS * 2) == []

    live(bar_store, bar(0, 11.0, seq=2), upto=2)
    assert shown(bar_store, as_of=updated_at) == []
    assert shown(bar_store, as_of=BEGIN_NS * 2) == [(11.0, "closed", 1)]


def test_limits_bounds_states_and_order_hold_for_then(bar_store: BarStore):
    """Bars 2 and 3 were revised at noon, bar 1 became partial then; bar 4 was not known before."""
    noon = BEGIN_NS + 12 * 3600 * 10**9
    live(bar_store, *(bar(minute, float(minute)) for minute in range(4)), upto=4)
    later = {"updated_at": noon, "seq": 5, "revision": 2}
    live(
        bar_store,
        bar(1, 1.0, state=PARTIAL, **later),
        bar(2, 20.0, **later),
        bar(3, 30.0, **later),
        bar(4, 4.0, updated_at=noon, seq=5),
        upto=5,
    )
    then = {"as_of": noon - 1, "columns": ["close"]}

    assert shown(bar_store, **then) == [(0.0,), (1.0,), (2.0,), (3.0,)]
    assert shown(bar_store, limit=2, newest_first=True, **then) == [(3.0,), (2.0,)]
    assert shown(bar_store, limit=3, **then) == [(1.0,), (2.0,), (3.0,)]
    assert shown(bar_store, states=[PARTIAL], **then) == []
    assert shown(bar_store, states=[PARTIAL], as_of=noon, columns=["close"]) == [(1.0,)]
    assert shown(bar_store, start=BEGIN_NS + MINUTE_NS, end=BEGIN_NS + 3 * MINUTE_NS, **then) == [(1.0,), (2.0,)]


def test_a_store_names_those_who_wrote_to_it(bar_store: BarStore):
    """Whoever copies what has changed asks each log for its end."""
    assert bar_store.writers() == []
    imported(bar_store, bar(0), writer="sync")
    live(bar_store, bar(1), upto=2)

    assert bar_store.writers() == ["bars", "sync"]
