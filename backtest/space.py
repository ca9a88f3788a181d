"""The parameters that a sweep tries: for each the values it may have, and all of them together as a grid or by chance.

```
fast=10              this value
fast=5,10,20         these
fast=5:50:5          from 5 to 50 in steps of 5, both ends among them if the steps reach them
fast=5:50            every whole number; of a parameter that has fractions any number, which no grid can list
fast=5:500:log8      8 values at equal ratios
fast=5:500:log       any, each ratio as likely as another; not for a grid
rule=*               every member, both positions of a switch; of a number its whole range, as the strategy has it
```
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from math import ceil, exp, isfinite, log, log10, prod
from typing import Any, Final, NamedTuple

import numpy as np

from market.errors import DeskError
from strategies.loader.files import Strategy
from strategies.loader.parameters import Described

VALUES_MAX: Final = 100_000
"""Values of one parameter that are listed."""
AGAIN_MAX: Final = 10_000
"""Combinations drawn in a row that were drawn before, after which there are no others."""

_SWITCH: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Axis(NamedTuple):
    """What one parameter may be."""

    name: str
    values: tuple[Any, ...]
    """All of them in order; empty where it is any number of a range."""
    ordered: bool
    """Whether they are numbers, of which near ones are alike."""
    low: float = 0.0
    """Of the range."""
    high: float = 0.0
    log: bool = False
    """Whether equal ratios are as likely as each other, not equal differences."""
    whole: bool = False

    def drawn(self, rng: np.random.Generator) -> Any:
        """One value by chance."""
        if self.values:
            return self.values[int(rng.integers(len(self.values)))]
        # Of whole numbers the lowest and the highest get their full share too.
        room = 0.5 if self.whole else 0.0
        low, high = self.low - room, self.high + room
        found = exp(rng.uniform(log(low), log(high))) if self.log else rng.uniform(low, high)
        return self.tidy(found)

    def tidy(self, number: float) -> Any:
        """A number of the range with no more digits than anybody would write: a ten-thousandth of it, or four in all.

        >>> Axis("low", (), True, 10, 40).tidy(39.71625249697653), Axis("by", (), True, 0.01, 1, True).tidy(0.0123456)
        (39.72, 0.01235)
        """
        if self.whole:
            return min(max(round(number), int(self.low)), int(self.high))
        digits = 4 - ceil(log10(self.high - self.low))
        found = float(f"{number:.4g}") if self.log else round(float(number), digits)
        return min(max(found, self.low), self.high)


class Space(NamedTuple):
    """All combinations of what the parameters of a strategy may be."""

    strategy: str
    axes: tuple[Axis, ...]
    """Those with more than one value, in the strategy's order."""
    fixed: Mapping[str, Any]
    """Those with one."""

    @property
    def size(self) -> int | None:
        """How many combinations there are; None if they cannot be counted."""
        return prod(len(axis.values) for axis in self.axes) if all(axis.values for axis in self.axes) else None

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every combination, the last parameter's values changing fastest.

        Raises:
            DeskError: A parameter is any number of a range.
        """
        for axis in self.axes:
            if not axis.values:
                step = f"{axis.low:g}:{axis.high:g}:log8" if axis.log else f"{axis.low:g}:{axis.high:g}:STEP"
                msg = (
                    f"parameter {axis.name} may be any number from {axis.low:g} to {axis.high:g}, which no grid can "
                    f"list: write {axis.name}={step}, or use --search random or tpe"
                )
                raise DeskError(msg)
        return (self._at(place) for place in range(self.size or 0))

    def at_random(self, seed: int) -> Iterator[dict[str, Any]]:
        """Combinations by chance, none of them twice; ends when there are no more."""
        rng = np.random.default_rng(seed)
        size = self.size
        if size is not None and size <= VALUES_MAX:
            yield from (self._at(place) for place in rng.permutation(size).tolist())
            return
        seen: set[tuple[Any, ...]] = set()
        again = 0
        while again < AGAIN_MAX:
            drawn = {axis.name: axis.drawn(rng) for axis in self.axes}
            again += 1
            if (key := tuple(drawn.values())) not in seen:
                seen.add(key)
                again = 0
                yield {**self.fixed, **drawn}

    def _at(self, place: int) -> dict[str, Any]:
        """The combination at a place of the grid."""
        found = {}
        for axis in reversed(self.axes):
            place, at = divmod(place, len(axis.values))
            found[axis.name] = axis.values[at]
        return {**self.fixed, **{axis.name: found[axis.name] for axis in self.axes}}


def read_space(strategy: Strategy, given: Mapping[str, Any]) -> Space:
    """What a user wants tried.

    Args:
        strategy: Whose parameters they are.
        given: By name a text as above, a value, or a list of values; a parameter that is not named keeps its default.

    Raises:
        DeskError: A parameter is unknown, a text is not understood, or a value is out of the parameter's range.
    """
    known = {one.name: one for one in strategy.described}
    for name in given:
        if name not in known:
            rule = f"they are {' '.join(known)}" if known else "it has none"
            msg = f"strategy {strategy.name} has no parameter {name!r}: {rule}"
            raise DeskError(msg)
    axes, fixed = [], {}
    for name, one in known.items():
        if name in given:
            axis = _axis(one, as_text(given[name]))
            if len(axis.values) == 1:
                fixed[name] = axis.values[0]
            else:
                axes.append(axis)
    return Space(strategy.name, tuple(axes), fixed)


def as_text(wanted: Any) -> str:
    """What is wanted of one parameter, as `read_space` understands and a manifest keeps it.

    >>> as_text([5, 10]), as_text(True), as_text("5:50:5")
    ('5,10', 'true', '5:50:5')
    """
    if isinstance(wanted, list | tuple):
        return ",".join(as_text(one) for one in wanted)
    return str(wanted).lower() if isinstance(wanted, bool) else str(wanted).strip()


def _axis(one: Described, text: str) -> Axis:
    ordered = one.kind in {int, float}
    if text == "*":
        return _whole_range(one)
    if ":" in text:
        if not ordered:
            msg = f"parameter {one.name} is {one.range}: list what to try, such as {one.name}=*; it is {text!r}"
            raise DeskError(msg)
        return _range(one, text)
    values = [_value(one, part.strip()) for part in text.split(",")]
    if len(set(values)) < len(values):
        msg = f"parameter {one.name} names a value twice: {text}"
        raise DeskError(msg)
    return Axis(one.name, tuple(sorted(values) if ordered else values), ordered)


def _whole_range(one: Described) -> Axis:
    if one.choices:
        return Axis(one.name, one.choices, ordered=False)
    if one.kind is bool:
        return Axis(one.name, (False, True), ordered=False)
    if one.least is None or one.most is None or one.least_excluded or one.most_excluded:
        msg = f"parameter {one.name} has no range with two ends: write {one.name}=LOW:HIGH:STEP instead of *"
        raise DeskError(msg)
    whole = one.kind is int
    return _range(one, f"{int(one.least) if whole else one.least}:{int(one.most) if whole else one.most}")


def _range(one: Described, text: str) -> Axis:
    parts = [part.strip() for part in text.split(":")]
    if len(parts) > 3 or not all(parts):
        msg = f"parameter {one.name}: {text!r} is not LOW:HIGH, LOW:HIGH:STEP or LOW:HIGH:log8"
        raise DeskError(msg)
    low, high = (_decimal(one, part) for part in parts[:2])
    if low >= high:
        msg = f"parameter {one.name}: {text} does not go up from {low} to a higher end"
        raise DeskError(msg)
    for end in (low, high):
        _value(one, str(end))
    whole, step = one.kind is int, parts[2] if len(parts) == 3 else ""
    if step.startswith("log"):
        return _ratios(one, text, float(low), float(high), step.removeprefix("log"))
    if not step and not whole:
        return Axis(one.name, (), ordered=True, low=float(low), high=float(high))
    by = _decimal(one, step) if step else Decimal(1)
    if by <= 0 or (whole and by != int(by)):
        rule = "a whole number above 0" if whole else "above 0"
        msg = f"parameter {one.name}: the step of {text} must be {rule}"
        raise DeskError(msg)
    count = int((high - low) / by) + 1
    if count > VALUES_MAX:
        if not step:
            return Axis(one.name, (), ordered=True, low=float(low), high=float(high), whole=True)
        msg = f"parameter {one.name}: {text} has {count:,} values, more than {VALUES_MAX:,}: give it longer steps"
        raise DeskError(msg)
    values = [low + place * by for place in range(count)]
    return Axis(one.name, tuple(int(value) if whole else float(value) for value in values), ordered=True)


def _ratios(one: Described, text: str, low: float, high: float, count: str) -> Axis:
    whole = one.kind is int
    if low <= 0:
        msg = f"parameter {one.name}: {text} has ratios only above 0"
        raise DeskError(msg)
    if not count:
        return Axis(one.name, (), ordered=True, low=low, high=high, log=True, whole=whole)
    if not count.isdecimal() or not 2 <= int(count) <= VALUES_MAX:
        msg = f"parameter {one.name}: {text!r} ends in log and how many values, 2 or more, such as log8"
        raise DeskError(msg)
    spaced = [float(f"{value:.12g}") for value in np.geomspace(low, high, int(count)).tolist()]
    values = sorted({round(value) for value in spaced}) if whole else spaced
    return Axis(one.name, tuple(values), ordered=True)


def _decimal(one: Described, text: str) -> Decimal:
    """A number to the digit as it is written, so that steps of 0.1 end where they should."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("nan")
    if not found.is_finite():
        msg = f"parameter {one.name}: {text!r} is no number"
        raise DeskError(msg)
    return found


