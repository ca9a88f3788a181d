"""`pq heal` and `pq gaps --why` as a user types them."""

import pytest

from infra.folders import Folders
from market.symbols import Symbol
from sinks.heal_book import GapNote, HealBook
from sinks.ledger import GapState, Ledger

BTC = Symbol("SIM", "BTCUSD")
NOON = 1_767_355_200 * 10**9
MINUTE = 60 * 10**9


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "desk").create()


def test_a_folder_without_a_desk_is_wrong_use_and_stays_as_it_is(pq, tmp_path):
    answer = pq("heal", "--data-dir", tmp_path / "nothing")

    assert answer.code == 2
    assert "does not exist" in answer.err
    assert not (tmp_path / "nothing").exists()


def test_where_nothing_is_lacking_nothing_is_done(pq, folders):
    answer = pq("heal", "--data-dir", folders.data_dir, "--json")

    assert (answer.code, answer.json()) == (0, [])
    assert "no gap to heal" in answer.err
    assert "gaps: 0 healed, 0 unfillable, 0 open; 0 minute bars and 0 longer ones changed" in answer.err


def test_the_ledger_says_why_a_gap_is_not_healed_if_asked(pq, folders):
    """Its own columns stay as they are for those who read them."""
    with Ledger(folders.desk) as ledger, HealBook(folders.history) as book:
        ids = [ledger.note_gap(BTC, NOON + n * MINUTE, NOON + (n + 1) * MINUTE, "down", NOON, "sim") for n in range(2)]
        ledger.settle_gap(ids[0], GapState.UNFILLABLE)
        book.note_gap(GapNote(ids[0], NOON + MINUTE, 1, 0, NOON + 9 * MINUTE, "", "nobody lists it"))
    plain, told = (pq("gaps", *more, "--data-dir", folders.data_dir, "--json").json() for more in ((), ("--why",)))

    assert [list(row) for row in plain] == [
        ["exchange", "symbol", "start", "end", "reason", "state", "healed_by", "noticed_at"]
    ] * 2
    assert [(row["state"], row["tried_at"], row["bars"], row["why"]) for row in told] == [
        ("unfillable", "2026-01-02T12:09:00Z", 0, "nobody lists it"),
        ("open", None, None, None),
    ]
