"""TradingView's quote protocol as the simulated exchange speaks it."""

import json
from itertools import pairwise

import pytest

from sources.simulated.listing import Session
from sources.simulated.tradingview_protocol import FrameError, frame, split_frames


def payloads(client):
    """What came since the last call, unframed by hand: lengths count UTF-16 units."""
    found = []
    for message in client.messages():
        units = message.encode("utf-16-le")
        while units:
            head, length, rest = units.decode("utf-16-le").split("~m~", 2)
            assert head == ""
            rest = rest.encode("utf-16-le")
            found.append(rest[: 2 * int(length)].decode("utf-16-le"))
            units = rest[2 * int(length) :]
    return found


def quotes(client):
    return [json.loads(payload) for payload in payloads(client) if not payload.startswith("~h~")]


def say(client, *commands):
    for method, *params in commands:
        client.exchange.receive(client.connection, frame(json.dumps({"m": method, "p": params})))
    return quotes(client)


def watcher(desk, *keys, fields=()):
    """A client whose session qs_a watches keys; returns it and its first answers."""
    client = desk.connect("tradingview")
    payloads(client)
    commands = [("set_auth_token", "unauthorized_user_token"), ("quote_create_session", "qs_a")]
    if fields:
        commands.append(("quote_set_fields", "qs_a", *fields))
    return client, say(client, *commands, ("quote_add_symbols", "qs_a", *keys))


@pytest.fixture
def desk(venue):
    made = venue(rate=100)
    made.advance(2)
    return made


def test_hello_comes_first_and_has_no_method(desk):
    (hello,) = quotes(desk.connect("tradingview"))

    assert "m" not in hello
    assert (hello["protocol"], hello["auth_scheme_vsn"]) == ("json", 2)


def test_the_first_quote_is_full_and_then_completed(desk):
    _, (quote, completed) = watcher(desk, "SIM:DOGEUSD")
    values = quote["p"][1]["v"]

    assert (quote["m"], quote["p"][0], quote["p"][1]["n"], quote["p"][1]["s"]) == ("qsd", "qs_a", "SIM:DOGEUSD", "ok")
    assert completed == {"m": "quote_completed", "p": ["qs_a", "SIM:DOGEUSD"]}
    assert {"lp", "lp_time", "volume", "bid", "ask", "current_session", "update_mode", "pricescale"} <= set(values)
    assert (values["current_session"], values["update_mode"]) == ("market", "streaming")
    assert "\N{DOG FACE}" in values["description"], "two UTF-16 units, to find out who counts characters"


def test_later_quotes_hold_only_what_changed_and_add_up(desk):
    client, (first, _) = watcher(desk, "SIM:BTCUSD")
    merged = dict(first["p"][1]["v"])
    desk.advance(10)
    updates = quotes(client)
    for update in updates:
        values = update["p"][1]["v"]
        assert values
        assert all(merged.get(name) != value for name, value in values.items()), "nothing is told twice"
        merged |= values
    desk.command(kind="mute", duration_s=60)
    made = desk.made()
    made = made[made["symbol"] == 0]

    assert 15 <= len(updates) <= 21, "two a second"
    last = made[made["trade_id"] <= len(made)][-1]
    assert merged["volume"] == pytest.approx(made["size"].sum(), rel=0.1)
    assert merged["volume"] <= made["size"].sum() + 1e-6
    assert int(last["stamp"]) // 10**9 - 1 <= merged["lp_time"] <= int(last["stamp"]) // 10**9


def test_volume_starts_over_at_midnight(venue):
    """2026-01-05T23:59:50Z on; a consumer must take the drop for a new day."""
    desk = venue(rate=100, symbols="BTCUSD", start_ns=1_767_657_590_000_000_000)
    desk.advance(5)
    client, (first, _) = watcher(desk, "SIM:BTCUSD", fields=("volume", "prev_close_price"))
    desk.advance(10)
    volumes = [q["p"][1]["v"]["volume"] for q in (first, *quotes(client)) if "volume" in q["p"][1]["v"]]
    made = desk.made()
    midnight = 1_767_657_600_000_000_000

    falls = [now for before, now in pairwise(volumes) if now < before]
    assert len(falls) == 1
    assert volumes[-1] <= made["size"][made["event_time"] >= midnight].sum() + 1e-9


def test_only_the_fields_asked_for_are_sent(desk):
    client, (first, _) = watcher(desk, "SIM:BTCUSD", fields=("lp", "volume"))
    desk.advance(3)

    assert set(first["p"][1]["v"]) == {"lp", "volume"}
    assert all(set(update["p"][1]["v"]) <= {"lp", "volume"} for update in quotes(client))


def test_a_key_with_options_is_answered_under_that_key(desk):
    key = '={"session":"regular","symbol":"SIM:ETHUSD"}'
    _, (quote, completed) = watcher(desk, key)

    assert (quote["p"][1]["n"], completed["p"][1]) == (key, key)


