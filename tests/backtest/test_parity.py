"""Paper trading and the backtest agree, line by line; and where they would not, the first difference is named."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from ran.journaled import BEGIN, GRACE, MINUTE, SECOND
from ran.papered import Papered, rng
from ran.strategies import HANGS, HIGHER, ORDERS, PAIR, RAISES, RESTS, UNSURE, WISHES
from servers.mongo import mongo_address, mongo_jars, mongo_uri

from backtest.certificates import certificates
from dataflows.paper.running import Limits
from market.sessions import calendar_for
from market.symbols import Symbol
from market.ticks import TICK
from sinks.paper_book import Written, open_paper_book
from sinks.parquet_archive import ParquetArchive
from sinks.places import FolderPlace
from sources.journal import JournalReader
from trading.assumptions.corporate_actions import CorporateActions
from trading.assumptions.fees import Fees
from trading.assumptions.session_end import SessionEnd
from trading.assumptions.slippage import Slippage
from trading.limits import Limits as Own
from trading.opening import Terms

__all__ = ["mongo_address", "mongo_jars", "mongo_uri"]

COINS = ("SIM:BTCUSD", "SIM:ETHUSD")


@pytest.fixture
def desk(tmp_path):
    with closing(Papered(tmp_path / "desk")) as made:
        made.streams = [made.stream(symbol) for symbol in COINS]
        made.trade()
        yield made


def at(minute):
    """A moment after the beginning."""
    return BEGIN + minute * MINUTE


def results(outcomes):
    """By run: equal, or what is not."""
    return {one.run: one.trouble or one.certificate.first or "equal" for one in outcomes}


def counted(outcomes, kind):
    """So many rows of a kind were compared in all."""
    return sum(one.certificate.counts[kind] for one in outcomes)


def test_every_kind_of_order_and_several_strategies_at_once_agree(desk):
    """Four strategies on two symbols, with fees and shared volume, in five portions with restarts between."""
    dear = Terms(fees=Fees(bps=5, maker_bps=-1), slippage=Slippage(bps=1, volume_share=0.3))
    desk.start(ORDERS, COINS, parameters={"seed": 3}, asked_at=at(2))
    desk.start(
        ORDERS, COINS[:1], parameters={"seed": 4}, others=dear, limits=Own(leverage=2, drawdown=0.2), asked_at=at(3)
    )
    desk.start(WISHES, COINS, "3m", others=dear, asked_at=at(3))
    desk.start(HIGHER, COINS[:1], asked_at=at(5))
    desk.start(PAIR, COINS, asked_at=at(9))
    chance = rng(11)
    for part in range(5):
        desk.walk(desk.streams, 40, chance, first=40 * part)
        desk.trade()
    proven = desk.prove()
    assert set(results(proven).values()) == {"equal"}
    assert counted(proven, "decisions") > 1_000
    kinds = {(row["kind"], row["state"]) for row in desk.book.rows("orders")}
    assert {kind for kind, _ in kinds} >= {"market", "limit", "stop", "stop-limit", "trailing-stop", "take-profit"}
    assert {state for _, state in kinds} >= {"filled", "cancelled", "expired", "rejected"}
    assert counted(proven, "fills") > 300


def test_what_users_did_meanwhile_is_done_again_at_the_same_rows(desk):
    """Stopped, flattened, revived, flattened for good: orders and fills of a rerun are those of the run."""
    first = desk.start(WISHES, COINS[:1], asked_at=at(1))
    second = desk.start(ORDERS, COINS, asked_at=at(2))
    chance = rng(5)
    for minute, run, action in (
        (10, first, "stop"), (15, first, "revive"), (21, first, "flatten"), (26, second, "flatten"),
        (33, second, "revive"), (34, first, "revive"), (41, second, "stop"),
    ):  # fmt: skip
        desk.walk(desk.streams, minute - 1 - (desk.now - BEGIN) // MINUTE, chance, first=(desk.now - BEGIN) // MINUTE)
        desk.now = at(minute - 1)
        desk.ask(run, action)
        desk.trade()
    desk.walk(desk.streams, 10, chance, first=40)
    desk.trade()
    proven = desk.prove()
    assert results(proven) == {first: "equal", second: "equal"}
    assert {"kill-switch"} <= {row["reason"] for row in desk.book.rows("fills")}


def test_limits_over_all_runs_are_those_of_each_decision(desk):
    """What the others left it is part of what a run saw: orders are refused again for the same reasons."""
    limits = Limits(max_exposure=12_000.0, max_orders_per_minute=3)
    runs = [desk.start(ORDERS, COINS, parameters={"seed": seed}, asked_at=at(1)) for seed in (1, 2, 3)]
    desk.walk(desk.streams, 60, rng(9))
    desk.trade(limits)
    proven = desk.prove()
    assert results(proven) == dict.fromkeys(reversed(runs), "equal")
    assert {"max-exposure", "order-rate"} <= {row["reason"] for row in desk.book.rows("orders")}


def test_a_loss_of_all_runs_together_ends_them_at_the_same_row(desk):
    """Everything is closed then; the rerun of each alone knows of it by the event."""
    limits = Limits(max_daily_loss=60.0, flatten=True)
    runs = [desk.start(WISHES, COINS, cash=5_000.0, others=Terms(fees=Fees(bps=20)), asked_at=at(1)) for _ in range(2)]
    desk.walk(desk.streams, 60, rng(2))
    desk.trade(limits)
    assert {row["state"] for row in desk.book.runs()} == {"killed"}
    assert results(desk.prove()) == dict.fromkeys(reversed(runs), "equal")


def test_a_strategy_that_goes_wrong_goes_wrong_again_and_the_others_go_on(desk):
    """It raises, returns NaN, or never comes back: up to then both agree, and that it ended."""
    runs = {
        desk.start(source, COINS[:1], name=name, asked_at=at(1)): name
        for name, source in (("raises", RAISES), ("unsure", UNSURE), ("hangs", HANGS), ("well", WISHES))
    }
    desk.walk(desk.streams, 30, rng(4))
    desk.trade(patience_s=0.3)
    states = {runs[row["run"]]: row["state"] for row in desk.book.runs()}
    assert states == {"raises": "failed", "unsure": "failed", "hangs": "failed", "well": "running"}
    assert set(results(desk.prove()).values()) == {"equal"}
    for run in runs:
        desk.ask(run, "flatten", at(29))
    desk.walk(desk.streams, 5, rng(4), first=30)
    desk.trade()
    assert {row["state"] for row in desk.book.runs()} == {"killed"}
    assert set(results(desk.prove(whole=True)).values()) == {"equal"}


def test_a_strategy_that_hung_in_its_warm_up_is_not_waited_for_again(desk):
    """The run failed at its start; that it did is written down, and is all that there is to prove."""
    desk.walk(desk.streams, 30, rng(4))
    desk.trade()
    run = desk.start(HANGS, COINS[:1])
    desk.walk(desk.streams, 3, rng(4), first=30)
    desk.trade(patience_s=0.3)
    assert desk.book.run(run)[0]["state"] == "failed"
    assert results(desk.prove()) == {run: "equal"}


def test_the_end_of_an_orders_day_may_be_known_and_not_yet_written(desk):
    """A tick that fills nothing tells when an order's session ends; its row says so with what comes of it next."""
    run = desk.start(RESTS, COINS[:1], asked_at=at(1))
    desk.walk(desk.streams, 5, rng(4))
    ticks = np.zeros(1, TICK)
    ticks["received_time"], ticks["event_time"] = at(5) + 20 * SECOND, at(5) + 19 * SECOND
    ticks["stream"], ticks["price"], ticks["size"], ticks["trade_id"], ticks["count"] = desk.streams[0], 100, 1, -1, 1
    desk.append(ticks)
    desk.trade()
    newest = desk.book.rows("orders", run)[-1]
    assert (newest["state"], newest["expires_at"]) == ("working", None)
    assert results(desk.prove()) == {run: "equal"}
    desk.walk(desk.streams, 1, rng(4), first=6)
    desk.trade()
    assert desk.book.rows("orders", run)[-3]["expires_at"] is not None
    assert results(desk.prove(whole=True)) == {run: "equal"}


