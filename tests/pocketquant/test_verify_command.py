"""`pq verify` and `pq rebuild`, on bars that a replay made."""

import sqlite3

import pytest

CSV = "event_time,price,size\n" + "".join(
    f"2026-01-02T12:{second // 60:02}:{second % 60:02}Z,{100 + second % 7},1\n" for second in range(0, 600, 5)
)


@pytest.fixture
def replayed(pq, tmp_path):
    """A desk with ten minutes of bars at all intervals."""
    file = tmp_path / "ticks.csv"
    file.write_text(CSV)
    assert pq("replay", file, "--symbol", "OKX:BTCUSDT", "--data-dir", tmp_path / "desk").code == 0
    return tmp_path / "desk"


def test_bars_of_a_replay_are_what_the_journal_gives(pq, replayed):
    """Over by 12:10 are 10 bars of 1m, 3 of 3m and 2 of 5m; the fourth of 3m and all longer ones still form."""
    answer = pq("verify", "--data-dir", replayed)
    assert (answer.code, answer.out, answer.err) == (0, "15 bars compared, 0 differ\n", "")
    one = pq("verify", "okx:btcusdt", "--json", "--data-dir", replayed)
    assert one.json() == {"compared": 15, "differ": 0, "differences": [], "log": [], "journal": []}


def test_bars_that_were_removed_with_their_symbol_are_no_difference(pq, replayed):
    """The journal has their ticks for days; until then each check would cry of a loss that the user asked for."""
    assert pq("symbols", "remove", "OKX:BTCUSDT", "--with-data", "--yes", "--data-dir", replayed).code == 0

    answer = pq("verify", "--data-dir", replayed)
    assert (answer.code, answer.out) == (0, "15 bars compared, 0 differ\n")
    assert "15 bars that were removed with their symbol" in answer.err

    assert pq("rebuild", "OKX:BTCUSDT", "--data-dir", replayed).code == 0
    answer = pq("verify", "--data-dir", replayed)
    assert (answer.code, answer.out, answer.err) == (0, "15 bars compared, 0 differ\n", "")


def test_a_bar_that_was_altered_is_found_and_made_anew(pq, replayed):
    """In the store, behind its back."""
    with sqlite3.connect(replayed / "bars.sqlite") as connection:
        connection.execute(
            "UPDATE bar_rows SET high = high + 1 WHERE key = (SELECT min(key) FROM bar_rows WHERE state = 1)"
        )

    answer = pq("verify", "--data-dir", replayed)
    assert answer.code == 1
    assert answer.out.startswith("15 bars compared, 1 differ\n")
    assert "high" in answer.out
    (difference,) = pq("verify", "--json", "--data-dir", replayed).json()["differences"]
    assert (difference["where"], difference["field"]) == ("store", "high")
    assert float(difference["stored"]) == float(difference["expected"]) + 1

    rebuilt = pq("rebuild", "OKX:BTCUSDT", "--data-dir", replayed)
    assert (rebuilt.code, rebuilt.err) == (0, "")
    assert "15 bars made anew" in rebuilt.out
    assert "1 written" in rebuilt.out
    assert pq("verify", "--data-dir", replayed).out == "15 bars compared, 0 differ\n"
    assert "0 written" in pq("rebuild", "OKX:BTCUSDT", "--data-dir", replayed).out


def test_an_unknown_symbol_is_said(pq, replayed):
    """A typo in a nightly check must not pass for a symbol without faults."""
    verified = pq("verify", "OKX:BTCUSD", "--data-dir", replayed)
    assert (verified.code, verified.out) == (2, "")
    assert "did you mean OKX:BTCUSDT?" in verified.err
    rebuilt = pq("rebuild", "OKX:BTCUSD", "--data-dir", replayed)
    assert (rebuilt.code, rebuilt.out) == (2, "")
    assert "did you mean OKX:BTCUSDT?" in rebuilt.err


def test_a_desk_without_bars_has_none_to_compare(pq, folders):
    answer = pq("verify", "--data-dir", folders.data_dir)
    assert (answer.code, answer.out) == (0, "0 bars compared, 0 differ\n")


def test_bars_of_a_store_that_was_lost_are_missed(pq, replayed):
    """An empty store contradicts nothing, but it is not what the dataflow had filled."""
    for file in replayed.glob("bars.sqlite*"):
        file.rename(file.with_name(f"old-{file.name}"))
    gone = pq("verify", "--data-dir", replayed)
    assert (gone.code, gone.out) == (1, "0 bars compared, 0 differ\n")
    assert f"bar store {replayed / 'bars.sqlite'} is missing" in gone.err
    assert "recovery" in gone.err

    assert pq("rebuild", "OKX:BTCUSDT", "--data-dir", replayed).code == 0
    another = pq("verify", "--data-dir", replayed)
    assert another.code == 1
    assert another.out.startswith("15 bars compared, 15 differ\n")


def test_a_rebuild_from_a_damaged_journal_makes_no_good_bar_worse(pq, replayed):
    """What was made when the row could still be read is better than what can be made now."""
    (journal,) = (replayed / "journal").glob("*.sqlite")
    with sqlite3.connect(journal) as connection:
        (payload,) = connection.execute("SELECT payload FROM rows WHERE seq = 5").fetchone()
        broken = bytes([payload[0] ^ 1]) + payload[1:]
        connection.execute("UPDATE rows SET payload = ? WHERE seq = 5", (broken,))
    with sqlite3.connect(replayed / "bars.sqlite") as connection:
        # One far from the damage, and one beside it.
        connection.execute(
            "DELETE FROM bar_rows WHERE state = 1 AND key IN (SELECT min(key) FROM bar_rows WHERE minutes = 1)"
        )
    before = pq("bars", "OKX:BTCUSDT", "5m", "--state", "closed", "--json", "--data-dir", replayed).json()
    assert [bar["trades"] for bar in before] == [60, 60]

    rebuilt = pq("rebuild", "OKX:BTCUSDT", "--data-dir", replayed)
    assert rebuilt.code == 1
    assert "row 5: its checksum does not match" in rebuilt.err
    assert "left as they are stored" in rebuilt.err
    assert "1 written" in rebuilt.out

    assert pq("bars", "OKX:BTCUSDT", "5m", "--state", "closed", "--json", "--data-dir", replayed).json() == before
    minutes = pq("bars", "OKX:BTCUSDT", "1m", "--state", "closed", "--json", "--data-dir", replayed).json()
    assert [bar["trades"] for bar in minutes] == [12] * 10


def test_bars_that_can_only_be_made_without_lost_ticks_are_partial(pq, replayed):
    (journal,) = (replayed / "journal").glob("*.sqlite")
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE rows SET clock = clock + 1 WHERE seq = 5")
    with sqlite3.connect(replayed / "bars.sqlite") as connection:
        connection.execute("DELETE FROM bar_rows WHERE state = 1")

    assert pq("rebuild", "OKX:BTCUSDT", "--data-dir", replayed).code == 1
    fives = pq("bars", "OKX:BTCUSDT", "5m", "--json", "--data-dir", replayed).json()
    assert [(bar["state"], bar["trades"]) for bar in fives] == [("closed", 60), ("partial", 48)]
