"""Which of two lines is above: what a cross is a change of."""

from trading.jit import compiles_inlined


@compiles_inlined
def side_of(before: float, difference: float) -> float:
    """The sign of the difference: 1, -1; `before` where it is 0 or not known yet, since a tie keeps the side.

    A cross is a bar on which this changes; 0 as `before` says that there has been no side yet.
    """
    if difference > 0.0:
        return 1.0
    if difference < 0.0:
        return -1.0
    return before
