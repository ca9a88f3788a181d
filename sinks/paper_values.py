"""Values of the paper book's rows as an engine keeps them, and back."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

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


def encode(kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as engines keep it: JSON as text, unknown numbers as None; key first, columns that are left out left out.

    Raises:
        ValueError: It has no key, or a column that the kind has not.
    """
    known = _CODED[kind]
    try:
        coded: dict[str, Any] = {"run": str(row["run"]), "number": int(row["number"])}
        coded.update((name, _ENCODE[known[name].type](value)) for name, value in row.items() if name not in KEY)
    except KeyError as error:
        msg = f"a row of the kind {kind!r} lacks its key, or has a column that the kind has not: {error}"
        raise ValueError(msg) from error
    return coded


def decode(kind: str, run: str, number: int, values: Iterable[Any]) -> dict[str, Any]:
    """A row as it was written, from the values of the kind's columns in their order."""
    row: dict[str, Any] = {"run": run, "number": number}
    for column, value in zip(KINDS[kind], values, strict=True):
        row[column.name] = None if value is None else _DECODE[column.type](value)
    return row


def encode_all(kind: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows as engines keep them, none with the key of another: a later one is put over an earlier.

    Raises:
        ValueError: As `encode`; or there is no such kind.
    """
    columns_of(kind)
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        coded = encode(kind, row)
        found.setdefault((coded["run"], coded["number"]), {}).update(coded)
    return list(found.values())


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


def _maybe(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _known(value: Any) -> float | None:
    number = float(value)
    return None if number != number else number  # noqa: PLR0124 - only NaN differs from itself.


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


_ENCODE: Final = {
    "text": _maybe(str),
    "int": _maybe(int),
    "float": _maybe(_known),
    "bool": _maybe(int),
    "json": _maybe(_text),
    "bytes": _maybe(bytes),
}
_DECODE: Final[dict[str, Callable[[Any], Any]]] = {
    "text": str,
    "int": int,
    "float": float,
    "bool": bool,
    "json": json.loads,
    "bytes": bytes,
}
