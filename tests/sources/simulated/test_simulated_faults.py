"""What goes wrong on command: each fault does what it says, and the truth adds up throughout."""

import json
from itertools import pairwise

import numpy as np
import pytest

from market.errors import DeskError
from sources.simulated.faults import Fault, FaultKind, FaultSchedule, read_fault, read_schedule
from sources.simulated.kraken_protocol import rfc3339
from sources.simulated.tape import Fate

SECOND_NS = 1_000_000_000


def keys(trades):
    return {(trade["symbol"], trade["trade_id"]) for trade in trades}


def made_keys(desk, rows=slice(None)):
    pairs = [instrument.pair for instrument in desk.exchange.instruments]
    return {(pairs[row["symbol"]], int(row["trade_id"])) for row in desk.made()[rows]}


def assert_adds_up(desk):
    """Made is sent and never sent, by symbol and in sum; what is sent has somebody's bit."""
    made = desk.made()
    assert desk.truth.made.tolist() == np.bincount(made["symbol"], minlength=5).tolist()
    assert desk.truth.sent.tolist() == np.bincount(made["symbol"], made["sent"] != 0, 5).astype(int).tolist()
    assert desk.exchange.counts["made"] == len(made) == len(desk.truth)


def test_without_a_client_nothing_is_sent(venue):
    desk = venue()
    desk.advance(3)

    assert len(desk.made()) > 300
    assert desk.truth.sent.sum() == 0
    assert_adds_up(desk)


@pytest.mark.parametrize(("kind", "ended"), [("drop", "close 1001"), ("rst", "reset")])
def test_dropped_and_reset_clients_miss_what_is_traded_then(venue, kind, ended):
    desk = venue()
    first = desk.trader()
    desk.advance(2)
    heard = first.trades()
    desk.command(kind=kind)
    assert first.ended == ended
    desk.advance(1)
    before = len(heard)
    missed = len(desk.made()) - before
    second = desk.trader()
    desk.advance(2)
    made = desk.made()

    assert missed > 100
    assert (made["sent"] == [1] * before + [0] * missed + [2] * (len(made) - before - missed)).all()
    assert keys(heard) | keys(second.trades()) == made_keys(desk, made["sent"] != 0)
    assert_adds_up(desk)


def test_one_of_two_connections_can_be_dropped(venue):
    desk = venue()
    first, second = desk.trader(), desk.trader()
    desk.command(kind="drop", connection=first.connection.number)
    desk.advance(1)

    assert (first.ended, second.ended) == ("close 1001", None)
    assert len(second.trades()) == len(desk.made())


def test_a_half_open_connection_neither_answers_nor_ends(venue):
    desk = venue()
    client = desk.trader()
    desk.command(kind="half_open", duration_s=30)
    assert client.say({"method": "ping"}) == []
    desk.advance(29)
    assert (client.frozen, client.ended, client.messages()) == (True, None, [])
    desk.advance(2)

    assert client.ended == "reset"
    assert desk.truth.sent.sum() == 0
    assert_adds_up(desk)


def test_a_client_that_connects_during_a_half_open_fault_is_served(venue):
    desk = venue()
    desk.trader()
    desk.command(kind="half_open", duration_s=30)
    fresh = desk.trader()
    desk.advance(1)

    assert len(fresh.trades()) == len(desk.made())


def test_a_mute_symbol_is_silent_and_the_others_are_not(venue):
    desk = venue()
    client = desk.trader()
    desk.command(kind="mute", symbol="SIM:BTCUSD", duration_s=5)
    desk.advance(5)
    during = client.trades()
    desk.advance(1)
    after = client.trades()
    made = desk.made()
    silent = (made["symbol"] == 0) & (made["sent"] == 0)

    assert "BTC/USD" not in {trade["symbol"] for trade in during}
    assert "BTC/USD" in {trade["symbol"] for trade in after}
    assert silent.sum() > 100
    assert made_keys(desk) - keys(during) - keys(after) == made_keys(desk, silent)
    assert_adds_up(desk)


