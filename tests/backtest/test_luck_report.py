"""A run's reports say whether it is luck, in words, as a table and as a picture."""

import json
import re

import plotly.graph_objects
import pytest
from ran.report import report

from backtest.luck_words import said_of_one
from backtest.monte_carlo import said
from backtest.report import DRAWN_COLUMNS, drawn_rows
from backtest.report_html import html
from backtest.report_md import markdown
from backtest.report_pictures import pictures


@pytest.fixture(scope="module")
def asked():
    return report(luck=True)


def test_both_reports_say_it_in_the_same_sentences(asked):
    page, text = html(asked).replace("&#39;", "'"), markdown(asked)

    for sentence in (said_of_one(asked.odds), said(asked.drawn)):
        assert sentence in page
        assert sentence in text
    assert text.count("## Is it luck?") == page.count("<h2>Is it luck?</h2>") == 1


def test_the_table_has_the_run_beside_what_was_drawn(asked):
    rows = drawn_rows(asked.drawn)

    assert {len(row) for row in rows} == {len(DRAWN_COLUMNS)}
    assert DRAWN_COLUMNS[1:] == ("the run", "5 %", "25 %", "50 %", "75 %", "95 %")
    assert f"| {' | '.join(rows[0])} |" in markdown(asked)
    assert all(f"<td>{text}</td>" in html(asked) for row in rows for text in row)


def test_the_fan_is_what_plotly_takes_and_has_the_run_in_it(asked):
    """Its own checks refuse an attribute that it does not know; a band fills to the line before it."""
    fan = pictures(asked)["fan"]
    drawn = json.loads(re.search(r'id="pictures">(.*?)</script>', html(asked), re.DOTALL)[1])

    plotly.graph_objects.Figure(fan["data"], fan["layout"])
    assert drawn["fan"] == fan
    assert [line["name"] for line in fan["data"]] == ["5 %", "nine of ten", "25 %", "half of them", "median", "the run"]
    assert [line.get("fill") for line in fan["data"]] == [None, "tonexty", None, "tonexty", None, None]
    assert fan["data"][-1]["y"][-1] == pytest.approx(asked.drawn.path[-1])


def test_too_few_trades_leave_the_table_out():
    few = report(rows=((1, 0.01), (-1, -0.01)), luck=True)

    assert few.drawn is None
    assert "fan" not in pictures(few)
    assert "## Is it luck?" in markdown(few)
    assert "drawn with replacement" not in markdown(few) + html(few).split("<script>")[0]


def test_what_was_not_asked_is_not_said():
    assert "luck" not in markdown(report())
    assert "Is it luck?" not in html(report())
