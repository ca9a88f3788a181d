"""The pictures in artifacts say what the numbers say."""

import io
import math

import pytest
from matplotlib.colors import to_hex

from flows import pictures
from flows.pictures import DayShare

MONDAY = 20_454
"""2026-01-01 is a Thursday, day 20,454 of 1970's; the Monday before it is three earlier."""


def drawn(figure):
    """The picture's bytes: whatever cannot be drawn fails here."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=40)
    return file.getvalue()


def test_a_day_stands_in_its_week_and_on_its_weekday():
    """2026-01-01 is a Thursday and 2026-01-05 a Monday, which begins the next column."""
    found = pictures.squares([DayShare(MONDAY, 0.25), DayShare(MONDAY + 4, 1.0)])
    assert found.shape == (7, 2)
    assert (found[3, 0], found[0, 1]) == (0.25, 1.0)
    assert sum(not math.isnan(share) for share in found.flat) == 2


@pytest.mark.parametrize("days", [1, 5, 400, 2000], ids=lambda days: f"{days} days")
def test_a_calendar_is_drawn_however_much_is_held(days):
    """One day at least; of many years the last."""
    series = [(f"SIM:S{n} 1m", [DayShare(MONDAY + day, day % 2) for day in range(days)]) for n in range(2)]
    assert drawn(pictures.calendar(series)).startswith(b"\x89PNG")


@pytest.mark.parametrize("count", [1, 26, 365])
def test_columns_and_bars_are_drawn_however_many(count):
    day = 86_400 * 10**9
    assert drawn(pictures.columns([((MONDAY + n) * day, n / 10) for n in range(count)], "minutes"))
    assert drawn(pictures.bars([(f"SIM:S{n} 1m", n / count, 0.0) for n in range(min(count, 40))], "equal bars"))


def test_what_is_known_to_be_doubtful_is_no_red():
    """On a desk's first day each longer bar is one that began before it."""
    figure = pictures.bars([("a", 0.0, 1.0), ("b", 0.75, 0.25), ("c", 0.75, 0.0)], "equal bars")
    scores = figure.axes[0].containers[0]
    assert [to_hex(patch.get_facecolor()) == to_hex("tab:red") for patch in reversed(scores)] == [False, False, True]