def test_in_a_quiet_spell_nothing_is_made_and_ids_go_on_without_a_hole(venue):
    """Unlike a mute symbol, of which trades are lost: what a desk must be able to tell apart."""
    desk = venue(rate=100)
    client = desk.trader()
    desk.advance(3)
    desk.command(kind="quiet", symbol="SIM:BTCUSD", duration_s=60)
    before = desk.made()
    start = desk.clock.now_ns()
    desk.advance(60)
    during = desk.made()[len(before) :]
    desk.advance(5)
    desk.command(kind="quiet", duration_s=30)
    count = len(desk.made())
    desk.advance(30)
    assert len(desk.made()) == count, "all are quiet"
    desk.advance(5)
    made = desk.made()

    assert (during["symbol"] != 0).all()
    assert len(during) > 3000
    for symbol in range(5):
        ids = made["trade_id"][made["symbol"] == symbol]
        assert ids.tolist() == list(range(1, len(ids) + 1))
    bitcoin = made["event_time"][made["symbol"] == 0]
    assert np.diff(bitcoin).max() > 60 * SECOND_NS
    assert ((bitcoin < start) | (bitcoin > start + 60 * SECOND_NS)).all()
    assert keys(client.trades()) == made_keys(desk)
    assert (made["sent"] == 1).all()
    assert_adds_up(desk)


@pytest.mark.parametrize(("heartbeats", "beats"), [(True, range(8, 12)), (False, [0])])
def test_a_mute_venue_may_or_may_not_send_heartbeats(venue, heartbeats, beats):
    desk = venue()
    client = desk.trader()
    desk.command(kind="mute", duration_s=10, heartbeats=heartbeats)
    desk.advance(9.9)
    messages = client.messages()

    assert set(messages) <= {'{"channel":"heartbeat"}'}
    assert len(messages) in beats


def test_a_slow_connection_gets_everything_late_and_in_order(venue):
    desk = venue()
    client = desk.trader()
    desk.command(kind="slow", seconds=3, duration_s=5)
    desk.advance(2.9)
    assert client.trades() == []
    desk.advance(7)
    trades = client.trades()

    assert keys(trades) == made_keys(desk)
    assert [trade["timestamp"] for trade in trades] == [rfc3339(int(stamp)) for stamp in desk.made()["stamp"]]
    assert_adds_up(desk)


def test_what_a_slow_connection_never_got_was_never_sent(venue):
    desk = venue()
    client = desk.trader()
    desk.command(kind="slow", seconds=3, duration_s=60)
    desk.advance(5)
    desk.command(kind="rst")

    received = keys(client.trades())
    made = desk.made()

    assert 0 < len(received) < len(made)
    assert received == made_keys(desk, made["sent"] != 0)
    assert_adds_up(desk)


def test_a_reader_that_takes_nothing_is_disconnected(venue):
    desk = venue()
    client = desk.trader()
    client.backlog = 100 << 20
    desk.advance(1)

    assert (client.ended, client.connection.reason) == ("reset", "too slow a reader")


@pytest.mark.parametrize(("command", "status"), [({"kind": "refuse"}, 429), ({"kind": "refuse", "status": 451}, 451)])
def test_a_refusal_lasts_as_long_as_it_says(venue, command, status):
    desk = venue()
    assert desk.exchange.refusal("kraken") is None
    desk.command(**command, duration_s=5, endpoint="kraken")
    assert (desk.exchange.refusal("kraken"), desk.exchange.refusal("tradingview")) == (status, None)
    desk.advance(6)
    assert desk.exchange.refusal("kraken") is None


def test_maintenance_is_announced_then_closes_then_refuses(venue):
    desk = venue()
    client = desk.trader()
    desk.command(kind="maintenance", seconds=2, duration_s=10)
    status = json.loads(client.messages()[0])
    assert (status["channel"], status["data"][0]["system"]) == ("status", "maintenance")
    desk.advance(1)
    assert (client.ended, len(client.trades()) > 50) == (None, True)
    desk.advance(2)
    assert (client.ended, desk.exchange.refusal("kraken")) == ("close 1001", 503)
    desk.advance(8)

    assert desk.exchange.refusal("kraken") is None
    assert_adds_up(desk)


def test_garbage_comes_between_good_messages_and_loses_none(venue):
    desk = venue(rate=1000)
    client = desk.trader()
    desk.command(kind="garbage", share=0.3, duration_s=10)
    desk.advance(10)
    messages = client.messages()
    good, bad = [], []
    for message in messages:
        try:
            value = json.loads(message)
            good += [(t["symbol"], t["trade_id"]) for t in value["data"] if t["timestamp"] > "2026" and t["price"] > 0]
        except (ValueError, TypeError, KeyError, RecursionError):
            bad.append(message)

    assert len(bad) > 1_000
    assert made_keys(desk) <= set(good)
    assert desk.exchange.counts["garbage"] == len(messages) - len(desk.made())
    assert (desk.made()["sent"] == 1).all()


