"""A provider that fails is left alone, tried after a while, and asked again when it answers."""

import pytest
from scripted.provider import Script, quick, seat, truth_of_minutes

from history.desk import HistoryDesk
from history.fetching import NobodyGave, fetch_bars
from history.health import Resting
from history.roster import Roster, breakers, roster
from market.intervals import MINUTE_NS, Interval
from market.symbols import Symbol
from sources.history.provider import BadAnswer, KeyRefused, NotOffered, ProviderAway, QuotaSpent

NOON = 1_767_355_200 * 10**9
SECOND = 10**9
BTC = Symbol("BINANCE", "BTCUSDT")
AWAY = ProviderAway("okx does not answer")


def fail(desk, times, name="okx"):
    for _ in range(times):
        breakers(desk).failed(name, AWAY)


def state(desk, name="okx"):
    return breakers(desk).book.health(name).state


def test_five_failures_within_a_minute_open_it(desk, clock):
    """Four, and one more after the first of them is a minute old, do not."""
    fail(desk, 1)
    clock.now_ns += 30 * SECOND
    fail(desk, 3)
    clock.now_ns += 30 * SECOND
    fail(desk, 1)
    assert state(desk) == "closed"
    fail(desk, 1)

    assert state(desk) == "open"
    with pytest.raises(Resting) as caught:
        breakers(desk).admit("okx")
    assert str(caught.value) == (
        "okx is left alone until 2026-01-02T12:01:30Z, having failed 5 times in a minute: okx does not answer"
    )


def test_answers_between_failures_do_not_undo_them(desk):
    """A provider that fails every other call is not well."""
    for _ in range(5):
        breakers(desk).answered("okx")
        fail(desk, 1)

    assert state(desk) == "open"


def test_after_half_a_minute_it_is_tried_and_three_answers_close_it(desk, clock):
    fail(desk, 5)
    clock.now_ns += 30 * SECOND - 1
    with pytest.raises(Resting):
        breakers(desk).admit("okx")
    clock.now_ns += 1
    seen = []
    for _ in range(3):
        breakers(desk).admit("okx")
        seen.append(state(desk))
        breakers(desk).answered("okx")

    assert seen == ["half-open"] * 3
    assert state(desk) == "closed"
    fail(desk, 4)
    assert state(desk) == "closed"


def test_a_failure_while_it_is_tried_opens_it_again(desk, clock):
    fail(desk, 5)
    clock.now_ns += 30 * SECOND
    breakers(desk).admit("okx")
    breakers(desk).answered("okx")
    breakers(desk).answered("okx")
    fail(desk, 1)
    assert state(desk) == "open"
    clock.now_ns += 30 * SECOND
    for _ in range(3):
        breakers(desk).admit("okx")
        breakers(desk).answered("okx")

    assert state(desk) == "closed"


def test_its_state_is_that_of_all_processes_and_outlives_them(desk, clock):
    """What one desk learned another on the same folder knows, and what that one does holds for the first."""
    fail(desk, 3)
    with HistoryDesk(desk.settings, now_ns=clock, sleep=clock.sleep) as other:
        fail(other, 2)
        assert state(other) == "open"
        with pytest.raises(Resting):
            breakers(desk).admit("okx")
        clock.now_ns += 30 * SECOND
        for _ in range(3):
            breakers(desk).admit("okx")
            breakers(other).answered("okx")
        breakers(other).admit("okx")

    assert state(desk) == "closed"


def test_one_providers_trouble_is_not_anothers(desk):
    fail(desk, 5)
    breakers(desk).admit("kraken")

    assert [(one.provider, one.state) for one in breakers(desk).book.all()] == [("okx", "open")]


def fetch(desk, **wanted):
    return list(fetch_bars(desk, BTC, Interval.M1, **({"count": 5} | wanted)))


@pytest.mark.parametrize("error", [AWAY, BadAnswer("okx sent half a line")])
def test_after_five_failed_fetches_the_sixth_makes_no_call(desk, error):
    """And when it may be asked again is known."""
    script = Script(fails=dict.fromkeys(range(9), error))
    seat(desk, okx=script)
    for _ in range(5):
        with pytest.raises(NobodyGave, match=str(error)):
            fetch(desk, provider="okx")
    with pytest.raises(NobodyGave, match="okx is left alone until 2026-01-02T12:00:30Z") as caught:
        fetch(desk, provider="okx")

    assert len(script.calls) == 5
    assert caught.value.retry_at_ns == NOON + 30 * SECOND
    assert caught.value.transient


