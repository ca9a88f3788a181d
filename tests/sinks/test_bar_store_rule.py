"""The one upsert rule, which every engine of the bar store keeps: run against SQLite and MongoDB's protocol."""

import numpy as np
import pytest
from stored_bars import (
    BEGIN_NS,
    CLOSED,
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

from market.bars import BarState
from market.errors import DeskError
from market.intervals import MINUTE_NS
from sinks.bar_store import BarStore, Written


@pytest.mark.parametrize("higher", [(FORMING, CLOSED), (CLOSED, HEALED), (PARTIAL, HEALED), (HEALED, OFFICIAL)])
def test_a_higher_rank_wins_whoever_comes_first(bar_store: BarStore, higher: tuple[BarState, BarState]):
    low, high = higher
    for first, second, ticker in ((low, high, 0), (high, low, 1)):
        for state in (first, second):
            imported(bar_store, bar(close=float(state), state=state, stream=ticker))

    assert shown(bar_store, ["state"]) == [(str(high),)]
    assert shown(bar_store, ["state"], symbol=SYMBOLS[1]) == [(str(high),)]


def test_closed_and_partial_are_one_rank(bar_store: BarStore):
    """What is known later decides: an outage noticed late makes a closed bar partial, and the reverse."""
    live(bar_store, bar(0), bar(1, state=PARTIAL), upto=2)
    live(bar_store, bar(0, state=PARTIAL, revision=2, seq=3), bar(1, state=CLOSED, revision=2, seq=3), upto=3)

    assert shown(bar_store, ["state", "revision"]) == [("partial", 2), ("closed", 2)]


def test_own_revisions_win_by_number_in_any_order(bar_store: BarStore):
    live(bar_store, bar(0, 12.0, revision=2, seq=2), upto=2)

    done = live(bar_store, bar(0, 11.0, revision=1, seq=1), upto=2)

    assert done == Written(inserted=0, updated=0, unchanged=1, logged=0)
    assert shown(bar_store) == [(12.0, "closed", 2)]


def test_the_same_again_is_no_write(bar_store: BarStore):
    rows = [bar(minute) for minute in range(3)]

    assert live(bar_store, *rows, upto=3) == Written(inserted=3, updated=0, unchanged=0, logged=3)
    assert live(bar_store, *rows, upto=3) == Written(inserted=0, updated=0, unchanged=3, logged=0)


def test_a_forming_bar_is_replaced_by_the_one_known_later(bar_store: BarStore):
    """A month's bar is flushed by every shutdown of that month; none of them has a revision, nor a place in the log."""
    for turn, close in ((0, 10.0), (1, 11.0)):
        updated_at = BEGIN_NS + turn
        live(bar_store, bar(close=close, state=FORMING, revision=0, updated_at=updated_at), upto=turn + 1)
    live(bar_store, bar(close=9.0, state=FORMING, revision=0, updated_at=BEGIN_NS - 1), upto=2)

    assert shown(bar_store) == [(11.0, "forming", 0)]
    assert logged(bar_store) == []


def test_an_uncounted_forming_bar_is_replaced_by_the_one_known_later(bar_store: BarStore):
    """A provider's bar of today grows; one that was fetched before what is held says nothing new."""
    assert imported(bar_store, bar(0, 10.0, state=FORMING, updated_at=BEGIN_NS + 2)) == Written(1, 0, 0, 0)
    assert imported(bar_store, bar(0, 11.0, state=FORMING, updated_at=BEGIN_NS + 1)) == Written(0, 0, 1, 0)
    assert imported(bar_store, bar(0, 12.0, state=FORMING, updated_at=BEGIN_NS + 3)) == Written(0, 1, 0, 0)

    assert shown(bar_store) == [(12.0, "forming", 0)]


def test_uncounted_bars_get_the_next_revision(bar_store: BarStore):
    """A refetch that brings other content at the same rank is a revision; the same content is no write."""
    assert imported(bar_store, bar(0, 10.0, revision=0)) == Written(1, 0, 0, 1)
    assert imported(bar_store, bar(0, 10.0, revision=7, updated_at=BEGIN_NS * 2)) == Written(0, 0, 1, 0)
    assert imported(bar_store, bar(0, 11.0, revision=0)) == Written(0, 1, 0, 1)
    assert imported(bar_store, bar(0, 10.0, revision=0)) == Written(0, 1, 0, 1)

    assert shown(bar_store) == [(10.0, "closed", 3)]
    assert logged(bar_store) == [
        ("import", 1, "BTCUSD", 0, 10.0, 1),
        ("import", 2, "BTCUSD", 0, 11.0, 2),
        ("import", 3, "BTCUSD", 0, 10.0, 3),
    ]


def test_a_higher_rank_continues_the_count(bar_store: BarStore):
    live(bar_store, bar(0, 10.0), bar(0, 10.5, revision=2), upto=1)
    imported(bar_store, bar(0, 10.5, state=OFFICIAL), writer="reconcile")
    live(bar_store, bar(0, 11.0, revision=3, seq=2), upto=2)

    assert shown(bar_store) == [(10.5, "official", 3)]


def test_the_source_alone_is_no_content(bar_store: BarStore):
    """Two providers that agree would otherwise revise each other for ever."""
    imported(bar_store, bar(0, stream=0))

    assert imported(bar_store, bar(0, stream=3)) == Written(0, 0, 1, 0)
    assert shown(bar_store, ["source", "revision"]) == [("kraken", 1)]


@pytest.mark.parametrize(
    ("field", "value"),
    [("open", 9.5), ("high", 20.0), ("low", 1.0), ("close", 9.9), ("volume", 3.0), ("notional", 1.0),
     ("notional", np.nan), ("trades", 4), ("end", BEGIN_NS + 2 * MINUTE_NS), ("state", PARTIAL)],
)  # fmt: skip
def test_every_number_is_content(bar_store: BarStore, field: str, value: float):
    imported(bar_store, bar(0))

    assert imported(bar_store, bar(0, **{field: value})) == Written(0, 1, 0, 1)
    assert imported(bar_store, bar(0, **{field: value})) == Written(0, 0, 1, 0)


def test_a_key_twice_in_a_batch_is_as_twice_in_a_row(bar_store: BarStore):
    done = imported(bar_store, bar(0, 10.0), bar(1, 20.0), bar(0, 11.0), bar(0, 11.0), bar(0, 10.0))

    assert done == Written(inserted=2, updated=2, unchanged=1, logged=4)
    assert shown(bar_store) == [(10.0, "closed", 3), (20.0, "closed", 1)]
    assert logged(bar_store) == [
        ("import", 1, "BTCUSD", 0, 10.0, 1),
        ("import", 2, "BTCUSD", 1, 20.0, 1),
        ("import", 3, "BTCUSD", 0, 11.0, 2),
        ("import", 4, "BTCUSD", 0, 10.0, 3),
    ]


@pytest.mark.parametrize(
    "wrong",
    [{"start": BEGIN_NS + 1}, {"end": BEGIN_NS + MINUTE_NS + 1}, {"end": BEGIN_NS}, {"close": np.nan},
     {"volume": np.inf}, {"notional": -np.inf}, {"state": 9}, {"interval": 13}],
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_whole_and_named(bar_store: BarStore, wrong: dict[str, int]):
    with pytest.raises(DeskError, match="KRAKEN:BTCUSD"):
        imported(bar_store, bar(5), bar(**wrong))

    assert bar_store.series() == []


def test_nothing_is_written_of_nothing(bar_store: BarStore):
    assert live(bar_store, upto=7) == Written(0, 0, 0, 0)
    assert imported(bar_store) == Written(0, 0, 0, 0)
    assert bar_store.position("bars") == 7


def test_a_batch_larger_than_a_segment_of_the_log(bar_store: BarStore, monkeypatch: pytest.MonkeyPatch):
    """The log is cut between journal rows, and none of it is lost, doubled or out of order."""
    for module in ("sinks.revision_log", "sinks.sqlite_bars", "sinks.mongo_bars", "sinks.mongo_log"):
        monkeypatch.setattr(f"{module}.SEGMENT_ROWS", 10)
    rows = [bar(minute, float(minute), seq=minute // 4) for minute in range(33)]

    live(bar_store, *rows, upto=20)
    imported(bar_store, *(bar(minute, -1.0) for minute in range(33)))

    assert [row[3] for row in logged(bar_store, "bars")] == list(range(4, 33))
    assert [row[1] for row in logged(bar_store, "bars")] == list(range(1, 30))
    assert [row[3:] for row in logged(bar_store, "import")] == [(minute, -1.0, 2) for minute in range(33)]
    assert bar_store.check_log() == []
    assert bar_store.position("bars") == 20