def _value(one: Described, text: str) -> Any:
    """One value of a parameter, within its range."""
    if one.choices:
        for same in (str, lambda name: str(name).lower().replace("_", "-")):
            for name in one.choices:
                if same(name) == same(text):
                    return name
    elif one.kind is bool:
        if text.lower() in _SWITCH:
            return _SWITCH[text.lower()]
    else:
        number = _decimal(one, text)
        if one.kind is float and isfinite(value := float(number)) and _within(one, value):
            return value
        if one.kind is int and number == int(number) and _within(one, int(number)):
            return int(number)
    msg = f"parameter {one.name} is {_kind(one)}{one.range}; it is {text!r}"
    raise DeskError(msg)


def _within(one: Described, value: float) -> bool:
    low = one.least is None or value > one.least or (value == one.least and not one.least_excluded)
    high = one.most is None or value < one.most or (value == one.most and not one.most_excluded)
    return low and high


def _kind(one: Described) -> str:
    if one.choices or one.kind is bool:
        return "one of "
    number = "a whole number" if one.kind is int else "a number"
    return f"{number}, " if one.range else number


def worded(parameters: Mapping[str, Any], names: Sequence[str] | None = None) -> str:
    """Parameters in a line, as users write them.

    >>> worded({"fast": 5, "shorts": True, "by": 0.1})
    'fast=5 shorts=true by=0.1'
    """
    return " ".join(f"{name}={as_text(parameters[name])}" for name in (parameters if names is None else names))