def test_cut_messages_hold_trades_that_nobody_could_read(venue):
    desk = venue(rate=1000)
    client = desk.trader()
    desk.command(kind="truncated", share=0.2, duration_s=5)
    desk.advance(6)
    trades = client.trades()
    made = desk.made()
    spoiled = made["flags"] == Fate.SPOILED

    assert 0.15 < spoiled[made["event_time"] < desk.exchange.start_ns + 5 * SECOND_NS].mean() < 0.25
    assert keys(trades) == made_keys(desk, ~spoiled)
    assert (made["sent"] == np.where(spoiled, 0, 1)).all()
    assert_adds_up(desk)


def test_duplicates_come_twice_and_are_the_same(venue):
    desk = venue(rate=1000)
    client = desk.trader()
    desk.command(kind="duplicates", share=0.2, duration_s=5)
    desk.advance(5)
    trades = client.trades()
    made = desk.made()
    doubled = (made["flags"] == Fate.DUPLICATED).sum()

    assert 0.15 < doubled / len(made) < 0.25
    assert len(trades) == len(made) + doubled
    assert len({json.dumps(trade) for trade in trades}) == len(made)
    assert_adds_up(desk)


def test_late_trades_come_late_with_their_old_stamp(venue):
    """A trade of 30 s ago belongs to a bar that may have closed."""
    desk = venue()
    client = desk.trader()
    desk.command(kind="late", seconds=30, share=0.5, symbol="SIM:ETHUSD", duration_s=5)
    desk.advance(20)
    prompt = client.trades()
    made = desk.made()
    held = made["flags"] == Fate.HELD
    assert held.sum() > 50
    assert set(made["symbol"][held]) == {1}
    assert (made["sent"] == np.where(held, 0, 1)).all()
    assert keys(prompt) == made_keys(desk, ~held)
    stamps = {rfc3339(int(stamp)) for stamp in made["stamp"][held]}

    desk.advance(20)
    late = [trade for trade in client.trades() if trade["timestamp"] in stamps]

    assert len(late) == held.sum()
    assert (desk.made()["sent"] == 1).all()
    assert_adds_up(desk)


def test_late_trades_that_nobody_waits_for_are_never_sent(venue):
    desk = venue()
    desk.trader()
    desk.command(kind="late", seconds=30, duration_s=5)
    desk.advance(10)
    desk.command(kind="drop")
    desk.advance(30)
    made = desk.made()

    assert (made["sent"][made["flags"] == Fate.HELD] == 0).all()
    assert_adds_up(desk)


def test_out_of_order_trades_all_come_but_not_in_order(venue):
    desk = venue(rate=1000)
    client = desk.trader()
    desk.command(kind="out_of_order", share=0.3, seconds=0.5, duration_s=5)
    desk.advance(6)
    trades = client.trades()
    bitcoin = [trade["trade_id"] for trade in trades if trade["symbol"] == "BTC/USD"]

    assert keys(trades) == made_keys(desk)
    assert len(trades) == len(desk.made())
    assert bitcoin != sorted(bitcoin)
    stamps = [trade["timestamp"] for trade in trades]
    assert sum(late < early for early, late in pairwise(stamps)) > 100
    assert_adds_up(desk)


@pytest.mark.parametrize("seconds", [90, -3600])
def test_the_clock_jumps_and_comes_back(venue, seconds):
    """The truth knows both times; bars can be asked for by either."""
    desk = venue()
    client = desk.trader()
    desk.command(kind="clock_jump", seconds=seconds, duration_s=3)
    desk.advance(5)
    made = desk.made()
    off = made["stamp"] - made["event_time"]
    jumped = made["event_time"] <= desk.exchange.start_ns + 3 * SECOND_NS

    assert (off == np.where(jumped, seconds * SECOND_NS, 0)).all()
    assert [trade["timestamp"] for trade in client.trades()] == [rfc3339(int(stamp)) for stamp in made["stamp"]]


def test_a_schedule_begins_and_ends_to_the_tick(venue):
    """However the clock leaps: here over all of it at once."""
    faults = read_schedule(
        '[{"kind": "mute", "at_s": 2, "duration_s": 3}, {"kind": "truncated", "at_s": 7, "duration_s": 1, "share": 1}]'
    )
    desk = venue(faults=faults)
    desk.trader()
    desk.advance(10)
    made = desk.made()
    second = (made["event_time"] - desk.exchange.start_ns) / SECOND_NS

    lost = ((second > 2) & (second <= 5)) | ((second > 7) & (second <= 8))
    assert (made["sent"] == np.where(lost, 0, 1)).all()
    assert desk.events.count("fault began") == desk.events.count("fault ended") == 2


