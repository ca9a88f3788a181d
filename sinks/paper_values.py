"""Values of the paper book's rows as an engine keeps them, and back."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from market.errors import DeskError
from sinks.paper_book import ACTIONS, KINDS, Column, Written

KEY: Final = ("run", "number")
_CODED: Final = {kind: {column.name: column for column in columns} for kind, columns in KINDS.items()}


def columns_of(kind: str) -> tuple[Column, ...]:
    """The columns of a kind.

    Raises:
        ValueError: There is no such kind.
    """
    if kind not in KINDS:
        msg = f"the paper book has no rows of kind {kind!r}: they are {' '.join(KINDS)}"
        raise ValueError(msg)
    return KINDS[kind]


class Group(NamedTuple):
    """Rows of one kind that give the same columns."""

    names: tuple[str, ...]
    """`run`, `number`, then columns."""
    rows: list[list[Any]]
    """Values in that order, as engines keep them: JSON as text, unknown numbers as None."""


def encode(kind: str, rows: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Rows as engines keep them, none with the key of another: a later one is put over an earlier.

    Raises:
        ValueError: There is no such kind; a row has no key, or a column that the kind has not.
    """
    columns_of(kind)
    known = _CODED[kind]
    try:
        distinct: dict[tuple[str, int], Mapping[str, Any]] = {}
        for row in rows:
            key = row["run"], row["number"]
            distinct[key] = {**distinct[key], **row} if key in distinct else row
        groups: dict[tuple[str, ...], tuple[list[Callable[[Any], Any]], Group]] = {}
        for (run, number), row in distinct.items():
            shape = tuple(row)
            if shape not in groups:
                names = [name for name in shape if name not in KEY]
                groups[shape] = [_ENCODE[known[name].type] for name in names], Group((*KEY, *names), [])
            coders, group = groups[shape]
            values = [row[name] for name in group.names[2:]]
            coded = [None if value is None else coder(value) for coder, value in zip(coders, values, strict=True)]
            group.rows.append([str(run), int(number), *coded])
    except KeyError as error:
        msg = f"a row of the kind {kind!r} lacks its key, or has a column that the kind has not: {error}"
        raise ValueError(msg) from error
    return [group for _, group in groups.values()]


def decode(kind: str, run: str, number: int, values: Iterable[Any]) -> dict[str, Any]:
    """A row as it was written, from the values of the kind's columns in their order."""
    row: dict[str, Any] = {"run": run, "number": number}
    for column, value in zip(KINDS[kind], values, strict=True):
        row[column.name] = None if value is None else _DECODE[column.type](value)
    return row


def refuse_adrift(batch: Written) -> None:
    """Raise if states come without the position that they stand at.

    Raises:
        ValueError: They do.
    """
    if batch.states and batch.position is None:
        msg = f"states of {' '.join(batch.states)} come without the position that they stand at"
        raise ValueError(msg)


def refuse_unknown(action: str) -> None:
    """Raise if a control is none that there is.

    Raises:
        ValueError: It is none.
    """
    if action not in ACTIONS:
        msg = f"paper trading knows no control {action!r}: they are {' '.join(ACTIONS)}"
        raise ValueError(msg)


def refuse_writing(where: str) -> DeskError:
    """The error for whoever writes to a book that was opened to be read."""
    return DeskError(f"paper book {where} was opened to be read only; nothing can be written to it")


def _known(value: Any) -> float | None:
    number = float(value)
    return None if number != number else number  # noqa: PLR0124 - only NaN differs from itself.


_ENCODE: Final[dict[str, Callable[[Any], Any]]] = {
    "text": str,
    "int": int,
    "float": _known,
    "bool": int,
    "json": json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode,
    "bytes": bytes,
}
_DECODE: Final[dict[str, Callable[[Any], Any]]] = {
    "text": str,
    "int": int,
    "float": float,
    "bool": bool,
    "json": json.loads,
    "bytes": bytes,
}
