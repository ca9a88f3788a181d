"""A sweep says of each combination what its own backtest would, whoever tries it, and names the best."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from ran.report import bars
from ran.running import loops
from ran.sweeping import BTC, evaluator, figures_of, planned, swept, waves, written

from backtest import evaluator as evaluating
from backtest.reading import Series
from backtest.running import run
from backtest.searching import begin_search, carry_out
from backtest.space import read_space
from backtest.sweep import Hunt, ranked
from backtest.trying import Window
from market.errors import DeskError
from market.intervals import Interval
from strategies.loader.files import find

GRID = {"fast": "2:8:3", "slow": "5:20:5"}


def same(one, other):
    """Candidates that do not differ in anything."""
    assert one.parameters == other.parameters
    assert_frame_equal(one.figures, other.figures, check_exact=True)
    assert np.array_equal(one.daily, other.daily)
    assert np.array_equal(one.days, other.days)


def test_each_candidate_has_the_figures_and_returns_of_its_own_backtest():
    found = swept(GRID)
    series, strategy = waves(), find("sma-cross")

    assert len(found.candidates.parameters) == 10
    for place, parameters in enumerate(found.candidates.parameters):
        alone = run(planned(strategy, parameters=parameters), strategy, lambda *_: series, loops())
        assert_frame_equal(found.candidates.figures[place], figures_of(alone.metrics), check_exact=True)
        equity = np.cumprod(1 + found.candidates.daily[place]) * 10_000
        assert equity == pytest.approx(alone.outcome.curve.equity, rel=1e-12)
    first_day = int(series.bars["start"][0]) // (86_400 * 10**9)
    assert found.candidates.days[0] == first_day
    assert len(found.candidates.days) == 400


def test_the_best_is_run_in_full_and_checked_for_look_ahead():
    found = swept(GRID)

    assert found.candidates.figures["sharpe"][found.best] == found.candidates.figures["sharpe"].max()
    assert found.run.plan.parameters == found.candidates.parameters[found.best]
    assert found.run.metrics.sharpe == found.candidates.figures["sharpe"].max()
    assert ("look-ahead check", "passed at 25 places") in found.run.report.facts


def test_less_is_better_of_a_drawdown_and_what_cannot_be_said_is_never_the_best():
    found = swept({**GRID, "slow": "5,10,20,390"}, metric="drawdown_max", least_trades=2)
    few = found.candidates.figures.filter(pl.col("trades") < 2)

    assert len(few) > 0
    assert found.candidates.figures["drawdown_max"][found.best] > few["drawdown_max"].min()
    depths = found.candidates.figures["drawdown_max"].to_numpy()[found.order]
    assert (np.diff(depths) >= 0).all()
    assert len(found.order) == len(found.candidates.parameters) - len(few)


def test_combinations_that_the_strategy_refuses_are_counted_with_an_example():
    """Fast 2, 5, 8 against slow 5, 10: 5 and 8 are not below 5."""
    found = swept({"fast": "2:8:3", "slow": "5,10"})

    assert len(found.candidates.parameters) == 4
    assert found.refused.number == 2
    assert found.refused.examples == ("fast 5 is not below slow 5", "fast 8 is not below slow 5")


def test_a_combination_that_goes_wrong_is_left_out_with_its_sentence():
    """The others are worth having."""
    decide = "def decide(state, bar, p):\n    return 1.0 / (p.length - 3)"
    found = swept({"length": "2:5"}, written(decide))

    assert [one["length"] for one in found.candidates.parameters] == [2, 4, 5]
    assert [one.parameters for one in found.failed] == [{"length": 3}]
    assert "strategy written: decide() raised ZeroDivisionError" in found.failed[0].why


WRONG = """def wrong(length, at):
    if length == at:
        raise ValueError(f"not {at}")


def needs(p):
    wrong(p.length, 1)
    return Needs()


def begin(p):
    wrong(p.length, 2)
    return ()


