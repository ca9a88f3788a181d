"""Paper trading killed at any moment: no order twice, none lost, the ledger sums to zero, and nothing else comes of it.

`POCKETQUANT_TEST_KILLS` sets how many kills (20), `POCKETQUANT_TEST_SEED` which (1). What is killed are processes, by
SIGKILL, at seeded amounts of progress. Where the number is set (`make crash`), a live desk is killed as well, part by
part and as a whole: it takes some minutes, since bars of a minute take theirs.
"""

import os
import random
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from crash.desk import Desk, SimulatedExchange, until
from ran.running import loops
from traded.killable import server, trade
from traded.paper_desk import MINUTE, SECOND, PaperDesk

from dataflows.paper.kept import Kept
from sinks.paper_book import PaperBook, open_paper_book
from trading.book import QUANTA
from trading.ledger import balance
from trading.snapshot import from_bytes

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

KILLS = int(os.environ.get("POCKETQUANT_TEST_KILLS", "20"))
SEED = int(os.environ.get("POCKETQUANT_TEST_SEED", "1"))
MINUTES = 150


def prepared(desk: PaperDesk) -> None:
    """Some hours of two markets, and runs of every kind that come and go in them."""
    desk.walk(20)
    desk.make_bars()
    desk.trade()
    at = desk.now
    desk.start("sma-cross", fast=2, slow=4, at=at, run="aaaa")
    desk.start("pair", symbols=desk.symbols, length=5, enter=0.5, at=at + 3 * MINUTE, run="bbbb")
    desk.start("bollinger", symbols=desk.symbols, length=4, width=0.5, at=at + 7 * SECOND, run="cccc")
    desk.start("donchian", symbols=desk.symbols[1:], enter=3, leave=2, at=at + 9 * MINUTE, run="dddd")
    desk.ask("aaaa", "flatten", at=at + 40 * MINUTE)
    desk.ask("aaaa", "revive", at=at + 45 * MINUTE)
    desk.ask("bbbb", "stop", at=at + 90 * MINUTE)
    desk.ask("", "limits", at=at + 33 * MINUTE, max_exposure=25_000.0, max_orders_per_minute=4)
    desk.walk(MINUTES, seed=SEED, ticks=8)
    # Behind the last tick, so that the state at the end is a place of its own.
    desk.clock(desk.now + SECOND)
    desk.make_bars()


def check_books(book: PaperBook, runs: int) -> None:
    """Each run's money and orders, added up from its rows alone."""
    assert len(book.runs()) == runs
    for run in book.runs():
        name, cash = run["run"], run["cash"]
        orders, fills = book.rows("orders", name), book.rows("fills", name)
        clients = [row["client_id"] for row in orders]
        assert len(clients) == len(set(clients)), "no order twice"
        numbers = [row["number"] for row in fills]
        assert numbers == list(range(1, len(fills) + 1)), "no fill twice, none lost"
        by_order: dict[int, float] = {}
        for fill in fills:
            by_order[fill["order"]] = by_order.get(fill["order"], 0.0) + fill["units"]
            cash -= {"buy": 1, "sell": -1}[fill["side"]] * fill["units"] * fill["price"] + fill["fee"]
        filled = {row["number"]: row["filled"] for row in orders if row["filled"]}
        assert by_order == pytest.approx(filled), "what orders say was filled is what was filled"
        assert cash == pytest.approx(run["cash_now"], abs=1e-6 * len(fills) + 1e-9)
        state = book.state(name)
        assert state is not None
        account = from_bytes(msgspec.msgpack.decode(state[1], type=Kept).account)
        assert [balance(currency) for currency in account.currencies] == [0] * len(account.currencies)
        assert int(account.currencies["cash"][0]) / QUANTA == run["cash_now"]


