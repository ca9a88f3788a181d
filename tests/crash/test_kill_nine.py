"""Whatever is killed, and whenever: no journaled tick is lost, none is counted twice, and every bar is the journal's.

`POCKETQUANT_TEST_KILLS` sets how many kills (20), `POCKETQUANT_TEST_SEED` which (1); the report is printed with `-s`.
"""

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from crash.accounts import journaled, last_seq, stored
from crash.desk import Desk, SimulatedExchange, until

from market.intervals import NAMES

KILLS = int(os.environ.get("POCKETQUANT_TEST_KILLS", "20"))
SEED = int(os.environ.get("POCKETQUANT_TEST_SEED", "1"))
SYMBOLS = 20
RATE = 5_000
VICTIMS = ("ingest", "bars", "bars", "redis", "all")

pytestmark = [pytest.mark.crash, pytest.mark.timeout(60 + 30 * KILLS)]


def test_every_journaled_tick_is_in_exactly_its_bars_after_kills(tmp_path: Path):
    """Ingest, bars, Redis, or all at once with the supervisor, at seeded amounts of progress."""
    chance = random.Random(SEED)
    with SimulatedExchange(tmp_path, rate=RATE, symbols=SYMBOLS, seed=SEED) as exchange:
        symbols = exchange.symbols
        desk = Desk(tmp_path / "data", exchange, symbols)
        desk.folder.mkdir()
        desk.start()
        kills: Counter[str] = Counter()
        for _ in range(KILLS):
            goal = last_seq(desk) + chance.randrange(200, 3_000)
            until(f"the journal reaches {goal}", lambda goal=goal: last_seq(desk) >= goal)
            victim = chance.choice(VICTIMS)
            desk.kill(victim)
            kills[victim] += 1
        goal = last_seq(desk) + 2_000
        until("the desk goes on after the last kill", lambda: last_seq(desk) >= goal)
        # The last connection is up and forming bars are there to be read while it runs.
        assert desk.json("quotes")
        until("a forming bar can be read", lambda: desk.json("bars", symbols[0], "1m", "--state", "forming"))
        desk.stop()

        ids = journaled(desk)
        sent = {symbol: exchange.sent_ids(symbol) for symbol in symbols}
        gaps = desk.json("gaps")

    total = sum(map(len, ids.values()))
    lost = {symbol: sent[symbol] - set(ids[symbol]) for symbol in symbols}
    verdict = desk.run("verify")
    print(f"\nkills {dict(kills)}: ticks sent {sum(map(len, sent.values()))}, journaled {total}, "
          f"lost {sum(map(len, lost.values()))}; {verdict.strip().splitlines()[-1]}")  # fmt: skip

    for symbol in symbols:
        assert len(ids[symbol]) == len(set(ids[symbol])), f"{symbol}: a tick is journaled twice"
        assert set(ids[symbol]) <= sent[symbol]
    assert " 0 differ" in verdict
    bars = [row for name in NAMES for symbol in symbols for row in stored(desk, symbol, name)]
    for name in NAMES:
        counted = sum(row["trades"] for row in bars if row["interval"] == name)
        assert counted == total, f"each journaled tick is in exactly one {name} bar"
    one = symbols[0]
    for name in NAMES:
        told = desk.json("bars", one, name, "--limit", "1000")
        assert sum(row["trades"] for row in told) == len(ids[one]), f"and so pq bars {one} {name} says"
    if any(lost.values()):
        told = {f"{gap['exchange']}:{gap['symbol']}" for gap in gaps}
        assert {symbol for symbol, missing in lost.items() if missing} <= told, "what was lost is in the gap ledger"
