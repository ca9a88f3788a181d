"""The stationary bootstrap: histories that might have been, made of pieces of the one that was.

Pieces begin anywhere, are of random length around a mean, and wrap from the last period to the first: so what days in a
row have to do with each other is kept within a piece.
Source: Politis and Romano, The Stationary Bootstrap, JASA 89 (1994); for the mean length Politis and White, Automatic
Block-Length Selection for the Dependent Bootstrap, Econometric Reviews 23 (2004), as corrected by Patton, Politis and
White, Econometric Reviews 28 (2009).
"""

from math import ceil, log10, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backtest.curve import Numbers

_LEAST: Final = 10
"""Of fewer periods no autocorrelation can be told."""
_INSIGNIFICANT: Final = 5
"""Autocorrelations in a row that must be small before those after them are taken for nothing."""


def drawn(rng: np.random.Generator, resamples: int, periods: int, block: float) -> NDArray[np.int64]:
    """Places of the periods of each resample: int64[resamples, periods].

    Args:
        rng: Where chance comes from.
        resamples: How many histories.
        periods: In each, as many as there were.
        block: Mean length of a piece, periods; 1 draws each period by itself.
    """
    begins = rng.random((resamples, periods)) < 1 / max(block, 1.0)
    starts = rng.integers(0, periods, (resamples, periods))
    steps = np.arange(periods)
    # Of each period the place in its history at which its piece began; a piece goes on by one from any place.
    begun = np.maximum.accumulate(np.where(begins, steps, 0), axis=1)
    places: NDArray[np.int64] = (np.take_along_axis(starts, begun, axis=1) + steps) % periods
    return places


def weights(rng: np.random.Generator, resamples: int, periods: int, block: float) -> Numbers:
    """How often each period is in each resample: float64[resamples, periods], whose rows add up to `periods`.

    Enough for a mean, which does not ask for the order.
    """
    places = drawn(rng, resamples, periods, block) + periods * np.arange(resamples)[:, None]
    counted = np.bincount(places.ravel(), minlength=resamples * periods)
    return counted.reshape(resamples, periods).astype(np.float64)


def block_length(values: Numbers) -> float:
    """The mean length of pieces, periods, that estimates the deviation of the mean best; 1 of independent values.

    As the authors' own program has it: the first of five small autocorrelations in a row ends those that count, and no
    length is above a third of the periods or three times their root.

    Args:
        values: One a period, in order.
    """
    count = len(values)
    if count < _LEAST:
        return 1.0
    away = values - values.mean()
    variance = float(away @ away) / count
    if variance <= 0:
        return 1.0
    most = min(ceil(sqrt(count)) + _INSIGNIFICANT, count - 1)
    covariances = np.array([float(away[lag:] @ away[: count - lag]) / count for lag in range(most + 1)])
    large = np.abs(covariances[1:] / variance) >= 2 * sqrt(log10(count) / count)
    last = _first_small(large)
    window = min(2 * last, most)
    lags = np.arange(1, window + 1)
    # The flat-top window: whole for the first half, then falling to nothing.
    taper = np.where(lags <= window / 2, 1.0, 2 * (1 - lags / window))
    spread = variance + 2 * float(taper @ covariances[1 : window + 1])
    slope = 2 * float(taper @ (lags * covariances[1 : window + 1]))
    if spread == 0:
        return 1.0
    found = (slope**2 / spread**2 * count) ** (1 / 3)
    return float(min(max(found, 1.0), ceil(min(3 * sqrt(count), count / 3))))


def _first_small(large: NDArray[np.bool_]) -> int:
    """The lag (from 1) of the first of five small autocorrelations in a row; without such a row the last large lag."""
    for lag in range(1, len(large) - _INSIGNIFICANT + 2):
        if not large[lag - 1 : lag - 1 + _INSIGNIFICANT].any():
            return lag
    return int(np.flatnonzero(large)[-1]) + 1 if large.any() else 1
