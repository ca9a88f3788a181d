"""Backtests from forms and by night, on a desk with daily bars: what is written, shown, said, and kept."""

from datetime import date

import pytest
from ran.daily_desk import COINS, daily_desk, noted
from ran.flows import Ran, run_here

from backtest import nightly
from backtest.on_desk import NIGHTLY
from flows import nightly_backtests as flow
from flows.backtest import backtest
from flows.nightly_backtests import nightly_backtests
from market.intervals import Interval
from market.symbols import Symbol


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A desk with 200 daily bars of one symbol and 12 of another, both registered."""
    return daily_desk(tmp_path / "desk", monkeypatch, 200, 12)


def test_a_form_as_it_is_filled_leaves_a_report_and_a_page(desk, monkeypatch):
    ran = run_here(backtest, monkeypatch, strategy="sma-cross", symbols=["kraken:btcusd"], parameters={"fast": 5})

    assert ran.state.is_completed(), ran.message
    (one,) = noted(desk).values()
    assert (one.kind, one.strategy, one.symbols) == ("backtest", "sma-cross", ("KRAKEN:BTCUSD",))
    assert one.parameters == {"fast": 5, "slow": 30, "shorts": True}
    assert f"run {one.run}" in ran.message
    assert f"{one.metrics['total_return'] * 100:,.2f} %" in ran.message
    page = ran.published["backtest-sma-cross"]
    assert f"[the whole report](/reports/sma-cross-{one.run}/report.html)" in page
    assert page.count("data:image/png;base64,") == 2
    assert "| Sharpe |" in page
    assert (desk.runs / f"sma-cross-{one.run}" / "report.html").is_file()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": "sma"}, "no strategy 'sma'"),
        ({"parameters": {"fast": 50}}, "fast 50 is not below slow 30"),
        ({"parameters": {"quick": 5}}, "has no parameter 'quick'"),
        ({"assumed": {"fees": "much"}}, "fees 'much' are not understood"),
        ({"start": date(2026, 1, 2), "end": date(2026, 1, 1)}, "the end 2026-01-01 is not after the start 2026-01-02"),
        ({"symbols": ["KRAKEN:ETHUSD"]}, "KRAKEN:ETHUSD 1d has 12 bars in the store"),
        ({"symbols": ["NOWHERE:X"]}, "exchange NOWHERE"),
        ({"where": "archive", "filled_by": "ticks"}, "fills by ticks take the desk's own bars and ticks"),
        ({"where": "archive"}, "no bars of KRAKEN:BTCUSD 1d in the archive"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value[:20],
)
def test_what_cannot_be_run_fails_with_a_sentence_and_writes_nothing(desk, monkeypatch, changes, words):
    given = {"strategy": "sma-cross", "symbols": ["KRAKEN:BTCUSD"], "fetch": False} | changes
    ran = run_here(backtest, monkeypatch, **given)

    assert ran.state.is_failed()
    assert words in ran.message
    assert ran.published == {}
    assert not desk.runs.exists()


def test_series_of_which_too_few_bars_are_held_are_asked_for_first(desk, monkeypatch):
    """A newcomer's desk has one bar, which forms, and a form that fails as it is filled is no welcome."""
    asked = []

    class Sync:
        @staticmethod
        def submit(name, jobs, request):
            asked.append((name, jobs, request.count))
            return Ran([(name, None, f"{name}: nobody has it")], None)

    monkeypatch.setattr("flows.backtest.sync_some", Sync)
    ran = run_here(backtest, monkeypatch, strategy="sma-cross", symbols=COINS)

    assert asked == [("KRAKEN:ETHUSD 1d", [(Symbol("KRAKEN", "ETHUSD"), Interval.D1)], 500)]
    assert (ran.state.is_failed(), ran.message) == (True, "KRAKEN:ETHUSD 1d: nobody has it")


@pytest.fixture
def tonight(monkeypatch):
    """Sets the date of the night."""

    def to(day):
        monkeypatch.setattr(flow, "night_of", lambda _: day)

    to(date(2026, 11, 20))
    return to


def test_each_night_our_strategies_run_on_what_is_held(desk, monkeypatch, tonight):
    """Those that decide on one series, on symbols with bars enough; buying and holding is in each of them."""
    monkeypatch.setattr(nightly, "OURS", ("sma-cross", "donchian", "buy-and-hold", "trend-cross", "pair"))
    ran = run_here(nightly_backtests, monkeypatch)

    assert ran.state.is_completed(), ran.message
    found = noted(desk)
    usual = {"sma-cross", "donchian"}
    assert {(one.strategy, one.symbols, one.interval) for one in found.values()} == {
        (name, ("KRAKEN:BTCUSD",), "1d") for name in usual
    }
    assert {one.kind for one in found.values()} == {NIGHTLY}
    assert {path.name for path in (desk.runs / "nightly" / "2026-11-20").iterdir()} == {
        f"{name}-KRAKEN-BTCUSD-1d" for name in usual
    }
    page = ran.published["nightly-backtests"]
    assert "[donchian KRAKEN:BTCUSD 1d](/reports/nightly/2026-11-20/donchian-KRAKEN-BTCUSD-1d/report.html)" in page
    assert "data:image/png;base64," in page
    assert "2 backtests" in ran.message


