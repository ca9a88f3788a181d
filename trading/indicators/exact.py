"""Sums and products of two numbers together with what rounding takes from them."""

from typing import Any, Final

from numba.extending import overload

from trading.jit import INLINED, fused_sum, fuses, inlined

SPLIT: Final = 134217729.0
"""2^27 + 1: parts a float64 into two halves whose products have no more digits than a float64."""


@inlined
def exact_sum(a: float, b: float) -> tuple[float, float]:
    """`a + b` rounded, and what that lost; together they are the sum.

    Source: D. Knuth, The Art of Computer Programming 2, 4.2.2.
    """
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


@inlined
def exact_product(a: float, b: float) -> tuple[float, float]:
    """`a * b` rounded, and what that lost; for factors and products of 1e-140 to 1e290.

    Source: T. J. Dekker, A floating-point technique for extending the available precision, 1971.
    """
    product = a * b
    a_high = a * SPLIT
    a_high -= a_high - a
    a_low = a - a_high
    b_high = b * SPLIT
    b_high -= b_high - b
    b_low = b - b_high
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def remainder(total: float, guess: float, length: float) -> float:
    """`total - guess * length`, exact where the guess is so near to `total / length` that few digits are left.

    Compiled it is one instruction of the processor, where that has it.
    """
    high = guess * SPLIT
    high -= high - guess
    low = guess - high
    # Exact: a half times a length below 2^26 is, and so is the difference of neighbours.
    return (total - high * length) - low * length


@overload(remainder, jit_options=INLINED)
def _remainder_compiled(total: Any, guess: Any, length: Any) -> Any:
    _ = (total, guess, length)
    if not fuses():
        return remainder

    def fused(total: Any, guess: Any, length: Any) -> Any:
        return fused_sum(-guess, length, total)

    return fused