def test_a_failure_that_the_rerun_does_not_have_is_the_difference(desk):
    """A strategy that decides by more than what it is shown cannot be proven."""
    run = desk.start(WISHES, COINS[:1], asked_at=at(1))
    desk.walk(desk.streams, 20, rng(4))
    desk.trade()
    seq = desk.book.rows("decisions", run)[-1]["seq"]
    columns = {
        "run": run,
        "number": desk.book.run(run)[0]["number"],
        "state": "failed",
        "why": "chance",
        "ended_seq": seq,
    }
    desk.book.write(Written({"runs": [columns]}))
    [outcome] = desk.prove()
    assert outcome.certificate.result == "different"
    assert (outcome.certificate.first.kind, outcome.certificate.first.paper) == ("runs", "chance")


def test_certificates_are_a_chain_that_starts_where_the_last_equal_one_ended(desk):
    """Each compares what is new, orders that were working before included; all of them are one whole."""
    run = desk.start(ORDERS, COINS, asked_at=at(1))
    chance, proven = rng(3), []
    for part in range(4):
        desk.walk(desk.streams, 15, chance, first=15 * part)
        desk.trade()
        proven += desk.prove()
    made = certificates(desk.book, run)
    assert [one.result for one in made] == ["equal"] * 4
    assert [one.from_seq for one in made[1:]] == [one.to_seq for one in made[:-1]]
    [whole] = desk.prove(whole=True)
    for kind in ("decisions", "fills", "trades", "equity"):
        assert whole.certificate.counts[kind] == counted(proven, kind) == len(desk.book.rows(kind, run))
    assert whole.certificate.counts["orders"] == len(desk.book.rows("orders", run))