def killed(desk: PaperDesk, where: str, kills: int, chance: random.Random) -> int:
    """Trade to the journal's end in processes that are killed; how many were."""
    context = server()
    newest = desk.writer.last_seq
    done = 0
    while True:
        if chance.random() < 0.2:
            shutil.rmtree(desk.recovery, ignore_errors=True)
        epoch_s = chance.choice([0.005, 0.05, 10])
        process = context.Process(target=trade, args=(desk.folder, desk.loops, where, epoch_s, desk.now))
        process.start()
        if done < kills:
            at = desk.book.position().seq
            goal = at + chance.randrange(max(1, (newest - at) // (kills - done + 1)))
            _wait_until_it_comes_to(desk, process, goal)
            process.kill()
        process.join(120)
        assert process.exitcode in {0, -9}, "it ends by itself or is killed"
        if process.exitcode == 0:
            return done
        done += 1


def _wait_until_it_comes_to(desk: PaperDesk, process, goal: int) -> None:
    """As short a look as can be: the process is through with all of it in less than a second."""
    deadline = time.monotonic() + 60
    while process.exitcode is None and desk.book.position().seq < goal:
        assert time.monotonic() < deadline, f"paper trading does not come to row {goal}"
        time.sleep(0.0005)


def test_paper_that_is_killed_comes_to_what_it_would_have_come_to(tmp_path: Path):
    """Row by row the same as what no kill interrupted."""
    whole = PaperDesk(tmp_path / "whole", loops=loops())
    prepared(whole)
    whole.trade()
    expected = whole.all_rows()
    check_books(whole.book, 4)
    whole.close()

    desk = PaperDesk(tmp_path / "killed", loops=loops())
    prepared(desk)
    done = killed(desk, str(desk.folder / "bars.sqlite"), KILLS, random.Random(SEED))
    rows = desk.all_rows()
    print(f"\npaper killed {done} times: { ({kind: len(found) for kind, found in rows.items()}) }")
    for kind, found in expected.items():
        assert rows[kind] == found, kind
    check_books(desk.book, 4)
    assert done >= KILLS * 3 // 4
    assert min(map(len, expected.values())) > 0
    desk.close()


LIVE_SECONDS = 200
LIVE_VICTIMS = ("paper", "paper", "paper", "bars", "ingest", "all")


@pytest.mark.skipif("POCKETQUANT_TEST_KILLS" not in os.environ, reason="takes minutes; `make crash` runs it")
def test_a_live_desk_that_is_killed_is_proven_by_its_own_parity(tmp_path: Path):
    """Paper, bars, ingest and all at once with the supervisor, while runs turn at the ends of live minutes."""
    chance = random.Random(SEED)
    with SimulatedExchange(tmp_path, rate=200, symbols=3, seed=SEED) as exchange:
        symbols = exchange.symbols
        desk = Desk(tmp_path / "data", exchange, symbols)
        desk.folder.mkdir()
        desk.start()
        until("prices are known", lambda: len(desk.json("quotes")) == len(symbols))
        for place, strategy in enumerate(("sma-cross", "donchian", "bollinger")):
            short = {"sma-cross": ("fast=1", "slow=2"), "donchian": ("enter=1", "leave=1"), "bollinger": ("length=2",)}
            given = [word for each in short[strategy] for word in ("--param", each)]
            desk.run("paper", "start", strategy, "--symbol", symbols[place], "--interval", "1m", *given)
        deadline = time.monotonic() + LIVE_SECONDS
        kills = 0
        while time.monotonic() < deadline:
            time.sleep(chance.uniform(3, 15))  # Not to wait for anything: the moment of the kill is drawn.
            desk.kill(chance.choice(LIVE_VICTIMS))
            kills += 1
        book = open_paper_book(desk.folder / "bars.sqlite", desk.folder / "paper.sqlite", read_only=True)
        newest = book.position().closed_until
        until("a minute is decided on after the last kill", lambda: book.position().closed_until > newest, 150)
        desk.stop()
        decided, filled = len(book.rows("decisions")), len(book.rows("fills"))
        verdict = desk.run("parity")
        print(f"\nlive desk killed {kills} times: {decided} decisions, {filled} fills; {verdict.strip()}")
        assert decided >= 3
        check_books(book, 3)
        book.close()
