"""Twelve buckets at once: the loops over a stream's intervals as vector instructions.

Written out as four lanes three times, since the compiler unrolls a loop of twelve into single steps before it looks
for vectors. A mask has bit i for bucket i. Rows are given by their addresses: `memory.figures_at` and `bounds_at`.
"""

from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

from market.ticks import NEVER
from operators.layout import BUCKETS, HIGH, LOW, NOTIONAL, OPEN, VOLUME

_WIDTH: Final = 4
_PARTS: Final = BUCKETS // _WIDTH
_ROW: Final = BUCKETS * 8
_INT, _FLOAT, _BIT = ir.IntType(64), ir.DoubleType(), ir.IntType(1)


def _splat(builder: Any, value: Any) -> Any:
    """The value in each lane."""
    lanes = ir.Constant(ir.VectorType(value.type, _WIDTH), ir.Undefined)
    for lane in range(_WIDTH):
        lanes = builder.insert_element(lanes, value, ir.IntType(32)(lane))
    return lanes


def _place(builder: Any, address: Any, kind: Any, row: int, part: int) -> Any:
    """Where four lanes of a row lie."""
    start = builder.add(address, _INT(row * _ROW + part * _WIDTH * 8))
    return builder.inttoptr(start, ir.VectorType(kind, _WIDTH).as_pointer())


def _chosen(builder: Any, mask: Any, part: int) -> Any:
    """Four bits of a mask as lanes."""
    bits = builder.trunc(builder.lshr(mask, _INT(part * _WIDTH)), ir.IntType(_WIDTH))
    return builder.bitcast(bits, ir.VectorType(_BIT, _WIDTH))


def _at_most(_context: Any, address: Any, value: Any) -> Any:  # noqa: ARG001 - the types of a call.
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        limit = _splat(builder, arguments[1])
        found: Any = _INT(0)
        for part in range(_PARTS):
            lanes = builder.load(_place(builder, arguments[0], _INT, 0, part), align=8)
            bits = builder.bitcast(builder.icmp_signed("<=", lanes, limit), ir.IntType(_WIDTH))
            found = builder.or_(found, builder.shl(builder.zext(bits, _INT), _INT(part * _WIDTH)))
        return found

    return types.int64(types.int64, types.int64), generate


def _least(_context: Any, address: Any, mask: Any) -> Any:  # noqa: ARG001 - the types of a call.
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        never = _splat(builder, _INT(NEVER))
        found = never
        for part in range(_PARTS):
            lanes = builder.load(_place(builder, arguments[0], _INT, 0, part), align=8)
            lanes = builder.select(_chosen(builder, arguments[1], part), lanes, never)
            found = builder.select(builder.icmp_signed("<", lanes, found), lanes, found)
        least = builder.extract_element(found, ir.IntType(32)(0))
        for lane in range(1, _WIDTH):
            one = builder.extract_element(found, ir.IntType(32)(lane))
            least = builder.select(builder.icmp_signed("<", one, least), one, least)
        return least

    return types.int64(types.int64, types.int64), generate


def _join(_context: Any, address: Any, minute: Any, fresh: Any, ended: Any) -> Any:  # noqa: ARG001 - the types of a call.
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        address, minute, fresh, ended = arguments
        values = [builder.extract_value(minute, place) for place in range(5)]
        for row, begin in ((OPEN, 0.0), (HIGH, float("-inf")), (LOW, float("inf")), (VOLUME, 0.0), (NOTIONAL, 0.0)):
            value, empty = _splat(builder, values[row]), _splat(builder, _FLOAT(begin))
            for part in range(_PARTS):
                place = _place(builder, address, _FLOAT, row, part)
                held = builder.load(place, align=8)
                if row == OPEN:
                    made = builder.select(_chosen(builder, fresh, part), value, held)
                elif row == HIGH:
                    made = builder.select(builder.fcmp_ordered(">", value, held), value, held)
                elif row == LOW:
                    made = builder.select(builder.fcmp_ordered("<", value, held), value, held)
                else:
                    made = builder.fadd(held, value)
                if row != OPEN:
                    made = builder.select(_chosen(builder, ended, part), empty, made)
                builder.store(made, place, align=8)
        return _INT(0)

    figures: Any = types.UniTuple(types.float64, 5)  # type: ignore[no-untyped-call]
    return types.int64(types.int64, figures, types.int64, types.int64), generate


def _count(_context: Any, address: Any, number: Any, ended: Any) -> Any:  # noqa: ARG001 - the types of a call.
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        address, number, ended = arguments
        more, nothing = _splat(builder, number), _splat(builder, _INT(0))
        for part in range(_PARTS):
            place = _place(builder, address, _INT, 0, part)
            made = builder.add(builder.load(place, align=8), more)
            builder.store(builder.select(_chosen(builder, ended, part), nothing, made), place, align=8)
        return _INT(0)

    return types.int64(types.int64, types.int64, types.int64), generate


def _lowest(_context: Any, mask: Any) -> Any:  # noqa: ARG001 - the types of a call.
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _BIT(0))

    return types.int64(types.int64), generate


Lanes = Callable[..., Any]

at_most: Final[Lanes] = intrinsic(_at_most)
"""`at_most(row, value)`: mask of the buckets whose int64 in the row is no more than the value."""

least: Final[Lanes] = intrinsic(_least)
"""`least(row, mask)`: smallest int64 of the masked buckets in the row; `NEVER` if there are none."""

join: Final[Lanes] = intrinsic(_join)
"""`join(figures, minute, fresh, ended)`: add a minute to all buckets of a stream.

The minute is (open, high, low, volume, notional), in the order of the rows. Its open becomes that of `fresh` buckets.
`ended` buckets become empty instead, but for their open, which nobody reads.
"""

count: Final[Lanes] = intrinsic(_count)
"""`count(row, number, ended)`: add a number to each int64 in the row; `ended` buckets become 0 instead."""

lowest: Final[Lanes] = intrinsic(_lowest)
"""`lowest(mask)`: place of the lowest bit that is set; the mask must not be 0."""