def test_a_run_whose_beginning_is_held_no_longer_is_proven_from_the_first_certificate_behind_that(desk):
    """Decisions and equity stay for so many days; what is missing for that reason is no difference."""
    run = desk.start(ORDERS, COINS, asked_at=at(1))
    chance = rng(5)
    for part in range(4):
        desk.walk(desk.streams, 15, chance, first=15 * part)
        desk.trade()
        desk.prove()
    first, second, *_ = certificates(desk.book, run)

    gone = desk.book.prune(at(20))

    held = desk.book.rows("equity", run)
    assert gone > 0
    assert first.to_seq < held[0]["seq"] <= second.to_seq
    assert results(desk.prove()) == {run: "equal"}
    [whole] = desk.prove(whole=True)
    assert (whole.certificate.from_seq, whole.certificate.first) == (second.to_seq, None)
    assert whole.certificate.counts["fills"] > 0


@pytest.fixture(scope="module")
def traded(tmp_path_factory):
    """One run that has traded for half an hour; its book is copied by who changes it."""
    with closing(Papered(tmp_path_factory.mktemp("traded") / "desk")) as made:
        streams = [made.stream(symbol) for symbol in COINS]
        made.trade()
        made.run = made.start(WISHES, COINS[:1], asked_at=at(1))
        made.walk(streams, 30, rng(8))
        made.trade()
        yield made