def test_the_settings_say_what_runs_each_night(desk, monkeypatch, tonight):
    """A line with several symbols is a run on each; one that fails stops no other, and fails the night."""
    desk.config.write_text(
        '[[flows.nightly]]\nstrategy = "sma-cross"\nparameters = {fast = 3, slow = 9}\nassumed = {fees = "5bps"}\n'
        '[[flows.nightly]]\nstrategy = "pair"\nsymbols = ["KRAKEN:BTCUSD"]\n'
    )
    ran = run_here(nightly_backtests, monkeypatch)

    assert ran.state.is_failed()
    assert ran.message == "1 of 3 failed: strategy pair decides on 2 symbols together; the run has 1"
    found = noted(desk).values()
    assert {(one.strategy, *one.symbols) for one in found} == {("sma-cross", coin) for coin in COINS}
    assert all(one.manifest["plan"]["conditions"]["others"]["fees"]["bps"] == 5 for one in found)
    assert "| pair KRAKEN:BTCUSD 1d |" in ran.published["nightly-backtests"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('strategy = "sma-crss"', "did you mean sma-cross?"),
        ('strategy = "sma-cross"\ninterval = "7m"', "setting flows.nightly, strategy sma-cross: interval"),
        ('strategy = "sma-cross"\nassumed = {fee = "none"}', "setting flows.nightly, strategy sma-cross: assumed fee"),
        ('strategy = "sma-cross"\nsymbols = ["BTC"]', "setting flows.nightly, strategy sma-cross: symbols 0"),
    ],
)
def test_a_setting_that_is_wrong_is_a_sentence(desk, monkeypatch, line, words):
    desk.config.write_text(f"[[flows.nightly]]\n{line}\n")
    ran = run_here(nightly_backtests, monkeypatch)
    assert ran.state.is_failed()
    assert words in ran.message


def test_a_desk_without_bars_has_a_quiet_night(desk, monkeypatch, tonight):
    """On the first day there is nothing to fail."""
    for path in desk.data_dir.glob("bars.sqlite*"):
        path.unlink()
    ran = run_here(nightly_backtests, monkeypatch)
    assert ran.state.is_completed()
    assert ran.message.startswith("nothing to run")


def test_two_nights_are_kept_and_what_a_user_asked_for_for_good(desk, monkeypatch, tonight):
    """A run that is the same as a user's own is his."""
    asked = {"strategy": "donchian", "symbols": ["KRAKEN:BTCUSD"]}
    run_here(backtest, monkeypatch, **asked)
    (mine,) = noted(desk)
    for day in (18, 19, 20):
        tonight(date(2026, 11, day))
        # Other parameters are another run: the bars are the same each night here.
        runs = [asked, {**asked, "strategy": "sma-cross", "parameters": {"fast": day}}]
        assert run_here(nightly_backtests, monkeypatch, runs=runs).state.is_completed()

    assert sorted(path.name for path in (desk.runs / "nightly").iterdir()) == ["2026-11-19", "2026-11-20"]
    found = noted(desk)
    assert found.pop(mine).kind == "backtest"
    assert sorted(one.parameters["fast"] for one in found.values()) == [19, 20]


def test_beyond_some_dozens_runs_have_no_page(desk, monkeypatch, tonight):
    """A page is 5 MB; the rest of a run's files is little, and says the same."""
    monkeypatch.setattr(nightly, "PAGES_MOST", 1)
    asked = {"strategy": "sma-cross", "symbols": ["KRAKEN:BTCUSD"]}
    ran = run_here(nightly_backtests, monkeypatch, runs=[asked, {**asked, "parameters": {"fast": 2}}])
    assert ran.state.is_completed(), ran.message
    folder = desk.runs / "nightly" / "2026-11-20"
    assert {path.name for path in folder.iterdir()} == {"sma-cross-KRAKEN-BTCUSD-1d", "sma-cross-KRAKEN-BTCUSD-1d-2"}
    assert not list(folder.glob("*/report.html"))
    assert len(list(folder.glob("*/report.md"))) == 2
    assert "/sma-cross-KRAKEN-BTCUSD-1d-2/report.md)" in ran.published["nightly-backtests"]


def test_hundreds_of_runs_are_some_tasks():
    """Each costs Prefect's server more than a backtest costs us."""
    night = flow.Night.__new__(flow.Night)
    night.wishes = [
        nightly.Wish(f"s{number % 30}", (Symbol("KRAKEN", f"C{number}"),), Interval.D1) for number in range(500)
    ]
    groups = night.groups()
    assert sorted(place for places in groups.values() for place in places) == list(range(500))
    assert len(groups) <= flow.TASKS
