"""A heat map in the terminal says the figures and colours the best green."""

import pytest
from ran.sweeping import swept

from backtest.sweep_report import report_of
from pocketquant.heat import heat_lines


@pytest.mark.parametrize(("metric", "least"), [("sharpe", False), ("drawdown_max", True)])
def test_the_best_cell_is_green_and_the_worst_is_red(metric, least):
    """Of a drawdown less is better."""
    done = swept({"fast": "2,3", "slow": "5,8,20"}, metric=metric)
    figures = done.candidates.figures[metric].to_list()
    title, head, *lines = heat_lines(report_of(done), 80)
    colours = {
        (slow, fast): str(span.style)
        for line in lines
        for fast, span in zip((2, 3), line.spans, strict=True)
        for slow in [int(line.plain.split()[0])]
    }
    best, worst = (sorted(range(6), key=figures.__getitem__, reverse=not least)[place] for place in (0, -1))
    named = [(one["slow"], one["fast"]) for one in done.candidates.parameters]

    assert "by fast (across) and slow (down)" in title.plain
    assert head.plain.split() == ["2", "3"]
    assert colours[named[best]] == "bold black on rgb(46,158,107)"
    assert colours[named[worst]] == "black on rgb(209,73,91)"


def test_what_was_not_tried_is_a_dash_and_what_does_not_fit_is_not_drawn():
    report = report_of(swept({"fast": "2,5", "slow": "5,8"}))

    assert heat_lines(report, 80)[2].plain.split()[-1] == "-"
    assert heat_lines(report, 8) == []
    assert heat_lines(report_of(swept({"fast": "2,5"})), 80) == []