def decide(state, bar, p):
    wrong(p.length, 3)
    return 1.0 if p.length != 4 else float("nan")
"""


def test_wherever_a_strategy_goes_wrong_the_other_combinations_go_on():
    """Also if the first of all does."""
    found = swept({"length": "1:6"}, written(WRONG))

    assert [one["length"] for one in found.candidates.parameters] == [5, 6]
    assert [one.parameters["length"] for one in found.failed] == [1, 2, 3, 4]
    said = ("needs() raised ValueError: not 1", "begin() raised ValueError: not 2", "not 3 on the 1d bar", "NaN on the")
    assert [words in one.why for words, one in zip(said, found.failed, strict=True)] == [True] * 4


def test_too_few_bars_for_one_are_enough_for_another():
    found = swept({"fast": "2", "slow": "5,500"})

    assert [one["slow"] for one in found.candidates.parameters] == [5]
    assert found.failed[0].why == "there are 400 bars, and the strategy wants more than 500 to warm up"


@pytest.mark.parametrize(
    ("space", "hunt", "words"),
    [
        ({}, {}, "nothing to sweep: every parameter of sma-cross has one value: give one a range"),
        ({"fast": "9"}, {}, "nothing to sweep"),
        ({"fast": "30:40", "slow": "20"}, {}, "takes none of the combinations: fast 30 is not below slow 20"),
        ({"fast": "30:40", "slow": "20"}, {"search": "tpe"}, "takes none of the combinations"),
        ({"fast": "30:40", "slow": "20"}, {"search": "random"}, "takes none of the combinations"),
        ({"fast": "5:10", "slow": "500"}, {}, "nothing came of any of the 6 combinations; of the first: there are 400"),
        ({"fast": "*", "slow": "*"}, {}, "more than 100,000: give it longer steps"),
        ({"fast": "5:10"}, {"metric": "luck"}, "--metric 'luck' is none of sharpe sortino"),
        ({"fast": "5:10"}, {"least_trades": 10_000}, "none of 6 combinations has 10,000 trades and a sharpe"),
    ],
)
def test_what_cannot_be_swept_is_one_sentence(space, hunt, words):
    with pytest.raises(DeskError) as error:
        swept(space, **hunt)

    assert words in str(error.value)


def test_what_would_not_fit_is_refused_after_the_first(monkeypatch):
    """400 days of 8 bytes: so many fit as 4,000 bytes have room for."""
    monkeypatch.setattr(evaluating, "RETURNS_MAX", 4_000)
    with pytest.raises(DeskError, match=r"12 combinations on 400 days are more than fit: try up to 1, such as with"):
        swept(GRID)


def test_a_strategy_that_looks_ahead_is_found_out():
    """In plain Python the later bars are in the same lists."""
    decide = """def decide(state, bar, p):
    closes = bar.columns["close"]
    after = min(bar.row + p.length, len(closes) - 1)
    return 1.0 if closes[after] > closes[bar.row] else -1.0"""

    with pytest.raises(DeskError, match=r"look-ahead: the decision on the 1d bar"):
        swept({"length": "1:3"}, written(decide))


@pytest.mark.parametrize("how", ["random", "tpe"])
def test_a_search_is_the_same_on_any_number_of_cores_and_another_with_another_seed(how, monkeypatch):
    space = {"fast": "2:30", "slow": "5:60"}
    alone = swept(space, search=how, trials=20, seed=5)
    monkeypatch.setattr(evaluating, "THREADS_FROM", 0)
    threaded = swept(space, search=how, trials=20, seed=5, jobs=3)
    other = swept(space, search=how, trials=20, seed=6)

    assert len(alone.candidates.parameters) == 20
    same(alone.candidates, threaded.candidates)
    assert alone.candidates.parameters != other.candidates.parameters


def test_no_combination_is_tried_twice_and_a_small_space_is_exhausted():
    """What was tried is known: to try it again would count as another chance."""
    for how in ("random", "tpe"):
        found = swept({"fast": "2,3,4", "slow": "4,10"}, search=how, trials=50)
        tried = [tuple(one.items()) for one in found.candidates.parameters]
        assert len(tried) == len(set(tried)) == 5
        assert found.refused.number == 1


def test_tpe_learns_from_what_it_is_told():
    """Of 5,000 pairs it comes nearer to the one at the top than as many by chance."""

    def nearest(how):
        space = read_space(find("sma-cross"), {"fast": "1:50", "slow": "51:150"})
        search = begin_search(space, find("sma-cross"), how, 80, 1)
        tried = []

        def told(batch):
            tried.extend(-((one.fast - 20) ** 2) - (one.slow - 100) ** 2 for one in batch)
            return tried[-len(batch) :]

        carry_out(search, told)
        return max(tried), float(np.median(tried))

    assert nearest("tpe")[0] >= nearest("random")[0]
    assert nearest("tpe")[1] > nearest("random")[1] / 2


def test_a_window_is_what_a_backtest_of_those_bars_alone_is():
    series, strategy = waves(), find("sma-cross")
    starts = series.bars["start"]
    begin, traded, end = (int(starts[place]) for place in (50, 80, 300))
    cut = Series(BTC, Interval.D1, series.bars[50:300], "test")
    chosen = strategy.read_parameters({"fast": 3, "slow": 12})
    with evaluator(strategy, series) as bench:
        found, _ = bench.candidates([chosen], Window(begin, traded, end))
        again, _ = bench.candidates([chosen])
    plan = planned(strategy, parameters={"fast": 3, "slow": 12}, trade_from=traded)
    alone = run(plan, strategy, lambda *_: cut, loops())

    assert_frame_equal(found.figures, figures_of(alone.metrics), check_exact=True)
    assert len(found.days) == 220
    assert len(again.days) == 400


def test_equals_stay_in_the_order_in_which_they_were_tried():
    """Two combinations of one meaning: the first is the best, not whichever a sort leaves first."""
    decide = "def decide(state, bar, p):\n    return 1.0"
    found = swept({"length": "1:9"}, written(decide))

    assert found.order.tolist() == list(range(9))
    assert ranked(found.candidates, Hunt(space={}, metric="volatility")).tolist() == list(range(9))


def test_longer_intervals_are_read_once_each_and_seen_where_they_are_wanted():
    """A parameter may be an interval: each needs other bars."""
    strategy = find("trend-cross")
    hours = bars(600, 3_600 * 10**9, weekends=True)
    hours["interval"], hours["state"] = Interval.H1, 1
    read = []

    def reads(symbol, interval, _start, _end):
        read.append(interval)
        if interval is Interval.H1:
            return Series(symbol, interval, hours, "test")
        every = interval.minutes // 60
        made = hours[every - 1 :: every].copy()
        made["start"], made["interval"] = hours["start"][::every][: len(made)], interval
        made["open"] = hours["open"][::every][: len(made)]
        made["high"], made["low"] = 200, 50
        return Series(symbol, interval, made, "test")

    plan = planned(strategy).model_copy(update={"interval": "1h", "symbols": (str(BTC),)})
    space = read_space(strategy, {"trend_interval": "2h,4h", "fast": "2,3", "slow": "8", "trend": "5"})
    with evaluating.Evaluator(plan, strategy, reads, loops(), jobs=1) as bench:
        found, _ = bench.candidates([strategy.read_parameters(one) for one in space.grid()])
    alone = run(plan.model_copy(update={"parameters": found.parameters[2]}), strategy, reads, loops())

    assert found.figures["sharpe"][2] == alone.metrics.sharpe
    assert found.figures["trades"].to_list() != [0] * 4
    assert read.count(Interval.H2) == 1 + (found.parameters[2]["trend_interval"] == "2h")
