"""A bar store that is away delays bars and loses none: MongoDB frozen, restarted, and bars killed while it is away."""

import random
from pathlib import Path

import pytest
from crash.accounts import journaled, last_seq, stored
from crash.desk import Desk, SimulatedExchange, until
from servers.mongo import MongoServer, mongo_jars

from market.intervals import NAMES

__all__ = ["mongo_jars"]

pytestmark = [pytest.mark.crash, pytest.mark.mongo]


def test_a_store_that_is_away_delays_bars_and_loses_none(tmp_path: Path, mongo_jars: Path):
    """The server keeps its data in a file, since a restart is part of the test; SIGKILL would harm its own data."""
    chance = random.Random(2)
    server = MongoServer(mongo_jars, tmp_path / "mongo.db").start()
    uri = f"{server.uri}/desk"
    try:
        with SimulatedExchange(tmp_path, rate=2_000, symbols=10, seed=2) as exchange:
            symbols = exchange.symbols
            desk = Desk(tmp_path / "data", exchange, symbols, POCKETQUANT_MONGODB_URI=uri)
            desk.folder.mkdir()
            desk.start()

            def go_on() -> None:
                goal = last_seq(desk) + chance.randrange(500, 2_000)
                until(f"the journal reaches {goal}", lambda: last_seq(desk) >= goal)

            go_on()
            server.pause()
            go_on()  # Ingest does not notice.
            desk.kill("bars")
            go_on()
            server.resume()
            go_on()
            server.stop()
            go_on()
            server.start()
            desk.kill("bars")
            go_on()
            minute = until(
                "a minute is closed and stored",
                lambda: [bar for bar in stored(desk, symbols[0], "1m", uri) if bar["state"] != "forming"],
                150,
            )
            assert minute
            desk.stop()
            ids = journaled(desk)

        total = sum(map(len, ids.values()))
        verdict = desk.run("verify")
        print(f"\nstore frozen and restarted: journaled {total}; {verdict.strip().splitlines()[-1]}")
        assert " 0 differ" in verdict
        for name in NAMES:
            counted = sum(bar["trades"] for symbol in symbols for bar in stored(desk, symbol, name, uri))
            assert counted == total, f"each journaled tick is in exactly one {name} bar"
    finally:
        server.stop()