def test_an_unknown_symbol_is_an_error_and_the_rest_goes_on(desk):
    _, answers = watcher(desk, "SIM:NOSUCH", "SIM:ETHUSD")

    assert answers[0] == {
        "m": "qsd",
        "p": ["qs_a", {"n": "SIM:NOSUCH", "s": "error", "v": {}, "errmsg": "no_such_symbol"}],
    }
    assert answers[-1] == {"m": "quote_completed", "p": ["qs_a", "SIM:ETHUSD"]}


def test_removed_symbols_and_hibernating_sessions_are_silent(desk):
    client, _ = watcher(desk, "SIM:BTCUSD", "SIM:ETHUSD")
    say(client, ("quote_remove_symbols", "qs_a", "SIM:BTCUSD"))
    desk.advance(3)
    assert {quote["p"][1]["n"] for quote in quotes(client)} == {"SIM:ETHUSD"}

    say(client, ("quote_hibernate_all", "qs_a"))
    desk.advance(3)
    assert quotes(client) == []


def test_the_list_of_fast_symbols_is_replaced_and_the_others_slow_down(desk):
    client, _ = watcher(desk, "SIM:BTCUSD", "SIM:ETHUSD")
    say(client, ("quote_fast_symbols", "qs_a", "SIM:BTCUSD"), ("quote_fast_symbols", "qs_a", "SIM:ETHUSD"))
    desk.advance(20)
    names = [quote["p"][1]["n"] for quote in quotes(client)]

    assert names.count("SIM:ETHUSD") >= 35
    assert 2 <= names.count("SIM:BTCUSD") <= 4


def test_a_heartbeat_that_is_echoed_keeps_the_connection(desk):
    client, _ = watcher(desk, "SIM:BTCUSD")
    beats = []
    for _ in range(80):
        desk.advance(1)
        for payload in payloads(client):
            if payload.startswith("~h~"):
                beats.append(payload)
                client.exchange.receive(client.connection, frame(payload))

    assert beats == [f"~h~{number}" for number in range(1, len(beats) + 1)]
    assert 7 <= len(beats) <= 8, "every ten seconds"
    assert client.ended is None


def test_a_heartbeat_without_an_echo_ends_it(desk):
    client, _ = watcher(desk, "SIM:BTCUSD")
    desk.advance(45)

    assert client.ended == "close 1000"
    assert client.connection.reason == "heartbeat timeout"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("no frame", "wrong data"),
        ("~m~5~m~{}", "wrong data"),
        (frame("{}"), "wrong data"),
        (frame('{"m":"set_auth_token","p":[""]}'), "bad auth token"),
        (frame('{"m":"quote_create_session","p":["qs_a"]}'), "auth token expected"),
    ],
)
def test_a_protocol_error_ends_the_connection(desk, message, reason):
    client = desk.connect("tradingview")
    payloads(client)
    client.exchange.receive(client.connection, message)

    assert quotes(client) == [{"m": "protocol_error", "p": [reason]}]
    assert client.ended == "close 1000"


def test_what_a_session_cannot_do_is_a_critical_error(desk):
    client, _ = watcher(desk, "SIM:BTCUSD")
    answers = say(
        client,
        ("quote_add_symbols", "qs_a", "SIM:ETHUSD", {"flags": ["force_permission"]}),
        ("quote_add_symbols", "qs_other", "SIM:ETHUSD"),
        ("quote_create_session", "qs_a"),
        ("chart_create_session", "cs_a", ""),
    )

    assert answers == [
        {"m": "critical_error", "p": ["qs_a", "invalid_parameters", "quote_add_symbols"]},
        {"m": "critical_error", "p": ["qs_other", "unknown_session", "quote_add_symbols"]},
        {"m": "critical_error", "p": ["qs_a", "session_already_exists", "quote_create_session"]},
        {"m": "critical_error", "p": ["cs_a", "invalid_method", "chart_create_session"]},
    ]


def test_out_of_its_session_a_symbol_says_so(venue):
    """The venue begins at 14:29:00 on a Monday; the session of its last symbol 20 s later."""
    desk = venue(rate=50, symbols="2", session_symbols=1, session=Session(52_160, 75_600))
    client, answers = watcher(desk, "SIM:ETHUSD", fields=("current_session", "lp"))
    desk.advance(30)
    updates = [quote["p"][1]["v"] for quote in quotes(client)]

    assert answers[0]["p"][1]["v"] == {"current_session": "out_of_session"}
    assert updates[0]["current_session"] == "market"
    assert sum("lp" in update for update in updates) > 5


def test_frames_are_split_by_their_length_only():
    """A payload may hold what looks like a frame's head, and characters of two UTF-16 units."""
    parts = ['"~m~3~m~abc"', "~h~1", "\N{DOG FACE}\N{DOG FACE}", "é"]

    assert list(split_frames("".join(map(frame, parts)))) == parts
    assert frame("\N{DOG FACE}é") == "~m~3~m~\N{DOG FACE}é"
    with pytest.raises(FrameError, match="cut off"):
        list(split_frames(frame("abc")[:-1]))