@pytest.fixture
def changed(traded, tmp_path):
    """Runs a statement on a copy of the book, and proves that."""
    path = tmp_path / "paper.sqlite"
    with closing(sqlite3.connect(traded.book.where)) as source, closing(sqlite3.connect(path)) as copy:
        source.backup(copy)

    def change(statement, *values):
        with closing(sqlite3.connect(path)) as book, book:
            assert book.execute(statement, values).rowcount == 1
        with open_paper_book("bars.sqlite", path) as book:
            [outcome] = traded.prove(book=book)
        return outcome.certificate

    return change


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        ("fills", "price = price + 0.01", "price"),
        ("fills", "seq = seq + 1", "seq"),
        ("orders", "reason = 'stop'", "reason"),
        ("orders", "client_id = 'twice'", "client_id"),
        ("decisions", "exposure = 0.25", "exposure"),
        ("trades", "pnl = -pnl - 1", "pnl"),
        ("equity", "cash = cash + 0.0000001", "cash"),
    ],
)
def test_a_difference_is_named_by_its_row_and_column(traded, changed, kind, change, field):
    """One value of one row of the book, in the middle."""
    rows = traded.book.rows(kind, traded.run)
    row = rows[len(rows) // 2]
    found = changed(f"UPDATE {kind} SET {change} WHERE run = ? AND number = ?", traded.run, row["number"])
    first = found.first
    assert (found.result, first.kind, first.number, first.field) == ("different", kind, row["number"], field)
    assert first.rerun == row[field]
    assert f"{kind} {row['number']}" in str(first)


@pytest.mark.parametrize("kind", ["fills", "orders", "trades", "decisions", "equity"])
def test_a_row_that_only_one_of_the_two_has_is_named(traded, changed, kind):
    """A fill that was lost, an order that was sent twice; the next begins at the last that was equal."""
    row = traded.book.rows(kind, traded.run)[-2]
    lost = changed(f"DELETE FROM {kind} WHERE run = ? AND number = ?", traded.run, row["number"])
    assert (lost.first.kind, lost.first.number, lost.first.field, lost.first.paper) == (
        kind,
        row["number"],
        "row",
        None,
    )
    twice = changed(f"UPDATE {kind} SET number = 99999999 WHERE run = ? AND number = ?", traded.run, row["number"] + 1)
    assert twice.result == "different"
    assert twice.from_seq == lost.from_seq
    assert twice.number == lost.number + 1


def test_bars_that_were_corrected_are_reported_and_change_nothing(desk):
    """Late ticks amend bars that were decided on."""
    run = desk.start(WISHES, COINS, asked_at=at(1))
    desk.walk(desk.streams, 40, rng(6), late=0.1)
    desk.trade()
    [outcome] = desk.prove()
    assert outcome.certificate.result == "equal"
    seen = {(row["symbol"], row["interval"], row["start"], row["revision"]) for row in desk.book.rows("revisions", run)}
    assert seen
    told = {(one["symbol"], one["interval"], one["start"], one["revision"]) for one in outcome.certificate.revised}
    assert seen <= told


def test_splits_and_dividends_are_done_again_at_the_same_rows(desk):
    """What is held is split and paid, and the strategy goes on seeing prices on one footing."""
    run = desk.start(
        ORDERS, COINS[:1], parameters={"seed": 2}, actions=CorporateActions(signals="all", apply=True), asked_at=at(1)
    )
    desk.walk(desk.streams, 15, rng(6))
    desk.now = at(15)
    desk.trade()
    desk.ask(run, "split", symbol=COINS[0], value=2.0, time=at(15))
    desk.ask(run, "dividend", symbol=COINS[0], value=0.5, time=at(15))
    desk.walk(desk.streams, 20, rng(7), first=15)
    desk.trade()
    assert results(desk.prove()) == {run: "equal"}


def test_a_grace_that_was_changed_closes_minutes_when_it_did_then(desk):
    """From 2 s to 7 s at a restart: the rerun takes each minute with the grace of its time."""
    run = desk.start(WISHES, COINS, asked_at=at(1))
    chance = rng(6)
    desk.walk(desk.streams, 15, chance)
    desk.now = at(15)
    desk.trade()
    desk.walk(desk.streams, 15, chance, first=15)
    desk.trade(grace_ns=7 * SECOND)
    desk.walk(desk.streams, 15, chance, first=30)
    desk.trade(grace_ns=7 * SECOND)
    assert results(desk.prove()) == {run: "equal"}
    assert GRACE != 7 * SECOND


def test_what_the_journal_has_let_go_is_proven_from_the_archive(desk, tmp_path):
    """Half of it archived and removed: the chain goes on, and the whole is proven; without the archive it is said."""
    run = desk.start(ORDERS, COINS, asked_at=at(1))
    chance = rng(3)
    desk.walk(desk.streams, 15, chance)
    desk.trade()
    desk.walk(desk.streams, 15, chance, first=15)
    desk.trade()
    archive = ParquetArchive(FolderPlace(tmp_path / "archive"))
    with JournalReader(desk.journal) as reader:
        rows, streams = list(reader.read_all()), reader.streams()
    kept = rows[: len(rows) // 2]
    part = archive.write_part("2023-11-14", kept, streams)
    archive.save_day("2023-11-14", None, part, streams, kept[-1].checksum, [], [])
    desk.writer.close()
    [file] = desk.journal.glob("*.sqlite")
    with closing(sqlite3.connect(file)) as journal, journal:
        journal.execute("DELETE FROM rows WHERE seq <= ?", (kept[-1].seq,))
        journal.execute("INSERT INTO starts VALUES (?, 'let go')", (kept[-1].seq + 1,))
    assert results(desk.prove(archive=archive)) == {run: "equal"}
    [alone] = desk.prove(whole=True)
    assert "is gone" in alone.trouble


DAY = 1440 * MINUTE


def day_of(desk, share, coin, prices, start, chance):
    """A day: a coin round the clock and a share in its session and around it; each minute is closed when it is over."""
    calendar = calendar_for(Symbol("NASDAQ", "AAPL"))
    session = int(np.searchsorted(calendar.open, start // MINUTE))
    opened, shut = int(calendar.open[session]) * MINUTE, int(calendar.close[session]) * MINUTE
    moments = [(int(time), coin) for time in chance.integers(start, start + DAY, 60)]
    if opened < start + DAY:
        moments += [(int(time), share) for time in chance.integers(opened - 5 * MINUTE, shut + 5 * MINUTE, 80)]
    due = 0
    for time, stream in sorted(moments):
        if due and due < time:
            desk.clock((due - BEGIN) / SECOND)
        rows = np.zeros(int(chance.integers(1, 4)), TICK)
        rows["received_time"] = max(time, due) + np.arange(len(rows)) * SECOND // 100
        rows["event_time"] = rows["received_time"] - SECOND // 50
        for place in range(len(rows)):
            prices[stream] = round(prices[stream] * float(np.exp(chance.normal(0, 0.002))), 2)
            rows["price"][place] = prices[stream]
        rows["size"], rows["count"], rows["trade_id"], rows["stream"] = 5.0, 1, -1, stream
        desk.append(rows)
        due = (int(rows["received_time"][-1]) // MINUTE + 1) * MINUTE + GRACE
    desk.clock((due - BEGIN) / SECOND)


def test_thirty_days_agree_night_by_night_and_as_a_whole(tmp_path):
    """Thanksgiving and its half day among them: five runs, restarted and proven every third night."""
    chance, proven = rng(1), []
    with closing(Papered(tmp_path / "desk")) as desk:
        share, coin = "NASDAQ:AAPL", "SIM:BTCUSD"
        ids = [desk.stream(share), desk.stream(coin)]
        prices = dict(zip(ids, (190.0, 100.0), strict=True))
        desk.trade()
        desk.start(ORDERS, [coin], parameters={"seed": 1})
        desk.start(ORDERS, [share], lot=1.0, others=Terms(session_end=SessionEnd(flat=True)), parameters={"seed": 2})
        desk.start(WISHES, [share, coin], "15m")
        desk.start("sma-cross", [share], "5m", lot=1.0, parameters={"fast": 2, "slow": 5})
        desk.start("buy-and-hold", [share], "1d", lot=1.0)
        for day in range(30):
            day_of(desk, *ids, prices, BEGIN + day * DAY, chance)
            if day % 3 == 2:
                desk.now = BEGIN + (day + 1) * DAY
                desk.trade()
                proven += desk.prove()
        whole = desk.prove(whole=True)
    assert [results([one])[one.run] for one in (*proven, *whole)] == ["equal"] * (10 * 5 + 5)
    for kind, least in (
        ("decisions", 6_000),
        ("orders", 4_000),
        ("fills", 2_500),
        ("trades", 1_500),
        ("equity", 5_000),
    ):
        assert counted(whole, kind) >= least
        assert counted(proven, kind) >= counted(whole, kind)


def test_a_run_in_mongodb_is_proven_as_one_in_sqlite_is(tmp_path, mongo_uri):
    """Bars, their log and the paper book by MongoDB's protocol."""
    with closing(Papered(tmp_path / "desk", mongo_uri)) as desk:
        streams = [desk.stream(symbol) for symbol in COINS]
        desk.trade()
        run = desk.start(ORDERS, COINS, asked_at=at(1))
        desk.walk(streams, 20, rng(3))
        desk.trade()
        assert results(desk.prove()) == {run: "equal"}
        desk.walk(streams, 10, rng(4), first=20)
        desk.trade()
        [again] = desk.prove()
        assert again.certificate.result == "equal"
        assert [one.to_seq for one in certificates(desk.book, run)][-1] == again.certificate.to_seq
