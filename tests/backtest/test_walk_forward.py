"""A walk-forward chooses by what was known, tests on what came next, and its account is one."""

import json
import math
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from ran.running import loops
from ran.sweeping import evaluator, planned, written
from ran.walking import DAYS, GRID, noisy, walked

from backtest import evaluator as evaluating
from backtest.evaluator import Evaluator
from backtest.metrics import plain
from backtest.reading import Series
from backtest.report_html import html
from backtest.report_md import markdown
from backtest.running import run
from backtest.space import read_space
from backtest.sweep import Hunt, search_in
from backtest.trying import Window
from backtest.walk_forward import Walk, walk_forward
from backtest.walk_report import _kept as left_of
from backtest.walk_report import document, report_of, said, windows_frame
from market.errors import DeskError
from market.intervals import Interval
from market.symbols import Symbol
from strategies.loader.files import find, from_source

COUNTING = '''"""Holds until it has seen so many bars."""

import numpy as np
from pydantic import BaseModel

from strategies.interface import Needs


class Parameters(BaseModel):
    """How many."""

    length: int = 2


def needs(p):
    return Needs()


def begin(p):
    return (np.zeros(1),)


def decide(state, bar, p):
    state[0][0] += 1
    return 1.0 if state[0][0] <= p.length else 0.0
'''


def cut(series, bars):
    return Series(series.symbol, series.interval, bars, series.source)


@pytest.fixture(scope="module")
def series():
    return noisy()


@pytest.fixture(scope="module")
def found(series):
    return walked(series, look_ahead_check=True)


def test_each_window_has_the_best_of_backtests_on_what_it_learned_from(series, found):
    """Every combination run by itself on those bars alone, whoever tries it in the walk-forward."""
    strategy = find("sma-cross")

    assert len(found.windows) == 5
    assert found.changes > 0
    for one in found.windows:
        bars = series.bars
        known = cut(series, bars[(bars["start"] >= one.fold.train_from) & (bars["end"] <= one.fold.test_from)])
        sharpes = {}
        for fast, slow in ((2, 5), (2, 20), (5, 20), (8, 20)):
            plan = planned(strategy, parameters={"fast": fast, "slow": slow}, look_ahead_check=False)
            sharpes[fast, slow] = run(plan, strategy, lambda *_, known=known: known, loops()).metrics.sharpe
        assert (one.parameters["fast"], one.parameters["slow"]) == max(sharpes, key=sharpes.get)
        assert one.learned["sharpe"] == max(sharpes.values())
        assert one.tried == one.luck.trials == 4


def test_windows_compound_to_what_the_account_came_to(found):
    account = found.run.metrics

    assert math.prod(1 + one.tested.total_return for one in found.windows) == pytest.approx(1 + account.total_return)
    assert sum(one.tested.trades for one in found.windows) == account.trades
    assert sum(one.tested.fills for one in found.windows) == account.fills
    assert max(one.tested.drawdown_max for one in found.windows) <= account.drawdown_max
    assert account.begin == found.windows[0].fold.test_from
    assert account.end == found.windows[-1].fold.test_to


@pytest.mark.parametrize("how", ["rolling", "anchored"])
def test_no_window_knows_what_came_after_it(series, how):
    """With all bars after a window hidden, it and those before it chose and made the same."""
    walk = Walk(how=how, train="120d", test="60d")
    whole = walked(series, walk=walk)
    until = whole.windows[2].fold.test_to
    hidden = walked(cut(series, series.bars[series.bars["end"] <= until]), walk=walk)

    assert len(hidden.windows) == 3
    for ours, theirs in zip(hidden.windows, whole.windows, strict=False):
        assert ours.fold == theirs.fold
        assert ours.parameters == theirs.parameters
        assert ours.learned == theirs.learned
    marks = len(hidden.run.outcome.curve.equity)
    assert hidden.run.outcome.curve.equity.tolist() == whole.run.outcome.curve.equity[:marks].tolist()


def test_anchored_windows_learn_from_all_that_came_before(series):
    found = walked(series, walk=Walk(how="anchored", train="120d", test="60d"))
    strategy, begin = find("sma-cross"), int(series.bars["start"][0])

    assert {one.fold.train_from for one in found.windows} == {begin}
    last = found.windows[-1]
    with evaluator(strategy, series, jobs=1) as bench:
        whole, _, _ = search_in(
            bench, read_space(strategy, GRID), Hunt(space=GRID), Window(begin, None, last.fold.test_from)
        )
    assert last.learned["sharpe"] == whole.figures["sharpe"].max()