def test_clear_ends_everything(venue):
    desk = venue()
    client = desk.trader()
    desk.command(kind="mute", duration_s=1e6)
    desk.command(kind="drop", at_s=5)
    desk.command(kind="clear")
    desk.advance(10)

    assert client.ended is None
    assert len(client.trades()) == len(desk.made())


@pytest.mark.parametrize("seed", range(5))
def test_all_faults_at_once_still_add_up(venue, seed):
    """A seeded storm in which clients come and go: whoever is gone got exactly what the truth says, to the trade."""
    rng = np.random.default_rng(seed)
    desk = venue(rate=200)
    pairs = [instrument.pair for instrument in desk.exchange.instruments]
    kinds = [kind for kind in FaultKind if kind not in {FaultKind.REFUSE, FaultKind.MAINTENANCE}]
    heard = {}
    for _ in range(100):
        command = {"kind": str(rng.choice(kinds)), "duration_s": float(rng.uniform(0.1, 3))}
        if command["kind"] in {"late", "out_of_order", "slow"}:
            command["seconds"] = float(rng.uniform(0.1, 2))
        desk.command(**command)
        if not desk.exchange.clients.connected or rng.random() < 0.3:
            client = desk.connect()
            params = {"channel": "trade", "symbol": pairs[:4], "snapshot": bool(rng.random() < 0.5)}
            desk.exchange.receive(client.connection, json.dumps({"method": "subscribe", "params": params}))
            heard[client] = set()
        desk.advance(float(rng.uniform(0.1, 1)))
        for client in heard:
            heard[client] |= keys(client.trades())
    assert_adds_up(desk)
    made = desk.made()

    gone = [client for client in heard if client.ended]
    assert 10 < len(gone) < 60
    assert 0 < desk.truth.sent.sum() < len(made)
    for client in gone:
        marked = (made["sent"] >> np.uint64(client.connection.bit)) & np.uint64(1) != 0
        assert heard[client] == made_keys(desk, marked)


def test_no_more_than_the_schedule_is_ever_on():
    schedule = FaultSchedule(
        0, [Fault(FaultKind.MUTE, at_s=1, duration_s=2), Fault(FaultKind.DROP, at_s=2, duration_s=0)]
    )

    assert schedule.next_ns == SECOND_NS
    assert schedule.advance(SECOND_NS - 1) == ([], [])
    assert [f.kind for f in schedule.advance(SECOND_NS)[0]] == ["mute"]
    assert [[f.kind for f in part] for part in schedule.advance(2 * SECOND_NS)] == [["drop"], ["drop"]]
    assert schedule.next_ns == 3 * SECOND_NS
    assert [[f.kind for f in part] for part in schedule.advance(3 * SECOND_NS)] == [[], ["mute"]]
    assert schedule.next_ns is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (5, "a JSON object"),
        ({}, "fault kind None is none of drop"),
        ({"kind": "explode"}, "'explode' is none of drop rst"),
        ({"kind": "drop", "after": 3}, "unknown field 'after'"),
        ({"kind": "late", "seconds": "long"}, "seconds is a number from 0 to"),
        ({"kind": "late", "share": 1.5}, "share is a number from 0 to 1, got 1.5"),
        ({"kind": "late", "duration_s": True}, "duration_s is a number"),
        ({"kind": "mute", "symbol": "A B"}, "is not EXCHANGE:TICKER"),
        ({"kind": "drop", "symbol": "SIM:BTCUSD"}, "about connections, not about symbols"),
        ({"kind": "drop", "connection": "x"}, "connection is the number of one"),
        ({"kind": "drop", "endpoint": "binance"}, "is none of kraken tradingview"),
        ({"kind": "late", "endpoint": "kraken"}, "it is about trades"),
    ],
)
def test_a_bad_fault_gets_a_sentence(given, says):
    with pytest.raises(DeskError, match=says):
        read_fault(given)


def test_a_fault_of_an_unlisted_symbol_gets_a_sentence(venue):
    with pytest.raises(DeskError, match="SIM:NOSUCHUSD is not listed here"):
        venue().command(kind="mute", symbol="NOSUCHUSD")
