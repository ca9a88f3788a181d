"""Parameters of a strategy: as a user writes them, as a model that checks them, and as what it decides by."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from strategies.interface import StrategyError
from trading.records import Records

INTEGER_MAX: Final = 2**53
"""Whole numbers beyond it would not be the same ones in a file of the run."""


class Described(NamedTuple):
    """One parameter, for lists, forms and sweeps."""

    name: str
    kind: type
    """int, float, bool, or an enumeration of numbers."""
    default: Any
    """None where the user must give it."""
    least: float | None
    least_excluded: bool
    most: float | None
    most_excluded: bool
    choices: tuple[str, ...]
    """Names of an enumeration's members."""
    help: str

    @property
    def range(self) -> str:
        """What it may be: `1 to 500`, `above 0`, `cross, divergence`."""
        if self.choices:
            return ", ".join(self.choices)
        if self.kind is bool:
            return "true, false"
        low = "" if self.least is None else f"above {self.least:g}" if self.least_excluded else f"{self.least:g}"
        high = "" if self.most is None else f"below {self.most:g}" if self.most_excluded else f"{self.most:g}"
        if low and high:
            return f"{low} to {high}"
        return f"{low} or more" if low and not self.least_excluded else low or (f"up to {high}" if high else "")


def describe(model: type[BaseModel]) -> list[Described]:
    """The parameters of a model in its order.

    Raises:
        StrategyError: One is neither int, float, bool nor an enumeration of numbers.
    """
    return [_described(name, field) for name, field in model.model_fields.items()]


def read(strategy: str, model: type[BaseModel], given: Mapping[str, Any]) -> BaseModel:
    """Make a strategy's parameters of what a user gave.

    Args:
        strategy: Its name, for errors.
        model: Its `Parameters`.
        given: Values by name, as text or as values; enumerations by the name or the text of a member.

    Raises:
        StrategyError: One is unknown, missing or out of its range, or two contradict each other.
    """
    known = {one.name: one for one in describe(model)}
    values = {}
    for name, value in given.items():
        if name not in known:
            rule = f"they are {' '.join(known)}" if known else "it has none"
            msg = f"strategy {strategy} has no parameter {name!r}: {rule}"
            raise StrategyError(msg)
        values[name] = _member(strategy, known[name], value) if known[name].choices else value
    try:
        made = model(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        rule = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            msg = f"strategy {strategy}: {rule}"
        elif first["type"] == "missing":
            msg = f"strategy {strategy}: parameter {first['loc'][0]} must be given"
        else:
            one = known[str(first["loc"][0])]
            range_ = f" ({one.range})" if one.range else ""
            msg = f"strategy {strategy}: parameter {one.name}{range_}: {rule}; it is {first['input']!r}"
        raise StrategyError(msg) from error
    for name, one in known.items():
        most = np.finfo(float).max if one.kind is float else INTEGER_MAX
        if not abs(float(getattr(made, name))) <= most:
            msg = f"strategy {strategy}: parameter {name} must be a finite number; it is {getattr(made, name)!r}"
            raise StrategyError(msg)
    return made


def as_record(parameters: BaseModel) -> Records:
    """An array of one record: int64, float64 or bool by parameter, enumerations as their numbers."""
    kinds: dict[type, str] = {int: "<i8", float: "<f8", bool: "?"}
    described = describe(type(parameters))
    # A record without fields cannot be.
    fields = [(one.name, kinds.get(one.kind, "<i8")) for one in described] or [("none", "?")]
    record = np.zeros(1, np.dtype((np.record, fields)))
    for one in described:
        record[one.name] = getattr(parameters, one.name)
    return record


def as_values(parameters: BaseModel) -> Any:
    """The same for plain Python, as a tuple with names: numbers and switches of Python's own."""
    record = as_record(parameters)
    names: Sequence[str] = record.dtype.names or ()
    made: Any = NamedTuple("Values", [(name, Any) for name in names])  # type: ignore[misc]
    return made(*record[0].tolist())


def as_text(parameters: BaseModel) -> dict[str, Any]:
    """The same for reports and manifests: numbers, switches, and enumerations by name; `read` takes it back."""
    text: dict[str, Any] = {}
    for one in describe(type(parameters)):
        value = one.kind(getattr(parameters, one.name))
        text[one.name] = _name(value) if one.choices else value
    return text


def spelled(value: Any) -> Any:
    """A value as users write it: enumerations by name, switches as `true` and `false`, numbers as they are."""
    if isinstance(value, IntEnum):
        return _name(value)
    return str(value).lower() if isinstance(value, bool) else value


def _described(name: str, field: FieldInfo) -> Described:
    kind = field.annotation
    if not isinstance(kind, type) or not (kind in {int, float, bool} or issubclass(kind, IntEnum)):
        msg = f"parameter {name} is {kind}: a strategy's parameters are int, float, bool or an IntEnum"
        raise StrategyError(msg)
    bounds = {
        bound: float(getattr(one, bound))
        for one in field.metadata
        for bound in ("ge", "gt", "le", "lt")
        if getattr(one, bound, None) is not None
    }
    choices = tuple(_name(member) for member in kind) if issubclass(kind, IntEnum) else ()
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return Described(
        name,
        kind,
        default,
        bounds.get("ge", bounds.get("gt")),
        "gt" in bounds,
        bounds.get("le", bounds.get("lt")),
        "lt" in bounds,
        choices,
        field.description or "",
    )


def _name(member: IntEnum) -> str:
    """A member as users write it: by its own text if it has one (`1d`), else by its name (`divergence`)."""
    text = str(member)
    return member.name.lower().replace("_", "-") if text == str(int(member)) else text


def _member(strategy: str, one: Described, value: Any) -> Any:
    """The member that a text names: exactly first, since `1m` is not `1M`."""
    if isinstance(value, IntEnum):
        return value
    text = str(value)
    for same in (str, lambda name: str(name).lower().replace("_", "-")):
        for member in one.kind:  # type: ignore[attr-defined]
            if same(_name(member)) == same(text):
                return member
    msg = f"strategy {strategy}: parameter {one.name} is one of {one.range}; it is {text!r}"
    raise StrategyError(msg)