def test_parameters_are_shown_what_they_learned_from_and_no_more(series):
    """A strategy that holds until it has seen 130 bars: in each window, having seen 120, for ten bars."""
    counting = from_source("counting", Path("counting.py"), COUNTING)
    found = walked(series, {"length": "130,131"}, strategy=counting)
    held = found.run.outcome.curve.exposure > 0

    assert {one.parameters["length"] for one in found.windows} == {130}
    for one in found.windows:
        time = found.run.outcome.curve.time
        inside = held[(time > one.fold.test_from) & (time <= one.fold.test_to)]
        # Decided on a close, filled at the next open.
        assert inside.tolist() == [False, *[True] * 10, *[False] * 49][: len(inside)]


def test_windows_may_be_so_many_bars(series):
    found = walked(series, walk=Walk(train="100", test="150"))
    ends = series.bars["end"].tolist()

    assert [one.fold[1:] for one in found.windows] == [(ends[99], ends[249]), (ends[249], ends[399])]


def test_where_nothing_can_be_ranked_nothing_is_held(series):
    """Of the windows only some have a candidate with so many trades."""
    found = walked(series, least_trades=22)
    equity, ends = found.run.outcome.curve.equity, found.run.outcome.curve.time
    without = [one for one in found.windows if one.parameters is None]

    assert 0 < len(without) < len(found.windows)
    for one in without:
        inside = (ends > one.fold.test_from + 2 * 86_400 * 10**9) & (ends <= one.fold.test_to)
        assert len(set(equity[inside].tolist())) == 1
        assert one.luck is None
    assert found.windows.index(without[0]) == 0, "before anything is chosen nothing is held, too"
    assert "nothing" in {row[2] for row in report_of(found).sections[0].rows}


def test_a_strategy_that_looks_ahead_or_decides_by_chance_is_found_out(series):
    by_chance = written("import os\n\n\ndef decide(state, bar, p):\n    return float(os.urandom(1)[0] % 2)")

    with pytest.raises(DeskError, match="look-ahead: the decision on the 1d bar of SIM:BTCUSD"):
        walked(series, {"length": "2,3"}, strategy=by_chance, look_ahead_check=True)


def test_a_strategy_that_hangs_ends_with_a_sentence(series):
    """Only beyond the first window, so that the search is over when it does."""
    late = int(series.bars["end"][300])
    hangs = written(
        f"def decide(state, bar, p):\n    while bar.end == {late} and p.length == 3:\n        pass\n    return 1.0"
    )
    begun = time.monotonic()

    with pytest.raises(DeskError, match=r"has not come back for 0\.5 s"):
        walked(series, {"length": "2,3"}, strategy=hangs, patience_s=0.5, least_trades=0, metric="total_return")
    assert time.monotonic() - begun < 30


def test_wrong_use_is_said_before_anything_is_tried(series):
    with pytest.raises(DeskError, match="write 2y, 6m"):
        walked(series, walk=Walk(train="soon"))
    with pytest.raises(DeskError, match="--train 2y leaves none to test on"):
        walked(series, walk=Walk())
    with pytest.raises(DeskError, match="--metric 'luck' is none of"):
        walked(series, metric="luck")
    with pytest.raises(DeskError, match="the window that learns from 2024-01-01 to 2024-01-05: nothing came of any"):
        walked(series, walk=Walk(train="4d", test="60d"))


def test_steps_are_told_in_their_order_and_only_go_on(series):
    told = []
    walked(series, tell=lambda step, share: told.append((step, share)), look_ahead_check=True)
    order = list(dict.fromkeys(step for step, _ in told))

    assert order == ["read", "try", "run", "check", "report"]
    for step in ("try", "run", "check"):
        shares = [share for name, share in told if name == step]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 1


def test_the_same_walk_is_the_same_to_the_byte(series, found):
    again = walked(series, look_ahead_check=True)

    assert again.run.outcome.curve.equity.tobytes() == found.run.outcome.curve.equity.tobytes()
    assert markdown(report_of(again)) == markdown(report_of(found))


def test_more_cores_choose_and_make_the_same(series, found, monkeypatch):
    """Of threads, which share the work as soon as it is worth it in all windows together."""
    counts, begin = [], evaluating.Threads
    monkeypatch.setattr(evaluating, "THREADS_FROM", 0)
    monkeypatch.setattr(
        evaluating, "Threads", lambda make, count, *rest: counts.append(count) or begin(make, count, *rest)
    )
    many = walked(series, jobs=2)

    assert counts == [1, 2]
    assert [one.parameters for one in many.windows] == [one.parameters for one in found.windows]
    assert [one.learned for one in many.windows] == [one.learned for one in found.windows]
    assert many.run.outcome.curve.equity.tobytes() == found.run.outcome.curve.equity.tobytes()


