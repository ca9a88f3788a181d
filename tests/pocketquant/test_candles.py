"""Candles in a terminal, drawn by hand on a small grid."""

from pocketquant.candles import DOWN, UP, Candle, draw

MINUTE = 60 * 10**9


def test_bodies_and_wicks_are_where_the_prices_are():
    """Prices 0 to 7 on four rows: two half cells a row, so each half cell is one price step."""
    up = Candle(0, open=2, high=7, low=0, close=5, volume=1)
    down = Candle(MINUTE, open=3, high=3, low=0, close=1, volume=2)

    picture = [line[:2] for line in draw([up, down], 4, colour=False)]

    assert picture[:5] == [
        "│ ",  # 7 and 6: the wick of the first
        "█ ",  # 5 and 4: its body
        "██",  # 3 and 2: both bodies
        "│▀",  # 1 and 0: wick; the second's body hides its wick in the upper half
        "▄█",  # volumes 1 and 2
    ]


def test_one_price_is_drawn_too():
    """A market that did not move has no range to divide by."""
    lines = draw([Candle(0, 5, 5, 5, 5, 0)], 3, colour=False)
    assert any("▄" in line or "▀" in line or "█" in line for line in lines)


def test_colour_tells_up_from_down():
    rising, falling = Candle(0, 1, 2, 1, 2, 0), Candle(MINUTE, 2, 2, 1, 1, 0)
    assert UP in "".join(draw([rising], 3, colour=True))
    assert DOWN not in "".join(draw([rising], 3, colour=True))
    assert DOWN in "".join(draw([falling], 3, colour=True))
