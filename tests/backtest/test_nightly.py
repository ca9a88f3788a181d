"""What is run each night, into which folders, and how a run stands when the day is over."""

from datetime import date
from math import isnan
from types import SimpleNamespace

import numpy as np
import pytest
from ran.records import trades

from backtest import nightly
from backtest.nightly import Wish, places, spread, standing, usual
from market.intervals import Interval
from market.symbols import Symbol
from strategies.interface import StrategyError
from strategies.loader.files import find
from trading.records import ORDER, TRADE, Kind, Reason, Side, Sizing, State

BTC, ETH, SOL = (Symbol("KRAKEN", f"{coin}USD") for coin in ("BTC", "ETH", "SOL"))


def test_the_usual_night_is_ours_on_what_has_bars_enough():
    """RSI wants the fewest; the newest of those that are held may still form."""
    found = {(wish.strategy, *wish.symbols) for wish in usual([BTC, ETH, SOL], Interval.D1, {BTC: 500, ETH: 17})}
    of_btc = {"sma-cross", "macd", "bollinger", "rsi", "donchian"}
    assert found == {*((name, BTC) for name in of_btc), ("rsi", ETH)}
    rsi = find("rsi")
    warm_up = rsi.needs(rsi.read_parameters()).warm_up
    assert [wish.strategy for wish in usual([ETH], Interval.D1, {ETH: warm_up + 2})] == ["rsi"]
    assert usual([ETH], Interval.D1, {ETH: warm_up + 1}) == []


def test_a_strategy_on_one_symbol_is_run_on_each_and_one_on_two_on_both():
    assert spread(find("sma-cross"), [BTC, ETH], {}) == [(BTC,), (ETH,)]
    assert spread(find("pair"), [BTC, ETH], {}) == [(BTC, ETH)]
    with pytest.raises(StrategyError, match="fast 99 is not below slow 30"):
        spread(find("sma-cross"), [BTC], {"fast": 99})


def test_no_two_runs_of_a_night_share_a_folder(tmp_path):
    """The same strategy may run with other parameters."""
    wishes = [Wish("pair", (BTC, ETH), Interval.D1), *[Wish("macd", (BTC,), Interval.H1)] * 3]
    found = [str(path.relative_to(tmp_path)) for path in places(tmp_path, date(2026, 1, 2), wishes)]
    assert found == [
        "nightly/2026-01-02/pair-KRAKEN-BTCUSD-KRAKEN-ETHUSD-1d",
        "nightly/2026-01-02/macd-KRAKEN-BTCUSD-1h",
        "nightly/2026-01-02/macd-KRAKEN-BTCUSD-1h-2",
        "nightly/2026-01-02/macd-KRAKEN-BTCUSD-1h-3",
    ]


def ended(made, orders=(), symbols=(BTC,), end=10):
    """A run that is over, as far as it is looked at."""
    records = np.zeros(len(orders), ORDER)
    for place, order in enumerate(orders):
        for name, value in ({"state": State.WORKING, "placed_at": end} | order).items():
            records[name][place] = value
    outcome = SimpleNamespace(trades=made, orders=records)
    return SimpleNamespace(
        run=SimpleNamespace(outcome=outcome, shown=SimpleNamespace(symbols=symbols), metrics=SimpleNamespace(end=end))
    )


def test_what_is_held_and_since_when_and_what_it_gained():
    """12 gained on a position of 100; the trades before are over."""
    made = trades((5, 0.05, 0, 1), (12, 0.12, 3, 9))
    made["exit_reason"][-1] = Reason.END
    found = standing(ended(made))
    assert (found.holds, round(found.open_gain, 9), found.next) == ("long since 2024-01-04", 0.12, "")
    flat = standing(ended(made[:1]))
    assert (flat.holds, isnan(flat.open_gain), flat.next) == ("flat", True, "")


def test_what_was_decided_at_the_last_close_is_what_it_wants_next():
    """Not an order that has worked since long ago, nor one that is done."""
    target = {"sizing": Sizing.TARGET}
    orders = [
        target | {"amount": 1.0},
        target | {"amount": -0.5},
        target | {"amount": 0.0},
        {"sizing": Sizing.UNITS, "kind": Kind.STOP, "side": Side.SELL},
        {"sizing": Sizing.UNITS, "kind": Kind.LIMIT, "side": Side.BUY, "placed_at": 9},
        {"sizing": Sizing.UNITS, "state": State.REJECTED},
    ]
    assert standing(ended(np.zeros(0, TRADE), orders)).next == "go long, go short, go flat, stop sell"


def test_of_several_symbols_each_is_named():
    made = trades((1, 0.01, 0, 9, Side.BUY, 0), (1, 0.01, 0, 9, Side.SELL, 1))
    made["exit_reason"] = Reason.END
    orders = [{"sizing": Sizing.TARGET, "amount": 0.0, "symbol": 1}]
    found = standing(ended(made, orders, symbols=(BTC, ETH)))
    assert found.holds == "KRAKEN:BTCUSD long since 2024-01-01, KRAKEN:ETHUSD short since 2024-01-01"
    assert found.next == "KRAKEN:ETHUSD go flat"


def test_buying_and_holding_is_no_run_of_its_own():
    """Every run is held against it."""
    assert nightly.HOLDING not in {wish.strategy for wish in usual([BTC], Interval.D1, {BTC: 9_999})}