def test_the_report_says_what_was_left_of_the_promise(found):
    report = report_of(found)
    mean = np.mean([one.learned["sharpe"] for one in found.windows])

    assert found.learned_sharpe == pytest.approx(mean)
    assert found.kept == pytest.approx(found.run.metrics.sharpe / mean)
    assert left_of(found.kept) in said(found)
    assert said(found) in markdown(report)
    assert said(found) in html(report)
    assert report.title == "Walk-forward of sma-cross fast=2:8:3 slow=5,20"
    assert ("windows", "5, rolling: learn from 120 days, test on 60 days") in report.facts
    assert len(report.bounds) == html(report).count('"yref":"paper"') == 5
    assert [row[2] for row in report.sections[0].rows] == [
        f"fast={one.parameters['fast']} slow={one.parameters['slow']}" for one in found.windows
    ]


def test_what_was_left_is_said_as_people_say_it():
    """Of a promise that was not kept at all, no negative part was left."""
    assert left_of(0.394) == ": 39 % of it was left"
    assert left_of(-1.07) == ": nothing of it was left"
    assert left_of(1.2) == ": all of it was left, and more"
    assert left_of(math.nan) == ""


def test_the_frame_has_a_row_for_each_window(found):
    frame = windows_frame(found)

    assert frame["window"].to_list() == [1, 2, 3, 4, 5]
    assert str(frame.schema["test_from"]) == "Datetime(time_unit='ns', time_zone='UTC')"
    assert frame["learned_sharpe"].to_list() == [one.learned["sharpe"] for one in found.windows]
    assert frame["tested_total_return"].to_list() == [one.tested.total_return for one in found.windows]
    assert frame["deflated_sharpe"].to_list() == [plain(one.luck.deflated) for one in found.windows]
    assert windows_frame(walked(noisy(), least_trades=22))["learned_sharpe"].null_count() > 0


def test_what_programs_read_has_nothing_that_json_has_not(found):
    assert json.loads(json.dumps(document(found), allow_nan=False))["windows"] == 5


def longer(series, interval, days):
    """Bars of so many days each."""
    bars = series.bars[: len(series.bars) // days * days]
    made = bars[::days].copy()
    made["end"], made["close"], made["interval"] = (
        bars["end"][days - 1 :: days],
        bars["close"][days - 1 :: days],
        interval,
    )
    made["high"] = np.maximum.reduceat(bars["high"], np.arange(0, len(bars), days))
    made["low"] = np.minimum.reduceat(bars["low"], np.arange(0, len(bars), days))
    return Series(series.symbol, interval, made, series.source)


def test_parameters_may_choose_what_is_shown_besides(series):
    """Each combination sees its own longer interval: it has the figures of its own run, and the account sees all."""
    strategy = find("trend-cross")
    held = {one.interval: one for one in (series, longer(series, Interval.W1, 7), longer(series, Interval.MO1, 28))}
    space = {"fast": "2", "slow": "5", "trend_interval": "1w,1M", "trend": "2,3"}
    hunt = Hunt(space=space)
    with Evaluator(planned(strategy), strategy, lambda _symbol, interval, *_: held[interval], loops(), jobs=1) as bench:
        found = walk_forward(bench, hunt, Walk(train="150d", test="60d"), loops())

    assert len({one.parameters["trend_interval"] for one in found.windows}) == 2
    for one in found.windows:

        def known(_symbol, interval, *_, fold=one.fold):
            bars = held[interval].bars
            return cut(held[interval], bars[(bars["start"] >= fold.train_from) & (bars["end"] <= fold.test_from)])

        alone = run(planned(strategy, parameters=one.parameters), strategy, known, loops())
        assert alone.metrics.plain()["sharpe"] == one.learned["sharpe"]
    assert math.prod(1 + one.tested.total_return for one in found.windows) == pytest.approx(
        1 + found.run.metrics.total_return
    )


def test_two_symbols_are_traded_together_and_ended_where_others_take_over(series):
    """The pair places orders: each window begins with nothing held of either."""
    strategy, other = find("pair"), noisy(seed=6)
    held = {"BTCUSD": series, "ETHUSD": Series(Symbol("SIM", "ETHUSD"), Interval.D1, other.bars, "test")}
    plan = planned(strategy).model_copy(update={"symbols": ("SIM:BTCUSD", "SIM:ETHUSD")})
    hunt = Hunt(space={"length": "10,20", "enter": "1,1.5"})
    with Evaluator(plan, strategy, lambda symbol, *_: held[symbol.ticker], loops(), jobs=1) as bench:
        found = walk_forward(bench, hunt, DAYS, loops())
    trades, ends = found.run.outcome.trades, series.bars["end"]

    assert set(trades["symbol"].tolist()) == {0, 1}
    assert math.prod(1 + one.tested.total_return for one in found.windows) == pytest.approx(
        1 + found.run.metrics.total_return
    )
    for before, one in pairwise(found.windows):
        if before.parameters != one.parameters:
            first = ends[np.searchsorted(ends, one.fold.test_from, side="right")]
            across = (trades["entry_time"] < one.fold.test_from) & (trades["exit_time"] > first)
            assert not across.any()
