"""Candles in a terminal, drawn with half-block characters: one column a bar, two price steps a row."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from pocketquant.times import format_time


class Candle(NamedTuple):
    """What is drawn of a bar."""

    start: int
    """ns."""
    open: float
    high: float
    low: float
    close: float
    volume: float


UP: Final = "\x1b[32m"
DOWN: Final = "\x1b[31m"
PLAIN: Final = "\x1b[0m"

_LEVELS: Final = " ▁▂▃▄▅▆▇█"
_EMPTY, _WICK, _BODY = 0, 1, 2
_CELLS: Final = {
    # (upper half, lower half): a body hides the wick that shares its cell.
    (_EMPTY, _EMPTY): " ",
    (_EMPTY, _WICK): "╷",
    (_WICK, _EMPTY): "╵",
    (_WICK, _WICK): "│",
    (_EMPTY, _BODY): "▄",
    (_WICK, _BODY): "▄",
    (_BODY, _EMPTY): "▀",
    (_BODY, _WICK): "▀",
    (_BODY, _BODY): "█",
}


def draw(candles: Sequence[Candle], height: int, *, colour: bool) -> list[str]:
    """Lines of a picture of the candles, with prices at the right and times below.

    Args:
        candles: Oldest first, at least one.
        height: Rows of the price part, >= 2.
        colour: Whether to write the terminal's colour codes: green where the close is at or above the open.
    """
    top, bottom = max(candle.high for candle in candles), min(candle.low for candle in candles)
    step = (top - bottom) / (2 * height - 1) or abs(top) * 1e-9 or 1e-9
    columns = [_column(candle, bottom, step, 2 * height) for candle in candles]
    every = max(1, (height - 1) // 5)
    lines = []
    for row in range(height):
        upper = 2 * (height - row) - 1
        cells = "".join(
            _paint(_CELLS[column[upper], column[upper - 1]], candle, colour)
            for column, candle in zip(columns, candles, strict=True)
        )
        price = bottom + (upper - 0.5) * step
        lines.append(f"{cells} ┤ {_price(price, step)}" if row % every == 0 else f"{cells} │")
    most = max(candle.volume for candle in candles)
    if most > 0:
        volume = "".join(
            _paint(_LEVELS[round(candle.volume / most * (len(_LEVELS) - 1))], candle, colour) for candle in candles
        )
        lines.append(f"{volume} │ volume, at most {most:.6g}")
    first, last = format_time(candles[0].start), format_time(candles[-1].start)
    gap = len(candles) - len(first) - len(last)
    lines.append(f"{first}{' ' * gap}{last}" if gap > 0 else f"{first} to {last}")
    return lines


def _column(candle: Candle, bottom: float, step: float, count: int) -> list[int]:
    """What each half cell of one column holds, the lowest first."""

    def place(price: float) -> int:
        return min(count - 1, max(0, round((price - bottom) / step)))

    column = [_EMPTY] * count
    for half in range(place(candle.low), place(candle.high) + 1):
        column[half] = _WICK
    low, high = sorted((candle.open, candle.close))
    for half in range(place(low), place(high) + 1):
        column[half] = _BODY
    return column


def _paint(cell: str, candle: Candle, colour: bool) -> str:
    if not colour or cell == " ":
        return cell
    return f"{UP if candle.close >= candle.open else DOWN}{cell}{PLAIN}"


def _price(price: float, step: float) -> str:
    """A price with the digits that tell one row from the next."""
    digits = 0
    while step * 2 * 10**digits < 1 and digits < 12:
        digits += 1
    return f"{price:.{digits}f}"
