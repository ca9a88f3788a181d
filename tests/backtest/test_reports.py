"""A report opens without a network, says what the figures say, and draws what the script can draw."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ran.records import START
from ran.report import bars, report

from backtest.curve import DAY_NS
from backtest.report import Chart, worded
from backtest.report_html import TRADES_MAX, html
from backtest.report_md import markdown
from backtest.report_pictures import chart_note, pictures
from backtest.thinning import candles, places


class Page(HTMLParser):
    """What a browser would fetch, and the texts of a page's cells."""

    VOID = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self, text):
        super().__init__()
        self.fetched, self.open, self.cells, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note what it would fetch."""
        found = dict(attrs)
        self.fetched += [found[name] for name in ("src", "href") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """Each end is that of what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Keep the text of a cell."""
        if self.open and self.open[-1] in {"td", "th", "li", "h1", "b"}:
            self.cells.append(data.strip())


def test_a_page_fetches_nothing_and_is_well_formed():
    page = Page(html(report()))

    assert page.fetched == []
    assert page.open == []
    assert {"equity", "chart-0", "trades", "pictures"} <= set(page.ids)


def test_a_page_has_the_script_that_draws_and_the_data_that_is_drawn():
    text = html(report())
    drawn = json.loads(re.search(r'id="pictures">(.*?)</script>', text, re.DOTALL)[1])

    assert "plotly.js v" in text
    assert set(drawn) == {"equity", "chart-0"}


def test_what_is_drawn_is_what_plotly_takes():
    """Its own checks refuse an attribute that it does not know."""
    drawn = pictures(report())

    for picture in drawn.values():
        plotly.graph_objects.Figure(picture["data"], picture["layout"])
    assert [line["type"] for line in drawn["chart-0"]["data"]] == [
        "candlestick",
        "bar",
        "scatter",
        "scatter",
        "scatter",
    ]
    longs, shorts, exits = drawn["chart-0"]["data"][2:]
    assert (len(longs["x"]), len(shorts["x"]), len(exits["x"])) == (40, 0, 40)
    assert longs["x"][0] == "2024-01-01 00:00:00"
    assert exits["text"][0] == "exit at 101: +1.00 %"


def test_a_market_without_weekends_is_drawn_without_holes():
    closed = pictures(report())["chart-0"]["layout"]["xaxis"]
    always = report()._replace(charts=(Chart(report().symbols[0], "1d", bars(30, weekends=True)),))

    assert closed["rangebreaks"] == [{"bounds": ["sat", "mon"]}]
    assert "rangebreaks" not in pictures(always)["chart-0"]["layout"]["xaxis"]


def test_page_and_text_say_the_same_figures():
    made = report()
    page, text = Page(html(made)).cells, markdown(made)

    for name, form in (("total_return", "fraction"), ("sharpe", "number"), ("equity_end", "money")):
        for figures in (made.metrics, made.benchmark):
            said = worded(getattr(figures, name), form, "USD")
            assert said in page
            assert said in text
    for said in ("at the next bar's open", "sma-cross", "2024"):
        assert said in page
        assert said in text


def test_a_name_with_markup_in_it_is_text():
    """A user's own strategy may be called anything, in the page's script as in its text."""
    made = report(title="</script><b>|x", notes=["<img src=x>"])
    page = html(made)

    assert "</script><b>" not in page
    assert Page(page).fetched == []
    assert "\\|x" in markdown(made)
    assert "<img" not in markdown(made)


def test_the_same_report_is_the_same_page_to_the_byte():
    assert html(report()) == html(report())
    assert markdown(report()) == markdown(report())


@pytest.mark.parametrize("rows", [(), ((1, 0.01),)])
def test_a_run_with_next_to_no_trades_has_a_report(rows):
    made = report(rows=rows, days=1)

    assert ("No trades." in html(made)) is (not rows)
    assert ("No trades." in markdown(made)) is (not rows)


def test_a_long_list_of_trades_shows_the_newest_and_says_so():
    made = report(rows=((1, 0.01),) * (TRADES_MAX + 5))
    page = html(made)

    assert page.count("<tr><td>NASDAQ:GOOG</td>") == TRADES_MAX
    assert f"The newest {TRADES_MAX}; all {TRADES_MAX + 5}" in page


def test_notes_come_before_the_figures():
    text = markdown(report(notes=["3 gaps in the bars"]))

    assert text.index("3 gaps in the bars") < text.index("## Figures")


def test_a_million_bars_are_drawn_as_a_few_thousand_candles_with_their_extremes():
    made = bars(100_000, 60 * 10**9, weekends=True)
    made["high"][54_321], made["low"][12_345] = 1e6, 1e-6
    grouped, every = candles(made)

    assert len(grouped) <= 3_000
    assert every == 34
    assert (grouped["high"].max(), grouped["low"].min()) == (1e6, 1e-6)
    assert (grouped["open"][0], grouped["close"][-1]) == (made["open"][0], made["close"][-1])
    assert grouped["volume"].sum() == pytest.approx(made["volume"].sum())
    assert chart_note(Chart(report().symbols[0], "1m", made)) == "Each candle is 34 bars put together."


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(2, 50))
def test_thinning_keeps_ends_and_extremes(values, most):
    line = np.array(values)
    kept = places([line], most)

    assert len(kept) <= most + 4
    assert (kept[0], kept[-1]) == (0, len(line) - 1)
    assert (np.diff(kept) > 0).all()
    assert (line[kept].min(), line[kept].max()) == (line.min(), line.max())


def test_days_of_the_report_are_those_of_the_curve():
    """The picture of the equity has each mark at its moment."""
    drawn = pictures(report())["equity"]["data"][1]

    assert drawn["x"][0] == "2024-01-02 00:00:00"
    assert len(drawn["x"]) == 80
    assert START % DAY_NS == 0