@pytest.mark.parametrize("error", [NotOffered("okx has no BTCUSDT"), QuotaSpent("okx is busy until later", NOON - 1)])
def test_a_provider_that_refuses_is_in_good_health(desk, error):
    """It answers; what it said is kept as its last error."""
    seat(desk, okx=Script(fails=dict.fromkeys(range(9), error)))
    for _ in range(7):
        with pytest.raises(NobodyGave):
            fetch(desk, provider="okx")

    assert state(desk) == "closed"
    assert breakers(desk).book.health("okx").last_error == str(error)


def test_a_provider_that_says_its_quota_is_spent_is_not_called_until_then(desk, clock):
    """Its word goes into the ledger, for all processes."""
    until = NOON + 3600 * SECOND
    script = Script(
        truth_of_minutes(NOON - 9 * MINUTE_NS, 9), fails={0: QuotaSpent("okx: come back in an hour", until)}
    )
    seat(desk, okx=script)
    for text in ("okx: come back in an hour", "okx takes no calls until 2026-01-02T13:00:00Z: okx: come back"):
        with pytest.raises(NobodyGave, match=text) as caught:
            fetch(desk, provider="okx")
        assert caught.value.retry_at_ns == until
    assert len(script.calls) == 1
    clock.now_ns = until

    assert sum(len(part.batch.rows) for part in fetch(desk, provider="okx")) == 5


def test_a_key_that_was_refused_is_not_sent_again_that_day(desk, clock):
    """Not for the same exchange and interval; another interval is tried, and another key."""
    script = Script(fails={0: KeyRefused("okx: your plan has no 1m bars")}, terms=quick(Interval.M1, Interval.H1))
    one = seat(desk, okx=script).offered["okx"]
    one.identity = "first"
    for _ in range(3):
        with pytest.raises(NobodyGave, match="okx: your plan has no 1m bars"):
            fetch(desk, provider="okx")
    assert len(script.calls) == 1
    list(fetch_bars(desk, BTC, Interval.H1, count=1, provider="okx"))
    assert len(script.calls) == 2
    one.identity = "second"
    fetch(desk, provider="okx")
    assert len(script.calls) == 3
    one.identity = "first"
    clock.now_ns += 86_400 * SECOND
    fetch(desk, provider="okx")

    assert len(script.calls) == 4


def test_connections_are_lent_again_but_for_broken_ones(desk):
    """One connection serves requests that follow each other; one that failed is closed."""
    script = Script(truth_of_minutes(NOON - 9 * MINUTE_NS, 9), fails={2: AWAY})
    lender = seat(desk, okx=script)
    fetch(desk, provider="okx")
    with lender.lent("okx") as first:
        pass
    with lender.lent("okx") as second, lender.lent("okx") as third:
        assert second._provider is first._provider
        assert third._provider is not first._provider
    assert script.closed == 0
    fetch(desk, provider="okx")
    with pytest.raises(NobodyGave):
        fetch(desk, provider="okx")
    assert script.closed == 1
    desk.close()

    assert script.closed == 2


def test_one_that_is_given_back_after_the_end_is_closed(desk):
    script = Script()
    lender = seat(desk, okx=script)
    with lender.lent("okx"):
        desk.close()
        assert script.closed == 0

    assert script.closed == 1


def test_a_desk_offers_every_provider_and_says_what_is_missing(desk):
    """Of the real ones: a key that is not set is named by its variable; what needs none can be asked."""
    missing = {name: one.missing for name, one in roster(desk).offered.items()}

    assert missing["kraken"] == missing["binance"] == missing["okx"] == missing["coinbase"] == ""
    assert missing["massive"] == "no POCKETQUANT_PROVIDERS__MASSIVE__KEY"
    assert missing["alpaca"] == "no POCKETQUANT_PROVIDERS__ALPACA__KEY and no POCKETQUANT_PROVIDERS__ALPACA__SECRET"
    assert missing["tradingview"].startswith("switched off: POCKETQUANT_PROVIDERS__TRADINGVIEW__ENABLED=true")
    assert missing["simulated"] == "no simulated exchange runs: `pq up --feed sim` starts one"
    desk.folders.simulated_url.write_text("http://127.0.0.1:1\n")
    assert roster(desk).offered["simulated"].missing == ""


def test_the_roster_is_one_for_all_threads(desk):
    assert roster(desk) is roster(desk)
    assert isinstance(roster(desk), Roster)
