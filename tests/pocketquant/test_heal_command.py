"""`pq heal`, `pq reconcile` and `pq gaps --why` as a user types them, on the simulated exchange's history over HTTP."""

import pytest
from servers.simulated_exchange import simulated_exchange

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


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    """One for all tests here."""
    with simulated_exchange(tmp_path_factory.mktemp("exchange")) as url:
        yield url


@pytest.fixture
def run(pq, exchange, desk, monkeypatch):
    """`pq ...` on the desk with three live minutes, beside the exchange."""

    def run(*arguments):
        monkeypatch.setenv("POCKETQUANT_PROVIDERS__SIMULATED__URL", exchange)
        return pq(*arguments, "--data-dir", desk)

    return run


def test_a_partial_minute_is_healed_and_a_second_run_has_nothing_to_do(run):
    """No gap says why it is partial; the healer notes one, and fills it from the venue's trades."""
    answer = run("heal", "--json")

    (row,) = answer.json()
    assert answer.code == 0, answer.err
    assert row == {
        "exchange": "SIM", "symbol": "BTCUSD", "start": "2026-01-02T12:02:00Z", "end": "2026-01-02T12:03:00Z",
        "reason": "partial", "state": "healed", "healed_by": "simulated(trades)", "bars": 1, "why": None,
    }  # fmt: skip
    assert "gaps: 1 healed, 0 unfillable, 0 open; 1 minute bars" in answer.err
    bars = run("bars", "SIM:BTCUSD", "1m", "--json").json()
    assert [(bar["state"], bar["source"]) for bar in bars] == [
        ("healed", "simulated(trades)"), ("closed", "sim"), ("closed", "sim")
    ]  # fmt: skip
    again = run("heal", "--json")
    assert (again.code, again.json()) == (0, [])
    assert run("gaps", "--json").json()[0]["state"] == "healed"


def test_a_gap_that_could_not_be_healed_is_trouble_and_says_why(pq, desk):
    """No exchange runs: whether it has the minute is not known, so the gap stays open."""
    answer = pq("heal", "--data-dir", desk, "--json")

    (row,) = answer.json()
    assert (answer.code, row["state"]) == (1, "open")
    assert "no simulated exchange runs: `pq up --feed sim` starts one" in row["why"]
    assert "Traceback" not in answer.err


def test_live_bars_are_held_against_the_venues_and_those_stored(run):
    """The fixture's prices are its own: all three minutes differ, and only the partial one has an excuse."""
    span = ("--start", "2026-01-02T12:00:00Z", "--end", "2026-01-02T12:03:00Z")
    answer = run("reconcile", *span, "--json")

    rows = {row["interval"]: row for row in answer.json()}
    minute = rows["1m"]
    assert answer.code == 1
    assert (minute["source"], minute["bars"], minute["equal"], minute["score"]) == ("simulated", 3, 0, 0.0)
    assert minute["differing"] + minute["extra"] == 3
    assert minute["explained"] == 1
    assert rows["3m"]["source"] == "simulated(1m)"
    assert {bar["state"] for bar in run("bars", "SIM:BTCUSD", "1m", "--json").json()} <= {"official", "partial"}
    told = run("reconcile", *span, "--differences", "--json").json()
    assert {"start", "field", "live", "official", "percent", "explained"} <= told[0].keys()
    assert any(row["field"] == "open" and row["live"] == 1.0 for row in told)


def test_an_end_before_the_start_is_wrong_use(run):
    answer = run("reconcile", "--start", "2026-01-03", "--end", "2026-01-02")

    assert answer.code == 2
    assert "is not after --start" in answer.err


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
