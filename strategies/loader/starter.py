"""The file that a user's own strategy begins as: it runs as it is written."""

from pathlib import Path
from typing import Final

from strategies.interface import StrategyError
from strategies.loader.files import OURS, name_of

STARTER: Final = '''"""Long while the close is above its moving average, short while it is below: NAME.

This text is the strategy's help; its first line is what `pq strategies` shows.
"""

import numpy as np
from pydantic import BaseModel, Field

from strategies.interface import KEEP, Needs
from trading.indicators.crossing import side_of
from trading.indicators.sma import sma_begin, sma_next


class Parameters(BaseModel):
    """What can be set with --param, and swept: int, float, bool or an IntEnum."""

    length: int = Field(default=20, ge=1, le=10_000, description="bars of the moving average")
    shorts: bool = Field(default=True, description="go short below the average; flat if not")


def needs(p):
    """What has to be known before the first decision; other intervals may be asked for here too."""
    return Needs(warm_up=p.length)


def begin(p):
    """All that is remembered from bar to bar: a tuple of NumPy arrays, changed in place."""
    return sma_begin(p.length), np.zeros(1)


def decide(state, bar, p):
    """Called with each closed bar: the exposure to hold (1 long, -1 short, 0 flat, 0.5 half), or KEEP.

    `bar` has open, high, low, close, volume, start and end. The order is filled at the next bar's open. No clock, no
    files, no randomness: the same bars must always get the same decisions.
    """
    average = sma_next(state[0], bar.close)
    side = side_of(state[1][0], bar.close - average)
    if side == state[1][0]:
        return KEEP
    state[1][0] = side
    return max(side, -1.0 if p.shorts else 0.0)
'''


def write_starter(name: str, folder: Path) -> Path:
    """Write a strategy that runs into a user's folder, and return its path.

    Raises:
        StrategyError: The name is none or taken, or the folder cannot be written.
    """
    file = f"{name.strip().lower().replace('-', '_')}.py"
    path = folder / file
    wanted = name_of(path)
    if wanted is None or Path(file).name != file:
        msg = f"strategy name {name!r}: letters, digits and -, beginning with a letter, such as my-first"
        raise StrategyError(msg)
    if wanted in OURS:
        msg = f"strategy name {wanted} is one of ours; choose another"
        raise StrategyError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as out:
            out.write(STARTER.replace("NAME", wanted))
    except OSError as error:
        if path.exists():
            msg = f"strategy file {path} is there already; nothing was written"
            raise StrategyError(msg) from error
        msg = f"strategy file {path} cannot be written: {error.strerror or error}"
        raise StrategyError(msg) from error
    return path
